"""The codec for zarr's format 3. It turns chunks into bytes, in the place of ``bytes`` and the compressors after it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from zarr.abc.codec import ArrayBytesCodec

from glissando.errors import InputError

from .coding import ChunkCoding, check_type, picture_shape

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

__all__ = ["Glissando"]

NAME = "glissando"


@dataclass(frozen=True)
class Glissando(ArrayBytesCodec):
    """Chunks of uint8 and uint16 as .gliss files; arguments are those of ``ChunkCoding``."""

    is_fixed_size = False
    coding: ChunkCoding

    def __init__(self, **options: Any) -> None:
        object.__setattr__(self, "coding", ChunkCoding.from_json(options))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The codec of an array's metadata. Raises InputError for what it does not know."""
        if data.get("name") != NAME:
            raise InputError(f"the codec is {data.get('name')!r}, not {NAME!r}")
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        """Name and configuration, as an array's metadata hold them."""
        return {"name": NAME, "configuration": self.coding.to_json()}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Raises InputError for an array whose chunks are no pictures, before anything is written."""
        check_type(dtype.to_native_dtype())
        chunk_shape = getattr(chunk_grid, "chunk_shape", None)
        if chunk_shape is not None:
            picture_shape(chunk_shape)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Files of equally large chunks differ in size, so that this raises NotImplementedError, as zarr asks for."""
        raise NotImplementedError

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        data = await asyncio.to_thread(self.coding.encode, chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        dtype = chunk_spec.dtype.to_native_dtype()
        chunk: Any = await asyncio.to_thread(self.coding.decode, chunk_data.to_bytes(), chunk_spec.shape, dtype)
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(chunk)
