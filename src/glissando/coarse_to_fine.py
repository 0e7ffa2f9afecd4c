"""The order in which the positions of a grid are coded coarse to fine (docs/format.md, "Maps" and the VAE's context).

The corner comes first. Then the positions that are known form a lattice whose step is halved again and again: first
come the centres of its squares, whose known neighbours are the four corners of the square, then the positions between,
whose neighbours are left, right, above and below. Three quarters of all positions are thus seen from all sides.
The file format and the families share this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lattice", "Stage", "stages"]

_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_AXIAL = ((-1, 0), (0, -1), (0, 1), (1, 0))


@dataclass(frozen=True)
class Lattice:
    """Every ``step``-th position of a grid, in both directions, from ``row`` and ``column`` on."""

    row: int
    column: int
    step: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The lattice as an index into an array (rows, columns)."""
        return slice(self.row, None, self.step), slice(self.column, None, self.step)


@dataclass(frozen=True)
class Stage:
    """Positions that are coded side by side: none of them is a neighbour of another.

    ``lattices``: the positions, one lattice after the other, each row by row. ``distance``: how far, in rows and
    columns, their neighbours are; 0 at the corner, which has none. ``between``: the neighbours are left, right, above
    and below, not at the corners of a square.
    """

    lattices: tuple[Lattice, ...]
    distance: int
    between: bool

    @property
    def neighbours(self) -> tuple[tuple[int, int], ...]:
        """(rows down, columns right) from a position to each of its neighbours, which may lie outside the grid."""
        if not self.distance:
            return ()
        offsets = _AXIAL if self.between else _DIAGONAL
        return tuple((self.distance * down, self.distance * right) for down, right in offsets)

    def positions(self, rows: int, columns: int) -> NDArray[np.intp]:
        """Row and column of each position of a grid of ``rows`` and ``columns``, lattice by lattice: (2, n)."""
        parts = [
            np.mgrid[lattice.row : rows : lattice.step, lattice.column : columns : lattice.step].reshape(2, -1)
            for lattice in self.lattices
        ]
        return np.concatenate(parts, axis=1)


def stages(rows: int, columns: int) -> Iterator[Stage]:
    """The stages of a grid in their order; together they have each position once. An empty grid has none."""
    if rows * columns == 0:
        return
    step = 1 << (max(rows, columns) - 1).bit_length()  # the first lattice is the corner alone
    yield Stage((Lattice(0, 0, step),), 0, False)
    while step > 1:
        half = step // 2
        if half < min(rows, columns):
            yield Stage((Lattice(half, half, step),), half, False)
        # Rows between, then columns between: neither is a neighbour of the other.
        down, right = (Lattice(half, 0, step),) * (half < rows), (Lattice(0, half, step),) * (half < columns)
        yield Stage(down + right, half, True)
        step = half
