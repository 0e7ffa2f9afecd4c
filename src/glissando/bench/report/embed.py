"""Pictures inside the page: lossless, each only once, and not more of them than a page can carry."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..results import Comparison, Crop

__all__ = ["ROLES", "Gallery", "Layer", "Shown", "Tile", "data_uri"]

ROLES = ("original", "ours", "peer")

BUDGET = 11_000_000
"""Characters of the page that all pictures together may take; with charts and tables it stays below 15 MB."""
WHOLE_PIXELS = 1_500_000
"""A larger picture is embedded as an overview and crops: packing it without loss would take long for little use."""
EDGES = (1024, 768, 512, 320)
"""Long edges of an overview; the first that fits is taken."""
MAX_CROP = 512
"""Edge of a crop: the middle of a larger one is shown."""


def data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


@dataclass(frozen=True)
class Layer:
    """An embedded picture: the CSS class that has it as background, and its size."""

    css_class: str
    width: int
    height: int


@dataclass(frozen=True)
class Tile:
    """A part of a layer, at the same scale as the decoded pixels."""

    layer: Layer
    left: int
    top: int


@dataclass(frozen=True)
class Shown:
    """What the page has of one comparison, by role; ``crops`` are exact even where ``layers`` are scaled down."""

    width: int
    height: int
    scaled: bool
    layers: dict[str, Layer]
    crops: list[tuple[Crop, dict[str, Tile]]]


class Gallery:
    """The pictures of a report in ``folder``, embedded as CSS backgrounds so that layers and crops share one copy."""

    def __init__(self, folder: Path, comparisons: int, budget: int = BUDGET) -> None:
        self._folder = folder
        self._waiting = comparisons
        self._left = budget
        self._rules: dict[str, str] = {}  # by data URI

    def css(self) -> str:
        return "\n".join(f'.{name}{{background-image:url("{uri}")}}' for uri, name in self._rules.items())

    def add(self, comparison: Comparison) -> Shown | str:
        """Embed as much of a comparison as its share of the budget allows, or say why nothing can be shown."""
        share = self._left // max(1, self._waiting)
        self._waiting -= 1
        try:
            pictures = {role: _opened(self._folder / getattr(comparison, f"{role}_png")) for role in ROLES}
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            return f"a picture cannot be read: {getattr(error, 'strerror', None) or error}"
        width, height = pictures["original"].size
        if any(picture.size != (width, height) for picture in pictures.values()):
            return "the three pictures differ in size"
        crops = [crop for crop in (_inside(crop, width, height) for crop in comparison.crops) if crop is not None]
        if width * height <= WHOLE_PIXELS:
            uris = {role: _lossless(picture) for role, picture in pictures.items()}
            if self._price(uris.values()) <= share:
                layers = {role: self._layer(uri, width, height) for role, uri in uris.items()}
                tiles = [(c, {role: Tile(layers[role], c.left, c.top) for role in ROLES}) for c in crops]
                return Shown(width, height, False, layers, tiles)
        return self._reduced(pictures, crops, share)

    def _reduced(self, pictures: dict[str, Image.Image], crops: list[Crop], share: int) -> Shown | str:
        """An overview, and as many crops as fit beside it."""
        width, height = pictures["original"].size
        for edge in EDGES:
            scale = min(1.0, edge / max(width, height))
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            small = {role: picture.resize(size, Image.Resampling.LANCZOS) for role, picture in pictures.items()}
            uris = {role: _lossless(picture) for role, picture in small.items()}
            # Half of the share is for the overview, as the crops show more.
            if self._price(uris.values()) > share // 2:
                continue
            left = share - self._price(uris.values())
            layers = {role: self._layer(uri, *size) for role, uri in uris.items()}
            shown: list[tuple[Crop, dict[str, Tile]]] = []
            for crop in crops:
                box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
                parts = {role: _lossless(picture.crop(box)) for role, picture in pictures.items()}
                price = self._price(parts.values())
                if price > left:
                    break
                left -= price
                tiles = {r: Tile(self._layer(uri, crop.width, crop.height), 0, 0) for r, uri in parts.items()}
                shown.append((crop, tiles))
            return Shown(width, height, size != (width, height), layers, shown)
        return "the page is full"

    def _price(self, uris: Iterable[str]) -> int:
        new = {uri for uri in uris if uri not in self._rules}
        return sum(len(uri) + 60 for uri in new)

    def _layer(self, uri: str, width: int, height: int) -> Layer:
        if uri not in self._rules:
            self._left -= self._price([uri])
            self._rules[uri] = f"picture-{len(self._rules)}"
        return Layer(self._rules[uri], width, height)


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def _inside(crop: Crop, width: int, height: int) -> Crop | None:
    """The part of a crop that is in the picture, at most MAX_CROP wide and high."""
    left, top = max(0, crop.left), max(0, crop.top)
    w, h = min(crop.left + crop.width, width) - left, min(crop.top + crop.height, height) - top
    if w <= 0 or h <= 0:
        return None
    left, top = left + max(0, w - MAX_CROP) // 2, top + max(0, h - MAX_CROP) // 2
    return Crop(left, top, min(w, MAX_CROP), min(h, MAX_CROP))


def _lossless(picture: Image.Image) -> str:
    """As WebP without loss, or as PNG where WebP cannot have it."""
    stream = io.BytesIO()
    if max(picture.size) <= 16383:
        picture.save(stream, "WEBP", lossless=True, quality=40, method=2)
        return data_uri("image/webp", stream.getvalue())
    picture.save(stream, "PNG", optimize=True)
    return data_uri("image/png", stream.getvalue())
