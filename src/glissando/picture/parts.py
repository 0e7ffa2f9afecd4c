"""Metadata of a part of a picture."""

from __future__ import annotations

from dataclasses import replace

from . import exif as exif_blocks
from . import xmp as xmp_packets
from .metadata import Metadata

__all__ = ["of_part"]


def of_part(metadata: Metadata, width: int, height: int) -> Metadata:
    """The metadata of a part of the picture, which is so wide and high; its thumbnail shows all, and is left out."""
    exif, xmp = metadata.exif, metadata.xmp
    if exif is not None:
        exif, _ = exif_blocks.set_upright(exif_blocks.without_thumbnail(exif), width, height)
    if xmp is not None:
        xmp = xmp_packets.set_upright(xmp, width, height)
    return replace(metadata, exif=exif, xmp=xmp)
