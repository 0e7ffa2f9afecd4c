"""Tiles whose pixels a file holds exactly, without any network (docs/format.md, "Exact tiles").

An encoder makes a tile exact where that takes no more bytes than the tile's latents, or so few more that they are
worth the error of the latents: drawings, text, screens, flat colours. Next to other tiles its latents are still coded,
as far as the networks of the neighbours look; cells farther away have none. A picture that is coded without loss has
exact tiles alone, and no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.lossless import decode_planes, encode_planes

from .geometry import CELL, Area, Grid, Region
from .quality import Quality

__all__ = [
    "WORST_ERROR",
    "choose",
    "exact_planes",
    "is_candidate",
    "paste",
    "price_of_error",
    "seen_cells",
    "tile_region",
]

Pixels = NDArray[np.unsignedinteger[Any]]

_GREEN_FIRST = [1, 0, 2]  # green resembles both others, which are predicted with its help

REPEATED = 0.25
"""Tiles with a smaller share of pixels equal to their left neighbours take more bytes exactly than as latents."""
PRICES = 0.0003, 0.31
WORST_ERROR = 2000.0
"""Mean squared error of the worst tiles, in levels of 255: 15 dB."""
SAMPLED_ROWS = 4  # one row of so many is looked at


def is_candidate(pixels: Pixels) -> bool:
    """Whether a tile, (h, w) or (h, w, 3), may take fewer bytes exactly: a quick look."""
    rows = pixels[::SAMPLED_ROWS]
    if rows.shape[1] < 3:
        return True
    for distance in (1, 2):  # 2: dither and checkerboards
        equal = rows[:, distance:] == rows[:, :-distance]
        if float((equal.all(axis=2) if equal.ndim == 3 else equal).mean()) >= REPEATED:
            return True
    return False


def exact_planes(pixels: Pixels, depth: int) -> bytes:
    """What codes a tile's pixels, (h, w) or (h, w, 3), exactly."""
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)[_GREEN_FIRST]
    return encode_planes(planes, depth)


def tile_region(area: Area, grid: Grid) -> Region:
    """A tile's pixels that lie in the picture. ``area``: counted from the beginning of the grid."""
    x, y = CELL * area.left, CELL * area.top
    return Region(x, y, min(CELL * area.width, grid.width - x), min(CELL * area.height, grid.height - y))


def paste(pixels: Pixels, region: Region, place: Region, data: bytes, depth: int) -> None:
    """Write the part of an exact tile that lies in a region into the region's pixels.

    ``pixels``: (height, width) or (height, width, 3); ``place``: the tile's own region; ``data``: its coded planes.

    Raises CorruptError where these are damaged.
    """
    channels = 1 if pixels.ndim == 2 else 3
    planes = decode_planes(data, channels, place.height, place.width, depth)
    exact = planes[0] if channels == 1 else np.moveaxis(planes[np.argsort(_GREEN_FIRST)], 0, -1)
    common = Region(
        max(place.x, region.x),
        max(place.y, region.y),
        min(place.x + place.width, region.x + region.width) - max(place.x, region.x),
        min(place.y + place.height, region.y + region.height) - max(place.y, region.y),
    )
    pixels[common.moved(-region.x, -region.y).slices] = exact[common.moved(-place.x, -place.y).slices]


def seen_cells(grid: Grid, exact: Iterable[int], reach: int) -> NDArray[np.bool_]:
    """Cells that the networks see where their pixels count, (rows, columns).

    These are all cells of tiles that are not ``exact``, and those within ``reach`` cells of them.
    """
    seen = np.ones(grid.cells, np.bool_)
    for number in exact:
        seen[grid.tiles[number].cells()] = False
    rows, columns = grid.cells
    padded = np.pad(seen, reach)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            seen |= padded[down : down + rows, right : right + columns]
    return seen


def price_of_error(quality: Quality) -> float:
    """Bits that an encoder spends to lower the mean squared error of one pixel by 1, in levels of 255.

    It is the λ that models are trained with (docs/training.md): 0.0003 at quality 0, 0.31 at 100, and between them
    evenly on the logarithm.
    """
    low, high = PRICES
    return low * float((high / low) ** (quality.number / 100))


def choose(
    grid: Grid, exact: Mapping[int, int], lossy: Sequence[int], errors: Mapping[int, float], reach: int
) -> list[int]:
    """Numbers of the tiles to make exact, ascending.

    ``exact``: bytes of each candidate's planes; ``lossy``: bytes of the latents of each tile; ``errors``: what a tile's
    error costs beside its latents, in bytes, 0 where nobody knows. Beside a tile that is not exact, an exact one has
    latents as well, of which those that are seen cost about their share.
    """
    chosen = {number for number, size in exact.items() if size <= lossy[number] + errors.get(number, 0.0)}
    while chosen:
        seen = seen_cells(grid, chosen, reach)
        dear = {
            number
            for number in chosen
            if exact[number] + seen[grid.tiles[number].cells()].mean() * lossy[number]
            > lossy[number] + errors.get(number, 0.0)
        }
        if not dear:
            break
        chosen -= dear
    return sorted(chosen)
