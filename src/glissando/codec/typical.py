"""How sizes and scores of pictures rise with the quality, about: where searches begin, and what they take for straight.

Means of training pictures, moved by how busy a picture is (``activity``), which takes a hundredth of the time of
encoding. ``typical.json`` holds the numbers; ``python -m benchmarks.typical`` fits them. Over such a curve, rather than
over the quality, the logarithm of a size and a score rise almost in straight lines, so that a search needs few trials.
Other models and other content lie farther from it and need a few more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glissando.picture import Pixels
from glissando.search import approach_zero_by_slope

from .activity import activity
from .quality import Quality

__all__ = ["QUALITIES", "Curve", "log_bpp_of", "mean_of", "psnr_of", "ssimulacra2"]

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


_WIDEST = 2.0  # activities farther from their means count as so far
_FILE = Path(__file__).with_name("typical.json")


@cache
def _numbers() -> dict[str, NDArray[np.float64]]:
    """The means; and what is added at each quality, to all and for each unit of an activity above its mean."""
    values = json.loads(_FILE.read_text(encoding="utf-8"))
    return {name: np.array(value) for name, value in values.items() if isinstance(value, list)}


def mean_of(name: str) -> NDArray[np.float64]:
    """What "log_bpp", "psnr" or "ssimulacra2" is on average, at ``QUALITIES``."""
    return _numbers()[name]


def ssimulacra2() -> Curve:
    """The score of photographs; how busy they are has no say in it."""
    return Curve(mean_of("ssimulacra2").tolist())


def log_bpp_of(pixels: Pixels, depth: int) -> Curve:
    """The logarithm of the bits per pixel of a picture's file; ``pixels`` and ``depth`` as for ``activity``."""
    return _moved("log_bpp", pixels, depth)


def psnr_of(pixels: Pixels, depth: int) -> Curve:
    """The PSNR of a picture's file in dB; ``pixels`` and ``depth`` as for ``activity``."""
    return _moved("psnr", pixels, depth)


def _moved(name: str, pixels: Pixels, depth: int) -> Curve:
    """The mean curve of this name, moved by how busy a picture is."""
    numbers, mean = _numbers(), mean_of(name)
    busy = activity(pixels, depth)
    if busy is None:
        return Curve(mean.tolist())
    away = np.clip(busy - numbers["activity"], -_WIDEST, _WIDEST)
    values = mean + numbers[f"{name}_by_activity"] @ np.array([1.0, *away])
    least = 0.1 * np.diff(mean)  # by so much the curve rises at least
    for index, rise in enumerate(least, 1):
        values[index] = max(values[index], values[index - 1] + rise)
    return Curve(values.tolist())
