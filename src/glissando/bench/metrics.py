"""Measures of quality of a decoded picture, by name.

Larger is better for all. Values in decibels are cut off at CAP_DB, since JSON knows no infinity: that is what equal
pictures score.
"""

from __future__ import annotations

import importlib.util
import io
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.errors import BenchmarkError, CodecUnavailableError

from .butteraugli import butteraugli_db, butteraugli_source
from .results import Metric

__all__ = [
    "CAP_DB",
    "METRICS",
    "Measure",
    "describe",
    "ms_ssim",
    "psnr",
    "psnr_hvs_m",
    "psnr_y",
    "score",
    "ssim",
    "ssimulacra2",
]

Pixels = NDArray[np.uint8]
"""RGB, (height, width, 3), 0…255."""

CAP_DB = 100.0
"""What a value in decibels is at most: 100 dB of PSNR is one sample in 150,000 that is wrong by 1."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_GAUSS = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
_TAPS: list[float] = (_GAUSS / _GAUSS.sum()).tolist()


def _luma(pixels: Pixels) -> NDArray[np.float32]:
    """0.299 R + 0.587 G + 0.114 B (BT.601, full range), 0…255, not rounded."""
    return pixels.astype(np.float32) @ _LUMA


def _decibels(mse: float) -> float:
    return math.inf if mse == 0.0 else 10.0 * math.log10(255.0**2 / mse)


def psnr(original: Pixels, decoded: Pixels) -> float:
    """Peak signal-to-noise ratio in dB over all RGB samples of two 8-bit pictures; inf where they are equal.

    The peak is 255 and the squared error is averaged over pixels and channels before the logarithm.
    Raises ValueError where shapes or types differ.
    """
    if original.shape != decoded.shape or original.dtype != np.uint8 or decoded.dtype != np.uint8:
        raise ValueError(
            "PSNR needs two uint8 pictures of one shape, not "
            f"{original.dtype} {original.shape} and {decoded.dtype} {decoded.shape}"
        )
    difference = original.astype(np.int32) - decoded.astype(np.int32)
    return _decibels(float(np.square(difference).mean(dtype=np.float64)))


def psnr_y(original: Pixels, decoded: Pixels) -> float:
    """PSNR in dB of the luma alone, peak 255; inf where it is equal.

    Luma is JPEG's: 0.299 R + 0.587 G + 0.114 B (BT.601, full range), not rounded.
    """
    difference = _luma(original) - _luma(decoded)
    return _decibels(float(np.square(difference).mean(dtype=np.float64)))


def _blur(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian of 11 taps, where all of them lie inside: (h, w) → (h - 10, w - 10)."""
    for _ in range(2):  # columns, and after turning, rows
        length = plane.shape[0] - 10
        blurred: NDArray[np.float32] = plane[5 : 5 + length] * _TAPS[5]
        for i in range(5):  # the kernel is symmetric
            blurred += (plane[i : i + length] + plane[10 - i : 10 - i + length]) * _TAPS[i]
        plane = blurred.T
    return plane


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 2x2; before an odd side comes a row of zeros, as in pytorch_msssim."""
    height, width = plane.shape
    plane = np.pad(plane, ((height % 2, 0), (width % 2, 0)))
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) * np.float32(0.25)


def _similarity(total: NDArray[np.float32], difference: NDArray[np.float32], luminance: bool) -> float:
    """Mean of contrast and structure of one channel, with or without its luminance.

    By way of sum and difference: with S = a + b and D = a - b,

        contrast and structure   1 - var(D) / ((var(S) + var(D)) / 2 + C2)
        luminance                1 - mean(D)² / ((mean(S)² + mean(D)²) / 2 + C1)

    which takes four filters for five, and keeps the small difference from 1 that float32 would otherwise lose.
    """
    mean_s, mean_d = np.square(_blur(total)), np.square(_blur(difference))
    variance_s, variance_d = _blur(np.square(total)) - mean_s, _blur(np.square(difference)) - mean_d
    similarity = 1 - variance_d / ((variance_s + variance_d) / 2 + _C2)
    if luminance:
        similarity *= 1 - mean_d / ((mean_s + mean_d) / 2 + _C1)
    return float(similarity.mean(dtype=np.float64))


def _sum_and_difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    first, second = a.astype(np.float32), b.astype(np.float32)
    return first + second, first - second


def _ms_ssim_plane(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """MS-SSIM of one channel."""
    total, difference = _sum_and_difference(a, b)
    product = 1.0
    for scale, weight in enumerate(_SCALES):
        product *= max(0.0, _similarity(total, difference, scale == len(_SCALES) - 1)) ** weight
        total, difference = _halved(total), _halved(difference)
    return product


def ssim(original: Pixels, decoded: Pixels) -> float:
    """Structural similarity, at most 1, of two pictures with both sides above 10.

    Wang, Bovik, Sheikh and Simoncelli (2004) with their Gaussian of 11 taps and sigma 1.5; mean of the three RGB
    channels, range 255, nothing halved. Agrees with the package pytorch_msssim.
    """
    planes = (_sum_and_difference(original[..., i], decoded[..., i]) for i in range(3))
    return math.fsum(_similarity(*plane, luminance=True) for plane in planes) / 3


def ms_ssim(original: Pixels, decoded: Pixels) -> float:
    """Multi-scale structural similarity, 0…1, of two pictures with both sides above 160.

    Wang, Simoncelli and Bovik (2003) with their five weights, Gaussian of 11 taps and sigma 1.5; mean of the three
    RGB channels, range 255. Agrees with the package pytorch_msssim, which the literature on learned codecs uses.
    """
    return math.fsum(_ms_ssim_plane(original[..., i], decoded[..., i]) for i in range(3)) / 3


def _ms_ssim_db(original: Pixels, decoded: Pixels) -> float:
    lost = 1.0 - ms_ssim(original, decoded)
    return -10.0 * math.log10(lost) if lost > 0.0 else math.inf


def _ssimulacra2_package() -> Any:
    """Raises CodecUnavailableError."""
    try:
        import ssimulacra2 as package
    except ImportError as error:
        raise CodecUnavailableError(
            f"the metric ssimulacra2 needs the package of that name: pip install 'glissando[bench]' ({error})"
        ) from error
    return package


def ssimulacra2(original: Pixels, decoded: Pixels) -> float:
    """SSIMULACRA2: 100 is equal, 90 not told apart, 70 high, 50 medium, 30 low quality, below 0 very poor.

    The package's own port to Python; takes some 500 bytes of memory per pixel. Raises CodecUnavailableError.
    """
    # The package opens pictures by itself, from whatever Pillow can open.
    height, width, _ = original.shape
    files = [io.BytesIO(f"P6 {width} {height} 255\n".encode() + pixels.tobytes()) for pixels in (original, decoded)]
    return float(_ssimulacra2_package().compute_ssimulacra2(*files))


@cache
def _psnr_hvs_m_package() -> Any:
    """The NumPy part of the package psnr_hvsm. Raises CodecUnavailableError.

    The package as a whole prints a line when it is imported and has no PyTorch, and imports that where it has.
    Its NumPy part needs neither, so this part alone is loaded, under a name of ours.
    """
    package = importlib.util.find_spec("psnr_hvsm")
    if package is None or not package.submodule_search_locations:
        raise CodecUnavailableError("the metric psnr-hvs-m needs the package of that name: pip install psnr-hvsm")
    folder = Path(package.submodule_search_locations[0]) / "numpy"
    name = f"{__name__}_psnr_hvsm"
    try:
        part = importlib.util.spec_from_file_location(name, folder / "__init__.py")
        assert part is not None  # the file's ending is known to Python
        assert part.loader is not None
        module = importlib.util.module_from_spec(part)
        sys.modules[name] = module  # the part's own files import each other by it
        part.loader.exec_module(module)
    except (ImportError, OSError) as error:
        sys.modules.pop(name, None)
        raise CodecUnavailableError(
            f"the metric psnr-hvs-m cannot use the package psnr-hvsm that is installed: {error}"
        ) from error
    return module


def psnr_hvs_m(original: Pixels, decoded: Pixels) -> float:
    """PSNR-HVS-M in dB of the luma, for two pictures with both sides above 7; inf where they are equal.

    Ponomarenko, Silvestri, Egiazarian, Carli, Astola and Lukin, "On between-coefficient contrast masking of DCT basis
    functions" (2007): squared errors of the DCT coefficients of 8x8 blocks, weighted by how well the eye sees their
    frequency, less what the block's own contrast hides. It owes nothing to SSIM, and so is a check on models that
    were trained for a metric of that kind.

    Luma is ``psnr_y``'s. Incomplete blocks at the right and the lower edge are left out, as in the authors' own
    program. Computed by the package psnr-hvsm, which is under the GPL and therefore not installed with this one.
    Raises CodecUnavailableError without it.
    """
    measure = _psnr_hvs_m_package().psnr_hvs_hvsm
    height, width = (side // 8 * 8 for side in original.shape[:2])
    first, second = (_luma(pixels[:height, :width]).astype(np.float64) / 255.0 for pixels in (original, decoded))
    if np.array_equal(first, second):
        return math.inf
    with np.errstate(divide="ignore", invalid="ignore"):  # the package divides by 0, and then replaces what came of it
        return float(measure(first, second)[1])


def _psnr_hvs_m_source() -> str:
    _psnr_hvs_m_package()
    return f"luma of BT.601, full range, not rounded; psnr-hvsm {metadata.version('psnr-hvsm')}"


def _ssimulacra2_source() -> str:
    _ssimulacra2_package()
    return f"ssimulacra2 {metadata.version('ssimulacra2')} (Python)"


@dataclass(frozen=True)
class Measure:
    """A metric and how it is computed, of two pictures of one shape."""

    name: str
    label: str
    unit: str
    source: Callable[[], str]
    compute: Callable[[Pixels, Pixels], float]
    smallest: int = 1
    """Pixels that both sides must have at least."""

    def __call__(self, original: Pixels, decoded: Pixels) -> float:
        """A finite value. Raises BenchmarkError where the pictures differ in shape, or are too small."""
        if original.shape != decoded.shape:
            raise BenchmarkError(f"pictures of different shapes: {original.shape} and {decoded.shape}")
        height, width = original.shape[:2]
        if min(height, width) < self.smallest:
            short = self.label.split(",")[0]
            raise BenchmarkError(f"picture is {width}x{height}; {short} needs both sides above {self.smallest - 1}")
        value = self.compute(original, decoded)
        if math.isnan(value):
            raise BenchmarkError(f"{self.label} of a {width}x{height} picture is not a number")
        return min(value, CAP_DB)


METRICS: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("psnr", "PSNR, RGB", "dB", lambda: "peak 255, error averaged over pixels and channels", psnr),
        Measure("psnr-y", "PSNR, luma", "dB", lambda: "luma of BT.601, full range, not rounded; peak 255", psnr_y),
        Measure("ssim", "SSIM, RGB", "", lambda: "Wang et al. 2004, mean of R, G and B", ssim, smallest=11),
        Measure(
            "ms-ssim",
            "MS-SSIM, RGB",
            "dB",
            lambda: "-10 log10(1 - MS-SSIM); Wang et al. 2003, mean of R, G and B, as pytorch_msssim",
            _ms_ssim_db,
            smallest=161,  # four halvings must leave the filter's 11 taps
        ),
        Measure("psnr-hvs-m", "PSNR-HVS-M, luma", "dB", _psnr_hvs_m_source, psnr_hvs_m, smallest=8),
        # Below 8 pixels the package has no scale to look at, and calls any two pictures equal.
        Measure("ssimulacra2", "SSIMULACRA2", "", _ssimulacra2_source, ssimulacra2, smallest=8),
        # The program calls any two pictures equal that have a side below 8.
        Measure("butteraugli", "Butteraugli, 3-norm", "dB", butteraugli_source, butteraugli_db, smallest=8),
    )
}


def _measure(name: str) -> Measure:
    if name not in METRICS:
        raise BenchmarkError(f"no metric called {name!r}; known: {', '.join(METRICS)}")
    return METRICS[name]


def describe(name: str) -> Metric:
    """The record of a metric. Raises BenchmarkError for an unknown one, CodecUnavailableError for a missing package."""
    measure = _measure(name)
    return Metric(measure.name, measure.label, measure.unit, measure.source())


def score(names: Iterable[str], original: Pixels, decoded: Pixels) -> dict[str, float]:
    """Values of the named metrics, all of them, finite.

    ``original`` and ``decoded``: uint8 RGB of one shape. Raises BenchmarkError for an unknown name, pictures of
    different shapes, or a picture too small for one of the metrics; CodecUnavailableError for a missing package.
    """
    for pixels in (original, decoded):
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise BenchmarkError(f"metrics need uint8 RGB, not {pixels.dtype} of shape {pixels.shape}")
    return {name: _measure(name)(original, decoded) for name in names}
