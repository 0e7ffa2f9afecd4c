"""A file as the decoder reads it: the header first, then a box or a tile when it is asked for."""

from __future__ import annotations

from glissando.bitstream import DEFAULT_LIMITS, Limits, Tile, container
from glissando.errors import CorruptError, TruncatedError

__all__ = ["Reader"]


class Reader:
    """The bytes of a .gliss file. Raises the errors of ``container.read_header`` where the header is damaged."""

    def __init__(self, source: bytes | bytearray | memoryview, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._data = memoryview(source).cast("B")
        self.layout = container.read_header(self._data, limits=limits)
        self.header = self.layout.header

    def check_complete(self) -> None:
        """Raise TruncatedError where bytes are missing at the end, CorruptError where there are too many."""
        wanted, present = self.layout.file_bytes, len(self._data)
        if present < wanted:
            raise TruncatedError(f"the file needs {wanted} bytes; {present} are present")
        if present > wanted:
            raise CorruptError(f"the file should end at byte {wanted}; {present - wanted} bytes follow")

    def box(self, name: str) -> bytes | None:
        """The content of a box, None where the file has none. Raises CorruptError where its CRC is another."""
        return self.layout.box(self._data, name) if name in self.layout.boxes else None

    def tile(self, number: int) -> Tile:
        """A tile's streams."""
        span = self.layout.tiles[number]
        return Tile({stream: part.of(self._data) for stream, part in span.streams.items()}, span.checksum)
