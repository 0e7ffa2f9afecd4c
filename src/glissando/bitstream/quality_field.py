"""What a file with a quality field holds: a palette of quality offsets in a box, and a map with tables of its own.

The map itself, an index into the palette for each latent position, is a stream of each tile (``maps``). Everything here
is the format's, not a model's: any reader can show a quality field (docs/format.md, "Quality field").
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from glissando.errors import CorruptError, InputError
from glissando.frequencies import PRECISION, complete

from . import ans
from .container import MAP, Tile
from .fields import PALETTE_FIRST, PALETTE_SIZE, PALETTE_STEP, QUALITY_FIELD_BOX, Cursor
from .maps import CONTEXTS, decode_map
from .reader import Reader
from .tables import SymbolTables

__all__ = [
    "MAP_CHANCES",
    "Map",
    "decode_quality_field",
    "map_tables",
    "pack_palette",
    "read_palette",
    "unpack_palette",
    "with_map_tables",
]

LARGEST_OFFSET = 25600
RADIUS = 8  # of the map's tables

MAP_CHANCES = (
    ((1, 2196, 7),),
    ((8, 8, 10), (5, 346, 15), (4, 2048, 15), (346, 5, 15), (857, 1153, 13), (1189, 1355, 8), (1467, 1598, 5)),
    ((2, 2, 14), (9, 246, 15), (19, 2048, 15), (246, 9, 15), (458, 654, 13), (607, 735, 8), (635, 798, 5)),
    ((34, 34, 9), (13, 561, 15), (33, 2048, 15), (561, 13, 15), (878, 1241, 13), (1170, 1403, 7), (1616, 1808, 6)),
    ((4, 4, 11), (7, 367, 15), (5, 2048, 15), (367, 7, 15), (464, 719, 12), (657, 827, 7), (655, 915, 5)),
    ((222, 222, 8), (31, 822, 15), (124, 2048, 14), (822, 31, 15), (1137, 1392, 11), (1279, 1509, 7), (1643, 1762, 5)),
    ((46, 46, 8), (29, 634, 15), (86, 2048, 15), (634, 29, 15), (708, 896, 11), (860, 1014, 7), (1090, 1253, 5)),
)
"""For each context of ``maps``, the corner's first and then a line for each stage: the chances that a value lies below
and above its prediction, in 1/4096, and that it lies no farther off than it must, in 1/16. From the counts of painted
shapes, hard and soft, and of smooth noise."""

Map = tuple[NDArray[np.int16], list[NDArray[np.int16]]]
"""Palette indices (rows, columns), and the symbols of each pass."""


@cache
def map_tables() -> SymbolTables:
    """The tables of the map's contexts, one each."""
    tables = []
    for below, above, near in (chances for stage in MAP_CHANCES for chances in stage):
        sides, left = [], 0
        for chance in below, above:
            mass = chance << (PRECISION - 12)
            side = []
            for _ in range(RADIUS):
                share = mass * near >> 4
                side.append(1 + share)
                mass -= share
            sides.append(side)
            left += mass
        tables.append([*reversed(sides[0]), 0, *sides[1], 1 + left])  # the last is the escape's
    frequencies = np.array(tables, np.int64)
    complete(frequencies, RADIUS)  # the symbol zero has the rest
    return SymbolTables(frequencies.reshape(-1), np.full(len(tables), RADIUS))


def with_map_tables(tables: SymbolTables) -> SymbolTables:
    """A model's tables, and behind them the map's."""
    ours = map_tables()
    return SymbolTables(
        np.concatenate([tables.frequencies, ours.frequencies]), np.concatenate([tables.radii, ours.radii])
    )


def pack_palette(palette: Sequence[int]) -> bytes:
    """The box's payload. ``palette``: quality offsets in 1/256, strictly ascending, -25600 .. 25600, 1 to 64 of them.

    Raises InputError for anything else.
    """
    if not 1 <= len(palette) <= PALETTE_SIZE.high:
        raise InputError(f"a palette has 1..{PALETTE_SIZE.high} offsets, not {len(palette)}")
    steps = np.diff(palette).tolist()
    first = PALETTE_FIRST.write(int(palette[0]) + LARGEST_OFFSET)
    PALETTE_FIRST.write(int(palette[-1]) + LARGEST_OFFSET)  # for its range
    return PALETTE_SIZE.write(len(palette)) + first + b"".join(PALETTE_STEP.write(step) for step in steps)


def read_palette(file: Reader) -> tuple[int, ...] | None:
    """The palette of a file: offsets in 1/256, ascending; None where the file has no quality field.

    Raises CorruptError where the box holds no palette.
    """
    payload = file.box(QUALITY_FIELD_BOX)
    return None if payload is None else unpack_palette(payload)


def unpack_palette(payload: bytes) -> tuple[int, ...]:
    """The palette that a box holds: the inverse of ``pack_palette``. Raises CorruptError where it holds none."""
    cursor = Cursor(payload)
    count = PALETTE_SIZE.read(cursor)
    palette = [PALETTE_FIRST.read(cursor) - LARGEST_OFFSET]
    palette += [PALETTE_STEP.read(cursor) for _ in range(count - 1)]
    if cursor.offset < len(payload):
        raise CorruptError(
            f"box {QUALITY_FIELD_BOX!r}: {len(payload) - cursor.offset} bytes follow its {count} offsets"
        )
    palette = np.cumsum(palette).tolist()
    if palette[-1] > LARGEST_OFFSET:
        raise CorruptError(f"box {QUALITY_FIELD_BOX!r}: an offset of {palette[-1]}; the largest is {LARGEST_OFFSET}")
    return tuple(palette)


def decode_quality_field(tile: Tile, rows: int, columns: int, palette: Sequence[int]) -> Map:
    """A tile's part of the quality field, of ``rows`` and ``columns``.

    A palette of one offset needs no stream: it must be empty.

    Raises CorruptError where the stream does not hold one.
    """
    if MAP not in tile.streams:
        raise CorruptError(f"box {QUALITY_FIELD_BOX!r} is there, but no stream {MAP}")
    decoder = ans.Decoder(tile.streams[MAP], map_tables())
    field: Map = np.zeros((rows, columns), np.int16), []
    if len(palette) > 1:
        field = decode_map(decoder, rows, columns, np.arange(CONTEXTS), len(palette) - 1)
    decoder.finish()
    return field
