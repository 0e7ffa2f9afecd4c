"""What no metric of `glissando bench` tells of a model: colours that drift, files made of files, and how it looks.

    python -m benchmarks.eye measure docs/eye.md --data DIR
    python -m benchmarks.eye draw docs --data DIR          # docs/eye-0.1.jpg, docs/eye-0.25.jpg, docs/eye-0.5.jpg

``measure`` writes a table between the marks of the block ``eye``:

- how much PSNR a picture loses that is decoded and encoded again, eight times at one quality;
- how far the mean of a channel lies from that of the picture, at most over the Kodak pictures and qualities 20 to 100.

``draw`` shows crops at a rate of the whole picture: the original, AVIF as it comes at speed 6, and each model, all
files of a picture of one size. There are faces, letters, leaves, a sky and saturated reds among them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import glissando
from glissando.bench.codecs import open_codec
from glissando.bench.metrics import psnr
from glissando.errors import BenchmarkError, GlissandoError

from .api import Codec, Pixels
from .data import Picture, data_folder, load_pictures
from .documents import table, update_blocks
from .sheets import captions, with_caption

__all__ = ["draw", "drift", "generations", "main", "nearest_size"]

MODELS = ("medium", "medium-psnr", "medium-msssim")
GENERATIONS = 8
GENERATION_QUALITIES = (50.0, 80.0)
GENERATION_PICTURE = "kodim20"
COLOUR_QUALITIES = (20.0, 40.0, 60.0, 80.0, 100.0)
RATES = (0.1, 0.25, 0.5)  # bits per pixel
AVIF_QUALITIES = range(2, 98)
JPEG_QUALITY = 85  # of the sheets, which shall not be large
CROP = 200  # pixels
CROPS: dict[str, tuple[int, int]] = {
    "kodim04": (190, 330),  # a face, hair, lips
    "kodim15": (230, 60),  # a face with paint
    "kodim08": (330, 200),  # bricks and signs
    "kodim20": (250, 330),  # letters on a plane, a sky
    "kodim14": (400, 150),  # leaves and water
    "kodim23": (380, 60),  # saturated feathers
}
"""Column and row of the crops' corners, by picture."""


def generations(codec: Codec, pixels: Pixels, quality: float, count: int = GENERATIONS) -> float:
    """How many dB of PSNR are lost between the first decoding and the one after ``count`` generations in all."""
    decoded = first = codec.decode(codec.encode(pixels, quality))
    for _ in range(count - 1):
        decoded = codec.decode(codec.encode(decoded, quality))
    return psnr(pixels, first) - psnr(pixels, decoded)


def drift(codec: Codec, pictures: Sequence[Picture], qualities: Sequence[float] = COLOUR_QUALITIES) -> float:
    """The farthest that the mean of a channel of a decoded picture lies from the original's, in levels of 255."""
    worst = 0.0
    for picture in pictures:
        means = picture.pixels.mean(axis=(0, 1), dtype=np.float64)
        for quality in qualities:
            decoded = codec.decode(codec.encode(picture.pixels, quality))
            worst = max(worst, float(np.abs(decoded.mean(axis=(0, 1), dtype=np.float64) - means).max()))
    return worst


@dataclass(frozen=True)
class Found:
    """A file of about the wanted size: its setting, its bytes, and whether the codec's settings reach the size."""

    setting: float
    data: bytes


def nearest_size(encode: Callable[[float], bytes], settings: Sequence[float], size: int) -> Found:
    """Of the files of ascending settings, whose sizes rise, the largest that is not above ``size``, or the smallest."""
    low, high = 0, len(settings) - 1
    best = Found(settings[0], encode(settings[0]))
    while low <= high:
        middle = (low + high) // 2
        data = encode(settings[middle])
        if len(data) <= size:
            best, low = Found(settings[middle], data), middle + 1
        else:
            high = middle - 1
    return best


def draw(models: dict[str, Codec], pictures: Sequence[Picture], rate: float) -> Pixels:
    """A sheet of crops at a rate in bits per pixel: a row for each picture, a column for each codec."""
    avif = open_codec("avif", 1)
    rows = [captions(["original", "AVIF, speed 6", *models], CROP)]
    for picture in pictures:
        x, y = CROPS[picture.name]
        height, width, _ = picture.pixels.shape
        size = round(rate * height * width / 8)
        shown = [(picture.pixels, "")]
        found = nearest_size(lambda q, p=picture.pixels: avif.encode(p, q), AVIF_QUALITIES, size)  # type: ignore[misc]
        shown.append((avif.decode(found.data), f"{len(found.data):,} bytes"))
        for codec in models.values():
            qualities = [step / 4 for step in range(401)]
            found = nearest_size(lambda q, c=codec, p=picture.pixels: c.encode(p, q), qualities, size)  # type: ignore[misc]
            shown.append((codec.decode(found.data), f"{len(found.data):,} bytes"))
        rows.append(np.concatenate([_crop(pixels, x, y, text) for pixels, text in shown], axis=1))
    return np.concatenate(rows)


def _crop(pixels: Pixels, x: int, y: int, text: str) -> Pixels:
    return with_caption(pixels[y : y + CROP, x : x + CROP], text)


def _table(models: dict[str, Codec], pictures: Sequence[Picture]) -> str:
    chosen = [picture for picture in pictures if picture.name == GENERATION_PICTURE]
    if not chosen:
        raise BenchmarkError(f"the pictures have no {GENERATION_PICTURE}")
    body = []
    for name, codec in models.items():
        lost = [generations(codec, chosen[0].pixels, quality) for quality in GENERATION_QUALITIES]
        body.append([name, *(f"{one:.2f} dB" for one in lost), f"{drift(codec, pictures):.2f}"])
    head = [f"lost in {GENERATIONS} generations at quality {quality:g}" for quality in GENERATION_QUALITIES]
    return table(["model", *head, "mean colour off by at most, levels"], body)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the table or the sheets were written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.eye", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("measure", "draw"))
    parser.add_argument("out", type=Path, help="the page for the table, or the folder for the sheets")
    parser.add_argument("--data", type=Path, help="the folder that holds kodak/ (default: $GLISSANDO_DATA)")
    parser.add_argument("--models", default=",".join(MODELS), help="names of models, with commas between")
    parser.add_argument("--pictures", type=int, help="only so many, for a quick look")
    given = parser.parse_args(arguments)
    try:
        pictures = load_pictures(data_folder(given.data), given.pictures)
        models: dict[str, Codec] = {name: glissando.open_model(name) for name in given.models.split(",")}
        if given.command == "measure":
            update_blocks([given.out], {"eye": _table(models, pictures)})
            return 0
        shown = [picture for name in CROPS for picture in pictures if picture.name == name]
        for rate in RATES:
            sheet = Image.fromarray(draw(models, shown, rate))
            sheet.save(given.out / f"eye-{rate:g}.jpg", quality=JPEG_QUALITY)
    except (OSError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
