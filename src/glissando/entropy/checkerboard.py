"""A checkerboard of positions, whose squares the two passes over a tile take in turn.

The first pass codes the low half of the channels on the even squares, of which the corner is one, and the high half on
the odd squares; the second pass codes the rest. Arrays are channels-last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["even_squares", "joined", "split"]


def even_squares(rows: int, columns: int) -> NDArray[np.bool_]:
    """Which positions are even squares, whose row and column have an even sum: (rows, columns)."""
    even: NDArray[np.bool_] = (np.arange(rows)[:, None] + np.arange(columns)[None, :]) % 2 == 0
    return even


def split(array: NDArray[Any], even: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(…, channels) → what the first and what the second pass code, (…, channels/2) each.

    ``even``: which positions are even squares, broadcast to the array.
    """
    half = array.shape[-1] // 2
    low, high = array[..., :half], array[..., half:]
    return np.where(even, low, high), np.where(even, high, low)


def joined(first: NDArray[Any], second: NDArray[Any], even: NDArray[np.bool_]) -> NDArray[Any]:
    """The inverse of ``split``: (…, channels/2) of each pass → (…, channels)."""
    return np.concatenate([np.where(even, first, second), np.where(even, second, first)], axis=-1)
