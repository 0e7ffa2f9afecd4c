"""Whether the scans of a JPEG tell all of its picture (ITU-T T.81).

A file that is cut off and then given an end marker, as recovery tools and some downloads do, decodes without complaint:
libjpeg makes up the blocks that are missing, and Pillow does not pass its warning on. What comes after the last block
of a scan is ignored, however. So bytes that are put in at the end of each scan change the picture if, and only if, a
scan ends too early.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Scan", "lacks_precision", "scans_of", "with_longer_scans"]

_END, _SCAN, _BASELINE, _EXTENDED, _PROGRESSIVE = 0xD9, 0xDA, 0xC0, 0xC1, 0xC2
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}

_CODES = bytes(1 + (i * i * 89 + i * 57 + 212) % 254 for i in range(254))  # of all kinds, and no marker
_MORE = _CODES + b"".join(bytes([0xFF, 0xD0 + number]) + _CODES for number in range(8))
"""What is put in: something to decode, also behind whichever restart marker is missing."""

_MOST_SCANS = 1000

_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # ends a scan; restart markers do not


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan of a picture.

    Attributes:
        frame: the kind of the frame that it belongs to, as the second byte of its marker.
        header: its header, behind marker and length.
        end: where its coded data end in the file.
    """

    frame: int
    header: bytes
    end: int


def scans_of(data: bytes) -> list[Scan]:
    """The scans of the first picture in a file; none where its segments cannot be followed to its end marker."""
    scans: list[Scan] = []
    frame = 0
    for kind, start, end in _segments(data):
        if kind == _END:
            return scans
        if kind in _FRAMES:
            frame = kind
        elif kind == _SCAN:
            scans.append(Scan(frame, data[start : start + int.from_bytes(data[start - 2 : start], "big") - 2], end))
    return []


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind of each segment up to the end marker, and where its content begins and ends; a scan's data belong to it."""
    at = 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        kind, start = data[at + 1], at + 4
        if kind == 0xFF:  # filling before a marker
            at += 1
        elif kind == _END:
            yield kind, at, at
            return
        else:
            at = start - 2 + int.from_bytes(data[at + 2 : start], "big")
            if kind == _SCAN:
                found = _MARKER.search(data, at)
                if found is None:
                    return
                at = found.start()
            yield kind, start, at


def with_longer_scans(data: bytes, scans: list[Scan]) -> bytes | None:
    """The file with more bytes at the end of each of these, its scans.

    None where these would tell nothing, as only Huffman codes end with a scan's last block and others leave out zeros;
    and where there are so many scans that the file would become much longer.
    """
    if not 1 <= len(scans) <= _MOST_SCANS or any(
        scan.frame not in (_BASELINE, _EXTENDED, _PROGRESSIVE) for scan in scans
    ):
        return None
    ends = [scan.end for scan in scans]
    return _MORE.join(data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True))


def lacks_precision(scans: list[Scan]) -> bool:
    """Whether these, all scans of a progressive picture, leave out bits of some coefficients, which is allowed."""
    if not scans or scans[0].frame != _PROGRESSIVE:
        return False
    bits: dict[int, list[int]] = {}  # of each component, how many bits of each coefficient are still missing
    for scan in scans:
        count = scan.header[0] if scan.header else 0
        if len(scan.header) != 1 + 2 * count + 3:
            return False
        first, last, approximation = scan.header[-3:]
        for component in scan.header[1 : 1 + 2 * count : 2]:
            missing = bits.setdefault(component, [16] * 64)
            missing[first : last + 1] = [approximation & 15] * len(missing[first : last + 1])
    return any(map(any, bits.values()))
