"""A heat map of the bits that each place of a picture takes in its file, drawn over the picture, with a legend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .picture import Pixels

__all__ = ["colours_of_bits", "draw_bits"]

LEGEND = 40
"""Rows of the legend, which stands below the picture."""

SHARE = 0.6
"""How much of a pixel is the heat map's colour; the rest is the picture in grey."""

_STOPS = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], np.float64
)
"""Colours from the fewest bits to the most: matplotlib's map "inferno" at every fifth of its length."""


def colours_of_bits(
    bits: NDArray[np.float64], *, side: int, top: float | None = None
) -> tuple[NDArray[np.uint8], float]:
    """The colours of the bits of each square, uint8 (rows, columns, 3), and the bits per pixel of the brightest.

    Arguments as in ``draw_bits``. Colours follow the square root, so that small rates differ, too.
    """
    rate = bits / side**2
    top = max(float(rate.max()) if top is None else top, 1e-6)
    return np.rint(_colours(np.sqrt(rate / top))).astype(np.uint8), top


def draw_bits(
    pixels: Pixels, bits: NDArray[np.float64], *, side: int, drawn_side: int | None = None, top: float | None = None
) -> Pixels:
    """The picture in grey under the colours of ``bits``, and a legend in bits per pixel below.

    Args:
        pixels: uint8 (H, W, 3) or (H, W).
        bits: (rows, columns), those of each square of the file.
        side: pixels of the file in such a square, each way.
        drawn_side: pixels of ``pixels`` in it, each way: fewer than ``side`` where they are of a smaller copy; ``side``
            unless given.
        top: bits per pixel of the brightest colour; those of the square with the most unless given.

    Returns:
        uint8 (H + 40, max(W, 240), 3).
    """
    from PIL import Image, ImageDraw

    height, width = pixels.shape[:2]
    drawn_side = side if drawn_side is None else drawn_side
    colours, top = colours_of_bits(bits, side=side, top=top)
    heat = np.repeat(np.repeat(colours, drawn_side, axis=0), drawn_side, axis=1)[:height, :width]
    grey = pixels.reshape(height, width, -1).mean(axis=2, keepdims=True)
    whole = np.full((height + LEGEND, max(width, 240), 3), 24, np.uint8)
    whole[:height, :width] = np.rint(SHARE * heat + (1 - SHARE) * grey)

    left, right = 12, whole.shape[1] - 13
    bar = np.linspace(0, 1, right - left + 1)
    whole[height + 6 : height + 18, left : right + 1] = np.rint(_colours(bar))
    image = Image.fromarray(whole)
    draw = ImageDraw.Draw(image)
    for tick in range(5):
        at = left + round(tick / 4 * (right - left))
        draw.line([(at, height + 18), (at, height + 21)], fill="white")
        text = f"{top * (tick / 4) ** 2:.2f}" + (" bits per pixel" if tick == 0 else "")
        length = draw.textlength(text)
        draw.text((min(max(at - length / 2, 2), whole.shape[1] - length - 2), height + 24), text, fill="white")
    return np.asarray(image)


def _colours(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours, (…, 3) from 0 to 255, of numbers from 0 to 1."""
    at = np.linspace(0, 1, len(_STOPS))
    return np.stack([np.interp(shares, at, stops) for stops in _STOPS.T], axis=-1)
