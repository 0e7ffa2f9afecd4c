"""Picture files, recognised by how they begin and opened."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from typing import IO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from glissando.bitstream.fields import SIGNATURE
from glissando.errors import PictureError
from glissando.files import read_pipe

from .conversion import HINT, from_pillow
from .formats import FileFormat, looks_like_picture, recognise
from .isobmff import without_exif
from .jpeg_scans import lacks_precision, scans_of, with_longer_scans
from .jxl import read_jxl, without_packed
from .metadata import FileMetadata
from .picture import MAX_PIXELS, Picture, check_size
from .pillow import damage, load_plugin, open_image
from .png import separate

__all__ = ["read_picture"]


def read_picture(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    convert: bool = False,
    max_pixels: int = MAX_PIXELS,
    allow_truncated: bool = False,
    name: str | None = None,
) -> Picture:
    """Read a picture file: PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF, JPEG 2000, PPM or QOI.

    HEIC and JPEG XL are read where the packages pillow-heif and pillow-jxl-plugin are installed.

    The EXIF orientation is applied to the pixels and the tag reset, so the picture is upright everywhere.
    Fully opaque transparency is dropped and palettes are expanded: nothing is lost by either.

    Args:
        source: a path, or a file opened for reading bytes (it need not be seekable).
        convert: convert what cannot be carried (CMYK to RGB; the first frame of several; samples of more than 8 bits
            where nobody reads them, scaled to 8) and say so in the picture's notes, instead of raising.
        max_pixels: refuse more pixels than this, before any is decoded.
        allow_truncated: take what there is of a JPEG that is cut short, with a note; the rest is grey.
        name: what messages call the file, instead of its own name.

    Raises:
        InputError: a pipe without end.
        PictureError: not a picture, damaged, too large, or not to be carried without ``convert``; the message
            begins with the file's name.
        OSError: the file cannot be opened or read.
    """
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as stream:
            return read_picture(
                stream,
                convert=convert,
                max_pixels=max_pixels,
                allow_truncated=allow_truncated,
                name=name or os.fspath(source),
            )
    if name is None:
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else "picture"
    if not _seekable(source):
        source = io.BytesIO(read_pipe(source, looks_like_picture, name=name))
    return _read(source, name, convert, max_pixels, allow_truncated)


def _seekable(stream: IO[bytes]) -> bool:
    try:
        return stream.seekable()
    except AttributeError:
        return False


def _read(stream: IO[bytes], name: str, convert: bool, max_pixels: int, allow_truncated: bool) -> Picture:
    start = stream.tell()
    head = stream.read(64)
    stream.seek(start)
    format = _recognise(head, name)
    if start:  # Pillow reads from the beginning of a file
        stream = io.BytesIO(stream.read())
    try:
        load_plugin(format)
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from None
    try:
        return _decode(stream, format, name, convert, max_pixels)
    except PictureError as error:
        if format.name != "JPEG" or "truncated" not in str(error):
            raise
        if not allow_truncated:
            raise PictureError(
                f"{error}; --allow-truncated (allow_truncated=True in Python) takes what is there"
            ) from error.__cause__
    except MemoryError:
        raise PictureError(f"{name}: too large for the memory of this machine") from None
    # What is missing is made up by the decoder, once it is told that the file ends.
    stream.seek(0)
    ended = io.BytesIO(stream.read() + b"\xff\xd9")
    picture = _decode(ended, format, name, convert, max_pixels, whole=False)
    return replace(picture, notes=(*picture.notes, "the file is cut short; what is missing is grey"))


def _decode(
    stream: IO[bytes], format: FileFormat, name: str, convert: bool, max_pixels: int, *, whole: bool = True
) -> Picture:
    """The picture in a file of this format, whose plugin is loaded.

    ``whole``: a JPEG whose scans end too early is damaged; else it is taken as it is.
    """
    beside = FileMetadata()
    if format.name == "PNG":
        stream, beside = separate(stream)
    elif format.name == "JXL":  # its plugin decodes all pixels to tell their number
        try:
            file = read_jxl(stream)
        except PictureError as error:
            raise PictureError(f"{name}: {error}") from None
        check_size(file.width, file.height, max_pixels, name)
        beside.exif, beside.xmp, beside.notes = file.exif, file.xmp, file.notes
        if file.animated:
            if not convert:
                raise PictureError(f"{name}: several frames (an animated JPEG XL): not carried yet; to convert, {HINT}")
            beside.notes.append("of several frames the last is kept, which is what the decoder shows")
    with damage(name):
        try:
            image = open_image(stream, format)
        except Exception as error:  # which kind it is depends on what of the EXIF is damaged
            stream.seek(0)
            if format.name == "AVIF" and re.search("exif|tiff", str(error), re.IGNORECASE):
                stream = io.BytesIO(without_exif(stream.read()))
                beside.notes.append("EXIF is damaged; left out")
            elif format.name == "JXL" and beside.notes:  # of metadata that cannot be unpacked
                stream = io.BytesIO(without_packed(stream.read()))
            else:
                raise
            image = open_image(stream, format)
    with image:
        check_size(image.width, image.height, max_pixels, name)
        picture = from_pillow(image, convert=convert, name=name, stream=stream, beside=beside)
        if format.name != "JPEG" or not whole:
            return picture
        return replace(picture, notes=(*picture.notes, *_check_scans(image, stream, name)))


def _check_scans(image: Image.Image, stream: IO[bytes], name: str) -> list[str]:
    """A note where a loaded JPEG is coarser than it could be. Raises PictureError where a scan of it is cut short."""
    stream.seek(0)
    data = stream.read()
    scans = scans_of(data)
    longer = with_longer_scans(data, scans)
    if longer is not None:
        with damage(name), JpegImageFile(io.BytesIO(longer)) as again:
            again.load()
            if not _same(again, image):
                raise PictureError(f"{name}: damaged or cut short (a scan is truncated)")
    if lacks_precision(scans):
        return ["the scans of the JPEG leave details out, as if some of them were missing"]
    return []


def _same(one: Image.Image, other: Image.Image) -> bool:
    """Whether two images of one size show the same, compared some rows at a time, so that no copy is made of them."""
    bands = ((0, top, one.width, min(top + 256, one.height)) for top in range(0, one.height, 256))
    return all(one.crop(band).tobytes() == other.crop(band).tobytes() for band in bands)


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
