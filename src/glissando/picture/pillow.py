"""What is peculiar to Pillow: its plugins, its limit of pixels, its errors, and how it names the layout of samples."""

from __future__ import annotations

import contextlib
import importlib
import re
import threading
from collections.abc import Iterator
from typing import IO

from PIL import Image

from glissando.errors import PictureError

from .formats import FileFormat
from .isobmff import read_boxes

__all__ = ["damage", "load_pixels", "load_plugin", "open_image", "raw_mode", "without_limit"]

_LIMIT = threading.Lock()

_UNSUPPORTED = re.compile(
    "unsupported|not supported|not implemented|unknown (pixel mode|data organi|photometric|compression)|"
    "cannot handle|not available|not (been )?built|no decoding plugin",
    re.IGNORECASE,
)
"""What plugins say of a file that is valid and that they cannot read."""


def load_plugin(format: FileFormat) -> None:
    """Load the one plugin that reads and writes this format; by itself Pillow loads all.

    Raises:
        PictureError: the plugin is of another package, which is not installed. The message names it.
    """
    try:
        plugin = importlib.import_module(format.plugin)
    except ImportError:
        if not format.package:
            raise
        raise PictureError(
            f"{format.title} pictures need the package {format.package}, which is not installed "
            f"(pip install {format.package})"
        ) from None
    if format.name == "HEIF" and "HEIF" not in Image.OPEN:
        plugin.register_heif_opener()


def open_image(stream: IO[bytes], format: FileFormat) -> Image.Image:
    """The image in a file whose plugin is loaded, of which nothing but the header has been read.

    ``Image.open`` does the same, but keeps to itself why a plugin refuses a file.
    """
    with without_limit():
        stream.seek(0)
        factory = Image.OPEN[format.name][0]
        try:
            return factory(stream, "")
        except SyntaxError as error:
            if format.name == "TIFF" and str(error).isdigit():  # a key that the plugin's table lacks, and no more
                raise SyntaxError(f"unknown compression {error}") from error
            if format.name == "HEIF" and (kind := read_boxes(stream).kind) not in ("hvc1", ""):
                raise SyntaxError(f"unsupported kind of coding, {kind!r}") from error
            raise


@contextlib.contextmanager
def without_limit() -> Iterator[None]:
    """Switch Pillow's limit of pixels off, which is one for the whole process.

    Callers compare the size with a limit of their own (``check_size``), which each of their callers may choose.
    """
    with _LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def damage(name: str) -> Iterator[None]:
    """Turn what a plugin raises on bytes that it cannot read into a PictureError that begins with the file's name.

    Errors of the disk and a lack of memory stay what they are.
    """
    try:
        yield
    except (PictureError, MemoryError):
        raise
    except Exception as error:  # struct.error, SyntaxError, IndexError, zlib.error...: depends on the plugin
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        reason = str(error).strip() or type(error).__name__
        reason = reason.splitlines()[0]
        if _UNSUPPORTED.search(reason):
            raise PictureError(f"{name}: a kind of file that is not supported ({reason})") from error
        raise PictureError(f"{name}: damaged or cut short ({reason})") from error


def load_pixels(image: Image.Image) -> None:
    """Decode the pixels of an image whose size has been checked, beyond Pillow's own limit too."""
    small = image.width * image.height <= 2**25
    with contextlib.nullcontext() if small else without_limit():
        image.load()


def raw_mode(image: Image.Image) -> str:
    """Pillow's name for the layout of the samples in the file; empty when they are in memory already."""
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else ""
    raw = raw[0] if isinstance(raw, tuple) and raw else raw
    return raw if isinstance(raw, str) else ""
