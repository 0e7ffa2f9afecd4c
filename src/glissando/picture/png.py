"""PNG files, taken apart: metadata are read here, and the pixels' chunks alone go to Pillow.

Pillow refuses a picture whose metadata it cannot read. Here each such chunk costs a note. The chunks are those of the
PNG specification, third edition, 11.3; text chunks named "Raw profile type" are those of ImageMagick.
"""

from __future__ import annotations

import binascii
import io
import re
import struct
import zlib
from typing import IO

from .colour_tags import Cicp
from .metadata import Density, FileMetadata

__all__ = ["inserted", "separate"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_FOR_PIXELS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")  # ancillary, but they change what is seen
_SILENT = (b"tIME", b"bKGD", b"hIST", b"sBIT", b"sPLT")  # hints to programs, not part of the picture
_XMP_KEYWORD = "XML:com.adobe.xmp"


def separate(stream: IO[bytes]) -> tuple[IO[bytes], FileMetadata]:
    """A PNG of the chunks that pixels need, and what the others tell. The stream stands at the signature.

    What follows the first chunk that is cut short, or none at all, is passed on as it is.
    """
    pixels = io.BytesIO()
    pixels.write(stream.read(len(SIGNATURE)))
    found = FileMetadata()
    while len(head := stream.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if not kind.isalpha() or length >= 2**31:
            break
        body = stream.read(length + 4)
        if len(body) < length + 4 or not kind[0] & 0x20:  # critical chunks are Pillow's to check
            pixels.write(head + body)
            if len(body) < length + 4:
                break
            if kind == b"IEND":
                break
            continue
        data, crc = body[:-4], body[-4:]
        if zlib.crc32(data, zlib.crc32(kind)).to_bytes(4, "big") != crc:
            found.notes.append(f"chunk {kind.decode()} is damaged (its CRC does not agree); left out")
        elif kind in _FOR_PIXELS:
            pixels.write(head + body)
        else:
            _read_chunk(kind, data, found)
    else:
        pixels.write(head)
    pixels.seek(0)
    return pixels, found


def inserted(data: bytes, kind: bytes, content: bytes) -> bytes:
    """A whole PNG with one chunk more, right behind its header."""
    end = len(SIGNATURE) + 25
    crc = zlib.crc32(content, zlib.crc32(kind))
    return data[:end] + struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc) + data[end:]


class _UnreadableError(Exception):
    """Metadata that cannot be read, in words that follow its name."""


def _read_chunk(kind: bytes, data: bytes, found: FileMetadata) -> None:
    reader = _CHUNKS.get(kind)
    if reader is None:
        if kind not in _SILENT:
            found.notes.append(f"chunk {kind.decode()} is not carried; left out")
        return
    if len(data) > found.room:
        found.notes.append(f"chunk {kind.decode()} of {len(data):,} bytes is too long; left out")
        return
    try:
        reader(data, found)
    except _UnreadableError as error:
        found.notes.append(f"chunk {kind.decode()} {error}; left out")
    except (ValueError, struct.error, IndexError):
        found.notes.append(f"chunk {kind.decode()} cannot be read; left out")


def _inflated(data: bytes, found: FileMetadata) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(data, found.room)
    except zlib.error as error:
        raise _UnreadableError("is damaged (its compression)") from error
    if unpacker.unconsumed_tail:
        raise _UnreadableError(f"has more than {found.room:,} bytes")
    found.room -= len(content)
    return content


def _iccp(data: bytes, found: FileMetadata) -> None:
    _, rest = data.split(b"\0", 1)
    found.icc = _inflated(rest[1:], found)


def _cicp(data: bytes, found: FileMetadata) -> None:
    primaries, transfer, matrix, full_range = struct.unpack(">4B", data)
    if matrix != 0:
        raise _UnreadableError(f"names a matrix, {matrix}, which PNG does not have")
    if not full_range:
        found.notes.append(
            "chunk cICP says that samples have a narrow range; they are kept, and taken for the full range"
        )
    found.cicp = Cicp(primaries, transfer)


def _gama(data: bytes, found: FileMetadata) -> None:
    (value,) = struct.unpack(">I", data)
    if not 1_000 <= value <= 10_000_000:
        raise _UnreadableError(f"has the impossible value {value}")
    found.gamma = 100_000 / value


def _chrm(data: bytes, found: FileMetadata) -> None:
    values = struct.unpack(">8I", data)
    if max(values) > 200_000:
        raise _UnreadableError("has impossible values")
    a, b, c, d, e, f, g, h = (value / 100_000 for value in values)
    found.chromaticities = (a, b, c, d, e, f, g, h)


def _srgb(data: bytes, found: FileMetadata) -> None:
    found.srgb = len(data) == 1


def _phys(data: bytes, found: FileMetadata) -> None:
    x, y, unit = struct.unpack(">IIB", data)
    if x and y and unit < 2 and (unit or x != y):
        found.density = Density(x, y, unit == 1)


def _exif(data: bytes, found: FileMetadata) -> None:
    found.exif = data


def _text(data: bytes, found: FileMetadata) -> None:
    keyword, content = data.split(b"\0", 1)
    _keep(keyword, content.decode("latin-1"), found)


def _ztxt(data: bytes, found: FileMetadata) -> None:
    keyword, rest = data.split(b"\0", 1)
    _keep(keyword, _inflated(rest[1:], found).decode("latin-1"), found)


def _itxt(data: bytes, found: FileMetadata) -> None:
    keyword, rest = data.split(b"\0", 1)
    compressed, rest = rest[0], rest[2:]
    _language, _translated, content = rest.split(b"\0", 2)
    if compressed:
        content = _inflated(content, found)
    if keyword.decode("latin-1") == _XMP_KEYWORD:
        found.xmp = content
    else:
        _keep(keyword, content.decode("utf-8"), found)


def _keep(keyword: bytes, content: str, found: FileMetadata) -> None:
    name = keyword.decode("latin-1")
    if raw := re.match(r"Raw profile type (\w+)$", name):
        _keep_profile(raw[1].lower(), _raw_profile(content, name), found)
    elif name == _XMP_KEYWORD:
        found.xmp = content.encode()
    else:
        found.text.append((name, content))


def _keep_profile(kind: str, data: bytes, found: FileMetadata) -> None:
    """Metadata that ImageMagick wrote as text; the chunks that are meant for the same win."""
    if kind in ("exif", "app1") and data.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        found.xmp = found.xmp or data.split(b"\0", 1)[1]
    elif kind in ("exif", "app1"):
        found.exif = found.exif or data.removeprefix(b"Exif\0\0")
    elif kind == "xmp":
        found.xmp = found.xmp or data.removeprefix(b"http://ns.adobe.com/xap/1.0/\0")
    elif kind in ("icc", "icm"):
        found.icc = found.icc or data
    elif kind in ("iptc", "8bim"):
        from .jpeg import iptc_of_resources

        found.iptc = found.iptc or iptc_of_resources(data.removeprefix(b"Photoshop 3.0\0"))
    else:
        found.notes.append(f"a raw profile of the type {kind} is not carried; left out")


def _raw_profile(content: str, name: str) -> bytes:
    """The bytes of a raw profile: a name, a length and that many bytes in hexadecimal; junk behind them is ignored."""
    parts = re.match(r"\s*(\S+)\s+(\d+)\s", content)
    if parts is None:
        raise _UnreadableError(f"({name}) cannot be read")
    length = int(parts[2][:10])
    digits = re.sub(r"\s", "", content[parts.end() :])[: 2 * length]
    try:
        data = binascii.unhexlify(digits)
    except (ValueError, binascii.Error):
        data = b""
    if len(data) != length:
        raise _UnreadableError(f"({name}) is damaged")
    return data


_CHUNKS = {
    b"iCCP": _iccp,
    b"cICP": _cicp,
    b"gAMA": _gama,
    b"cHRM": _chrm,
    b"sRGB": _srgb,
    b"pHYs": _phys,
    b"eXIf": _exif,
    b"tEXt": _text,
    b"zTXt": _ztxt,
    b"iTXt": _itxt,
}
