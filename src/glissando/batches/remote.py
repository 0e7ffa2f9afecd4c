"""Stores that fsspec opens by their URL: object stores such as S3, file servers, memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import posixpath
from collections.abc import Callable, Iterator
from typing import Any

from glissando.errors import GlissandoError, InputError

from .stores import Entry, check_size

__all__ = ["Remote"]

WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss"})
"""Protocols of object stores: an object gets its name when all of its bytes are there, and needs no folder."""

STAMPS = ("ETag", "etag", "md5Hash", "checksum", "mtime", "LastModified", "last_modified", "updated", "modified")
"""What listings call that which changes with a file's content; of several the first is taken."""


class Remote:
    """Files below a URL."""

    def __init__(self, where: str) -> None:
        try:
            import fsspec
        except ModuleNotFoundError:
            raise InputError(
                f"{where}: URLs need the package fsspec: pip install 'glissando[batch]', and the package of the store"
            ) from None
        self.where = where
        try:
            # Without a cache of listings: it would hold the names of all files, and answer with what was there before.
            fs, root = fsspec.url_to_fs(where, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise InputError(f"{where}: {error}") from None
        self._fs: Any = fs
        self._root = str(root).rstrip("/")
        protocols = (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
        self._writes_whole = not WHOLE.isdisjoint(protocols)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def walk(self, wanted: Callable[[str], bool]) -> Iterator[Entry | OSError]:
        """See ``Store``. In memory are the entries of one folder, and the names of folders still to be listed."""
        pending = [""]
        while pending:
            below = pending.pop()
            try:
                with _as_errors_of_a_system():
                    found = self._fs.ls(self._path(below) if below else self._root, detail=True)
            except OSError as error:
                if not below:
                    raise
                yield error
                continue
            for entry in found:
                name = posixpath.basename(str(entry["name"]).rstrip("/"))
                if entry["type"] == "directory":
                    if self._path(f"{below}{name}") == str(entry["name"]).rstrip("/"):  # and not the folder itself
                        pending.append(f"{below}{name}/")
                elif name and wanted(name):
                    yield Entry(f"{below}{name}", entry.get("size"), _stamp(entry))

    def exists(self, name: str) -> bool:
        """See ``Store``."""
        with _as_errors_of_a_system():
            return bool(self._fs.exists(self._path(name)))

    def has(self, name: str, size: int) -> bool:
        """See ``Store``."""
        return True

    def read(self, name: str, size: int | None = None) -> bytes:
        """See ``Store``. Without a size it takes one request more."""
        path = self._path(name)
        with _as_errors_of_a_system():
            check_size((self._fs.size(path) or 0) if size is None else size)
            data: bytes = self._fs.cat_file(path)
        return data

    def write(self, name: str, data: bytes, *, sync: bool = False) -> None:
        """See ``Store``: where the protocol has no whole objects, a hidden file is written, which then takes the name.

        ``sync`` is left to the store.
        """
        with _as_errors_of_a_system():
            self._put(name, lambda path: self._fs.pipe_file(path, data))

    def download(self, name: str, path: str) -> None:
        """Copy a file to this machine. Raises OSError."""
        with _as_errors_of_a_system():
            self._fs.get_file(self._path(name), path)

    def upload(self, path: str, name: str) -> None:
        """Copy a file of this machine, as ``write`` does."""
        with _as_errors_of_a_system():
            self._put(name, lambda target: self._fs.put_file(path, target))

    def _put(self, name: str, put: Callable[[str], None]) -> None:
        path = self._path(name)
        if self._writes_whole:
            put(path)
            return
        folder = posixpath.dirname(path)
        digest = hashlib.blake2s(os.fsencode(posixpath.basename(path)), digest_size=8).hexdigest()
        partial = f"{folder}/.{digest}.glissando-partial"
        self._fs.makedirs(folder, exist_ok=True)
        try:
            put(partial)
            self._fs.mv(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                self._fs.rm_file(partial)
            raise


def _stamp(entry: dict[str, Any]) -> str:
    known = next((entry[key] for key in STAMPS if entry.get(key)), None)
    return "" if known is None else f"{entry.get('size')} {known}"


@contextlib.contextmanager
def _as_errors_of_a_system() -> Iterator[None]:
    """What the libraries of stores raise becomes an OSError with a number and a text.

    They have errors of their own, as for a connection that is lost, and raise those of Python without a number.
    """
    try:
        yield
    except (GlissandoError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        text = " ".join(str(error).split())
        number = next((number for kind, number in _NUMBERS.items() if isinstance(error, kind)), None)
        if number is None:
            raise OSError(errno.EIO, f"{type(error).__name__}: {text}") from error
        raise OSError(number, f"{os.strerror(number)}: {text}") from error


_NUMBERS = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES, TimeoutError: errno.ETIMEDOUT}
"""What the system calls errors that Python has a class for."""
