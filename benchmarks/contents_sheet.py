"""Draws what exact tiles do to pictures that are no photographs.

    python -m benchmarks.contents_sheet docs/content.png

A column for each drawing of ``benchmarks.contents``. Above is a crop of the drawing, every pixel shown as 2 by 2; in
the middle what latents alone make of it at quality 60, which is what came back before there were exact tiles; below
what comes back now, with the bytes of the file and its PSNR.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import glissando
from glissando.bench.metrics import CAP_DB, psnr
from glissando.errors import GlissandoError

from .api import Pixels
from .drawings import DRAWINGS, drawing
from .sheets import captions, with_caption

__all__ = ["main", "sheet"]

QUALITY = 60.0
CROP = 80  # pixels
CORNER = 20, 200  # row and column of the crops
LARGER = 2


def sheet(codec: glissando.Codec) -> Pixels:
    """The sheet: a row for the drawings, for latents alone, and for files as they are."""
    columns = []
    for name in DRAWINGS:
        pixels = drawing(name)
        before = codec.encode_analysed(replace(codec.analyse(pixels, QUALITY), exact={}), QUALITY)
        shown = [with_caption(_crop(pixels), name)]
        for data in (before, codec.encode(pixels, QUALITY)):
            decoded = codec.decode(data).astype(np.uint8, copy=False)
            score = min(psnr(pixels, decoded), CAP_DB)
            quality = "exact" if score == CAP_DB else f"{score:.1f} dB"
            shown.append(with_caption(_crop(decoded), f"{len(data):,} B, {quality}"))
        columns.append(np.concatenate(shown))
    width = LARGER * CROP
    head = captions(
        [f"The drawing; latents alone at quality {QUALITY:g}; the file at this quality", *[""] * (len(columns) - 1)],
        width,
    )
    return np.concatenate([head, np.concatenate(columns, axis=1)])


def _crop(pixels: Pixels) -> Pixels:
    top, left = CORNER
    return pixels[top : top + CROP, left : left + CROP].repeat(LARGER, axis=0).repeat(LARGER, axis=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the sheet was written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.contents_sheet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="a PNG file")
    parser.add_argument("--model", default="medium")
    given = parser.parse_args(arguments)
    try:
        Image.fromarray(sheet(glissando.open_model(given.model, threads=1))).save(given.out, "PNG", optimize=True)
    except (OSError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
