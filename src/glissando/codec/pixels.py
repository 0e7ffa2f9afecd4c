"""Pixels as the networks take them, and the networks' output rounded to whole levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PixelsOver", "grey_of", "padded", "pixels_of_array", "sample_type", "to_levels"]

PixelsOver = Callable[[slice], Callable[[slice], NDArray[np.unsignedinteger[Any]]]]
"""From rows of a picture to what gives columns of them: its pixels, (h, w) or (h, w, 3), cut off at its far edges."""


def pixels_of_array(pixels: NDArray[np.unsignedinteger[Any]]) -> PixelsOver:
    """The pixels of a whole picture."""
    return lambda rows: lambda columns: pixels[rows, columns]


def sample_type(depth: int) -> type[np.uint8] | type[np.uint16]:
    """The type of an array of samples of ``depth`` bits: uint8 up to 8 bits, else uint16."""
    return np.uint8 if depth <= 8 else np.uint16


def to_levels(values: NDArray[np.floating[Any]], depth: int = 8) -> NDArray[np.unsignedinteger[Any]]:
    """Real numbers, 0 black and 1 white, as whole levels of ``depth`` bits: uint8 up to 8 bits, else uint16.

    Values are scaled by 2^depth − 1, rounded to the nearest level, of two equally near ones to the even one, and
    clamped. ``depth``: 1 to 16.
    """
    top = (1 << depth) - 1
    levels: NDArray[np.float32] = np.rint(np.multiply(values, top, dtype=np.float32))
    np.clip(levels, 0, top, out=levels)
    return levels.astype(sample_type(depth))


def grey_of(pixels: NDArray[Any]) -> NDArray[Any]:
    """One channel from three, (height, width), of the same type: their mean, rounded half up.

    The three channels are three estimates of one grey, and their mean is the best of them.
    """
    mean: NDArray[Any] = ((pixels.sum(axis=2, dtype=np.uint32) + 1) // 3).astype(pixels.dtype)
    return mean


def padded(
    pixels: NDArray[np.unsignedinteger[Any]], rows: slice, columns: slice, depth: int = 8
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """A window's pixels as the analysis takes them, (1, h, w, 3): those of 8 bits as they are, others as real numbers.

    Real numbers are scaled to 0 … 255 from ``depth`` bits. Beyond the picture's edge its last row and column are
    repeated; a grey picture has its one channel three times.
    """
    part: NDArray[Any] = pixels[rows, columns]
    if depth != 8:
        part = part * np.float32(255 / ((1 << depth) - 1))
    if part.ndim == 2:
        part = np.repeat(part[:, :, None], 3, axis=2)
    margin = [(0, (s.stop - s.start) - n) for s, n in zip((rows, columns), part.shape[:2], strict=True)]
    if any(after for _, after in margin):
        part = np.pad(part, (*margin, (0, 0)), mode="edge")
    return np.ascontiguousarray(part)[None]
