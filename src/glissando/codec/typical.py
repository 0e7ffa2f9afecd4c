"""How sizes and scores of pictures rise with the quality, about: where searches begin, and what they take for straight.

Means of photographs, moved by how busy a picture is (``activity``), which takes a hundredth of the time of encoding.
That foretells the size of a photograph's file within some 8 %, and its PSNR within 0.5 dB (24 Kodak pictures, standard
deviation; the numbers are fitted to these, to 39 tiles of training pictures and to 6 crops of CLIC). Over such a curve,
rather than over the quality, the logarithm of a size and a score rise almost in straight lines, so that a search needs
few trials. Other models and other content lie farther from it and need a few more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glissando.picture import Pixels
from glissando.search import approach_zero_by_slope

from .activity import activity
from .quality import Quality

__all__ = ["LOG_BPP", "PSNR", "QUALITIES", "SSIMULACRA2", "Curve", "log_bpp_of", "psnr_of"]

QUALITIES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100)
POSITIONS = 1 << 18  # places on a curve that a search distinguishes; there are several for each 1/256 of quality


@dataclass(frozen=True)
class Curve:
    """Values at ``QUALITIES``, rising."""

    values: Sequence[float]

    def quality(self, value: float) -> Quality:
        """Where the curve has a value; its end where that lies beyond."""
        return Quality.of(float(np.interp(value, self.values, QUALITIES)))

    def approach(
        self, error: Callable[[Quality], float], start: Quality, lowest: Quality | None = None
    ) -> Iterator[tuple[Quality, float]]:
        """Try qualities, each nearer to where a rising error is zero, as ``approach_zero_by_slope``.

        Args:
            error: costly, and called once for each quality.
            start: the first to be tried.
            lowest: none below this one is tried; 0 unless given.
        """
        first = self.value(lowest or Quality(0))
        step = (self.values[-1] - first) / POSITIONS
        known: dict[Quality, float] = {}

        def at(position: int) -> Quality:
            return self.quality(first + step * position)

        def value(position: int) -> float:
            quality = at(position)
            if quality not in known:
                known[quality] = error(quality)
            return known[quality]

        begin = round((self.value(start) - first) / step) if step else 0
        shown: set[Quality] = set()
        for position, found in approach_zero_by_slope(value, 0, POSITIONS, start=begin, slope=step or 1.0):
            quality = at(position)
            if quality not in shown:
                shown.add(quality)
                yield quality, found

    def value(self, quality: Quality) -> float:
        """The value at a quality."""
        return float(np.interp(quality.number, QUALITIES, self.values))


# Means of the 24 Kodak pictures with the model "medium" (README), and at quality 100 what continues them.
LOG_BPP = np.log([0.034, 0.054, 0.085, 0.130, 0.199, 0.303, 0.454, 0.655, 0.907, 1.204, 1.370, 1.54])
PSNR = np.array([23.71, 24.83, 25.95, 27.20, 28.60, 30.17, 31.92, 33.72, 35.54, 37.18, 37.92, 38.6])
SSIMULACRA2 = Curve((-46.55, -25.55, -2.44, 18.51, 36.56, 50.75, 62.19, 70.81, 78.07, 82.70, 84.37, 85.8))
"""The score of photographs; how busy they are has no say in it."""

# What is added at some qualities: to all, and where each of a picture's three activities is 1 above its mean on Kodak.
_MEAN_ACTIVITY = np.array([2.67, 2.79, 1.93])
_WIDEST = 2.0  # activities farther from their means count as so far
_AT = (15, 35, 55, 75, 92)
_LOG_BPP_BY_ACTIVITY = np.array(
    [
        [-0.04, -0.81, 1.49, 0.05],
        [-0.07, -0.61, 1.42, 0.03],
        [-0.08, -0.26, 1.17, 0.02],
        [-0.08, 0.04, 0.87, 0.03],
        [-0.07, 0.42, 0.41, 0.05],
    ]
)
_PSNR_BY_ACTIVITY = np.array(
    [
        [-0.12, -1.62, -4.29, 0.03],
        [-0.16, -2.71, -3.19, -0.25],
        [-0.21, -3.66, -1.44, -0.70],
        [-0.40, -4.13, 0.32, -1.09],
        [-0.64, -3.82, 0.88, -1.39],
    ]
)


def log_bpp_of(pixels: Pixels, depth: int) -> Curve:
    """The logarithm of the bits per pixel of a picture's file; ``pixels`` and ``depth`` as for ``activity``."""
    return _moved(LOG_BPP, _LOG_BPP_BY_ACTIVITY, pixels, depth)


def psnr_of(pixels: Pixels, depth: int) -> Curve:
    """The PSNR of a picture's file in dB; ``pixels`` and ``depth`` as for ``activity``."""
    return _moved(PSNR, _PSNR_BY_ACTIVITY, pixels, depth)


def _moved(mean: NDArray[np.float64], by_activity: NDArray[np.float64], pixels: Pixels, depth: int) -> Curve:
    busy = activity(pixels, depth)
    if busy is None:
        return Curve(mean.tolist())
    beyond = by_activity @ np.array([1.0, *np.clip(busy - _MEAN_ACTIVITY, -_WIDEST, _WIDEST)])
    values = mean + np.interp(QUALITIES, _AT, beyond)
    least = 0.1 * np.diff(mean)  # by so much the curve rises at least
    for index, rise in enumerate(least, 1):
        values[index] = max(values[index], values[index - 1] + rise)
    return Curve(values.tolist())
