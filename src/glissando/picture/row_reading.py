"""Picture files that are read some rows at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import IO

from glissando.errors import PictureError

from .formats import recognise
from .picture import MAX_PIXELS
from .raw_rows import RawLayout, open_pnm, open_raw
from .rows import PictureRows

__all__ = ["open_rows", "rows_of"]


@contextlib.contextmanager
def open_rows(
    path: str | os.PathLike[str], *, raw: str | RawLayout | None = None, max_pixels: int = MAX_PIXELS
) -> Iterator[PictureRows]:
    """The rows of a picture file, which is closed at the end of the ``with`` block.

    Args:
        path: a TIFF, read with the package tifffile, or a binary PPM or PGM.
        raw: where the file holds samples alone, how they lie: text such as "20000x10000x3u8" (``RawLayout.of``).
        max_pixels: refuse more pixels than this.

    Raises:
        PictureError: not such a picture, damaged, or too large; the message begins with the file's name.
        InputError: a ``raw`` that is none.
        OSError: the file cannot be opened or read.
    """
    layout = RawLayout.of(raw) if isinstance(raw, str) else raw
    name = os.fspath(path)
    with open(path, "rb") as stream:
        rows: PictureRows | None
        if layout is not None:
            rows = open_raw(stream, name, layout, max_pixels=max_pixels)
        else:
            rows = rows_of(stream, name, max_pixels=max_pixels)
        if rows is None:
            raise PictureError(
                f"{name}: cannot be read by rows; binary PPM and PGM can, and with the package tifffile TIFFs of one "
                "upright page, grey or RGB, of 8 or 16 bits, uncompressed or packed by deflate or LZW"
            )
        yield rows


def rows_of(stream: IO[bytes], name: str, *, max_pixels: int = MAX_PIXELS) -> PictureRows | None:
    """The rows of a picture in a file that can be read at any place; None where it has to be read whole.

    They are the pixels and metadata that ``read_picture`` gives, but that opacity stays where all of it is opaque.
    Raises PictureError as ``open_rows``.
    """
    stream.seek(0)
    format = recognise(stream.read(64))
    if format is not None and format.name == "PPM":
        return open_pnm(stream, name, max_pixels=max_pixels)
    if format is not None and format.name == "TIFF":
        from .tiff_rows import open_tiff  # which needs Pillow

        return open_tiff(stream, name, max_pixels=max_pixels)
    return None
