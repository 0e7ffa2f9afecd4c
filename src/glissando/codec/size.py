"""Which quality makes a file of a wanted size."""

from __future__ import annotations

import math
from collections.abc import Callable

from glissando.errors import InputError

from .quality import TOP_UNITS, Quality

__all__ = ["TOLERANCE", "same_size"]

TOLERANCE = 0.01
"""How far a file may be from the size that it is to keep; a file of few bytes may be off by a word of 4."""

NEAR = TOLERANCE / 4  # near enough to stop searching
DOUBLING = 20 * 256  # about so many 1/256 of quality double a file
MOST_FILES = 24


def same_size(encode: Callable[[Quality], bytes], size: int, start: Quality) -> bytes:
    """The file that has about ``size`` bytes, of those that ``encode`` makes at each quality.

    False position with halved weights ("Illinois") on the logarithm of the size, from ``start`` on.

    Raises InputError where even the lowest quality makes more bytes, or the highest less.
    """
    found: dict[int, bytes] = {}

    def excess(units: int) -> float:
        found[units] = encode(Quality(units))
        return math.log(len(found[units]) / size)

    units, error = start.units, excess(start.units)
    low = high = (units, error)  # the highest quality known to make too little, the lowest known to make too much
    while abs(error) > NEAR and len(found) < MOST_FILES:
        if error > 0:
            high, low = (units, error), (low if low[1] < 0 else (0, 0.0))
        else:
            low, high = (units, error), (high if high[1] > 0 else (TOP_UNITS, 0.0))
        if low[1] < 0 < high[1]:
            share = low[1] / (low[1] - high[1])
            units = low[0] + round(min(max(share, 0.1), 0.9) * (high[0] - low[0]))
        else:  # only one side is known yet
            units = min(max(units - round(1.2 * error / math.log(2) * DOUBLING), low[0]), high[0])
        if units in found:
            break
        error = excess(units)
    best = min(found.values(), key=lambda data: abs(len(data) - size))
    ends = [units for units in (0, TOP_UNITS) if found.get(units) is best]
    if ends and abs(len(best) - size) > max(TOLERANCE * size, 4):
        raise InputError(
            f"with this importance the file has {len(best):,} bytes at quality {ends[0] // 256} already, without it "
            f"{size:,}: the size cannot be kept; choose another quality or a smaller strength"
        )
    return best
