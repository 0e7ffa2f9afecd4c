"""Where the bytes of files go, how many the entropy coder adds, and whether sizes rise with the quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from .api import Api, Codec
from .claim import Claim
from .data import Picture
from .documents import table

__all__ = [
    "MONOTONY_QUALITIES",
    "FileSize",
    "Monotony",
    "Overhead",
    "largest_drop",
    "measure_file_sizes",
    "measure_monotony",
    "monotony_claims",
    "overhead",
    "overhead_claims",
    "parts_table",
]

MONOTONY_QUALITIES = tuple(q / 2 for q in range(201))


@dataclass(frozen=True)
class FileSize:
    """The file of one picture at one quality."""

    picture: str
    quality: float
    bytes: int
    ideal_bytes: float
    """The model's cross-entropy of the symbols, in bytes."""
    parts: dict[str, int]
    """Bytes by part of the file; together they are all of it."""


@dataclass(frozen=True)
class Overhead:
    """Real file bytes beside the model's cross-entropy, over all pictures and qualities."""

    percent: float
    """(all bytes - all cross-entropy) / all cross-entropy."""
    bytes_per_file: float
    """Mean bytes of a file beyond its cross-entropy."""
    worst_constant: float
    """Largest bytes - 1.01 * cross-entropy of any file: the constant that remains beside 1 %."""
    worst_file: str


@dataclass(frozen=True)
class Monotony:
    """Bytes of one picture at MONOTONY_QUALITIES."""

    picture: str
    sizes: list[int]
    largest_drop: float
    """Percent."""
    at_quality: float
    """The quality after which the bytes fall most."""


def measure_file_sizes(
    api: Api, codec: Codec, pictures: Sequence[Picture], qualities: Sequence[float], advance: Callable[[], None]
) -> list[FileSize]:
    """Encode every picture at every quality; nothing is decoded."""
    sizes = []
    for picture in pictures:
        for quality in qualities:
            data = codec.encode(picture.pixels, quality)
            parts = {name: int(size) for name, size in api.probe(data).parts.items()}
            if unaccounted := len(data) - sum(parts.values()):
                parts["other"] = unaccounted
            ideal_bytes = codec.ideal_bits(picture.pixels, quality) / 8.0
            sizes.append(FileSize(picture.name, float(quality), len(data), ideal_bytes, parts))
            advance()
    return sizes


def overhead(sizes: Sequence[FileSize]) -> Overhead:
    """Bytes beyond the cross-entropy, over all files."""
    real, ideal = sum(size.bytes for size in sizes), sum(size.ideal_bytes for size in sizes)
    worst = max(sizes, key=lambda size: size.bytes - 1.01 * size.ideal_bytes)
    return Overhead(
        percent=100.0 * (real - ideal) / ideal if ideal else 0.0,
        bytes_per_file=(real - ideal) / len(sizes),
        worst_constant=worst.bytes - 1.01 * worst.ideal_bytes,
        worst_file=f"{worst.picture} at quality {worst.quality:g}",
    )


def overhead_claims(found: Overhead) -> list[Claim]:
    """What the entropy coder and the container add."""
    return [
        Claim(
            "all file bytes beyond the model's cross-entropy",
            found.percent,
            digits=2,
            signed=True,
            note=f"{found.bytes_per_file:.1f} bytes a file",
        ),
        Claim(
            "largest file - 1.01 * its cross-entropy",
            found.worst_constant,
            "bytes",
            bar=100.0,
            digits=0,
            note=found.worst_file,
        ),
    ]


def parts_table(sizes: Sequence[FileSize]) -> str:
    """Mean bytes of each part of the file by quality, in Markdown."""
    parts = list(dict.fromkeys(name for size in sizes for name in size.parts))
    body = []
    for quality in sorted({size.quality for size in sizes}):
        group = [size for size in sizes if size.quality == quality]
        means = [fmean(size.parts.get(name, 0) for size in group) for name in parts]
        whole, ideal = fmean(size.bytes for size in group), fmean(size.ideal_bytes for size in group)
        body.append([f"{quality:g}", f"{whole:.0f}", f"{ideal:.0f}", *(f"{mean:.1f}" for mean in means)])
    return table(["quality", "bytes", "cross-entropy, bytes", *parts], body)


def largest_drop(sizes: Sequence[int]) -> float:
    """Largest decrease from one size to the next, in percent of the former; 0 where none decreases."""
    drops = (100.0 * (a - b) / a for a, b in pairwise(sizes))
    return max(0.0, max(drops, default=0.0))


def measure_monotony(codec: Codec, pictures: Sequence[Picture], advance: Callable[[], None]) -> list[Monotony]:
    """Bytes of each picture at quality 0, 0.5, 1 … 100."""
    result = []
    for picture in pictures:
        sizes = []
        for quality in MONOTONY_QUALITIES:
            sizes.append(len(codec.encode(picture.pixels, quality)))
            advance()
        steps = range(len(sizes) - 1)
        worst = max(steps, key=lambda i: (sizes[i] - sizes[i + 1]) / sizes[i])
        result.append(Monotony(picture.name, sizes, largest_drop(sizes), MONOTONY_QUALITIES[worst]))
    return result


def monotony_claims(results: Sequence[Monotony]) -> list[Claim]:
    """How evenly the bytes rise with the quality."""
    worst = max(results, key=lambda r: r.largest_drop)
    note = "the bytes never fall"
    if worst.largest_drop:
        note = f"{worst.picture} after quality {worst.at_quality:g}"
    what = f"largest fall of bytes over quality 0, 0.5 … 100, {len(results)} pictures"
    return [Claim(what, worst.largest_drop, bar=0.5, digits=3, note=note)]
