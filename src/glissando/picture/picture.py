"""The picture that the codec carries."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.pixel_format import GREY_8, RGB_8, PixelFormat
from glissando.errors import InputError, PictureError, UnsupportedError

from .metadata import Metadata

__all__ = ["MAX_PIXELS", "MAX_SIDE", "Picture", "Pixels", "check_carried", "check_size"]

Pixels: TypeAlias = NDArray[np.uint8]

MAX_PIXELS = 2**28
"""Pictures with more pixels are refused unless the caller raises the limit."""

MAX_SIDE = 2**24 - 1
"""The longest side that the file format can express."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Picture(Metadata):
    """An upright 8-bit picture and the metadata that travel with it.

    Attributes:
        pixels: uint8, shape (height, width, 3) for RGB or (height, width) for grey.
        notes: one sentence for each conversion that reading made, and for what it left out.
        icc, exif, xmp, iptc, cicp, density, text: the metadata, see ``Metadata``.

    Raises:
        InputError: the pixels are of another type or shape, empty, or longer than ``MAX_SIDE`` on a side.
    """

    pixels: Pixels
    notes: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        _check_array(self.pixels)
        if self.pixels.ndim == 3 and self.pixels.shape[2] == 1:
            object.__setattr__(self, "pixels", self.pixels[:, :, 0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def format(self) -> PixelFormat:
        """What a pixel is made of."""
        return GREY_8 if self.pixels.ndim == 2 else RGB_8


def check_carried(format: PixelFormat) -> None:
    """Raises UnsupportedError unless a Picture can have pixels of this format: 8-bit grey or RGB, so far."""
    if format not in (GREY_8, RGB_8):
        raise UnsupportedError(
            f"the file has {format} pixels, which cannot be decoded yet; only 8-bit grey and RGB can"
        )


def check_size(width: int, height: int, max_pixels: int | None, name: str) -> None:
    """Refuse a size before any pixel of it is decoded."""
    if width < 1 or height < 1:
        raise PictureError(f"{name}: {width}x{height}: a picture without pixels")
    if max(width, height) > MAX_SIDE:
        raise PictureError(f"{name}: {width}x{height}: longer than {MAX_SIDE:,} pixels on a side")
    if max_pixels is not None and width * height > max_pixels:
        raise PictureError(
            f"{name}: {width}x{height}: more than the limit of {max_pixels:,} pixels "
            "(raise it with --max-pixels, max_pixels= in Python)"
        )


def _check_array(pixels: object) -> None:
    wanted = "a picture must be uint8 of shape (height, width, 3) for RGB, or (height, width) for grey"
    if not isinstance(pixels, np.ndarray):
        raise InputError(f"{wanted}; this is {type(pixels).__name__}")
    shape = "x".join(map(str, pixels.shape)) or "no"
    if pixels.dtype != np.uint8:
        advice = ""
        if pixels.dtype.kind == "f":
            advice = "; scale, round and clip it to 0..255, then use .astype(np.uint8)"
        elif pixels.dtype == np.uint16:
            advice = "; 16 bits are not carried yet"
        raise InputError(f"{wanted}; this is {pixels.dtype} of shape {shape}{advice}")
    channels = pixels.shape[2] if pixels.ndim == 3 else None
    if pixels.ndim not in (2, 3) or channels not in (None, 1, 3):
        advice = ""
        if channels in (2, 4):
            advice = "; transparency is not carried yet: drop the last channel, or blend it over a background"
        elif pixels.ndim == 4:
            advice = "; pictures are coded one at a time"
        elif pixels.ndim == 3 and pixels.shape[0] in (1, 3):
            advice = "; channels come last: use np.moveaxis(a, 0, -1)"
        raise InputError(f"{wanted}; this has shape {shape}{advice}")
    if 0 in pixels.shape:
        raise InputError(f"a picture needs at least one pixel; this has shape {shape}")
    if max(pixels.shape[:2]) > MAX_SIDE:
        raise InputError(f"a picture may be {MAX_SIDE:,} pixels long on a side; this has shape {shape}")
