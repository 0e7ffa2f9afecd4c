"""PSNR and SSIMULACRA 2 as an encoder measures them, against the functions and the package of the comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glissando.codec.scores import Ssimulacra2, psnr

Pixels = NDArray[np.uint8]


def noisy(pixels: Pixels, amplitude: int) -> Pixels:
    noise = np.random.default_rng(1).integers(-amplitude, amplitude + 1, pixels.shape)
    return np.clip(pixels.astype(int) + noise, 0, 255).astype(np.uint8)


def test_psnr_is_that_of_the_comparison(natural: Callable[..., Pixels]) -> None:
    from glissando.bench import metrics

    picture = natural(150, 70)
    shown = noisy(picture, 9)
    assert psnr(picture, shown, 8) == pytest.approx(metrics.psnr(picture, shown))
    assert psnr(picture, picture, 8) == math.inf


def test_psnr_of_more_bits_and_of_what_is_seen(natural: Callable[..., Pixels]) -> None:
    picture = natural(40, 30)
    shown = noisy(picture, 9)
    deep = psnr(picture.astype(np.uint16) * 257, shown.astype(np.uint16) * 257, 16)
    assert deep == pytest.approx(psnr(picture, shown, 8), abs=1e-6)
    hidden = np.zeros((40, 30), np.bool_)
    hidden[:20] = True
    assert psnr(picture, shown, 8, hidden) == pytest.approx(psnr(picture[20:], shown[20:], 8))
    assert psnr(picture, np.where(hidden[..., None], shown, picture), 8, hidden) == math.inf


@pytest.mark.parametrize("shape", [(300, 257), (96, 97), (37, 42), (8, 9)])
@pytest.mark.parametrize("amplitude", [2, 12, 60])
def test_ssimulacra2_is_that_of_the_package(
    natural: Callable[..., Pixels], shape: tuple[int, int], amplitude: int
) -> None:
    pytest.importorskip("ssimulacra2", reason="the package ssimulacra2 is not installed")
    from glissando.bench import metrics

    picture = natural(*shape)
    shown = noisy(picture, amplitude)
    assert Ssimulacra2(picture, 8)(shown) == pytest.approx(metrics.ssimulacra2(picture, shown), abs=0.05)


def test_ssimulacra2_of_equal_grey_deep_and_hidden_pixels(natural: Callable[..., Pixels]) -> None:
    picture: Any = natural(64, 80)
    shown = noisy(picture, 12)
    score = Ssimulacra2(picture, 8)
    assert score(picture) == 100
    grey, grey_shown = picture[..., 0], shown[..., 0]
    as_three = Ssimulacra2(np.dstack([grey] * 3), 8)(np.dstack([grey_shown] * 3))
    assert Ssimulacra2(grey, 8)(grey_shown) == pytest.approx(as_three, abs=1e-6)
    deep = Ssimulacra2(picture.astype(np.uint16) * 257, 16)(shown.astype(np.uint16) * 257)
    assert deep == pytest.approx(score(shown), abs=1e-3)
    hidden = np.ones((64, 80), np.bool_)
    hidden[:, 70:] = False
    part = np.where(hidden[..., None], picture, shown)
    assert Ssimulacra2(picture, 8, hidden)(shown) == pytest.approx(score(part), abs=1e-6)
