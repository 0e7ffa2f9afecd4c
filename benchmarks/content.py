"""The content-weighted model on Kodak: its one model at all rates, what its map and its context model are worth.

    glissando bench kodak --codecs jpeg,jp2,avif,glissando:content-weighted --metrics psnr,ssim,ms-ssim --out report
    python -m benchmarks.content measure MODEL report/results.json --json content.json [--against NAME=FOLDER[@QUALITY]]
    python -m benchmarks.content report content.json docs/content-weighted.md [README.md]

Rates, scores and speeds of the model, of JPEG, JPEG 2000 and AVIF are those of the comparison; the study takes the
model's files apart. ``--against`` names another model to be measured beside it, such as one that was trained without a
map, or (with @QUALITY) one that is good at a single rate. Speeds are brought to 752×496 pixels, the size of the
source's pictures.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

import glissando
from glissando.bench.packages import package_versions
from glissando.bench.published import load_published
from glissando.bench.results import Results
from glissando.bench.summary import HEADLINE_MEGAPIXELS, summarise
from glissando.bitstream import LATENTS, MAP, Reader
from glissando.codec import Codec
from glissando.errors import BenchmarkError
from glissando.machine import Machine

from .commands import run_study
from .comparison import codec_of_model, curve, latents_curve, matching, read_comparison
from .content_report import markdown, write
from .data import Picture, data_folder, evenly_chosen, load_pictures
from .points import QUALITIES, mean_point

__all__ = ["main", "measure"]

METRICS = ("psnr", "ssim", "ms-ssim")
PEERS = ("jpeg", "jp2")
PUBLISHED = ("JPEG", "JPEG2000")
CROP = (496, 752)
SPEED_PICTURES, SPEED_ROUNDS = 4, 7
SPEED_BPP = 0.5

Point = dict[str, float]


def file_parts(codec: Codec, data: bytes, ideal_bits: float) -> Point:
    """Bytes of a file's streams, the bits that it keeps, and what lies beyond its cross-entropy."""
    sizes = Reader(data).layout.stream_bytes
    code = codec.decode_symbols(data).latents.code
    return {
        "bytes": len(data),
        "map_bytes": sizes[MAP],
        "coded_bits": 8 * sizes[LATENTS],
        "kept_bits": int(np.count_nonzero(code)),
        "ideal_bytes": ideal_bits / 8,
        "beyond": len(data) - 1.01 * ideal_bits / 8,
    }


def _mean(rows: Sequence[Point]) -> Point:
    """Means over the pictures; of ``beyond``, the largest."""
    return {key: (max if key == "beyond" else fmean)(row[key] for row in rows) for key in rows[0]}


def mean_parts(codec: Codec, pictures: Sequence[Picture], quality: float) -> Point:
    """What one quality of a model of the family puts into its files, averaged over the pictures."""
    rows = []
    for picture in pictures:
        data, bits = codec.encode_with_bits(picture.pixels, quality)
        rows.append(file_parts(codec, data, float(bits.sum())))
    return _mean(rows)


def with_parts(codec: Codec, pictures: Sequence[Picture], points: Sequence[Point]) -> list[Point]:
    """Points of a curve, each with the parts of its files."""
    found = []
    for point in points:
        found.append({**point, **mean_parts(codec, pictures, point["quality"])})
        words = "  ".join(f"{k} {v:.4g}" for k, v in found[-1].items())
        print(f"{codec.card.name}: {words}", file=sys.stderr, flush=True)
    return found


def symbols_seconds(codec: Codec, pictures: Sequence[Picture], quality: float, rounds: int) -> float:
    """Seconds to decode the symbols of a crop, without the network: the mean over the pictures' medians."""
    height, width = CROP
    crops = [np.ascontiguousarray(picture.pixels[:height, :width]) for picture in pictures]
    crops = [crop for crop in crops if crop.shape[:2] == CROP]
    if not crops:
        raise BenchmarkError(f"no picture is as large as {width}×{height}")
    files = [codec.encode(crop, quality) for crop in crops]
    times: list[list[float]] = [[] for _ in files]
    for turn in range(rounds + 1):
        for data, taken in zip(files, times, strict=True):
            start = time.perf_counter()
            codec.decode_symbols(data)
            if turn:  # the first round warms up
                taken.append(time.perf_counter() - start)
    return fmean(median(taken) for taken in times)


def speed(comparison: Results, name: str) -> dict[str, Any]:
    """Seconds for a picture of CROP's size, and for AVIF's, from the comparison's rates of pixels near 0.5 bpp.

    Raises BenchmarkError where the comparison was made without speed.
    """
    rows = {row.codec.name: row for row in summarise(comparison)}
    timings = [timing for timing in comparison.timings if timing.codec == name]
    if not timings:
        raise BenchmarkError(f"the comparison has no speed of {name}: make it without --no-speed")
    nearest = min(timings, key=lambda timing: abs(timing.megapixels - HEADLINE_MEGAPIXELS))
    megapixels = CROP[0] * CROP[1] / 1e6
    found: dict[str, Any] = {"quality": nearest.setting, "bpp": nearest.bpp, "rounds": nearest.rounds}
    for prefix, codec in (("", name), ("avif_", "avif")):
        row = rows.get(codec)
        if row is not None and row.encode_mpx_s and row.decode_mpx_s:
            found[f"{prefix}encode_s"] = megapixels / row.encode_mpx_s
            found[f"{prefix}decode_s"] = megapixels / row.decode_mpx_s
    return found


def open_content(folder: Path) -> Codec:
    """The codec of a model's folder. Raises GlissandoError where it is of another family."""
    codec = glissando.open_model(folder)
    if codec.family.name != "content":
        raise BenchmarkError(f"{folder} is of the family {codec.card.family}, not of the content-weighted one")
    return codec


def parse_against(text: str) -> tuple[str, Path, tuple[float, ...]]:
    """NAME=FOLDER or NAME=FOLDER@QUALITY: name, folder, qualities to measure. Raises BenchmarkError."""
    name, found, rest = text.partition("=")
    folder, _, quality = rest.rpartition("@") if "@" in rest else (rest, "", "")
    try:
        qualities = (float(quality),) if quality else QUALITIES
    except ValueError:
        qualities = ()
    if not (found and name and folder and qualities):
        raise BenchmarkError(f"--against {text}: say NAME=FOLDER, or NAME=FOLDER@QUALITY for one point")
    return name, Path(folder), qualities


def measure(
    folder: Path,
    comparison: Results,
    pictures: Sequence[Picture],
    against: Sequence[str] = (),
    rounds: int = SPEED_ROUNDS,
) -> dict[str, Any]:
    """Everything that the report shows. Raises GlissandoError."""
    matching(comparison, pictures)
    others = [parse_against(text) for text in against]
    codec = open_content(folder)
    opened = {name: open_content(path) for name, path, _ in others}
    info = codec_of_model(comparison, str(codec.card.hash))
    timed = speed(comparison, info.name)
    labels = {peer.name: peer.label for peer in comparison.codecs}
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": Machine.this().to_json(),
        "threads": comparison.threads,
        "versions": package_versions(),
        "model": {"name": codec.card.name, "hash": codec.card.hash, "bytes": codec.card.bytes},
        "pictures": len(pictures),
        "ours": with_parts(codec, pictures, latents_curve(comparison, info.name, METRICS)),
        "peers": {labels[peer]: curve(comparison, peer, METRICS) for peer in PEERS if peer in labels},
        "published": {
            published.name: [{"bpp": bpp, "psnr": psnr} for bpp, psnr in published.points["psnr"]]
            for published in load_published()
            if published.name in PUBLISHED
        },
        "against": {
            name: with_parts(
                opened[name], pictures, [mean_point(name, opened[name], pictures, q, METRICS) for q in qualities]
            )
            for name, _, qualities in others
        },
        "speed": {
            **timed,
            "symbols_s": symbols_seconds(codec, evenly_chosen(pictures, SPEED_PICTURES), timed["quality"], rounds),
        },
    }


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("comparison", type=Path, help="results.json of `glissando bench` with this model, timed")
    parser.add_argument("--data", type=Path, help="folder that holds kodak/; $GLISSANDO_DATA unless given")
    parser.add_argument("--against", action="append", default=[], metavar="NAME=FOLDER[@QUALITY]",
        help="another model to measure, at one quality where it was made for one; may be repeated")  # fmt: skip
    parser.add_argument(
        "--rounds", type=int, default=SPEED_ROUNDS, help="rounds in which the decoding of symbols is timed"
    )


def _measure(given: argparse.Namespace) -> dict[str, Any]:
    if given.rounds < 1:
        raise BenchmarkError(f"--rounds must be at least 1, not {given.rounds}")
    pictures = load_pictures(data_folder(given.data), given.pictures)
    return measure(given.model, read_comparison(given.comparison), pictures, given.against, given.rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where it did what was asked, whatever the figures say."""
    return run_study(
        argparse.ArgumentParser(
            prog="python -m benchmarks.content",
            description=__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        ),
        arguments,
        options=_options,
        measure=_measure,
        markdown=markdown,
        report=write,
        documents={"nargs": "+", "help": "docs/content-weighted.md, and README.md for the bars alone"},
    )


if __name__ == "__main__":
    sys.exit(main())
