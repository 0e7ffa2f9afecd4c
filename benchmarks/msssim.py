"""MS-SSIM on Kodak, real files, beside published codecs that were trained for it.

    python -m benchmarks.msssim MODEL [MODEL …] [--data DIR] [--reference FILE] [--json OUT]

MODEL is a name or a folder. A curve's points are means over the pictures of bpp and of MS-SSIM on RGB, in dB as
−10·log10(1 − mean), which is how the published curves have it (not the mean of each picture's dB).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glissando.bench.bdrate import Curve, bd_rate
from glissando.bench.metrics import ms_ssim
from glissando.errors import BenchmarkError

from .api import Codec
from .data import Picture, data_folder, load_pictures, reference_file
from .metrics import psnr
from .points import Point, about, kodak_options, mean_point, open_models, run_and_print
from .rd import QUALITIES, scores_at

__all__ = ["main", "markdown", "published_ms_ssim"]

TAG = "[ms-ssim]"  # in the names of the published codecs that were trained for it


def decibels(value: float) -> float:
    """−10·log10(1 − MS-SSIM). Raises BenchmarkError where nothing is lost, which has no decibels."""
    if not value < 1.0:
        raise BenchmarkError(f"an MS-SSIM of {value} has no decibels")
    return -10.0 * math.log10(1.0 - value)


def published_ms_ssim(path: Path) -> list[Curve]:
    """Curves (bpp, dB) of the codecs that were trained for MS-SSIM. Raises BenchmarkError where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        curves = [
            Curve.of(name, ((float(p["bpp"]), decibels(float(p["ms_ssim"]))) for p in points))
            for name, points in content.items()
            if isinstance(points, list) and TAG in name
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"{path} does not hold published curves with MS-SSIM: {error!r}") from error
    if not curves:
        raise BenchmarkError(f"{path} holds no codec that was trained for MS-SSIM: none is called … {TAG}")
    return curves


def measure_curve(codec: Codec, pictures: Sequence[Picture], qualities: Sequence[float] = QUALITIES) -> list[Point]:
    """A model's points by quality, with the mean MS-SSIM's decibels as ``ms_ssim_db``."""
    points = [mean_point(codec, pictures, q, {"psnr": psnr, "ms_ssim": ms_ssim}) for q in qualities]
    return [{**point, "ms_ssim_db": decibels(point["ms_ssim"])} for point in points]


def compare(points: Sequence[Point], published: Curve) -> dict[str, Any]:
    """BD-rate in MS-SSIM dB, and ours less theirs at each of their rates that our files reach; None where none is."""
    low, high = min(p["bpp"] for p in points), max(p["bpp"] for p in points)
    pairs = [pair for pair in zip(published.bpp, published.score, strict=True) if low <= pair[0] <= high]
    at = np.array([bpp for bpp, _ in pairs])
    ours = scores_at(points, "ms_ssim_db", at)
    found: dict[str, Any] = {
        "codec": published.name,
        "db": [[bpp, float(own) - score] for (bpp, score), own in zip(pairs, ours, strict=True)],
        "percent": None, "low": None, "high": None, "reason": "",
    }  # fmt: skip
    try:
        curve = Curve.of("ours", [(p["bpp"], p["ms_ssim_db"]) for p in points])
        result = bd_rate(published, curve)
        found |= {"percent": result.percent, "low": result.low, "high": result.high}
    except BenchmarkError as error:
        found["reason"] = str(error)
    return found


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Everything that the tables show. Raises GlissandoError."""
    data = data_folder(given.data)
    published = published_ms_ssim(reference_file(given.reference, data))
    pictures = load_pictures(data, given.pictures)
    codecs = open_models(given.models, given.threads)
    curves = [measure_curve(codec, pictures) for codec in codecs]
    return {
        **about(pictures, codecs),
        "curves": curves,
        "comparisons": [[compare(curve, theirs) for theirs in published] for curve in curves],
    }


def markdown(results: dict[str, Any]) -> str:
    """A table for each model against the published codecs, and one of its own points."""
    parts = []
    for model, curve, rows in zip(results["models"], results["curves"], results["comparisons"], strict=True):
        name = model["name"]
        lines = [
            f"| {name} against | BD-rate, MS-SSIM | between | dB at their rates: least | mean | most |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for row in rows:
            percent = f"{row['percent']:+.1f} %" if row["percent"] is not None else row["reason"]
            between = f"{row['low']:.1f} … {row['high']:.1f} dB" if row["percent"] is not None else "–"
            db = [value for _, value in row["db"]]
            cells = [f"{v:+.2f}" for v in (min(db), sum(db) / len(db), max(db))] if db else ["–"] * 3
            lines.append(f"| {row['codec']} | {percent} | {between} | {' | '.join(cells)} |")
        lines += ["", f"| {name}, quality | bpp | MS-SSIM | MS-SSIM, dB | PSNR, dB |", "|---:|---:|---:|---:|---:|"]
        lines += [
            f"| {p['quality']:g} | {p['bpp']:.3f} | {p['ms_ssim']:.5f} | {p['ms_ssim_db']:.2f} | {p['psnr']:.2f} |"
            for p in curve
        ]
        parts.append("\n".join(lines))
    note = f" ({results['note']})" if results["note"] else ""
    parts.append(f"{results['pictures']} Kodak pictures{note}; negative BD-rates and positive dB are to our favour.")
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where everything could be measured, whatever the figures say."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.msssim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name or folder")
    parser.add_argument("--reference", type=Path, help="published curves (default: $GLISSANDO_REFERENCE, or "
        "reference/kodak-published.json beside the data folder)")  # fmt: skip
    kodak_options(parser)
    return run_and_print(parser, arguments, measure, markdown)


if __name__ == "__main__":
    sys.exit(main())
