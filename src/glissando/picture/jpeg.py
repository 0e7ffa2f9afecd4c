"""The segments of JPEG files that Pillow does not put together: extended XMP, IPTC, gain maps; read and written."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence

from . import xmp as xmp_packets

__all__ = ["MAX_SEGMENT", "extended_xmp", "iptc_of_resources", "iptc_segment", "names_gain_map", "xmp_segments"]

MAX_SEGMENT = 65533
"""Bytes that a segment holds at most, without its marker and length."""

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENSION_HEAD = len(_EXTENSION) + 40  # identifier, length of the whole, offset of the part
_PHOTOSHOP = b"Photoshop 3.0\0"
_ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"
_IPTC_RESOURCE = 0x0404


def extended_xmp(xmp: bytes, segments: Sequence[tuple[str, bytes]], limit: int) -> tuple[bytes, list[str]]:
    """An XMP packet with the extension that it names (XMP part 3, 1.1.3.1), and notes.

    Args:
        xmp: the packet of the file's first XMP segment.
        segments: marker's name and content of each application segment of the file.
        limit: bytes that the extension may have.
    """
    found = re.search(rb"xmpNote:HasExtendedXMP(?:\s*=\s*[\"']|>)([0-9A-Fa-f]{32})", xmp)
    if found is None:
        return xmp, []
    parts, length = [], 0
    for name, content in segments:
        if name == "APP1" and content.startswith(_EXTENSION + found[1]) and len(content) >= _EXTENSION_HEAD:
            length, offset = struct.unpack(">II", content[_EXTENSION_HEAD - 8 : _EXTENSION_HEAD])
            parts.append((offset, content[_EXTENSION_HEAD:]))
    parts.sort(key=lambda part: part[0])
    whole = b"".join(content for _, content in parts) if length <= limit else b""
    if len(whole) != length or not whole or hashlib.md5(whole).hexdigest() != found[1].decode().lower():
        return xmp, ["the extended part of the XMP is damaged or missing; left out"]
    merged = xmp_packets.merge_extension(xmp, whole)
    if merged is None:
        return xmp, ["the extended part of the XMP has an unusual form; left out"]
    return merged, []


def xmp_segments(xmp: bytes) -> tuple[bytes, bytes]:
    """A long packet as one that is short enough for a segment, and the segments of its extension, with markers."""
    identifier = hashlib.md5(xmp).hexdigest().upper().encode()
    short = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        b'xmpNote:HasExtendedXMP="' + identifier + b'"/></rdf:RDF></x:xmpmeta>'
    )
    step = MAX_SEGMENT - _EXTENSION_HEAD
    segments = b"".join(
        _segment(1, _EXTENSION + identifier + struct.pack(">II", len(xmp), start) + xmp[start : start + step])
        for start in range(0, len(xmp), step)
    )
    return short, segments


def iptc_of_resources(resources: bytes) -> bytes | None:
    """The IPTC records in image resources of Photoshop; the bytes themselves where they are records already."""
    if resources[:1] == b"\x1c":
        return resources
    at = 0
    while resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        code = int.from_bytes(resources[at + 4 : at + 6], "big")
        at += 6 + (resources[at + 6] // 2 + 1) * 2  # a name of even length, its own length included
        size = int.from_bytes(resources[at : at + 4], "big")
        if code == _IPTC_RESOURCE:
            return resources[at + 4 : at + 4 + size] or None
        at += 4 + size + size % 2
    return None


def iptc_segment(iptc: bytes) -> bytes | None:
    """The segment that holds IPTC records, with its marker; None where they are too long."""
    resource = b"8BIM" + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
    content = _PHOTOSHOP + resource
    return _segment(13, content) if len(content) <= MAX_SEGMENT else None


def names_gain_map(segments: Sequence[tuple[str, bytes]]) -> bool:
    """Whether the file says by ISO 21496-1 that it has a gain map."""
    return any(name == "APP2" and content.startswith(_ISO_GAIN_MAP) for name, content in segments)


def _segment(number: int, content: bytes) -> bytes:
    return bytes([0xFF, 0xE0 + number]) + struct.pack(">H", len(content) + 2) + content
