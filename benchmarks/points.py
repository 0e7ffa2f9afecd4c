"""Mean rate and scores of real files, for codecs and variants that a study opens itself.

What `glissando bench` can open by its name is measured there, and read by `benchmarks.comparison`. Here is the rest:
variants of a model, models for one rate. A picture goes the same way as in a comparison, and is scored by its metrics.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import glissando
from glissando.bench.measure import Coder, round_trip
from glissando.bench.metrics import score
from glissando.bench.packages import package_versions
from glissando.errors import BenchmarkError, GlissandoError
from glissando.files import atomic_write
from glissando.machine import Machine

from .api import Codec, Pixels
from .data import KODAK_COUNT, Picture

__all__ = [
    "QUALITIES",
    "Point",
    "about",
    "bits_per_pixel",
    "kodak_options",
    "mean_point",
    "open_models",
    "run_and_print",
]

Point = dict[str, float]
Results = dict[str, Any]

QUALITIES = (*(float(q) for q in range(0, 91, 10)), 95.0)  # above it files have corrections, which are no latents
"""Points of a model's curve: those of a comparison."""


def bits_per_pixel(data: bytes, picture: Pixels) -> float:
    """Bits of the whole file, header included, per pixel of the picture."""
    height, width = (int(side) for side in picture.shape[:2])
    return 8.0 * len(data) / (height * width)


def mean_point(name: str, coder: Coder, pictures: Sequence[Picture], quality: float, metrics: Sequence[str]) -> Point:
    """``{"quality": …, "bpp": …, metric: …}``: means over the pictures of whole files and of decoded 8-bit pixels.

    Without a metric nothing is decoded. Raises BenchmarkError where a picture comes back in another shape.
    """
    rows: list[Point] = []
    for picture in pictures:
        if metrics:
            try:
                data, decoded = round_trip(coder, picture.pixels, quality)
            except BenchmarkError as error:
                raise BenchmarkError(f"{picture.name}: {error}") from error
            rows.append({"bpp": bits_per_pixel(data, picture.pixels), **score(metrics, picture.pixels, decoded)})
        else:
            rows.append({"bpp": bits_per_pixel(coder.encode(picture.pixels, quality), picture.pixels)})
    found = {key: fmean(row[key] for row in rows) for key in rows[0]}
    print(f"{name} at {quality:g}: " + "  ".join(f"{k} {v:.5g}" for k, v in found.items()), file=sys.stderr, flush=True)
    return {"quality": quality, **found}


def open_models(names: Sequence[str], threads: int | None = None) -> list[Any]:
    """Models of the package, by name, or folders, in float32: a machine's bfloat16 is not what is compared.

    Raises GlissandoError.
    """
    return [glissando.open_model(name, precision="f32", threads=threads) for name in names]


def about(pictures: Sequence[Picture], codecs: Sequence[Codec]) -> Results:
    """What a results file says of where it comes from."""
    return {
        "machine": Machine.this().to_json(),
        "versions": package_versions(),
        "pictures": len(pictures),
        "models": [{"name": codec.card.name, "hash": str(codec.card.hash)} for codec in codecs],
        "note": "" if len(pictures) == KODAK_COUNT else f"{len(pictures)} of Kodak's {KODAK_COUNT} pictures only",
    }


def kodak_options(parser: argparse.ArgumentParser) -> None:
    """Which pictures, and where the results go."""
    parser.add_argument("--data", type=Path, help="folder that holds kodak/ (default: $GLISSANDO_DATA)")
    parser.add_argument("--pictures", type=int, metavar="N", help="only N pictures, spread over the set")
    parser.add_argument("--threads", type=int, help="threads of the models (default: all cores)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write everything to this file")


def run_and_print(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    measure: Callable[[argparse.Namespace], Results],
    markdown: Callable[[Results], str],
) -> int:
    """Measure, write the JSON file, print the tables; 0, or 1 after one line about what went wrong."""
    given = parser.parse_args(arguments)
    try:
        results = measure(given)
        if given.json is not None:
            atomic_write(given.json, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    except (OSError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(markdown(results))
    return 0
