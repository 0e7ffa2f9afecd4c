"""The container of arrays: round trips, and every way we know of to harm a file or its reader."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glissando.bitstream import SymbolTables, ans, arrays
from glissando.bitstream.arrays import ArrayLimits, Chunk, Coded, Entry, Raw
from glissando.errors import (
    CorruptError,
    FormatError,
    InputError,
    LimitError,
    SignatureError,
    TruncatedError,
    VersionError,
)

FLOAT = np.dtype(np.float32)
CODED = Coded(-3, 1, 10, 4, 1, arrays.OWN, 0, 0, b"knots", b"levels", [Chunk(b"stream__", 77), Chunk(b"", 2**32 - 1)])
UNLIMITED = ArrayLimits(2**60, 2**60)


def example() -> list[Entry]:
    return [
        Entry("w", FLOAT, (1025, 1024), CODED),
        Entry("größe", np.dtype(np.float16), (), dataclasses.replace(CODED, axis=None, chunks=[Chunk(b"s", 1)])),
        Entry("raw", np.dtype(np.complex64), (0, 2**32 - 1), Raw(b"")),
        Entry("", np.dtype(np.int64), (3,), Raw(b"payload")),
    ]


def plain(entries: list[Entry]) -> list[Entry]:
    """The same entries with bytes for views."""

    def content(of: Raw | Coded) -> Raw | Coded:
        if isinstance(of, Raw):
            return Raw(bytes(of.payload))
        chunks = [Chunk(bytes(chunk.stream), chunk.checksum) for chunk in of.chunks]
        return dataclasses.replace(of, parameters=bytes(of.parameters), tables=bytes(of.tables), chunks=chunks)

    return [dataclasses.replace(entry, content=content(entry.content)) for entry in entries]


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_round_trip(buffer: Callable[[bytes], bytes]) -> None:
    data = arrays.write(example())
    found = arrays.read(buffer(data))
    assert plain(found) == example()
    assert arrays.write(found) == data
    assert sum(entry.payload_bytes for entry in found) == len(b"knotslevels") * 2 + 8 + 1 + 7
    assert [entry.size for entry in found] == [1025 * 1024, 1, 0, 3]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=9),
            st.sampled_from(list(arrays.DTYPES.values())),
            st.lists(st.integers(0, 9), max_size=5).map(tuple),
            st.binary(max_size=40),
        ),
        min_size=1,
        max_size=5,
        unique_by=lambda item: item[0],
    )
)
def test_any_raw_arrays(items: list[tuple[str, np.dtype, tuple[int, ...], bytes]]) -> None:  # type: ignore[type-arg]
    entries = [Entry(name, dtype, shape, Raw(payload)) for name, dtype, shape, payload in items]
    assert plain(arrays.read(arrays.write(entries))) == entries


def test_chunks_have_about_a_million_values_and_many_rows() -> None:
    assert [arrays.chunk_rows(groups) for groups in (1, 3, 1024, 32767)] == [2**20, 349525, 1024, 1024]


# --- Damage ------------------------------------------------------------------------------------------------


def test_every_truncation_is_called_one() -> None:
    data = arrays.write(example())
    for length in range(len(data)):
        with pytest.raises(TruncatedError, match=rf"\b{length} (bytes )?are present"):
            arrays.read(data[:length])


@pytest.mark.parametrize("limits", [ArrayLimits(), UNLIMITED], ids=["default", "unlimited"])
def test_every_bit_flip_outside_the_streams_is_an_error(limits: ArrayLimits) -> None:
    data = arrays.write(example())
    streams = {*range(data.index(b"stream__"), data.index(b"stream__") + 8), data.rindex(b"levelss") + 6}
    for bit in (b for b in range(8 * len(data)) if b // 8 not in streams):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            arrays.read(damaged, limits=limits)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 60))
def test_noise_is_never_another_exception(noise: bytes, kept: int) -> None:
    with pytest.raises(FormatError):
        arrays.read(arrays.write(example())[:kept] + noise + b"!")


@pytest.mark.parametrize(
    ("mangle", "message"),
    [
        (lambda data: data.replace(b"\r\n", b"\n"), "text mode"),
        (lambda data: bytes(byte & 0x7F for byte in data), "text mode"),
        (lambda data: data.decode("latin-1").encode(), "text mode"),
        (lambda data: b"\x89GLS" + data[4:], "not a Glissando file of arrays"),
        (lambda data: b"\x93NUMPY" + data[6:], "not a Glissando file of arrays"),
    ],
)
def test_other_signatures(mangle: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(SignatureError, match=message):
        arrays.read(mangle(arrays.write(example())))


def sealed(body: bytes, rest: bytes = b"") -> bytes:
    """A header made by hand: its version and what follows, with signature and checksum."""
    header = arrays.SIGNATURE + body
    return header + crc32(header).to_bytes(4, "big") + rest


RAW_B = b"\x01b\x04\x00\x00" + b"\x00" + bytes(4)  # "b", bool, as it is, no dimensions, no payload


def coded(
    *,
    shape: bytes = b"\x01\x05",
    dtype: int = 2,
    axis: int = 0,
    bits: int = 10,
    depth: int = 2,
    prior: int = 0,
    mode: int = 2,
    pooled: int = 0,
    chunks: bytes = bytes(5),
) -> bytes:
    fields = bytes([axis, bits, depth, prior, mode, pooled, 0])
    return b"\x01\x01\x01w" + bytes([dtype, 1]) + shape + b"\x08\x00" + fields + bytes(10) + chunks


def test_the_smallest_files() -> None:
    assert arrays.read(sealed(b"\x01\x01" + RAW_B))[0].shape == ()
    (entry,) = arrays.read(sealed(coded()))
    assert isinstance(entry.content, Coded)
    assert entry.content.exponent == 0


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b"\x02\x01" + RAW_B, VersionError, "version at byte 8 is 2"),
        (b"\x01\x00" + RAW_B, CorruptError, "array_count at byte 9 is 0"),
        (b"\x01\x02" + RAW_B * 2, CorruptError, "two arrays are called 'b'"),
        (b"\x01\x01\x01\xff\x04\x00\x00\x00" + bytes(4), CorruptError, "name at byte 10 is not UTF-8"),
        (b"\x01\x01\x81\x08" + b"n" * 1025, CorruptError, "name at byte 10 is 1025"),
        (b"\x01\x01\x01b\x0f\x00\x00\x00" + bytes(4), CorruptError, "dtype at byte 12 is 15"),
        (b"\x01\x01\x01b\x04\x02\x00\x00" + bytes(4), VersionError, "coding at byte 13 is 2"),
        (b"\x01\x01\x01b\x04\x00\x21" + bytes(40), CorruptError, "dimensions at byte 14 is 33"),
        (coded(dtype=4), CorruptError, "array 'w' at byte 10 has code points of type bool"),
        (coded(shape=b"\x01\x00"), CorruptError, "code points but no values"),
        (coded(axis=2), CorruptError, "groups_axis is 2; it has 1 dimensions"),
        (coded(bits=0), CorruptError, "max_bits at byte .* is 0"),
        (coded(bits=16), CorruptError, "max_bits at byte .* is 16"),
        (coded(bits=1), CorruptError, "depth is 2; max_bits is 1"),
        (coded(prior=3), VersionError, "prior at byte .* is 3"),
        (coded(mode=3), VersionError, "mode at byte .* is 3"),
        (coded(mode=1, pooled=1), CorruptError, "has concentrations, but its tables are not learnt"),
        (coded(axis=1, shape=b"\x01\x80\x80\x02", bits=2), CorruptError, "has 32768 groups; at most 32767"),
        (coded(axis=1, shape=b"\x01\x80\x20"), None, ""),
        (coded(shape=b"\x02\x80\x80\x80\x80\x08\x02"), CorruptError, "has 4294967296 values; at most 4294967295"),
        (coded(axis=1, shape=b"\x01\x81\x40"), LimitError, r"declares 16779264 code points; .* limit is 16777216"),
        (coded(shape=b"\x01\x81\x80\x80\x80\x01"), LimitError, "declares 268435457 values; .* 268435456"),
        (coded(shape=b"\x02\x81\x80\x80\x80\x01\x07"), LimitError, "values"),
        (coded(shape=b"\x01\x80\x80\x80\x80\x01"), TruncatedError, "table of 256 chunks"),
        (b"\x01\x01\x01b\x04\x00\x02\xff\xff\xff\xff\x0f\x02\x00" + bytes(4), LimitError, "declares 8589934590 values"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, error: type[FormatError] | None, message: str) -> None:
    if error is None:
        arrays.read(sealed(body))
        return
    with pytest.raises(error, match=message) as caught:
        arrays.read(sealed(body))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "body",
    [
        b"\x01\xff\xff\x3f" + RAW_B,
        coded(shape=b"\x01\xff\xff\xff\xff\x0f"),
        coded(chunks=b"\xff\xff\xff\xff\x0f" + bytes(4)),
        b"\x01\x01\x01b\x04\x00\x00\xff\xff\xff\xff\x7f" + bytes(4),
    ],
    ids=["arrays", "chunks", "chunk length", "raw length"],
)
def test_a_huge_length_allocates_nothing(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedError):
            arrays.read(sealed(body), limits=UNLIMITED)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_damaged_payloads_are_named() -> None:
    data = arrays.write(example())
    for part, message in (
        ("knots", "the prior of array 'w'"),
        ("levels", "the tables of array 'w'"),
        ("payl", "array ''"),
    ):
        with pytest.raises(CorruptError, match=message):
            arrays.read(data.replace(part.encode(), part.upper().encode(), 1))
    with pytest.raises(CorruptError, match="1 bytes follow"):
        arrays.read(data + b"!")


def test_what_is_not_written() -> None:
    good = example()[3]
    for entries, message in (
        ([good, good], "two arrays are called ''"),
        ([dataclasses.replace(good, name="n" * 1025)], "has 1025 bytes; at most 1024"),
        ([dataclasses.replace(good, shape=(2**32,))], "dimension is 4294967296"),
        ([dataclasses.replace(good, shape=(1,) * 33)], "dimensions is 33"),
        ([], "array_count is 0"),
        ([dataclasses.replace(good, content=dataclasses.replace(CODED, max_bits=16))], "max_bits is 16"),
    ):
        with pytest.raises(InputError, match=message):
            arrays.write(entries)


def test_passes_with_tables_of_their_own() -> None:
    """The coder's way in and out for tables that are learnt."""
    narrow = SymbolTables(np.array([2**24 - 6, 6]), np.array([0]))
    wide = SymbolTables(np.array([2**22, 2**23, 2**22 - 1, 1] * 2), np.array([1, 1]))
    passes = [
        (np.array([0, 0, 9], np.int16), np.zeros(3, np.int16), narrow),
        (np.array([-1, 1, 0, -7], np.int16), np.array([0, 1, 1, 0], np.int16), wide),
    ]
    decoder = ans.Decoder(ans.encode_reversed(iter(passes[::-1])), narrow)
    for symbols, index, tables in passes:
        np.testing.assert_array_equal(decoder.decode(index, tables), symbols)
    decoder.finish()
