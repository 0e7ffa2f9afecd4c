"""Two codecs side by side at the same file size: pictures on disk, and the regions where they differ most."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from glissando.errors import BenchmarkError
from glissando.search import approach_zero

from .codecs.base import Codec, Pixels
from .measure import kept_codec, kept_pixels, round_trip, scores_of
from .results import Comparison, Crop

__all__ = [
    "RATE",
    "SMALLEST",
    "TOLERANCE",
    "CompareTask",
    "choose",
    "compare",
    "different_regions",
    "same_size",
    "stems",
]

RATE = 0.3
"""bpp at which pictures are shown: low enough that codecs can be told apart."""
SMALLEST = 96
"""Pixels that both sides of a picture to be shown must have; of smaller ones, files are mostly headers."""
TOLERANCE = 0.01
"""Our file is at most this share smaller than the peer's, and never larger."""
_CLOSE_ENOUGH = 0.002
_POSITIONS = 1 << 20  # settings between two that need not be whole numbers
_CROP_SIZES = (128, 96)
_CROPS = 3


@dataclass(frozen=True)
class CompareTask:
    """One picture, our codec and its peer. ``small`` and ``large`` are settings of ours between which to search."""

    path: Path
    picture: str
    ours: str
    peer: str
    small: float
    large: float
    whole: bool  # whether our settings are whole numbers
    peer_setting: float
    metrics: tuple[str, ...]
    folder: Path
    stem: str  # of the PNG files' names


def choose(count: int, wanted: int) -> list[int]:
    """Indices of ``wanted`` of ``count`` pictures, spread evenly from first to last: not by how we fare on them."""
    if wanted >= count:
        return list(range(count))
    if wanted <= 1:
        return [0] * max(0, wanted)
    return [round(i * (count - 1) / (wanted - 1)) for i in range(wanted)]


def compare(task: CompareTask) -> Comparison:
    """Encode with both, write original and decoded pictures as PNG files.

    Raises BenchmarkError where our codec has no setting whose file is as large as the peer's.
    """
    original = kept_pixels(task.path)
    peer_data, peer_pixels = round_trip(kept_codec(task.peer, 1), original, task.peer_setting)
    codec = kept_codec(task.ours, 1)
    setting, data = same_size(codec, original, len(peer_data), task.small, task.large, whole=task.whole)
    decoded = codec.decode(data)
    if decoded.shape != original.shape:
        raise BenchmarkError(f"decoded to shape {decoded.shape}, not {original.shape}")

    def png(pixels: Pixels, what: str) -> str:
        name = f"{task.stem}-{_slug(what)}.png"
        Image.fromarray(pixels).save(task.folder / name)
        return name

    def scores(pixels: Pixels) -> dict[str, float]:
        found = scores_of(task.metrics, original, pixels)
        return {name: value for name, value in found.items() if value is not None}

    return Comparison(
        picture=task.picture,
        ours=task.ours,
        peer=task.peer,
        ours_setting=setting,
        peer_setting=task.peer_setting,
        ours_bytes=len(data),
        peer_bytes=len(peer_data),
        ours_scores=scores(decoded),
        peer_scores=scores(peer_pixels),
        original_png=png(original, "original"),
        ours_png=png(decoded, task.ours),
        peer_png=png(peer_pixels, task.peer),
        crops=different_regions(decoded, peer_pixels),
    )


def same_size(
    codec: Codec, pixels: Pixels, target: int, small: float, large: float, *, whole: bool, trials: int = 26
) -> tuple[float, bytes]:
    """The setting between two whose file has at most ``target`` bytes and is nearest to it, and that file.

    ``small`` and ``large`` are settings of small and of large files. Raises BenchmarkError where none comes
    within ``TOLERANCE``.
    """
    best: tuple[float, bytes] | None = None
    positions = round(abs(large - small)) if whole else _POSITIONS

    def excess(position: int) -> float:
        """log(size / what is aimed at), and keep the file if it fits and is the nearest so far."""
        nonlocal best
        setting = small + (large - small) * position / positions
        data = codec.encode(pixels, setting)
        if len(data) <= target and (best is None or len(data) > len(best[1])):
            best = setting, data
        return math.log(len(data) / ((1.0 - _CLOSE_ENOUGH / 2) * target))

    for trial, _ in enumerate(approach_zero(excess, 0, positions, step=positions), 1):
        if trial >= trials or (best is not None and len(best[1]) >= (1.0 - _CLOSE_ENOUGH) * target):
            break
    if best is None:
        raise BenchmarkError(f"no file as small as {target:,} bytes")
    if len(best[1]) < (1.0 - TOLERANCE) * target:
        raise BenchmarkError(f"no file of about {target:,} bytes; the nearest below has {len(best[1]):,}")
    return best


def different_regions(
    one: Pixels, other: Pixels, *, sizes: Sequence[int] = _CROP_SIZES, count: int = _CROPS
) -> list[Crop]:
    """Up to ``count`` squares that do not overlap, the one with the largest squared difference first.

    They have the first of ``sizes`` of which so many find room, or the last; where the picture is smaller, its size.
    """
    height, width = one.shape[:2]
    error = np.square(one.astype(np.int32) - other.astype(np.int32)).sum(axis=2).astype(np.float64)
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = error.cumsum(axis=0).cumsum(axis=1)
    crops: list[Crop] = []
    for size in sizes:
        h, w = min(size, height), min(size, width)
        squares = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
        crops = []
        while len(crops) < count:
            top, left = (int(i) for i in np.unravel_index(np.argmax(squares), squares.shape))
            if squares[top, left] == -np.inf:  # no room is left
                break
            crops.append(Crop(left, top, w, h))
            squares[max(0, top - h + 1) : top + h, max(0, left - w + 1) : left + w] = -np.inf
        if len(crops) == count:
            break
    return crops


def stems(names: Sequence[str]) -> list[str]:
    """File names, without ending, for pictures: safe everywhere and all different."""
    return [f"picture-{number}-{_slug(Path(name).stem)}" for number, name in enumerate(names, 1)]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.")[:60] or "picture"
