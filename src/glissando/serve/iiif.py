"""Regions, sizes and turns as the IIIF Image API 3 writes them (https://iiif.io/api/image/3.0/), and its info.json."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException

from glissando.errors import InputError

from .view import View

__all__ = ["COLOURS", "CONTEXT", "PROFILE", "canonical", "info", "largest", "view_of"]

CONTEXT = "http://iiif.io/api/image/3/context.json"
PROFILE = "level2"
COLOURS = ("default", "color", "gray", "bitonal")
_NUMBER = r"(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})"
_FACTORS = (1, 2, 4, 8, 16, 32, 64)


def view_of(region: str, size: str, rotation: str, quality: str, picture: tuple[int, int], most: int) -> View:
    """The view that four parts of a request's path mean, of a picture of this width and height.

    ``most``: pixels that it may have. Raises InputError for what the API forbids, HTTPException 501 for what it leaves
    to servers and this one does not do.
    """
    if quality not in COLOURS:
        raise InputError(f"quality is one of {', '.join(COLOURS)}, not {quality[:80]!r}")
    part = _region(region, *picture)
    mirrored, turns = _rotation(rotation)
    colours = "color" if quality == "default" else quality
    return View(part, _size(size, part[2], part[3], most), mirrored, turns, colours)


def _region(text: str, width: int, height: int) -> tuple[int, int, int, int]:
    if text == "full":
        return 0, 0, width, height
    if text == "square":
        side = min(width, height)
        return (width - side) // 2, (height - side) // 2, side, side
    if found := re.fullmatch(r"(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})", text):
        x, y, wide, high = (int(number) for number in found.groups())
    elif found := re.fullmatch(rf"pct:{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}", text):
        left, top, across, down = (float(number) / 100 for number in found.groups())
        x, y = round(left * width), round(top * height)
        wide, high = round((left + across) * width) - x, round((top + down) * height) - y
    else:
        raise InputError(f"region is full, square, x,y,w,h or pct:x,y,w,h, not {text[:80]!r}")
    wide, high = min(wide, width - x), min(high, height - y)  # what lies outside is cut off
    if wide < 1 or high < 1:
        raise InputError(f"region {text} has no pixel of the {width}x{height} picture")
    return x, y, wide, high


def largest(width: int, height: int, most: int) -> tuple[int, int]:
    """The largest size in these proportions that has at most so many pixels, and is not larger than it is."""
    scale = min(1.0, math.sqrt(most / (width * height)))
    return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


def _size(text: str, width: int, height: int, most: int) -> tuple[int, int]:
    """The size of a region of ``width`` by ``height`` pixels."""
    if text.startswith("^"):
        raise HTTPException(501, "this service does not enlarge pictures")
    if text == "max":
        return largest(width, height, most)
    if found := re.fullmatch(rf"pct:{_NUMBER}", text):
        scale = float(found[1]) / 100
        if scale == 0:
            raise InputError(f"size {text} has no pixel")
        size = max(1, round(width * scale)), max(1, round(height * scale))
    elif found := re.fullmatch(r"(!?)(\d{1,9})?,(\d{1,9})?", text):
        size = _sides(found[1] == "!", found[2], found[3], width, height, text)
    else:
        raise InputError(f"size is max, w, ,h w,h !w,h or pct:n, not {text[:80]!r}")
    if min(size) < 1:
        raise InputError(f"size {text} has no pixel")
    if size[0] > width or size[1] > height:
        raise InputError(f"size {text} is larger than the region, {width}x{height}")
    if size[0] * size[1] > most:
        raise InputError(f"size {text} has more than {most:,} pixels")
    return size


def _sides(fits: bool, wide: str | None, high: str | None, width: int, height: int, text: str) -> tuple[int, int]:
    """The size for w, ,h w,h and !w,h."""
    if (wide is None and high is None) or (fits and None in (wide, high)):
        raise InputError(f"size {text} lacks a side")
    if wide is None:
        assert high is not None
        return max(1, round(width * int(high) / height)), int(high)
    if high is None:
        return int(wide), max(1, round(height * int(wide) / width)) if int(wide) else 0
    if not fits:
        return int(wide), int(high)
    if 0 in (int(wide), int(high)):
        return 0, 0
    scale = min(int(wide) / width, int(high) / height, 1.0)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _rotation(text: str) -> tuple[bool, int]:
    found = re.fullmatch(rf"(!?){_NUMBER}", text)
    degrees = float(found[2]) if found else math.inf
    if found is None or degrees > 360:
        raise InputError(f"rotation is a number from 0 to 360, after a ! for a mirrored picture, not {text[:80]!r}")
    if degrees % 90:
        raise HTTPException(501, "this service turns pictures by multiples of 90 degrees")
    return found[1] == "!", int(degrees // 90) % 4


def canonical(view: View, quality: str, format: str, picture: tuple[int, int], most: int) -> str:
    """The one path, after the identifier, that the API prefers of those that mean a view."""
    x, y, width, height = view.region
    region = "full" if view.region == (0, 0, *picture) else f"{x},{y},{width},{height}"
    wide, high = view.size
    size = "max" if view.size == largest(width, height, most) else f"{wide},{high}"
    shown = "default" if quality == "color" else quality
    return f"{region}/{size}/{'!' if view.mirrored else ''}{90 * view.quarter_turns}/{shown}.{format}"


def info(address: str, found: Mapping[str, Any], most: int, formats: list[str]) -> dict[str, Any]:
    """A picture's info.json, which says exactly what ``view_of`` understands.

    ``address``: without /info.json. ``found``: what ``InfoJob`` found. ``most``: pixels that an answer may have.
    ``formats``: those beyond jpg and png.
    """
    width, height, tile = found["width"], found["height"], found["tile"]
    while tile * tile > most:
        tile //= 2
    factors = [factor for factor in _FACTORS if factor == 1 or max(width, height) > tile * factor // 2]
    sizes = [(math.ceil(width / factor), math.ceil(height / factor)) for factor in reversed(factors)]
    grey = found["format"]["channels"] == 1
    return {
        "@context": CONTEXT,
        "id": address,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": PROFILE,
        "width": width,
        "height": height,
        "maxArea": most,
        "sizes": [{"width": w, "height": h} for w, h in sizes if w * h <= most],
        "tiles": [{"width": tile, "height": tile, "scaleFactors": factors}],
        "preferredFormats": ["webp", "jpg"],
        "extraFormats": formats,
        "extraQualities": ["gray", "bitonal"] if grey else ["color", "gray", "bitonal"],
        "extraFeatures": ["canonicalLinkHeader", "mirroring", "profileLinkHeader"],
    }
