"""The codec for numcodecs, and by it for zarr's format 2, kerchunk and tifffile's stores of many files."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numcodecs.abc import Codec
from numpy.typing import NDArray

from glissando.errors import CorruptError, InputError

from .coding import ChunkCoding, decode

__all__ = ["Glissando"]


class Glissando(Codec):
    """Chunks of uint8 and little-endian uint16 as .gliss files; arguments are those of ``ChunkCoding``."""

    codec_id = "glissando"

    def __init__(self, **options: Any) -> None:
        self.coding = ChunkCoding.from_json(options)

    def encode(self, buf: Any) -> bytes:
        """The file of a chunk, an array in the shape that ``picture_shape`` takes.

        Raises:
            InputError: another shape or type; big-endian samples, or Fortran's order, which decoding could not tell.
        """
        chunk = np.asarray(buf)
        if chunk.dtype.newbyteorder("<") != chunk.dtype:
            raise InputError(f'samples are big-endian ({chunk.dtype}); the codec glissando takes little-endian "<u2"')
        if chunk.flags.f_contiguous and not chunk.flags.c_contiguous:
            raise InputError('the chunk is in the order of Fortran; the codec glissando takes arrays of order "C"')
        return self.coding.encode(chunk)

    def decode(self, buf: Any, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The samples of a chunk's file, (height, width) or (height, width, channels), or in ``out``, if it is given.

        Raises:
            FormatError: the file is damaged, or does not fit ``out``.
            UnknownModelError: its model is not installed.
        """
        pixels = decode(buf)
        pixels = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
        if out is None:
            return pixels
        room = np.asarray(out)
        if room.nbytes != pixels.nbytes or not room.flags.c_contiguous:
            raise CorruptError(f"the chunk has {pixels.nbytes} bytes, and there is room for {room.nbytes} side by side")
        room.reshape(-1).view(np.uint8)[:] = pixels.reshape(-1).view(np.uint8)
        return out

    def get_config(self) -> dict[str, Any]:
        """What ``from_config`` takes, and the codec's name."""
        return {"id": self.codec_id, **self.coding.to_json()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The codec of an array's metadata. Raises InputError for what it does not know."""
        return cls(**{name: value for name, value in config.items() if name != "id"})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.coding.to_json().items())})"
