"""Importance maps on Kodak: painted masks against no map at equal size, and the automatic map against none.

    python -m benchmarks.importance measure --data DIR --json importance.json        # DIR holds kodak/
    python -m benchmarks.importance report importance.json docs/importance.md

Ten pictures have a painted mask (``tests/masks``): white on what matters, 10 to 30 % of the picture. Each is coded
without the mask, and with it at the default strength and the same size; PSNR is that of the pixels inside and outside
the white. The automatic map is judged over all pictures by BD-rates.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import glissando
from glissando.bench.bdrate import Curve, bd_rate
from glissando.bench.metrics import METRICS, score
from glissando.codec import Codec
from glissando.codec.automatic import AUTO_STRENGTH
from glissando.codec.importance import DEFAULT_STRENGTH
from glissando.errors import BenchmarkError
from glissando.machine import Machine

from .commands import run_study
from .data import Picture, data_folder, load_pictures
from .documents import update
from .points import bits_per_pixel

__all__ = ["MASKS", "main", "markdown"]

BEGIN, END = "<!-- importance:begin -->", "<!-- importance:end -->"
MASKS = Path(__file__).parents[1] / "tests" / "masks"
QUALITIES = (40.0, 60.0, 75.0)
AUTO_QUALITIES = (20.0, 35.0, 50.0, 65.0, 80.0)
AUTO_METRICS = ("ms-ssim", "ssimulacra2", "psnr")
LEAST_GAIN, MOST_SHARE = 2.0, 0.005  # what a painted mask must win inside, in dB, and may cost of the file

Row = dict[str, Any]


def load_mask(path: Path) -> NDArray[np.uint8]:
    """A painted mask, (rows, columns), 0 or 255."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), dtype=np.uint8)


def decibels(original: NDArray[np.uint8], decoded: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    """PSNR of the pixels in ``where``, (H, W); at most 100."""
    error = original[where].astype(np.float64) - decoded[where]
    return float(10 * np.log10(255**2 / max(np.square(error).mean(), 255**2 / 1e10)))


def map_bytes(data: bytes) -> int:
    """What a map adds to a file: its streams, its box, and their entries in the header."""
    found = glissando.probe(data)
    # type, length and CRC of the box; the stream's number; a length in each tile, below 128 each
    return found.parts["map"] + 9 + 1 + found.tiles


def painted(codec: Codec, picture: Picture, mask: NDArray[np.uint8]) -> Iterator[Row]:
    """One picture with and without its mask, at each quality."""
    pixels = picture.pixels
    height, width = pixels.shape[:2]
    inside = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)) > 127
    analysed = codec.analyse(pixels)
    found = codec.quality_field(pixels, mask)
    for quality in QUALITIES:
        row: Row = {"picture": picture.name, "quality": quality, "covered": float(inside.mean())}
        plain = codec.encode_analysed(analysed, quality)
        mapped = codec.encode_analysed(analysed, quality, quality_field=found, keep_size=True)
        for name, data in ("plain", plain), ("mapped", mapped):
            decoded = codec.decode(data)
            row[name] = {
                "bytes": len(data),
                "inside": decibels(pixels, decoded, inside),
                "outside": decibels(pixels, decoded, ~inside),
            }
        row["map_bytes"] = map_bytes(mapped)
        yield row


def automatic(codec: Codec, pictures: Sequence[Picture]) -> dict[str, list[Row]]:
    """Mean rates and scores over the pictures at each quality, without a map and with the automatic one."""
    rows: dict[tuple[str, float], list[Row]] = {}
    for picture in pictures:
        analysed = codec.analyse(picture.pixels)
        found = codec.quality_field(picture.pixels, "auto")
        for quality in AUTO_QUALITIES:
            for name, used in ("none", None), ("auto", found):
                data = codec.encode_analysed(analysed, quality, quality_field=used)
                scores = score(AUTO_METRICS, picture.pixels, codec.decode(data))
                row = {"bpp": bits_per_pixel(data, picture.pixels), **scores}
                if used is not None:
                    row["share"] = map_bytes(data) / len(data)
                rows.setdefault((name, quality), []).append(row)
        print(f"auto: {picture.name}", file=sys.stderr, flush=True)
    return {
        name: [
            {"quality": q, **{key: fmean(row[key] for row in rows[name, q]) for key in rows[name, q][0]}}
            for q in AUTO_QUALITIES
        ]
        for name in ("none", "auto")
    }


def measure(data: Path, count: int | None, model: str) -> Row:
    """Everything. Raises GlissandoError."""
    codec, pictures = glissando.open_model(model, precision="f32"), load_pictures(data, count)
    rows = []
    for picture in pictures:
        path = MASKS / f"{picture.name}.png"
        if path.is_file():
            for row in painted(codec, picture, load_mask(path)):
                rows.append(row)
                print(_painted_line(row), file=sys.stderr, flush=True)
    if not rows:
        raise BenchmarkError(f"none of the {len(pictures)} pictures has a mask in {MASKS}")
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": Machine.this().to_json(),
        "model": {"name": codec.name, "hash": codec.card.hash},
        "pictures": len(pictures),
        "strength": {"painted": DEFAULT_STRENGTH, "auto": AUTO_STRENGTH},
        "painted": rows,
        "automatic": automatic(codec, pictures),
    }


def bd_rates(curves: dict[str, list[Row]]) -> dict[str, float]:
    """BD-rate in per cent of the automatic map against none, by metric."""
    found = {}
    for metric in AUTO_METRICS:
        anchor, curve = (
            Curve.of(name, [(p["bpp"], p[metric]) for p in curves[name]], strict=False) for name in ("none", "auto")
        )
        found[metric] = bd_rate(anchor, curve).percent
    return found


def _gain(row: Row, where: str) -> float:
    return float(row["mapped"][where] - row["plain"][where])


def _painted_line(row: Row) -> str:
    plain, mapped = row["plain"], row["mapped"]
    return (
        f"| {row['picture']} | {100 * row['covered']:.0f} % | {row['quality']:g} | {plain['bytes']:,} | "
        f"{mapped['bytes']:,} | {plain['inside']:.2f} | {mapped['inside']:.2f} | **{_gain(row, 'inside'):+.2f}** | "
        f"{_gain(row, 'outside'):+.2f} | {row['map_bytes']} ({100 * row['map_bytes'] / mapped['bytes']:.2f} %) |"
    )


def markdown(results: Row) -> str:
    """The tables for the documentation."""
    rows = results["painted"]
    lines = [
        "| quality | inside, mean | inside, least | outside, mean | size, most | map, mean | map, most | "
        f"at least +{LEAST_GAIN:g} dB inside | map at most {100 * MOST_SHARE:g} % |",
        "|---:|---:|---:|---:|---:|---:|---:|---|---|",
    ]
    for quality in QUALITIES:
        part = [row for row in rows if row["quality"] == quality]
        gains = [_gain(row, "inside") for row in part]
        sizes = [row["mapped"]["bytes"] / row["plain"]["bytes"] - 1 for row in part]
        shares = [row["map_bytes"] / row["mapped"]["bytes"] for row in part]
        enough, cheap = sum(g >= LEAST_GAIN for g in gains), sum(s <= MOST_SHARE for s in shares)
        lines.append(
            f"| {quality:g} | {fmean(gains):+.2f} dB | {min(gains):+.2f} dB | "
            f"{fmean(_gain(row, 'outside') for row in part):+.2f} dB | {100 * max(sizes, key=abs):+.2f} % | "
            f"{100 * fmean(shares):.2f} % | {100 * max(shares):.2f} % | {enough} of {len(part)} | "
            f"{cheap} of {len(part)} |"
        )
    lines += [
        "",
        "| picture | white | quality | bytes without | with | PSNR inside, without | with | gain | outside | map |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *map(_painted_line, rows),
        "",
        "| automatic map against none | BD-rate |",
        "|---|---:|",
    ]
    curves = results["automatic"]
    lines += [f"| {METRICS[m].label} | {percent:+.1f} % |" for m, percent in bd_rates(curves).items()]
    shares = [point["share"] for point in curves["auto"]]
    machine = results["machine"]
    lines += [
        "",
        f"The automatic map takes {100 * min(shares):.1f} to {100 * max(shares):.1f} % of the file at qualities "
        f"{AUTO_QUALITIES[0]:g} to {AUTO_QUALITIES[-1]:g}.",
        "",
        f"Measured {results['date']}; model {results['model']['name']} ({results['model']['hash']}); strength "
        f"{results['strength']['painted']:g} painted, {results['strength']['auto']:g} automatic, the latter over "
        f"{results['pictures']} Kodak pictures; {machine['processor']}.",
    ]
    return "\n".join(lines)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="folder that holds kodak/; $GLISSANDO_DATA unless given")
    parser.add_argument("--model", default="medium-psnr")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where it did what was asked."""
    return run_study(
        argparse.ArgumentParser(
            prog="python -m benchmarks.importance",
            description=__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        ),
        arguments,
        options=_options,
        measure=lambda given: measure(data_folder(given.data), given.pictures, given.model),
        markdown=markdown,
        report=lambda results, documents: update(documents[0], BEGIN, END, markdown(results)),
        documents={"nargs": 1, "metavar": "document"},
    )


if __name__ == "__main__":
    sys.exit(main())
