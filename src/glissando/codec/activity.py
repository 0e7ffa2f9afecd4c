"""How busy a picture is: three numbers that tell, before any network runs, about how many bits it will take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glissando.picture import Pixels

__all__ = ["activity"]

ROWS = 4  # pictures are looked at in bands of so many rows
PIXELS = 1 << 17  # bands with about so many pixels are enough
LUMA = np.array([0.25, 0.5, 0.25], np.float32)
FLOOR = 0.1
"""Added to differences, in levels of 255, so that all flat pictures count as about equally flat."""


def activity(pixels: Pixels, depth: int) -> NDArray[np.float64] | None:
    """Logarithms of the mean differences of neighbours in levels of 255: of light, light at half the size, and colour.

    ``pixels``: (height, width) or (height, width, 3), of ``depth`` bits. None where there are fewer than four rows or
    columns.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < ROWS:
        return None
    every = max(1, height * width // PIXELS)
    starts = np.arange(0, height - ROWS + 1, ROWS * every)
    bands = pixels[starts[:, None] + np.arange(ROWS)].astype(np.float32) * np.float32(255 / ((1 << depth) - 1))
    light, colour = bands, 0.0
    if bands.ndim == 4:
        light = bands @ LUMA
        colour = _difference(bands[..., 0] - bands[..., 1]) + _difference(bands[..., 2] - bands[..., 1])
    even = light[..., : width // 2 * 2]
    half = (even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / 4
    return np.log(FLOOR + np.array([_difference(light), _difference(half), colour]))


def _difference(x: NDArray[np.float32]) -> float:
    """The mean of the differences to the neighbour below and to the one at the right, of (bands, rows, columns)."""
    return float(np.abs(np.diff(x, axis=1)).mean() + np.abs(np.diff(x, axis=2)).mean())
