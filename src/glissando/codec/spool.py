"""Parts of a file that is being made, kept in temporary files as long as nobody knows what comes before them."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from array import array
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import IO, Self

from glissando.bitstream import ANY_SIZE, Header, Reader, Tile
from glissando.bitstream.container import head_of
from glissando.errors import InputError

__all__ = ["Spool", "StoredTiles"]

_AT_ONCE = 2**20  # bytes that are copied at once


class Spool(Mapping[int, bytes]):
    """Pieces of bytes by their numbers, which ascend as they come, in a temporary file that has no name.

    It is gone when it is closed, or its process ends in whatever way. Several threads may read at once.

    ``folder``: where the file lies; that of the system where it may not lie there.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._file = _temporary(folder)
        self._numbers, self._ends = array("Q"), array("Q", [0])
        self._places: dict[int, int] = {}
        self._lock = threading.Lock()

    def add(self, number: int, data: bytes) -> None:
        """Keep the piece of this number, which is larger than all before. Raises OSError where the disk is full."""
        with self._lock:
            self._file.seek(self._ends[-1])
            self._file.write(data)
            self._places[number] = len(self._numbers)
            self._numbers.append(number)
            self._ends.append(self._ends[-1] + len(data))

    def length(self, number: int) -> int:
        """Bytes of a piece. Raises KeyError where there is none of this number."""
        place = self._places[number]
        return self._ends[place + 1] - self._ends[place]

    def __getitem__(self, number: int) -> bytes:
        place = self._places[number]
        return self.read_at(self._ends[place], self._ends[place + 1] - self._ends[place])

    def __contains__(self, number: object) -> bool:
        return number in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def size(self) -> int:
        """Bytes of all pieces."""
        return self._ends[-1]

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Bytes of the pieces, which lie side by side."""
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)

    def close(self) -> None:
        """Let the file go; what could not be written of it does not matter any more."""
        with contextlib.suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _temporary(folder: str | os.PathLike[str] | None) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        if folder is None:
            raise
        return tempfile.TemporaryFile()


class StoredTiles:
    """The tiles of a file in raster order, in a temporary file; of what they hold, lengths alone are in memory.

    ``folder``: as for ``Spool``.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._spool = Spool(folder)
        self._ids: list[int] = []
        self._lengths, self._checksums = array("Q"), array("Q")

    def add(self, tile: Tile) -> None:
        """Keep the next tile. Raises InputError unless it has the streams of the others, OSError as ``Spool``."""
        ids = sorted(tile.streams)
        if self._ids and ids != self._ids:
            raise InputError(f"tile {len(self)} has streams {ids}; tile 0 has {self._ids}")
        self._ids = ids
        self._spool.add(len(self), b"".join(tile.streams[i] for i in ids))
        self._lengths.extend(len(tile.streams[i]) for i in ids)
        self._checksums.append(tile.checksum)

    def __len__(self) -> int:
        return len(self._checksums)

    def __getitem__(self, number: int) -> Tile:
        data, at, streams = self._spool[number], 0, {}
        for i, length in zip(self._ids, self._lengths_of(number), strict=True):
            streams[i] = data[at : at + length]
            at += length
        return Tile(streams, self._checksums[number])

    def __iter__(self) -> Iterator[Tile]:
        return (self[number] for number in range(len(self)))

    def _lengths_of(self, number: int) -> array[int]:
        count = len(self._ids)
        return self._lengths[number * count : (number + 1) * count]

    def size(self, number: int) -> int:
        """Bytes of a tile's streams."""
        return sum(self._lengths_of(number))

    def reader(self, header: Header, boxes: Mapping[str, bytes]) -> Reader:
        """A reader of the file that these tiles make with a header and boxes; it reads while this is open."""
        return Reader(_File(self._head(header, boxes), self._spool), limits=ANY_SIZE)

    def write(self, stream: IO[bytes], header: Header, boxes: Mapping[str, bytes]) -> int:
        """Write the file that these tiles make to a buffered stream; its number of bytes."""
        head = self._head(header, boxes)
        stream.write(head)
        for offset in range(0, self._spool.size, _AT_ONCE):
            stream.write(self._spool.read_at(offset, min(_AT_ONCE, self._spool.size - offset)))
        return len(head) + self._spool.size

    def _head(self, header: Header, boxes: Mapping[str, bytes]) -> bytes:
        """All that comes before the tiles' streams."""
        head = head_of(header, boxes, self._ids, self._lengths, self._checksums)
        return b"".join([head, *boxes.values()])

    def close(self) -> None:
        """Let the tiles go."""
        self._spool.close()


class _File:
    """The bytes of a file (``bitstream.sources.Ranged``) whose tiles lie in a spool."""

    def __init__(self, head: bytes, spool: Spool) -> None:
        self._head, self._spool = head, spool
        self.size = len(head) + spool.size

    def read_at(self, offset: int, size: int, /) -> bytes:
        head = self._head[offset : offset + size]
        return head + self._spool.read_at(max(offset - len(self._head), 0), size - len(head))
