"""Picture files that are written some rows at a time: TIFF, binary PPM and PGM, and raw samples."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol

import numpy as np
from PIL import Image

from glissando.bitstream.pixel_format import PixelFormat
from glissando.errors import GlissandoError, PictureError

from .embedding import TITLES, embedded
from .formats import Writing, written_as
from .metadata import Metadata
from .picture import Picture, Pixels
from .pillow import load_plugin
from .samples import fitted

__all__ = ["RAW", "ComingRows", "layout_of", "row_formats", "write_rows"]

RAW = ("raw", "rgb")
"""The extensions of files that hold samples alone."""

_STRIP_BYTES = 2**20
_LEVEL = 2  # of deflate: photographs grow by a tenth against the usual 6 and are written 2.7 times sooner
_CLASSIC = 2**32 - 2**27
"""Bytes of pixels from which on a TIFF is a BigTIFF, whose offsets have 64 bits; packed ones may be a little longer."""


class ComingRows(Protocol):
    """A picture whose rows come from its top down, arrays of some at a time, as of ``Codec.decode_rows``."""

    width: int
    height: int
    format: PixelFormat
    metadata: Metadata

    def __iter__(self) -> Iterator[Pixels]: ...
    def __next__(self) -> Pixels: ...


def row_formats() -> tuple[str, ...]:
    """The extensions, without dot, of files that ``write_rows`` writes."""
    return (*RAW, "tif", "tiff", "ppm", "pgm", "pnm")


def layout_of(format: PixelFormat) -> str:
    """How samples lie in a raw file of pixels of this format, as ``RawLayout.of`` reads it behind the size: "x3u8"."""
    channels = (1 if format.grey else 3) + (format.alpha != "none")
    return f"x{channels}u{8 if format.depth == 8 else 16}"


def write_rows(
    rows: ComingRows, stream: IO[bytes], format: str, *, name: str = "output"
) -> tuple[tuple[str, ...], int]:
    """Write a picture to a buffered stream while its rows come.

    The pixels are those that ``write_picture`` writes; a TIFF is packed in strips by deflate. Raw samples are written
    as they are, channels side by side, of 16 bits with the low byte first where they have more than 8.

    Args:
        rows: the picture.
        stream: where it is written; for a TIFF one that can seek.
        format: one of ``row_formats``.
        name: what messages call the file.

    Returns:
        One sentence for each piece of metadata that the format does not carry, and for what became of the samples; and
        the bytes of the file.

    Raises:
        PictureError: another format, or a picture that it cannot hold.
        GlissandoError: what making the rows raises.
        OSError: the stream cannot be written.
    """
    if format in RAW:
        size = 0
        for pixels in rows:
            stream.write(np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).data)
            size += pixels.nbytes
            del pixels
        return tuple(f"a raw file carries no {title}; left out" for title in _titles_in(rows.metadata)), size
    chosen = written_as(format)
    if chosen is None or format not in row_formats():
        raise PictureError(f"{name}: no picture format {format!r} to write by rows; known: {', '.join(row_formats())}")
    found, writing = chosen
    load_plugin(found)
    try:
        if found.name == "PPM":
            return _write_pnm(rows, stream, writing)
        return _write_tiff(rows, stream, writing)
    except (ValueError, OverflowError, SyntaxError, RuntimeError, struct.error) as error:
        if isinstance(error, GlissandoError):
            raise  # also what is wrong with the file that the rows come from
        raise PictureError(f"{name}: {found.name} cannot hold this picture ({error})") from error


def _titles_in(metadata: Metadata) -> list[str]:
    """What messages call the metadata that there are."""
    return [TITLES[name] for name, value in metadata.as_arguments().items() if value]


def _fitted(rows: ComingRows, format: str, writing: Writing, notes: list[str]) -> Iterator[tuple[Pixels, int]]:
    """The samples of rows as a format has them, and their bits; notes come with the first."""
    first = True
    for pixels in rows:
        samples, depth, found = fitted(Picture(pixels, depth=rows.format.depth), format, writing)
        notes += found if first else []
        first = False
        del pixels  # rows of a large picture take much memory, and the next ones are coming
        yield samples, depth
        del samples


def _write_pnm(rows: ComingRows, stream: IO[bytes], writing: Writing) -> tuple[tuple[str, ...], int]:
    _, notes = embedded(rows.metadata, "PPM", writing, grey=rows.format.grey)
    more: list[str] = []
    head = f"P{5 if rows.format.grey else 6}\n{rows.width} {rows.height}\n255\n".encode("ascii")
    stream.write(head)
    size = len(head)
    for samples, _ in _fitted(rows, "PPM", writing, more):
        stream.write(np.ascontiguousarray(samples).data)
        size += samples.nbytes
        del samples
    return (*more, *notes), size


# TIFF -----------------------------------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _OFFSETS, _ROWS, _COUNTS, _PREDICTOR = 256, 257, 258, 259, 273, 278, 279, 317
_DEFLATE, _HORIZONTAL = 8, 2
_SHORT, _LONG, _LONG8 = 3, 4, 16


def _write_tiff(rows: ComingRows, stream: IO[bytes], writing: Writing) -> tuple[tuple[str, ...], int]:
    """The file begins with that of one pixel, which Pillow writes, metadata and all; strips follow, and their table.

    The entries of the directory that tell of pixels are then replaced.
    """
    grey, notes = rows.format.grey, list[str]()
    options, more = embedded(rows.metadata, "TIFF", writing, grey=grey)
    start, frame, offsets, counts = stream.tell(), None, list[int](), list[int]()
    strips = _strips(_fitted(rows, "TIFF", writing, notes), rows.width)
    for samples in strips:
        if frame is None:
            frame = _Frame.of(rows, samples, options)
            stream.write(frame.data)
        offsets.append(stream.tell() - start)
        counts.append(stream.write(_packed(samples)))
        del samples
    assert frame is not None  # as every picture has rows
    table = stream.tell() - start
    stream.write(frame.numbers(offsets) + frame.numbers(counts))
    for tag, kind, value in (
        (_WIDTH, _LONG, rows.width),
        (_HEIGHT, _LONG, rows.height),
        (_COMPRESSION, _SHORT, _DEFLATE),
        (_PREDICTOR, _SHORT, _HORIZONTAL),
        (_ROWS, _LONG, frame.rows_of_strip),
    ):
        frame.set(tag, kind, 1, value)
    many = len(offsets) > 1
    frame.set(_OFFSETS, frame.offset_kind, len(offsets), table if many else offsets[0])
    frame.set(_COUNTS, frame.offset_kind, len(counts), table + len(frame.numbers(offsets)) if many else counts[0])
    end = stream.tell()
    stream.seek(start)
    stream.write(frame.data)
    stream.seek(end)
    return (*notes, *more), end - start


def _strips(bands: Iterator[tuple[Pixels, int]], width: int) -> Iterator[Pixels]:
    """Rows cut into strips of equal height, but for the last one, each (rows, width, channels)."""
    left: Pixels | None = None
    height = 0
    for samples, depth in bands:
        if samples.ndim == 3 and samples.shape[2] == 2 and depth == 16:
            samples = samples[:, :, [0, 0, 0, 1]]  # as programs know no other with opacity
        rows: Pixels = samples.reshape(len(samples), width, -1)
        height = height or max(1, _STRIP_BYTES // rows[0].nbytes)
        top = 0
        if left is not None and len(left):
            top = height - len(left)
            left = np.concatenate([left, rows[:top]])
            if len(left) < height:
                continue
            yield left
        whole = len(rows) - (len(rows) - top) % height
        for start in range(top, whole, height):
            yield rows[start : start + height]
        left = rows[whole:].copy()
        del rows, samples
    if left is not None and len(left):
        yield left


def _packed(samples: Pixels) -> bytes:
    """A strip by deflate, as differences along its rows (TIFF 6.0, section 14); of 16 bits with the low byte first."""
    differences = np.concatenate([samples[:, :1], np.diff(samples, axis=1)], axis=1)
    return zlib.compress(differences.astype(differences.dtype.newbyteorder("<"), copy=False).tobytes(), _LEVEL)


@dataclass
class _Frame:
    """A TIFF of one pixel, whose directory becomes that of a large one.

    Attributes:
        data: its bytes, low bytes first.
        big: whether it is a BigTIFF.
        rows_of_strip: rows that each strip of the large picture has, but the last.
    """

    data: bytearray
    big: bool
    rows_of_strip: int

    @classmethod
    def of(cls, rows: ComingRows, strip: Pixels, options: dict[str, Any]) -> _Frame:
        """The frame of a picture; ``strip``: its first; ``options``: Pillow's, which tell the metadata."""
        big = strip[0].nbytes * rows.height > _CLASSIC
        directory = options.get("exif", Image.Exif())
        directory[_PREDICTOR] = 1  # so that there is an entry
        pixel = np.zeros((1, 1, strip.shape[2]), np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixel[..., 0] if strip.shape[2] == 1 else pixel).save(
            file, "TIFF", **{**options, "exif": directory, "compression": "raw"}, big_tiff=big
        )
        frame = cls(bytearray(file.getvalue()), big, len(strip))
        if strip.dtype.itemsize == 2:
            frame.set_bits(strip.shape[2])
        return frame

    @property
    def offset_kind(self) -> int:
        """The type of numbers that are offsets."""
        return _LONG8 if self.big else _LONG

    def numbers(self, values: list[int]) -> bytes:
        """Offsets or lengths as they are stored."""
        return struct.pack(f"<{len(values)}{'Q' if self.big else 'I'}", *values)

    def set(self, tag: int, kind: int, count: int, value: int) -> None:
        """Make an entry of the directory this one; ``value``: one number, or the offset of several."""
        at = self._entry(tag)
        struct.pack_into("<HHQQ" if self.big else "<HHII", self.data, at, tag, kind, count, value)

    def set_bits(self, channels: int) -> None:
        """Make the samples ones of 16 bits."""
        at = self._entry(_BITS) + (12 if self.big else 8)
        if 2 * channels > (8 if self.big else 4):
            (at,) = struct.unpack_from("<Q" if self.big else "<I", self.data, at)
        struct.pack_into(f"<{channels}H", self.data, at, *[16] * channels)

    def _entry(self, wanted: int) -> int:
        """Where the entry of a tag begins (TIFF 6.0, section 2)."""
        if self.big:
            (directory,) = struct.unpack_from("<Q", self.data, 8)
            (count,), first, size = struct.unpack_from("<Q", self.data, directory), directory + 8, 20
        else:
            (directory,) = struct.unpack_from("<I", self.data, 4)
            (count,), first, size = struct.unpack_from("<H", self.data, directory), directory + 2, 12
        for at in range(first, first + count * size, size):
            if struct.unpack_from("<H", self.data, at)[0] == wanted:
                return at
        raise ValueError(f"the directory has no entry {wanted}")
