"""Samples of more than 8 bits: found, and rounded to 8."""

from __future__ import annotations

import math
import re
from typing import IO, Any

import numpy as np
from PIL import Image

from .pillow import raw_mode, without_limit

__all__ = ["bits_per_sample", "eight_bits", "is_grey_alpha_16", "low_bytes", "merge_low_bytes"]


def bits_per_sample(image: Image.Image, stream: IO[bytes] | None) -> int:
    """Bits per sample of the file, which must not be loaded yet."""
    bits = 8 if stream is None else _declared(image, stream)
    if ";16" in raw_mode(image) or (image.mode.startswith("I") and bits == 8):
        return max(bits, 16)
    return bits


def _declared(image: Image.Image, stream: IO[bytes]) -> int:
    """What the file says; Pillow hands out 8 of 16 bits without a word for several formats."""
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (1,))
        return max(bits) if isinstance(bits, tuple) else int(bits)
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    if image.format not in _DECLARED_IN:
        return 8
    position = stream.tell()
    stream.seek(0)
    head = stream.read(2**20)
    stream.seek(position)
    return _DECLARED_IN[image.format](head)


def _of_png(head: bytes) -> int:
    return head[24]


def _of_ppm(head: bytes) -> int:
    # magic, width, height, largest value; a comment runs from # to the end of its line
    fields = re.sub(rb"#[^\r\n]*", b" ", head[:4096]).split(maxsplit=4)
    largest = int(fields[3]) if head[1:2] in b"2356" and len(fields) > 3 and fields[3].isdigit() else 1
    return max(1, math.ceil(math.log2(largest + 1)))


def _of_avif(head: bytes) -> int:
    # AV1 codec configuration boxes: high_bitdepth and twelve_bit (AV1-ISOBMFF, 2.3.3)
    flags = [found[1][0] for found in re.finditer(rb"av1C(?=..(.))", head, re.S)]
    return max((8 if not f & 0x40 else 12 if f & 0x20 else 10 for f in flags), default=8)


def _of_jpeg_2000(head: bytes) -> int:
    at = head.find(b"\xff\x4f\xff\x51")  # SIZ marker segment (T.800, A.5.1)
    if at < 0:
        return 8
    count = int.from_bytes(head[at + 40 : at + 42], "big")
    depths = head[at + 42 : at + 42 + 3 * count : 3]
    return max(((d & 0x7F) + 1 for d in depths), default=8)


_DECLARED_IN = {"PNG": _of_png, "PPM": _of_ppm, "AVIF": _of_avif, "JPEG2000": _of_jpeg_2000}


def eight_bits(image: Image.Image, bits: int) -> Image.Image:
    """Deep grey to 8 bits, rounded to nearest: v·255/65535 when samples have 16."""
    # Pillow spreads samples over 16 bits by itself, except those of a TIFF.
    largest = 2**bits - 1 if image.format == "TIFF" and 8 < bits < 16 else 65535
    wide = np.clip(np.asarray(image).astype(np.int64), 0, largest)
    return Image.fromarray(((wide * 255 + largest // 2) // largest).astype(np.uint8))


def low_bytes(image: Image.Image, stream: IO[bytes]) -> Image.Image | None:
    """The low bytes of 16-bit colour samples: Pillow keeps the high ones, so read once more, swapped."""
    raw = raw_mode(image)
    if not raw.endswith((";16B", ";16L")) or image.mode.startswith("I"):
        return None
    swapped = raw[:-1] + ("L" if raw.endswith("B") else "B")
    position = stream.tell()
    try:
        with without_limit():
            again: Any = Image.open(stream, formats=(image.format or "",))
        again.tile = [
            tile._replace(args=(swapped, *tile.args[1:]) if isinstance(tile.args, tuple) else swapped)
            for tile in again.tile
        ]
        with without_limit():
            again.load()
        return again.copy()  # type: ignore[no-any-return]
    except Exception:  # no such unpacker (grey with alpha): the high bytes alone must do, within one level
        return None
    finally:
        stream.seek(position)


def merge_low_bytes(high: Image.Image, low: Image.Image) -> Image.Image:
    """The 16-bit samples whose bytes these are, rounded to 8 bits."""
    wide = np.asarray(high).astype(np.int32) * 256 + np.asarray(low)
    return Image.frombytes(high.mode, high.size, ((wide + 128) // 257).astype(np.uint8).tobytes())


def is_grey_alpha_16(image: Image.Image) -> bool:
    """Pillow opens a PNG of 16-bit grey with alpha as RGBA, for want of a mode."""
    return image.mode == "RGBA" and raw_mode(image) == "LA;16B"
