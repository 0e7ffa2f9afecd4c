"""Pixels and metadata, to and from picture files.

A :class:`Picture` is what the codec carries: grey or RGB pixels of 8 to 16 bits, with or without opacity, upright, with
the metadata that came with them. Reading never loses anything silently. What cannot be carried yet (CMYK, animation) is
a :class:`~glissando.errors.PictureError`, or, with ``convert=True``, a conversion that :attr:`Picture.notes` announces.
Metadata that cannot be read or carried cost a note, and never the picture.

::

    file ── reading ──> Pillow image ── conversion ──> Picture ── writing ──> file
             │                              │             ↑          │
             png, jxl, jpeg_scans: what     │           array        embedding: metadata into each format
             Pillow cannot tell of a file   │                        samples: what of them a format has
                                            │                        sixteen: PNG and TIFF of 16 bits
                                            │                        deep_avif: AVIF of 10 and 12
                                            │
               depth: 9 to 16 bits ─────────┤
               alpha: opacity ──────────────┤
               colour: CMYK ────────────────┤
               extraction: metadata ────────┤   of the parts exif, xmp, jpeg, isobmff, av1, colour_tags, icc
               orientation: set upright ────┘

Pictures that do not fit into memory are ``PictureRows`` (``rows``), of files by ``raw_rows`` and ``tiff_rows``, which
``row_reading`` chooses among; ``row_writing`` writes files while rows come.

``picture`` holds the picture itself, ``metadata`` what travels with it, ``coercion`` says what may become one, and
``formats`` lists the formats of files; these load no Pillow. The modules that do are loaded when they are first used;
``pillow`` has the limits and errors of the library underneath.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from glissando.bitstream.pixel_format import PixelFormat

from .coercion import as_picture
from .colour_tags import Cicp
from .formats import looks_like_picture, lossy_formats, picture_suffixes, writable_formats
from .metadata import KINDS, Density, Metadata, kept_of
from .parts import of_part
from .picture import MAX_PIXELS, MAX_SIDE, Picture, Pixels, check_carried
from .rows import ArrayRows, PictureRows
from .samples import eight_bits, scaled

if TYPE_CHECKING:
    from .reading import read_picture
    from .row_reading import open_rows
    from .row_writing import write_rows
    from .writing import encode_picture, write_picture

_HOMES = {
    "encode_picture": "writing",
    "open_rows": "row_reading",
    "read_picture": "reading",
    "write_picture": "writing",
    "write_rows": "row_writing",
}

__all__ = [
    "KINDS",
    "MAX_PIXELS",
    "MAX_SIDE",
    "ArrayRows",
    "Cicp",
    "Density",
    "Metadata",
    "Picture",
    "PictureRows",
    "PixelFormat",
    "Pixels",
    "as_picture",
    "check_carried",
    "eight_bits",
    "encode_picture",
    "kept_of",
    "looks_like_picture",
    "lossy_formats",
    "of_part",
    "open_rows",
    "picture_suffixes",
    "read_picture",
    "scaled",
    "writable_formats",
    "write_picture",
    "write_rows",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
