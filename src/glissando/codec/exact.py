"""What a file says of a tile's pixels beside its latents: all of them exactly, or corrections of them.

**Exact tiles** (docs/format.md) are decoded without any network. An encoder makes a tile exact where that takes no more
bytes than the tile's latents, or so few more that avoiding the error of the latents is worth them: drawings, text,
screens, flat colours. Its latents are still coded as far as the networks look from neighbouring tiles that are not
exact; cells farther away have none. A picture that is coded without loss has nothing but exact tiles, and no model.

**Corrections** are multiples of a step that are added to what the networks paint. They bound how far off a sample may
be, whatever the picture shows: an encoder writes them at the highest qualities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.fields import CORRECTION_STEP, Cursor
from glissando.lossless import decode_planes, encode_planes
from glissando.picture import Pixels

from .geometry import CELL, Area, Grid, Region, in_common
from .quality import Quality
from .reduction import box_means

__all__ = [
    "choose",
    "correct",
    "corrections",
    "corrections_of_seen",
    "exact_planes",
    "is_candidate",
    "largest_error",
    "paste",
    "price_of_error",
    "seen_cells",
    "tile_region",
    "undecided_tiles",
    "worth_of_error",
]

_GREEN_FIRST = [1, 0, 2]  # green resembles both others, which are predicted with its help

REPEATED = 0.5
"""Tiles with a smaller share of pixels equal to their left neighbours take more bytes exactly than as latents."""
FEW_COLOURS = 512
"""Tiles with more colours also take more bytes exactly: skies, and other smooth areas of photographs."""
TOP = 96.0
"""From this quality on there is a largest error that no sample may have."""

PRICES = 0.0003, 0.31
WORST_ERROR = 2000.0
"""Mean squared error of the worst tiles, in levels of 255; it is a PSNR of 15 dB."""
SAMPLED_ROWS = 4  # one row of so many is looked at


def is_candidate(pixels: Pixels) -> bool:
    """Whether a tile, (h, w) or (h, w, 3), may take fewer bytes exactly: a quick look at some of its rows."""
    rows = pixels[::SAMPLED_ROWS]
    if rows.shape[1] < 3:
        return True
    shares = []
    for distance in (1, 2):  # a distance of 2 finds dither and checkerboards
        equal = rows[:, distance:] == rows[:, :-distance]
        shares.append(float((equal.all(axis=2) if equal.ndim == 3 else equal).mean()))
    return max(shares) >= REPEATED and _colours(rows) <= FEW_COLOURS


def _colours(rows: Pixels) -> int:
    """How many different pixels there are."""
    packed = rows.astype(np.uint64)
    if packed.ndim == 3:
        packed = packed[..., 0] << np.uint64(32) | packed[..., 1] << np.uint64(16) | packed[..., 2]
    return len(np.unique(packed))


def exact_planes(pixels: Pixels, depth: int) -> bytes:
    """The bytes that code a tile's pixels, (h, w) or (h, w, 3), exactly."""
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)[_GREEN_FIRST]
    return encode_planes(planes, depth)


def tile_region(area: Area, grid: Grid) -> Region:
    """A tile's pixels that lie in the picture. ``area``: counted from the beginning of the grid."""
    x, y = CELL * area.left, CELL * area.top
    return Region(x, y, min(CELL * area.width, grid.width - x), min(CELL * area.height, grid.height - y))


def pixels_of(data: bytes, place: Region, grey: bool, depth: int) -> Pixels:
    """A tile's samples, (height, width) or (height, width, 3): the inverse of ``exact_planes``.

    ``place``: the tile's region. Raises CorruptError where the planes are damaged.
    """
    planes = decode_planes(data, 1 if grey else 3, place.height, place.width, depth)
    return planes[0] if grey else np.moveaxis(planes[np.argsort(_GREEN_FIRST)], 0, -1)


def paste(pixels: Pixels, region: Region, place: Region, data: bytes, depth: int, factor: int = 1) -> None:
    """Write the part of an exact tile that lies in a region into the region's pixels.

    Args:
        pixels: of the region, (height, width) or (height, width, 3).
        region: in squares of ``factor`` by ``factor`` pixels, of which each is one of these pixels.
        place: the tile's own region, in the picture's pixels.
        data: the tile's coded planes.
        depth: bits of a sample.
        factor: by how much the region is reduced.

    Raises:
        CorruptError: the planes are damaged.
    """
    target, source = in_common(region, place.reduced(factor))
    pixels[target] = box_means(pixels_of(data, place, pixels.ndim == 2, depth), factor)[source]


# Corrections ------------------------------------------------------------------------------------------------------


def largest_error(quality: Quality) -> int | None:
    """How many levels of 255 a sample may be off at a quality; None below TOP, where nothing is promised.

    2 at quality 100, and twice as much for every two steps below it.
    """
    if quality.number < TOP:
        return None
    return round(2 ** (1 + (100 - quality.number) / 2))


def corrections(pixels: Pixels, shown: Pixels, error: int, depth: int) -> bytes:
    """The bytes that bring each shown sample of a tile to within ``error`` of the picture's; b"" where all are so near.

    Both are (h, w) or (h, w, 3); ``error`` counts in levels of the depth.
    """
    off = pixels.astype(np.int32) - shown
    if np.abs(off).max() <= error:
        return b""
    step = min(2 * error + 1, CORRECTION_STEP.high)
    steps = np.rint(off / step).astype(np.int32)
    bits = min(depth + 1, 16)
    return CORRECTION_STEP.write(step) + exact_planes((steps + (1 << (bits - 1))).astype(np.uint16), bits)


def corrections_of_seen(
    pixels: Pixels, shown: Pixels, hidden: NDArray[np.bool_] | None, error: int, depth: int
) -> bytes:
    """The same for an error in levels of 255, of a tile of which some pixels may be hidden: these need none."""
    if hidden is not None:
        pixels = _where(hidden, shown, pixels)
    # Half a level more than the error, since rounding to 8 bits would hide that much.
    return corrections(pixels, shown, ((2 * error + 1) << (depth - 8)) // 2, depth)


def _where(places: NDArray[np.bool_], there: Any, elsewhere: NDArray[Any]) -> NDArray[Any]:
    """One array where ``places``, (height, width), are true, and another one elsewhere, which may have channels."""
    return np.where(places[..., None] if elsewhere.ndim == 3 else places, there, elsewhere)


def correct(pixels: Pixels, region: Region, place: Region, data: bytes, depth: int, factor: int = 1) -> None:
    """Correct the part of a tile that lies in a region; arguments and errors as of ``paste``."""
    cursor = Cursor(data)
    step = CORRECTION_STEP.read(cursor)
    bits = min(depth + 1, 16)
    steps = pixels_of(data[cursor.offset :], place, pixels.ndim == 2, bits).astype(np.int32) - (1 << (bits - 1))
    target, source = in_common(region, place.reduced(factor))
    pixels[target] = np.clip(pixels[target] + box_means(step * steps, factor)[source], 0, (1 << depth) - 1)


# What an encoder chooses ------------------------------------------------------------------------------------------


def seen_cells(grid: Grid, exact: Iterable[int], reach: int) -> NDArray[np.bool_]:
    """Which cells the networks look at for pixels that are shown, (rows, columns).

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

    It is the λ that models are trained with (docs/training.md): 0.0003 at quality 0 and 0.31 at 100; in between its
    logarithm is linear.
    """
    low, high = PRICES
    return low * float((high / low) ** (quality.number / 100))


def undecided_tiles(
    grid: Grid, quality: Quality, exact_sizes: Mapping[int, int], lossy_sizes: Sequence[int]
) -> list[int]:
    """Numbers of the tiles whose errors may decide whether they are to be exact; looking at them takes time.

    ``exact_sizes``: bytes of each candidate's planes, by number; ``lossy_sizes``: of the latents of each tile.
    """
    price, least = price_of_error(quality) / 8, sum(lossy_sizes) / 64
    regions = {number: tile_region(grid.tiles[number], grid) for number in exact_sizes}
    return [
        number
        for number, size in exact_sizes.items()
        if 0 < size - lossy_sizes[number] <= price * WORST_ERROR * regions[number].width * regions[number].height
        and lossy_sizes[number] >= least  # narrow tiles at an edge are not worth the time
    ]


def worth_of_error(
    pixels: Pixels, shown: Pixels, hidden: NDArray[np.bool_] | None, quality: Quality, depth: int
) -> float:
    """What the error of a tile's latents is worth in bytes at a quality; what is hidden has none.

    ``pixels``: of the tile, (h, w) or (h, w, 3); ``shown``: what its latents make of them.
    """
    level = float((1 << depth) - 1) / 255  # errors count in levels of 8 bits
    error = np.square(pixels.astype(np.float32) - shown)
    if hidden is not None:
        error = _where(hidden, np.float32(0), error)
    count = pixels.shape[0] * pixels.shape[1]
    worth: float = price_of_error(quality) / 8 * count * float(error.mean(dtype=np.float64)) / level**2
    return worth


def choose(
    grid: Grid, exact: Mapping[int, int], lossy: Sequence[int], errors: Mapping[int, float], reach: int
) -> list[int]:
    """Numbers of the tiles to make exact, ascending.

    ``exact``: bytes of each candidate's planes; ``lossy``: bytes of the latents of each tile; ``errors``: what the
    error of a tile's latents is worth in bytes, 0 where it is not known. An exact tile beside one that is not exact
    also has latents; those that are seen cost about their share of the tile's.
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
