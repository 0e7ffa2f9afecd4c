"""The codecs that ship with Pillow, measured in the same run as ours: those of ``glissando bench``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from glissando.bench.codecs import Codec, open_codec, registered
from glissando.bench.machine import default_threads
from glissando.errors import CodecUnavailableError

from .api import Pixels

__all__ = ["AVIF", "JPEG", "PEERS", "WEBP", "Peer", "nearest_quality"]

_opened = lru_cache(maxsize=16)(open_codec)


@dataclass(frozen=True)
class Peer:
    """One codec of the comparison, opened when first used; its quality is an integer, higher is better."""

    name: str

    @property
    def kind(self) -> type[Codec]:
        return registered()[self.name]

    @property
    def label(self) -> str:
        return self.kind.label

    @property
    def qualities(self) -> tuple[int, ...]:
        """Points of its curve."""
        return tuple(round(setting) for setting in self.kind.settings)

    def available(self) -> bool:
        """Whether this build of Pillow has the codec."""
        try:
            _opened(self.name, 1)
        except CodecUnavailableError:
            return False
        return True

    def encode(self, pixels: Pixels, quality: int, threads: int | None = None) -> bytes:
        """A whole file. `threads` counts for AVIF alone; None: as many as the machine has."""
        return _opened(self.name, threads or default_threads()).encode(pixels, quality)

    def decode(self, data: bytes, threads: int | None = None) -> Pixels:
        """The file's RGB pixels; `threads` as in ``encode``."""
        return _opened(self.name, threads or default_threads()).decode(data)


JPEG, WEBP, AVIF = Peer("jpeg"), Peer("webp"), Peer("avif")
PEERS = (JPEG, WEBP, AVIF)


def nearest_quality(size: Callable[[int], float], target: float, low: int = 0, high: int = 100) -> int:
    """The integer quality whose size, which rises with it, lies nearest to `target` (any unit)."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < target else (low, middle)
    return min((low, high), key=lambda quality: abs(size(quality) - target))
