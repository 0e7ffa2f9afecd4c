"""Symbols <-> bytes: the file format, which knows nothing of machine learning (``docs/format.md``).

``container`` takes a file apart and puts it together, ``ans`` codes symbols, ``tables`` holds the probabilities they
are coded with, ``tiles`` goes from a tile's symbols to its streams; ``maps`` codes maps of small integers, and
``importance`` is what the format knows of one that says where a picture matters.
"""

from glissando.bitstream import ans, container
from glissando.bitstream.container import (
    DEFAULT_LIMITS,
    HYPER_LATENTS,
    IMPORTANCE,
    LATENTS,
    Container,
    Header,
    Layout,
    Limits,
    Tile,
)
from glissando.bitstream.tables import MAX_SYMBOL, SymbolTables

__all__ = [
    "DEFAULT_LIMITS",
    "HYPER_LATENTS",
    "IMPORTANCE",
    "LATENTS",
    "MAX_SYMBOL",
    "Container",
    "Header",
    "Layout",
    "Limits",
    "SymbolTables",
    "Tile",
    "ans",
    "container",
]
