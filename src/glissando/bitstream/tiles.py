"""A tile's symbols to its streams, and the check that a decoder ends with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from numpy.typing import NDArray

from glissando.errors import CorruptError

from . import ans
from .container import ALPHA, CORRECTIONS, PIXELS, Tile
from .tables import SymbolTables

__all__ = ["Passes", "check_tile", "checksum_of", "encode_tile", "with_planes"]

Passes = Mapping[int, Sequence[tuple[NDArray[Any], NDArray[Any]]]]
"""What a tile's streams code: for each stream its passes, each the symbols and their tables in coding order."""


def encode_tile(passes: Passes, tables: SymbolTables, planes: Mapping[int, bytes] | None = None) -> Tile:
    """Streams and checksum of a tile.

    ``planes``: its streams PIXELS, CORRECTIONS and ALPHA, as many of them as the file's tiles have; they may be empty.

    Raises InputError as ``ans.encode``.
    """
    planes = planes or {}
    streams = {**{name: ans.encode(parts, tables) for name, parts in passes.items()}, **planes}
    return Tile(streams, checksum_of((symbols for parts in passes.values() for symbols, _ in parts), planes))


def checksum_of(symbols: Iterable[NDArray[Any]], streams: Mapping[int, bytes]) -> int:
    """A tile's checksum: CRC-32 of all its symbols in decoding order, as little-endian int16, then of its planes.

    ``streams``: those of the tile, of which PIXELS, CORRECTIONS and ALPHA count here.
    """
    crc = ans.checksum(symbols)
    for name in (PIXELS, CORRECTIONS, ALPHA):
        crc = crc32(streams.get(name, b""), crc)
    return crc


def with_planes(tile: Tile, planes: Mapping[int, bytes]) -> Tile:
    """A tile with more streams of planes, whose numbers are above those that it has."""
    crc = tile.checksum
    for name in sorted(planes):
        crc = crc32(planes[name], crc)
    return Tile({**tile.streams, **planes}, crc)


def check_tile(tile: Tile, symbols: Iterable[NDArray[Any]]) -> None:
    """Raises CorruptError unless these, in decoding order, are the symbols that the tile was made from."""
    found = checksum_of(symbols, tile.streams)
    if found != tile.checksum:
        raise CorruptError(f"the tile has the checksum {found:08x}, the file says {tile.checksum:08x}")
