"""Pictures and codecs that several folders of tests share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

HERE = Path(__file__).parent
for folder in ("bitstream", "entropy", "golden"):  # where the slow reference implementations lie
    sys.path.append(str(HERE / folder))

Pixels = NDArray[np.uint8]


def natural_picture(height: int, width: int, seed: int = 0) -> Pixels:
    """Something like a photograph: noise with a 1/f spectrum, correlated colours, and one hard edge."""
    random = np.random.default_rng(seed)
    size = 1 << max(7, (max(height, width) - 1).bit_length())
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1.0

    def plane() -> NDArray[np.float64]:
        spectrum = random.normal(size=frequency.shape) + 1j * random.normal(size=frequency.shape)
        noise = np.fft.irfft2(spectrum / frequency**1.4, s=(size, size))
        return noise / noise.std()

    light, warm, tint = plane(), plane(), plane()
    light += np.where(np.add.outer(np.arange(size), 2 * np.arange(size)) > size, 0.8, -0.8)
    colours = np.stack([light + 0.3 * warm, light, light - 0.3 * warm + 0.2 * tint], axis=-1)
    return np.clip(np.rint(128 + 38 * colours), 0, 255).astype(np.uint8)[:height, :width]


def decibels(a: NDArray[Any], b: NDArray[Any]) -> float:
    """PSNR of 8-bit pixels."""
    mse = np.square(a.astype(np.float64) - b.astype(np.float64)).mean()
    return float(10 * np.log10(255**2 / max(mse, 1e-9)))


@pytest.fixture(scope="session")
def natural() -> Callable[..., Pixels]:
    return natural_picture


@pytest.fixture(scope="session")
def psnr() -> Callable[..., float]:
    return decibels


@pytest.fixture(scope="session")
def codec() -> Any:
    """The shipped model in float32, so that results are the same on every processor."""
    import glissando

    return glissando.open_model("medium", backend="openvino", precision="f32", threads=1)


@pytest.fixture(scope="session")
def onnx_codec() -> Any:
    pytest.importorskip("onnxruntime", reason="the other backend, ONNX Runtime, is not installed")
    import glissando

    return glissando.open_model("medium", backend="onnxruntime", threads=1)
