"""A tile's symbols to its streams, and the check that a decoder ends with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from glissando.errors import CorruptError

from . import ans
from .container import Tile
from .tables import SymbolTables

__all__ = ["Passes", "check_tile", "encode_tile"]

Passes = Mapping[int, Sequence[tuple[NDArray[Any], NDArray[Any]]]]
"""What a tile's streams code: for each stream its passes, each the symbols and their tables in coding order."""


def encode_tile(passes: Passes, tables: SymbolTables) -> Tile:
    """Streams and checksum. Raises InputError as ``ans.encode``."""
    streams = {name: ans.encode(parts, tables) for name, parts in passes.items()}
    return Tile(streams, ans.checksum(symbols for parts in passes.values() for symbols, _ in parts))


def check_tile(tile: Tile, symbols: Iterable[NDArray[Any]]) -> None:
    """Raises CorruptError unless these, in decoding order, are the symbols that the tile was made from."""
    found = ans.checksum(symbols)
    if found != tile.checksum:
        raise CorruptError(f"decoded symbols have checksum {found:08x}, the file says {tile.checksum:08x}")
