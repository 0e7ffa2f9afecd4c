"""Pictures made smaller: what size they get, by which factor networks and tiles are reduced, and the last step to it.

A picture is first reduced by a factor that is a power of two, so that each sample is the mean of a square of samples,
and then by Pillow to the size that is wanted, which is at least half as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glissando.errors import InputError
from glissando.picture import Pixels

from .geometry import Region

__all__ = ["FACTORS", "box_means", "factor_for", "fitting", "resized"]

FACTORS = (16, 8, 4, 2)
"""What a picture may be reduced by before it gets its size."""

Size = tuple[int, int]


def fitting(width: int, height: int, max_size: int | Sequence[int]) -> Size:
    """The size of a picture that is scaled down to fit, and never up, with its proportions and at least one pixel.

    ``max_size``: pixels of the longer side at most, or (width, height) at most. Raises InputError for anything else.
    """
    sides = tuple(max_size) if isinstance(max_size, Sequence) else (max_size, max_size)
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) and side >= 1 for side in sides)
    if len(sides) != 2 or not whole:
        raise InputError(f"a largest size is a number of pixels, or (width, height), from 1 on; not {max_size!r}")
    most_wide, most_high = map(int, sides)
    if width <= most_wide and height <= most_high:
        return width, height
    if width * most_high >= height * most_wide:
        return most_wide, max(1, round(height * most_wide / width))
    return max(1, round(width * most_high / height)), most_high


def factor_for(region: Region, size: Size, largest: int) -> int:
    """The largest factor, up to ``largest``, that leaves at least so many pixels; 1 where none does."""
    for factor in FACTORS:
        if factor <= largest and region.width >= factor * size[0] and region.height >= factor * size[1]:
            return factor
    return 1


def box_means(samples: NDArray[Any], factor: int) -> NDArray[Any]:
    """The mean of each square of ``factor`` by ``factor`` samples, (height, width[, channels]).

    Squares that reach beyond the end are filled up with the last row and column. Means of whole numbers are rounded,
    half up.
    """
    if factor == 1:
        return samples
    height, width = samples.shape[:2]
    margin = [(0, -height % factor), (0, -width % factor), *[(0, 0)] * (samples.ndim - 2)]
    if any(after for _, after in margin):
        samples = np.pad(samples, margin, mode="edge")
    rows, columns = samples.shape[0] // factor, samples.shape[1] // factor
    squares = samples.reshape(rows, factor, columns, factor, *samples.shape[2:])
    if np.issubdtype(samples.dtype, np.floating):
        means: NDArray[Any] = squares.mean(axis=(1, 3), dtype=samples.dtype)
        return means
    sums = squares.sum(axis=1, dtype=np.int32).sum(axis=2)
    rounded: NDArray[Any] = ((sums + factor * factor // 2) // (factor * factor)).astype(samples.dtype)
    return rounded


def resized(pixels: Pixels, size: Size, box: tuple[float, float, float, float], *, alpha: bool) -> Pixels:
    """Pixels at another size, with Lanczos' filter.

    Args:
        pixels: (height, width), or (height, width, channels).
        size: width and height of the result.
        box: which part it shows: left, top, right and bottom in pixels, which need not be whole.
        alpha: the last channel is opacity; colours count as much as they are opaque.
    """
    height, width = pixels.shape[:2]
    if size == (width, height) and box == (0.0, 0.0, float(width), float(height)):
        return pixels
    if pixels.itemsize == 1:  # Pillow has modes for these
        small: Pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, box))
        return small
    channels = pixels[..., None] if pixels.ndim == 2 else pixels
    out = np.empty((size[1], size[0], channels.shape[2]), np.float32)
    opacity = channels[..., -1] / np.float32(65535) if alpha else None
    for number in range(channels.shape[2]):
        values = channels[..., number].astype(np.float32)
        if opacity is not None and number < channels.shape[2] - 1:
            values *= opacity
        out[..., number] = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.LANCZOS, box))
    top = pixels.max(initial=0)
    if opacity is not None:
        out[..., :-1] /= np.maximum(out[..., -1:] / 65535, 1e-6)
    result: Pixels = np.clip(np.rint(out), 0, top).astype(pixels.dtype)
    return result[..., 0] if pixels.ndim == 2 else result
