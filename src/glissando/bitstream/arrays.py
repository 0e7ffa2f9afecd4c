"""The container of ``.glissa`` files: named arrays, as code points with their tables or as they are.

``docs/array-format.md`` is the specification. The header says everything but the payloads; ``read`` takes a file
apart without decoding a symbol, and checks each length against the bytes present, or against a limit, before it
allocates. What the payloads mean, ``glissando.bayes`` knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any
from zlib import crc32

import numpy as np

from glissando.bitstream.fields import (
    HEADER_CRC,
    Cursor,
    Field,
    Number,
    Octets,
    Text,
    check_signature,
    read_record,
    write_record,
)
from glissando.errors import CorruptError, InputError, LimitError, TruncatedError, VersionError

__all__ = [
    "DEFAULT_ARRAY_LIMITS",
    "DTYPES",
    "FIELDS",
    "SIGNATURE",
    "VERSION",
    "ArrayLimits",
    "Chunk",
    "Coded",
    "Entry",
    "Raw",
    "chunk_rows",
    "read",
    "write",
]

Buffer = bytes | bytearray | memoryview

VERSION = 1
SIGNATURE = b"\x89GLA\r\n\x1a\n"

_NAMES = ["float16", "float32", "float64", "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"]
_NAMES += ["uint64", "complex64", "complex128"]
DTYPES = {code: np.dtype(name) for code, name in enumerate(_NAMES, 1)}
"""Types of elements by their code in the file; only the first three can be coded as code points."""

FLOATS = 3
RAW, CODED = 0, 1
SHARED, OWN, LEARNT = 0, 1, 2

MAX_GROUPS = 32767  # the entropy coder's tables
MAX_DIMENSIONS = 32
MAX_CODED = 2**32 - 1  # values of an array of code points: its counts, times 2^30, are 64-bit integers
EXPONENT_BIAS = 2048

HEAD: tuple[Field, ...] = (
    Number("version", "u8", 1, VERSION, "version of the format", VersionError),
    Number("array_count", "varint", 1, 2**20, "number of arrays"),
)
ARRAY: tuple[Field, ...] = (
    Text("name", 1024, "the array's name; no two are the same"),
    Number("dtype", "u8", 1, len(DTYPES), "type of the elements, see Types"),
    Number("coding", "u8", RAW, CODED, "0: as they are; 1: code points", VersionError),
    Number("dimensions", "u8", 0, MAX_DIMENSIONS, "number of dimensions"),
)
DIMENSION = Number("dimension", "varint", 0, 2**32 - 1, "length along a dimension, the first dimension first")
RAW_FIELDS: tuple[Field, ...] = (
    Number("raw_length", "varint", 0, 2**35 - 1, "length of the payload in bytes"),
    Number("raw_crc", "u32", 0, 2**32 - 1, "CRC-32 of the payload"),
)
CODED_FIELDS: tuple[Field, ...] = (
    Number("exponent", "u16", 0, 2 * EXPONENT_BIAS, "2048 + e: values are the scaled ones times 2^e"),
    Number("groups_axis", "u8", 0, MAX_DIMENSIONS, "0: one group; otherwise 1 + the axis whose indices are groups"),
    Number("max_bits", "u8", 1, 15, "N, the largest depth of a code point"),
    Number("depth", "u8", 0, 15, "D, the largest depth that occurs, at most N"),
    Number("prior", "u8", 0, 2, "0: Gaussian; 1: empirical; 2: a table", VersionError),
    Number("mode", "u8", SHARED, LEARNT, "tables: 0 one for all groups; 1 one for each; 2 learnt", VersionError),
    Number("pooled", "u8", 0, 20, "log2 of the concentration a; 0 unless tables are learnt"),
    Number("own", "u8", 0, 20, "log2 of the concentration b; 0 unless tables are learnt"),
    Number("prior_length", "varint", 0, 2**32 - 1, "length of the prior's parameters in bytes"),
    Number("prior_crc", "u32", 0, 2**32 - 1, "CRC-32 of the prior's parameters"),
    Number("tables_length", "varint", 0, 2**32 - 1, "length of the tables in bytes; 0 where they are learnt"),
    Number("tables_crc", "u32", 0, 2**32 - 1, "CRC-32 of the tables' bytes"),
)
CHUNK: tuple[Field, ...] = (
    Number("chunk_length", "varint", 0, 2**32 - 1, "length of this chunk's stream in bytes"),
    Number("chunk_checksum", "u32", 0, 2**32 - 1, "CRC-32 of the chunk's decoded symbols"),
)
SIGNATURE_FIELD = Octets("signature", 8, "what makes this a file of arrays", SIGNATURE.hex(" ").upper())
FIELDS: tuple[Field, ...] = (
    SIGNATURE_FIELD,
    *HEAD,
    *ARRAY,
    DIMENSION,
    *RAW_FIELDS,
    *CODED_FIELDS,
    *CHUNK,
    HEADER_CRC,
)
"""All fields in file order, for the page that specifies them."""


@dataclass(frozen=True, slots=True)
class ArrayLimits:
    """What a reader accepts; larger files raise LimitError. Raise them for files that you trust.

    Attributes:
        max_values: elements of all arrays together; each takes a few bytes when decoded, and up to none in a file.
        max_points: code points of all groups of an array, each a float64 while it is decoded.
    """

    max_values: int = 2**28
    max_points: int = 2**24


DEFAULT_ARRAY_LIMITS = ArrayLimits()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of rows: its stream, and the checksum of its symbols (``ans.checksum``)."""

    stream: Buffer
    checksum: int


@dataclass(frozen=True, slots=True)
class Raw:
    """An array as it is: its bytes in C order, little-endian, deflated (RFC 1951)."""

    payload: Buffer


@dataclass(frozen=True, slots=True)
class Coded:
    """An array as code points; the attributes are the header's fields.

    ``axis`` is None for one group, ``exponent`` has no bias, ``parameters`` are the prior's, ``tables`` are packed.
    """

    exponent: int
    axis: int | None
    max_bits: int
    depth: int
    prior: int
    mode: int
    pooled: int
    own: int
    parameters: Buffer
    tables: Buffer
    chunks: Sequence[Chunk]


@dataclass(frozen=True, slots=True)
class Entry:
    """One array of a file."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    content: Raw | Coded

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def payload_bytes(self) -> int:
        """What the array takes in the file without its part of the header."""
        content = self.content
        if isinstance(content, Raw):
            return len(content.payload)
        return len(content.parameters) + len(content.tables) + sum(len(chunk.stream) for chunk in content.chunks)


def chunk_rows(groups: int) -> int:
    """How many rows a chunk has, but for the last: about 2^20 values, and at least 1024 rows."""
    return max(1024, (1 << 20) // groups)


def _rows_and_groups(shape: tuple[int, ...], axis: int | None) -> tuple[int, int]:
    groups = 1 if axis is None else shape[axis]
    return (prod(shape) // groups if groups else 0), groups


# --- Writing -----------------------------------------------------------------------------------------------


def write(entries: Sequence[Entry]) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: a value out of its field's range, or two arrays of one name.
    """
    header = bytearray(SIGNATURE + write_record(HEAD, {"version": VERSION, "array_count": len(entries)}))
    payloads: list[Buffer] = []
    codes = {dtype: code for code, dtype in DTYPES.items()}
    names = set()
    for entry in entries:
        if entry.name in names:
            raise InputError(f"two arrays are called {entry.name!r}")
        names.add(entry.name)
        content = entry.content
        coding = RAW if isinstance(content, Raw) else CODED
        values = {"name": entry.name, "dtype": codes[entry.dtype], "coding": coding, "dimensions": len(entry.shape)}
        header += write_record(ARRAY, values)
        for length in entry.shape:
            header += DIMENSION.write(length)
        if isinstance(content, Raw):
            header += write_record(RAW_FIELDS, {"raw_length": len(content.payload), "raw_crc": crc32(content.payload)})
            payloads.append(content.payload)
            continue
        header += write_record(CODED_FIELDS, _coded_values(content))
        for chunk in content.chunks:
            header += write_record(CHUNK, {"chunk_length": len(chunk.stream), "chunk_checksum": chunk.checksum})
        payloads += [content.parameters, content.tables, *(chunk.stream for chunk in content.chunks)]
    header += HEADER_CRC.write(crc32(header))
    return b"".join([header, *payloads])


def _coded_values(content: Coded) -> dict[str, int]:
    return {
        "exponent": content.exponent + EXPONENT_BIAS,
        "groups_axis": 0 if content.axis is None else content.axis + 1,
        "max_bits": content.max_bits,
        "depth": content.depth,
        "prior": content.prior,
        "mode": content.mode,
        "pooled": content.pooled,
        "own": content.own,
        "prior_length": len(content.parameters),
        "prior_crc": crc32(content.parameters),
        "tables_length": len(content.tables),
        "tables_crc": crc32(content.tables),
    }


# --- Reading -----------------------------------------------------------------------------------------------


def read(data: Buffer, *, limits: ArrayLimits = DEFAULT_ARRAY_LIMITS) -> list[Entry]:
    """Take a file apart; payloads are views of ``data``. ``write(read(data)) == data``.

    Raises:
        SignatureError, VersionError, TruncatedError, CorruptError, LimitError: see glissando.errors. Damage in
            streams is not seen here, but by their checksums once they are decoded.
    """
    cursor = Cursor(data)
    check_signature(cursor, SIGNATURE_FIELD, SIGNATURE, "Glissando file of arrays")
    count = read_record(cursor, HEAD)["array_count"]
    cursor.require(count * sum(field.min_bytes for field in (*ARRAY, *RAW_FIELDS)), "table of arrays")
    headers: list[_ArrayHeader] = []
    names = set()
    for _ in range(count):
        header = _read_array_header(cursor, limits)
        if header.name in names:
            raise CorruptError(f"two arrays are called {header.name!r}")
        names.add(header.name)
        headers.append(header)
    total = sum(prod(header.shape) for header in headers)
    if total > limits.max_values:
        raise LimitError(f"the file declares {total} values; the caller's limit is {limits.max_values}")

    covered = cursor.offset
    if HEADER_CRC.read(cursor) != crc32(cursor.data[:covered]):
        raise CorruptError(f"header_crc at byte {covered} is not the CRC of the header's {covered} bytes")

    file_bytes = cursor.offset + sum(header.payload_bytes for header in headers)
    if len(cursor.data) < file_bytes:
        raise TruncatedError(f"the file needs {file_bytes} bytes; {len(cursor.data)} are present")
    if len(cursor.data) > file_bytes:
        raise CorruptError(f"the file should end at byte {file_bytes}; {len(cursor.data) - file_bytes} bytes follow")
    return [_take_payload(cursor, header) for header in headers]


@dataclass(frozen=True, slots=True)
class _ArrayHeader:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    coding: int
    values: dict[str, Any]
    chunks: list[dict[str, Any]]

    @property
    def payload_bytes(self) -> int:
        if self.coding == RAW:
            return int(self.values["raw_length"])
        own = self.values["prior_length"] + self.values["tables_length"]
        return int(own + sum(chunk["chunk_length"] for chunk in self.chunks))


def _read_array_header(cursor: Cursor, limits: ArrayLimits) -> _ArrayHeader:
    place = cursor.offset
    head = read_record(cursor, ARRAY)
    name = head["name"]
    shape = tuple(DIMENSION.read(cursor) for _ in range(head["dimensions"]))
    dtype = DTYPES[head["dtype"]]
    if head["coding"] == RAW:
        return _ArrayHeader(name, dtype, shape, RAW, read_record(cursor, RAW_FIELDS), [])

    where = f"array {name!r} at byte {place}"
    values = read_record(cursor, CODED_FIELDS)
    if head["dtype"] > FLOATS:
        raise CorruptError(f"{where} has code points of type {dtype}; they are floating-point numbers")
    if not prod(shape):
        raise CorruptError(f"{where} has code points but no values")
    if values["groups_axis"] > len(shape):
        raise CorruptError(f"{where}: groups_axis is {values['groups_axis']}; it has {len(shape)} dimensions")
    if values["depth"] > values["max_bits"]:
        raise CorruptError(f"{where}: depth is {values['depth']}; max_bits is {values['max_bits']}")
    if values["mode"] != LEARNT and (values["pooled"] or values["own"]):
        raise CorruptError(f"{where} has concentrations, but its tables are not learnt")
    axis = values["groups_axis"] - 1 if values["groups_axis"] else None
    rows, groups = _rows_and_groups(shape, axis)
    if groups > MAX_GROUPS:
        raise CorruptError(f"{where} has {groups} groups; at most {MAX_GROUPS} are possible")
    if prod(shape) > MAX_CODED:
        raise CorruptError(f"{where} has {prod(shape)} values; at most {MAX_CODED} are possible")
    points = groups << (values["max_bits"] + 1)
    if points > limits.max_points:
        raise LimitError(f"{where} declares {points} code points; the caller's limit is {limits.max_points}")
    if prod(shape) > limits.max_values:
        raise LimitError(f"{where} declares {prod(shape)} values; the caller's limit is {limits.max_values}")
    count = -(-rows // chunk_rows(groups))
    cursor.require(count * sum(field.min_bytes for field in CHUNK), f"table of {count} chunks")
    chunks = [read_record(cursor, CHUNK) for _ in range(count)]
    return _ArrayHeader(name, dtype, shape, CODED, values, chunks)


def _take_payload(cursor: Cursor, header: _ArrayHeader) -> Entry:
    values = header.values
    content: Raw | Coded
    if header.coding == RAW:
        content = Raw(cursor.take(values["raw_length"], "payload"))
        if crc32(content.payload) != values["raw_crc"]:
            raise CorruptError(f"the payload of array {header.name!r} does not have the CRC of the header")
        return Entry(header.name, header.dtype, header.shape, content)
    parts = {}
    for part in ("prior", "tables"):
        parts[part] = cursor.take(values[f"{part}_length"], part)
        if crc32(parts[part]) != values[f"{part}_crc"]:
            raise CorruptError(f"the {part} of array {header.name!r} do not have the CRC of the header")
    content = Coded(
        exponent=values["exponent"] - EXPONENT_BIAS,
        axis=values["groups_axis"] - 1 if values["groups_axis"] else None,
        max_bits=values["max_bits"],
        depth=values["depth"],
        prior=values["prior"],
        mode=values["mode"],
        pooled=values["pooled"],
        own=values["own"],
        parameters=parts["prior"],
        tables=parts["tables"],
        chunks=[Chunk(cursor.take(c["chunk_length"], "chunk"), c["chunk_checksum"]) for c in header.chunks],
    )
    return Entry(header.name, header.dtype, header.shape, content)
