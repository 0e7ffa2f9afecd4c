"""Pictures set upright, once: the pixels turned, EXIF and XMP told so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import numpy as np

from .picture import Pixels

__all__ = ["upright"]

_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
"""How to set upright the pixels of a picture with this EXIF orientation (Exif 2.32, 4.6.4, tag 0x0112)."""


def upright(pixels: Pixels, exif: bytes | None, xmp: bytes | None) -> tuple[Pixels, bytes | None, bytes | None]:
    """The pixels turned as EXIF says, and both blocks with orientation 1."""
    if exif is not None:
        field, order = _orientation(exif)
        turn = _TURNS.get(int.from_bytes(exif[field], order))  # none for 1, nor for nonsense
        if turn is not None:
            pixels = turn(pixels)
            # One number is changed and no more: maker notes hold offsets that no rewriting survives.
            one = (1).to_bytes(field.stop - field.start, order)
            exif = exif[: field.start] + one + exif[field.stop :]
    if xmp is not None:  # EXIF alone decides, as in browsers; XMP must not turn the picture once more
        xmp = re.sub(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[1-8]", rb"\g<1>1", xmp)
    return pixels, exif, xmp


def _orientation(exif: bytes) -> tuple[slice, Literal["little", "big"]]:
    """Where the orientation stands, nowhere when there is none, and the order of its bytes."""
    order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(exif[at : at + size], order)

    if exif[:4] in (b"II*\0", b"MM\0*"):
        start = number(4, 4) + 2
        for at in range(start, start + 12 * number(start - 2, 2), 12):
            if at + 12 > len(exif):
                break
            if number(at, 2) == 0x0112:
                long = number(at + 2, 2) == 4
                return slice(at + 8, at + (12 if long else 10)), order
    return slice(0, 0), order
