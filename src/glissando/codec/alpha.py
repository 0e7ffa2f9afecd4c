"""Opacity: a picture taken apart into colours and opacity, and the plane of each tile that a file has of it.

Opacity comes back exactly, or in equal steps of which 0 and opaque are two, so that what is transparent or opaque stays
so. WebP's ``alpha_quality`` does the same. Colours below fully transparent pixels are not seen. Unless they are to be
kept all the same, they are replaced by whatever takes few bits, and readers show black.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.fields import ALPHA_STEP, Cursor
from glissando.bitstream.pixel_format import Alpha
from glissando.errors import CorruptError
from glissando.lossless import decode_planes, encode_planes
from glissando.picture import Picture, Pixels

from .exact import tile_region
from .filling import filled
from .geometry import Grid, Region, in_common
from .reduction import box_means

__all__ = [
    "Opacity",
    "carried_along",
    "coded_alpha",
    "opacity_of",
    "paste_alpha",
    "shown_alpha",
    "step_of",
    "without_opacity",
]

COARSEST = 7.0
"""log2 of the step at quality 0, in levels of 255: there is one level between transparent and opaque."""

Each = Callable[[Callable[[Pixels], bytes], Iterable[Pixels]], list[bytes]]
"""Does work over all tiles and lists the results, as ``Engine.each``."""


@dataclass(frozen=True)
class Opacity:
    """What a file says of its picture's opacity.

    Attributes:
        kind: "straight", or "exact" where colours count below transparent pixels, too.
        planes: for each tile the bytes that code its opacity; none where all of it is opaque.
        hidden: where colours do not count, (height, width).
    """

    kind: Alpha
    planes: list[bytes]
    hidden: NDArray[np.bool_]


def opacity_of(source: Picture, grid: Grid, quality: float, *, keeps_hidden: bool, each: Each) -> Opacity | None:
    """What a file says of a picture's opacity; None where all of it is opaque, or comes back so.

    Args:
        source: the picture.
        grid: its tiles.
        quality: of the opacity, 0 to 100; at 100 nothing is lost.
        keeps_hidden: whether colours below fully transparent pixels count as all others do.
        each: what does the work over all tiles.
    """
    if source.alpha is None:
        return None
    alpha, depth = source.alpha, source.format.depth
    step = step_of(quality, depth)
    parts = [alpha[tile_region(area, grid).slices] for area in grid.tiles]
    planes = each(lambda part: coded_alpha(part, step, depth), parts)
    if not any(planes):
        return None
    if keeps_hidden:
        return Opacity("exact", planes, np.zeros(alpha.shape, np.bool_))
    return Opacity("straight", planes, shown_alpha(alpha, step, depth) == 0)


def without_opacity(source: Picture, opacity: Opacity | None) -> Picture:
    """A picture's colours alone; those that opacity hides go on smoothly from what is seen around them."""
    if source.alpha is None:
        return source
    colour = source.colour
    if opacity is not None and opacity.hidden.any():
        colour = filled(colour, ~opacity.hidden)
    return replace(source, pixels=colour)


# Steps ------------------------------------------------------------------------------------------------------------


def step_of(quality: float, depth: int) -> int:
    """By how much neighbouring levels of opacity differ at a quality from 0 to 100, in levels of ``depth`` bits.

    1 at quality 100: nothing is lost. Below it, 2^(7·(100 − quality) / 100) in levels of 8 bits.
    """
    if quality == 100:
        return 1
    return max(round(2 ** (COARSEST * (100 - quality) / 100) * ((1 << depth) - 1) / 255), 1)


def _in_steps(alpha: Pixels, step: int, depth: int) -> NDArray[np.uint16]:
    """Opacity in whole steps, of which the last may be shorter and is for opaque pixels alone or near it."""
    top = (1 << depth) - 1
    nearest = (alpha.astype(np.uint32) + step // 2) // step
    return np.where(alpha == top, _steps(step, depth), nearest).astype(np.uint16)


def _steps(step: int, depth: int) -> int:
    """How many steps it takes from transparent to opaque."""
    return -(-((1 << depth) - 1) // step)


def shown_alpha(alpha: Pixels, step: int, depth: int) -> Pixels:
    """Opacity as it comes back from a file with such a step."""
    top = (1 << depth) - 1
    return np.minimum(_in_steps(alpha, step, depth).astype(np.uint32) * step, top).astype(alpha.dtype)


# A tile's plane ---------------------------------------------------------------------------------------------------


def coded_alpha(alpha: Pixels, step: int, depth: int) -> bytes:
    """The bytes that code a tile's opacity, (h, w), in steps; none where all of it is opaque then."""
    steps = _in_steps(alpha, step, depth)
    last = _steps(step, depth)
    if steps.min() == last:
        return b""
    return ALPHA_STEP.write(step) + encode_planes(steps[None], last.bit_length())


def paste_alpha(alpha: Pixels, region: Region, place: Region, data: bytes, depth: int, factor: int = 1) -> None:
    """Write the part of a tile's opacity that lies in a region into the region's.

    Args:
        alpha: the region's opacity, (height, width), which is changed.
        region: the region, in squares of ``factor`` by ``factor`` pixels.
        place: the tile's own region, in the picture's pixels.
        data: the bytes that code the tile's opacity.
        depth: bits of a sample.
        factor: by how much the region is reduced.

    Raises:
        CorruptError: the bytes are damaged.
    """
    cursor = Cursor(data)
    step = ALPHA_STEP.read(cursor)
    top = (1 << depth) - 1
    if step > top:
        raise CorruptError(f"opacity of {depth} bits has steps of {step}")
    last = _steps(step, depth)
    (steps,) = decode_planes(bytes(cursor.data[cursor.offset :]), 1, place.height, place.width, last.bit_length())
    if steps.max() > last:
        raise CorruptError(f"an opacity is {steps.max()} steps of {step}, which is beyond opaque")
    target, source = in_common(region, place.reduced(factor))
    levels = np.minimum(steps.astype(np.uint32) * step, top).astype(alpha.dtype)
    alpha[target] = box_means(levels, factor)[source]


# What is hidden ---------------------------------------------------------------------------------------------------


def carried_along(pixels: Pixels, hidden: NDArray[np.bool_]) -> Pixels:
    """A tile whose hidden pixels repeat those that are seen before them, which costs a lossless coder least.

    In a row they repeat the pixel to their left, at its beginning the first that is seen; a row without any repeats
    another. Where nothing is seen, all is black.
    """
    if not hidden.any():
        return pixels
    seen = ~hidden
    rows, columns = np.arange(len(seen)), np.arange(seen.shape[1])
    if not seen.any():
        return np.zeros_like(pixels)
    along = _last_or_first(np.where(seen, columns, -1), seen.argmax(axis=1)[:, None])
    some = seen.any(axis=1)
    row = _last_or_first(np.where(some, rows, -1)[None], np.array([[some.argmax()]]))[0]
    carried: Pixels = pixels[row[:, None], along[row]]
    return carried


def _last_or_first(indices: NDArray[np.intp], first: NDArray[np.intp]) -> NDArray[np.intp]:
    """Along each row the largest index so far; where there is none yet, ``first``."""
    last = np.maximum.accumulate(indices, axis=1)
    return np.where(last < 0, first, last)
