"""A picture between its analysis and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import PixelFormat
from glissando.picture import Picture

from .alpha import Opacity
from .exact import price_of_error
from .geometry import Area, Grid
from .quality import LocalQuality

__all__ = ["Analysed"]


@dataclass(frozen=True)
class Analysed:
    """A picture's latents: what every file of it, at whatever quality, is coded from.

    Attributes:
        latents: the family's own dataclass, whose arrays lie over the whole grid, or one array.
        grid: where the latents lie.
        source: the picture without its opacity; colours that it hides are made up.
        boxes: metadata by the type of their box.
        exact: the bytes that code a tile's pixels exactly, by the number of each tile where these may be fewer.
        opacity: what the file says of the picture's opacity; None where all of it is opaque.
        encoder: the name of the encoder that made the latents.
        refined: whether the latents were refined for one quality.
    """

    latents: Any
    grid: Grid
    source: Picture
    boxes: dict[str, bytes]
    exact: Mapping[int, bytes]
    opacity: Opacity | None
    encoder: str
    refined: bool = False

    @property
    def format(self) -> PixelFormat:
        """What a pixel is made of, opacity left out."""
        return self.source.format

    def latents_over(self, area: Area) -> Any:
        """The family's latents over an area of the grid's whole width, whose arrays begin where the area does."""

        def part(array: NDArray[Any]) -> NDArray[Any]:
            per_cell = len(array) // self.grid.cells[0]
            return array[per_cell * area.top : per_cell * area.bottom]

        if isinstance(self.latents, np.ndarray):
            return part(self.latents)
        return replace(self.latents, **{name: part(array) for name, array in vars(self.latents).items()})

    def not_seen(self, part: tuple[slice, slice]) -> NDArray[np.bool_] | None:
        """Where in a part of the picture opacity hides what colours there are; None where all of them are seen."""
        return None if self.opacity is None else self.opacity.hidden[part]

    def weight_of_errors(self, quality: LocalQuality) -> NDArray[np.float32] | None:
        """How much errors count at each pixel, (height, width), beyond what the file's own quality says.

        A place of a higher quality counts more, in the measure in which that quality pays for errors; what opacity
        hides does not count. None where all pixels count alike.
        """
        weight = None
        if quality.field is not None:
            paid = np.array([price_of_error(local) / price_of_error(quality.base) for local in quality.palette])
            weight = self.grid.over_pixels(paid[quality.field.index]).astype(np.float32)
        if self.opacity is not None:
            seen = ~self.opacity.hidden
            weight = seen.astype(np.float32) if weight is None else weight * seen
        return weight
