"""What JPEG XL files tell that their decoder does not, or only after it has decoded the pixels: ISO/IEC 18181."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from glissando.errors import PictureError

from .isobmff import boxes_of

__all__ = ["JxlBoxes", "read_boxes"]

_CODESTREAM = b"\xff\x0a"
_MAX_XMP = 2**24
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(slots=True)
class JxlBoxes:
    """What a file tells beside its pixels.

    Attributes:
        width, height: in pixels, before its orientation is applied.
        xmp: the XMP packet, or None.
        packed: whether some metadata are compressed, which the decoder does not unpack.
    """

    width: int = 0
    height: int = 0
    xmp: bytes | None = None
    packed: bool = False


def read_boxes(stream: IO[bytes]) -> JxlBoxes:
    """What a file tells beside its pixels. The stream stands at its beginning, and is left anywhere.

    Raises:
        PictureError: there is no size.
    """
    found = JxlBoxes()
    head = stream.read(12)
    if head.startswith(_CODESTREAM):
        found.width, found.height = _size(head)
        return found
    codestream = b""
    for kind, size in boxes_of(stream):
        if kind == b"jxlc" and not codestream:
            codestream = stream.read(12)
        elif kind == b"jxlp" and not codestream:
            codestream = stream.read(16)[4:]
        elif kind == b"xml " and size is not None and 0 < size <= _MAX_XMP:
            found.xmp = stream.read(size)
        elif kind == b"brob":
            found.packed = True
    found.width, found.height = _size(codestream)
    return found


def _size(codestream: bytes) -> tuple[int, int]:
    """Width and height in the first bytes of a codestream (ISO/IEC 18181-1, D.2); bits come from the lowest."""
    if len(codestream) < 12 or not codestream.startswith(_CODESTREAM):
        raise PictureError("damaged or cut short (no JPEG XL codestream)")
    bits = int.from_bytes(codestream[2:], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & (1 << count) - 1, bits >> count
        return value

    def length(by_eight: bool) -> int:
        return 8 * (1 + take(5)) if by_eight else 1 + take((9, 13, 18, 30)[take(2)])

    by_eight = bool(take(1))
    height = length(by_eight)
    ratio = take(3)
    if ratio == 0:
        return length(by_eight), height
    numerator, denominator = _RATIOS[ratio - 1]
    return height * numerator // denominator, height
