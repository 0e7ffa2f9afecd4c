"""The service's folder: names that clients send, to .gliss files in it and nothing else."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from .remembered import Remembered

__all__ = ["REMEMBERED", "SUFFIX", "Folder", "ServedFile", "file_in"]

SUFFIX = ".gliss"
REMEMBERED = 4096
"""Of how many files the hash, and the header, are remembered."""


@dataclass(frozen=True)
class ServedFile:
    """A file that may be served. ``digest``: of its content, in hexadecimal digits."""

    path: Path
    status: os.stat_result
    digest: str


class Folder:
    """A folder whose .gliss files are served, those in folders below it too."""

    def __init__(self, path: Path) -> None:
        self._root = path.resolve(strict=True)
        self._digests: Remembered[tuple[str, int, int, int], str] = Remembered(REMEMBERED)

    def find(self, identifier: str) -> ServedFile | None:
        """The file that an identifier names: its path in the folder, with or without .gliss at its end.

        None where there is no such file. Neither dots nor links lead out of the folder: what counts is where the file
        really lies. It may read the whole file.
        """
        name = identifier if identifier.endswith(SUFFIX) else identifier + SUFFIX
        parts = name.split("/")
        if "\0" in name or "\\" in name or any(part in ("", ".", "..") for part in parts):
            return None
        try:
            path = self._root.joinpath(*parts).resolve(strict=True)
            if not path.is_relative_to(self._root) or path.suffix != SUFFIX:
                return None
            with open(path, "rb", opener=_without_waiting) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    return None
                key = str(path), status.st_ino, status.st_size, status.st_mtime_ns
                digest = self._digests.get(key) or hashlib.file_digest(file, "sha256").hexdigest()[:32]
        except (OSError, ValueError, RuntimeError):  # not there, not for us, no name at all, links in a circle
            return None
        self._digests.put(key, digest)
        return ServedFile(path, status, digest)


def _without_waiting(path: str, flags: int) -> int:
    """Open a file without waiting for anybody at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


async def file_in(folder: Folder | None, identifier: str) -> ServedFile:
    """The file of a service's folder that an identifier names. Raises HTTPException 404."""
    found = None if folder is None else await run_in_threadpool(folder.find, identifier)
    if found is None:
        raise HTTPException(404, f"no file {identifier[:200]!r} here")
    return found
