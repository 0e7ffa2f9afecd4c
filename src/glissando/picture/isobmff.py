"""AVIF and HEIF files, as far as their boxes tell what Pillow does not: ISO/IEC 14496-12 and 23008-12."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from .colour_tags import Cicp

__all__ = [
    "HeifBoxes",
    "box_spans",
    "boxes_in",
    "boxes_of",
    "brands",
    "content_of",
    "read_boxes",
    "with_cicp",
    "without_exif",
]

_MAX_META = 2**24  # bytes of the box "meta", which has no pixels in the files of cameras
_MAX_BOXES = 100_000
_CODED = 1024  # bytes of coded data in which its headers end


@dataclass(frozen=True, slots=True)
class HeifBoxes:
    """What the boxes of a file tell.

    Attributes:
        cicp: the code points of the primary picture; None where it has none.
        gain_map: whether another picture is a gain map.
        kind: the type of the primary picture, which says how it is coded, such as "hvc1"; of a picture in parts, of its
            first part. Empty where the file does not say it.
        coded: the first bytes of its coded data.
    """

    cicp: Cicp | None = None
    gain_map: bool = False
    kind: str = ""
    coded: bytes = b""


def brands(head: bytes) -> tuple[bytes, ...]:
    """The major brand of a file that begins like this and the compatible ones; empty where it is of another kind."""
    if head[4:8] != b"ftyp":
        return ()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return (head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4)))


def read_boxes(stream: IO[bytes]) -> HeifBoxes:
    """What the boxes of a file tell; nothing where they are damaged. The stream's position is kept."""
    position = stream.tell()
    try:
        stream.seek(0)
        meta = content_of(stream, b"meta")[4:]  # version and flags first
        return _of_meta(meta, stream) if meta else HeifBoxes()
    except (IndexError, ValueError, OverflowError):
        return HeifBoxes()
    finally:
        stream.seek(position)


def with_cicp(data: bytes, cicp: Cicp) -> bytes:
    """A file of one picture, with these code points in place of those that its encoder wrote.

    Raises ValueError where it has no box of code points.
    """
    at = data.find(b"colrnclx", 0, 2**16)
    if at < 0:
        raise ValueError("the encoder wrote no code points")
    points = cicp.primaries.to_bytes(2, "big") + cicp.transfer.to_bytes(2, "big")
    return data[: at + 8] + points + data[at + 12 :]


def without_exif(data: bytes) -> bytes:
    """A file of the same length whose EXIF item has a type that no reader knows."""
    # An entry of the table of items: version 2 or 3, flags, number, protection, type (ISO/IEC 14496-12, 8.11.6.2).
    return (
        re.sub(rb"(infe[\2\3]...(?:....|......))Exif", rb"\1skip", data[:_MAX_META], flags=re.DOTALL) + data[_MAX_META:]
    )


def content_of(stream: IO[bytes], wanted: bytes) -> bytes:
    """The content of the file's first box of a type, read from where the stream stands; empty where there is none."""
    for kind, size in boxes_of(stream):
        if kind == wanted:
            return stream.read(_MAX_META if size is None else min(size, _MAX_META))
    return b""


def boxes_of(stream: IO[bytes]) -> Iterator[tuple[bytes, int | None]]:
    """Type and bytes of content of the boxes from where the stream stands, which then stands at the content of each.

    The size is None where the file does not say it, or says a size that cannot be: such a box is the last one.
    """
    for _ in range(_MAX_BOXES):
        head = stream.read(8)
        if len(head) < 8:
            return
        size, kind, used = int.from_bytes(head[:4], "big"), head[4:], 8
        if size == 1:
            size, used = int.from_bytes(stream.read(8), "big"), 16
        start = stream.tell()
        yield kind, size - used if size >= used else None
        if size < used:
            return
        stream.seek(start + size - used)


def boxes_in(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of the boxes that lie one after the other."""
    return ((kind, data[place]) for kind, place in box_spans(data, slice(0, len(data))))


def box_spans(data: bytes | bytearray, place: slice) -> Iterator[tuple[bytes, slice]]:
    """Type of the boxes that lie one after the other at a place in the data, and where their content lies."""
    at, stop = place.start, place.stop
    while at + 8 <= stop:
        size, kind, used = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8]), 8
        if size == 1:
            size, used = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = stop - at
        if size < used:
            return
        yield kind, slice(at + used, min(at + size, stop))
        at += size


def _of_meta(meta: bytes, stream: IO[bytes]) -> HeifBoxes:
    boxes = dict(boxes_in(meta))
    items = boxes.get(b"iinf", b"")
    auxiliary = b"urn:com:apple:photo:2020:aux:hdrgainmap"
    gain_map = b"tmap" in items or auxiliary in boxes.get(b"iprp", b"")
    properties = dict(boxes_in(boxes.get(b"iprp", b"")))
    colours: dict[int, Cicp] = {}
    for number, (kind, content) in enumerate(boxes_in(properties.get(b"ipco", b"")), 1):
        if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 11:
            points = [int.from_bytes(content[i : i + 2], "big") for i in (4, 6)]
            if max(points) < 256:
                colours[number] = Cicp(*points)
    primary = _primary(boxes.get(b"pitm", b""))
    cicp = None
    for item, associated in _associations(properties.get(b"ipma", b"")):
        if item == primary:
            cicp = next((colours[i] for i in associated if i in colours), None)
            break
    part = _first_part(boxes.get(b"iref", b""), primary)
    coded = _coded(boxes.get(b"iloc", b""), boxes.get(b"idat", b""), part, stream)
    return HeifBoxes(cicp, gain_map, _kind(items, part), coded)


def _primary(pitm: bytes) -> int:
    return int.from_bytes(pitm[4 : 8 if pitm[:1] == b"\1" else 6], "big")


def _kind(iinf: bytes, wanted: int) -> str:
    """The type of an item (ISO/IEC 14496-12, 8.11.6)."""
    for kind, content in boxes_in(iinf[6 if iinf[:1] == b"\0" else 8 :]):
        size = 4 if content[:1] == b"\3" else 2
        if kind == b"infe" and int.from_bytes(content[4 : 4 + size], "big") == wanted:
            return content[6 + size : 10 + size].decode("latin-1")
    return ""


def _first_part(iref: bytes, item: int) -> int:
    """The first of the items that an item is put together of, or itself (ISO/IEC 14496-12, 8.11.12)."""
    size = 4 if iref[:1] == b"\1" else 2
    for kind, content in boxes_in(iref[4:]):
        if kind == b"dimg" and int.from_bytes(content[:size], "big") == item and len(content) >= 2 * size + 2:
            return int.from_bytes(content[size + 2 : 2 * size + 2], "big")
    return item


def _coded(iloc: bytes, idat: bytes, wanted: int, stream: IO[bytes]) -> bytes:
    """The first bytes of an item's data, in the file or in the box "idat" (ISO/IEC 14496-12, 8.11.3)."""
    if len(iloc) < 8:
        return b""
    version, at = iloc[0], 6
    of_offset, of_length, of_base, of_index = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15
    of_item = 4 if version == 2 else 2

    def take(size: int) -> int:
        nonlocal at
        if at + size > len(iloc):
            raise ValueError("the box iloc is cut short")
        at += size
        return int.from_bytes(iloc[at - size : at], "big")

    for _ in range(take(of_item)):
        item = take(of_item)
        method = take(2) & 15 if version else 0
        take(2)
        base = take(of_base)
        for number in range(take(2)):
            if version and of_index:
                take(of_index)
            start, length = base + take(of_offset), take(of_length) or _CODED
            if item == wanted and number == 0:
                if method == 1:
                    return idat[start : start + min(length, _CODED)]
                if method == 0:
                    stream.seek(start)
                    return stream.read(min(length, _CODED))
                return b""
    return b""


def _associations(ipma: bytes) -> Iterator[tuple[int, list[int]]]:
    """Each item, and the numbers of its properties (ISO/IEC 14496-12, 8.11.14.2)."""
    wide_items, wide_numbers = ipma[:1] != b"\0", bool(ipma[3] & 1) if len(ipma) > 3 else False
    at = 8
    while at < len(ipma):
        size = 4 if wide_items else 2
        item, count = int.from_bytes(ipma[at : at + size], "big"), ipma[at + size]
        at += size + 1
        step = 2 if wide_numbers else 1
        mask = 0x7FFF if wide_numbers else 0x7F
        yield item, [int.from_bytes(ipma[i : i + step], "big") & mask for i in range(at, at + step * count, step)]
        at += step * count
