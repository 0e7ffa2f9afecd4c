"""A picture taken apart into opacity, as a file says it, and the colours that are coded as ever."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from glissando.picture import Picture, Pixels

from .alpha import Opacity, coded_alpha, shown_alpha, step_of
from .exact import tile_region
from .filling import filled
from .geometry import Grid
from .options import EncodeOptions

__all__ = ["opacity_of", "without_opacity"]

Each = Callable[[Callable[[Pixels], bytes], Iterable[Pixels]], list[bytes]]


def opacity_of(source: Picture, grid: Grid, options: EncodeOptions, each: Each) -> Opacity | None:
    """What a file says of a picture's opacity; None where all of it is opaque, or comes back so.

    ``each``: does work over all tiles, as ``Engine.each``.
    """
    if source.alpha is None:
        return None
    alpha, depth = source.alpha, source.format.depth
    step = step_of(options.alpha_quality, depth)
    parts = [alpha[tile_region(area, grid).slices] for area in grid.tiles]
    planes = each(lambda part: coded_alpha(part, step, depth), parts)
    if not any(planes):
        return None
    if options.keeps_hidden:
        return Opacity("exact", planes, np.zeros(alpha.shape, np.bool_))
    return Opacity("straight", planes, shown_alpha(alpha, step, depth) == 0)


def without_opacity(source: Picture, opacity: Opacity | None) -> Picture:
    """A picture's colours, those that opacity hides filled smoothly."""
    if source.alpha is None:
        return source
    colour = source.colour
    if opacity is not None and opacity.hidden.any():
        colour = filled(colour, ~opacity.hidden)
    return replace(source, pixels=colour)
