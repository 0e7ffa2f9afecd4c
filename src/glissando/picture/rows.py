"""Pictures that are read some rows at a time, since all of them would take too much memory."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from glissando.bitstream.pixel_format import PixelFormat

from .metadata import Metadata
from .picture import Picture, Pixels

__all__ = ["ArrayRows", "PictureRows", "WithMetadata"]


class PictureRows(Protocol):
    """A picture whose rows are read when they are asked for, in any order and more than once.

    Attributes:
        width, height: in pixels.
        format: what a pixel is made of; its opacity is "none" or "straight".
        metadata: what travels with it.
        notes: one sentence for each thing that reading left out.
    """

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def format(self) -> PixelFormat: ...
    @property
    def metadata(self) -> Metadata: ...
    @property
    def notes(self) -> tuple[str, ...]: ...

    def rows(self, top: int, bottom: int) -> Pixels:
        """Rows from ``top`` to before ``bottom``, both in the picture: (rows, width), or (rows, width, channels).

        Samples are as in :class:`Picture`. The array may be shared; nobody writes to it.

        Raises:
            PictureError: the rows cannot be read; the message begins with the file's name.
            OSError: the file cannot be read.
        """
        ...


class ArrayRows:
    """The rows of a picture in memory, or of an array that a file is mapped to (``numpy.memmap``).

    ``pixels``: as in :class:`Picture`, or a Picture. ``depth``: bits of an array's samples.

    Raises InputError as :class:`Picture` does, but that it looks at no sample: those of more bits than ``depth`` raise
    it when their rows are read.
    """

    def __init__(self, pixels: Pixels | Picture, *, depth: int | None = None, metadata: Metadata | None = None) -> None:
        picture = pixels if isinstance(pixels, Picture) else None
        array = pixels.pixels if isinstance(pixels, Picture) else pixels
        one = Picture(np.zeros_like(array[:1, :1]), depth=depth if picture is None else picture.depth)
        Picture(np.broadcast_to(one.pixels, (*array.shape[:2], *one.pixels.shape[2:])), depth=depth)
        self._array = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
        self.height, self.width = int(array.shape[0]), int(array.shape[1])
        self.format = one.format
        self.metadata = metadata or (Metadata(**picture.as_arguments()) if picture is not None else Metadata())
        self.notes: tuple[str, ...] = () if picture is None else picture.notes

    def rows(self, top: int, bottom: int) -> Pixels:
        """See :class:`PictureRows`."""
        return Picture(np.asarray(self._array[top:bottom]), depth=self.format.depth).pixels


class WithMetadata:
    """The rows of a picture with other metadata."""

    def __init__(self, picture: PictureRows, metadata: Metadata) -> None:
        self.width, self.height, self.format = picture.width, picture.height, picture.format
        self.metadata, self.notes, self._picture = metadata, picture.notes, picture

    def rows(self, top: int, bottom: int) -> Pixels:
        """See :class:`PictureRows`."""
        return self._picture.rows(top, bottom)
