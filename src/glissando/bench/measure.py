"""What a worker does: one picture by one codec at one setting. Codecs and pictures last used are kept open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from glissando.errors import BenchmarkError

from .codecs.base import Codec, Pixels, open_codec
from .pictures import read_rgb

__all__ = [
    "Coder",
    "Measured",
    "PointTask",
    "kept_codec",
    "kept_pixels",
    "measure_point",
    "release",
    "round_trip",
    "scores_of",
]


@dataclass(frozen=True)
class PointTask:
    """One measurement; ``metrics`` are those that are not known yet."""

    path: Path
    picture: str
    codec: str
    setting: float
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """Bytes of the whole file, and scores; None where the metric cannot be had of the picture."""

    bytes: int
    scores: dict[str, float | None]


@lru_cache(maxsize=16)
def kept_codec(name: str, threads: int) -> Codec:
    """A codec, opened once in this process."""
    return open_codec(name, threads)


@lru_cache(maxsize=2)
def kept_pixels(path: Path) -> Pixels:
    """A picture's pixels; of an array on disk as well."""
    if path.suffix == ".npy":
        array: Pixels = np.load(path)
        return array
    return read_rgb(path)


def release() -> None:
    """Forget codecs and pictures."""
    kept_codec.cache_clear()
    kept_pixels.cache_clear()


def measure_point(task: PointTask) -> Measured:
    """Encode, decode and score. Raises whatever the codec raises; BenchmarkError for another picture's shape."""
    original = kept_pixels(task.path)
    # One thread: the tasks fill the cores, and what a codec writes does not depend on it.
    data, decoded = round_trip(kept_codec(task.codec, 1), original, task.setting)
    return Measured(len(data), scores_of(task.metrics, original, decoded))


class Coder(Protocol):
    """Anything that encodes 8-bit RGB at a setting and decodes it: a codec of the comparison, or a study's own."""

    def encode(self, pixels: Pixels, setting: float, /) -> bytes: ...
    def decode(self, data: bytes, /) -> Pixels: ...


def round_trip(codec: Coder, original: Pixels, setting: float) -> tuple[bytes, Pixels]:
    """A file and its pixels. Raises BenchmarkError where their shape is not the original's."""
    data = codec.encode(original, setting)
    decoded = codec.decode(data)
    if decoded.shape != original.shape or decoded.dtype != np.uint8:
        raise BenchmarkError(f"decoded to {decoded.dtype} of shape {decoded.shape}, not uint8 {original.shape}")
    return data, decoded


def scores_of(names: Sequence[str], original: Pixels, decoded: Pixels) -> dict[str, float | None]:
    """Scores by metric; None where it refuses the picture, or is infinite, as PSNR is where nothing was lost."""
    from .metrics import score

    scores: dict[str, float | None] = {}
    for name in names:
        try:
            value = float(score([name], original, decoded)[name])
        except BenchmarkError:
            value = math.nan
        scores[name] = value if math.isfinite(value) else None
    return scores
