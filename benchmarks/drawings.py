"""Pictures that are no photographs, drawn by programs: what the studies of contents measure."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .api import Pixels

__all__ = ["DRAWINGS", "drawing"]

SIDE = 512


def _lines(image: Image.Image, size: int, ink: tuple[int, int, int], text: str) -> None:
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for number in range(image.height // (size + 5)):
        draw.text((8, 4 + (size + 5) * number), text.format(number), fill=ink, font=font)


def checkerboard() -> Pixels:
    """Black and white squares of one pixel."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)


def stripes() -> Pixels:
    """Vertical black and white stripes of one pixel."""
    return np.repeat(np.tile(np.array([0, 255], np.uint8), (SIDE, SIDE // 2))[..., None], 3, axis=2)


def text_on_red() -> Pixels:
    """Blue letters on saturated red."""
    image = Image.new("RGB", (SIDE, SIDE), (230, 20, 20))
    _lines(image, 20, (0, 0, 255), "Blue letters on red, line {}")
    return np.asarray(image)


def line_art() -> Pixels:
    """Black lines and circles on white, with smooth edges."""
    rng = np.random.default_rng(5)
    image = Image.new("RGB", (3 * SIDE, 3 * SIDE), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        ends = [int(end) for end in rng.integers(0, 3 * SIDE, 4)]
        draw.line(ends, fill=(0, 0, 0), width=int(rng.integers(3, 10)))
        x, y, radius = (int(number) for number in rng.integers((0, 0, 30), (3 * SIDE, 3 * SIDE, 300)))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=(0, 0, 0), width=5)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def screenshot() -> Pixels:
    """A window with lines of program text, buttons and a plot."""
    image = Image.new("RGB", (1024, 768), (250, 250, 252))
    _lines(image, 13, (36, 41, 70), "    def function_{0}(argument, other): return argument * {0} + other")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1024, 36), fill=(40, 60, 90))
    for button in range(6):
        draw.rounded_rectangle((20 + 110 * button, 8, 110 + 110 * button, 28), 6, fill=(80, 120, 180))
    draw.rectangle((600, 400, 1000, 740), fill=(255, 255, 255), outline=(120, 120, 120))
    curve = [(600 + 4 * i, 570 - int(120 * np.sin(i / 9) * np.exp(-i / 60))) for i in range(100)]
    draw.line(curve, fill=(200, 60, 40), width=2)
    return np.asarray(image)


def pixel_art() -> Pixels:
    """Squares of 8 pixels in eight colours."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (8, 3), dtype=np.uint8)
    return np.kron(colours[rng.integers(0, 8, (SIDE // 8, SIDE // 8))], np.ones((8, 8, 1), np.uint8))


def flat() -> Pixels:
    """Magenta."""
    return np.full((SIDE, SIDE, 3), (255, 0, 255), np.uint8)


DRAWINGS = {
    "checkerboard": checkerboard,
    "stripes": stripes,
    "text on red": text_on_red,
    "line art": line_art,
    "screenshot": screenshot,
    "pixel art": pixel_art,
    "flat magenta": flat,
}


def drawing(name: str) -> Pixels:
    """One of DRAWINGS by its name: uint8 RGB."""
    return DRAWINGS[name]()
