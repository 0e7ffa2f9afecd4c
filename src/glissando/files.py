"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

__all__ = ["atomic_write"]


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` so that no reader, and no crash of this process, ever sees half of it.

    The bytes go to a temporary file in the same folder, which then takes the name in one step. An existing
    file keeps its permissions, a symbolic link stays a link to the new content, and what is not a regular
    file (``/dev/null``, a pipe) is written directly.

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
            stream.write(data)
        return
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(13, "Permission denied", os.fspath(path))
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        # O_EXCL through mode "x": never follow or overwrite somebody else's file; permissions by the umask.
        stream = open(temporary, "xb")  # noqa: SIM115  (closed below, before the file is renamed)
    except OSError as error:
        error.filename = os.fspath(path)  # a message about the name that the caller knows
        raise
    try:
        with stream:
            stream.write(data)
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
