"""Symbols <-> bytes: the file format, which knows nothing of machine learning (``docs/format.md``).

``fields`` lists what a header consists of, for each version of the format; ``container`` has its parts as objects and
writes them, ``reader`` reads them from any ``sources``. ``ans`` codes symbols, ``tables`` holds the probabilities they
are coded with, ``tiles`` goes from a tile's symbols to its streams; ``maps`` codes maps of small integers, and
``quality_field`` is what the format knows of one that says how the quality differs over the picture.
"""

from glissando.bitstream import ans, container
from glissando.bitstream.container import (
    ALPHA,
    ANY_SIZE,
    CORRECTIONS,
    DEFAULT_LIMITS,
    HYPER_LATENTS,
    LATENTS,
    MAP,
    NO_MODEL,
    PIXELS,
    Container,
    Header,
    Layout,
    Limits,
    Tile,
)
from glissando.bitstream.pixel_format import GREY_8, RGB_8, PixelFormat
from glissando.bitstream.reader import Reader, opened
from glissando.bitstream.sources import Ranged, Source
from glissando.bitstream.tables import MAX_SYMBOL, SymbolTables

__all__ = [
    "ALPHA",
    "ANY_SIZE",
    "CORRECTIONS",
    "DEFAULT_LIMITS",
    "GREY_8",
    "HYPER_LATENTS",
    "LATENTS",
    "MAP",
    "MAX_SYMBOL",
    "NO_MODEL",
    "PIXELS",
    "RGB_8",
    "Container",
    "Header",
    "Layout",
    "Limits",
    "PixelFormat",
    "Ranged",
    "Reader",
    "Source",
    "SymbolTables",
    "Tile",
    "ans",
    "container",
    "opened",
]
