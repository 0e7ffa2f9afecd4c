"""The picture that the codec carries."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.pixel_format import MAX_DEPTH, PixelFormat
from glissando.errors import InputError, PictureError, UnsupportedError

from .metadata import Metadata

__all__ = ["MAX_PIXELS", "MAX_SIDE", "MIN_DEPTH", "Picture", "Pixels", "check_carried", "check_size"]

Pixels: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""Samples: uint8 where they have 8 bits, uint16 where they have more."""

MAX_PIXELS = 2**28
"""Pictures with more pixels are refused unless the caller raises the limit."""

MAX_SIDE = 2**24 - 1
"""The longest side that the file format can express."""

MIN_DEPTH = 8
"""Pictures of fewer bits have become 8-bit ones when they are read."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Picture(Metadata):
    """An upright picture of 8 to 16 bits and the metadata that travel with it.

    Attributes:
        pixels: (height, width) for grey, (height, width, 3) for RGB; with opacity as the last channel
            (height, width, 2) and (height, width, 4), of which 0 is transparent, and colours are not multiplied by it.
            uint8 where samples have 8 bits, uint16 where they have more.
        depth: bits of each sample, 8 to 16; unless given, 8 for uint8 and 16 for uint16.
        notes: one sentence for each conversion that reading made, and for what it left out.
        icc, exif, xmp, iptc, cicp, density, text: the metadata, see ``Metadata``.

    Raises:
        InputError: the pixels are of another type or shape, empty, or longer than ``MAX_SIDE`` on a side; or a sample
            has more bits than the depth.
    """

    pixels: Pixels
    depth: int | None = dataclasses.field(default=None, kw_only=True)
    notes: tuple[str, ...] = dataclasses.field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        _check_array(self.pixels)
        pixels = self.pixels.astype(self.pixels.dtype.newbyteorder("="), copy=False)
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "depth", _checked_depth(pixels, self.depth))

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def format(self) -> PixelFormat:
        """What a pixel is made of."""
        channels = 1 if self.pixels.ndim == 2 else self.pixels.shape[2]
        assert self.depth is not None  # since it was made
        return PixelFormat(3 if channels > 2 else 1, self.depth, "straight" if channels in (2, 4) else "none")

    @property
    def colour(self) -> Pixels:
        """The pixels without opacity, (height, width) or (height, width, 3)."""
        if self.alpha is None:
            return self.pixels
        return self.pixels[:, :, 0] if self.format.grey else self.pixels[:, :, :3]

    @property
    def alpha(self) -> Pixels | None:
        """The opacity of each pixel, (height, width), or None where all are opaque."""
        return None if self.format.alpha == "none" else self.pixels[:, :, -1]


def check_carried(format: PixelFormat) -> None:
    """Raises UnsupportedError unless a Picture can have pixels of this format: samples of 8 bits or more."""
    if format.depth < MIN_DEPTH:
        raise UnsupportedError(
            f"the file has {format} pixels, which cannot be decoded yet; only samples of {MIN_DEPTH} to "
            f"{MAX_DEPTH} bits can"
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


_WANTED = (
    "a picture must be uint8 or uint16 of shape (height, width, 3) for RGB, or (height, width) for grey; with opacity "
    "as the last channel (height, width, 4) or (height, width, 2)"
)


def _check_array(pixels: object) -> None:
    if not isinstance(pixels, np.ndarray):
        raise InputError(f"{_WANTED}; this is {type(pixels).__name__}")
    shape = "x".join(map(str, pixels.shape)) or "no"
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        advice = ""
        if pixels.dtype.kind == "f":
            advice = "; scale, round and clip it to 0..255, then use .astype(np.uint8)"
        raise InputError(f"{_WANTED}; this is {pixels.dtype} of shape {shape}{advice}")
    channels = pixels.shape[2] if pixels.ndim == 3 else None
    if pixels.ndim not in (2, 3) or channels not in (None, 1, 2, 3, 4):
        advice = ""
        if pixels.ndim == 4:
            advice = "; pictures are coded one at a time"
        elif pixels.ndim == 3 and pixels.shape[0] in (1, 2, 3, 4):
            advice = "; channels come last: use np.moveaxis(a, 0, -1)"
        raise InputError(f"{_WANTED}; this has shape {shape}{advice}")
    if 0 in pixels.shape:
        raise InputError(f"a picture needs at least one pixel; this has shape {shape}")
    if max(pixels.shape[:2]) > MAX_SIDE:
        raise InputError(f"a picture may be {MAX_SIDE:,} pixels long on a side; this has shape {shape}")


def _checked_depth(pixels: Pixels, depth: int | None) -> int:
    """The bits of the samples: ``depth``, or as many as their type has. Raises InputError where they do not fit."""
    bits = 8 * pixels.dtype.itemsize
    if depth is None:
        return bits
    if isinstance(depth, bool) or not isinstance(depth, int | np.integer) or not MIN_DEPTH <= depth <= MAX_DEPTH:
        raise InputError(f"depth is {MIN_DEPTH} to {MAX_DEPTH} bits of a sample, not {depth!r}")
    if (depth > MIN_DEPTH) != (bits > 8):
        raise InputError(
            f"samples of {depth} bits are {'uint16' if depth > MIN_DEPTH else 'uint8'}, not {pixels.dtype}"
        )
    if depth < bits and int(pixels.max()) >> depth:
        raise InputError(f"a sample is {pixels.max()}, which has more than {depth} bits")
    return int(depth)
