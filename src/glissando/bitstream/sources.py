"""Where the bytes of a file come from: memory, a path, a file object, or anything that reads ranges."""

from __future__ import annotations

import io
import os
import threading
from typing import IO, Protocol, cast, runtime_checkable

from glissando.errors import InputError, TruncatedError

from .fields import SIGNATURE

__all__ = ["Bytes", "Ranged", "Source", "open_source"]


@runtime_checkable
class Ranged(Protocol):
    """Anything that reads ranges of bytes: an object store, a web server, a part of another file.

    ``read_at`` may be called by several threads at once.
    """

    @property
    def size(self) -> int:
        """The number of bytes that there are."""
        ...

    def read_at(self, offset: int, size: int, /) -> bytes:
        """The ``size`` bytes from ``offset`` on, both within ``self.size``."""
        ...


Source = bytes | bytearray | memoryview | str | os.PathLike[str] | IO[bytes] | Ranged
"""Bytes of any kind, a path, a file opened for reading bytes, or an object that reads ranges."""


class Bytes:
    """A source of bytes that checks each answer; what a Reader reads from."""

    def __init__(self, ranged: Ranged) -> None:
        self._ranged = ranged
        self.size = ranged.size

    def read_at(self, offset: int, size: int) -> bytes:
        """The ``size`` bytes from ``offset`` on. Raises TruncatedError where there are fewer."""
        if offset + size > self.size:
            raise TruncatedError(
                f"the part at byte {offset} ends at byte {offset + size}; {self.size} bytes are present"
            )
        if size == 0:
            return b""
        data = self._ranged.read_at(offset, size)
        if len(data) != size:
            raise TruncatedError(f"the part at byte {offset} has {size} bytes; {len(data)} of them were given")
        return data

    def close(self) -> None:
        """Close what ``open_source`` opened itself, and put the caller's file object back to where it was."""
        if isinstance(self._ranged, _Memory | _Stream):
            self._ranged.close()


class _Memory:
    """Bytes in memory."""

    def __init__(self, view: memoryview) -> None:
        self._view = view.cast("B")
        self.size = len(self._view)

    def read_at(self, offset: int, size: int, /) -> bytes:
        return bytes(self._view[offset : offset + size])

    def close(self) -> None:
        self._view.release()


class _Stream:
    """A seekable file object, from its position on. One thread at a time moves the position and reads.

    It is closed at the end where it is ``owned``, else put back to where it was.
    """

    def __init__(self, stream: IO[bytes], *, owned: bool) -> None:
        self._stream, self._owned = stream, owned
        self._lock = threading.Lock()
        self._start = stream.tell()
        self.size = max(stream.seek(0, os.SEEK_END) - self._start, 0)

    def read_at(self, offset: int, size: int, /) -> bytes:
        with self._lock:
            self._stream.seek(self._start + offset)
            parts = []
            while size > 0 and (part := self._stream.read(size)):  # an unbuffered file may give less than it is asked
                parts.append(part)
                size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        if self._owned:
            self._stream.close()
        else:
            self._stream.seek(self._start)


def open_source(source: Source) -> Bytes:
    """The bytes of a source.

    A file object is read from its position on. It must not be moved meanwhile; closing the source leaves it open and
    at that position. One that cannot seek, such as a pipe, is read to its end at once if it begins as our files do.

    Raises:
        InputError: an object of another kind, or a file opened for reading text.
        OSError: the path cannot be opened.
    """
    if isinstance(source, str | os.PathLike):
        return Bytes(_of_stream(open(source, "rb"), owned=True))
    if (view := _view(source)) is not None:
        return Bytes(_Memory(view))
    if isinstance(source, io.TextIOBase):
        raise InputError('the file is opened for reading text; open it with mode "rb"')
    if isinstance(source, Ranged):
        return Bytes(source)
    if hasattr(source, "read"):
        return Bytes(_of_stream(cast(IO[bytes], source), owned=False))
    raise InputError(
        f"a file is given by its bytes, its path, a file object or an object with size and read_at, "
        f"not by {type(source).__name__}"
    )


def _view(source: object) -> memoryview | None:
    """The memory of an object that lends it; None for any other."""
    try:
        view = memoryview(source)  # type: ignore[arg-type]
    except TypeError:
        return None
    if not view.c_contiguous:
        raise InputError("the bytes do not lie side by side in memory")
    return view


def _of_stream(stream: IO[bytes], *, owned: bool) -> Ranged:
    if getattr(stream, "seekable", lambda: False)():
        return _Stream(stream, owned=owned)
    try:
        head = b""
        while len(head) < len(SIGNATURE) and (part := stream.read(len(SIGNATURE) - len(head))):
            head += part
        # What does not begin as our files do may have no end, and is none of them anyway.
        return _Memory(memoryview(head + stream.read() if head == SIGNATURE else head))
    finally:
        if owned:
            stream.close()
