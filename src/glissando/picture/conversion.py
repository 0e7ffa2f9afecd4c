"""Pillow images become pictures. Where something would be lost, that is an error, or a conversion with a note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import IO, Any

import numpy as np
from PIL import Image

from glissando.errors import PictureError

from . import alpha, colour, depth, orientation
from .extraction import before_loading, metadata_of
from .metadata import MAX_METADATA, FileMetadata, within_limit
from .picture import Picture
from .pillow import damage

__all__ = ["HINT", "from_pillow"]

HINT = "use --convert (convert=True in Python)"
"""What messages advise where a picture cannot be carried as it is."""

_SAMPLES_PER_PIXEL = 277  # a tag of TIFF


def from_pillow(
    image: Image.Image,
    *,
    convert: bool,
    name: str,
    stream: IO[bytes] | None = None,
    beside: FileMetadata | None = None,
    given: Mapping[str, Any] | None = None,
) -> Picture:
    """Pixels, metadata and notes of an image whose header has been read.

    Args:
        stream: the file that the image comes from; without it, only what Pillow tells is known of its depth.
        beside: what the file tells and Pillow does not, of a PNG all metadata.
        given: metadata, by the names of the attributes of ``Metadata``, that take the place of the image's. An
            orientation in them is applied to the pixels, as the image's own would be.
    """
    with damage(name):
        return _from_pillow(image, convert, name, stream, beside, given or {})


def _from_pillow(
    image: Image.Image,
    convert: bool,
    name: str,
    stream: IO[bytes] | None,
    beside: FileMetadata | None,
    given: Mapping[str, Any],
) -> Picture:
    obstacles, notes = _frames(image)
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        what = "floating-point" if image.mode == "F" else "32-bit"
        raise PictureError(f"{name}: {what} samples, which have no agreed white; scale them to 8 bits first")
    notes += _more_channels(image)
    file = depth.file_of(image) if stream is None else stream
    bits = depth.bits_per_sample(image, file)
    if image.mode == "CMYK":
        obstacles.append("CMYK colours")
    elif image.mode in ("LAB", "HSV", "YCbCr"):
        obstacles.append(f"{image.mode} colours")
        notes.append(f"{image.mode} colours are converted to RGB")
    before = before_loading(image, file)
    deep = depth.deep_samples(image, file, bits) if bits > 8 and not (obstacles and not convert) else None
    if bits > 8 and deep is None:
        package = (
            " (with the package imagecodecs they are kept)" if image.format in ("AVIF", "JXL") and bits <= 16 else ""
        )
        obstacles.append(f"{bits} bits per sample{package}")
        notes.append(f"{bits} bits per sample are scaled to 8")
    if obstacles and not convert:
        raise PictureError(f"{name}: {' and '.join(obstacles)}: not carried yet; to convert, {HINT}")

    image.load()
    metadata, more = metadata_of(image, before=before, beside=beside, ours=stream is not None)
    metadata = replace(metadata, **given)
    notes += more
    if image.mode == "CMYK":
        image, note = colour.rgb_of_cmyk(image, metadata.icc)
        metadata = replace(metadata, icc=None)
        notes.append(note)
    samples, bits = (alpha.samples_of(image), 8) if deep is None else deep
    if deep is not None:
        if "transparency" in image.info:
            samples = alpha.with_transparent_colour(samples, image.info["transparency"], bits)
        samples = alpha.without_opaque(samples, bits)

    pixels, metadata, more = orientation.upright(samples, metadata)
    notes += more
    metadata, more = within_limit(metadata, MAX_METADATA)
    notes += more
    return Picture(np.ascontiguousarray(pixels), depth=bits, **metadata.as_arguments(), notes=tuple(notes))


def _more_channels(image: Image.Image) -> list[str]:
    """A note for the channels of a TIFF that are neither colour nor opacity."""
    if image.format != "TIFF":
        return []
    channels = getattr(image, "tag_v2", {}).get(_SAMPLES_PER_PIXEL, 1)
    more = channels - len(image.getbands())
    return [f"the last {more} of {channels} channels are neither colour nor opacity; left out"] if more > 0 else []


def _frames(image: Image.Image) -> tuple[list[str], list[str]]:
    """What stands against carrying a file of several pictures, and the notes for taking the first of them."""
    frames = int(getattr(image, "n_frames", 1))
    if frames <= 1:
        return [], []
    if image.format in ("MPO", "HEIF"):
        # A photograph with a preview, a depth or gain map behind it, as many cameras and telephones write.
        kind = "a multi-picture JPEG" if image.format == "MPO" else "a HEIC of several pictures"
        return [], [f"the first of the {frames} pictures in the file is kept ({kind})"]
    kind, file = ("pages", "multi-page") if image.format == "TIFF" else ("frames", "animated")
    article = "a" if image.format == "TIFF" else "an"
    obstacle = f"{frames} {kind} ({article} {file} {image.format or 'picture'})"
    return [obstacle], [f"the first of {frames} {kind} is kept"]
