"""Standard streams that are closed, full or slow, and outputs that may be one of them."""

from __future__ import annotations

import os
import sys

import typer

from glissando.cli.common import STANDARD, drop_output

__all__ = ["open_missing_streams", "tell", "write_output"]


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
    from glissando.files import atomic_write, write_all

    if dest != STANDARD:
        atomic_write(dest, data, sync=sync, like=like)
        return
    try:
        sys.stdout.flush()
        buffered = sys.stdout.buffer
        buffered.flush()
        write_all(getattr(buffered, "raw", buffered), data)
    except OSError as error:
        error.filename = STANDARD
        raise
