"""Where things lie: pixels, latents (1/16, or what the model says), hyper-latents (1/64), tiles and windows.

The latent grid is one for the whole picture, padded to whole hyper-latents; latents beyond the picture's
edge are never coded. Tiles cut the entropy coding, windows cut the transforms: the two are independent.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CELL", "LATENT", "PER_CELL", "Area", "Grid", "Window", "checkerboard", "joined", "split", "windows"]

LATENT = 16  # pixels a latent covers, each way, where the model does not say otherwise
CELL = 64  # pixels a hyper-latent covers, each way
PER_CELL = CELL // LATENT  # latents a hyper-latent covers, each way, likewise


@dataclass(frozen=True)
class Area:
    """A rectangle of hyper-latent cells, and how many of its latents lie in the picture."""

    top: int
    left: int
    height: int
    width: int
    rows: int  # latents to be coded, at most per_cell · height
    columns: int
    per_cell: int = PER_CELL

    def cells(self) -> tuple[slice, slice]:
        """Its place in an array of hyper-latents."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def latents(self) -> tuple[slice, slice]:
        """Its place in an array of latents, padding included."""
        n = self.per_cell
        return slice(n * self.top, n * (self.top + self.height)), slice(n * self.left, n * (self.left + self.width))

    def inside(self) -> tuple[slice, slice]:
        """The same without padding: what lies in the picture."""
        rows, columns = self.latents()
        return slice(rows.start, rows.start + self.rows), slice(columns.start, columns.start + self.columns)


@dataclass(frozen=True)
class Grid:
    """All sizes that follow from a picture's size in pixels."""

    width: int
    height: int
    tile_log2: int
    per_cell: int = PER_CELL

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of hyper-latents."""
        return -(-self.height // CELL), -(-self.width // CELL)

    @property
    def latents(self) -> tuple[int, int]:
        """Rows and columns of latents, padded to whole cells."""
        rows, columns = self.cells
        return self.per_cell * rows, self.per_cell * columns

    @property
    def coded(self) -> tuple[int, int]:
        """Rows and columns of latents that begin in the picture."""
        return -(-self.height * self.per_cell // CELL), -(-self.width * self.per_cell // CELL)

    def tiles(self) -> list[Area]:
        """Tiles in raster order, as the container stores them."""
        side = (1 << self.tile_log2) // CELL
        rows, columns = self.cells
        n = self.per_cell
        in_rows, in_columns = self.coded
        areas = []
        for top in range(0, rows, side):
            for left in range(0, columns, side):
                height, width = min(side, rows - top), min(side, columns - left)
                areas.append(
                    Area(
                        top,
                        left,
                        height,
                        width,
                        min(n * height, in_rows - n * top),
                        min(n * width, in_columns - n * left),
                        n,
                    )
                )
        return areas


@dataclass(frozen=True)
class Window:
    """A part of the grid that a network runs over (``outer``), and the part of its result to keep.

    All in cells; ``inner`` lies in ``outer`` and, over all windows, the inner parts cover the grid once.
    """

    outer_rows: slice
    outer_columns: slice
    inner_rows: slice
    inner_columns: slice

    def outer(self, per_cell: int) -> tuple[slice, slice]:
        """``outer`` in an array that has ``per_cell`` elements a cell."""
        return _scaled(self.outer_rows, per_cell), _scaled(self.outer_columns, per_cell)

    def inner(self, per_cell: int) -> tuple[slice, slice]:
        """``inner`` in an array over the whole grid."""
        return _scaled(self.inner_rows, per_cell), _scaled(self.inner_columns, per_cell)

    def kept(self, per_cell: int) -> tuple[slice, slice]:
        """``inner`` in the network's result over ``outer``."""
        return (
            _scaled(_moved(self.inner_rows, self.outer_rows.start), per_cell),
            _scaled(_moved(self.inner_columns, self.outer_columns.start), per_cell),
        )


def _scaled(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)


def _moved(part: slice, origin: int) -> slice:
    return slice(part.start - origin, part.stop - origin)


def windows(cells: tuple[int, int], core: int, halo: int) -> Iterator[Window]:
    """Cut a grid of ``cells`` into windows of at most ``core`` cells a side, each widened by ``halo`` cells.

    A grid that fits into core + 2·halo cells is one window: a halo would cost more than it saves.
    """
    rows, columns = cells
    for row in _cuts(rows, core, halo):
        for column in _cuts(columns, core, halo):
            yield Window(
                slice(max(0, row.start - halo), min(rows, row.stop + halo)),
                slice(max(0, column.start - halo), min(columns, column.stop + halo)),
                row,
                column,
            )


def _cuts(length: int, core: int, halo: int) -> list[slice]:
    if length <= core + 2 * halo:
        return [slice(0, length)]
    count = -(-length // core)
    edges = [length * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def checkerboard(rows: int, columns: int) -> NDArray[np.bool_]:
    """True on the even squares: (rows, columns)."""
    even: NDArray[np.bool_] = (np.arange(rows)[:, None] + np.arange(columns)[None, :]) % 2 == 0
    return even


def split(array: NDArray[Any], even: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """(…, channels) → what the first and what the second pass over a checkerboard code, (…, channels/2) each.

    The first codes the low half of the channels where ``even`` (broadcast to the array), the high half elsewhere.
    """
    half = array.shape[-1] // 2
    low, high = array[..., :half], array[..., half:]
    return np.where(even, low, high), np.where(even, high, low)


def joined(first: NDArray[Any], second: NDArray[Any], even: NDArray[np.bool_]) -> NDArray[Any]:
    """The inverse of ``split``."""
    return np.concatenate([np.where(even, first, second), np.where(even, second, first)], axis=-1)
