"""Folders of this machine."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from glissando.files import atomic_write

from .stores import Entry, check_size

__all__ = ["Folder"]


class Folder:
    """A folder of this machine."""

    def __init__(self, where: str) -> None:
        self.where = os.path.abspath(where)

    def path(self, name: str) -> str:
        """The path of a file."""
        return os.path.join(self.where, *name.split("/"))

    def walk(self, wanted: Callable[[str], bool]) -> Iterator[Entry | OSError]:
        """See ``Store``. Links to folders are not followed. In memory are the names of folders still to be listed."""
        if not os.path.isdir(self.where):
            missing = not os.path.lexists(self.where)
            number = errno.ENOENT if missing else errno.ENOTDIR
            raise OSError(number, os.strerror(number), self.where)
        pending = [""]
        while pending:
            below = pending.pop()
            try:
                with os.scandir(self.path(below.rstrip("/")) if below else self.where) as entries:
                    for entry in entries:
                        try:
                            if entry.is_dir(follow_symlinks=False):
                                pending.append(f"{below}{entry.name}/")
                            elif wanted(entry.name):
                                yield self._entry(below, entry)
                        except OSError as error:
                            yield error
            except OSError as error:
                yield error

    def _entry(self, below: str, entry: os.DirEntry[str]) -> Entry:
        if not entry.is_file():
            raise OSError(errno.EINVAL, "no file that can be read from its beginning to its end", entry.path)
        found = entry.stat()
        return Entry(f"{below}{entry.name}", found.st_size, f"{found.st_size} {found.st_mtime_ns}")

    def exists(self, name: str) -> bool:
        """See ``Store``."""
        return os.path.exists(self.path(name))

    def has(self, name: str, size: int) -> bool:
        """See ``Store``."""
        try:
            return os.stat(self.path(name)).st_size == size
        except OSError:
            return False

    def read(self, name: str, size: int | None = None) -> bytes:
        """See ``Store``."""
        with open(self.path(name), "rb") as stream:
            check_size(os.fstat(stream.fileno()).st_size)
            return stream.read()

    def write(self, name: str, data: bytes, *, sync: bool = False) -> None:
        """See ``Store``."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic_write(path, data, sync=sync)
