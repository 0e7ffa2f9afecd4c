"""Planes of 8 bits as the lossless method of WebP (RFC 9649), by Pillow."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from glissando.errors import CorruptError

__all__ = ["decode", "encode", "takes"]

_MODES = {1: "L", 3: "RGB"}
METHOD = 4
QUALITY = 80


def takes(planes: NDArray[np.uint16], depth: int) -> bool:
    """Whether planes can be coded here: one or three of up to 8 bits."""
    return depth <= 8 and len(planes) in _MODES and bool(features.check("webp"))


def encode(planes: NDArray[np.uint16]) -> bytes:
    """A WebP file of planes that ``takes`` accepts."""
    samples = planes.astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(np.moveaxis(samples, 0, -1)) if len(samples) == 3 else samples[0])
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True, exact=True, method=METHOD, quality=QUALITY)
    return file.getvalue()


def decode(data: bytes, planes: int, height: int, width: int, depth: int) -> NDArray[np.uint16]:
    """The planes of a file that ``encode`` wrote. Raises CorruptError for anything else."""
    if planes not in _MODES or depth > 8:
        raise CorruptError(f"{planes} planes of {depth} bits are coded as WebP, which holds one or three of 8")
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            if image.size != (width, height):  # before anything is decoded
                raise CorruptError(f"planes of {width}x{height} are coded as a WebP picture of {image.size}")
            pixels = np.asarray(image.convert("RGB"))
        if pixels.max() >> depth:
            raise CorruptError(f"planes of {depth} bits are coded as a WebP picture with a sample of {pixels.max()}")
    except CorruptError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CorruptError(f"planes coded as WebP cannot be read: {error}") from error
    return np.moveaxis(pixels, -1, 0)[:planes].astype(np.uint16)
