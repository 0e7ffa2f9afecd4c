"""Prediction errors as symbols: each context of a pass is a run of one table, and errors of 16 bits have plain bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import ans

from .tables import CHOICES, low_bits_of, plane_tables, raw_tables, table_of

__all__ = ["Pass", "decoded", "encoded"]

Choices = NDArray[np.uint8]
Counts = NDArray[np.intp]


@dataclass(frozen=True)
class Pass:
    """The errors of one plane in one stage, signed integers (n,) sorted by context, and how many each context has."""

    plane: int
    errors: NDArray[np.signedinteger]
    counts: Counts


_TABLES = table_of(np.arange(CHOICES, dtype=np.uint8))
_LOW_BITS = low_bits_of(np.arange(CHOICES, dtype=np.uint8))


def encoded(passes: list[Pass], choices: Choices) -> bytes:
    """The symbol stream of passes. ``choices``: uint8 (planes, contexts), how the errors of each context are coded."""
    tables = plane_tables()

    def runs() -> Iterator[ans.Runs]:
        for one in reversed(passes):
            for symbols, run_tables, counts in reversed(_coded(one.errors, one.counts, choices[one.plane])):
                yield symbols, run_tables, counts, tables

    return ans.encode_runs_reversed(runs())


def _coded(
    errors: NDArray[np.signedinteger], counts: Counts, choices: Choices
) -> list[tuple[NDArray[np.signedinteger], NDArray[np.int16], Counts]]:
    """The passes of the coder: high parts, and after them the low bits of those that have some."""
    low = _LOW_BITS[choices]
    noisy = np.flatnonzero((low > 0) & (counts > 0))
    if not noisy.size:
        return [(errors, *_runs(counts, choices))]
    bits = np.repeat(low, counts)
    some = bits > 0
    wide = errors.astype(np.int32)
    lowest = (wide[some] & ((1 << bits[some]) - 1)) - (1 << (bits[some] - 1))
    return [(wide >> bits, *_runs(counts, choices)), (lowest, raw_tables(low[noisy]), counts[noisy])]


def decoded(decoder: ans.Decoder, counts: Counts, choices: Choices) -> NDArray[np.int32]:
    """The errors of the next pass, sorted by context. They are known modulo 2^16 only.

    ``counts``: how many each context has; ``choices``: those of the plane.
    """
    errors = decoder.decode_runs(*_runs(counts, choices))
    low = _LOW_BITS[choices]
    noisy = np.flatnonzero((low > 0) & (counts > 0))
    if noisy.size:
        bits = np.repeat(low, counts)
        some = bits > 0
        lowest = decoder.decode_runs(raw_tables(low[noisy]), counts[noisy]) + (1 << (bits[some] - 1))
        errors <<= bits
        errors[some] += lowest
    return errors


def _runs(counts: Counts, choices: Choices) -> tuple[NDArray[np.int16], Counts]:
    """The table and the number of symbols of each run: of each context that has errors."""
    used = np.flatnonzero(counts)
    return _TABLES[choices[used]], counts[used]
