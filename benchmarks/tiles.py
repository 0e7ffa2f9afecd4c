"""Tiles of the training pictures, for studies that may choose nothing by Kodak."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .api import Pixels

__all__ = ["evenly_chosen_tiles"]


def evenly_chosen_tiles(tiles: Tensor, count: int, side: int | None = None) -> list[Pixels]:
    """``count`` of the tiles (N, 3, S, S) uint8, spread evenly over them; with a ``side``, the middle of each."""
    size = tiles.shape[-1]
    start = 0 if side is None else (size - side) // 2
    middle = slice(start, start + (side or size))
    numbers = np.linspace(0, len(tiles) - 1, count).round().astype(int)
    return [tiles[int(number)].permute(1, 2, 0).numpy()[middle, middle].copy() for number in numbers]
