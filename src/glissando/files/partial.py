"""Temporary files that become others: found again, and removed, when the process that wrote them was killed."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import re
import stat
from pathlib import Path
from typing import IO, Any

# Windows has no such module; it does not remove the name of an open file, which is lock enough.
fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None

__all__ = ["LOCKS", "clear_litter", "is_partial", "open_partial"]

LOCKS = fcntl is not None
"""Whether a temporary file is locked while it is open, and may be renamed meanwhile."""

_PARTIAL = re.compile(r"\.[0-9a-f]{16}(?:\.\d+)?\.glissando-partial")


def is_partial(path: str) -> bool:
    """Whether a file has the name of a temporary file."""
    return _PARTIAL.fullmatch(os.path.basename(path)) is not None


def clear_litter(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files of ``atomic_file`` in a folder that killed processes left there.

    Files that another process is writing at this moment are locked by it, and stay.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_partial(entry.name):
                _discard(Path(entry.path))


def open_partial(target: Path) -> tuple[Path, IO[bytes]]:
    """A new file beside ``target``, locked as long as it is open, so that others see that somebody writes it.

    Its name is short and always the same for a target, so that what a killed process left is found again; only where
    another process writes the same target at this moment, it is the next that is free.
    """
    digest = hashlib.blake2s(os.fsencode(target.name), digest_size=8).hexdigest()
    number = 0
    while True:
        again = f".{number}" if number else ""
        partial = target.with_name(f".{digest}{again}.glissando-partial")
        try:
            # Mode "x": never follow or overwrite somebody else's file; permissions by the umask.
            stream = open(partial, "xb")  # noqa: SIM115  (the caller closes it)
        except FileExistsError:
            if not _discard(partial):
                number += 1
            continue
        if _lock(stream.fileno()) and _is_still(partial, stream.fileno()):
            return partial, stream
        stream.close()  # another process has cleared it in the instant before it was locked


def _discard(partial: Path) -> bool:
    """Remove a temporary file that nobody writes any more; whether it is gone."""
    try:
        if fcntl is None:
            os.unlink(partial)
            return True
        handle = os.open(partial, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return False
        if _is_still(partial, handle):
            os.unlink(partial)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Lock a new file; whether that went well, or the file system has no locks, so that nobody else can lock it."""
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def _is_still(path: Path, handle: int) -> bool:
    """Whether a name is still that of an open file."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(handle))
    except OSError:
        return False
