"""The content-weighted model on Kodak: its one model at all rates, what its map and its context model are worth.

    python -m benchmarks.content measure MODEL --json content.json [--data DIR] [--against NAME=FOLDER[@QUALITY] …]
    python -m benchmarks.content report content.json docs/content-weighted.md [README.md]

Sizes are those of real files, distortion that of the decoded 8-bit pixels, both averaged over the pictures at each
quality. JPEG and JPEG 2000 are measured in the same run. ``--against`` names another model to be measured beside it,
such as one that was trained without a map, or (with @QUALITY) one that is good at a single rate. Speed is that of a
warm process on crops of 752×496 pixels, the size of the source's pictures, in turn with AVIF.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glissando
from glissando.bench.machine import Machine, default_threads, package_versions
from glissando.bench.metrics import score, ssim
from glissando.bench.published import load_published
from glissando.bitstream import IMPORTANCE, LATENTS, container
from glissando.codec import Codec
from glissando.errors import BenchmarkError

from .commands import run_study
from .content_report import markdown, write
from .data import Picture, data_folder, load_pictures
from .metrics import bits_per_pixel
from .peers import AVIF, JPEG, Peer, nearest_quality

__all__ = ["main", "measure"]

METRICS = ("psnr", "ms-ssim")
QUALITIES = tuple(float(q) for q in range(0, 101, 10))
PEERS = {
    JPEG: (1, 4, 6, 8, 12, 16, 20, 25, 30, 40),  # from the smallest files that there are, 0.10 bpp, to 1 bpp
    Peer("jp2"): (20, 22, 23, 24, 25, 26, 27, 29, 31, 33),
}
CROP = (496, 752)
SPEED_PICTURES, SPEED_ROUNDS = 4, 7
SPEED_BPP = 0.5

Pixels = NDArray[np.uint8]
Point = dict[str, float]


def scores(original: Pixels, data: bytes, decoded: Pixels) -> Point:
    """What every codec's file is measured by."""
    if decoded.shape != original.shape:
        raise BenchmarkError(f"a picture of {original.shape} came back as {decoded.shape}")
    return {
        "bpp": bits_per_pixel(data, original),
        "ssim": ssim(original, decoded),
        **score(METRICS, original, decoded),
    }


def file_parts(codec: Codec, data: bytes, ideal_bits: float) -> Point:
    """Bytes of a file's streams, the bits that it keeps, and what lies beyond its cross-entropy."""
    sizes = container.read_header(data).stream_bytes
    code = codec.decode_symbols(data).latents.code
    return {
        "bytes": len(data),
        "map_bytes": sizes[IMPORTANCE],
        "coded_bits": 8 * sizes[LATENTS],
        "kept_bits": int(np.count_nonzero(code)),
        "ideal_bytes": ideal_bits / 8,
        "beyond": len(data) - 1.01 * ideal_bits / 8,
    }


def _mean(rows: Sequence[Point]) -> Point:
    """Means over the pictures; of ``beyond``, the largest."""
    return {key: (max if key == "beyond" else fmean)(row[key] for row in rows) for key in rows[0]}


def our_point(codec: Codec, pictures: Sequence[Picture], quality: float) -> Point:
    """One quality of a model of the family, averaged over the pictures."""
    rows = []
    for picture in pictures:
        data, bits = codec.encode_with_bits(picture.pixels, quality)
        parts = file_parts(codec, data, float(bits.sum()))
        rows.append({**scores(picture.pixels, data, codec.decode(data)), **parts})
    return {"quality": quality, **_mean(rows)}


def peer_point(peer: Peer, pictures: Sequence[Picture], quality: int) -> Point:
    """The same of another codec."""
    rows = []
    for picture in pictures:
        data = peer.encode(picture.pixels, quality)
        rows.append(scores(picture.pixels, data, peer.decode(data)))
    return {"quality": float(quality), **_mean(rows)}


def measure_speed(codec: Codec, pictures: Sequence[Picture], quality: float, rounds: int) -> dict[str, Any]:
    """Seconds for a crop, the mean over the pictures' medians, in turn with AVIF at about the same rate."""
    height, width = CROP
    crops = [np.ascontiguousarray(picture.pixels[:height, :width]) for picture in pictures]
    crops = [crop for crop in crops if crop.shape[:2] == CROP]
    if not crops:
        raise BenchmarkError(f"no picture is as large as {width}×{height}")
    files = [codec.encode(crop, quality) for crop in crops]
    bpp = fmean(bits_per_pixel(data, crop) for data, crop in zip(files, crops, strict=True))
    steps: dict[str, Callable[[int], object]] = {
        "encode_s": lambda i: codec.encode(crops[i], quality),
        "decode_s": lambda i: codec.decode(files[i]),
        "symbols_s": lambda i: codec.decode_symbols(files[i]),
    }
    if AVIF.available():

        def avif_bpp(avif_quality: int) -> float:
            return fmean(bits_per_pixel(AVIF.encode(crop, avif_quality), crop) for crop in crops)

        avif_quality = nearest_quality(avif_bpp, bpp, 1, 100)
        avif_files = [AVIF.encode(crop, avif_quality) for crop in crops]
        steps["avif_encode_s"] = lambda i: AVIF.encode(crops[i], avif_quality)
        steps["avif_decode_s"] = lambda i: AVIF.decode(avif_files[i])
    times: dict[str, list[list[float]]] = {name: [[] for _ in crops] for name in steps}
    for turn in range(rounds + 1):
        for i in range(len(crops)):
            for name, step in steps.items():
                start = time.perf_counter()
                step(i)
                if turn:  # the first round warms up
                    times[name][i].append(time.perf_counter() - start)
    seconds = {name: fmean(median(of_one) for of_one in group) for name, group in times.items()}
    return {"quality": quality, "bpp": bpp, "pictures": len(crops), "rounds": rounds, **seconds}


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
    folder: Path, pictures: Sequence[Picture], against: Sequence[str] = (), rounds: int = SPEED_ROUNDS
) -> dict[str, Any]:
    """Everything that the report shows. Raises GlissandoError."""
    others = [parse_against(text) for text in against]
    codec = open_content(folder)
    opened = {name: open_content(path) for name, path, _ in others}

    def told(what: str, point: Point) -> Point:
        print(f"{what}: " + "  ".join(f"{k} {v:.4g}" for k, v in point.items()), file=sys.stderr, flush=True)
        return point

    ours = [told(codec.name, our_point(codec, pictures, quality)) for quality in QUALITIES]
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": Machine.this().to_json(),
        "threads": default_threads(),
        "versions": package_versions(),
        "model": {"name": codec.card.name, "hash": codec.card.hash, "bytes": codec.card.bytes},
        "pictures": len(pictures),
        "ours": ours,
        "peers": {
            peer.label: [told(peer.label, peer_point(peer, pictures, quality)) for quality in qualities]
            for peer, qualities in PEERS.items()
            if peer.available()
        },
        "published": {
            curve.name: [{"bpp": bpp, "psnr": psnr} for bpp, psnr in curve.points["psnr"]]
            for curve in load_published()
            if curve.name in ("JPEG", "JPEG2000")
        },
        "against": {
            name: [told(name, our_point(opened[name], pictures, quality)) for quality in qualities]
            for name, _, qualities in others
        },
        "speed": measure_speed(
            codec,
            pictures[:: max(1, len(pictures) // SPEED_PICTURES)][:SPEED_PICTURES],
            min(ours, key=lambda point: abs(point["bpp"] - SPEED_BPP))["quality"],
            rounds,
        ),
    }


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("--data", type=Path, help="folder that holds kodak/; $GLISSANDO_DATA unless given")
    parser.add_argument("--against", action="append", default=[], metavar="NAME=FOLDER[@QUALITY]",
        help="another model to measure, at one quality where it was made for one; may be repeated")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=SPEED_ROUNDS, help="rounds of the speed measurement")


def _measure(given: argparse.Namespace) -> dict[str, Any]:
    if given.rounds < 1:
        raise BenchmarkError(f"--rounds must be at least 1, not {given.rounds}")
    pictures = load_pictures(data_folder(given.data), given.pictures)
    return measure(given.model, pictures, given.against, given.rounds)


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
