"""PNG and TIFF files of 16 bits per sample, which Pillow has no mode for.

Pillow writes the file, metadata and all, of 8-bit samples; what says how deep these are is then replaced. A TIFF row of
16-bit samples is byte for byte one of twice as many 8-bit samples, so there its directory alone changes. In a PNG the
prediction of bytes is not the same, so there the chunks of the pixels are made here (PNG specification, third edition,
clauses 9 and 11.2).
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["encode_sixteen"]

Samples = NDArray[np.uint16]
Bytes = NDArray[np.uint8]


def encode_sixteen(samples: Samples, format: str, options: Mapping[str, Any]) -> bytes:
    """A PNG or TIFF file of 16-bit samples: (height, width), or (height, width, channels) as Pillow's modes have them.

    ``options``: Pillow's for the format. Grey with opacity becomes RGBA in TIFF, as programs know no other there.
    """
    if format == "PNG":
        return _png(samples, options)
    if samples.ndim == 3 and samples.shape[2] == 2:
        samples = samples[:, :, [0, 0, 0, 1]]
    return _tiff(samples, options)


# PNG --------------------------------------------------------------------------------------------------------------

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels
_ROWS_AT_ONCE = 64
_LONGEST_CHUNK = 2**30  # of which those with pixels may be several; the format allows 2^31 - 1 bytes


def _png(samples: Samples, options: Mapping[str, Any]) -> bytes:
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    frame = io.BytesIO()
    Image.fromarray(np.zeros((1, 1, *samples.shape[2:]), np.uint8)).save(frame, "PNG", **options)
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    packer = zlib.compressobj(options.get("compress_level", -1))
    rows = samples.reshape(height, width * channels).astype(">u2").view(np.uint8)
    pixels = b"".join([*(packer.compress(part.tobytes()) for part in _filtered(rows, 2 * channels)), packer.flush()])
    out = [frame.getvalue()[:8]]
    for kind, content in _chunks(frame.getvalue()):
        new = {b"IHDR": header, b"IDAT": pixels}.get(kind, content)
        for start in range(0, max(len(new), 1), _LONGEST_CHUNK):
            part = new[start : start + _LONGEST_CHUNK]
            out.append(
                struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(part, zlib.crc32(kind)))
            )
    return b"".join(out)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG that Pillow has just written: their types and contents."""
    at = 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _filtered(rows: Bytes, step: int) -> Iterator[Bytes]:
    """Rows of bytes as differences from predictions, after each row's kind of prediction, some rows at a time.

    ``step``: bytes of a pixel. Each row has the kind whose differences have the least sum of magnitudes.
    """
    height, length = rows.shape
    for top in range(0, height, _ROWS_AT_ONCE):
        here = rows[top : top + _ROWS_AT_ONCE].astype(np.int16)
        known = np.zeros((len(here) + 1, length + step), np.int16)  # the row above and the pixel before
        known[1:, step:] = here
        if top:
            known[0, step:] = rows[top - 1]
        left, above, corner = known[1:, :-step], known[:-1, step:], known[:-1, :-step]
        kinds = {0: np.zeros_like(here), 1: left, 2: above, 3: (left + above) >> 1, 4: _paeth(left, above, corner)}
        found = np.stack([(here - guess).astype(np.uint8) for guess in kinds.values()])
        sums = np.abs(found.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
        best = sums.argmin(axis=0)
        chosen = found[best, np.arange(len(here))]
        yield np.concatenate([best[:, None].astype(np.uint8), chosen], axis=1)


def _paeth(left: NDArray[np.int16], above: NDArray[np.int16], corner: NDArray[np.int16]) -> NDArray[np.int16]:
    """Whichever of the three is nearest to left + above − corner; of equally near ones the first."""
    from_left, from_above = np.abs(above - corner), np.abs(left - corner)
    from_corner = np.abs(left + above - 2 * corner)
    of_two = np.where(from_above <= from_corner, above, corner)
    return np.where((from_left <= from_above) & (from_left <= from_corner), left, of_two)


# TIFF -------------------------------------------------------------------------------------------------------------

_WIDTH, _BITS, _PREDICTOR = 256, 258, 317
_HORIZONTAL = 2
_SHORT = 3
_SIZES = {_SHORT: 2, 4: 4}


def _tiff(samples: Samples, options: Mapping[str, Any]) -> bytes:
    directory = options.get("exif", Image.Exif())
    compressed = options.get("compression", "raw") != "raw"
    if compressed:  # differences along a row deflate better
        samples = np.concatenate([samples[:, :1], np.diff(samples, axis=1)], axis=1)
        directory[_PREDICTOR] = 1  # of 8-bit samples, so that they are written as they are
    order = sys.byteorder if compressed else "little"  # libtiff writes the machine's, Pillow itself this one
    height, width = samples.shape[:2]
    wide = np.ascontiguousarray(samples, "<u2" if order == "little" else ">u2")
    halves = wide.view(np.uint8).reshape(height, 2 * width, *samples.shape[2:])
    file = io.BytesIO()
    Image.fromarray(halves).save(file, "TIFF", **{**options, "exif": directory})
    data = bytearray(file.getvalue())
    _set_numbers(data, _WIDTH, width)
    _set_numbers(data, _BITS, 16)
    if compressed:
        _set_numbers(data, _PREDICTOR, _HORIZONTAL)
    return bytes(data)


def _set_numbers(data: bytearray, tag: int, value: int) -> None:
    """Make all numbers of an entry in a TIFF's first directory this one (TIFF 6.0, section 2)."""
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        found, kind, numbers = struct.unpack_from(f"{order}HHI", data, entry)
        if found == tag:
            place = entry + 8
            if _SIZES[kind] * numbers > 4:
                (place,) = struct.unpack_from(f"{order}I", data, place)
            struct.pack_into(f"{order}{numbers}{'H' if kind == _SHORT else 'I'}", data, place, *[value] * numbers)
            return
    raise ValueError(f"the directory has no entry {tag}")
