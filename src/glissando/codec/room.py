"""Room for the pixels of a region, which come from its top down."""

from __future__ import annotations

import numpy as np

from glissando.bitstream import PixelFormat
from glissando.picture import Pixels

from .geometry import Region
from .pixels import sample_type

__all__ = ["Room"]


class Room:
    """Memory for the rows of a region: all of them, or those alone that have not been taken yet.

    Args:
        region: the region.
        empty: an array (0, width, channels) of the type of its samples.
        whole: whether there is one array for all rows.
    """

    def __init__(self, region: Region, empty: Pixels, *, whole: bool) -> None:
        self._region, self._whole = region, whole
        self._top = self._bottom = region.y  # of the rows that were made and not taken
        self._rows: Pixels = np.empty((region.height, *empty.shape[1:]), empty.dtype) if whole else empty

    @classmethod
    def for_region(cls, region: Region, format: PixelFormat, *, whole: bool) -> Room:
        """Room for pixels of this format."""
        channels = (1 if format.grey else 3) + (format.alpha != "none")
        return cls(region, np.empty((0, region.width, channels), sample_type(format.depth)), whole=whole)

    @property
    def all(self) -> Pixels:
        """All rows of the ``whole`` region, (height, width), or (height, width, channels) of several channels."""
        return self._rows[..., 0] if self._rows.shape[2] == 1 else self._rows

    def new(self, bottom: int) -> tuple[Region, Pixels]:
        """The rows from those that were made on down to ``bottom``, (rows, width, channels), and their region."""
        first, self._bottom = self._bottom, bottom
        if not self._whole:
            grown: Pixels = np.empty((bottom - self._top, *self._rows.shape[1:]), self._rows.dtype)
            grown[: len(self._rows)] = self._rows
            self._rows = grown
        return self._part(first, bottom)

    def take(self, bottom: int) -> tuple[Region, Pixels]:
        """The rows from those that were taken on down to ``bottom``, and their region."""
        region, pixels = self._part(self._top, bottom)
        if not self._whole:
            self._rows = self._rows[bottom - self._top :].copy()  # so that what is taken can be let go
        self._top = bottom
        return region, pixels

    def _part(self, top: int, bottom: int) -> tuple[Region, Pixels]:
        start = self._region.y if self._whole else self._top
        region = Region(self._region.x, top, self._region.width, bottom - top)
        return region, self._rows[top - start : bottom - start]
