"""What is peculiar to Pillow: its plugins, its errors, and how it names the layout of samples."""

from __future__ import annotations

import contextlib
import functools
import importlib
import re
from collections.abc import Callable, Iterator
from typing import IO, Any

from PIL import Image

from glissando.errors import PictureError

from .formats import FileFormat
from .isobmff import read_boxes

__all__ = ["damage", "load_plugin", "open_image", "raw_mode"]

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
        importlib.import_module(format.plugin)
    except ImportError:
        if not format.package:
            raise
        raise PictureError(
            f"{format.title} pictures need the package {format.package}, which is not installed "
            f"(pip install {format.package})"
        ) from None


def open_image(stream: IO[bytes], format: FileFormat) -> Image.Image:
    """The image in a file whose plugin is loaded, of which nothing but the header has been read.

    ``Image.open`` does the same, but keeps to itself why a plugin refuses a file, and has a limit of pixels that is one
    for the whole process, where callers of this function compare the size with a limit of their own (``check_size``).
    The plugin of WebP has that limit too; what is beyond it raises Image.DecompressionBombError.
    """
    stream.seek(0)
    try:
        return _factory(format)(stream, "")
    except SyntaxError as error:
        if format.name == "TIFF" and str(error).isdigit():  # a key that the plugin's table lacks, and no more
            raise SyntaxError(f"unknown compression {error}") from error
        if format.name == "HEIF" and (kind := read_boxes(stream).kind) not in ("hvc1", ""):
            raise SyntaxError(f"unsupported kind of coding, {kind!r}") from error
        raise


def _factory(format: FileFormat) -> Callable[[IO[bytes], str], Image.Image]:
    """What makes an image of a file.

    That of HEIC is not registered with Pillow, which would serve the whole process; that of TIFF has no limit.
    """
    plugin: Any = importlib.import_module(format.plugin)
    if format.name == "HEIF":
        found: Callable[[IO[bytes], str], Image.Image] = plugin.HeifImageFile
        return found
    if format.name == "TIFF":
        return _unlimited_tiff(plugin.TiffImageFile)
    return Image.OPEN[format.name][0]


@functools.cache
def _unlimited_tiff(tiff: Any) -> Callable[[IO[bytes], str], Image.Image]:
    """Pillow's class of TIFF images, which makes room for the pixels before Pillow compares them with its limit."""

    class UnlimitedTiff(tiff):  # type: ignore[misc]
        def load_prepare(self) -> None:
            if self._im is None:
                size: tuple[int, int] = getattr(self, "_tile_size", None) or self.size
                self.im = Image.new(self.mode, size, None).im
            super().load_prepare()

    return UnlimitedTiff


@contextlib.contextmanager
def damage(name: str) -> Iterator[None]:
    """Turn what a plugin raises on bytes that it cannot read into a PictureError that begins with the file's name.

    Errors of the disk and a lack of memory stay what they are.
    """
    try:
        yield
    except (PictureError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"{name}: larger than Pillow allows in this format; its limit for the whole process is "
            f"PIL.Image.MAX_IMAGE_PIXELS ({error})"
        ) from error
    except Exception as error:  # struct.error, SyntaxError, IndexError, zlib.error...: depends on the plugin
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        reason = str(error).strip() or type(error).__name__
        reason = reason.splitlines()[0]
        if _UNSUPPORTED.search(reason):
            raise PictureError(f"{name}: a kind of file that is not supported ({reason})") from error
        raise PictureError(f"{name}: damaged or cut short ({reason})") from error


def raw_mode(image: Image.Image) -> str:
    """Pillow's name for the layout of the samples in the file; empty when they are in memory already."""
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else ""
    raw = raw[0] if isinstance(raw, tuple) and raw else raw
    return raw if isinstance(raw, str) else ""
