"""What becomes of pictures that are no photographs, beside AVIF; and what losing nothing takes, beside WebP.

    python -m benchmarks.contents docs/content.md --data DIR

Three blocks are written, or those of them that ``--blocks`` names. ``contents``: each drawing at qualities 20, 60, 80
and 100: bytes and PSNR, and the bytes over those of the smallest AVIF (as it comes, speed 6) of at least this PSNR, or
of the best that AVIF has. ``rising``: how often bytes or PSNR fall between qualities 0, 5, 10 … 100, for the drawings
and twenty Kodak pictures. ``lossless``: bytes over those of lossless WebP (Pillow's default effort), and megapixels per
second of processor time on one thread, for the drawings and the Kodak pictures.
"""

from __future__ import annotations

import argparse
import io
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

import glissando
from glissando.bench.codecs import open_codec
from glissando.bench.metrics import CAP_DB, psnr
from glissando.errors import GlissandoError

from .api import Codec, Pixels
from .data import data_folder, load_pictures
from .documents import table, update_blocks
from .drawings import DRAWINGS, drawing

T = TypeVar("T")

__all__ = ["BLOCKS", "contents_block", "lossless_block", "main", "rising_block", "webp_bytes"]

QUALITIES = (20.0, 60.0, 80.0, 100.0)
AVIF_QUALITIES = (*range(5, 100, 5), 100)
ROUNDS = 3
BLOCKS = ("contents", "rising", "lossless")
RISING_QUALITIES = tuple(float(quality) for quality in range(0, 101, 5))
RISING_PHOTOGRAPHS = 20


def contents_block(codec: Codec) -> str:
    """A row for each drawing."""
    avif = open_codec("avif", 1)
    body = []
    for name in DRAWINGS:
        pixels = drawing(name)
        peers = []
        for quality in AVIF_QUALITIES:
            data = avif.encode(pixels, quality)
            peers.append((len(data), min(psnr(pixels, avif.decode(data)), CAP_DB)))
        best = max(score for _, score in peers)
        cells = []
        for quality in QUALITIES:
            data = codec.encode(pixels, quality)
            score = min(psnr(pixels, codec.decode(data)), CAP_DB)
            size = min(size for size, peer in peers if peer >= min(score, best))
            shown = "exact" if score == CAP_DB else f"{score:.1f} dB"
            cells.append(f"{len(data):,} B, {shown}, {len(data) / size:.2f}×")
        body.append([name, *cells])
    return table(["drawing", *(f"quality {quality:g}" for quality in QUALITIES)], body)


def rising_block(codec: Codec, photographs: Sequence[Pixels]) -> str:
    """Two rows, photographs and drawings: at how many steps of the quality bytes or PSNR fall, and by how much."""
    body = []
    drawings = [drawing(name) for name in DRAWINGS]
    for name, pictures in ((f"{len(photographs)} photographs", photographs), (f"{len(drawings)} drawings", drawings)):
        bytes_lost, decibels_lost = [], []
        for pixels in pictures:
            files = [codec.encode(pixels, quality) for quality in RISING_QUALITIES]
            scores = [min(psnr(pixels, codec.decode(data)), CAP_DB) for data in files]
            bytes_lost += [100 * (1 - len(after) / len(before)) for before, after in itertools.pairwise(files)]
            decibels_lost += [before - after for before, after in itertools.pairwise(scores)]
        cells = [str(len(bytes_lost))]
        for lost, unit in ((bytes_lost, "%"), (decibels_lost, "dB")):
            falls = [one for one in lost if one > 0]
            cells.append(f"{len(falls)}, by up to {max(falls):.2f} {unit}" if falls else "never")
        body.append([name, *cells])
    return table(["pictures", "steps of the quality", "bytes fall", "PSNR falls"], body)


def webp_bytes(pixels: Pixels) -> int:
    """Bytes of the picture as lossless WebP."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, exact=True)
    return len(file.getvalue())


def lossless_block(codec: Codec, photographs: Sequence[Pixels]) -> str:
    """Two rows: all photographs, all drawings."""
    body = []
    for name, pictures in (
        (f"{len(photographs)} photographs of Kodak", photographs),
        (f"{len(DRAWINGS)} drawings", [drawing(name) for name in DRAWINGS]),
    ):
        own = webp = 0
        encoding = decoding = 0.0
        for pixels in pictures:
            data, seconds = _timed(lambda p=pixels: codec.encode(p, lossless=True))  # type: ignore[misc, call-arg]
            decoded, more = _timed(lambda d=data: codec.decode(d))  # type: ignore[misc]
            if not np.array_equal(decoded, pixels):
                raise AssertionError(f"{name}: a picture came back otherwise")
            own, webp = own + len(data), webp + webp_bytes(pixels)
            encoding, decoding = encoding + seconds, decoding + more
        megapixels = sum(pixels.shape[0] * pixels.shape[1] for pixels in pictures) / 1e6
        body.append(
            [
                name,
                f"{8e-6 * own / megapixels:.3f}",
                f"{100 * (own / webp - 1):+.1f} %",
                f"{megapixels / encoding:.1f}",
                f"{megapixels / decoding:.1f}",
            ]
        )
    return table(["pictures", "bpp", "bytes against WebP", "encode, MP a second", "decode, MP a second"], body)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result, and the least processor time of ROUNDS rounds in seconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return result, min(times)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the page was written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.contents", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("page", type=Path)
    parser.add_argument("--data", type=Path, help="the folder that holds kodak/ (default: $GLISSANDO_DATA)")
    parser.add_argument("--pictures", type=int, help="only so many photographs, for a quick look")
    parser.add_argument("--model", default="medium")
    parser.add_argument("--blocks", default=",".join(BLOCKS), help="with commas between, instead of all")
    given = parser.parse_args(arguments)
    if unknown := sorted({*given.blocks.split(",")} - {*BLOCKS}):
        parser.error(f"no block {unknown[0]!r}; known: {', '.join(BLOCKS)}")
    try:
        photographs = [picture.pixels for picture in load_pictures(data_folder(given.data), given.pictures)]
        codec: Codec = glissando.open_model(given.model, threads=1)
        written = {
            "contents": lambda: contents_block(codec),
            "rising": lambda: rising_block(codec, photographs[:RISING_PHOTOGRAPHS]),
            "lossless": lambda: lossless_block(codec, photographs),
        }
        update_blocks([given.page], {name: written[name]() for name in given.blocks.split(",")})
    except (OSError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
