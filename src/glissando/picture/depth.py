"""Samples of more than 8 bits: found, and read, also where Pillow has 8 of them alone.

Pillow has no mode for 16-bit colour: it decodes such files and keeps the high byte of each sample. The name of a layout
("raw mode") tells its decoders how the bytes of a row become samples, so a second pass with the bytes swapped gives the
low ones. Both are Pillow's own decoding, whatever the file's compression and interlacing.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .alpha import divided_by_opacity
from .formats import FORMATS
from .jxl import read_jxl
from .pillow import open_image, raw_mode

__all__ = ["bits_per_sample", "deep_samples", "file_of"]

Samples = NDArray[np.uint16]


def file_of(image: Image.Image) -> IO[bytes] | None:
    """The file of an image that is not loaded yet, which may tell more than Pillow does."""
    stream: IO[bytes] | None = getattr(image, "fp", None)
    return stream if getattr(image, "tile", None) and hasattr(stream, "seek") else None


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
    if image.format not in (*_DECLARED_IN, "JXL"):
        return 8
    position = stream.tell()
    stream.seek(0)
    bits = read_jxl(stream).depth if image.format == "JXL" else _DECLARED_IN[image.format or ""](stream.read(2**20))
    stream.seek(position)
    return bits


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


def deep_samples(image: Image.Image, stream: IO[bytes] | None, bits: int) -> tuple[Samples, int] | None:
    """All bits of the samples of an image with more than 8, and how many these are.

    Args:
        image: not loaded yet; it is afterwards.
        stream: its file, where there is one.
        bits: as ``bits_per_sample`` counts them.

    Returns:
        Samples (height, width) of grey, or (height, width, channels) in the order of the image's bands, and their
        depth; None where no more than 8 bits of them can be read.
    """
    raw = raw_mode(image)
    if stream is not None and image.format == "HEIF":
        return _of_pillow_heif(stream, bits)
    if stream is not None and image.format in ("AVIF", "JXL"):
        found = _of_imagecodecs(image, stream, bits)
        if found is not None:
            return found
    if image.mode.startswith("I"):
        inverted = image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        image.load()
        grey = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        if bits == 16 or image.format not in ("TIFF", "JPEG2000"):  # of others Pillow spreads samples over 16 bits
            return (65535 - grey if inverted else grey), 16
        return (grey >> (16 - bits) if image.format == "JPEG2000" else grey), bits  # these it shifts
    if stream is None:
        return None
    if raw == "LA;16B":  # two 16-bit samples take the place of four of 8 bits
        both = _decoded_as(image, stream, "RGBA")
        image.load()  # which tells what damage there is
        return None if both is None else (both.view(">u2").astype(np.uint16), 16)
    as_they_are = raw.replace("RGBa", "RGBA")
    if as_they_are not in _SWAPPED:
        return None
    high, low = (_decoded_as(image, stream, each) for each in (as_they_are, _SWAPPED[as_they_are]))
    image.load()
    if high is None or low is None:
        return None
    samples = high * np.uint16(256) + low
    return (samples if raw == as_they_are else divided_by_opacity(samples, 16)), 16


_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_NATIVE = "L" if sys.byteorder == "little" else "B"
_SWAPPED = {
    f"{bands};16{order}": f"{bands};16{'B' if (_NATIVE if order == 'N' else order) == 'L' else 'L'}"
    for bands in ("RGB", "RGBX", "RGBA")
    for order in "LBN"
}
"""Raw modes of 16 bits that have one of the other order; N is the machine's own."""


def _decoded_as(image: Image.Image, stream: IO[bytes], raw: str) -> NDArray[np.uint8] | None:
    """The samples of a file, decoded once more in another raw mode; None where Pillow has no such mode."""
    position = stream.tell()
    try:
        again: Any = open_image(stream, next(each for each in FORMATS if each.name == image.format))
        again.tile = [
            tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw) for tile in again.tile
        ]
        again.load()
        return np.asarray(again)
    except Exception:  # which kind it is depends on the format
        return None
    finally:
        stream.seek(position)


def _of_imagecodecs(image: Image.Image, stream: IO[bytes], bits: int) -> tuple[Samples, int] | None:
    """Samples of an AVIF or JPEG XL, of which Pillow shows 8 bits; None where imagecodecs is not installed."""
    try:
        imagecodecs = importlib.import_module("imagecodecs")
    except ImportError:
        return None
    position = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(position)
    decode = imagecodecs.avif_decode if image.format == "AVIF" else imagecodecs.jpegxl_decode
    samples = decode(data, index=0)
    if samples.dtype != np.uint16 or samples.shape[:2] != (image.height, image.width):
        return None
    return samples, bits


def _of_pillow_heif(stream: IO[bytes], bits: int) -> tuple[Samples, int] | None:
    """Samples of a HEIC, of which its plugin for Pillow keeps 8 bits unless it is asked."""
    position = stream.tell()
    stream.seek(0)
    found = importlib.import_module("pillow_heif").open_heif(stream, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    samples = np.asarray(found)
    stream.seek(position)
    if samples.dtype != np.uint16:
        return None
    return (divided_by_opacity(samples, bits) if found.premultiplied_alpha else samples), bits
