"""Where a picture matters: from a painted mask to an offset of the quality at each latent position.

The idea is that of content-weighted coding (Li et al., "Learning Convolutional Networks for Content-Weighted Image
Compression", CVPR 2018): a map decides, place by place, how many bits a picture gets. Here the map moves the quality,
of which gains and scales are interpolated, so that any model of the main family takes it as it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glissando.errors import InputError
from glissando.picture import Picture

from .geometry import LATENT

__all__ = [
    "DEFAULT_STRENGTH",
    "LEVELS",
    "Importance",
    "ImportanceLike",
    "LocalQuality",
    "as_shades",
    "check_strength",
    "importance_map",
    "of_shades",
]

DEFAULT_STRENGTH = 24.0
"""Quality steps that full white adds and full black takes away."""

LEVELS = 9
"""Offsets that a map may have, evenly from -strength to strength."""

QUALITY_TOP = 25600
STEPS = LEVELS // 2  # levels on either side of neutral
SLOPE = 2  # levels that a map may rise over three places before that is an edge
EDGE = 0.25  # what matters a little in a place matters

ImportanceLike = NDArray[Any] | Image.Image | Picture
"""A greyscale picture of any size: uint8, uint16, bool, or floats in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Importance:
    """Offsets of the quality on the grid of latents that lie in a picture.

    Attributes:
        palette: the offsets that occur, in 1/256 of quality, ascending.
        index: int16 (rows, columns), which of them each position has.
    """

    palette: tuple[int, ...]
    index: NDArray[np.int16]

    @classmethod
    def of_offsets(cls, offsets: NDArray[np.integer[Any]]) -> Importance:
        """From the offsets themselves, (rows, columns)."""
        palette, index = np.unique(offsets, return_inverse=True)
        return cls(tuple(palette.tolist()), index.reshape(offsets.shape).astype(np.int16))


class LocalQuality:
    """The quality at each place of a picture: the file's own, or with the offset of a map.

    Args:
        palette: the qualities that occur, in 1/256.
        index: int16 (rows, columns), which of them each place has; None where there is only one.
    """

    def __init__(self, palette: Sequence[int], index: NDArray[np.int16] | None = None) -> None:
        self.palette = tuple(palette)
        self._index = index if len(palette) > 1 else None

    @classmethod
    def around(cls, units: int, offsets: Sequence[int] = (0,), index: NDArray[np.int16] | None = None) -> LocalQuality:
        """From a file's quality and the offsets of a map, in 1/256, kept in 0 .. 25600."""
        return cls([min(max(units + offset, 0), QUALITY_TOP) for offset in offsets], index)

    @property
    def highest(self) -> float:
        """The highest quality of all places, 0 to 100."""
        return max(self.palette) / 256

    def over(self, place: tuple[slice, slice]) -> NDArray[np.int16] | None:
        """Indices into ``palette`` of the places in a part of the grid; None: all have the first.

        Padding beyond the grid repeats its last row and column.
        """
        if self._index is None:
            return None
        rows, columns = (
            np.minimum(np.arange(part.start, part.stop), size - 1)
            for part, size in zip(place, self._index.shape, strict=True)
        )
        return self._index[np.ix_(rows, columns)]

    @property
    def synthesis(self) -> int:
        """The one quality, in 1/256, for what a decoder's synthesis is told, whose parts must all be told the same.

        Between places that it is told different qualities, a sky would show the grid of its patches. Too high a quality
        harms less than too low a one: three quarters of the way from the lowest to the highest.
        """
        return (3 * max(self.palette) + min(self.palette) + 2) // 4


def importance_map(importance: ImportanceLike, width: int, height: int, strength: float | None = None) -> Importance:
    """The map of a picture of ``width`` by ``height`` pixels.

    ``importance``: a greyscale picture of any size, laid over the picture and averaged over each latent's area.
    Mid-grey is neutral, white adds ``strength`` quality steps, black takes them away, in ``LEVELS`` levels.

    Raises InputError for anything else; the message says what is wrong.
    """
    strength = check_strength(DEFAULT_STRENGTH if strength is None else strength)
    # Black is 0 and white 255: 127 and 128 are both the middle.
    return of_shades(_hard_edges(2 * _on_grid(as_shades(importance), height, width) - 1), strength)


def of_shades(shades: NDArray[np.floating[Any]], strength: float, steps: int = STEPS) -> Importance:
    """Offsets near ``shades`` times ``strength``: neutral, or one of so many ``steps`` on either side.

    ``shades``: (rows, columns), from -1 to 1; what is beyond is brought there.
    """
    levels = np.rint(np.clip(shades, -1, 1) * steps)
    return Importance.of_offsets(np.rint(levels * (strength * 256 / steps)).astype(np.int32))


def _hard_edges(shades: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same with hard edges between places, not across them: that halves what a painted shape costs.

    A place at an edge takes the brightest shade around it if at least a share of ``EDGE`` is of it, else the darkest.
    """
    levels = np.rint(shades * STEPS)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(levels, 1, mode="edge"), (3, 3))
    low, high = around.min(axis=(2, 3)) / STEPS, around.max(axis=(2, 3)) / STEPS
    snapped = np.where(shades - low >= EDGE * (high - low), high, low)
    return np.where((high - low) * STEPS > SLOPE, snapped, shades)


def check_strength(strength: float) -> float:
    """Raises InputError unless it is a number from 0 to 100."""
    try:
        value = float(strength)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"strength must be a number from 0 to 100, not {strength!r}") from None
    if not 0 <= value <= 100:
        raise InputError(f"strength must be from 0 to 100 quality steps, not {strength}")
    return value


def as_shades(importance: object) -> NDArray[Any]:
    """A map as an array (rows, columns): bool, uint8, uint16, or floats in [0, 1].

    Colour whose channels are all the same is grey. Raises InputError for anything that is no greyscale picture.
    """
    if isinstance(importance, Picture):
        importance = importance.pixels
    elif isinstance(importance, Image.Image):
        importance = _of_pillow(importance)
    if not isinstance(importance, np.ndarray):
        raise InputError(
            "importance must be a NumPy array, a PIL.Image, a Picture or 'auto', not "
            + (repr(importance) if isinstance(importance, str) else type(importance).__name__)
        )
    shape = "x".join(map(str, importance.shape)) or "none"
    if importance.size == 0:
        raise InputError(f"importance has no pixels; its shape is {shape}")
    if importance.ndim == 3 and importance.shape[2] in (1, 3):
        if (np.ptp(importance, axis=2) > _tint(importance.dtype)).any():
            raise InputError("importance has colours; it must be grey: white is kept best, black is spent least on")
        importance = importance[:, :, importance.shape[2] // 2]
    if importance.ndim != 2:
        raise InputError(f"importance must have the shape (rows, columns), not {shape}")
    if importance.dtype.kind == "f":
        if not np.isfinite(importance).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(importance))[0])
            raise InputError(f"importance is {importance[where]} at row {where[0]}, column {where[1]}")
        if importance.min() < 0 or importance.max() > 1:
            raise InputError(f"importance in floats must be in [0, 1]; it is {importance.min()}..{importance.max()}")
    elif importance.dtype not in (np.bool_, np.uint8, np.uint16):
        raise InputError(f"importance must be uint8, uint16, bool or floats in [0, 1], not {importance.dtype}")
    return importance


def _tint(dtype: np.dtype[Any]) -> float:
    """How far the channels of what counts as grey may differ: a JPEG of a grey picture is not quite grey."""
    return float(np.iinfo(dtype).max / 16) if dtype.kind == "u" else 1 / 16


def _of_pillow(image: Image.Image) -> NDArray[Any]:
    if image.width * image.height == 0:
        raise InputError(f"importance has no pixels; it is {image.width}x{image.height}")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise InputError(
                "importance is transparent in places; paint mid-grey where the picture is to stay as it is"
            )
    if image.mode.startswith("I"):  # 16 bits, whatever Pillow keeps them in
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:
            raise InputError(f"importance has values {wide.min()}..{wide.max()}; 16 bits hold 0..65535")
        return wide.astype(np.uint16)
    if image.mode in ("1", "L", "F"):
        return np.asarray(image)
    return np.asarray(image.convert("RGB"))


def _on_grid(shades: NDArray[Any], height: int, width: int) -> NDArray[np.float64]:
    """The mean of the map over each latent's area in a picture of that size, 0 to 1."""
    top = np.iinfo(shades.dtype).max if shades.dtype.kind == "u" else 1
    found: NDArray[np.float64] = _area_means(_area_means(shades, height).T, width).T / top
    return found


def _area_means(x: NDArray[Any], length: int) -> NDArray[np.float64]:
    """Means over each latent's share of the first axis, which is stretched over ``length`` pixels."""
    edges = np.minimum(np.arange(0, length + LATENT, LATENT), length) * (len(x) / length)
    out = np.empty((len(edges) - 1, x.shape[1]))
    for i, (start, stop) in enumerate(itertools.pairwise(edges)):
        first, last = int(start), min(int(np.ceil(stop)), len(x))
        covered = np.minimum(np.arange(first + 1, last + 1), stop) - np.maximum(np.arange(first, last), start)
        out[i] = covered @ x[first:last].astype(np.float64) / covered.sum()
    return out
