"""A quality field made from the picture itself: a lower quality where the picture is busy and errors are seen least.

The rule is that of x264's adaptive quantisation: an offset that falls with the logarithm of the local variance. Its
numbers were chosen on eight training pictures, by SSIMULACRA2 and MS-SSIM.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from .geometry import Grid
from .importance import check_strength, field_of_shades
from .quality import QualityField

__all__ = ["AUTO_STRENGTH", "automatic_field"]

AUTO_STRENGTH = 12.0
"""The most quality steps that a latent gains or loses, unless another strength is given."""

LUMA = np.array([0.299, 0.587, 0.114])
FLOOR = 100.0  # added to the variance of 8-bit samples, so that all areas that vary less count as about equally smooth
SOFTENING = 2  # how many times the map is smoothed, since a ragged map costs more bits than it saves
STEPS = 3  # offsets on either side of neutral
OCTAVES = 4.0  # how far from the picture's mean a variance must lie for the full strength


def automatic_field(pixels: NDArray[np.uint8], grid: Grid, strength: float | None = None) -> QualityField:
    """The quality field of a picture, uint8 (H, W) or (H, W, 3), with one offset for each coded latent of ``grid``.

    Offsets are proportional to how many octaves a latent's variance of luma lies below the picture's mean, up to
    ``strength`` quality steps: 0 to 100, 12 unless given. Raises InputError for another.
    """
    strength = check_strength(AUTO_STRENGTH if strength is None else strength)
    activity = _soften(np.log2(_variance(pixels, grid) + FLOOR), SOFTENING)
    return field_of_shades((activity.mean() - activity) / OCTAVES, strength, STEPS)


def _variance(pixels: NDArray[np.uint8], grid: Grid) -> NDArray[np.float64]:
    """Variance of luma over each coded latent's pixels in the picture, (rows, columns)."""
    down, right = grid.edges()
    lefts, columns = right[:-1], np.diff(right)
    variance = np.empty(grid.coded)
    for row, (top, bottom) in enumerate(itertools.pairwise(down)):
        luma = pixels[top:bottom].astype(np.float64)
        if luma.ndim == 3:
            luma = luma @ LUMA
        mean, square = (
            np.add.reduceat(values.sum(axis=0), lefts) / (columns * len(luma)) for values in (luma, luma * luma)
        )
        variance[row] = np.maximum(square - mean * mean, 0)
    return variance


def _soften(values: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    """Smooth values (rows, columns) ``times`` times with the weights 1 2 1 along both axes; edges are repeated."""
    for _ in range(times):
        for axis in (0, 1):
            ends = np.arange(-1, values.shape[axis] + 1).clip(0, values.shape[axis] - 1)
            wide = np.take(values, ends, axis)
            before, here, after = (np.take(wide, np.arange(k, k + values.shape[axis]), axis) for k in range(3))
            values = (before + 2 * here + after) / 4
    return values
