"""Pixels and metadata, to and from picture files.

A :class:`Picture` is what the codec carries: 8-bit grey or RGB pixels, upright, with the colour profile, EXIF
and XMP that came with them. Reading never loses anything silently: what cannot be carried yet (transparency,
more than 8 bits, CMYK, animation) is a :class:`~glissando.errors.PictureError`, or, with ``convert=True``, a
conversion that :attr:`Picture.notes` announces. Comments and text chunks are not carried.

::

    file ── reading ──> Pillow image ── conversion ──> Picture ── writing ──> file
                                            │             ↑          │
               depth: 16 bits to 8 ─────────┤           array        │
               colour: CMYK, alpha ─────────┤                        │
               orientation: set upright ────┤                        │
               metadata: ICC, EXIF, XMP ────┴────────────────────────┘

``picture`` holds the picture itself, ``pillow`` the limits and errors of the library underneath. All modules
but ``picture`` load Pillow, so each is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .picture import MAX_PIXELS, MAX_SIDE, Picture, as_picture

if TYPE_CHECKING:
    from .reading import read_picture
    from .writing import writable_formats, write_picture

_HOMES = {"read_picture": "reading", "writable_formats": "writing", "write_picture": "writing"}

__all__ = [
    "MAX_PIXELS",
    "MAX_SIDE",
    "Picture",
    "as_picture",
    "read_picture",
    "writable_formats",
    "write_picture",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
