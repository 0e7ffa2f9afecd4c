"""Chunks of arrays as pictures: codecs for zarr and numcodecs, which find them by entry point under "glissando".

    from glissando.chunks.zarr import Glissando

    zarr.create_array(store, shape=(40, 2048, 2048), chunks=(1, 512, 512), dtype="uint16",
                      serializer=Glissando(quality=80), compressors=None)

``coding`` says what chunks may be and how they become files; ``zarr`` and ``numcodecs`` give that to these libraries.
"""

from __future__ import annotations

from .coding import ChunkCoding

__all__ = ["ChunkCoding"]
