"""PSNR and rate with known answers; the machine."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.points import bits_per_pixel
from glissando.bench.metrics import psnr
from glissando.bench.packages import package_versions
from glissando.machine import Machine


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


def test_machine_reads_cpuinfo(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Imaginary 9000\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_tile\n")
    machine = Machine.this(path)
    if machine.system.startswith("Linux"):
        assert machine.processor == "Imaginary 9000"
        assert machine.extensions == ("AVX2", "AVX-512", "AVX-512 bf16", "AMX")
        assert machine.fast_bf16
    assert machine.cores >= 1


@pytest.mark.parametrize(
    ("processor", "extensions", "fast"),
    [
        ("AMD EPYC 9654", ("AVX-512", "AVX-512 bf16"), True),
        ("Intel(R) Xeon(R) Platinum", ("AVX-512", "AVX-512 bf16"), False),  # 1.6 times as slow as float32
        ("Intel(R) Xeon(R) Platinum", ("AVX-512", "AVX-512 bf16", "AMX bf16"), True),
        ("Intel(R) Core(TM)", ("AVX2", "AVX-VNNI"), False),
        ("Neoverse-V2", ("NEON", "bf16"), True),
    ],
)
def test_where_bfloat16_is_faster(processor: str, extensions: tuple[str, ...], fast: bool) -> None:
    assert Machine(processor, extensions, 2, "Linux x86_64", "3.11").fast_bf16 == fast


def test_machine_without_cpuinfo(tmp_path: Path) -> None:
    machine = Machine.this(tmp_path / "missing")
    assert machine.processor
    assert machine.to_json()["cores"] == machine.cores


def test_package_versions_name_what_is_missing() -> None:
    versions = package_versions()
    assert versions["numpy"] == np.__version__
    assert "pillow/avif" in versions
