"""Rows of files that hold samples as they are, one row after the other: raw pixels, and binary PPM and PGM."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import IO

import numpy as np

from glissando.bitstream.pixel_format import PixelFormat
from glissando.errors import InputError, PictureError

from .metadata import Metadata
from .picture import Pixels, check_size

__all__ = ["RawLayout", "RawRows", "open_pnm", "open_raw"]

_LAYOUT = re.compile(r"(\d{1,9})x(\d{1,9})(?:x([1-4]))?(u8|u16|u16be)?")
_PNM = re.compile(rb"P(?P<kind>[56])\s(?:\s*#[^\n]*\n)*\s*(?P<width>\d+)\s+(?P<height>\d+)\s+(?P<most>\d+)\s")


@dataclass(frozen=True, slots=True)
class RawLayout:
    """What a file of samples does not tell of itself.

    Attributes:
        width, height: in pixels.
        channels: of a pixel, side by side: 1 grey, 3 red, green and blue; 2 and 4 the same with opacity.
        dtype: of a sample, as NumPy writes it: "u1", "<u2" or ">u2".
    """

    width: int
    height: int
    channels: int = 3
    dtype: str = "u1"

    @classmethod
    def of(cls, text: str) -> RawLayout:
        """From text such as "20000x10000x3u16": width, height, channels (3 unless given) and samples.

        Samples are u8, which they are unless given; u16, of which the low byte comes first; or u16be, of which the
        high byte does. Raises InputError where it is not like this.
        """
        found = _LAYOUT.fullmatch(text.lower())
        if found is None:
            raise InputError(f"{text!r} is not WIDTHxHEIGHT, WIDTHxHEIGHTxCHANNELS, or either with u8, u16 or u16be")
        width, height, channels, samples = found.groups()
        dtype = {None: "u1", "u8": "u1", "u16": "<u2", "u16be": ">u2"}[samples]
        return cls(int(width), int(height), int(channels or 3), dtype)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.width * self.channels * np.dtype(self.dtype).itemsize

    @property
    def format(self) -> PixelFormat:
        """What a pixel is made of."""
        depth = 8 * np.dtype(self.dtype).itemsize
        return PixelFormat(3 if self.channels > 2 else 1, depth, "none" if self.channels in (1, 3) else "straight")


class RawRows:
    """The rows of a picture whose samples lie in a file as they are (:class:`~glissando.picture.rows.PictureRows`).

    Args:
        stream: the file, which can be read at any place, and stays open.
        name: what messages call it.
        layout: how the samples lie.
        offset: byte of the first one.
    """

    def __init__(
        self,
        stream: IO[bytes],
        name: str,
        layout: RawLayout,
        *,
        offset: int = 0,
        metadata: Metadata | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._stream, self._name, self._layout, self._offset = stream, name, layout, offset
        self.width, self.height, self.format = layout.width, layout.height, layout.format
        self.metadata, self.notes = metadata or Metadata(), notes
        self._lock = threading.Lock()

    def rows(self, top: int, bottom: int) -> Pixels:
        """See :class:`~glissando.picture.rows.PictureRows`."""
        layout = self._layout
        size = (bottom - top) * layout.row_bytes
        data = bytearray(size)
        with self._lock:
            self._stream.seek(self._offset + top * layout.row_bytes)
            at = 0
            while at < size and (part := self._stream.readinto(memoryview(data)[at:])):  # type: ignore[attr-defined]
                at += part
        if at < size:
            raise PictureError(f"{self._name}: cut short: it ends in row {top + at // layout.row_bytes}")
        samples = np.frombuffer(data, layout.dtype).reshape(bottom - top, layout.width, layout.channels)
        native = samples.astype(samples.dtype.newbyteorder("="), copy=False)
        return native[:, :, 0] if layout.channels == 1 else native


def _bytes_of(stream: IO[bytes]) -> int:
    return stream.seek(0, 2)


def open_raw(stream: IO[bytes], name: str, layout: RawLayout, *, max_pixels: int | None = None) -> RawRows:
    """The rows of raw pixels. Raises PictureError where the file has not as many bytes as the layout says."""
    check_size(layout.width, layout.height, max_pixels, name)
    wanted, found = layout.height * layout.row_bytes, _bytes_of(stream)
    if found != wanted:
        raise PictureError(
            f"{name}: {layout.width}x{layout.height} pixels of {layout.row_bytes // layout.width} bytes are {wanted:,} "
            f"bytes; the file has {found:,}"
        )
    return RawRows(stream, name, layout)


def open_pnm(stream: IO[bytes], name: str, *, max_pixels: int | None = None) -> RawRows | None:
    """The rows of a binary PPM or PGM whose samples are whole bytes, white 255 or 65535; None for any other file.

    Raises PictureError where it is cut short, or has more than ``max_pixels``.
    """
    stream.seek(0)
    found = _PNM.match(stream.read(1024))
    if found is None or int(found["most"]) not in (255, 65535):
        return None
    layout = RawLayout(
        int(found["width"]),
        int(found["height"]),
        3 if found["kind"] == b"6" else 1,
        "u1" if int(found["most"]) == 255 else ">u2",
    )
    check_size(layout.width, layout.height, max_pixels, name)
    end = found.end() + layout.height * layout.row_bytes
    size = _bytes_of(stream)
    if size < end:
        raise PictureError(f"{name}: damaged or cut short (the file should have {end:,} bytes, and has {size:,})")
    notes = () if size == end else (f"{size - end:,} bytes behind the picture are left out",)
    return RawRows(stream, name, layout, offset=found.end(), notes=notes)
