"""Where our models stand among published codecs: bits at equal PSNR against the cost of decoding, in one picture.

    glissando bench kodak --out report
    python -m benchmarks.landscape report/results.json published.json --picture docs/landscape.svg docs/results.md

Across: multiply-adds of the decoder's networks for each pixel, on a logarithmic scale. Up: BD-rate against published
VTM, on the 24 Kodak pictures, by PSNR. Codecs without networks are lines across the picture. The table of all of them
goes into a document, between the marks of the block ``landscape``.

``published.json`` holds, by the name of a codec, a list of points with ``bpp`` and ``psnr``. Under ``_meta`` it has
what is known of each: ``sources`` with ``rates``, ``models``, ``encode`` and ``decode_kmac_per_pixel``; and
``decode_kmac_of_existing`` with the ``min`` and ``max`` of those whose cost was measured by others.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glissando.bench.curves import bd_row
from glissando.bench.published import is_kodak
from glissando.bench.results import Results
from glissando.errors import BenchmarkError

from .comparison import curve, read_comparison
from .documents import table, update_blocks

__all__ = ["ANCHOR", "Standing", "draw", "landscape_block", "main", "our_standings", "published_standings"]

ANCHOR = "VTM"
"""The published curve of which BD-rates are percentages."""
LINES = ("JPEG2000", "BPG-444-x265-ycbcr", "AV1")
"""Published codecs without networks that the picture has, as lines; JPEG and WebP would lie far above it."""
HEIGHTS = (-20.0, 110.0)
"""Percentages that the picture covers; more where one of ours needs it."""
KINDS = {"files": "real files", "estimates": "estimated from probabilities", "not stated": "not stated"}

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Standing:
    """One codec of the picture.

    Attributes:
        name: as it is called there.
        kmac: multiply-adds of the decoder for each pixel, in thousands, least and most; None where nobody says, or
            where the decoder has no network.
        at_most: whether ``kmac`` is only a bound from above.
        percent: BD-rate against the anchor, of ``low`` to ``high`` dB.
        rates: a key of KINDS.
        fitted: whether the decoder, or the latents, are optimised for each picture, which takes minutes to encode.
        ours: whether it was measured here.
    """

    name: str
    kmac: tuple[float, float] | None
    at_most: bool
    percent: float
    low: float
    high: float
    rates: str
    fitted: bool
    ours: bool = False


def our_standings(results: Results, anchor: Points) -> list[Standing]:
    """Our models that took part, whatever they were trained for. Raises BenchmarkError unless on Kodak's pictures."""
    if not is_kodak(results.pictures):
        raise BenchmarkError("published codecs were measured on the 24 Kodak pictures, these results are of others")
    found = []
    for codec in results.codecs:
        if codec.model is not None:
            points = [(row["bpp"], row["psnr"]) for row in curve(results, codec.name, ["psnr"])]
            kmac = codec.model.decode_kmac_per_pixel
            standing = _standing(codec.label, points, anchor, (kmac, kmac), "files", ours=True)
            if standing is not None:
                found.append(standing)
    return found


def published_standings(published: Mapping[str, Any]) -> list[Standing]:
    """All codecs of the file but the anchor, and but those trained for MS-SSIM.

    Raises BenchmarkError where it is no such file.
    """
    try:
        meta, anchor = published["_meta"], published_points(published, ANCHOR)
        found = []
        for name in published:
            if name in ("_meta", ANCHOR) or "[ms-ssim]" in name:
                continue
            source = meta["sources"].get(name, {})
            kmac, at_most = _cost(source, meta["decode_kmac_of_existing"].get(name))
            words = str(source.get("rates"))
            rates = next((kind for kind in ("estimates", "not stated") if words.startswith(kind)), "files")
            fitted = bool(re.search("per image|steps of SGA", f"{source.get('models')} {source.get('encode')}"))
            standing = _standing(name, published_points(published, name), anchor, kmac, rates, at_most, fitted)
            if standing is not None:
                found.append(standing)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BenchmarkError(f"not a file of published curves and their costs ({error!r})") from error
    return found


def published_points(published: Mapping[str, Any], name: str) -> Points:
    """(bpp, PSNR in dB) of one codec of the file."""
    return [(float(point["bpp"]), float(point["psnr"])) for point in published[name]]


def _cost(source: Mapping[str, Any], measured: Mapping[str, Any] | None) -> tuple[tuple[float, float] | None, bool]:
    """What the decoder costs, and whether that is only a bound from above."""
    if measured is not None:
        return (float(measured["min"]), float(measured["max"])), False
    if source.get("decode_kmac_per_pixel") is not None:
        cost = float(source["decode_kmac_per_pixel"])
        return (cost, cost), False
    bound = re.search(r"less than ([\d.]+) kMAC", str(source.get("decode_kmac_source")))
    return ((float(bound[1]),) * 2, True) if bound else (None, False)


def _standing(
    name: str,
    points: Points,
    anchor: Points,
    kmac: tuple[float, float] | None,
    rates: str,
    at_most: bool = False,
    fitted: bool = False,
    ours: bool = False,
) -> Standing | None:
    """None where the two curves share too little to be compared."""
    row = bd_row(name, "psnr", "", f"published {ANCHOR}", anchor, points)
    if row.percent is None or row.low is None or row.high is None:
        return None
    return Standing(name, kmac, at_most, row.percent, row.low, row.high, rates, fitted, ours)


def landscape_block(standings: Sequence[Standing]) -> str:
    """The table behind the picture, from the fewest bits to the most."""
    body = []
    for one in sorted(standings, key=lambda standing: standing.percent):
        name = f"**{one.name}**" if one.ours else one.name
        cost = "—" if one.kmac is None else " … ".join(f"{value:g}" for value in dict.fromkeys(one.kmac))
        body.append(
            [
                name + (" (optimised for each picture)" if one.fitted else ""),
                f"< {cost}" if one.at_most else cost,
                f"{one.percent:+.1f} %",
                f"{one.low:.1f} … {one.high:.1f}",
                KINDS[one.rates],
            ]
        )
    return table(["codec", "decoder, kMAC per pixel", f"BD-rate against {ANCHOR}", "dB", "rates are"], body)


def draw(standings: Sequence[Standing], path: Path) -> None:
    """Write the picture; its suffix says in which format."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    least, most = (
        edge(HEIGHTS[i], *(one.percent for one in standings if one.ours)) for i, edge in enumerate((min, max))
    )
    with rc_context({"svg.hashsalt": "glissando", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8.6, 5.6), layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_xlim(0.9, 1000)
        axes.set_ylim(least, most)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("multiply-adds to decode a pixel, thousands")
        axes.set_ylabel(f"bits at equal PSNR against {ANCHOR}, per cent")
        axes.axhline(0, color="#8a8a8a", lw=0.8, ls=":")
        axes.annotate(f"{ANCHOR}, no network", (0.95, 0), (0, 2), textcoords="offset points", fontsize=7, color="#666")
        taken: list[tuple[float, float]] = []
        for one in sorted(standings, key=lambda standing: (not standing.ours, standing.percent)):
            if not least <= one.percent <= most:
                continue
            if one.kmac is None:
                if one.name in LINES:
                    axes.axhline(one.percent, color="#8a8a8a", lw=0.8, ls=":")
                    axes.annotate(
                        one.name.split("-444")[0],
                        *((0.95, one.percent), (0, 2)),
                        textcoords="offset points",
                        fontsize=7,
                        color="#666",
                    )
                continue
            colour = "#c0392b" if one.ours else "#2466a8"
            low, high = one.kmac
            middle = (low * high) ** 0.5
            if high > low:
                axes.plot([low, high], [one.percent] * 2, color=colour, lw=1)
            if one.at_most:
                axes.annotate(
                    "",
                    *((0.6 * high, one.percent), (high, one.percent)),
                    arrowprops={"arrowstyle": "->", "color": colour, "lw": 0.8},
                )
            axes.scatter(
                *([middle], [one.percent]),
                s=60 if one.ours else 28,
                marker="D" if one.fitted else "o",
                facecolors=colour if one.rates == "files" else "white",
                edgecolors=colour,
                zorder=3,
            )
            above = any(abs(x - middle) < 0.5 * middle and 0 <= y - one.percent < 3.5 for x, y in taken)
            axes.annotate(
                one.name.removeprefix("Glissando "),
                *((middle, one.percent), (6, -9 if above else 2)),
                textcoords="offset points",
                fontsize=9 if one.ours else 7,
                fontweight="bold" if one.ours else "normal",
                color=colour,
            )
            taken.append((middle, one.percent))
        axes.set_title(
            "Red: ours, measured here. Filled: rates of real files; hollow: estimates, or not stated.\n"
            "Diamonds: decoder or latents are optimised for each picture, which takes minutes and more.",
            loc="left",
            fontsize=8,
        )
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the picture and all documents were written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.landscape", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="results.json of `glissando bench` on the Kodak pictures")
    parser.add_argument("published", type=Path, help="published curves and costs")
    parser.add_argument("documents", type=Path, nargs="*", help="Markdown files with the marks of the block landscape")
    parser.add_argument("--picture", type=Path, help="where to draw it: an .svg, .png or .pdf")
    given = parser.parse_args(arguments)
    try:
        published = json.loads(given.published.read_text(encoding="utf-8"))
        standings = published_standings(published)
        standings += our_standings(read_comparison(given.results), published_points(published, ANCHOR))
        if given.picture is not None:
            draw(standings, given.picture)
        update_blocks(given.documents, {"landscape": landscape_block(standings)})
    except (OSError, ValueError, BenchmarkError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    if not given.documents:
        print(landscape_block(standings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
