"""Cut-outs with transparency beside AVIF: bytes, and how they look over black, white and magenta.

    python -m benchmarks.cutouts docs/transparency.md --data DIR

The block ``cutouts`` is written. Kodak pictures are cut out by drawn masks. For each mask, quality and quality of
opacity: bits per pixel, the PSNR over whichever of the three grounds it is lowest, and the bytes over those of an AVIF
(libavif as it comes, speed 6) of this PSNR, between two of its qualities on straight lines over the logarithm of bytes.
All are means over the pictures, of the ratio the geometric one.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

import glissando
from glissando.errors import GlissandoError

from .api import Pixels
from .data import data_folder, load_pictures
from .documents import table, update_blocks

__all__ = ["MASKS", "bytes_at", "composited_psnr", "cutouts_block", "main"]

GROUNDS = ((0, 0, 0), (255, 255, 255), (255, 0, 255))
SETTINGS = ((30.0, 100.0), (30.0, 50.0), (60.0, 100.0), (60.0, 50.0), (85.0, 100.0))
AVIF_QUALITIES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)


def _disc(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    draw.ellipse((width * 0.2, height * 0.1, width * 0.8, height * 0.95), fill=255)


def _blobs(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        x, y, radius = int(rng.integers(width)), int(rng.integers(height)), int(rng.integers(5, 60))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(rng.integers(60, 256)))


MASKS: dict[str, tuple[Callable[[ImageDraw.ImageDraw, int, int], None], float]] = {
    "a disc, hard edge": (_disc, 0),
    "a disc, edge of 2 pixels": (_disc, 1),
    "a disc, edge of 16 pixels": (_disc, 8),
    "forty discs, half transparent": (_blobs, 2),
}
"""What draws a mask, and the radius of the blur of its edges in pixels."""


def cut_out(pixels: Pixels, mask: str) -> Pixels:
    """A picture with opacity; what is transparent keeps its colours."""
    draw, blur = MASKS[mask]
    height, width = pixels.shape[:2]
    image = Image.new("L", (width, height), 0)
    draw(ImageDraw.Draw(image), width, height)
    return np.dstack([pixels, np.asarray(image.filter(ImageFilter.GaussianBlur(blur)))])


def composited_psnr(one: Pixels, other: Pixels) -> float:
    """The PSNR over whichever of GROUNDS it is lowest, in decibels."""
    errors = [float(np.square(_over(one, ground) - _over(other, ground)).mean()) for ground in GROUNDS]
    return float(10 * np.log10(255**2 / max(*errors, 1e-9)))


def _over(pixels: Pixels, ground: tuple[int, int, int]) -> NDArray[np.float64]:
    share = pixels[..., 3:] / 255
    composited: NDArray[np.float64] = pixels[..., :3] * share + np.array(ground) * (1 - share)
    return composited


def bytes_at(score: float, sizes: Sequence[int], scores: Sequence[float]) -> float:
    """The bytes of a codec at a score, between those of its files in ascending order; beyond these, of the nearest."""
    return float(np.exp(np.interp(score, scores, np.log(sizes))))


def _avif(pixels: Pixels) -> tuple[list[int], list[float]]:
    """Bytes and PSNR of a cut-out at each of AVIF_QUALITIES."""
    sizes, scores = [], []
    for quality in AVIF_QUALITIES:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "AVIF", quality=quality, speed=6)
        sizes.append(len(file.getvalue()))
        scores.append(composited_psnr(pixels, np.asarray(Image.open(file).convert("RGBA"))))
    return sizes, scores


def cutouts_block(codec: glissando.Codec, photographs: Sequence[Pixels]) -> str:
    """A row for each mask and setting."""
    body = []
    for mask in MASKS:
        pictures = [cut_out(pixels, mask) for pixels in photographs]
        peers = [_avif(pixels) for pixels in pictures]
        for quality, alpha_quality in SETTINGS:
            rates, scores, ratios = [], [], []
            for pixels, peer in zip(pictures, peers, strict=True):
                data = codec.encode(pixels, quality, alpha_quality=alpha_quality)
                score = composited_psnr(pixels, codec.decode(data).astype(np.uint8, copy=False))
                rates.append(8 * len(data) / pixels[..., 0].size)
                scores.append(score)
                ratios.append(np.log(len(data) / bytes_at(score, *peer)))
            opacity = "exact" if alpha_quality == 100 else f"{alpha_quality:g}"
            cells = [f"{np.mean(rates):.3f}", f"{np.mean(scores):.2f}", f"{np.exp(np.mean(ratios)):.2f}×"]
            body.append([mask, f"{quality:g}", opacity, *cells])
    return table(["cut out by", "quality", "opacity", "bpp", "PSNR, dB", "bytes against AVIF"], body)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the page was written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cutouts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("page", type=Path)
    parser.add_argument("--data", type=Path, help="the folder that holds kodak/ (default: $GLISSANDO_DATA)")
    parser.add_argument("--pictures", type=int, default=3, help="so many of them, spread evenly")
    parser.add_argument("--model", default="medium")
    given = parser.parse_args(arguments)
    try:
        photographs = [picture.pixels for picture in load_pictures(data_folder(given.data), given.pictures)]
        block = cutouts_block(glissando.open_model(given.model, threads=1), photographs)
        update_blocks([given.page], {"cutouts": block})
    except (OSError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
