"""Tables of the content-weighted family, for the two markers of a Markdown file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glissando.bench.bdrate import Curve, bd_rate
from glissando.bench.curves import scores_at
from glissando.errors import BenchmarkError

from .claim import Claim, claims_table
from .data import KODAK_COUNT
from .documents import update

__all__ = ["BEGIN", "END", "bars", "comparisons", "markdown", "short", "write"]

BEGIN, END = "<!-- content:begin -->", "<!-- content:end -->"
RANGE = (0.12, 0.67)  # bpp: the source's range of rates
TOP_RATE = RANGE[1]
GRID = 200

Point = dict[str, float]


def pairs(points: Sequence[Point], metric: str) -> list[tuple[float, float]]:
    """The curve of one metric: (bpp, score)."""
    return [(point["bpp"], point[metric]) for point in points]


def margin(
    what: str, ours: Sequence[Point], theirs: Sequence[Point], metric: str, note: str = "", *, must: bool
) -> Claim:
    """By how much our curve is above theirs where that is least, over all rates of RANGE that they have files for.

    Both are read as straight lines over log-rate. ``must``: whether being better is the bar, else it is the aim.
    """
    low = max(RANGE[0], min(p["bpp"] for p in theirs))
    high = min(RANGE[1], max(p["bpp"] for p in theirs))
    unit, digits = ("dB", 2) if metric == "psnr" else ("", 4)
    have = min(p["bpp"] for p in ours), max(p["bpp"] for p in ours)
    value, words = None, f"{low:.2f} … {high:.2f} bpp"
    if low >= high:
        words = f"no file of theirs within {RANGE[0]} … {RANGE[1]} bpp"
    elif low < have[0] or high > have[1]:
        words = f"our files have {have[0]:.3f} … {have[1]:.3f} bpp, {low:.3f} … {high:.3f} are needed"
    else:
        rates = np.geomspace(low, high, GRID)
        above = scores_at(pairs(ours, metric), rates) - scores_at(pairs(theirs, metric), rates)
        value = float(above.min())
        words += f", least at {rates[above.argmin()]:.2f}"
        if low > RANGE[0]:
            words += "; their curve begins there"
    return Claim(
        what, value, unit, higher_is_better=True, digits=digits, signed=True,
        bar=0.0 if must else None, aim=None if must else 0.0, note="; ".join(filter(None, (words, note))),
    )  # fmt: skip


def bars(results: dict[str, Any]) -> list[Claim]:
    """Every figure beside its bar and its aim."""
    ours = results["ours"]
    few = "" if results["pictures"] == KODAK_COUNT else f"{results['pictures']} pictures against {KODAK_COUNT}"
    found = []
    for name, curve in results["published"].items():
        found.append(margin(f"PSNR over published {name}", ours, curve, "psnr", few, must=name == "JPEG"))
    for name, curve in results["peers"].items():
        for metric in ("psnr", "ssim"):
            what = f"{metric.upper()} over {name}, same run"
            found.append(margin(what, ours, curve, metric, must="2000" not in name))
    covered = min(p["bpp"] for p in ours) <= TOP_RATE <= max(p["bpp"] for p in ours)
    psnr = float(scores_at(pairs(ours, "psnr"), np.array([TOP_RATE]))[0]) if covered else None
    found.append(Claim(f"PSNR at {TOP_RATE} bpp", psnr, "dB", 31.5, 33.5, True, 2, note="the source: 33.47"))
    inside = [p for p in ours if RANGE[0] <= p["bpp"] <= RANGE[1]]
    words = ", ".join(f"{p['bpp']:.2f}" for p in inside) + " bpp"
    savings = [100 * (1 - p["coded_bits"] / p["kept_bits"]) for p in inside if p["kept_bits"]]
    shares = [100 * p["map_bytes"] / p["bytes"] for p in inside]
    found += [
        Claim("saving of the context model on the kept bits, least of", min(savings, default=None), "%", 11.0, 25.0,
            True, note=f"{words}; the source: 11 to 21"),
        Claim("share of the file that is the map, largest of", max(shares, default=None), "%", 12.0, 4.0,
            note=f"{words}; the source: 6 to 17"),
        Claim("bytes beyond 101 % of the cross-entropy, worst file", max(p["beyond"] for p in ours), "bytes", 100.0),
        *_speed(results["speed"], results["threads"]),
    ]  # fmt: skip
    return found


def _speed(speed: dict[str, Any], threads: int) -> list[Claim]:
    where = f"{speed['bpp']:.2f} bpp, {threads} thread{'s' * (threads != 1)}"
    found = [
        Claim("decoding 752×496 pixels", speed["decode_s"], "s", 0.5, 0.2, digits=3,
            note=f"{where}, of which symbols {speed['symbols_s']:.3f} s; the source: 212 s"),
        Claim("encoding 752×496 pixels", speed["encode_s"], "s", digits=3, note=where),
    ]  # fmt: skip
    if "avif_decode_s" in speed:
        for name in ("decode", "encode"):
            ratio = speed[f"{name}_s"] / speed[f"avif_{name}_s"]
            found.append(
                Claim(f"{name} time over that of Pillow's AVIF", ratio, "×", digits=2, note="same rate, same run")
            )
    return found


def comparisons(results: dict[str, Any]) -> list[str]:
    """A line for each other model: BD-rate of ours against it, or decibels where it has one point."""
    lines = []
    for name, points in results["against"].items():
        cells = [name]
        for metric in ("psnr", "ms-ssim"):
            try:
                cells.append(_against(results["ours"], points, name, metric))
            except BenchmarkError as error:
                cells.append(str(error))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _against(ours: Sequence[Point], points: Sequence[Point], name: str, metric: str) -> str:
    if len(points) > 1:
        theirs, curve = (Curve.of(n, pairs(c, metric), strict=False) for n, c in ((name, points), ("ours", ours)))
        result = bd_rate(theirs, curve)
        return f"{result.percent:+.1f} % of its bits, {result.low:.1f} … {result.high:.1f} dB"
    (point,) = points
    if not min(p["bpp"] for p in ours) <= point["bpp"] <= max(p["bpp"] for p in ours):
        raise BenchmarkError(f"no file of ours at its {point['bpp']:.3f} bpp")
    difference = float(scores_at(pairs(ours, metric), np.array([point["bpp"]]))[0]) - point[metric]
    return f"{difference:+.2f} dB at {point['bpp']:.3f} bpp"


def short(results: dict[str, Any]) -> str:
    """The table of the figures that have a bar or an aim, in Markdown."""
    model, machine = results["model"], results["machine"]
    what = f"model {model['name']} ({model['hash']}); {machine['processor']} ({', '.join(machine['extensions'])})"
    return "\n".join(
        [claims_table(bars(results)), "", f"Measured {results['date']}; {results['pictures']} Kodak pictures; {what}."]
    )


def markdown(results: dict[str, Any]) -> str:
    """All tables in Markdown."""
    lines = [short(results), ""]
    lines += [
        "| quality | bpp | PSNR, dB | SSIM | MS-SSIM, dB | kept bits per pixel | saved by the context model | map |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for p in results["ours"]:
        # Streams make up nearly all of a file, but not all: bits per pixel follow from bpp and bytes.
        kept = p["kept_bits"] * p["bpp"] / (8 * p["bytes"])
        saved = f"{100 * (1 - p['coded_bits'] / p['kept_bits']):.1f} %" if p["kept_bits"] else "–"
        lines.append(
            f"| {p['quality']:g} | {p['bpp']:.3f} | {p['psnr']:.2f} | {p['ssim']:.4f} | {p['ms-ssim']:.2f} | "
            f"{kept:.3f} | {saved} | {100 * p['map_bytes'] / p['bytes']:.1f} % |"
        )
    if results["against"]:
        lines += ["", "| this model against | PSNR | MS-SSIM |", "|---|---:|---:|", *comparisons(results)]
    return "\n".join(lines)


def write(results: dict[str, Any], documents: Sequence[Path]) -> None:
    """All tables into the first document, the bars alone into the others. Raises BenchmarkError without markers."""
    for number, document in enumerate(documents):
        update(document, BEGIN, END, short(results) if number else markdown(results))
