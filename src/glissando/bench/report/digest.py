"""What the report draws from the records beyond the table that ``summary`` makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median
from typing import TypeVar

from ..curves import mean_curve
from ..results import Memory, Results, Timing
from ..summary import HEADLINE_MEGAPIXELS

__all__ = ["cost_curves", "curve", "headline_memory", "headline_sizes"]

T = TypeVar("T", Timing, Memory)


def curve(results: Results, codec: str, metric: str) -> list[tuple[float, float]]:
    """Means over pictures of (bpp, score) by rising rate, as the BD-rates have them."""
    return [(mean.bpp, mean.score) for mean in mean_curve(results.points, codec, metric)]


def cost_curves(results: Results, what: str) -> dict[str, list[tuple[float, float]]]:
    """Per codec (megapixels, seconds) by rising size, the median where a size was timed at several settings."""
    seconds: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for timing in results.timings:
        taken = timing.encode_s if what == "encode" else timing.decode_s
        if timing.megapixels > 0.0 and taken > 0.0:  # a logarithmic axis has no place for others
            seconds[timing.codec][timing.megapixels].append(taken)
    return {
        codec: [(size, median(taken)) for size, taken in sorted(by_size.items())] for codec, by_size in seconds.items()
    }


def headline_sizes(results: Results) -> dict[str, float]:
    """Per codec, the size of picture, in megapixels, at which the table states its speed."""
    return {codec: timing.megapixels for codec, timing in _nearest(results.timings).items()}


def headline_memory(results: Results) -> dict[str, Memory]:
    """Per codec, its memory at the size that the table states."""
    return _nearest(results.memory)


def _nearest(records: Iterable[T]) -> dict[str, T]:
    nearest: dict[str, T] = {}
    for record in records:
        held = nearest.setdefault(record.codec, record)
        if abs(record.megapixels - HEADLINE_MEGAPIXELS) < abs(held.megapixels - HEADLINE_MEGAPIXELS):
            nearest[record.codec] = record
    return nearest
