"""How near files come to a wanted size or score, and what finding them takes over one encode.

    python -m benchmarks.targets docs/targets.md --data DIR --pictures 6        # DIR holds kodak/

For each picture and each target the file is made, and timed in turn with a plain encode at the quality that it has:
processor time on one thread, the median of the rounds' quotients. Last, all pictures share the size that they have at
one quality.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, TypeVar

import glissando
from glissando.bench.metrics import psnr, ssimulacra2
from glissando.codec import Codec
from glissando.errors import GlissandoError
from glissando.machine import Machine

from .api import Pixels
from .data import Picture, data_folder, load_pictures
from .documents import begin_marker, end_marker, table, update

__all__ = ["Trial", "batch_rows", "main", "rows"]

T = TypeVar("T")

BLOCK = "targets"
BPP = (0.08, 0.2, 0.4, 0.8)
PSNR = (28.0, 32.0, 36.0)
SSIMULACRA2 = (30.0, 60.0, 80.0)
SHARED_QUALITY = 45.0
ROUNDS = 3

Off = Callable[[bytes], float]
"""From a file to how far it is from what was wanted."""


@dataclass(frozen=True)
class Trial:
    """One target for one picture: how far off the file is, in the target's unit, and the time over a plain encode."""

    off: float
    times: float


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of processor time, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def trial(codec: Codec, picture: Picture, off: Off, **target: Any) -> Trial:
    """One target, timed in turn with a plain encode."""
    data = codec.encode(picture.pixels, **target)
    quality = glissando.probe(data).quality
    codec.encode(picture.pixels, quality)
    quotients = []
    for _ in range(ROUNDS):
        found, _ = timed(lambda: codec.encode(picture.pixels, **target))
        plain, _ = timed(lambda: codec.encode(picture.pixels, quality))
        quotients.append(found / plain)
    return Trial(off(data), median(quotients))


def rows(codec: Codec, pictures: Sequence[Picture]) -> list[list[str]]:
    """A row for each target: the greatest deviation, and times over one encode."""
    body = []
    for bpp in BPP:
        sizes = [int(bpp * p.pixels.shape[0] * p.pixels.shape[1] / 8) for p in pictures]
        trials = [trial(codec, p, _size_off(size), target_size=size) for p, size in zip(pictures, sizes, strict=True)]
        body.append(row(f"size, {bpp:g} bpp", trials, " %"))
    for target in PSNR:
        trials = [trial(codec, p, _score_off(codec, p, psnr, target), target_psnr=target) for p in pictures]
        body.append(row(f"PSNR, {target:g} dB", trials, " dB"))
    for target in SSIMULACRA2:
        trials = [
            trial(codec, p, _score_off(codec, p, ssimulacra2, target), target_ssimulacra2=target) for p in pictures
        ]
        body.append(row(f"SSIMULACRA 2, {target:g}", trials, ""))
    return body


def _size_off(size: int) -> Off:
    return lambda data: 100 * (len(data) / size - 1)


def _score_off(codec: Codec, picture: Picture, score: Callable[[Pixels, Pixels], float], target: float) -> Off:
    return lambda data: score(picture.pixels, codec.decode(data)) - target


def row(name: str, trials: Sequence[Trial], unit: str) -> list[str]:
    """A row of the table."""
    offs, times = [one.off for one in trials], [one.times for one in trials]
    return [
        name,
        f"{min(offs):+.3f} … {max(offs):+.3f}{unit}",
        f"{median(times):.2f}×",
        f"{max(times):.2f}×",
    ]


def batch_rows(codec: Codec, pictures: Sequence[Picture]) -> list[list[str]]:
    """All pictures at one quality, and in the same bytes shared by equal slope."""
    equal = [codec.encode(picture.pixels, SHARED_QUALITY) for picture in pictures]
    total = sum(map(len, equal))
    shared = list(codec.encode_batch([picture.pixels for picture in pictures], total))
    body = []
    for name, files in (f"quality {SHARED_QUALITY:g} for all", equal), ("the same bytes by equal slope", shared):
        scores = [ssimulacra2(p.pixels, codec.decode(data)) for p, data in zip(pictures, files, strict=True)]
        qualities = [glissando.probe(data).quality for data in files]
        body.append(
            [
                name,
                f"{sum(map(len, files)):,}",
                f"{fmean(scores):.2f}",
                f"{min(scores):.2f}",
                f"{min(qualities):.1f} … {max(qualities):.1f}",
            ]
        )
    return body


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where the tables were written, 1 after one line about what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.targets", description=__doc__)
    parser.add_argument("document", type=Path, help="Markdown with the markers")
    parser.add_argument("--data", type=Path, help="a folder that holds kodak/; $GLISSANDO_DATA unless given")
    parser.add_argument("--pictures", type=int, metavar="N", help="only N of them, spread over the set")
    given = parser.parse_args(arguments)
    try:
        pictures = load_pictures(data_folder(given.data), given.pictures)
        with glissando.open_model("medium", threads=1) as codec:
            found = table(["wanted", "off by", "time over one encode", "at most"], rows(codec, pictures))
            batch = table(
                ["files", "bytes together", "SSIMULACRA 2, mean", "lowest", "qualities"], batch_rows(codec, pictures)
            )
            model = f"{codec.card.name} ({codec.card.hash})"
        note = f"{len(pictures)} Kodak pictures, model {model}, one thread of {Machine.this().described}."
        update(given.document, begin_marker(BLOCK), end_marker(BLOCK), f"{found}\n\n{batch}\n\n{note}")
    except (OSError, ValueError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
