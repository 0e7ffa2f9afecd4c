"""PSNR and rate with known answers; Pillow's codecs; the machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.api import Pixels
from benchmarks.metrics import bits_per_pixel, largest_drop, psnr
from benchmarks.peers import AVIF, PEERS, Peer, nearest_quality
from glissando.bench.machine import Machine, package_versions


def test_psnr_of_equal_pictures() -> None:
    picture = np.zeros((4, 5, 3), np.uint8)
    assert psnr(picture, picture) == math.inf


@pytest.mark.parametrize(("difference", "expected"), [(1, 48.1308), (255, 0.0), (5, 34.1514)])
def test_psnr_of_a_constant_difference(difference: int, expected: float) -> None:
    dark = np.zeros((6, 7, 3), np.uint8)
    bright = np.full((6, 7, 3), difference, np.uint8)
    assert psnr(dark, bright) == pytest.approx(expected, abs=1e-4)
    assert psnr(bright, dark) == psnr(dark, bright)  # no wrap-around of unsigned samples


def test_psnr_averages_errors_over_channels() -> None:
    a, b = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    b[0, 0, 0] = 12  # mean squared error 144 / 12
    assert psnr(a, b) == pytest.approx(10 * math.log10(255**2 / 12))


def test_psnr_refuses_other_shapes_and_types() -> None:
    picture = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(ValueError, match="one shape"):
        psnr(picture, np.zeros((5, 4, 3), np.uint8))
    wide: Any = picture.astype(np.int16)
    with pytest.raises(ValueError, match="uint8"):
        psnr(picture, wide)


def test_bits_per_pixel() -> None:
    assert bits_per_pixel(bytes(100), np.zeros((10, 20, 3), np.uint8)) == 4.0


@pytest.mark.parametrize(
    ("sizes", "drop"),
    [([1, 2, 3], 0.0), ([100, 99, 120, 90], 25.0), ([7], 0.0), ([200, 199], 0.5), ([], 0.0)],
)
def test_largest_drop(sizes: list[int], drop: float) -> None:
    assert largest_drop(sizes) == pytest.approx(drop)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_peers_round_trip(peer: Peer, make_picture: Callable[[int], Pixels]) -> None:
    if not peer.available():
        pytest.skip(f"this Pillow has no {peer.name}")
    picture = make_picture(0)
    files = [peer.encode(picture, quality, 1) for quality in (peer.qualities[1], peer.qualities[-1])]
    decoded = [peer.decode(data, 1) for data in files]
    assert all(d.shape == picture.shape and d.dtype == np.uint8 for d in decoded)
    assert len(files[0]) < len(files[1])
    assert 15.0 < psnr(picture, decoded[0]) < psnr(picture, decoded[1])


def test_avif_keeps_full_colour_resolution() -> None:
    """4:4:4: stripes of colour one pixel wide survive; with 4:2:0 they would not."""
    if not AVIF.available():
        pytest.skip("this Pillow has no AVIF")
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, 0::2, 0] = 255
    stripes[:, 1::2, 1] = 130  # about as bright as the red
    assert psnr(stripes, AVIF.decode(AVIF.encode(stripes, 95))) > 30.0


@pytest.mark.parametrize("wanted", [0.0, 17.4, 17.6, 100.0, 1e9])
def test_nearest_quality(wanted: float) -> None:
    assert nearest_quality(float, wanted) == min(100, round(wanted))


def test_machine_reads_cpuinfo(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Imaginary 9000\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_tile\n")
    machine = Machine.this(path)
    if machine.system.startswith("Linux"):
        assert machine.processor == "Imaginary 9000"
        assert machine.extensions == ("AVX2", "AVX-512", "AVX-512 bf16", "AMX")
        assert machine.native_bf16
    assert machine.cores >= 1


def test_machine_without_cpuinfo(tmp_path: Path) -> None:
    machine = Machine.this(tmp_path / "missing")
    assert machine.processor
    assert machine.to_json()["cores"] == machine.cores


def test_package_versions_name_what_is_missing() -> None:
    versions = package_versions()
    assert versions["numpy"] == np.__version__
    assert "pillow/avif" in versions
