"""Planes of 8 bits as the lossless method of WebP (RFC 9649), by Pillow."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from glissando.errors import CorruptError

__all__ = ["decode", "encode", "takes"]

_MODES = {1: "L", 3: "RGB"}
MOST_BITS = 8
"""Of a sample."""

METHOD = 4
QUALITY = 80

_SIGNATURE = 0x2F
_HEAD = 25  # bytes: the headers of file and chunk, the signature, and what tells the size


def takes(planes: NDArray[np.uint16], depth: int) -> bool:
    """Whether planes can be coded here: one or three of up to 8 bits."""
    return depth <= MOST_BITS and len(planes) in _MODES and bool(features.check("webp"))


def encode(planes: NDArray[np.uint16]) -> bytes:
    """A WebP file of planes that ``takes`` accepts."""
    samples = planes.astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(np.moveaxis(samples, 0, -1)) if len(samples) == 3 else samples[0])
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True, exact=True, method=METHOD, quality=QUALITY)
    return file.getvalue()


def decode(data: bytes, planes: int, height: int, width: int, depth: int) -> NDArray[np.uint16]:
    """The planes of a file that ``encode`` wrote. Raises CorruptError for anything else."""
    if planes not in _MODES or depth > MOST_BITS:
        raise CorruptError(f"{planes} planes of {depth} bits are coded as WebP, which holds one or three of 8")
    size = _size(data)
    if size != (width, height):
        found = "something else" if size is None else "a WebP picture of {}x{}".format(*size)
        raise CorruptError(f"planes of {width}x{height} should be coded as a lossless WebP picture, not as {found}")
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, RuntimeError) as error:
        raise CorruptError(f"planes coded as WebP cannot be read: {error}") from error
    if pixels.max() >> depth:
        raise CorruptError(f"planes of {depth} bits are coded as a WebP picture with a sample of {pixels.max()}")
    return np.moveaxis(pixels, -1, 0)[:planes].astype(np.uint16)


def _size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a file whose one chunk is an opaque lossless picture (RFC 9649, 2.6 and 3.4); else None.

    It is read here, so that nothing else reaches the decoder: no lossy picture, no animation, no other size.
    """
    if len(data) < _HEAD or (data[:4], data[8:16], data[20]) != (b"RIFF", b"WEBPVP8L", _SIGNATURE):
        return None
    of_file, of_chunk = (int.from_bytes(data[at : at + 4], "little") for at in (4, 16))
    if of_file != len(data) - 8 or of_chunk + of_chunk % 2 != len(data) - 20:
        return None
    bits = int.from_bytes(data[21:_HEAD], "little")  # width - 1 and height - 1 of 14 bits, alpha_is_used, version
    if bits >> 28:
        return None
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
