"""AVIF files of 10 and 12 bits per sample, which Pillow does not write.

Pillow writes the file, metadata and all, of a flat picture of 8 bits. The package imagecodecs codes the samples. Both
use libavif, which makes the same boxes of either, so that coded data and what tells their depth can take each other's
place.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .isobmff import box_spans

__all__ = ["encode_deep_avif"]

_CODED = {b"pixi", b"av1C"}
_PROFILES = b"MA1A", b"MA1B"  # brands of 8 and 10 bits
_ITEM = 14  # bytes of an item's place: number, reference, one extent, offset and length


def encode_deep_avif(samples: NDArray[np.uint16], depth: int, options: Mapping[str, Any]) -> bytes:
    """An AVIF file.

    Args:
        samples: (height, width), or (height, width, channels) as Pillow's modes have them.
        depth: bits of a sample, 10 or 12.
        options: Pillow's.

    Raises:
        ValueError: the two files are not alike.
    """
    frame = io.BytesIO()
    Image.fromarray(np.zeros(samples.shape, np.uint8)).save(frame, "AVIF", **{**options, "speed": 10})
    channels = samples.shape[2] if samples.ndim == 3 else 1
    coded = importlib.import_module("imagecodecs").avif_encode(
        samples,
        level=options["quality"],
        speed=options["speed"],
        bitspersample=depth,
        pixelformat="444" if channels > 2 else "400",
        primaries=1,
        transfer=13,
        matrix=6,  # which is what Pillow's file says
    )
    return _with_coded_data(bytearray(frame.getvalue()), coded)


def _with_coded_data(file: bytearray, other: bytes) -> bytes:
    """A file with the coded data of another one, and what belongs to them; its own stay unused."""
    for brand in _PROFILES:
        at = file.find(brand, 0, 64)
        if at >= 0:
            file[at : at + 4] = b"miaf"
    mine, theirs = _properties(file), _properties(other)
    if [len(file[place]) for place in mine] != [len(other[place]) for place in theirs]:
        raise ValueError("libavif describes its pictures in an unusual way")
    for place, source in zip(mine, theirs, strict=True):
        file[place] = other[source]
    where, items = _items(file), _items(other)
    for item, (_, start, length) in items.items():
        if item not in where:
            raise ValueError("libavif numbers its pictures in an unusual way")
        at = where[item][0]
        file[at : at + 8] = (len(file) + 8).to_bytes(4, "big") + length.to_bytes(4, "big")
        file += (8 + length).to_bytes(4, "big") + b"mdat" + other[start : start + length]
    return bytes(file)


def _path(data: bytes | bytearray, *kinds: bytes) -> slice:
    """Where the content of the box lies to which these types of boxes lead. Raises ValueError where there is none."""
    place = slice(0, len(data))
    for kind in kinds:
        found = next((inner for name, inner in box_spans(data, place) if name == kind), None)
        if found is None:
            raise ValueError(f"libavif wrote no box {kind!r}")
        place = slice(found.start + 4, found.stop) if kind == b"meta" else found  # version and flags first
    return place


def _properties(data: bytes | bytearray) -> list[slice]:
    """Where the contents of the properties lie that tell the depth."""
    return [place for kind, place in box_spans(data, _path(data, b"meta", b"iprp", b"ipco")) if kind in _CODED]


def _items(data: bytes | bytearray) -> dict[int, tuple[int, int, int]]:
    """Of each item, by its number, where offset and length of its data stand, and both (ISO/IEC 14496-12, 8.11.3)."""
    place = _path(data, b"meta", b"iloc")
    iloc = bytes(data[place])
    count = int.from_bytes(iloc[6:8], "big")
    if iloc[:1] != b"\0" or iloc[4:6] != b"\x44\0" or len(iloc) != 8 + _ITEM * count:
        raise ValueError("libavif says in an unusual way where its data lie")
    found = {}
    for at in range(8, len(iloc), _ITEM):
        item, offset, length = (int.from_bytes(iloc[at + i : at + j], "big") for i, j in ((0, 2), (6, 10), (10, 14)))
        found[item] = place.start + at + 6, offset, length
    return found
