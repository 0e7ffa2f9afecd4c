"""Reading what cannot seek, such as a pipe, without reading for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from glissando.errors import InputError

__all__ = ["HEAD", "MOST", "read_pipe"]

HEAD = 64
"""Bytes by which a file is recognised."""
MOST = 2**32
"""Bytes that are taken from a pipe; no file that can be decoded needs as many."""


def read_pipe(stream: IO[bytes], wanted: Callable[[bytes], bool], *, name: str) -> bytes:
    """All bytes of a stream; where its first 64 are not ``wanted``, those alone, since it may have no end.

    Raises InputError, whose message begins with ``name``, where there are more than ``MOST``; OSError where it cannot
    be read.
    """
    content = bytearray()
    while len(content) < HEAD and (part := stream.read(HEAD - len(content))):
        content += part
    if not wanted(bytes(content)):
        return bytes(content)
    while part := stream.read(2**20):
        content += part
        if len(content) > MOST:
            raise InputError(f"{name}: more than {MOST:,} bytes come from a pipe; write them to a file first")
    return bytes(content)
