"""Files of named arrays, as small as they can be: the weights and the integers of a model.

A file is an .npz archive with these members (docs/weights.md is the specification):

    index       JSON: of each array its name, kind ("plain", "integers" or "weights"), type and shape, in order
    plain.TYPE  all plain arrays of one type, one after the other
    rows, columns, high, low, far, checksum
                the symbols of all integers and weights
    steps       the exponents of the weights' steps

**Integers** are matrices of symbols. Some rows and columns of a network's matrices hold larger numbers than others, so
each row and each column has a number of its own, and their sum says how large the symbol is likely to be where they
cross. All symbols of a file are sorted by that size, so that similar symbols stand together. Deflate's Huffman codes
change from block to block. They are then as short as those of an arithmetic coder with a table for each size, and are
read in half of the time. The lowest bits of large symbols are noise and stored uncompressed.

**Weights** are such symbols times a step, which is also the product of one factor for the row and one for the column.
Reading them takes integer operations and one IEEE multiplication in float32: every machine reads the same.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.deflate import inflated
from glissando.errors import InputError, ModelMismatchError

__all__ = ["MAX_SYMBOL", "STEPS_PER_OCTAVE", "Stepped", "read_arrays", "values_of", "write_arrays"]

STEPS_PER_OCTAVE = 4
MAX_VALUES = 1 << 28  # of one array, so that a damaged index cannot ask for more
MAX_SYMBOL = 32767
_SIZES_PER_OCTAVE, _SMALLEST = 2, 68  # sizes of rows and columns: the sum n means symbols of about 2^((n − 68) / 2)
_KEPT_BITS = 3  # bits that are coded of a large symbol; those below them are noise
_FAR = 255  # the byte that stands for a high part too large for a byte
_FACTORS = np.array([1.0, 1.1892071, 1.4142135, 1.6817929], np.float32)  # 2^(i/4)
_LEAST_EXPONENT, _LARGEST_EXPONENT = -256, 254
_EXPONENTS = np.arange(_LEAST_EXPONENT, _LARGEST_EXPONENT + 1)
_STEPS = np.ldexp(_FACTORS[_EXPONENTS % STEPS_PER_OCTAVE], _EXPONENTS // STEPS_PER_OCTAVE).astype(np.float32)
_PLAIN = ("uint8", "int8", "int16", "int32", "uint32", "float16", "float32")
_PACKED = ("int8", "int16")


@dataclass(frozen=True, eq=False)
class Stepped:
    """A weight in whole numbers of a step: ``symbols`` of the weight's shape, at least two axes.

    The step of a symbol is 2^((rows + columns) / 4): ``rows`` has an exponent for each index of the first axis,
    ``columns`` one for each position in all other axes together.
    """

    symbols: NDArray[np.int16]
    rows: NDArray[np.int8]
    columns: NDArray[np.int8]

    @property
    def values(self) -> NDArray[np.float32]:
        """The weight itself, of the symbols' shape."""
        exponents = self.rows.astype(np.int16)[:, None] + self.columns
        values: NDArray[np.float32] = _STEPS[exponents - _LEAST_EXPONENT].reshape(self.symbols.shape)
        values *= self.symbols
        return values


Content = NDArray[Any] | Stepped


def values_of(array: Content) -> NDArray[Any]:
    """What a network computes with: floats as float32, integers as they are."""
    if isinstance(array, Stepped):
        return array.values
    return array.astype(np.float32) if array.dtype.kind == "f" else array


# --- Writing ---------------------------------------------------------------------------------------------------------


def write_arrays(path: Path, arrays: Mapping[str, Content]) -> None:
    """Write named arrays: ``Stepped`` weights, and plain arrays of integers or floats.

    Integers in two or more dimensions are coded as symbols, everything else is kept as it is and deflated. Raises
    InputError for a type that a file cannot hold.
    """
    index: list[dict[str, Any]] = []
    plain: dict[str, list[NDArray[Any]]] = {}
    matrices: list[NDArray[np.int32]] = []
    steps: list[NDArray[np.int8]] = []
    for name, array in arrays.items():
        if isinstance(array, Stepped):
            kind, dtype, shape = "weights", "float32", array.symbols.shape
            matrices.append(_matrix(array.symbols))
            steps += [array.rows, array.columns]
        elif str(array.dtype) not in _PLAIN:
            raise InputError(f"array {name!r} is {array.dtype}; a file of arrays holds {', '.join(_PLAIN)}")
        else:
            dtype, shape = str(array.dtype), array.shape
            small = dtype in _PACKED and array.ndim > 1 and array.size > 0 and int(array.min()) >= -MAX_SYMBOL
            kind = "integers" if small else "plain"
            if kind == "integers":
                matrices.append(_matrix(array))
            else:
                plain.setdefault(dtype, []).append(array.reshape(-1))
        index.append({"name": name, "kind": kind, "type": dtype, "shape": list(shape)})
    members: dict[str, NDArray[Any]] = {f"plain.{dtype}": np.concatenate(parts) for dtype, parts in plain.items()}
    if matrices:
        members |= _pack(matrices)
    if steps:
        members["steps"] = np.concatenate(steps)
    text = json.dumps(index, separators=(",", ":")).encode()
    np.savez_compressed(path, index=np.frombuffer(text, np.uint8), **members)  # type: ignore[arg-type]


def _matrix(array: NDArray[Any]) -> NDArray[np.int32]:
    return array.reshape(len(array), -1).astype(np.int32)


def _pack(matrices: list[NDArray[np.int32]]) -> dict[str, NDArray[Any]]:
    sides = [_sizes(matrix) for matrix in matrices]
    rows, columns = (np.concatenate(each).astype(np.uint8) for each in zip(*sides, strict=True))
    symbols = np.concatenate([matrix.reshape(-1) for matrix in matrices])
    order, shifts = _order(rows, columns, [(len(matrix), matrix.shape[1]) for matrix in matrices])
    ordered = symbols[order]
    noise = _noise_bits(shifts)
    high = ordered >> noise
    folded = np.where(high < 0, -2 * high - 1, 2 * high)
    far = folded >= _FAR
    folded[far] = _FAR
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    stream = packer.compress(folded.astype(np.uint8).tobytes()) + packer.flush()
    low = []
    for shift, part in _by_shift(shifts):
        bits = ordered[part, None] >> np.arange(shift) & 1
        low.append(np.packbits(bits.astype(np.uint8)))
    return {
        "rows": rows,
        "columns": columns,
        "high": np.frombuffer(stream, np.uint8),
        "low": np.concatenate([np.zeros(0, np.uint8), *low]),
        "far": high[far].astype(np.int16),
        "checksum": np.array(zlib.crc32(symbols.astype("<i2").tobytes()), np.uint32),
    }


def _sizes(matrix: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row and each column how large its symbols are, 0 … 127, so that a row's and a column's sum is a size."""
    size = np.abs(matrix) + 0.3
    rows = size.mean(axis=1)
    columns = (size / rows[:, None]).mean(axis=0)
    in_rows, in_columns = (np.rint(_SIZES_PER_OCTAVE * np.log2(each)).astype(np.int64) for each in (rows, columns))
    return np.clip(in_rows + 4, 0, 127), np.clip(in_columns + _SMALLEST - 4, 0, 127)


# --- Reading ---------------------------------------------------------------------------------------------------------


def _order(
    rows: NDArray[np.uint8], columns: NDArray[np.uint8], shapes: list[tuple[int, int]]
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Where each symbol of the file stands among those of all matrices, and how many symbols have each size (256,).

    Sizes ascend; symbols of one size keep their order in the matrices. Raises ValueError where there are not as many
    rows and columns as the shapes ask for.
    """
    if len(rows) != sum(height for height, _ in shapes) or len(columns) != sum(width for _, width in shapes):
        raise ValueError("there are not as many rows and columns as the arrays have")
    sizes, row, column = [], 0, 0
    for height, width in shapes:
        sizes.append((rows[row : row + height, None] + columns[column : column + width]).reshape(-1))
        row, column = row + height, column + width
    size = np.concatenate(sizes)
    # numpy's stable sort is a radix sort for bytes.
    return np.argsort(size, kind="stable"), np.bincount(size, minlength=256)


def _shift_of(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the lowest bits of symbols of these sizes are noise."""
    shifts: NDArray[np.int64] = np.clip((sizes - _SMALLEST) // _SIZES_PER_OCTAVE - _KEPT_BITS, 0, 15)
    return shifts


def _noise_bits(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the lowest bits of each symbol are noise, in the file's order; ``counts`` as of ``_order``."""
    return np.repeat(_shift_of(np.arange(256)), counts)


def _by_shift(counts: NDArray[np.int64]) -> Iterator[tuple[int, slice]]:
    """Each number of noise bits from 1 on, and which symbols of the file have so many."""
    shifts, ends = _shift_of(np.arange(256)), np.cumsum(counts)
    for shift in range(1, 16):
        (sizes,) = np.nonzero(shifts == shift)
        start, stop = int(ends[sizes[0] - 1]), int(ends[sizes[-1]])
        if stop > start:
            yield shift, slice(start, stop)


def read_arrays(path: Path) -> dict[str, Content]:
    """The arrays of a file that ``write_arrays`` wrote. Raises ModelMismatchError where it is damaged or missing."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            members = dict(archive)
        index = json.loads(members["index"].tobytes())
        return _read(index, members)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        InputError,
        NotImplementedError,
    ) as error:
        raise ModelMismatchError(f"{path.name} cannot be read: {error}") from error


def _read(index: list[dict[str, Any]], members: dict[str, NDArray[Any]]) -> dict[str, Content]:
    shapes = [tuple(int(side) for side in entry["shape"]) for entry in index]
    for shape in shapes:
        if min(shape, default=1) < 0 or math.prod(shape) > MAX_VALUES:
            raise ValueError(f"an array cannot have the shape {shape}")
    packed = [shape for entry, shape in zip(index, shapes, strict=True) if entry["kind"] != "plain"]
    symbols = iter(_unpack(packed, members) if packed else [])
    taken: dict[str, int] = {}

    def take(member: str, count: int) -> NDArray[Any]:
        start = taken.get(member, 0)
        taken[member] = start + count
        if len(members[member]) < start + count:
            raise ValueError(f"{member} ends too early")
        return members[member][start : start + count]

    arrays: dict[str, Content] = {}
    for entry, shape in zip(index, shapes, strict=True):
        name, kind, dtype = entry["name"], entry["kind"], entry["type"]
        if kind == "plain":
            part = take(f"plain.{dtype}", math.prod(shape))
            if part.dtype != dtype:
                raise ValueError(f"plain.{dtype} holds {part.dtype}")
            arrays[name] = part.reshape(shape)
        elif kind == "integers":
            found = next(symbols)
            limits = np.iinfo(dtype)
            if found.size and (found.min() < limits.min or found.max() > limits.max):
                raise ValueError(f"a symbol of {name} does not fit into {dtype}")
            arrays[name] = found.astype(dtype).reshape(shape)
        elif kind == "weights":
            rows, columns = take("steps", shape[0]), take("steps", math.prod(shape[1:]))
            arrays[name] = Stepped(next(symbols).reshape(shape), rows, columns)
        else:
            raise ValueError(f"array {name!r} is of an unknown kind {kind!r}")
    return arrays


def _unpack(shapes: list[tuple[int, ...]], members: dict[str, NDArray[Any]]) -> list[NDArray[np.int16]]:
    """The symbols of each matrix, flat. Raises ValueError where the members do not fit together."""
    sides = [(shape[0], math.prod(shape[1:])) for shape in shapes]
    rows, columns = (members[name] for name in ("rows", "columns"))
    if rows.dtype != np.uint8 or columns.dtype != np.uint8 or members["far"].dtype != np.int16:
        raise ValueError("rows and columns are bytes, far symbols int16")
    order, counts = _order(rows, columns, sides)
    high = np.frombuffer(inflated(members["high"].tobytes(), order.size, "its stream of symbols"), np.uint8)
    ordered = (high >> 1).astype(np.int16) ^ -(high & 1).astype(np.int16)
    (far,) = np.nonzero(high == _FAR)
    if far.size != members["far"].size:
        raise ValueError(f"{far.size} symbols are far, and far has {members['far'].size}")
    ordered[far] = members["far"]
    used = 0
    for shift, part in _by_shift(counts):
        count = part.stop - part.start
        size = (count * shift + 7) // 8
        flat = np.unpackbits(members["low"][used : used + size])
        if flat.size != 8 * size or flat[count * shift :].any():
            raise ValueError("low ends too early, or has bits between its parts")
        bits = flat[: count * shift].reshape(count, shift)
        used += size
        ordered[part] <<= shift
        for place in range(shift):
            ordered[part] |= bits[:, place].astype(np.int16) << place
    if used != members["low"].size:
        raise ValueError(f"low has {members['low'].size} bytes, {used} are needed")
    symbols = np.empty_like(ordered)
    symbols[order] = ordered
    if zlib.crc32(symbols.astype("<i2", copy=False).tobytes()) != int(members["checksum"]):
        raise ValueError("the checksum of its symbols does not agree")
    return np.split(symbols, np.cumsum([math.prod(side) for side in sides])[:-1])
