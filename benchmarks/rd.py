"""Rate and distortion: real file bytes and the PSNR of the decoded 8-bit picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from glissando.bench.bdrate import Curve

from .api import Api, BenchmarkError, Codec
from .data import Picture
from .metrics import bits_per_pixel, largest_drop, psnr
from .peers import Peer

__all__ = [
    "CONTINUITY_STEPS",
    "QUALITIES",
    "Continuity",
    "Means",
    "Overhead",
    "Point",
    "curve_of",
    "means",
    "measure_codec",
    "measure_continuity",
    "measure_peer",
    "overhead",
    "scores_at",
]

QUALITIES = tuple(float(q) for q in range(0, 101, 10))
CONTINUITY_STEPS = tuple(q / 2 for q in range(201))

Tick = Callable[[], None]


@dataclass(frozen=True)
class Point:
    """One picture at one quality."""

    codec: str
    quality: float
    picture: str
    bytes: int
    bpp: float
    psnr: float
    """dB, RGB, decoded 8-bit picture."""
    ideal_bytes: float | None = None
    """The model's cross-entropy of the symbols, in bytes; None for the peers."""
    parts: dict[str, int] = field(default_factory=dict)
    """Bytes per part of the file; empty for the peers."""


@dataclass(frozen=True)
class Means:
    """Means over the pictures at one quality, as the published curves have them."""

    quality: float
    bpp: float
    psnr: float
    bytes: float
    ideal_bytes: float | None
    parts: dict[str, float]


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
class Continuity:
    """Bytes of one picture at the qualities 0, 0.5, … 100."""

    picture: str
    sizes: list[int]
    largest_drop: float
    """Percent."""
    at_quality: float
    """The quality after which the bytes fall most."""


def measure_codec(
    api: Api, codec: Codec, pictures: Sequence[Picture], qualities: Sequence[float], tick: Tick
) -> list[Point]:
    """Encode, decode and compare every picture at every quality."""
    points = []
    for picture in pictures:
        for quality in qualities:
            data = codec.encode(picture.pixels, quality)
            decoded = codec.decode(data)
            if decoded.shape != picture.pixels.shape:
                raise BenchmarkError(
                    f"{picture.name} at quality {quality:g}: {picture.pixels.shape} went in, {decoded.shape} came back"
                )
            parts = {name: int(size) for name, size in api.probe(data).parts.items()}
            if unaccounted := len(data) - sum(parts.values()):
                parts["other"] = unaccounted
            points.append(
                Point(
                    codec=codec.card.name,
                    quality=float(quality),
                    picture=picture.name,
                    bytes=len(data),
                    bpp=bits_per_pixel(data, picture.pixels),
                    psnr=psnr(picture.pixels, decoded),
                    ideal_bytes=codec.ideal_bits(picture.pixels, quality) / 8.0,
                    parts=parts,
                )
            )
            tick()
    return points


def measure_peer(peer: Peer, pictures: Sequence[Picture], tick: Tick) -> list[Point]:
    """The same for one of Pillow's codecs."""
    points = []
    for picture in pictures:
        for quality in peer.qualities:
            data = peer.encode(picture.pixels, quality)
            points.append(
                Point(
                    codec=peer.name,
                    quality=float(quality),
                    picture=picture.name,
                    bytes=len(data),
                    bpp=bits_per_pixel(data, picture.pixels),
                    psnr=psnr(picture.pixels, peer.decode(data)),
                )
            )
            tick()
    return points


def means(points: Sequence[Point]) -> list[Means]:
    """Mean bpp, PSNR (of the pictures' dB, not of their errors) and bytes per quality, lowest first."""
    by_quality: dict[float, list[Point]] = defaultdict(list)
    for point in points:
        by_quality[point.quality].append(point)
    result = []
    for quality, group in sorted(by_quality.items()):
        ideals = [p.ideal_bytes for p in group if p.ideal_bytes is not None]
        names = list(dict.fromkeys(name for p in group for name in p.parts))
        result.append(
            Means(
                quality=quality,
                bpp=fmean(p.bpp for p in group),
                psnr=fmean(p.psnr for p in group),
                bytes=fmean(p.bytes for p in group),
                ideal_bytes=fmean(ideals) if ideals else None,
                parts={name: fmean(p.parts.get(name, 0) for p in group) for name in names},
            )
        )
    return result


def scores_at(points: Sequence[Mapping[str, float]], metric: str, bpp: NDArray[np.float64]) -> NDArray[np.float64]:
    """A curve's scores at other rates, on straight lines over log-rate between its points {"bpp": …, metric: …}.

    Beyond its ends the curve stays level: ask only within them.
    """
    ordered = sorted(points, key=lambda p: p["bpp"])
    rates, scores = ([p[key] for p in ordered] for key in ("bpp", metric))
    return np.interp(np.log(bpp), np.log(rates), scores)


def curve_of(name: str, points: Sequence[Point]) -> Curve:
    """The mean curve. Raises BenchmarkError where it does not rise."""
    return Curve.of(name, [(m.bpp, m.psnr) for m in means(points)])


def overhead(points: Sequence[Point]) -> Overhead | None:
    """Bytes beyond the cross-entropy; None where no point knows its own."""
    known = [(p, p.ideal_bytes) for p in points if p.ideal_bytes is not None]
    if not known:
        return None
    real, ideal = sum(p.bytes for p, _ in known), sum(bits for _, bits in known)
    worst, worst_ideal = max(known, key=lambda pair: pair[0].bytes - 1.01 * pair[1])
    return Overhead(
        percent=100.0 * (real - ideal) / ideal if ideal else 0.0,
        bytes_per_file=(real - ideal) / len(known),
        worst_constant=worst.bytes - 1.01 * worst_ideal,
        worst_file=f"{worst.picture} at quality {worst.quality:g}",
    )


def measure_continuity(codec: Codec, pictures: Sequence[Picture], tick: Tick) -> list[Continuity]:
    """Bytes of each picture at quality 0, 0.5, 1 … 100."""
    result = []
    for picture in pictures:
        sizes = []
        for quality in CONTINUITY_STEPS:
            sizes.append(len(codec.encode(picture.pixels, quality)))
            tick()
        steps = range(len(sizes) - 1)
        worst = max(steps, key=lambda i: (sizes[i] - sizes[i + 1]) / sizes[i])
        result.append(Continuity(picture.name, sizes, largest_drop(sizes), CONTINUITY_STEPS[worst]))
    return result
