"""Folders that are written whole or not at all, and outlast a power cut once they are there."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["atomic_folder", "replace_folder", "sync_folder"]


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
            sync_folder(Path(folder))
        if target.exists():
            os.replace(target, replaced)
        try:
            os.replace(made, target)
        except BaseException:
            if replaced.exists():
                os.replace(replaced, target)
            raise
        sync_folder(target.parent)
    finally:
        shutil.rmtree(replaced, ignore_errors=True)


def _beside(target: Path) -> Path:
    """A hidden name in the same folder that nobody else uses, for a folder."""
    return target.with_name(f".{secrets.token_hex(8)}.tmp")


def _sync_file(path: Path) -> None:
    """Force what was written into a file to the disk."""
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system and the file system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
