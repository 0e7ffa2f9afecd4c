"""Latents of a picture, computed from its top down, so that no more rows of them are held than somebody needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from glissando.runtime import release

from .coding import Coding
from .engine import Engine
from .geometry import CELL, Area, Grid, Window, move_up, rows_of_windows
from .pixels import PixelsOver, padded

__all__ = ["Analysis"]

L = TypeVar("L")

SPARE = 16
"""Rows of cells that there is room for beyond those first asked for, so that little has to be copied later."""


class Analysis(Generic[L]):
    """The latents of one picture, which runs the first graph of an encoder over a row of windows when it is needed.

    Args:
        engine, coding: of the model.
        grid: of the picture.
        pixels: what gives its pixels, without opacity.
        depth: bits of a sample.
        precision, encoder: of the graph.
    """

    def __init__(
        self,
        engine: Engine,
        coding: Coding[L, Any],
        grid: Grid,
        pixels: PixelsOver,
        *,
        depth: int,
        precision: str,
        encoder: str,
    ) -> None:
        self._coding, self._pixels, self._depth, self._grid = coding, pixels, depth, grid
        name = engine.family.encoder_graphs[0]
        self._graph = engine.graph(name, precision, real_pixels=depth > 8, encoder=encoder)
        self._rows = list(rows_of_windows(engine.encoder_windows(grid, encoder)))
        self._next = 0
        self._top = self._bottom = 0
        self._held: list[NDArray[np.float32]] = []

    def over(self, area: Area) -> L:
        """The latents over an area of the grid's whole width, whose rows are counted from the area's first.

        Areas come from the top down: rows above one that was asked for are forgotten. The arrays are overwritten when
        the next area is asked for.
        """
        self._forget_above(area.top)
        first = self._next
        while self._bottom < area.bottom:
            self._run(self._rows[self._next], area.bottom)
            self._next += 1
        if self._next > first and len(self._rows[0]) * len(self._rows) > 1:
            release(self._graph)  # what it takes for a large window; the next networks need as much
        per_cell = self._coding.analysis_per_cell
        return self._coding.latents([held[: n * area.height] for held, n in zip(self._held, per_cell, strict=True)])

    def _forget_above(self, top: int) -> None:
        if top == self._top:
            return
        for held, n in zip(self._held, self._coding.analysis_per_cell, strict=True):
            move_up(held[: n * (self._bottom - self._top)], n * (top - self._top))
        self._top = top

    def _run(self, windows: Sequence[Window], wanted: int) -> None:
        """Compute the latents of the next row of windows. ``wanted``: rows of cells that will be asked for."""
        rows, _ = windows[0].outer(CELL)
        band = self._pixels(rows)
        for window in windows:
            _, columns = window.outer(CELL)
            height, width = (slice(0, part.stop - part.start) for part in (rows, columns))
            parts = self._graph(pixels=padded(band(columns), height, width, self._depth))
            if window is windows[0]:
                self._make_room(max(window.inner_rows.stop, wanted), parts)
            for held, n, part in zip(self._held, self._coding.analysis_per_cell, parts, strict=True):
                place, columns = window.inner(n)
                here = slice(place.start - n * self._top, place.stop - n * self._top)
                held[here, columns] = part[0][window.inner_of_result(n)]
        self._bottom = windows[0].inner_rows.stop

    def _make_room(self, bottom: int, parts: Sequence[NDArray[Any]]) -> None:
        """Room for the rows of cells down to ``bottom``. ``parts``: what the graph gives, (1, rows, columns, channels).

        Pages of memory that nothing is written to are not taken.
        """
        rows, columns = self._grid.cells
        per_cell = self._coding.analysis_per_cell
        if self._held and len(self._held[0]) >= per_cell[0] * (bottom - self._top):
            return
        height = min(bottom - self._top + SPARE, rows - self._top)
        for i, (n, part) in enumerate(zip(per_cell, parts, strict=True)):
            new = np.empty((n * height, n * columns, part.shape[-1]), np.float32)
            if len(self._held) > i:
                kept = n * (self._bottom - self._top)
                new[:kept] = self._held[i][:kept]
                self._held[i] = new
            else:
                self._held.append(new)
