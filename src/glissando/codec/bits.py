"""Where the bits of a file went: what each latent costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .geometry import Area

__all__ = ["share_of_cells"]

Costs = NDArray[np.float64]


def share_of_cells(area: Area, cells: Costs) -> Costs:
    """Share a number of each cell, (height, width), evenly among its coded latents, (rows, columns)."""
    n = area.latents_per_cell
    rows, columns = (
        np.minimum(n, size - n * np.arange(count))
        for size, count in ((area.rows, area.height), (area.columns, area.width))
    )
    shares = cells / np.outer(rows, columns)
    return np.repeat(np.repeat(shares, n, axis=0), n, axis=1)[: area.rows, : area.columns]
