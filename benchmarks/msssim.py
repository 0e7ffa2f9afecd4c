"""MS-SSIM on Kodak, beside published codecs that were trained for it.

    glissando bench kodak --codecs glissando:medium-msssim --metrics ms-ssim,psnr --no-speed --out report
    python -m benchmarks.msssim report/results.json

Every model of the comparison gets its tables. A curve's points are means over the pictures of bpp and of MS-SSIM on
RGB, in dB as −10·log10(1 − mean), which is how the published curves have it (not the mean of each picture's dB).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from glissando.bench.curves import bd_row, scores_at
from glissando.bench.published import is_kodak, load_published
from glissando.bench.results import BDRow, PublishedCurve, Results
from glissando.errors import BenchmarkError

from .comparison import curve, read_comparison
from .data import KODAK_COUNT
from .documents import table

__all__ = ["differences", "main", "markdown", "ms_ssim_curve", "published_for_ms_ssim"]

TAG = "[ms-ssim]"  # in the names of the published codecs that were trained for it
METRIC = "ms-ssim"

Point = dict[str, float]


def decibels(value: float) -> float:
    """−10·log10(1 − MS-SSIM). Raises BenchmarkError where nothing is lost, which has no decibels."""
    if not value < 1.0:
        raise BenchmarkError(f"an MS-SSIM of {value} has no decibels")
    return -10.0 * math.log10(1.0 - value)


def published_for_ms_ssim(path: Path | None = None) -> list[PublishedCurve]:
    """The published curves of codecs that were trained for MS-SSIM, of the package or of a file of that form.

    Raises BenchmarkError where there is none.
    """
    curves = [found for found in load_published(path) if TAG in found.name and METRIC in found.points]
    if not curves:
        raise BenchmarkError(f"no published codec was trained for MS-SSIM: none is called … {TAG}")
    return curves


def ms_ssim_curve(results: Results, codec: str) -> list[Point]:
    """A model's points by rising rate; ``ms_ssim`` is the mean over the pictures, ``ms_ssim_db`` its decibels.

    The comparison holds each picture's decibels, from which its MS-SSIM follows.
    """
    points = curve(results, codec, ["psnr", METRIC])
    for point in points:
        scores = [p.scores[METRIC] for p in results.points if (p.codec, p.setting) == (codec, point["quality"])]
        point["ms_ssim"] = fmean(1.0 - 10.0 ** (-score / 10.0) for score in scores)
        point["ms_ssim_db"] = decibels(point["ms_ssim"])
    return points


def _pairs(points: Sequence[Point]) -> list[tuple[float, float]]:
    return [(point["bpp"], point["ms_ssim_db"]) for point in points]


def differences(points: Sequence[Point], published: PublishedCurve) -> tuple[list[float], list[float]]:
    """Those of the published curve's rates that our files reach, and at each of them our dB less theirs."""
    low, high = min(p["bpp"] for p in points), max(p["bpp"] for p in points)
    theirs = [(bpp, score) for bpp, score in published.points[METRIC] if low <= bpp <= high]
    rates = [bpp for bpp, _ in theirs]
    ours = scores_at(_pairs(points), np.array(rates)).tolist()
    return rates, [own - score for own, (_, score) in zip(ours, theirs, strict=True)]


def against(points: Sequence[Point], published: PublishedCurve) -> BDRow:
    """BD-rate of our points against a published curve, by MS-SSIM in dB."""
    anchor = [(bpp, score) for bpp, score in published.points[METRIC]]
    return bd_row("ours", METRIC, "", published.name, anchor, _pairs(points))


def markdown(results: Results, published: Sequence[PublishedCurve]) -> str:
    """A table for each model against the published codecs, and one of its own points. Raises BenchmarkError."""
    models = [codec for codec in results.codecs if codec.ours]
    if not models:
        raise BenchmarkError("no model of this package took part in the comparison")
    parts = []
    for codec in models:
        points = ms_ssim_curve(results, codec.name)
        body = []
        for theirs in published:
            row = against(points, theirs)
            refused = row.percent is None or row.low is None or row.high is None
            percent = row.reason if refused else f"{row.percent:+.1f} %"
            between = "–" if refused else f"{row.low:.1f} … {row.high:.1f} dB"
            _, db = differences(points, theirs)
            cells = [f"{v:+.2f}" for v in (min(db), fmean(db), max(db))] if db else ["–"] * 3
            body.append([theirs.name, percent, between, *cells])
        head = [f"{codec.label} against", "BD-rate, MS-SSIM", "between", "dB at their rates: least", "mean", "most"]
        parts.append(table(head, body))
        head = [f"{codec.label}, quality", "bpp", "MS-SSIM", "MS-SSIM, dB", "PSNR, dB"]
        parts.append(
            table(
                head,
                [
                    [f"{p['quality']:g}", f"{p['bpp']:.3f}", f"{p['ms_ssim']:.5f}", f"{p['ms_ssim_db']:.2f}",
                     f"{p['psnr']:.2f}"]
                    for p in points
                ],
            )
        )  # fmt: skip
    count = len(results.pictures)
    note = "" if is_kodak(results.pictures) else f" (not Kodak's {KODAK_COUNT}: not comparable)"
    parts.append(f"{count} pictures{note}; negative BD-rates and positive dB are to our favour.")
    return "\n\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where there are tables to print, whatever the figures say."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.msssim", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="results.json of `glissando bench`")
    parser.add_argument("--published", type=Path, metavar="FILE", help="other published curves than the package's")
    given = parser.parse_args(arguments)
    try:
        print(markdown(read_comparison(given.results), published_for_ms_ssim(given.published)))
    except (OSError, BenchmarkError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
