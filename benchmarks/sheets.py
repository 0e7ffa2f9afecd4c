"""Parts of sheets that show crops of pictures beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .api import Pixels

__all__ = ["captions", "with_caption"]

BORDER = 2  # pixels, on either side of a crop


def with_caption(crop: Pixels, text: str) -> Pixels:
    """A crop as it is, with white beside it and a line of text below."""
    image = Image.fromarray(np.pad(crop, ((0, 20), (BORDER, BORDER), (0, 0)), constant_values=255))
    ImageDraw.Draw(image).text((6, len(crop) + 2), text, fill=(90, 90, 90), font=ImageFont.load_default(12))
    return np.asarray(image)


def captions(names: Sequence[str], width: int) -> Pixels:
    """The names above columns of crops that are so wide."""
    image = Image.new("RGB", ((width + 2 * BORDER) * len(names), 26), (255, 255, 255))
    for i, name in enumerate(names):
        place = (width + 2 * BORDER) * i + 6, 4
        ImageDraw.Draw(image).text(place, name, fill=(0, 0, 0), font=ImageFont.load_default(15))
    return np.asarray(image)
