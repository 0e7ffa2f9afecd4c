"""The table that a comparison boils down to: one row per codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from .curves import bd_rows
from .results import BDRow, CodecInfo, Memory, Results, Timing

__all__ = ["HEADLINE_MEGAPIXELS", "SummaryRow", "against", "summarise"]

HEADLINE_MEGAPIXELS = 0.4
"""Size of picture, about 768x512, at which the table states speed and memory."""


@dataclass(frozen=True)
class SummaryRow:
    """A codec; what was not measured is None."""

    codec: CodecInfo
    bd: dict[str, BDRow]  # by metric, on the curve of means
    encode_mpx_s: float | None
    decode_mpx_s: float | None
    encode_ratio: float | None  # speed over the anchor's, above 1 where faster
    decode_ratio: float | None
    memory_mb: float | None  # the larger of encoding and decoding


def summarise(results: Results) -> list[SummaryRow]:
    """A row per codec, by BD-rate in the first metric; those without one last, in the order they were given."""
    timings = _nearest(results.timings)
    memory = _nearest(results.memory)
    anchor = timings.get(results.anchor)
    rows = []
    for codec in results.codecs:
        time = timings.get(codec.name)
        held = memory.get(codec.name)
        bd = {row.metric: row for row in results.bd if row.codec == codec.name and not row.picture}
        rows.append(
            SummaryRow(
                codec,
                bd,
                encode_mpx_s=time.megapixels / time.encode_s if time else None,
                decode_mpx_s=time.megapixels / time.decode_s if time else None,
                encode_ratio=anchor.encode_s / time.encode_s if time and anchor else None,
                decode_ratio=anchor.decode_s / time.decode_s if time and anchor else None,
                memory_mb=max(held.encode_mb, held.decode_mb) if held else None,
            )
        )
    first = results.metrics[0].name if results.metrics else ""

    def key(row: SummaryRow) -> tuple[bool, float]:
        found = row.bd.get(first)
        percent = found.percent if found else None
        return percent is None, 0.0 if percent is None else percent

    return sorted(rows, key=key)


def against(results: Results, codec: str, peer: str, metric: str) -> BDRow:
    """BD-rate of the means of ``codec`` against any other codec, not only the anchor."""
    if peer == results.anchor:
        for row in results.bd:
            if (row.codec, row.metric, row.picture) == (codec, metric, ""):
                return row
    return bd_rows(results.points, [peer, codec], [metric], [], peer)[-1]


T = TypeVar("T", Timing, Memory)


def _nearest(records: Sequence[T]) -> dict[str, T]:
    """Each codec's record whose size is nearest to the headline's."""
    best: dict[str, T] = {}
    for record in records:
        held = best.get(record.codec)
        if held is None or _distance(record) < _distance(held):
            best[record.codec] = record
    return best


def _distance(record: Timing | Memory) -> float:
    return abs(record.megapixels - HEADLINE_MEGAPIXELS)
