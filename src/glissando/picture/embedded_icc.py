"""ICC profiles of formats whose plugins pass them over: JPEG 2000 and BMP."""

from __future__ import annotations

import struct
from typing import IO

from .isobmff import boxes_in, content_of

__all__ = ["embedded_icc"]

_MAX_PROFILE = 2**24
_BMP_WITH_PROFILE = 124  # bytes of the header of version 5, the only one that has profiles


def embedded_icc(stream: IO[bytes], format: str) -> bytes | None:
    """The profile in a file of this format, by Pillow's name; None where there is none. The stream's place is kept."""
    if format not in ("JPEG2000", "BMP"):
        return None
    position = stream.tell()
    try:
        stream.seek(0)
        return _of_bmp(stream) if format == "BMP" else _of_jpeg_2000(stream)
    finally:
        stream.seek(position)


def _of_jpeg_2000(stream: IO[bytes]) -> bytes | None:
    """The box "colr" of method 2 (ISO/IEC 15444-1, I.5.3.3), or of method 3, which only JPX has."""
    for kind, content in boxes_in(content_of(stream, b"jp2h")):
        if kind == b"colr" and content[:1] in (b"\2", b"\3"):
            return content[3:] or None
    return None


def _of_bmp(stream: IO[bytes]) -> bytes | None:
    """The profile that a header of version 5 places, in bytes from the header's beginning (BITMAPV5HEADER)."""
    head = stream.read(14 + _BMP_WITH_PROFILE)
    if len(head) < 14 + _BMP_WITH_PROFILE or int.from_bytes(head[14:18], "little") != _BMP_WITH_PROFILE:
        return None
    kind = head[14 + 56 : 14 + 60]  # a little-endian number whose bytes spell MBED
    offset, size = struct.unpack("<II", head[14 + 112 : 14 + 120])
    if kind != b"DEBM" or size > _MAX_PROFILE:
        return None
    stream.seek(14 + offset)
    profile = stream.read(size)
    return profile if len(profile) == size and size else None
