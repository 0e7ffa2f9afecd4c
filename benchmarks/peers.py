"""The codecs that ship with Pillow, measured in the same run as ours."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image, features

from .api import BenchmarkError, Pixels

__all__ = ["AVIF", "JPEG", "PEERS", "WEBP", "Peer", "nearest_quality"]


@dataclass(frozen=True)
class Peer:
    """One codec with fixed settings; its quality is an integer, higher is better."""

    name: str
    label: str
    format: str
    settings: Mapping[str, object]
    qualities: tuple[int, ...]
    """Points of its curve; together they span the PSNR of the published JPEG curve or its own range."""
    threaded: bool = False

    def available(self) -> bool:
        """Whether this build of Pillow has the codec."""
        return features.check({"JPEG": "jpg", "WEBP": "webp", "AVIF": "avif"}[self.format]) is True

    def encode(self, pixels: Pixels, quality: int, threads: int | None = None) -> bytes:
        """A whole file. `threads` counts for AVIF alone; None leaves the number to the library."""
        settings = dict(self.settings)
        if self.threaded and threads is not None:
            settings["max_threads"] = threads
        buffer = io.BytesIO()
        try:
            Image.fromarray(pixels).save(buffer, self.format, quality=quality, **settings)
        except (KeyError, OSError) as error:
            raise BenchmarkError(f"this Pillow cannot write {self.format}: {error}") from error
        return buffer.getvalue()

    def decode(self, data: bytes, threads: int | None = None) -> Pixels:
        """The file's RGB pixels. `threads` counts for AVIF alone; None leaves the number to the library."""
        if self.threaded:
            from PIL import AvifImagePlugin

            AvifImagePlugin.DEFAULT_MAX_THREADS = threads or 0
        with Image.open(io.BytesIO(data), formats=[self.format]) as image:
            return np.asarray(image.convert("RGB"), dtype=np.uint8)


JPEG = Peer(
    "pillow-jpeg",
    "Pillow JPEG 4:2:0 optimised",
    "JPEG",
    MappingProxyType({"subsampling": "4:2:0", "optimize": True}),
    (4, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95),
)
WEBP = Peer(
    "pillow-webp",
    "Pillow WebP",
    "WEBP",
    MappingProxyType({"method": 4}),
    (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95),
)
AVIF = Peer(
    "pillow-avif",
    "Pillow AVIF 4:4:4 speed 6",
    "AVIF",
    MappingProxyType({"subsampling": "4:4:4", "speed": 6}),
    (5, 12, 20, 30, 40, 50, 60, 70, 80, 88, 94),
    threaded=True,
)
PEERS = (JPEG, WEBP, AVIF)


def nearest_quality(size: Callable[[int], float], target: float, low: int = 0, high: int = 100) -> int:
    """The integer quality whose size, which rises with it, lies nearest to `target` (any unit)."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < target else (low, middle)
    return min((low, high), key=lambda quality: abs(size(quality) - target))
