"""Where the bits of a file went: what each latent position costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import HYPER_LATENTS, IMPORTANCE, SymbolTables
from glissando.bitstream.tiles import Passes

from .geometry import Area

__all__ = ["tile_bits"]


def tile_bits(area: Area, passes: Passes, tables: SymbolTables) -> NDArray[np.float64]:
    """Ideal sizes in bits, (rows, columns) of the latents of a tile that lie in the picture.

    What is not of one position is shared evenly by those that it serves: hyper-latents by their cell, a map by all.
    """
    places = np.zeros((area.rows, area.columns))
    for stream, parts in passes.items():
        costs = [tables.symbol_bits(symbols, index) for symbols, index in parts]
        if stream == HYPER_LATENTS:
            for cells in costs:
                places += _of_cells(area, cells.reshape(area.height, area.width, -1).sum(axis=2))
        elif stream == IMPORTANCE:
            places += sum(float(part.sum()) for part in costs) / places.size
        else:
            for part in costs:
                places += part.reshape(*places.shape, -1).sum(axis=2)
    return places


def _of_cells(area: Area, cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """A number for each cell, (height, width), as each of its latents' share, (rows, columns)."""
    n = area.per_cell
    rows, columns = (
        np.minimum(n, size - n * np.arange(count))
        for size, count in ((area.rows, area.height), (area.columns, area.width))
    )
    shares = cells / np.outer(rows, columns)
    return np.repeat(np.repeat(shares, n, axis=0), n, axis=1)[: area.rows, : area.columns]
