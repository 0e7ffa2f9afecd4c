"""Pillow's manners: its plugins, its limit, its errors and its name for how samples lie in a file."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator

from PIL import Image

from glissando.errors import PictureError

from .formats import FileFormat

__all__ = ["damage", "load_pixels", "load_plugin", "raw_mode", "without_limit"]

_LIMIT = threading.Lock()


def load_plugin(format: FileFormat) -> None:
    """Load the one plugin that reads and writes this format; by itself Pillow loads all."""
    importlib.import_module(f"PIL.{format.plugin}")


@contextlib.contextmanager
def without_limit() -> Iterator[None]:
    """Our own limit is checked instead, and the caller can raise it; Pillow's is one per process."""
    with _LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def damage(name: str) -> Iterator[None]:
    """Whatever a decoder raises on bytes that it does not like, as an error of ours."""
    try:
        yield
    except (PictureError, MemoryError):
        raise
    except Exception as error:  # struct.error, SyntaxError, IndexError, zlib.error...: depends on the plugin
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        reason = str(error).strip() or type(error).__name__
        if reason.startswith("cannot identify image file"):
            reason = "the header makes no sense"
        raise PictureError(f"{name}: damaged or cut short ({reason.splitlines()[0]})") from error


def load_pixels(image: Image.Image) -> None:
    """Decode the pixels, whatever their number: the size has been checked."""
    small = image.width * image.height <= 2**25
    with contextlib.nullcontext() if small else without_limit():
        image.load()


def raw_mode(image: Image.Image) -> str:
    """Pillow's name for the layout of the samples in the file; empty when they are in memory already."""
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else ""
    raw = raw[0] if isinstance(raw, tuple) and raw else raw
    return raw if isinstance(raw, str) else ""
