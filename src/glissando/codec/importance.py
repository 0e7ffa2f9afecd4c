"""Importance, which is what a user says of a picture, and the quality field that it becomes.

The idea is that of content-weighted coding (Li et al., "Learning Convolutional Networks for Content-Weighted Image
Compression", CVPR 2018): a map decides how many bits each part of a picture gets. Here it moves the quality, by which
gains and scales are interpolated anyway, so that any model of the main family takes it as it is.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glissando.errors import InputError
from glissando.picture import Picture, scaled

from .geometry import Grid
from .options import ImportanceLike
from .quality import QualityField, from_0_to_100

__all__ = ["DEFAULT_STRENGTH", "LEVELS", "as_shades", "check_strength", "field_of_importance", "field_of_shades"]

DEFAULT_STRENGTH = 24.0
"""Quality steps that full white adds and full black takes away."""

LEVELS = 9
"""Offsets that a map may have, evenly from -strength to strength."""

STEPS = LEVELS // 2  # levels on either side of neutral
SLOPE = 2  # a map that changes by more levels than this over three latents has an edge there
EDGE = 0.25  # a latent at an edge counts as important if at least this share of it is important


def field_of_importance(importance: ImportanceLike, grid: Grid, strength: float | None = None) -> QualityField:
    """The quality field of a picture for which a user gave an importance.

    ``importance``: a greyscale picture of any size, laid over the picture and averaged over each latent's area.
    Mid-grey is neutral, white adds ``strength`` quality steps, black takes them away, in ``LEVELS`` levels.

    Raises InputError for an importance or a strength that is not like this; the message says what is wrong.
    """
    strength = check_strength(DEFAULT_STRENGTH if strength is None else strength)
    # Black is 0 and white 255: 127 and 128 are both the middle.
    return field_of_shades(_hard_edges(2 * _on_grid(as_shades(importance), grid) - 1), strength)


def field_of_shades(shades: NDArray[np.floating[Any]], strength: float, steps: int = STEPS) -> QualityField:
    """Offsets near ``shades`` times ``strength``: neutral, or one of so many ``steps`` on either side.

    ``shades``: (rows, columns), from -1 to 1; what is beyond is brought there.
    """
    levels = np.rint(np.clip(shades, -1, 1) * steps)
    return QualityField.of_offsets(np.rint(levels * (strength * 256 / steps)).astype(np.int32))


def _hard_edges(shades: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shades (rows, columns), from -1 to 1, with edges made hard, which halves the bits of a painted shape.

    A latent that an edge runs through has a shade between those on either side. It takes the brightest shade around it
    if its own is at least a share of ``EDGE`` of the way there from the darkest, else the darkest.
    """
    levels = np.rint(shades * STEPS)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(levels, 1, mode="edge"), (3, 3))
    low, high = around.min(axis=(2, 3)) / STEPS, around.max(axis=(2, 3)) / STEPS
    snapped = np.where(shades - low >= EDGE * (high - low), high, low)
    return np.where((high - low) * STEPS > SLOPE, snapped, shades)


def check_strength(strength: float) -> float:
    """Raises InputError unless it is a number from 0 to 100."""
    return from_0_to_100(strength, "strength", " quality steps")


_TRANSPARENT = "importance is transparent in places; paint mid-grey where the picture is to stay as it is"


def as_shades(importance: object) -> NDArray[Any]:
    """A map as an array (rows, columns): bool, uint8, uint16, or floats in [0, 1].

    Colour whose channels are all the same is grey. Raises InputError for anything that is no greyscale picture.
    """
    if isinstance(importance, Picture):
        if importance.alpha is not None:
            raise InputError(_TRANSPARENT)
        depth = importance.format.depth
        importance = scaled(importance.pixels, depth, 8 if depth == 8 else 16)
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
            raise InputError(_TRANSPARENT)
    if image.mode.startswith("I"):  # 16 bits, in whichever type Pillow keeps them
        wide = np.asarray(image)
        if wide.min() < 0 or wide.max() > 65535:
            raise InputError(f"importance has values {wide.min()}..{wide.max()}; 16 bits hold 0..65535")
        return wide.astype(np.uint16)
    if image.mode in ("1", "L", "F"):
        return np.asarray(image)
    return np.asarray(image.convert("RGB"))


def _on_grid(shades: NDArray[Any], grid: Grid) -> NDArray[np.float64]:
    """The mean of the map, stretched over the picture, in each coded latent's area: (rows, columns), 0 to 1."""
    top = np.iinfo(shades.dtype).max if shades.dtype.kind == "u" else 1
    down, right = grid.edges()
    means: NDArray[np.float64] = _area_means(_area_means(shades, down).T, right).T / top
    return means


def _area_means(x: NDArray[Any], edges: NDArray[np.intp]) -> NDArray[np.float64]:
    """Means of ``x`` between edges, after its first axis is stretched to end at the last of them."""
    edges_of_x = edges * (len(x) / edges[-1])
    out = np.empty((len(edges) - 1, x.shape[1]))
    for i, (start, stop) in enumerate(itertools.pairwise(edges_of_x)):
        first, last = int(start), min(int(np.ceil(stop)), len(x))
        covered = np.minimum(np.arange(first + 1, last + 1), stop) - np.maximum(np.arange(first, last), start)
        out[i] = covered @ x[first:last].astype(np.float64) / covered.sum()
    return out
