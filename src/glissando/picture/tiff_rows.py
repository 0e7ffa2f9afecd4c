"""Rows of a TIFF, decoded strip by strip or tile by tile with the package tifffile; metadata come by way of Pillow."""

from __future__ import annotations

import importlib.util
import math
import struct
import threading
import zlib
from typing import IO, Any

import numpy as np

from glissando.bitstream.pixel_format import PixelFormat
from glissando.errors import PictureError

from .extraction import before_loading, metadata_of
from .formats import written_as
from .metadata import MAX_METADATA, Metadata, within_limit
from .orientation import upright
from .picture import Pixels, check_size
from .pillow import damage, load_plugin, open_image
from .raw_rows import RawLayout, RawRows

__all__ = ["TiffRows", "open_tiff"]

_ORIENTATION = 274
_GREY, _RGB = 1, 2  # of the tag PhotometricInterpretation, where black is 0
_OPACITY = (2,)  # of the tag ExtraSamples, where colours are not multiplied by it
_DEFLATE = (8, 32946)
_CODINGS = {1: False, 5: True, **dict.fromkeys(_DEFLATE, False)}
"""Compressions that are read: none, LZW, deflate twice; and whether tifffile needs imagecodecs for it."""
_LARGEST = 2**28
"""Bytes of a row of strips or tiles that is decoded at once."""


def open_tiff(stream: IO[bytes], name: str, *, max_pixels: int | None = None) -> TiffRows | RawRows | None:
    """The rows of a TIFF; None for one whose rows cannot be read by themselves, or where tifffile is not installed.

    They can where it has one page of 8-bit or 16-bit samples, grey or RGB, with or without opacity, side by side, of
    orientation 1, uncompressed or packed by deflate or LZW in strips or tiles.

    Args:
        stream: the file, which can be read at any place, and stays open.
        name: what messages call it.
        max_pixels: as for ``read_picture``.

    Raises:
        PictureError: it is damaged, cut short, or has more pixels.
    """
    if importlib.util.find_spec("tifffile") is None:
        return None
    import tifffile

    try:
        if not _has_one_page(stream):
            return None
        stream.seek(0)
        file = tifffile.TiffFile(stream)
        page = file.pages[0]
        if not isinstance(page, tifffile.TiffPage):
            return None
        return _rows_of(stream, name, page, file.byteorder, max_pixels)
    except PictureError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return None  # tifffile raises anything for damaged files; reading by Pillow says what is wrong with them


def _has_one_page(stream: IO[bytes]) -> bool:
    """Whether the first directory names no next one. tifffile counts pages for ever where they form a circle."""
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
    (place,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", head, 8 if big else 4)
    stream.seek(place)
    (entries,) = struct.unpack(f"{order}{'Q' if big else 'H'}", stream.read(8 if big else 2))
    stream.seek(entries * (20 if big else 12), 1)
    (following,) = struct.unpack(f"{order}{'Q' if big else 'I'}", stream.read(8 if big else 4))
    return bool(following == 0)


def _rows_of(
    stream: IO[bytes], name: str, page: Any, byteorder: str, max_pixels: int | None
) -> TiffRows | RawRows | None:
    """The rows of a file's only page; None and errors as for ``open_tiff``, and any error where tags do not fit."""
    format = _format(page)
    if format is None:
        return None
    width, height, channels = int(page.imagewidth), int(page.imagelength), int(page.samplesperpixel)
    check_size(width, height, max_pixels, name)
    row_bytes = width * channels * format.depth // 8
    if page.is_contiguous and page.compression == 1:
        offset = int(page.dataoffsets[0])
        if _size(stream) < offset + height * row_bytes:
            raise PictureError(f"{name}: damaged or cut short (pixels end at byte {offset + height * row_bytes:,})")
        samples = "u1" if format.depth == 8 else f"{byteorder}u2"
        metadata, notes = _metadata(stream, name, width, height)
        layout = RawLayout(width, height, channels, samples)
        return RawRows(stream, name, layout, offset=offset, metadata=metadata, notes=notes)
    rows, across = _segment_rows(page), _segments_across(page)
    if rows < 1 or not len(page.dataoffsets) == len(page.databytecounts) >= -(-height // rows) * across:
        return None
    segment_bytes = (int(page.tilewidth) if page.is_tiled else 0) * channels * format.depth // 8
    if min(page.databytecounts) == 0 or rows * max(row_bytes, segment_bytes) > _LARGEST:
        return None
    ends = (int(a) + int(b) for a, b in zip(page.dataoffsets, page.databytecounts, strict=True))
    if max(ends) > _size(stream):
        raise PictureError(f"{name}: damaged or cut short (the file has {_size(stream):,} bytes)")
    metadata, notes = _metadata(stream, name, width, height)
    return TiffRows(stream, name, page, format, metadata, notes)


def _size(stream: IO[bytes]) -> int:
    return stream.seek(0, 2)


def _segment_rows(page: Any) -> int:
    return int(page.tilelength) if page.is_tiled else int(min(page.rowsperstrip, page.imagelength))


def _segments_across(page: Any) -> int:
    return -(-int(page.imagewidth) // int(page.tilewidth)) if page.is_tiled else 1


def _format(page: Any) -> PixelFormat | None:
    """What a pixel of a page is made of; None where its rows cannot be read by themselves, or not as Pillow does."""
    bits, channels, extra = page.bitspersample, page.samplesperpixel, tuple(page.extrasamples)
    orientation = page.tags.get(_ORIENTATION)
    needs_package = _CODINGS.get(int(page.compression))
    if (
        bits not in (8, 16)
        or page.sampleformat != 1
        or (channels > 1 and page.planarconfig != 1)
        or page.imagedepth != 1
        or page.fillorder != 1
        or page.predictor not in (1, 2)
        or (orientation is not None and orientation.value != 1)
        or needs_package is None
        or (needs_package and importlib.util.find_spec("imagecodecs") is None)
    ):
        return None
    kinds = {(_GREY, 1, ()): 1, (_RGB, 3, ()): 3, (_RGB, 4, _OPACITY): 3}
    if bits == 8:
        kinds[_GREY, 2, _OPACITY] = 1
    colours = kinds.get((int(page.photometric), channels, extra))
    if colours is None:
        return None
    return PixelFormat(3 if colours == 3 else 1, bits, "straight" if extra else "none")


def _metadata(stream: IO[bytes], name: str, width: int, height: int) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata that reading by Pillow gives, and its notes; no pixel is decoded."""
    found = written_as("tif")
    assert found is not None
    load_plugin(found[0])
    with damage(name), open_image(stream, found[0]) as image:
        metadata, notes = metadata_of(image, before=before_loading(image, stream), beside=None, ours=True)
        _, metadata, more = upright(np.broadcast_to(np.uint8(0), (height, width)), metadata)
        metadata, still_more = within_limit(metadata, MAX_METADATA)
    return metadata, (*notes, *more, *still_more)


class TiffRows:
    """The rows of a TIFF whose strips or tiles are packed (:class:`~glissando.picture.rows.PictureRows`)."""

    def __init__(
        self,
        stream: IO[bytes],
        name: str,
        page: Any,
        format: PixelFormat,
        metadata: Metadata,
        notes: tuple[str, ...],
    ) -> None:
        self._stream, self._name, self._page = stream, name, page
        self.width, self.height, self.format = int(page.imagewidth), int(page.imagelength), format
        self.metadata, self.notes = metadata, notes
        self._rows_at_once = _segment_rows(page)
        self._across = _segments_across(page)
        self._held: tuple[int, Pixels] | None = None
        self._lock = threading.Lock()

    def rows(self, top: int, bottom: int) -> Pixels:
        """See :class:`~glissando.picture.rows.PictureRows`."""
        channels = int(self._page.samplesperpixel)
        shape = (bottom - top, self.width, channels)
        out: Pixels = np.empty(shape, np.uint8 if self.format.depth == 8 else np.uint16)
        with self._lock:
            for number in range(top // self._rows_at_once, -(-bottom // self._rows_at_once)):
                if self._held is None or self._held[0] != number:
                    self._held = None  # before the next are decoded
                    self._held = number, self._decoded(number)
                start = number * self._rows_at_once
                first, last = max(top, start), min(bottom, start + self._rows_at_once)
                out[first - top : last - top] = self._held[1][first - start : last - start]
        return out[:, :, 0] if channels == 1 else out

    def _decoded(self, number: int) -> Pixels:
        """A row of strips or tiles, (rows, width, channels)."""
        top = number * self._rows_at_once
        height = min(self._rows_at_once, self.height - top)
        dtype = np.uint8 if self.format.depth == 8 else np.uint16
        rows: Pixels = np.empty((height, self.width, int(self._page.samplesperpixel)), dtype)
        for index in range(number * self._across, (number + 1) * self._across):
            self._stream.seek(int(self._page.dataoffsets[index]))
            data = self._stream.read(int(self._page.databytecounts[index]))
            with damage(self._name):
                self._check_unpacked(data, index)
                segment, place, shape = self._page.decode(data, index)
                if segment is None or place[-3] != top:
                    raise ValueError(f"strip or tile {index} is not where it should be")
                left = place[-2]
                rows[:, left : left + shape[-2]] = segment[0, :height, : self.width - left]
        return rows

    def _check_unpacked(self, data: bytes, index: int) -> None:
        """Raises ValueError where deflated bytes hold more than a strip or tile. tifffile alone would unpack them all;
        the package imagecodecs stops by itself.
        """
        if int(self._page.compression) not in _DEFLATE or importlib.util.find_spec("imagecodecs") is not None:
            return
        most = math.prod(int(side) for side in self._page.chunks) * self.format.depth // 8
        if len(zlib.decompressobj().decompress(data, most + 1)) > most:
            raise ValueError(f"strip or tile {index} holds more than its pixels")
