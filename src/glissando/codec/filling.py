"""Replaces pixels that nobody will see by such as take few bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .geometry import CELL
from .pixels import PixelsOver

__all__ = ["FilledRows", "SeenOver", "filled"]

SeenOver = Callable[[slice], Callable[[slice], NDArray[np.bool_]]]
"""From rows of a picture to what gives columns of them: whether each pixel is seen, (h, w)."""

LEVELS = CELL.bit_length() - 1
"""How often a cell is halved until it is one value."""
AT_ONCE = 32
"""Cells beside each other whose means are computed at once."""


def filled(pixels: NDArray[np.unsignedinteger[Any]], seen: NDArray[np.bool_]) -> NDArray[np.unsignedinteger[Any]]:
    """A copy in which the pixels that are not seen continue those that are, smoothly.

    Each unseen pixel gets a mean of what is seen around it: of the smallest square around it, 2x2, 4x4, 8x8 …, in
    which something is seen, interpolated smoothly ("push-pull", Gortler et al., "The Lumigraph", 1996).

    Args:
        pixels: (height, width) or (height, width, channels).
        seen: (height, width). If no pixel is seen, all become 0.
    """
    return _with_unseen(pixels, seen, _pushed_and_pulled(*_as_floats(pixels, seen)))


class FilledRows:
    """The same of a picture of which some rows at a time are in memory, to the last bit.

    What is farther away than a cell counts through the means of cells alone, which are computed first, from all rows.

    Args:
        pixels: the picture's.
        seen: which of them are seen, (h, w) for the same rows and columns.
        height, width: of the picture.
    """

    def __init__(self, pixels: PixelsOver, seen: SeenOver, height: int, width: int) -> None:
        self._pixels, self._seen, self._size = pixels, seen, (height, width)
        bands = [self._means(slice(top, min(top + CELL, height))) for top in range(0, height, CELL)]
        values, weights = (np.concatenate(parts) for parts in zip(*bands, strict=True))
        self._coarse = _pushed_and_pulled(values, weights)

    def _means(self, rows: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Means of a row of cells, (1, cells, channels), and which cells have any pixel that is seen, (1, cells, 1)."""
        width = self._size[1]
        pixels, seen = self._pixels(rows), self._seen(rows)
        parts = []
        for left in range(0, width, AT_ONCE * CELL):
            columns = slice(left, min(left + AT_ONCE * CELL, width))
            values, weights = _as_floats(pixels(columns), seen(columns))
            for _ in range(LEVELS):
                values, weights = _halved(values, weights)
            parts.append((values, weights))
        values, weights = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
        return values, weights

    def __call__(self, rows: slice) -> Callable[[slice], NDArray[np.unsignedinteger[Any]]]:
        """From rows to what gives columns of them (``PixelsOver``); both begin at whole cells."""
        height, width = self._size
        above = _widened(rows, height)
        pixels, seen = self._pixels(above), self._seen(above)

        def columns_of(columns: slice) -> NDArray[np.unsignedinteger[Any]]:
            around = _widened(columns, width)
            part, seen_part = pixels(around), seen(around)
            values, weights = _as_floats(part, seen_part)
            coarse = self._coarse[_in_cells(above), _in_cells(around)]
            smooth = _pulled(values, weights, coarse, LEVELS)
            filled = _with_unseen(part, seen_part, smooth)
            down, right = rows.start - above.start, columns.start - around.start
            return filled[down:, right:][: rows.stop - rows.start, : columns.stop - columns.start]

        return columns_of


def _widened(part: slice, length: int) -> slice:
    """A part of a picture's rows or columns and a cell on either side, as far as there are some."""
    return slice(max(part.start - CELL, 0), min(part.stop + CELL, length))


def _in_cells(part: slice) -> slice:
    return slice(part.start // CELL, -(-part.stop // CELL))


def _as_floats(
    pixels: NDArray[np.unsignedinteger[Any]], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixels as (height, width, channels), zero where they are not seen, and (height, width, 1), 1 where they are."""
    values = pixels.astype(np.float32).reshape(*pixels.shape[:2], -1)
    return values * seen[..., None], seen.astype(np.float32)[..., None]


def _with_unseen(
    pixels: NDArray[np.unsignedinteger[Any]], seen: NDArray[np.bool_], smooth: NDArray[np.float32]
) -> NDArray[np.unsignedinteger[Any]]:
    rounded = np.rint(smooth).astype(pixels.dtype).reshape(pixels.shape)
    return np.where(seen.reshape(*seen.shape, *[1] * (pixels.ndim - 2)), pixels, rounded)


def _pushed_and_pulled(values: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values over their weights where these are 1, else what coarser means say. ``values`` are 0 where weights are."""
    if weights.all() or max(weights.shape[:2]) == 1:
        return values
    return _with_coarse(values, weights, _pushed_and_pulled(*_halved(values, weights)))


def _pulled(
    values: NDArray[np.float32], weights: NDArray[np.float32], coarse: NDArray[np.float32], levels: int
) -> NDArray[np.float32]:
    """The same where the result at 1/2^levels is known already."""
    if levels == 0:
        return coarse
    return _with_coarse(values, weights, _pulled(*_halved(values, weights), coarse, levels - 1))


def _halved(
    values: NDArray[np.float32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The means of each two by two, and whether any of these counts."""
    height, width = weights.shape[:2]
    margin = ((0, height % 2), (0, width % 2), (0, 0))
    total, weight = (
        array[::2, ::2] + array[1::2, ::2] + array[::2, 1::2] + array[1::2, 1::2]
        for array in (np.pad(values, margin), np.pad(weights, margin))
    )
    return total / np.maximum(weight, 1), np.minimum(weight, 1)


def _with_coarse(
    values: NDArray[np.float32], weights: NDArray[np.float32], coarse: NDArray[np.float32]
) -> NDArray[np.float32]:
    height, width = weights.shape[:2]
    return values + (1 - weights) * _doubled(coarse)[:height, :width]


def _doubled(coarse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Twice the height and width, interpolated linearly between the centres of pixels."""
    for axis in (0, 1):
        before = np.concatenate([coarse.take([0], axis), coarse.take(range(coarse.shape[axis] - 1), axis)], axis)
        after = np.concatenate([coarse.take(range(1, coarse.shape[axis]), axis), coarse.take([-1], axis)], axis)
        pairs = np.stack([0.75 * coarse + 0.25 * before, 0.75 * coarse + 0.25 * after], axis + 1)
        shape = list(coarse.shape)
        shape[axis] *= 2
        coarse = pairs.reshape(shape)
    return coarse
