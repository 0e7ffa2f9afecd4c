"""Mean rate and scores of a model's real files, one point for each quality, and the command line around them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import glissando
from glissando.bench.machine import Machine, package_versions
from glissando.errors import BenchmarkError, GlissandoError
from glissando.files import atomic_write

from .api import Codec, Pixels
from .data import KODAK_COUNT, Picture
from .metrics import bits_per_pixel

__all__ = ["Point", "about", "kodak_options", "mean_point", "open_models", "run_and_print"]

Point = dict[str, float]
Results = dict[str, Any]


def mean_point(
    codec: Codec,
    pictures: Sequence[Picture],
    quality: float,
    scores: Mapping[str, Callable[[Pixels, Pixels], float]],
) -> Point:
    """Means over the pictures of bpp, whole files, and of each score of original and decoded 8-bit pixels."""
    rows: list[Point] = []
    for picture in pictures:
        data = codec.encode(picture.pixels, quality)
        row = {"bpp": bits_per_pixel(data, picture.pixels)}
        if scores:
            decoded = codec.decode(data)
            if decoded.shape != picture.pixels.shape:
                raise BenchmarkError(f"{picture.name}: {picture.pixels.shape} went in, {decoded.shape} came back")
            row |= {name: function(picture.pixels, decoded) for name, function in scores.items()}
        rows.append(row)
    found = {key: fmean(row[key] for row in rows) for key in rows[0]}
    print(f"{codec.card.name} at {quality:g}: " + "  ".join(f"{k} {v:.5g}" for k, v in found.items()), file=sys.stderr)
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
