"""What JPEG XL files tell that their decoder does not, or only after it has decoded the pixels: ISO/IEC 18181."""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass, field
from typing import IO

from glissando.errors import PictureError

from .isobmff import boxes_of
from .metadata import MAX_METADATA

__all__ = ["JxlFile", "read_jxl", "without_packed"]

_CODESTREAM = b"\xff\x0a"
_HEADERS = 64  # bytes of the codestream in which all that is read here ends
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(slots=True)
class JxlFile:
    """What a file tells beside its pixels.

    Attributes:
        width, height: in pixels, before its orientation is applied.
        depth: bits of a sample.
        animated: whether there may be several frames.
        xmp: the XMP packet, or None.
        exif: EXIF that is compressed in the file, which the decoder passes over; or None.
        notes: a sentence for each of the compressed metadata that cannot be unpacked.
    """

    width: int = 0
    height: int = 0
    depth: int = 8
    animated: bool = False
    xmp: bytes | None = None
    exif: bytes | None = None
    notes: list[str] = field(default_factory=list)


def read_jxl(stream: IO[bytes]) -> JxlFile:
    """What a file tells beside its pixels. The stream stands at its beginning, and is left anywhere.

    Raises:
        PictureError: there is no codestream, or its header is cut short.
    """
    found = JxlFile()
    codestream = stream.read(_HEADERS)
    if not codestream.startswith(_CODESTREAM):
        stream.seek(-len(codestream), 1)
        codestream = b""
        for kind, size in boxes_of(stream):
            wanted = _HEADERS - len(codestream)
            if kind == b"jxlc":
                codestream += stream.read(wanted if size is None else min(size, wanted))
            elif kind == b"jxlp" and wanted:  # a part of it, after its number
                codestream += stream.read(4 + wanted if size is None else min(size, 4 + wanted))[4:]
            elif kind == b"xml " and size is not None and 0 < size <= MAX_METADATA:
                found.xmp = stream.read(size)
            elif kind == b"brob" and size is not None:
                _read_packed(stream.read(min(size, MAX_METADATA)), found)
    _read_headers(codestream, found)
    return found


def without_packed(data: bytes) -> bytes:
    """A file of the same length whose boxes of compressed metadata stand for none that a decoder knows."""
    changed, stream = bytearray(data), io.BytesIO(data)
    for kind, size in boxes_of(stream):
        if kind == b"brob" and size is not None:
            changed[stream.tell() : stream.tell() + 4] = bytes(4)  # what it stands for
    return bytes(changed)


def _read_packed(box: bytes, found: JxlFile) -> None:
    """Take what a box of compressed metadata holds: the type of the box that it stands for, and a Brotli stream."""
    kind = box[:4]
    if kind not in (b"Exif", b"xml "):
        found.notes.append(f"compressed metadata of the type {kind.decode('latin-1')!r} are not carried; left out")
        return
    name = "EXIF" if kind == b"Exif" else "XMP"
    try:
        content = importlib.import_module("imagecodecs").brotli_decode(box[4:], out=MAX_METADATA)
    except ImportError:
        found.notes.append(f"compressed {name} needs the package imagecodecs, which is not installed; left out")
    except Exception:  # the package's own kind of error, whose name depends on its version
        found.notes.append(f"compressed {name} is damaged or too long; left out")
    else:
        if kind == b"xml ":
            found.xmp = content
        else:
            # The offset of the TIFF header comes first, which some writers leave out.
            found.exif = content[4:] if content[4:8] in (b"II*\0", b"MM\0*") else content


# The headers of the codestream (ISO/IEC 18181-1, annex D) ----------------------------------------------------------


class _Bits:
    """The bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._rest, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise PictureError("damaged or cut short (the header of a JPEG XL codestream)")
        value, self._rest = self._rest & (1 << count) - 1, self._rest >> count
        return value

    def one_of(self, *ways: tuple[int, int]) -> int:
        """A number in one of four ways, each a first value and how many bits are added to it."""
        first, bits = ways[self.take(2)]
        return first + self.take(bits)


def _read_headers(codestream: bytes, found: JxlFile) -> None:
    if not codestream.startswith(_CODESTREAM):
        raise PictureError("damaged or cut short (no JPEG XL codestream)")
    bits = _Bits(codestream[len(_CODESTREAM) :])
    found.width, found.height = _size(bits)
    if bits.take(1):  # all else is as usual
        return
    if bits.take(1):
        bits.take(3)  # orientation
        if bits.take(1):
            _size(bits)  # the size at which the picture should be shown
        if bits.take(1):
            _skip_preview(bits)
        if bits.take(1):
            found.animated = True
            bits.one_of((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.one_of((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.one_of((0, 0), (0, 3), (0, 16), (0, 32))
            bits.take(1)
    real = bits.take(1)
    found.depth = (
        bits.one_of((32, 0), (16, 0), (24, 0), (1, 6)) if real else bits.one_of((8, 0), (10, 0), (12, 0), (1, 6))
    )


def _size(bits: _Bits) -> tuple[int, int]:
    """Width and height."""
    by_eight = bool(bits.take(1))

    def length() -> int:
        return 8 * (1 + bits.take(5)) if by_eight else bits.one_of((1, 9), (1, 13), (1, 18), (1, 30))

    height = length()
    ratio = bits.take(3)
    if ratio == 0:
        return length(), height
    numerator, denominator = _RATIOS[ratio - 1]
    return height * numerator // denominator, height


def _skip_preview(bits: _Bits) -> None:
    by_eight = bool(bits.take(1))

    def length() -> int:
        if by_eight:
            return bits.one_of((16, 0), (32, 0), (1, 5), (33, 9))
        return bits.one_of((1, 6), (65, 8), (321, 10), (1345, 12))

    length()
    if bits.take(3) == 0:
        length()
