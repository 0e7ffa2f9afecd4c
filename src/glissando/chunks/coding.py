"""A chunk of an array as a .gliss file, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from glissando import api
from glissando.bitstream import DEFAULT_LIMITS, Source
from glissando.codec.effort import DEFAULT_EFFORT, check_effort
from glissando.codec.quality import from_0_to_100
from glissando.errors import CorruptError, InputError
from glissando.picture import Pixels
from glissando.picture.picture import MIN_DEPTH

__all__ = ["ChunkCoding", "check_type", "picture_shape"]

MAX_DEPTH = 16
_CHANNELS = (1, 2, 3, 4)


@dataclass(frozen=True)
class ChunkCoding:
    """How chunks are coded, as the metadata of an array tell it in JSON.

    Attributes:
        quality: 0 to 100, any real number.
        effort: 0 to 10, how much time encoding may take.
        lossless: every sample comes back as it was; the quality then means nothing.
        model: the name of an installed model, or its hash in 16 hex digits. It counts for writing alone: every chunk
            names by its hash the model that decodes it.
        depth: bits of the samples, 9 to 16 for uint16; as many as the type has unless given. Quality counts errors in
            shares of the whole range, so it has to be said where data do not fill the range of their type.

    Raises:
        InputError: a value of another type, or outside its range.
    """

    quality: float = 60.0
    effort: int = DEFAULT_EFFORT
    lossless: bool = False
    model: str = api.DEFAULT_MODEL
    depth: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "quality", from_0_to_100(self.quality, "quality"))
        check_effort(self.effort)
        if not isinstance(self.lossless, bool):
            raise InputError(f"lossless is true or false, not {self.lossless!r}")
        if not isinstance(self.model, str) or not self.model:
            raise InputError(f"model is the name or the hash of a model, not {self.model!r}")
        if self.depth is not None and (type(self.depth) is not int or not MIN_DEPTH <= self.depth <= MAX_DEPTH):
            raise InputError(f"depth is {MIN_DEPTH} to {MAX_DEPTH} bits of a sample, not {self.depth!r}")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave; what is missing is as usual. Raises InputError for an unknown key."""
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise InputError(f"the codec glissando has no {unknown[0]!r}; it has {', '.join(known)}")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """All values by their names."""
        return asdict(self)

    def encode(self, chunk: NDArray[Any]) -> bytes:
        """The file of a chunk of uint8 or uint16, whose shape is as ``picture_shape`` takes it.

        Samples count everywhere, below an opacity of 0 as well. Raises InputError for another chunk.
        """
        check_type(chunk.dtype)
        pixels = np.ascontiguousarray(chunk).reshape(picture_shape(chunk.shape))
        return api.encode(
            pixels,
            self.quality,
            model=self.model,
            effort=self.effort,
            lossless=self.lossless,
            depth=self.depth,
            exact=True,
        )

    def decode(self, data: Source, shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """A chunk of this shape and type.

        Raises:
            FormatError: the file is damaged, or it is not of a chunk like this.
            UnknownModelError: its model is not installed.
        """
        wanted = picture_shape(shape)
        pixels = decode(data, max_pixels=wanted[0] * wanted[1])
        # A single channel is grey, whose pixels have no axis of channels.
        if pixels.size != math.prod(shape) or pixels.shape[:2] != wanted[:2] or pixels.itemsize != dtype.itemsize:
            raise CorruptError(
                f"the chunk is {_listed(shape)} of {dtype}, its file has {_listed(pixels.shape)} of {pixels.dtype}"
            )
        return pixels.reshape(shape).astype(dtype, copy=False)


def decode(data: Source, max_pixels: int = DEFAULT_LIMITS.max_pixels) -> Pixels:
    """The pixels of a chunk's file, in the shape that they have there. Errors as in ``glissando.decode``."""
    return api.decode(data, max_pixels=max_pixels)


def check_type(dtype: np.dtype[Any]) -> None:
    """Raises InputError unless a chunk's samples are of a type that can be coded."""
    if dtype.kind != "u" or dtype.itemsize > 2:
        raise InputError(f"the codec glissando takes chunks of uint8 and uint16, not {dtype}")


def picture_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape, (height, width) or (height, width, 1 to 4), of the picture that a chunk is.

    Leading axes of length 1 are left out: (1, 1, 512, 512) and (1, 512, 512, 3) are pictures. What could be either,
    such as (1, 512, 3), is grey. Raises InputError for other shapes.
    """
    rest = list(shape)
    while len(rest) > 2 and rest[0] == 1:
        rest.pop(0)
    if len(rest) < 2 or len(rest) > 3 or (len(rest) == 3 and rest[2] not in _CHANNELS) or 0 in rest:
        raise InputError(
            "the codec glissando takes chunks of shape (height, width) or (height, width, channels) with 1 to 4 "
            f"channels, after any number of axes of length 1; not {_listed(shape)}"
        )
    return tuple(rest)


def _listed(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"
