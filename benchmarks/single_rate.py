"""What one model for all rates loses to models that were trained for one rate each, on Kodak with real files.

    python -m benchmarks.single_rate MODEL_ALL MODEL_AT_Q [MODEL_AT_Q …] [--data DIR] [--json OUT]

Each MODEL_AT_Q was trained with ``rate.single``, and is measured at the quality that its card names. The one model is
measured at qualities around the one that gives the same bpp, and read there on a straight line over log-rate. Both
are means over the pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from glissando.bench.curves import Mean, scores_at, setting_at
from glissando.errors import BenchmarkError

from .api import Codec
from .data import Picture, data_folder, load_pictures
from .points import QUALITIES, Point, about, kodak_options, mean_point, open_models, run_and_print

__all__ = ["main", "markdown", "quality_at", "trained_quality"]

STEP = 1.0  # qualities between the points that the one model is read from
METRICS = ("psnr",)


def trained_quality(codec: Any) -> float:
    """The one quality that a model was trained for. Raises BenchmarkError where it was trained for all."""
    rate = codec.card.training.get("recipe", {}).get("rate", {})
    if not rate.get("single"):
        raise BenchmarkError(f"{codec.card.name} ({codec.card.hash}) was not trained for one quality alone")
    return float(rate["quality"])


def quality_at(codec: Codec, pictures: Sequence[Picture], bpp: float) -> float:
    """About the quality at which the pictures' files have this mean bpp.

    Raises BenchmarkError where the model has no such files.
    """
    rates = {quality: _point(codec, pictures, quality, ())["bpp"] for quality in QUALITIES}
    low, high = min(rates.values()), max(rates.values())
    if not low <= bpp <= high:
        raise BenchmarkError(f"{codec.card.name} has files of {low:.3f} … {high:.3f} bpp, not of {bpp:.3f}")
    return setting_at([Mean(quality, rate, 0.0) for quality, rate in rates.items()], bpp, whole=False)


def _point(codec: Codec, pictures: Sequence[Picture], quality: float, metrics: Sequence[str] = METRICS) -> Point:
    return mean_point(codec.card.name, codec, pictures, quality, metrics)


def compare(one: Codec, single: Any, pictures: Sequence[Picture]) -> dict[str, Any]:
    """A single-rate model's point, the one model's points around it, and what the latter lacks there, dB."""
    theirs = _point(single, pictures, trained_quality(single))
    about_there = quality_at(one, pictures, theirs["bpp"])
    around: list[Point] = []
    for offset in (-STEP, 0.0, STEP):
        quality = min(100.0, max(0.0, about_there + offset))
        if all(point["quality"] != quality for point in around):
            around.append(_point(one, pictures, quality))
    ours = float(scores_at([(p["bpp"], p["psnr"]) for p in around], np.array([theirs["bpp"]]))[0])
    return {"single": theirs, "one": around, "one_psnr": ours, "loss": theirs["psnr"] - ours}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Everything that the table shows. Raises GlissandoError."""
    one, *singles = open_models([given.one, *given.singles], given.threads)
    for single in singles:
        trained_quality(single)  # before anything takes time
    pictures = load_pictures(data_folder(given.data), given.pictures)
    rows = [compare(one, single, pictures) for single in singles]
    return {
        **about(pictures, [one, *singles]),
        "rows": sorted(rows, key=lambda row: float(row["single"]["bpp"])),
        "largest_loss": max(row["loss"] for row in rows),
    }


def markdown(results: dict[str, Any]) -> str:
    """A row for each rate, and the largest loss below."""
    lines = [
        "| bpp | trained for quality | PSNR of the model for this rate, dB | of the one model | loss, dB |",
        "|---:|---:|---:|---:|---:|",
    ]
    for row in results["rows"]:
        point = row["single"]
        lines.append(
            f"| {point['bpp']:.3f} | {point['quality']:g} | {point['psnr']:.3f} | {row['one_psnr']:.3f} | "
            f"{row['loss']:+.3f} |"
        )
    note = f" ({results['note']})" if results["note"] else ""
    lines += ["", f"Largest loss of the one model: {results['largest_loss']:+.3f} dB; "
        f"{results['pictures']} Kodak pictures{note}."]  # fmt: skip
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where everything could be measured, whatever the figures say."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.single_rate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("one", metavar="MODEL_ALL", help="name or folder of the model for all rates")
    parser.add_argument("singles", nargs="+", metavar="MODEL_AT_Q", help="models that were trained for one quality")
    kodak_options(parser)
    return run_and_print(parser, arguments, measure, markdown)


if __name__ == "__main__":
    sys.exit(main())
