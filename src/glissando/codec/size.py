"""Which quality makes a file of a wanted size."""

from __future__ import annotations

import math
from collections.abc import Callable

from glissando.errors import InputError
from glissando.search import approach_zero

from .quality import TOP_UNITS, Quality

__all__ = ["TOLERANCE", "same_size"]

TOLERANCE = 0.01
"""How far a file's size may be off, relative to the wanted one; small files may be off by one word of 4 bytes."""

NEAR = TOLERANCE / 4  # the search ends at a size as near as this
DOUBLING = 20 * 256  # a file grows to about twice its size over so many units of quality, each 1/256
MOST_FILES = 24


def same_size(encode: Callable[[Quality], bytes], size: int, start: Quality) -> bytes:
    """The file that has about ``size`` bytes, of those that ``encode`` makes at each quality.

    The search is on the logarithm of the size, from ``start`` on.

    Raises InputError where even the lowest quality makes more bytes, or the highest less.
    """
    found: dict[int, bytes] = {}

    def excess(units: int) -> float:
        if units not in found:
            found[units] = encode(Quality(units))
        return math.log(len(found[units]) / size)

    # Steps go a little too far, so that the wanted size soon lies between two tried qualities.
    step = max(1, round(1.2 * abs(excess(start.units)) / math.log(2) * DOUBLING))
    for _, error in approach_zero(excess, 0, TOP_UNITS, start=start.units, step=step):
        if abs(error) <= NEAR or len(found) >= MOST_FILES:
            break
    best = min(found.values(), key=lambda data: abs(len(data) - size))
    ends = [units for units in (0, TOP_UNITS) if found.get(units) is best]
    if ends and abs(len(best) - size) > max(TOLERANCE * size, 4):
        raise InputError(
            f"with this importance the file has {len(best):,} bytes at quality {ends[0] // 256} already, without it "
            f"{size:,}: the size cannot be kept; choose another quality or a smaller strength"
        )
    return best
