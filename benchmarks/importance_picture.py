"""The pictures of docs/importance.md: a photograph, its map, where the bits went, and crops at the map's edge.

python -m benchmarks.importance_picture samples/kodim23.png tests/masks/kodim23.png docs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import glissando
from glissando.errors import GlissandoError
from glissando.picture import Picture, write_picture
from glissando.picture.heat import draw_bits

from .importance import load_mask

__all__ = ["main"]

Pixels = NDArray[np.uint8]
QUALITY = 40.0
CROP = (slice(96, 224), slice(352, 544))  # rows and columns: the red parrot's head and the wood behind it
GAP = 6


def beside(*pictures: Pixels) -> Pixels:
    """Pictures of one height in a row, white between them."""
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)][1:]
    return np.concatenate(parts, axis=1)


def below(*rows: Pixels) -> Pixels:
    """Pictures of one width one below the other."""
    return np.ascontiguousarray(beside(*(row.swapaxes(0, 1) for row in rows)).swapaxes(0, 1))


def grey_map(data: bytes, width: int, height: int) -> Pixels:
    """A file's map as ``glissando info --importance`` draws it, in three channels."""
    offsets = glissando.read_importance(data)
    grey = np.rint(127.5 + 127.5 * offsets / max(np.abs(offsets).max(), 1 / 256)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(grey).resize((16 * grey.shape[1], 16 * grey.shape[0]), Image.Resampling.NEAREST)
    return np.asarray(image.convert("RGB"))[:height, :width]


def half(pixels: Pixels) -> Pixels:
    """The picture at half its width and height."""
    return np.asarray(Image.fromarray(pixels).reduce(2))


def _as_high(pixels: Pixels, height: int) -> Pixels:
    """The picture with white below it, so that it is ``height`` rows high."""
    return np.pad(pixels, ((0, height - len(pixels)), (0, 0), (0, 0)), constant_values=255)


def zoomed(pixels: Pixels) -> Pixels:
    """The crop, at twice the size, every pixel as it is."""
    return pixels[CROP].repeat(2, axis=0).repeat(2, axis=1)


def draw(source: Path, mask: Path, folder: Path) -> None:
    """Write importance.jpg and importance-crops.jpg. Raises GlissandoError, OSError."""
    codec, photo = glissando.open_model(precision="f32"), glissando.read_picture(source).pixels
    height, width = photo.shape[:2]
    plain, plain_bits = codec.encode_with_bits(photo, QUALITY)
    found, found_bits = codec.encode_with_bits(photo, QUALITY, importance=load_mask(mask), keep_size=True)
    automatic = codec.encode(photo, QUALITY, importance="auto")
    print(f"{len(plain):,} bytes without a map, {len(found):,} with it")
    maps = [half(grey_map(data, width, height)) for data in (found, automatic)]
    side = codec.pixels_per_latent
    top = max(plain_bits.max(), found_bits.max()) / side**2
    heats = [
        draw_bits(half(photo), bits, side=side, drawn_side=side // 2, top=top) for bits in (plain_bits, found_bits)
    ]
    whole = below(beside(half(photo), *maps), beside(*heats, _as_high(half(codec.decode(found)), len(heats[0]))))
    _write(whole, folder / "importance.jpg")
    crops = beside(*(zoomed(p) for p in (photo, codec.decode(plain), codec.decode(found))))
    _write(crops, folder / "importance-crops.jpg")


def _write(pixels: Pixels, path: Path) -> None:
    write_picture(Picture(pixels), path, format="jpg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the pictures were written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.importance_picture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    try:
        draw(given.photo, given.mask, given.folder)
    except (OSError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
