"""Distortion and rate of one picture."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from .api import Pixels

__all__ = ["bits_per_pixel", "largest_drop", "psnr"]


def psnr(original: Pixels, decoded: Pixels) -> float:
    """Peak signal-to-noise ratio in dB over all RGB samples of two 8-bit pictures; inf where they are equal.

    The peak is 255 and the squared error is averaged over pixels and channels before the logarithm.
    Raises ValueError where shapes or types differ.
    """
    if original.shape != decoded.shape or original.dtype != np.uint8 or decoded.dtype != np.uint8:
        raise ValueError(
            "PSNR needs two uint8 pictures of one shape, not "
            f"{original.dtype} {original.shape} and {decoded.dtype} {decoded.shape}"
        )
    difference = original.astype(np.int32) - decoded.astype(np.int32)
    mse = float(np.square(difference).mean(dtype=np.float64))
    return math.inf if mse == 0.0 else 10.0 * math.log10(255.0**2 / mse)


def bits_per_pixel(data: bytes, picture: Pixels) -> float:
    """Bits of the whole file, header included, per pixel of the picture."""
    height, width = (int(side) for side in picture.shape[:2])
    return 8.0 * len(data) / (height * width)


def largest_drop(sizes: list[int]) -> float:
    """Largest decrease from one size to the next, in percent of the former; 0 where none decreases."""
    drops = (100.0 * (a - b) / a for a, b in pairwise(sizes))
    return max(0.0, max(drops, default=0.0))
