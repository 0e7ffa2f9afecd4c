"""Pictures set upright, once: the pixels turned, and the metadata told so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from . import exif as exif_blocks
from . import xmp as xmp_packets
from .metadata import Density, Metadata
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


def upright(pixels: Pixels, metadata: Metadata) -> tuple[Pixels, Metadata, list[str]]:
    """The pixels turned as EXIF says, the metadata of the picture that they are now, and notes."""
    exif, xmp, density = metadata.exif, metadata.xmp, metadata.density
    notes: list[str] = []
    orientation = 1 if exif is None else exif_blocks.orientation_of(exif)
    if orientation in _TURNS:
        pixels = _TURNS[orientation](pixels)
        if orientation >= 5 and density is not None:
            density = Density(density.y, density.x, density.metric)
    height, width = pixels.shape[:2]
    if exif is not None:
        exif, notes = exif_blocks.set_upright(exif, width, height)
    if xmp is not None:
        xmp = xmp_packets.set_upright(xmp, width, height)
    return pixels, replace(metadata, exif=exif, xmp=xmp, density=density), notes
