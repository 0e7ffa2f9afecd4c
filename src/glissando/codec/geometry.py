"""Where pixels, cells, latents, tiles, windows and regions lie in a picture.

A cell is 64 by 64 pixels, the smallest tile of the format. Everything else is a whole number of cells or of parts of a
cell: each cell has ``latents_per_cell`` latents each way, as the model says. There is one grid of cells for the
whole picture, padded to whole cells; latents that begin beyond the picture's edge are never coded.

Tiles divide the entropy coding, windows divide the transforms; the two are independent of each other. What is decoded
of a picture is an ``Area`` of cells made of whole tiles, which is the whole picture unless a region is asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.errors import InputError

__all__ = [
    "CELL",
    "Area",
    "Grid",
    "Region",
    "Window",
    "in_common",
    "move_up",
    "rows_of_windows",
    "take_over",
    "windows",
]

CELL = 64
"""Pixels of a cell, each way."""

Slices = tuple[slice, slice]


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels: ``x`` columns from the left edge, ``y`` rows from the top."""

    x: int
    y: int
    width: int
    height: int

    @property
    def slices(self) -> Slices:
        """The rectangle's slices of an array of pixels."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def moved(self, x: int, y: int) -> Region:
        """The same rectangle ``x`` columns farther to the right and ``y`` rows farther down."""
        return replace(self, x=self.x + x, y=self.y + y)

    def reduced(self, factor: int) -> Region:
        """The rectangle in squares of ``factor`` by ``factor`` pixels: the smallest that covers it."""
        x, y = self.x // factor, self.y // factor
        right, bottom = -(-(self.x + self.width) // factor), -(-(self.y + self.height) // factor)
        return Region(x, y, right - x, bottom - y)

    @classmethod
    def of(cls, region: Sequence[int], picture_width: int, picture_height: int) -> Region:
        """From (x, y, width, height), checked against the size of the picture.

        Raises InputError unless these are four integers and a rectangle of at least one pixel inside the picture.
        """
        try:
            x, y, width, height = region
        except (TypeError, ValueError):
            raise InputError(f"a region is (x, y, width, height), not {region!r}") from None
        for value in (x, y, width, height):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise InputError(f"a region is four whole numbers of pixels; {value!r} is none")
        for name, start, size, whole in (("columns", x, width, picture_width), ("rows", y, height, picture_height)):
            if start < 0 or size < 1 or start + size > whole:
                raise InputError(
                    f"the region's {name} {start}..{start + size} must be one or more of 0..{whole}, "
                    f"inside the picture of {picture_width}x{picture_height} pixels"
                )
        return cls(int(x), int(y), int(width), int(height))


def in_common(region: Region, place: Region) -> tuple[Slices, Slices]:
    """What a region and a tile have in common: its place in the region, and in the tile."""
    x, y = max(place.x, region.x), max(place.y, region.y)
    width = min(place.x + place.width, region.x + region.width) - x
    height = min(place.y + place.height, region.y + region.height) - y
    common = Region(x, y, width, height)
    return common.moved(-region.x, -region.y).slices, common.moved(-place.x, -place.y).slices


@dataclass(frozen=True)
class Area:
    """A rectangle of cells, and how many of its latents begin in the picture.

    Attributes:
        top, left: its first row and column of cells, counted from the beginning of the arrays that it indexes.
        height, width: rows and columns of cells.
        rows, columns: rows and columns of latents that are coded, at most ``latents_per_cell`` for each cell.
        latents_per_cell: latents of a cell, each way.
    """

    top: int
    left: int
    height: int
    width: int
    rows: int
    columns: int
    latents_per_cell: int

    def cells(self) -> Slices:
        """The area's slices of an array with one element for each cell."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def latents(self) -> Slices:
        """The area's slices of an array of latents, padding included."""
        rows, columns = self.cells()
        return _scaled(rows, self.latents_per_cell), _scaled(columns, self.latents_per_cell)

    def coded(self) -> Slices:
        """The area's slices of an array of latents, without padding."""
        rows, columns = self.latents()
        return slice(rows.start, rows.start + self.rows), slice(columns.start, columns.start + self.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return self.height, self.width

    @property
    def latents_shape(self) -> tuple[int, int]:
        """Rows and columns of latents, padding included."""
        return self.latents_per_cell * self.height, self.latents_per_cell * self.width

    @property
    def coded_shape(self) -> tuple[int, int]:
        """Rows and columns of latents that are coded."""
        return self.rows, self.columns

    @property
    def bottom(self) -> int:
        """The first row of cells below it."""
        return self.top + self.height

    def within(self, other: Area) -> Area:
        """The same rectangle in arrays that begin where ``other`` does."""
        return replace(self, top=self.top - other.top, left=self.left - other.left)


@dataclass(frozen=True)
class Grid:
    """Where cells, latents, tiles and regions lie in a picture of a certain size.

    Attributes:
        width, height: of the picture, in pixels.
        tile_log2: tiles are 2^tile_log2 pixels wide and high.
        latents_per_cell: latents of a cell, each way: a divisor of ``CELL``.
    """

    width: int
    height: int
    tile_log2: int
    latents_per_cell: int

    @property
    def pixels_per_latent(self) -> int:
        """Pixels that a latent covers, each way."""
        return CELL // self.latents_per_cell

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return -(-self.height // CELL), -(-self.width // CELL)

    @property
    def coded(self) -> tuple[int, int]:
        """Rows and columns of latents that begin in the picture."""
        return -(-self.height // self.pixels_per_latent), -(-self.width // self.pixels_per_latent)

    @property
    def whole(self) -> Area:
        """All of the grid."""
        return self.area(0, 0, *self.cells)

    @property
    def region(self) -> Region:
        """All of the picture."""
        return Region(0, 0, self.width, self.height)

    @cached_property
    def tiles(self) -> tuple[Area, ...]:
        """Tiles in raster order, as the container stores them."""
        side = (1 << self.tile_log2) // CELL
        rows, columns = self.cells
        return tuple(
            self.area(top, left, min(side, rows - top), min(side, columns - left))
            for top in range(0, rows, side)
            for left in range(0, columns, side)
        )

    @property
    def tiles_across(self) -> int:
        """Tiles in a row of them."""
        return -(-self.cells[1] // ((1 << self.tile_log2) // CELL))

    @property
    def rows_of_tiles(self) -> Iterator[tuple[list[int], Area]]:
        """Row by row of tiles: their numbers, and the area of all of them."""
        across, columns = self.tiles_across, self.cells[1]
        for first in range(0, len(self.tiles), across):
            tile = self.tiles[first]
            yield list(range(first, first + across)), self.area(tile.top, 0, tile.height, columns)

    def tiles_over(self, area: Area) -> tuple[list[int], Area]:
        """Numbers of the tiles that have cells in common with ``area``, ascending, and the area of all of them."""
        side = (1 << self.tile_log2) // CELL
        rows, columns = self.cells
        across = self.tiles_across
        down = range(area.top // side, -(-(area.top + area.height) // side))
        right = range(area.left // side, -(-(area.left + area.width) // side))
        numbers = [row * across + column for row in down for column in right]
        top, left = side * down.start, side * right.start
        return numbers, self.area(top, left, min(side * down.stop, rows) - top, min(side * right.stop, columns) - left)

    def area_over(self, region: Region) -> Area:
        """The smallest area of cells that covers a region."""
        top, left = region.y // CELL, region.x // CELL
        bottom, right = -(-(region.y + region.height) // CELL), -(-(region.x + region.width) // CELL)
        return self.area(top, left, bottom - top, right - left)

    def around(self, area: Area, cells: int) -> Area:
        """``area`` widened by ``cells`` on each side, within the grid."""
        rows, columns = self.cells
        top, left = max(area.top - cells, 0), max(area.left - cells, 0)
        bottom, right = min(area.top + area.height + cells, rows), min(area.left + area.width + cells, columns)
        return self.area(top, left, bottom - top, right - left)

    def edges(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where latents begin in the picture, in pixels: of its rows, (rows + 1,), and columns, (columns + 1,).

        The last number is the picture's height or width, as the last latent may reach beyond the edge.
        """
        step = self.pixels_per_latent
        down, right = (
            np.minimum(np.arange(0, length + step, step)[: count + 1], length)
            for length, count in zip((self.height, self.width), self.coded, strict=True)
        )
        return down, right

    def over_pixels(self, values: NDArray[Any]) -> NDArray[Any]:
        """An array with one element for each coded latent as one with an element for each pixel, (height, width)."""
        step = self.pixels_per_latent
        return np.repeat(np.repeat(values, step, axis=0), step, axis=1)[: self.height, : self.width]

    def area(self, top: int, left: int, height: int, width: int) -> Area:
        """A rectangle of cells."""
        n = self.latents_per_cell
        rows, columns = self.coded
        return Area(top, left, height, width, min(n * height, rows - n * top), min(n * width, columns - n * left), n)


@dataclass(frozen=True)
class Window:
    """A part of the grid that a network runs over (``outer``), and the part of its result to keep (``inner``).

    All in cells; ``inner`` lies in ``outer``, and over all windows the inner parts cover once what is wanted.
    """

    outer_rows: slice
    outer_columns: slice
    inner_rows: slice
    inner_columns: slice

    def outer(self, per_cell: int) -> Slices:
        """``outer`` in an array that has ``per_cell`` elements a cell, each way."""
        return _scaled(self.outer_rows, per_cell), _scaled(self.outer_columns, per_cell)

    def inner(self, per_cell: int) -> Slices:
        """``inner`` in an array over the whole grid."""
        return _scaled(self.inner_rows, per_cell), _scaled(self.inner_columns, per_cell)

    def inner_of_result(self, per_cell: int) -> Slices:
        """``inner`` in the network's result over ``outer``."""
        return (
            _scaled(_moved(self.inner_rows, self.outer_rows.start), per_cell),
            _scaled(_moved(self.inner_columns, self.outer_columns.start), per_cell),
        )

    def area(self, grid: Grid) -> Area:
        """The cells of ``inner``."""
        rows, columns = self.inner_rows, self.inner_columns
        return grid.area(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)

    def within(self, area: Area) -> Window:
        """The same window in arrays that begin where ``area`` does."""
        return Window(
            _moved(self.outer_rows, area.top),
            _moved(self.outer_columns, area.left),
            _moved(self.inner_rows, area.top),
            _moved(self.inner_columns, area.left),
        )

    def pixels(self, region: Region, factor: int = 1) -> tuple[Slices, Slices]:
        """What of a window's pixels lies in a region: its place in the result over ``outer``, and in the region.

        ``factor``: by how much both are reduced.
        """
        cell = CELL // factor
        sources, targets = [], []
        for inner, outer, start, length in (
            (self.inner_rows, self.outer_rows, region.y, region.height),
            (self.inner_columns, self.outer_columns, region.x, region.width),
        ):
            first, last = max(cell * inner.start, start), min(cell * inner.stop, start + length)
            sources.append(slice(first - cell * outer.start, last - cell * outer.start))
            targets.append(slice(first - start, last - start))
        return (sources[0], sources[1]), (targets[0], targets[1])


def rows_of_windows(all_windows: Iterable[Window]) -> Iterator[list[Window]]:
    """Windows in the order of ``windows``, row by row."""
    for _, row in itertools.groupby(all_windows, lambda window: window.inner_rows.start):
        yield list(row)


def take_over(new: NDArray[Any], area: Area, old: NDArray[Any], above: Area) -> None:
    """Copy the rows that two arrays have in common, each over an area of the same columns; ``above`` begins first.

    Both have the same number of rows for each cell, but that the last cells of the picture may have fewer.
    """
    per_cell = -(-len(old) // above.height)
    part = old[(area.top - above.top) * per_cell :]
    new[: len(part)] = part


def move_up(values: NDArray[Any], rows: int) -> None:
    """Move an array's content up by so many rows, in place; the first rows are lost, the last ones become zero."""
    kept = max(len(values) - rows, 0)
    for row in range(kept):  # one by one, since NumPy would copy what lies in the same memory first
        values[row] = values[row + rows]
    values[kept:] = 0


def _scaled(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)


def _moved(part: slice, origin: int) -> slice:
    return slice(part.start - origin, part.stop - origin)


def windows(
    cells: tuple[int, int], core: int, halo: int, area: Area | None = None, *, low: int | None = None
) -> Iterator[Window]:
    """Cut a part of a grid into windows of at most ``core`` cells a side, each widened by ``halo`` cells.

    A part that fits into core + 2·halo cells is one window, as dividing it would add more halo than it saves.

    Args:
        cells: rows and columns of the whole grid, beyond which no window reaches.
        core, halo: in cells.
        area: what the windows' inner parts cover; the whole grid unless given.
        low: the most rows, where these are to be fewer than ``core``.
    """
    rows, columns = cells
    down, right = (slice(0, rows), slice(0, columns)) if area is None else area.cells()
    for row in _cuts(down, low or core, halo):
        for column in _cuts(right, core, halo):
            yield Window(
                slice(max(0, row.start - halo), min(rows, row.stop + halo)),
                slice(max(0, column.start - halo), min(columns, column.stop + halo)),
                row,
                column,
            )


def _cuts(part: slice, core: int, halo: int) -> list[slice]:
    length = part.stop - part.start
    if length <= core + 2 * halo:
        return [part]
    count = -(-length // core)
    edges = [part.start + length * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
