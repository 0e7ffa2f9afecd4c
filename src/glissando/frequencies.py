"""Frequencies of symbols: integers, each at least 1, that sum to 2^24 in every table of the entropy coder.

NumPy alone, so that the file formats, training and exports share one definition. The formats specify how some tables
are made to the last bit (docs/format.md, "Quality field"; docs/array-format.md, "Frequencies"): those say the integers
themselves and let ``complete`` fill what is missing. Tables that a model ships come from probabilities.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PRECISION", "WHOLE", "complete", "from_probabilities"]

PRECISION = 24
"""The frequencies of a table sum to 2^PRECISION."""

WHOLE = 1 << PRECISION


def complete(frequencies: NDArray[np.int64], symbols: NDArray[np.integer[Any]] | int) -> None:
    """Give one symbol of each table what its sum lacks of 2^24, in place.

    ``frequencies``: (T, A); ``symbols``: which symbol, for all tables or for each (T,).
    """
    frequencies[np.arange(len(frequencies)), symbols] += WHOLE - frequencies.sum(axis=1)


def from_probabilities(probabilities: NDArray[np.floating[Any]], symbol: int | None = None) -> NDArray[np.uint32]:
    """Frequencies (T, A) nearest to probabilities (T, A), which sum to 1 in each table, or of one table, (A,).

    What rounding, and the 1 that the rarest symbols get, leave over or lack goes to ``symbol``, or to the likeliest.
    """
    rows = np.atleast_2d(probabilities)
    found = np.maximum(1, np.rint(rows * WHOLE)).astype(np.int64)
    complete(found, found.argmax(axis=1) if symbol is None else symbol)
    frequencies: NDArray[np.uint32] = found.astype(np.uint32).reshape(probabilities.shape)
    return frequencies
