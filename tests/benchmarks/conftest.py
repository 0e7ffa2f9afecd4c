"""Fixtures of the tests of studies: a fake of the codec (JPEG in a shell), pictures to give it, a comparison."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # `benchmarks` is not installed with the package

from study_fakes import FakeApi

from benchmarks.api import Pixels
from glissando.bench.curves import bd_rows
from glissando.bench.results import (
    CodecInfo,
    Failure,
    Memory,
    Metric,
    Missing,
    ModelInfo,
    PictureInfo,
    Point,
    PublishedCurve,
    Results,
    Timing,
)
from glissando.machine import Machine


@pytest.fixture
def fake_api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def make_picture() -> Callable[[int], Pixels]:
    """A picture of 64 rows and 96 columns: smooth, with some grain."""

    def make(seed: int) -> Pixels:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:64, 0:96]
        waves = [120 + 90 * np.sin(x / rng.uniform(5, 20) + y / rng.uniform(5, 20)) for _ in range(3)]
        noisy = np.stack(waves, axis=-1) + rng.normal(0, 6, (64, 96, 3))
        return np.asarray(np.clip(noisy, 0, 255), dtype=np.uint8)

    return make


@pytest.fixture
def data_set(tmp_path: Path, make_picture: Callable[[int], Pixels]) -> Path:
    """A folder laid out as the real one: data/kodak/*.png."""
    (tmp_path / "data" / "kodak").mkdir(parents=True)
    for i in range(1, 4):
        Image.fromarray(make_picture(i)).save(tmp_path / "data" / "kodak" / f"kodim{i:02d}.png")
    return tmp_path / "data"


BITS = {"glissando:medium": 0.9, "avif": 1.0, "avif-psnr": 0.95, "webp": 1.5, "jpeg": 2.0, "jp2": 1.25, "odd": 1.0}
"""Bits that the codecs of ``comparison`` need at equal quality, against AVIF."""


@pytest.fixture
def comparison() -> Results:
    """What `glissando bench` yields: curves on which 3 dB cost a factor of two in rate, whatever the codec."""
    model = ModelInfo("fake", "0123456789abcdef", 1_000_000, 12.0, 10.0)
    codecs = [
        CodecInfo("avif", "AVIF", "libavif 1", False, "2", "SSIMULACRA 2"),
        CodecInfo("avif-psnr", "AVIF for PSNR", "libavif 1", False, "2", "squared error"),
        CodecInfo("webp", "WebP", "libwebp 3", False, "1"),
        CodecInfo("jpeg", "JPEG | old", "libjpeg 2", False, "1 (cannot use more)"),
        CodecInfo("jp2", "JPEG 2000", "openjpeg 4", False, "1"),
        CodecInfo("glissando:medium", "Glissando medium", "0.1", True, "2", "squared error", model),
        CodecInfo("odd", "Odd", "1", False, "1"),
    ]
    metrics = [Metric("psnr", "PSNR", "dB", "this"), Metric("ms-ssim", "MS-SSIM", "dB", "that 3")]
    pictures = [PictureInfo(f"kodim{i:02d}.png", 96, 64, f"{i:016x}") for i in range(1, 4)]
    points = []
    for codec in codecs:
        for number, picture in enumerate(pictures):
            for setting in range(0, 101, 10):
                octaves = setting / 20.0
                bpp = BITS[codec.name] * 0.06 * 2.0**octaves
                scores = {"psnr": 24.0 + 3.0 * octaves + number}
                if codec.name != "odd":
                    scores["ms-ssim"] = 9.0 + 2.0 * octaves
                points.append(Point(codec.name, picture.name, float(setting), round(bpp * 768), bpp, scores))
    names = [codec.name for codec in codecs]
    curve = {"psnr": [[0.12 * 2.0**k, 25.0 + 3.0 * k] for k in range(6)]}
    return Results(
        version="0.1.0",
        date="2026-01-02T03:04:05+00:00",
        command="glissando bench pictures",
        machine=Machine("Some processor", ("AVX2", "AVX-512"), 2, "Linux", "3.11"),
        threads=2,
        anchor="avif",
        bd_method="pchip",
        metrics=metrics,
        codecs=codecs,
        missing=[Missing("vvc", "vvencapp is not on the path")],
        pictures=pictures,
        points=points,
        bd=bd_rows(points, names, ["psnr", "ms-ssim"], [picture.name for picture in pictures], "avif"),
        timings=[
            Timing("avif", 0.4, 50.0, 0.5, 0.2, 0.02, 5),
            Timing("avif", 8.0, 50.0, 0.5, 4.0, 0.4, 3),
            Timing("glissando:medium", 0.4, 43.0, 0.5, 0.05, 0.04, 5),
        ],
        memory=[Memory("avif", 0.4, 50.0, 20.0)],
        matrix_product_gmac_s=120.0,
        published=[
            PublishedCurve("JPEG", curve, "made up"),
            PublishedCurve("JPEG2000", curve, "made up"),
            PublishedCurve("odd [ms-ssim]", {"ms-ssim": [[0.1, 10.0], [0.4, 14.0]]}, "made up"),
        ],
        failures=[Failure("b.png", "cannot be read")],
    )
