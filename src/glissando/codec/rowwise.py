"""A picture that is read by rows while it is encoded: its tiles, what opacity hides of it, and how far one is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.pixel_format import Alpha
from glissando.picture import PictureRows, Pixels

from .exact import tile_region
from .filling import FilledRows, SeenOver
from .geometry import CELL, Area, Grid
from .pixels import PixelsOver

__all__ = ["Advance", "RowwiseOpacity", "Steps", "alpha_over", "by_cells", "colours_over", "columns_of", "parts_of"]

T = TypeVar("T")

Advance = Callable[[float], object]
"""Is told the share that is done, 0 to 1."""


class Steps:
    """How far a work of several steps is, of which each has a weight: about how long it takes.

    ``total``: the weight of all steps that there may be.
    """

    def __init__(self, advance: Advance | None, total: float) -> None:
        self._advance, self._total, self._done = advance, total, 0.0

    def skip(self, weight: float) -> None:
        """A step turned out to be unnecessary."""
        self._total -= weight

    def through(self, items: Iterable[T], count: int, weight: float) -> Iterator[T]:
        """The items of a step, ``count`` of them; each is done when the next one is asked for."""
        begin = self._done
        for number, item in enumerate(items, 1):
            yield item
            self._done = begin + weight * number / count
            if self._advance is not None:
                self._advance(min(self._done / self._total, 1.0))


@dataclass(frozen=True)
class RowwiseOpacity:
    """What a file says of its picture's opacity, as ``alpha.Opacity``.

    Attributes:
        kind: "straight", or "exact" where colours count below transparent pixels, too.
        planes: for each tile the bytes that code its opacity; none where all of it is opaque.
        seen: where colours count; None where all do.
    """

    kind: Alpha
    planes: Mapping[int, bytes]
    seen: SeenOver | None

    def hidden(self, numbers: Sequence[int], row: Area, grid: Grid) -> list[NDArray[np.bool_]] | None:
        """What opacity hides of some tiles of a row; None where all is seen."""
        return None if self.seen is None else [~part for part in parts_of(self.seen, numbers, row, grid)]


def parts_of(
    over: Callable[[slice], Callable[[slice], NDArray[Any]]], numbers: Sequence[int], row: Area, grid: Grid
) -> list[NDArray[Any]]:
    """What belongs to some tiles of a row, each an array (h, w) or (h, w, channels). ``row``: the area of the row."""
    columns_of_row = over(tile_region(row, grid).slices[0])
    return [columns_of_row(columns_of(number, grid)) for number in numbers]


def columns_of(number: int, grid: Grid) -> slice:
    """A tile's columns of pixels."""
    return tile_region(grid.tiles[number], grid).slices[1]


def _rows_of(source: PictureRows, rows: slice) -> Pixels:
    return source.rows(rows.start, min(rows.stop, source.height))


def alpha_over(source: PictureRows, rows: slice) -> Pixels:
    """The opacity of rows of a picture that has some, (h, width)."""
    return _rows_of(source, rows)[..., -1]


def colours_over(source: PictureRows, opacity: RowwiseOpacity | None) -> PixelsOver:
    """A picture's colours; those that opacity hides go on smoothly from what is seen around them."""
    transparent, grey = source.format.alpha != "none", source.format.grey

    def over(rows: slice) -> Callable[[slice], Pixels]:
        found = _rows_of(source, rows)
        if transparent:
            found = found[..., 0] if grey else found[..., :3]
        return lambda columns: found[:, columns]

    if opacity is None or opacity.seen is None:
        return over
    return FilledRows(over, opacity.seen, source.height, source.width)


def by_cells(seen: NDArray[np.bool_], grid: Grid) -> SeenOver:
    """Pixels of cells that are seen; ``seen`` (rows, columns) of the grid's cells."""

    def over(rows: slice) -> Callable[[slice], NDArray[np.bool_]]:
        down = np.arange(rows.start, min(rows.stop, grid.height)) // CELL

        def columns_of_rows(columns: slice) -> NDArray[np.bool_]:
            right = np.arange(columns.start, min(columns.stop, grid.width)) // CELL
            pixels: NDArray[np.bool_] = seen[np.ix_(down, right)]
            return pixels

        return columns_of_rows

    return over
