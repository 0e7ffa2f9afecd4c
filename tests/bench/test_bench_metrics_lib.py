"""Metrics of a comparison on known answers, and MS-SSIM against the library of the literature."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from glissando.bench import metrics
from glissando.bench.metrics import (
    CAP_DB,
    METRICS,
    describe,
    ms_ssim,
    psnr,
    psnr_hvs_m,
    psnr_y,
    score,
    ssim,
    ssimulacra2,
)
from glissando.errors import BenchmarkError, CodecUnavailableError

Pixels = NDArray[np.uint8]
ALL = tuple(METRICS)


def jpeg(picture: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


PACKAGES = {"ssimulacra2": "ssimulacra2", "psnr-hvs-m": "psnr_hvsm", "psnr_hvs_m": "psnr_hvsm"}


@pytest.fixture(autouse=True)
def _needs_packages(request: pytest.FixtureRequest) -> None:
    """Skips the tests of a metric whose package is missing: its name is in that of the test, or in a parameter."""
    for name, package in PACKAGES.items():
        if name in request.node.name and "without" not in request.node.name:
            pytest.importorskip(package, reason=f"needs the package of {name}")
    if "butteraugli" in request.node.name and shutil.which("butteraugli_main") is None:
        pytest.skip("needs butteraugli_main: apt-get install libjxl-devtools")


def test_equal_pictures_score_the_cap(natural: Callable[..., Pixels]) -> None:
    picture = natural(170, 180)
    assert score(("psnr", "psnr-y", "ms-ssim"), picture, picture.copy()) == dict.fromkeys(
        ("psnr", "psnr-y", "ms-ssim"), CAP_DB
    )
    assert psnr(picture, picture) == math.inf  # the cap is for what is written down


def test_equal_pictures_score_100_by_ssimulacra2(natural: Callable[..., Pixels]) -> None:
    picture = natural(64, 48)
    assert score(["ssimulacra2"], picture, picture) == {"ssimulacra2": 100.0}


@pytest.mark.parametrize(("offset", "expected"), [(1, 48.1308), (5, 34.1514), (255, 0.0)])
def test_psnr_of_a_constant_offset(offset: int, expected: float) -> None:
    dark, bright = np.zeros((6, 7, 3), np.uint8), np.full((6, 7, 3), offset, np.uint8)
    for pair in ((dark, bright), (bright, dark)):  # no wrap-around of unsigned samples
        assert score(["psnr", "psnr-y"], *pair) == pytest.approx({"psnr": expected, "psnr-y": expected}, abs=1e-4)


@pytest.mark.parametrize(("channel", "weight"), [(0, 0.299), (1, 0.587), (2, 0.114)])
def test_luma_weighs_the_channels(channel: int, weight: float) -> None:
    grey = np.full((5, 9, 3), 100, np.uint8)
    tinted = grey.copy()
    tinted[..., channel] += 3
    assert psnr_y(grey, tinted) == pytest.approx(48.1308 - 20 * math.log10(3 * weight), abs=1e-3)
    assert psnr(grey, tinted) == pytest.approx(48.1308 - 10 * math.log10(3), abs=1e-3)


def test_luma_is_not_rounded() -> None:
    """A change of blue by 1 moves luma by 0.114, which 8 bits would not show."""
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert score(["psnr-y"], grey, grey + np.array([0, 0, 1], np.uint8))["psnr-y"] == pytest.approx(66.993, abs=1e-2)


@pytest.mark.parametrize("shape", [(161, 161), (176, 200), (183, 251), (321, 170)])
@pytest.mark.parametrize("quality", [3, 40, 95])
def test_ms_ssim_is_that_of_pytorch_msssim(
    shape: tuple[int, int], quality: int, natural: Callable[..., Pixels]
) -> None:
    torch = pytest.importorskip("torch", reason="the reference needs PyTorch: pip install glissando[train]")
    library = pytest.importorskip("pytorch_msssim", reason="the reference: pip install pytorch-msssim")
    picture = natural(*shape, seed=quality)
    decoded = jpeg(picture, quality)
    tensors = [torch.from_numpy(np.moveaxis(p, 2, 0)[None].astype(np.float64)) for p in (picture, decoded)]
    expected = float(library.ms_ssim(*tensors, data_range=255))
    assert ms_ssim(picture, decoded) == pytest.approx(expected, abs=1e-5)
    decibels = -10 * math.log10(1 - expected)
    assert score(["ms-ssim"], picture, decoded)["ms-ssim"] == pytest.approx(decibels, abs=1e-3)


@pytest.mark.parametrize("shape", [(11, 11), (40, 61), (176, 200)])
@pytest.mark.parametrize("quality", [3, 40, 95])
def test_ssim_is_that_of_pytorch_msssim(shape: tuple[int, int], quality: int, natural: Callable[..., Pixels]) -> None:
    torch = pytest.importorskip("torch", reason="the reference needs PyTorch: pip install glissando[train]")
    library = pytest.importorskip("pytorch_msssim", reason="the reference: pip install pytorch-msssim")
    picture = natural(*shape, seed=quality)
    decoded = jpeg(picture, quality)
    tensors = [torch.from_numpy(np.moveaxis(p, 2, 0)[None].astype(np.float64)) for p in (picture, decoded)]
    expected = float(library.ssim(*tensors, data_range=255))
    assert 0 < expected < 1
    assert ssim(picture, decoded) == pytest.approx(expected, abs=1e-5)
    assert ssim(picture, picture) == 1.0


def test_ms_ssim_of_opposites_is_zero(natural: Callable[..., Pixels]) -> None:
    """Structure that is inverted correlates negatively; that counts as none, as in the library."""
    picture = natural(192, 192)
    assert ms_ssim(picture, 255 - picture) == 0.0
    assert score(["ms-ssim"], picture, 255 - picture) == {"ms-ssim": 0.0}


def test_equal_pictures_score_the_cap_by_psnr_hvs_m(natural: Callable[..., Pixels]) -> None:
    picture = natural(64, 48)
    assert score(["psnr-hvs-m"], picture, picture.copy()) == {"psnr-hvs-m": CAP_DB}
    assert psnr_hvs_m(picture, picture) == math.inf


def test_psnr_hvs_m_of_a_brighter_picture() -> None:
    """A constant offset is an error of the blocks' means alone, which no contrast hides."""
    dark, bright = np.full((16, 24, 3), 100, np.uint8), np.full((16, 24, 3), 104, np.uint8)
    weight_of_means = 1.608443  # the first of the authors' table of weights, which are squared
    expected = 20 * math.log10(255 / (4 * weight_of_means))
    assert psnr_hvs_m(dark, bright) == pytest.approx(expected, abs=0.01)


def test_psnr_hvs_m_leaves_incomplete_blocks_out(natural: Callable[..., Pixels]) -> None:
    picture = natural(45, 39)
    decoded = jpeg(picture, 30)
    assert psnr_hvs_m(picture, decoded) == psnr_hvs_m(picture[:40, :32], decoded[:40, :32])


def test_psnr_hvs_m_sees_what_contrast_hides(natural: Callable[..., Pixels]) -> None:
    """The same noise costs less on a busy picture than on a flat one."""
    noise = np.random.default_rng(1).integers(-6, 7, (64, 64, 1))
    busy = 128 + 60 * np.sign(np.random.default_rng(2).standard_normal((64, 64, 1)))
    scores = [
        psnr_hvs_m(np.repeat(ground, 3, axis=2).astype(np.uint8), np.repeat(ground + noise, 3, axis=2).astype(np.uint8))
        for ground in (np.full((64, 64, 1), 128.0), busy)
    ]
    assert scores[1] > scores[0] + 3


def test_loading_psnr_hvs_m_prints_nothing_and_loads_no_more_than_it_needs() -> None:
    code = (
        "import sys; from glissando.bench.metrics import describe; describe('psnr-hvs-m');"
        "assert not {'torch', 'psnr_hvsm'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("name", ["psnr", "psnr-y", "ms-ssim"])
def test_symmetric(name: str, natural: Callable[..., Pixels]) -> None:
    picture = natural(165, 190)
    decoded = jpeg(picture, 30)
    assert METRICS[name](picture, decoded) == pytest.approx(METRICS[name](decoded, picture), rel=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_rises_with_quality(name: str, natural: Callable[..., Pixels]) -> None:
    picture = natural(171, 203)
    values = [METRICS[name](picture, jpeg(picture, quality)) for quality in (2, 10, 40, 75, 95)]
    assert values == sorted(set(values))
    assert all(math.isfinite(value) for value in values)


def test_ssimulacra2_agrees_with_the_package_on_files(natural: Callable[..., Pixels], tmp_path: object) -> None:
    import ssimulacra2 as package

    picture = natural(75, 61)
    decoded = jpeg(picture, 20)
    files = [f"{tmp_path}/{i}.png" for i in range(2)]
    for file, pixels in zip(files, (picture, decoded), strict=True):
        Image.fromarray(pixels).save(file)
    assert ssimulacra2(picture, decoded) == package.compute_ssimulacra2(*files)


def test_ssimulacra2_falls_below_zero(natural: Callable[..., Pixels]) -> None:
    picture = natural(128, 128)
    assert ssimulacra2(picture, np.roll(picture, 40, axis=1)) < 0


def test_score_gives_all_that_was_asked_for(natural: Callable[..., Pixels]) -> None:
    picture = natural(165, 165)
    assert list(score(["ms-ssim", "psnr"], picture, jpeg(picture, 50))) == ["ms-ssim", "psnr"]
    assert score([], picture, picture) == {}


# Refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(120, 90), (160, 400), (400, 160)])
def test_too_small_for_ms_ssim(size: tuple[int, int]) -> None:
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    message = f"picture is {width}x{height}; MS-SSIM needs both sides above 160"
    with pytest.raises(BenchmarkError, match=message):
        score(["psnr", "ms-ssim"], picture, picture)


def test_too_small_for_ssimulacra2() -> None:
    """The package would call any two such pictures equal."""
    black, white = np.zeros((40, 7, 3), np.uint8), np.full((40, 7, 3), 255, np.uint8)
    with pytest.raises(BenchmarkError, match="picture is 7x40; SSIMULACRA2 needs both sides above 7"):
        score(["ssimulacra2"], black, white)


def test_unknown_metric(natural: Callable[..., Pixels]) -> None:
    picture = natural(16, 16)
    with pytest.raises(
        BenchmarkError,
        match=r"no metric called 'vmaf'; known: psnr, psnr-y, ssim, ms-ssim, psnr-hvs-m, ssimulacra2, butter",
    ):
        score(["vmaf"], picture, picture)
    with pytest.raises(BenchmarkError, match="no metric called"):
        describe("vmaf")


def test_other_shapes_and_types(natural: Callable[..., Pixels]) -> None:
    picture = natural(16, 20)
    with pytest.raises(BenchmarkError, match="different shapes"):
        score(["psnr"], picture, picture[:, :-1])
    for wrong in (picture.astype(np.float32), picture[..., 0], picture[..., :2]):
        with pytest.raises(BenchmarkError, match="need uint8 RGB"):
            score(["psnr"], picture, wrong)  # type: ignore[arg-type]


def test_not_a_number_is_refused(natural: Callable[..., Pixels]) -> None:
    picture = natural(16, 16)
    broken = metrics.Measure("broken", "Broken", "", lambda: "", lambda a, b: math.nan)
    with pytest.raises(BenchmarkError, match="Broken of a 16x16 picture is not a number"):
        broken(picture, picture)


def test_without_the_package_ssimulacra2(monkeypatch: pytest.MonkeyPatch, natural: Callable[..., Pixels]) -> None:
    monkeypatch.setitem(sys.modules, "ssimulacra2", None)
    picture = natural(16, 16)
    for ask in (lambda: describe("ssimulacra2"), lambda: score(["ssimulacra2"], picture, picture)):
        with pytest.raises(CodecUnavailableError, match=r"pip install 'glissando\[bench\]'"):
            ask()


def test_without_the_package_psnr_hvs_m(monkeypatch: pytest.MonkeyPatch, natural: Callable[..., Pixels]) -> None:
    metrics._psnr_hvs_m_package.cache_clear()
    monkeypatch.setitem(sys.modules, "psnr_hvsm", None)
    picture = natural(16, 16)
    for ask in (lambda: describe("psnr-hvs-m"), lambda: score(["psnr-hvs-m"], picture, picture)):
        with pytest.raises(CodecUnavailableError, match="pip install psnr-hvsm"):
            ask()


@pytest.mark.parametrize("name", ALL)
def test_describe(name: str) -> None:
    record = describe(name)
    assert (record.name, record.unit) == (name, "" if name in ("ssim", "ssimulacra2") else "dB")
    assert record.label
    assert len(record.source) > 10
