"""Distortion and rate of one picture."""

from __future__ import annotations

from itertools import pairwise

from glissando.bench.metrics import psnr

from .api import Pixels

__all__ = ["bits_per_pixel", "largest_drop", "psnr"]


def bits_per_pixel(data: bytes, picture: Pixels) -> float:
    """Bits of the whole file, header included, per pixel of the picture."""
    height, width = (int(side) for side in picture.shape[:2])
    return 8.0 * len(data) / (height * width)


def largest_drop(sizes: list[int]) -> float:
    """Largest decrease from one size to the next, in percent of the former; 0 where none decreases."""
    drops = (100.0 * (a - b) / a for a, b in pairwise(sizes))
    return max(0.0, max(drops, default=0.0))
