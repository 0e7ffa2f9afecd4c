"""Picture files, recognised by how they begin and opened."""

from __future__ import annotations

import io
import os
from typing import IO

from PIL import Image

from glissando.bitstream.fields import SIGNATURE
from glissando.errors import PictureError

from .conversion import from_pillow
from .formats import FileFormat, recognise
from .picture import MAX_PIXELS, Picture, check_size
from .pillow import damage, load_plugin, without_limit
from .png import PngMetadata, separate

__all__ = ["read_picture"]


def read_picture(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    convert: bool = False,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Picture:
    """Read a picture file: PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF, JPEG 2000, PPM or QOI.

    The EXIF orientation is applied to the pixels and the tag reset, so the picture is upright everywhere.
    Fully opaque transparency is dropped and palettes are expanded: nothing is lost by either.

    Args:
        source: a path, or a file opened for reading bytes (it need not be seekable).
        convert: convert what cannot be carried (transparency over white; 16 bits scaled to 8; CMYK to RGB;
            the first frame of several) and say so in the picture's notes, instead of raising.
        max_pixels: refuse more pixels than this, before any is decoded.
        name: what messages call the file, instead of its own name.

    Raises:
        PictureError: not a picture, damaged, too large, or not to be carried without ``convert``; the message
            begins with the file's name.
        OSError: the file cannot be opened or read.
    """
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as stream:
            return _read(stream, name or os.fspath(source), convert, max_pixels)
    if name is None:
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else "picture"
    if not _seekable(source):
        source = io.BytesIO(source.read())
    return _read(source, name, convert, max_pixels)


def _seekable(stream: IO[bytes]) -> bool:
    try:
        return stream.seekable()
    except AttributeError:
        return False


def _read(stream: IO[bytes], name: str, convert: bool, max_pixels: int) -> Picture:
    start = stream.tell()
    head = stream.read(32)
    stream.seek(start)
    format = _recognise(head, name)
    if start:  # Pillow reads from the beginning of a file
        stream = io.BytesIO(stream.read())
    load_plugin(format)
    png: PngMetadata | None = None
    if format.name == "PNG":
        stream, png = separate(stream)
    try:
        with damage(name), without_limit():
            image: Image.Image = Image.open(stream, formats=(format.name,))
        with image:
            check_size(image.width, image.height, max_pixels, name)
            return from_pillow(image, convert=convert, name=name, stream=stream, png=png)
    except MemoryError:
        raise PictureError(f"{name}: too large for the memory of this machine") from None


def _recognise(head: bytes, name: str) -> FileFormat:
    """The format of a file that begins like this."""
    if not head:
        raise PictureError(f"{name}: an empty file")
    format = recognise(head)
    if format is not None:
        return format
    if head.startswith(SIGNATURE):
        raise PictureError(f"{name}: a compressed file already; use `glissando decode`")
    raise PictureError(f"{name}: not a picture in a format that can be read")
