"""Files and folders that are written whole or not at all, and that outlast a power cut once they are there."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["atomic_file", "atomic_folder", "atomic_write", "replace_folder"]


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` so that no reader, and no crash, ever sees half of it; as ``atomic_file``.

    Raises:
        OSError: the folder does not exist, is not writable, or the disk is full; ``path`` is then untouched.
    """
    with atomic_file(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary stream whose bytes become the file ``path`` when the ``with`` block ends without an exception.

    The bytes go to a temporary file in the same folder, are forced to the disk, and then take the name in one step.
    An existing file keeps its permissions, a symbolic link stays a link to the new content, and what is not a
    regular file (``/dev/null``, a pipe) is written directly.

    Raises:
        OSError: the folder does not exist, is not writable, or the disk is full; ``path`` is then untouched.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(21, "Is a directory", os.fspath(path))
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb") as stream:
            yield stream
        return
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(13, "Permission denied", os.fspath(path))
    temporary = _beside(target)
    try:
        # O_EXCL through mode "x": never follow or overwrite somebody else's file; permissions by the umask.
        stream = open(temporary, "xb")  # noqa: SIM115  (closed below, before the file is renamed)
    except OSError as error:
        error.filename = os.fspath(path)  # a message about the name that the caller knows
        raise
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(target.parent)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty folder that becomes the folder ``path`` when the ``with`` block ends without an exception.

    It lies beside ``path``, whose parent is made where it is missing. A folder that was there before is replaced, as
    by ``replace_folder``.

    Raises:
        OSError: the folder cannot be written, or ``path`` is a file; what was there before is then untouched.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    made = _beside(target)
    made.mkdir()
    try:
        yield made
        replace_folder(made, target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def replace_folder(made: Path, path: str | os.PathLike[str]) -> None:
    """Move the finished folder ``made`` to ``path``, on the same file system, in place of the folder that is there.

    Everything in it is forced to the disk before. To replace a folder takes two renames, between which there is none
    for an instant: the old one then lies beside ``path``, and is put back if the second rename fails.

    Raises:
        OSError: ``path`` is a file or cannot be replaced; what was there before is then untouched.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(20, "Not a directory", os.fspath(path))
    replaced = _beside(target)
    try:
        for folder, _, names in os.walk(made):
            for name in names:
                _sync_file(Path(folder, name))
            _sync_folder(Path(folder))
        if target.exists():
            os.replace(target, replaced)
        try:
            os.replace(made, target)
        except BaseException:
            if replaced.exists():
                os.replace(replaced, target)
            raise
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(replaced, ignore_errors=True)


def _beside(target: Path) -> Path:
    """A hidden name in the same folder that nobody else uses."""
    return target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")


def _sync_file(path: Path) -> None:
    """Force what was written into a file to the disk."""
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system and the file system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
