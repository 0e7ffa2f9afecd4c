"""EXIF blocks, changed in place: each number at its position, so that maker notes keep the offsets that they hold.

A block is a TIFF header and directories of entries (Exif 2.32, 4.6.2). Directory 0 describes the picture, the Exif
directory the photograph, and directory 1 the thumbnail. Damaged blocks are left as they are.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["orientation_of", "readable", "set_upright", "without_thumbnail"]

_ORIENTATION = 0x0112
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
_EXIF_DIRECTORY = 0x8769
_THUMBNAIL_OFFSET, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_SHORT, _LONG = 3, 4


def readable(exif: bytes) -> bool:
    """Whether this begins as an EXIF block does."""
    return exif[:4] in (b"II*\0", b"MM\0*")


def orientation_of(exif: bytes) -> int:
    """The orientation that a block tells, 1 to 8; 1 where it tells none, or nonsense."""
    block = _Block(exif)
    found = next((block.value(entry) for entry in block.directory(block.first) if entry.tag == _ORIENTATION), 1)
    return found if 1 <= found <= 8 else 1


def set_upright(exif: bytes, width: int, height: int) -> tuple[bytes, list[str]]:
    """The block of a picture that has been set upright: orientation 1, its size, the thumbnail turned as the picture.

    A thumbnail that cannot be turned, or would become longer, is left out with a note.

    Args:
        exif: the block as it was, with the orientation that the picture had.
        width, height: of the upright picture.
    """
    orientation = orientation_of(exif)
    block = _Block(exif)
    for entry in block.directory(block.first):
        if entry.tag == _ORIENTATION and orientation != 1:
            block.set(entry, 1)
        elif entry.tag == _EXIF_DIRECTORY:
            for inner in block.directory(block.value(entry)):
                block.set_size(inner, width, height)
        else:
            block.set_size(entry, width, height)
    notes = []
    if orientation != 1 and not _turn_thumbnail(block, orientation):
        notes.append("the EXIF thumbnail cannot be turned with the picture; left out")
    return bytes(block.data), notes


def without_thumbnail(exif: bytes) -> bytes:
    """The block without its thumbnail, whose bytes become zero."""
    block = _Block(exif)
    block.drop_thumbnail()
    return bytes(block.data)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where an entry of a directory lies, its tag, and the type and number of its values."""

    at: int
    tag: int
    type: int
    count: int


class _Block:
    """An EXIF block whose numbers can be read and changed."""

    def __init__(self, exif: bytes) -> None:
        self.data = bytearray(exif)
        self.order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"
        self.first = self.number(4, 4) if readable(exif) else len(exif)

    def number(self, at: int, size: int) -> int:
        return int.from_bytes(self.data[at : at + size], self.order)

    def directory(self, start: int) -> Iterator[_Entry]:
        """The entries of the directory that starts there; fewer where the block ends."""
        for at in range(start + 2, start + 2 + 12 * self.number(start, 2), 12):
            if at + 12 > len(self.data):
                return
            yield _Entry(at, self.number(at, 2), self.number(at + 2, 2), self.number(at + 4, 4))

    def value(self, entry: _Entry) -> int:
        """The number of an entry of one number."""
        return self.number(entry.at + 8, 4 if entry.type == _LONG else 2)

    def set(self, entry: _Entry, value: int) -> None:
        """Write the number of an entry of one number, as a long one where it would not fit."""
        if value >= 2**16 and entry.type == _SHORT:
            self.data[entry.at + 2 : entry.at + 4] = _LONG.to_bytes(2, self.order)
            entry = _Entry(entry.at, entry.tag, _LONG, entry.count)
        size = 4 if entry.type == _LONG else 2
        self.data[entry.at + 8 : entry.at + 8 + size] = value.to_bytes(size, self.order)

    def set_size(self, entry: _Entry, width: int, height: int) -> None:
        """Write the picture's width or height where the entry tells one of them."""
        if entry.type in (_SHORT, _LONG) and entry.count == 1:
            if entry.tag in _WIDTHS:
                self.set(entry, width)
            elif entry.tag in _HEIGHTS:
                self.set(entry, height)

    @property
    def second_link(self) -> int:
        """Where the offset of directory 1 stands."""
        return self.first + 2 + 12 * self.number(self.first, 2)

    def thumbnail(self) -> tuple[dict[int, _Entry], slice] | None:
        """The entries of directory 1 by tag, and where the thumbnail's bytes lie; None where there is no thumbnail."""
        start = self.number(self.second_link, 4)
        entries = {entry.tag: entry for entry in self.directory(start)} if start else {}
        if _THUMBNAIL_OFFSET not in entries or _THUMBNAIL_LENGTH not in entries:
            return None
        offset = self.value(entries[_THUMBNAIL_OFFSET])
        length = self.value(entries[_THUMBNAIL_LENGTH])
        return entries, slice(offset, min(offset + length, len(self.data)))

    def drop_thumbnail(self) -> None:
        """Unlink directory 1 and overwrite the thumbnail with zeros."""
        found = self.thumbnail()
        if found is not None:
            _, place = found
            self.data[place] = bytes(len(self.data[place]))
            self.data[self.second_link : self.second_link + 4] = bytes(4)


def _turn_thumbnail(block: _Block, orientation: int) -> bool:
    """Turn the thumbnail, if there is one; false where it had to be left out."""
    found = block.thumbnail()
    if found is None:
        return True
    entries, place = found
    turned = _turned_jpeg(bytes(block.data[place]), orientation)
    if turned is None:
        block.drop_thumbnail()
        return False
    data, width, height = turned
    block.data[place] = data + bytes(len(block.data[place]) - len(data))
    block.set(entries[_THUMBNAIL_LENGTH], len(data))
    for tag, entry in entries.items():
        if tag == _ORIENTATION:
            block.set(entry, 1)
        else:
            block.set_size(entry, width, height)
    return True


def _turned_jpeg(data: bytes, orientation: int) -> tuple[bytes, int, int] | None:
    """A small JPEG turned, in at most as many bytes, and its size; None where that cannot be done."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if max(image.size) > 4096:
                return None
            turned = image.transpose(
                {
                    2: Image.Transpose.FLIP_LEFT_RIGHT,
                    3: Image.Transpose.ROTATE_180,
                    4: Image.Transpose.FLIP_TOP_BOTTOM,
                    5: Image.Transpose.TRANSPOSE,
                    6: Image.Transpose.ROTATE_270,
                    7: Image.Transpose.TRANSVERSE,
                    8: Image.Transpose.ROTATE_90,
                }[orientation]
            )
        turned.info.clear()
        for quality in (90, 80, 70, 60, 50, 40):
            out = io.BytesIO()
            turned.save(out, "JPEG", quality=quality, optimize=True)
            if len(out.getvalue()) <= len(data):
                return out.getvalue(), turned.width, turned.height
    except Exception:  # whatever a decoder raises on bytes that it does not like
        pass
    return None
