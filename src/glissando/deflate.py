"""Bytes to deflate's stream (RFC 1951, without a header of zlib's or gzip's) and back, where the size is known."""

from __future__ import annotations

import zlib

from .errors import CorruptError

__all__ = ["deflated", "inflated"]

_RAW = -15  # a stream without a header, window of 32 KiB


def deflated(data: bytes, level: int = 9) -> bytes:
    """``data`` compressed; ``level`` from 1, fast, to 9, small."""
    packer = zlib.compressobj(level, wbits=_RAW)
    return packer.compress(data) + packer.flush()


def inflated(data: bytes, size: int, name: str, wanted: str | None = None) -> bytes:
    """Exactly the ``size`` bytes that ``deflated`` was given; no more memory than that, whatever ``data`` holds.

    ``name`` and ``wanted``, "SIZE bytes" unless given, are for messages. Raises CorruptError where the data are
    damaged, or hold more or less.
    """
    unpacker = zlib.decompressobj(_RAW)
    try:
        # One byte more than expected tells a stream that is too long without inflating all of it.
        raw = unpacker.decompress(data, size + 1)
    except zlib.error as error:
        raise CorruptError(f"{name} cannot be inflated: {error}") from error
    if len(raw) != size or not unpacker.eof or unpacker.unused_data:
        raise CorruptError(f"{name} does not inflate to {wanted or f'{size} bytes'}")
    return raw
