"""Writing picture files, with those metadata that their format carries."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import IO

from PIL import Image

from glissando.errors import PictureError
from glissando.files import atomic_write, write_all

from .deep_avif import encode_deep_avif
from .embedding import embedded, tagged
from .formats import FileFormat, Writing, writable_formats, written_as
from .picture import Picture
from .pillow import load_plugin
from .samples import fitted
from .sixteen import encode_sixteen

__all__ = ["encode_picture", "write_picture"]


def write_picture(
    picture: Picture,
    dest: str | os.PathLike[str] | IO[bytes],
    *,
    format: str | None = None,
    quality: int | None = None,
) -> tuple[str, ...]:
    """Write a picture file, with the metadata that its format carries.

    PNG, TIFF, BMP, PPM and WebP are written without loss; JPEG at quality 95 and AVIF at 90, both without chroma
    subsampling. Where the picture has more than 8 bits per sample, PNG and TIFF have 16, AVIF has 10 or 12 where the
    package imagecodecs is installed, and in the others samples are rounded to 8. PNG, TIFF, WebP and AVIF have its
    opacity; in the others it is blended over white. A path is replaced only when the new file is complete.

    Args:
        dest: a path, whose extension names the format, or a file opened for writing bytes.
        format: an extension such as ``"png"``, which wins over the path's; needed when ``dest`` is a file.
        quality: 0 to 100, of JPEG, WebP, which then loses something, and AVIF; each counts in its own way.

    Returns:
        One sentence for each piece of metadata that the format could not carry, and for what became of the samples.

    Raises:
        PictureError: an unknown format, a picture too large for it, or a quality for a format that has none.
        OSError: the file cannot be written; what was there before is untouched.
    """
    name = os.fspath(dest) if isinstance(dest, str | os.PathLike) else "output"
    if format is None and isinstance(dest, str | os.PathLike):
        format = Path(name).suffix
        if not format:
            raise PictureError(f"{name}: no extension says which format to write ({_known()})")
    data, notes = encode_picture(picture, format or "", quality=quality, name=name)
    if isinstance(dest, str | os.PathLike):
        atomic_write(dest, data)
    else:
        write_all(dest, data)
    return notes


def encode_picture(
    picture: Picture, format: str, *, quality: int | None = None, name: str = "output"
) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of the file that ``write_picture`` writes, and its sentences. ``name``: what messages call the file."""
    key = format.lower().lstrip(".")
    chosen = written_as(key)
    if chosen is None:
        raise PictureError(f"{name}: no picture format {key!r} to write ({_known()})")
    found, writing = chosen
    if quality is not None:
        if not 0 <= quality <= 100:
            raise PictureError(f"{name}: the quality is a whole number from 0 to 100, not {quality}")
        if writing.lossy is None:
            raise PictureError(f"{name}: {found.name} is written without loss; it has no quality")
        writing = replace(writing, options={**writing.lossy, "quality": quality})
    data, depth, notes = _encode(picture, found, writing, name)
    if quality is not None and writing.deep_package and depth > 8 and picture.format.grey:
        notes.append(f"grey {found.name} of {depth} bits is written without loss; the quality has no effect")
    return data, tuple(notes)


def _known() -> str:
    return "known: " + ", ".join(writable_formats())


def _encode(picture: Picture, format: FileFormat, writing: Writing, name: str) -> tuple[bytes, int, list[str]]:
    """The file's bytes, the bits of its samples, and the notes."""
    load_plugin(format)
    if writing.longest is not None and max(picture.width, picture.height) > writing.longest:
        raise PictureError(
            f"{name}: {picture.width}x{picture.height}: {format.name} allows {writing.longest:,} on a side"
        )
    grey = picture.format.grey
    samples, depth, notes = fitted(picture, format.name, writing)
    options, more = embedded(picture, format.name, writing, grey=grey)
    notes += more
    if grey:
        options = {**writing.grey_options, **options}
    options = {**writing.options, **options}
    try:
        if depth == 16:
            data = encode_sixteen(samples, format.name, options)
        elif depth > 8:
            data = encode_deep_avif(samples, depth, options)
        else:
            out = io.BytesIO()
            Image.fromarray(samples).save(out, format.name, **options)
            data = out.getvalue()
        return tagged(data, picture, format.name), depth, notes
    except (OSError, ValueError, OverflowError, SyntaxError, RuntimeError) as error:
        raise PictureError(f"{name}: {format.name} cannot hold this picture ({error})") from error
