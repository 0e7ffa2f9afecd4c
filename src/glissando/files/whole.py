"""Files that are written whole or not at all, and that outlast a power cut where that is asked for."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .folders import sync_folder
from .partial import LOCKS, is_partial, open_partial

__all__ = ["atomic_file", "atomic_write", "write_all"]

Bytes = bytes | bytearray | memoryview

_DESCRIPTOR = re.compile(r"/dev/(?:std(?P<name>in|out|err)|fd/(?P<number>\d+))|/proc/self/fd/(?P<process>\d+)")
_STANDARD = {"in": 0, "out": 1, "err": 2}
_IN_PLACE = {errno.EACCES, errno.EBUSY, errno.EPERM, errno.EROFS, errno.EXDEV}
"""Why a file cannot be replaced by another of its name, although its own content may be changed."""


def atomic_write(
    path: str | os.PathLike[str], data: Bytes, *, sync: bool = False, like: os.stat_result | None = None
) -> None:
    """Write ``data`` to ``path`` so that no reader, and no killed process, leaves half of it; as ``atomic_file``."""
    with atomic_file(path, sync=sync, like=like) as stream:
        stream.write(data)


@contextlib.contextmanager
def atomic_file(
    path: str | os.PathLike[str], *, sync: bool = False, like: os.stat_result | None = None
) -> Iterator[IO[bytes]]:
    """A buffered binary stream whose bytes become the file ``path`` when the ``with`` block ends without an exception.

    The bytes go to a temporary file in the same folder, which then takes the name in one step. A process that is killed
    may leave that temporary file, never half of ``path``; the next that writes ``path`` removes it, and so does
    ``clear_litter``. An existing file keeps its permissions, and a symbolic link stays a link to the new content.

    Three kinds of output are written directly. What is not a regular file (``/dev/null``, a pipe) gets the bytes as
    they come; so does an open file that is named by its number (``/dev/stdout``, ``/dev/fd/63``), from its position
    on. A file whose content may be changed, but not its name, as in a folder without the right to write, or where it
    is a mount point itself, is overwritten after the whole content is there.

    Args:
        path: the file.
        sync: force the content and then the name to the disk, so that they outlast a power cut from then on. It costs
            a wait for the disk.
        like: permissions and times that a regular file gets, of another file.

    Raises:
        OSError: the folder does not exist, is not writable, or the disk is full; its file name is ``path``, which is
            untouched, unless it was written directly.
    """
    with _naming(path):
        if (number := _descriptor(path)) is not None:
            with open(os.dup(number), "wb") as stream:
                yield stream
            return
        try:
            found = os.stat(path)
        except FileNotFoundError:
            found = None
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if found is not None and not stat.S_ISREG(found.st_mode):
            with open(path, "wb") as stream:
                yield stream
            return
        target = Path(os.path.realpath(path))
        if found is not None and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        try:
            partial, new = open_partial(target)
        except OSError as error:
            if found is None or error.errno not in _IN_PLACE:
                raise
            whole = io.BytesIO()
            yield whole
            whole.seek(0)
            _overwrite(target, whole, sync, like)
            return
        try:
            with new:
                yield new
                new.flush()
                if found is not None:
                    os.chmod(partial, stat.S_IMODE(found.st_mode))
                _liken(partial, like)
                if sync:
                    os.fsync(new.fileno())
                if LOCKS:  # while the file is locked, so that nobody takes it for litter
                    _take_name(partial, target, sync, like)
            if not LOCKS:
                _take_name(partial, target, sync, like)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise


def _take_name(partial: Path, target: Path, sync: bool, like: os.stat_result | None) -> None:
    try:
        os.replace(partial, target)
    except OSError as error:
        if error.errno not in _IN_PLACE or not target.is_file():
            raise
        with open(partial, "rb") as content:
            _overwrite(target, content, sync, like)
        os.unlink(partial)
    if sync:
        sync_folder(target.parent)


def _overwrite(target: Path, content: IO[bytes], sync: bool, like: os.stat_result | None) -> None:
    """Write over a file from its beginning; what it has beyond the new content is cut off at the end."""
    with open(target, "r+b") as stream:
        shutil.copyfileobj(content, stream, 2**20)
        stream.truncate()
        stream.flush()
        if sync:
            os.fsync(stream.fileno())
    _liken(target, like)


def _liken(path: Path, like: os.stat_result | None) -> None:
    if like is not None:
        os.chmod(path, stat.S_IMODE(like.st_mode) & 0o777)
        os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))


def write_all(stream: IO[bytes], data: Bytes) -> None:
    """Write all bytes to a stream, which may take fewer at once than it is given, as streams without a buffer do.

    Raises OSError as the stream does.
    """
    left = memoryview(data).cast("B")
    while left:
        try:
            written: int | None = stream.write(left)
        except BlockingIOError as error:  # a buffer that is full, before a pipe that does not wait
            written = error.characters_written
        else:
            if written is None and not isinstance(stream, io.RawIOBase):
                return  # a stream of somebody's own that does not count
        left = left[written or 0 :]
        if not written:
            time.sleep(0.001)


@contextlib.contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors of the system that name no file, or the temporary one, name the file that the caller knows."""
    try:
        yield
    except OSError as error:
        named = isinstance(error.filename, str | bytes) and not is_partial(os.fsdecode(error.filename))
        if named or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """The number of the open file that a path names; None where it names no open file."""
    found = _DESCRIPTOR.fullmatch(os.fspath(path)) if os.name == "posix" else None
    if found is None:
        return None
    return _STANDARD[found["name"]] if found["name"] else int(found["number"] or found["process"])
