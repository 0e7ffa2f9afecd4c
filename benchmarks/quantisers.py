"""What the Bayesian coder is compared with: quantisers that know values but no uncertainty, at real file bytes.

A quantiser turns an array into symbols and a codebook: ``uniform`` rounds to multiples of a step, ``kmeans``
places so many points by Lloyd's algorithm. A coder turns both into a file: ``arithmetic`` is the project's ANS
coder with static tables, gzip, bzip2, lzma and zstd compress the symbols' bytes at their highest level. Grid,
codebook and tables may be the array's or each channel's own; all that a decoder needs is in the bytes, and
``unpack`` is that decoder.
"""

from __future__ import annotations

import bz2
import lzma
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bayes.frequencies import make_tables
from glissando.bitstream import SymbolTables, ans
from glissando.errors import CodecUnavailableError, CorruptError, InputError

__all__ = ["CODERS", "MAX_LEVELS", "Quantised", "kmeans", "pack", "step_for_levels", "uniform", "unpack"]

MAX_LEVELS = 65535
MAX_VALUES = 1 << 27  # what unpack agrees to allocate

_TABLE_BITS = 14  # frequencies are written as shares of 2^14
_HEAD = struct.Struct("<BBBbI")  # coder, kind of codebook, dimensions, axis (-1: none), levels
_CRC = struct.Struct("<I")  # of all before it, at the end: damage must not reach an allocation
_UNIFORM, _LISTED = 0, 1
_LLOYD_ITERATIONS = 200

_XZ = {"format": lzma.FORMAT_ALONE, "preset": 9 | lzma.PRESET_EXTREME}


def _zstd(name: str) -> Callable[..., bytes]:
    try:
        import imagecodecs
    except ImportError as error:
        raise CodecUnavailableError("zstd comes with imagecodecs, which is not installed") from error
    function: Callable[..., bytes] = getattr(imagecodecs, name)
    return function


_GENERAL: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gzip": (lambda data: zlib.compress(data, 9, wbits=31), lambda data: zlib.decompress(data, wbits=31)),
    "bzip2": (lambda data: bz2.compress(data, 9), bz2.decompress),
    "lzma": (lambda data: lzma.compress(data, **_XZ), lzma.decompress),  # type: ignore[arg-type]
    "zstd": (lambda data: bytes(_zstd("zstd_encode")(data, 22)), lambda data: bytes(_zstd("zstd_decode")(data))),
}

CODERS = ("arithmetic", *_GENERAL)


@dataclass(frozen=True)
class Quantised:
    """An array of symbols and what they stand for.

    Attributes:
        symbols: int32, of the array's shape, 0 .. levels - 1.
        points: float32 [G, levels], the value of each symbol; G is 1, or the channels along ``axis``.
        axis: of the channels, from 0; None where the array is one group.
        steps: float32 [G] where the points are multiples of a step; None where they are a list.
        first: the multiple of the step that symbol 0 stands for.
    """

    symbols: NDArray[np.int32]
    points: NDArray[np.float32]
    axis: int | None
    steps: NDArray[np.float32] | None = None
    first: int = 0

    @property
    def values(self) -> NDArray[np.float32]:
        """The reconstruction, of the array's shape."""
        return _restore(np.take_along_axis(self.points, _by_group(self.symbols, self.axis), 1), self)


def uniform(values: NDArray[Any], step: float | NDArray[Any], axis: int | None = None) -> Quantised:
    """Round to the nearest multiple of a step.

    Args:
        values: finite floats.
        step: positive, one for all values or one for each index along ``axis``.
        axis: channels with tables of their own; None for one table.

    Raises:
        InputError: values or step are not of this kind, or the step is so small that more than 65535 multiples
            would be needed.
    """
    values, axis = _check(values, axis)
    groups = _by_group(values, axis)
    steps = np.broadcast_to(np.asarray(step, np.float32).reshape(-1), len(groups)).copy()
    if not (np.isfinite(steps) & (steps > 0)).all():
        raise InputError(f"steps must be positive and finite, not {step}")
    multiples = np.rint(groups / steps[:, None].astype(np.float64))
    low, high = multiples.min(), multiples.max()
    if high - low >= MAX_LEVELS or max(-low, high) > 2**30:
        raise InputError(f"a step of {steps.min():g} needs {high - low + 1:.0f} levels; at most {MAX_LEVELS} are coded")
    first, levels = int(low), int(high - low) + 1
    symbols = _ungroup((multiples - low).astype(np.int32), values.shape, axis)
    return Quantised(symbols, _multiples(steps, first, levels), axis, steps, first)


def step_for_levels(values: NDArray[Any], levels: int, axis: int | None = None) -> NDArray[np.float32]:
    """The steps, [G], with which an odd number of levels just spans the values: ±(levels - 1)/2 multiples."""
    values, axis = _check(values, axis)
    if levels < 3 or levels % 2 == 0:
        raise InputError(f"a symmetric grid has an odd number of levels from 3 on, not {levels}")
    largest = np.abs(_by_group(values, axis)).max(1)
    return np.where(largest > 0, 2 * largest / (levels - 1), 1).astype(np.float32)


def kmeans(values: NDArray[Any], levels: int, axis: int | None = None) -> Quantised:
    """One-dimensional k-means, by Lloyd's algorithm from the quantiles, until the points rest.

    Args:
        values: finite floats.
        levels: points, 1 .. 65535; fewer are used where values coincide.
        axis: channels with points of their own; None for one set.
    """
    values, axis = _check(values, axis)
    if not 1 <= levels <= MAX_LEVELS:
        raise InputError(f"levels must be in 1..{MAX_LEVELS}, not {levels}")
    groups = _by_group(values, axis)
    points = np.stack([_lloyd(np.sort(group.astype(np.float64)), levels) for group in groups]).astype(np.float32)
    symbols = np.empty(groups.shape, np.int32)
    for row, centres, group in zip(symbols, points.astype(np.float64), groups, strict=True):
        row[:] = np.searchsorted((centres[1:] + centres[:-1]) / 2, group)
    return Quantised(_ungroup(symbols, values.shape, axis), points, axis)


def _lloyd(ordered: NDArray[np.float64], levels: int) -> NDArray[np.float64]:
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    points = np.quantile(ordered, (np.arange(levels) + 0.5) / levels)
    tolerance = 1e-7 * (ordered[-1] - ordered[0])
    for _ in range(_LLOYD_ITERATIONS):
        bounds = np.searchsorted(ordered, (points[1:] + points[:-1]) / 2)
        edges = np.concatenate([[0], bounds, [ordered.size]])
        counts = np.diff(edges)
        means = np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), points)
        moved = np.abs(means - points).max()
        points = np.maximum.accumulate(means)  # an empty cell's point must not fall behind its neighbour
        if moved <= tolerance:
            break
    return points


# --- Files ---------------------------------------------------------------------------------------------------


def pack(quantised: Quantised, coder: str) -> bytes:
    """The bytes of a file: header, codebook, tables where the coder has some, symbols, checksum."""
    body = _body(quantised, coder)
    return body + _CRC.pack(zlib.crc32(body))


def _body(quantised: Quantised, coder: str) -> bytes:
    if coder not in CODERS:
        raise InputError(f"no coder {coder!r}; there are {', '.join(CODERS)}")
    shape, (groups, levels) = quantised.symbols.shape, quantised.points.shape
    axis = -1 if quantised.axis is None else quantised.axis
    kind = _LISTED if quantised.steps is None else _UNIFORM
    head = _HEAD.pack(CODERS.index(coder), kind, len(shape), axis, levels) + struct.pack(f"<{len(shape)}I", *shape)
    if quantised.steps is None:
        head += quantised.points.astype("<f4").tobytes()
    else:
        head += struct.pack("<i", quantised.first) + quantised.steps.astype("<f4").tobytes()
    if coder != "arithmetic":
        width = "u1" if levels <= 256 else "<u2"
        return head + _GENERAL[coder][0](quantised.symbols.astype(width).tobytes())
    rows = _by_group(quantised.symbols, quantised.axis)
    counts = np.stack([np.bincount(row, minlength=levels) for row in rows])
    shares = np.rint(counts * (2.0**_TABLE_BITS / rows.shape[1])).astype(np.int64)
    shares = np.where(counts > 0, np.maximum(shares, 1), 0)
    packed = zlib.compress(shares.astype("<u2").T.tobytes(), 9, wbits=-15)
    tables, index = _tables(shares), np.repeat(np.arange(groups), rows.shape[1])
    stream = ans.encode([(rows.reshape(-1) - levels // 2, index)], tables)
    return head + struct.pack("<II", len(packed), len(stream)) + packed + stream


def unpack(data: bytes) -> NDArray[np.float32]:
    """The array that a file holds. Raises CorruptError where the bytes are no such file."""
    try:
        body, (crc,) = data[: -_CRC.size], _CRC.unpack(data[-_CRC.size :])
        if crc != zlib.crc32(body):
            raise CorruptError("the checksum of a packed array does not agree")
        return _unpack(body).values
    except (struct.error, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, IndexError) as error:
        raise CorruptError(f"these bytes are not a packed array: {error}") from error


def _unpack(data: bytes) -> Quantised:
    coder, kind, dimensions, axis, levels = _HEAD.unpack_from(data)
    shape: tuple[int, ...] = struct.unpack_from(f"<{dimensions}I", data, _HEAD.size)
    size, place = math.prod(shape), _HEAD.size + 4 * dimensions
    if not 0 < size <= MAX_VALUES or axis >= dimensions or not 1 <= levels <= MAX_LEVELS or kind not in (0, 1):
        raise CorruptError(f"a packed array of shape {shape} with {levels} levels cannot be")
    groups = 1 if axis < 0 else shape[axis]
    first, steps = 0, None
    if kind == _UNIFORM:
        (first,) = struct.unpack_from("<i", data, place)
        steps = np.frombuffer(data, "<f4", groups, place + 4)
        place += 4 + 4 * groups
        if groups * levels > MAX_VALUES:
            raise CorruptError(f"{groups} tables of {levels} levels cannot be")
        points = _multiples(steps, first, levels)
    else:
        points = np.frombuffer(data, "<f4", groups * levels, place).reshape(groups, levels)
        place += 4 * points.size
    if CODERS[coder] != "arithmetic":
        width = "u1" if levels <= 256 else "<u2"
        symbols = np.frombuffer(_GENERAL[CODERS[coder]][1](data[place:]), width).astype(np.int32).reshape(shape)
    else:
        length, rest = struct.unpack_from("<II", data, place)
        place += 8
        if place + length + rest != len(data):
            raise CorruptError(f"{len(data)} bytes where the header asks for {place + length + rest}")
        inflater = zlib.decompressobj(wbits=-15)
        text = inflater.decompress(data[place : place + length], 2 * groups * levels)
        shares = np.frombuffer(text, "<u2").reshape(levels, groups).T.astype(np.int64)
        decoder = ans.Decoder(data[place + length :], _tables(shares))
        rows = decoder.decode(np.repeat(np.arange(groups), size // groups)).astype(np.int32) + levels // 2
        decoder.finish()
        symbols = _ungroup(rows.reshape(groups, -1), shape, None if axis < 0 else axis)
    if not np.isfinite(points).all():
        raise CorruptError("a codebook that is not finite")
    if symbols.min() < 0 or symbols.max() >= levels:
        raise CorruptError(f"symbols {symbols.min()}..{symbols.max()} of {levels} levels")
    return Quantised(symbols, points, None if axis < 0 else axis, steps, first)


def _tables(shares: NDArray[np.int64]) -> SymbolTables:
    """Tables for symbols - levels // 2 from shares [G, levels]; symbols of share 0, and the escape, get 1 in 2^24."""
    groups, levels = shares.shape
    weights = np.zeros((groups, 2 * (levels // 2) + 1), np.int64)
    weights[:, :levels] = shares
    if not weights.any(1).all():
        raise CorruptError("a table without a symbol")
    return make_tables(weights)


# --- Channels ------------------------------------------------------------------------------------------------


def _check(values: NDArray[Any], axis: int | None) -> tuple[NDArray[Any], int | None]:
    values = np.asarray(values)
    if values.dtype.kind != "f" or not 1 <= values.ndim <= 32 or not 0 < values.size <= MAX_VALUES:
        raise InputError(f"values must be a float array that is not empty, not {values.dtype} {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("values must be finite")
    if axis is None:
        return values, None
    if not -values.ndim <= axis < values.ndim:
        raise InputError(f"axis {axis} of an array with {values.ndim}")
    return values, axis % values.ndim


def _by_group(values: NDArray[Any], axis: int | None) -> NDArray[Any]:
    """The values of each channel in C order, [G, n]."""
    return values.reshape(1, -1) if axis is None else np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def _ungroup(rows: NDArray[Any], shape: tuple[int, ...], axis: int | None) -> NDArray[Any]:
    if axis is None:
        return rows.reshape(shape)
    moved = (shape[axis], *shape[:axis], *shape[axis + 1 :])
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), 0, axis))


def _restore(rows: NDArray[Any], quantised: Quantised) -> NDArray[Any]:
    return _ungroup(rows, quantised.symbols.shape, quantised.axis)


def _multiples(steps: NDArray[np.float32], first: int, levels: int) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # damaged files; who reads them looks at the result
        return (steps[:, None] * np.arange(first, first + levels, dtype=np.float64)).astype(np.float32)
