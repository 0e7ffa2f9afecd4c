"""Pictures that no camera takes: patterns, text, drawings, pixel art, flat colours, gradients and noise, from seeds.

Photographs teach a codec nothing about one-pixel stripes or blue text on red. A few per cent of each batch of crops are
drawn here instead (``data.procedural`` of a recipe); the same seed draws the same picture wherever the same fonts are
installed.
"""

from __future__ import annotations

import multiprocessing
import os
import string
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["KINDS", "draw", "draw_many"]

Pixels = NDArray[np.uint8]
Random = np.random.Generator
Plane = NDArray[np.float64]

FONT_FOLDERS = (Path("/usr/share/fonts"), Path("/System/Library/Fonts"), Path("C:/Windows/Fonts"))
PART = 64  # pictures that a process draws at a time
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 + 1 / 32


def draw(seed: int, side: int) -> Pixels:
    """A picture (side, side, 3), sRGB: one kind of content, or two to four kinds in rectangles beside each other."""
    random = np.random.default_rng(seed)
    names = list(KINDS)
    picture = KINDS[names[random.integers(len(names))]](random, side)
    for _ in range(int(random.choice([0, 0, 1, 2, 3]))):
        top, left = random.integers(0, side, 2)
        height, width = random.integers(side // 8, side // 2 + 1, 2)
        other = KINDS[names[random.integers(len(names))]](random, side)
        picture[top : top + height, left : left + width] = other[top : top + height, left : left + width]
    return picture


def draw_many(count: int, side: int) -> Pixels:
    """The pictures (count, side, side, 3) of the seeds 0 … count − 1. Many are drawn by a process for each core, as
    threads of one process would wait for each other.
    """
    pictures = np.empty((count, side, side, 3), np.uint8)
    parts = [range(first, min(first + PART, count)) for first in range(0, count, PART)]
    if len(parts) < 2:
        for part in parts:
            pictures[part.start : part.stop] = _draw_part(part, side)
        return pictures
    workers = min(len(parts), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for part, drawn in zip(parts, pool.map(_draw_part, parts, repeat(side)), strict=True):
            pictures[part.start : part.stop] = drawn
    return pictures


def _draw_part(seeds: range, side: int) -> Pixels:
    return np.stack([draw(seed, side) for seed in seeds])


# --- Colours -----------------------------------------------------------------------------------------------


def _colour(random: Random) -> NDArray[np.float64]:
    """A colour (3,), 0 … 255: a corner of the RGB cube, a grey, a saturated colour, or any."""
    kind = random.integers(4)
    if kind == 0:
        return 255 * random.integers(0, 2, 3).astype(np.float64)
    if kind == 1:
        return np.full(3, random.integers(0, 256), np.float64)
    if kind == 2:
        return random.permutation(np.array([0.0, 255.0, random.integers(0, 256)], np.float64))
    return random.integers(0, 256, 3).astype(np.float64)


def _two_colours(random: Random) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two colours that differ by more than 16 levels in a channel."""
    while True:
        first, second = _colour(random), _colour(random)
        if np.abs(first - second).max() > 16:
            return first, second


def _between(random: Random, share: Plane) -> Pixels:
    """(H, W, 3) from one colour where ``share`` (H, W) is 0 to another where it is 1."""
    first, second = _two_colours(random)
    return np.rint(first + share[..., None] * (second - first)).astype(np.uint8)


def _grid(side: int) -> tuple[Plane, Plane]:
    """Rows and columns of all pixels."""
    y, x = np.mgrid[:side, :side]
    return y.astype(np.float64), x.astype(np.float64)


# --- Kinds of content --------------------------------------------------------------------------------------


def stripes(random: Random, side: int) -> Pixels:
    """Stripes or a checkerboard of a period of 2 to 16 pixels, hard-edged."""
    y, x = np.arange(side)[:, None], np.arange(side)[None]
    rows, columns = (int(random.choice([1, 1, 1, 2, 3, 4, 8])) for _ in range(2))
    down, across = (y + random.integers(0, 8)) // rows % 2, (x + random.integers(0, 8)) // columns % 2
    pattern = [down, across, (down + across) % 2, (x + y) // rows % 2][random.integers(4)]
    return _between(random, np.broadcast_to(pattern, (side, side)))


def waves(random: Random, side: int) -> Pixels:
    """A zone plate, or a grating of any direction and frequency."""
    y, x = _grid(side)
    if random.random() < 0.5:
        centre = random.uniform(0, side, 2)
        phase = np.pi * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / random.uniform(side / 2, 4 * side)
    else:
        angle, frequency = random.uniform(0, np.pi), random.uniform(0.02, np.pi)
        phase = frequency * (x * np.cos(angle) + y * np.sin(angle))
    return _between(random, 0.5 + 0.5 * np.cos(phase))


def gradient(random: Random, side: int) -> Pixels:
    """A gradient along a direction or around a point, smooth or in a few hard bands."""
    y, x = _grid(side)
    if random.random() < 0.5:
        angle = random.uniform(0, 2 * np.pi)
        share = x * np.cos(angle) + y * np.sin(angle)
    else:
        centre = random.uniform(0, side, 2)
        share = np.hypot(y - centre[0], x - centre[1])
    share = (share - share.min()) / np.ptp(share)
    if random.random() < 0.2:
        bands = random.integers(2, 12)
        share = np.floor(share * bands) / bands
    return _between(random, share)


def dither(random: Random, side: int) -> Pixels:
    """A gradient drawn in two colours alone, by an ordered pattern or by noise."""
    grey = gradient(random, side).mean(2) / 255
    grey = (grey - grey.min()) / max(float(np.ptp(grey)), 1e-9)
    repeats = -(-side // 4)
    threshold = np.tile(BAYER, (repeats, repeats))[:side, :side] if random.random() < 0.6 else random.random(grey.shape)
    return _between(random, (grey > threshold).astype(np.float64))


def noise(random: Random, side: int) -> Pixels:
    """Noise of one or three channels, in grains of 1 to 4 pixels, on a flat colour."""
    grain = int(random.choice([1, 1, 2, 4]))
    channels = int(random.choice([1, 3]))
    coarse = random.normal(0, random.uniform(2, 80), (-(-side // grain), -(-side // grain), channels))
    if random.random() < 0.25:  # salt and pepper
        coarse = np.where(np.abs(coarse) > np.abs(coarse).mean() * 2.5, 255 * np.sign(coarse), 0)
    fine = coarse.repeat(grain, 0).repeat(grain, 1)[:side, :side]
    return np.clip(np.rint(_colour(random) + fine), 0, 255).astype(np.uint8)


def flat(random: Random, side: int) -> Pixels:
    """Rectangles of flat colours, as of a user interface."""
    image = Image.new("RGB", (side, side), _rgb(random))
    pen = ImageDraw.Draw(image)
    for _ in range(random.integers(0, 12)):
        outline = _rgb(random) if random.random() < 0.4 else None
        radius = int(random.integers(0, 12))
        pen.rounded_rectangle(_box(random, side), radius, fill=_rgb(random), outline=outline)
    return np.array(image)


def drawing(random: Random, side: int) -> Pixels:
    """Lines, polygons and arcs, one to four pixels wide, with soft or hard edges."""
    scale = int(random.choice([1, 2]))  # what is drawn twice as large and halved has soft edges
    large = side * scale
    image = Image.new("RGB", (large, large), _rgb(random) if random.random() < 0.5 else (255, 255, 255))
    pen = ImageDraw.Draw(image)
    ink = _rgb(random)
    for _ in range(random.integers(4, 40)):
        if random.random() < 0.2:
            ink = _rgb(random)
        width = int(random.integers(1, 5)) * scale
        kind = random.integers(4)
        if kind == 0:
            pen.line(_points(random, large, 2), fill=ink, width=width)
        elif kind == 1:
            pen.line(_points(random, large, int(random.integers(3, 9))), fill=ink, width=width, joint="curve")
        elif kind == 2:
            pen.arc(_box(random, large), int(random.integers(360)), int(random.integers(360)), fill=ink, width=width)
        else:
            pen.ellipse(_box(random, large), outline=ink, width=width)
    return np.array(image.resize((side, side), Image.Resampling.BOX) if scale > 1 else image)


def pixel_art(random: Random, side: int) -> Pixels:
    """Large square pixels of a small palette, in part mirrored."""
    size = int(random.choice([2, 3, 4, 6, 8, 12, 16]))
    small = -(-side // size)
    palette = np.stack([_colour(random) for _ in range(random.integers(2, 12))]).astype(np.uint8)
    shares = random.dirichlet(np.full(len(palette), 0.7))
    index = random.choice(len(palette), (small, small), p=shares)
    if random.random() < 0.5:
        index[:, small // 2 :] = index[:, : small - small // 2][:, ::-1]
    for _ in range(random.integers(0, 4)):  # shapes in it
        top, left = random.integers(0, small, 2)
        index[top : top + small // 4, left : left + small // 4] = random.integers(len(palette))
    return palette[index].repeat(size, 0).repeat(size, 1)[:side, :side]


def text(random: Random, side: int) -> Pixels:
    """Lines of text on a flat colour, a gradient or noise; smooth, or of whole pixels."""
    ground, ink = _two_colours(random)
    kind = random.integers(4)
    if kind == 0:
        image = Image.fromarray(gradient(random, side))
    elif kind == 1:
        image = Image.fromarray(noise(random, side))
    else:
        image = Image.new("RGB", (side, side), tuple(ground.astype(int).tolist()))
    pen = ImageDraw.Draw(image)
    pen.fontmode = "L" if random.random() < 0.8 else "1"
    size = int(random.integers(8, 40))
    font = _font(int(random.integers(1 << 16)), size)
    letters = list(string.ascii_letters * 2 + string.digits + string.punctuation + " " * 24)
    top = -int(random.integers(size))
    while top < side:
        line = "".join(random.choice(letters, side // 4))
        pen.text((-int(random.integers(size)), top), line, font=font, fill=tuple(ink.astype(int).tolist()))
        top += size + int(random.integers(0, size // 2 + 1))
    return np.array(image)


def _rgb(random: Random) -> tuple[int, int, int]:
    red, green, blue = _colour(random).astype(int).tolist()
    return red, green, blue


def _points(random: Random, side: int, count: int) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in random.integers(0, side, (count, 2))]


def _box(random: Random, side: int) -> tuple[int, int, int, int]:
    left, top = random.integers(-side // 8, side, 2).tolist()
    width, height = random.integers(2, side, 2).tolist()
    return left, top, left + width, top + height


@cache
def _font_files() -> tuple[Path, ...]:
    """The files of this machine's fonts, sorted. There may be none."""
    return tuple(sorted(path for folder in FONT_FOLDERS for path in folder.glob("**/*.ttf")))


@cache
def _font(choice: int, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """One of the machine's fonts, or Pillow's own."""
    files = _font_files()
    if files and choice % (len(files) + 1):
        try:
            return ImageFont.truetype(files[choice % (len(files) + 1) - 1], size)
        except OSError:
            pass  # the file is no font
    return ImageFont.load_default(size)


KINDS: dict[str, Callable[[Random, int], Pixels]] = {
    "stripes": stripes,
    "waves": waves,
    "gradient": gradient,
    "dither": dither,
    "noise": noise,
    "flat": flat,
    "drawing": drawing,
    "pixel art": pixel_art,
    "text": text,
}
"""Kinds of content by name; each draws (side, side, 3) uint8 from a random state and a side in pixels."""
