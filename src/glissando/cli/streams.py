"""Standard streams that are closed, full or slow, and outputs that may be one of them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import IO, Any, cast

import typer

from glissando.cli.common import STANDARD, drop_output

__all__ = ["open_missing_streams", "open_output", "tell", "write_output"]


def open_missing_streams() -> None:
    """Open each standard stream that the program was started without, as by ``>&-`` in a shell.

    A file that is opened later would take its number, and get what is meant for the stream. Reading from a missing
    standard input and writing to a missing standard output fail; what a missing standard error is told is dropped.
    """
    for name, way, mode in (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, way), mode))  # the lowest number that is free


def tell(text: str) -> None:
    """One line of a command's result on standard output. Raises OSError, whose file name is ``-``."""
    try:
        try:
            typer.echo(text)
        except UnicodeEncodeError:  # of the name of a file, which need not be text
            typer.echo(os.fsencode(text))
    except OSError as error:
        error.filename = STANDARD
        drop_output()
        raise


def write_output(
    dest: str, data: bytes | memoryview, *, sync: bool = False, like: os.stat_result | None = None
) -> None:
    """Write all bytes of an output: a file, as ``glissando.files.atomic_write`` does, or standard output for ``-``.

    Raises OSError, whose file name is ``dest``.
    """
    with open_output(dest, sync=sync, like=like) as stream:
        stream.write(data)


@contextlib.contextmanager
def open_output(dest: str, *, sync: bool = False, like: os.stat_result | None = None) -> Iterator[IO[bytes]]:
    """An output to write to: a file, as ``glissando.files.atomic_file`` opens it, or standard output for ``-``.

    Standard output cannot seek, and has what was written to it also where the block ends by an exception. Raises
    OSError, whose file name is ``dest``.
    """
    from glissando.files import atomic_file

    if dest != STANDARD:
        with atomic_file(dest, sync=sync, like=like) as stream:
            yield stream
        return
    try:
        sys.stdout.flush()
        buffered = sys.stdout.buffer
        buffered.flush()
        yield cast(IO[bytes], _Unbuffered(getattr(buffered, "raw", buffered)))
    except OSError as error:
        if error.filename is None:
            error.filename = STANDARD
        raise


class _Unbuffered(io.RawIOBase):
    """A stream that takes all it is given, over one that may take less; it leaves that one open."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        from glissando.files import write_all

        write_all(self._stream, data)
        return memoryview(data).nbytes
