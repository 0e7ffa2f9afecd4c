"""Files of named arrays, as small as they can be: the weights and the integers of a model.

A file is an .npz archive with these members (docs/weights.md is the specification):

    index       JSON: of each array its name, kind ("plain", "integers" or "weights"), type and shape, in order
    plain.TYPE  all plain arrays of one type, one after the other
    rows, columns, classes, radii, levels, stream
                the symbols of all integers and weights, entropy coded
    steps       the exponents of the weights' steps

**Integers** are matrices of symbols. Some rows and columns of a network's matrices hold larger numbers than others, so
each row and each column has a number of its own, and their sum says which probability table codes the symbol where they
cross. **Weights** are such symbols times a step, which is also the product of one factor for the row and one for the
column. Reading them takes integer operations and single IEEE multiplications in float32: every machine reads the same.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.errors import CorruptError, InputError, ModelMismatchError

__all__ = ["MAX_SYMBOL", "STEPS_PER_OCTAVE", "Stepped", "read_arrays", "values_of", "write_arrays"]

STEPS_PER_OCTAVE = 4
MAX_VALUES = 1 << 28  # of one array: what a damaged index may ask for
MAX_SYMBOL = 32767  # as in bitstream.tables
MAX_RADIUS = 2047  # symbols beyond are escapes
_FACTORS = np.array([1.0, 1.1892071, 1.4142135, 1.6817929], np.float32)  # 2^(i/4)
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
        exponents = self.rows.astype(np.int32)[:, None] + self.columns
        octaves, part = np.divmod(exponents, STEPS_PER_OCTAVE)
        steps = np.ldexp(_FACTORS[part], octaves).astype(np.float32, copy=False)
        return self.symbols.astype(np.float32) * steps.reshape(self.symbols.shape)


Content = NDArray[Any] | Stepped


def values_of(array: Content) -> NDArray[Any]:
    """What a network computes with: floats as float32, integers as they are."""
    if isinstance(array, Stepped):
        return array.values
    return array.astype(np.float32) if array.dtype.kind == "f" else array


# --- Writing ---------------------------------------------------------------------------------------------------------


def write_arrays(path: Path, arrays: Mapping[str, Content]) -> None:
    """Write named arrays: ``Stepped`` weights, and plain arrays of integers or floats.

    Integers in two or more dimensions are entropy coded, everything else is kept as it is and deflated. Raises
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
    from glissando.bayes.frequencies import to_levels
    from glissando.bitstream import ans

    contexts = [_contexts(matrix) for matrix in matrices]
    sums = np.concatenate([(rows[:, None] + columns).reshape(-1) for rows, columns in contexts]).astype(np.int32)
    symbols = np.concatenate([matrix.reshape(-1) for matrix in matrices])
    classes, number = np.unique(sums, return_inverse=True)
    radii, levels = np.zeros(len(classes), np.uint16), []
    for table in range(len(classes)):
        magnitudes = np.abs(symbols[number == table])
        radii[table] = radius = min(int(magnitudes.max()), MAX_RADIUS)
        counts = np.bincount(np.minimum(magnitudes, radius + 1), minlength=radius + 2)[: radius + 1]
        levels.append(to_levels(_smoothed(counts, float(magnitudes.mean()))))
    tables = _tables(radii, np.concatenate(levels))
    ends = np.cumsum([matrix.size for matrix in matrices])[:-1]
    stream = ans.encode(list(zip(np.split(symbols, ends), np.split(number, ends), strict=True)), tables)
    return {
        "rows": np.concatenate([rows for rows, _ in contexts]).astype(np.uint8),
        "columns": np.concatenate([columns for _, columns in contexts]).astype(np.uint8),
        "classes": classes.astype(np.uint16),
        "radii": radii,
        "levels": np.diff(np.concatenate(levels), prepend=np.uint8(0)).astype(np.uint8),
        "stream": np.frombuffer(stream, np.uint8),
        "checksum": np.array(zlib.crc32(symbols.astype("<i2").tobytes()), np.uint32),
    }


def _contexts(matrix: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each row and each column how large its symbols are, in octaves; both are at least 0 and below 128."""
    size = np.abs(matrix) + 0.3
    rows = size.mean(axis=1)
    columns = (size / rows[:, None]).mean(axis=0)
    in_rows, in_columns = (np.rint(2 * np.log2(each)).astype(np.int64) for each in (rows, columns))
    return np.clip(in_rows + 4, 0, 127), np.clip(in_columns + 64, 0, 127)


def _smoothed(counts: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
    """Counts of magnitudes, as even as what symbols of this mean magnitude can say of their frequencies.

    Wide tables have few symbols for each entry, and their counts would tell more of chance than of frequencies.
    """
    single = counts.astype(np.float64)
    single[1:] /= 2  # of either sign
    reach = min(int(scale / 6), len(single) - 1)
    if reach:
        mirrored = np.concatenate([single[:0:-1], single])
        window = np.ones(2 * reach + 1)
        smooth = np.convolve(mirrored, window, "same") / np.convolve(np.ones(mirrored.size), window, "same")
        single = smooth[len(single) - 1 :]
    return np.ceil(16 * single).astype(np.int64)


# --- Reading ---------------------------------------------------------------------------------------------------------


def _tables(radii: NDArray[np.uint16], levels: NDArray[np.uint8]) -> Any:
    """The tables of all classes: symmetric, from the levels of the magnitudes 0 … radius of each."""
    from glissando.bayes.frequencies import level_weights, make_tables
    from glissando.bitstream import SymbolTables

    found = []
    for part in np.split(levels, np.cumsum(radii.astype(np.int64) + 1)[:-1]):
        weights = level_weights(part)
        found.append(make_tables(np.concatenate([weights[:0:-1], weights])[None]).frequencies)
    return SymbolTables(np.concatenate(found), radii.astype(np.int32))


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
        CorruptError,
        ModelMismatchError,
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
    """The symbols of each matrix, flat."""
    from glissando.bitstream import ans

    rows, columns = members["rows"].astype(np.int16), members["columns"].astype(np.int16)
    number = np.full(256, -1, np.int16)
    number[members["classes"]] = np.arange(len(members["classes"]))
    levels = np.cumsum(members["levels"], dtype=np.uint8)
    decoder = ans.Decoder(members["stream"].tobytes(), _tables(members["radii"], levels))
    found, checksum, row, column = [], 0, 0, 0
    for shape in shapes:  # a pass for each matrix
        height, width = shape[0], math.prod(shape[1:])
        in_rows, in_columns = rows[row : row + height], columns[column : column + width]
        row, column = row + height, column + width
        table = number[(in_rows[:, None] + in_columns).reshape(-1)]
        if table.size != height * width or table.min(initial=0) < 0:
            raise ValueError("rows and columns do not say how their symbols are coded")
        symbols = decoder.decode(table)
        checksum = zlib.crc32(symbols.astype("<i2", copy=False).tobytes(), checksum)
        found.append(symbols)
    decoder.finish()
    if checksum != int(members["checksum"]):
        raise ValueError("the checksum of its symbols does not agree")
    return found
