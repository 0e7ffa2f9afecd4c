"""A tile's symbols to its streams, and the check that a decoder ends with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from numpy.typing import NDArray

from glissando.errors import CorruptError

from . import ans
from .container import PIXELS, Tile
from .tables import SymbolTables

__all__ = ["Passes", "check_tile", "checksum_of", "encode_tile"]

Passes = Mapping[int, Sequence[tuple[NDArray[Any], NDArray[Any]]]]
"""What a tile's streams code: for each stream its passes, each the symbols and their tables in coding order."""


def encode_tile(passes: Passes, tables: SymbolTables, pixels: bytes | None = None) -> Tile:
    """Streams and checksum of a tile.

    ``pixels``: its stream of exact pixels, where the file's tiles have one; it may be empty.

    Raises InputError as ``ans.encode``.
    """
    streams = {name: ans.encode(parts, tables) for name, parts in passes.items()}
    if pixels is not None:
        streams[PIXELS] = pixels
    return Tile(streams, checksum_of((symbols for parts in passes.values() for symbols, _ in parts), pixels or b""))


def checksum_of(symbols: Iterable[NDArray[Any]], pixels: bytes) -> int:
    """A tile's checksum: CRC-32 of all its symbols in decoding order, as little-endian int16, then of its stream 4."""
    return crc32(pixels, ans.checksum(symbols))


def check_tile(tile: Tile, symbols: Iterable[NDArray[Any]]) -> None:
    """Raises CorruptError unless these, in decoding order, are the symbols that the tile was made from."""
    found = checksum_of(symbols, tile.streams.get(PIXELS, b""))
    if found != tile.checksum:
        raise CorruptError(f"the tile has the checksum {found:08x}, the file says {tile.checksum:08x}")
