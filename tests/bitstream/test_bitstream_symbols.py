"""Symbol streams: exact round trips, the documented arithmetic, the ideal size, and what damage does."""

from __future__ import annotations

import contextlib
import math
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import bitstream_reference as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glissando.bitstream import MAX_SYMBOL, SymbolTables, ans
from glissando.errors import CorruptError, InputError, ModelMismatchError

Pass = tuple[NDArray[Any], NDArray[Any]]


def symbol_tables(tables: list[reference.Table]) -> SymbolTables:
    return SymbolTables(
        np.concatenate([frequencies for _, frequencies in tables]), np.array([radius for radius, _ in tables])
    )


EXAMPLE = [(0, [12582912, 4194304]), (1, [4194304, 8388608, 4128768, 65536])]  # those of docs/format.md
GAUSSIANS = [reference.discretised(0.12 * 2 ** (t / 8), lambda x: math.exp(-x * x / 2)) for t in range(64)]
LAPLACIANS = [reference.discretised(2.0**t, lambda x: math.exp(-abs(x))) for t in range(6)]
EXTREMES = [(0, [1, 2**24 - 1]), (0, [2**24 - 1, 1]), (3, [1, 1, 1, 2**24 - 7, 1, 1, 1, 1]), *LAPLACIANS]


def array(*values: int) -> NDArray[np.int16]:
    return np.array(values, np.int16)


def decode(data: bytes, indices: list[NDArray[Any]], tables: SymbolTables) -> list[NDArray[np.int16]]:
    decoder = ans.Decoder(data, tables)
    passes = [decoder.decode(index) for index in indices]
    decoder.finish()
    return passes


def assert_round_trip(passes: list[Pass], tables: SymbolTables) -> bytes:
    data = ans.encode(passes, tables)
    for (symbols, index), decoded in zip(passes, decode(data, [i for _, i in passes], tables), strict=True):
        assert decoded.dtype == np.int16
        assert decoded.shape == index.shape
        np.testing.assert_array_equal(decoded, symbols)
    return data


@st.composite
def any_passes(draw: st.DrawFn, tables: int) -> list[Pass]:
    """Mostly small symbols, some of any size, some not coded."""
    symbol = st.integers(-4, 4) | st.integers(-MAX_SYMBOL, MAX_SYMBOL)
    coded = st.tuples(symbol, st.integers(0, tables - 1))
    skipped = st.tuples(st.just(0), st.integers(-3, -1))
    passes = draw(st.lists(st.lists(coded | skipped, max_size=40), max_size=4))
    return [(array(*(s for s, _ in pairs)), array(*(i for _, i in pairs))) for pairs in passes]


@settings(max_examples=300, deadline=None)
@given(any_passes(len(EXTREMES)))
def test_any_symbols_come_back_and_match_the_reference_both_ways(passes: list[Pass]) -> None:
    data = assert_round_trip(passes, symbol_tables(EXTREMES))

    as_lists = [(symbols.tolist(), index.tolist()) for symbols, index in passes]
    assert data == reference.encode(as_lists, EXTREMES)
    decoder = reference.Decoder(data)
    for symbols, index in as_lists:
        assert decoder.decode(index, EXTREMES) == symbols
    assert decoder.empty


@settings(max_examples=100, deadline=None)
@given(any_passes(len(EXTREMES)), st.randoms(use_true_random=False))
def test_runs_come_back_in_any_order_of_tables(passes: list[Pass], random: Random) -> None:
    tables = symbol_tables(EXTREMES)
    runs: list[ans.Runs] = []
    for symbols, index in passes:
        run_tables, counts = np.unique(index[index >= 0], return_counts=True)
        order = np.argsort(index[index >= 0], kind="stable")
        runs.append((symbols[index >= 0][order], run_tables, counts, tables))
    assert ans.encode_runs_reversed(reversed(runs)) == ans.encode(passes, tables)

    mixed = []
    for symbols, run_tables, counts, _ in runs:
        shuffled = np.array(random.sample(run_tables.tolist(), len(run_tables)), np.int16)
        mixed.append((symbols, shuffled, counts, tables))
    decoder = ans.Decoder(ans.encode_runs_reversed(reversed(mixed)), tables)
    for symbols, run_tables, counts, _ in mixed:
        np.testing.assert_array_equal(decoder.decode_runs(run_tables, counts), symbols)
    decoder.finish()


@pytest.mark.parametrize("tables", [EXAMPLE, EXTREMES, GAUSSIANS], ids=["example", "extremes", "gaussians"])
def test_every_entry_of_every_table_matches_the_reference(tables: list[reference.Table]) -> None:
    rng = np.random.default_rng(5)
    pairs = [(k, t) for t, (radius, _) in enumerate(tables) for k in range(-radius - 3, radius + 4)]
    pairs += [(sign * k, t) for t in range(len(tables)) for k in (MAX_SYMBOL, 2**14) for sign in (-1, 1)]
    symbols, index = np.array(pairs * 2, np.int16)[rng.permutation(2 * len(pairs))].T
    data = assert_round_trip([(symbols, index)], symbol_tables(tables))

    decoder = reference.Decoder(data)
    assert decoder.decode(index.tolist(), tables) == symbols.tolist()
    assert decoder.empty


def test_golden_bytes_of_the_documented_example() -> None:
    tables = symbol_tables(EXAMPLE)
    hyper = [(array(0, 0, -1), array(0, 0, 0))]
    latents = [(array(1, 0, -1, 0, 40), array(1, -1, 1, 0, 1)), (array(0, -2, 1), array(1, 0, 1))]

    assert assert_round_trip(hyper, tables).hex() == "00008004"
    assert assert_round_trip(latents, tables).hex() == "0000bd531bba0700"
    assert ans.checksum([symbols for symbols, _ in hyper + latents]) == 0x480C3F8A


def test_golden_bytes_of_many_tables() -> None:
    # Integers from a plain recurrence: neither numpy's generators nor its maths may move these bytes.
    state, passes = 1, []
    for n in (150, 90):
        drawn = []
        for _ in range(n):
            state = state * 6364136223846793005 + 1442695040888963407 & 2**64 - 1
            table = (state >> 33) % 9 - 1
            spread = 0 if table < 0 else 2 ** (table // 2 + (state >> 50) % 3)
            drawn.append(((state >> 40) % (2 * spread + 1) - spread, table))
        passes.append((array(*(s for s, _ in drawn)), array(*(t for _, t in drawn))))
    tables = []
    for radius in range(8):
        each = 2**24 // (2 * radius + 2)
        tables.append((radius, [each] * (2 * radius + 1) + [2**24 - each * (2 * radius + 1)]))

    assert assert_round_trip(passes, symbol_tables(tables)).hex() == GOLDEN
    assert reference.encode([(s.tolist(), i.tolist()) for s, i in passes], tables).hex() == GOLDEN


GOLDEN = (
    "00002004a840500334200501041002100321230600408858eccc49dfffff9f5fd87939c8e68fed7be3fa25458beafbe8"
    "10ca5bbb3bd9a7cf72c709488ace609ca8dc0c424331215003424314051333031423141000212200000300100020008a"
    "06ad12590dd1f5f5439bf5144f1f35098035ee1a660ab066d18987259f1166fc6adc60835e3b499e9c30f8dca77d298a"
    "414a296ef3c2d2bfd8810100"
)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_nothing_coded_is_no_bytes(count: int) -> None:
    tables = symbol_tables(EXAMPLE)
    zeros = np.zeros(count, np.int16)
    assert assert_round_trip([(zeros, zeros - 1)] * 2, tables) == b""
    assert ans.encode([], tables) == b""
    ans.Decoder(b"", tables).finish()


@pytest.mark.parametrize("symbol", [-MAX_SYMBOL, -2, -1, 0, 1, 2, MAX_SYMBOL])
@pytest.mark.parametrize("table", [0, 1])
def test_a_single_symbol(symbol: int, table: int) -> None:
    assert_round_trip([(array(symbol), array(table))], symbol_tables(EXAMPLE))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_any_integer_type_gives_the_same_bytes(dtype: Any) -> None:
    symbols, index = array(0, 2, 1, 3), array(1, 0, 1, 1)
    tables = symbol_tables(EXAMPLE)
    expected = ans.encode([(symbols, index)], tables)
    assert ans.encode([(symbols.astype(dtype), index.astype(dtype))], tables) == expected


def test_more_tables_than_a_byte_counts() -> None:
    tables = symbol_tables(EXAMPLE * 200)
    index = np.random.default_rng(2).integers(-1, 400, 3000)
    assert_round_trip([(np.where(index < 0, 0, index % 5 - 2), index)], tables)


@pytest.mark.parametrize("skipped", [0.0, 0.9])
def test_the_size_is_ideal(skipped: float) -> None:
    rng = np.random.default_rng(7)
    tables = symbol_tables(GAUSSIANS)
    index = np.where(rng.random(100_000) < skipped, -1, rng.integers(0, len(GAUSSIANS), 100_000))
    scales = np.where(index < 0, 0, 0.25 * 2 ** (index / 8))  # wider than the tables: escapes happen
    symbols = np.rint(rng.normal(size=index.size) * scales).astype(np.int16)
    assert np.any(np.abs(symbols) > tables.radii[index])

    data = assert_round_trip([(symbols, index)], tables)
    ideal = tables.ideal_bits(symbols, index) / 8
    assert 0.999 * ideal - 16 <= len(data) <= 1.001 * ideal + 16


def test_ideal_bits_by_hand() -> None:
    tables = symbol_tables(EXAMPLE)
    assert tables.ideal_bits(array(0, 0, -1), array(1, 1, 1)) == pytest.approx(1 + 1 + 2)
    # Table 0's escape has 2 bits; sign 1, length 4; excess 5 has 3 digits, of which 2 are sent.
    assert tables.ideal_bits(array(6, 0), array(0, -1)) == pytest.approx(2 + 1 + 4 + 2)
    assert tables.ideal_bits(array(), array()) == 0


def test_every_bit_flip_shows() -> None:
    """As other symbols, as something left over, or as an error: never as the same symbols."""
    tables = symbol_tables(LAPLACIANS)
    rng = np.random.default_rng(3)
    index = rng.integers(-1, len(LAPLACIANS), 60)
    symbols = np.rint(rng.laplace(size=60) * np.where(index < 0, 0, 1.5 * 2.0**index)).astype(np.int16)
    data = ans.encode([(symbols, index)], tables)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            decoded = decode(bytes(damaged), [index], tables)[0]
        except CorruptError:
            continue
        assert np.any(decoded != symbols), f"bit {bit}"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 50))
def test_noise_decodes_or_says_so(data: bytes, count: int) -> None:
    index = np.arange(count) % len(EXTREMES)
    with contextlib.suppress(CorruptError):
        decode(data, [index], symbol_tables(EXTREMES))


def test_a_stream_must_be_whole_words_and_canonical() -> None:
    tables = symbol_tables(EXAMPLE)
    with pytest.raises(CorruptError, match=r"4-byte words.* 5 bytes"):
        ans.Decoder(b"12345", tables)
    with pytest.raises(CorruptError, match="never zero"):
        ans.Decoder(b"1234\0\0\0\0", tables)
    with pytest.raises(CorruptError, match="31 bits are left over"):
        ans.Decoder(b"\0\0\0\x80", tables).finish()


def test_a_decoded_symbol_out_of_range_is_damage() -> None:
    # A legal stream that no encoder makes: an escape with the largest excess, from a radius above 0.
    table = EXAMPLE[1]
    pushes = [(65536, 2**24 - 65536), (2**23, 0), (2**20, 15 << 20), (2**10, 2**24 - 2**10)]
    state = 0
    for f, c in reversed(pushes):
        state = (state // f << 24) + c + state % f
    data = state.to_bytes(8, "little").rstrip(b"\0")
    data += bytes(-len(data) % 4)
    assert reference.Decoder(data).decode([0], [table]) == [32769]
    with pytest.raises(CorruptError, match="magnitude 32769"):
        ans.Decoder(data, symbol_tables([table])).decode(array(0))


@pytest.mark.parametrize(
    ("symbols", "index", "message"),
    [
        (array(1), array(2), r"index 2 names a table; there are 2"),
        (array(0, 3), array(0, -1), r"symbol 1 is 3, but its table index -1"),
        (array(-32768), array(0), r"symbols are -32768\.\.-32768"),
        (np.array([40000]), array(0), r"symbols are 40000"),
        (array(1, 2), array(0), r"symbols must be 1 integers"),
        (np.array([0.5]), array(0), r"float64"),
        (array(0), np.array([0.5]), r"index must be integers.* float64"),
        (np.zeros((2, 2), np.int16), np.zeros((2, 2), np.int16), r"one dimension.*\(2, 2\)"),
    ],
)
def test_what_cannot_be_coded_is_named(symbols: NDArray[Any], index: NDArray[Any], message: str) -> None:
    tables = symbol_tables(EXAMPLE)
    with pytest.raises(InputError, match=message):
        ans.encode([(symbols, index)], tables)
    with pytest.raises(InputError, match=message):
        tables.ideal_bits(symbols, index)


@pytest.mark.parametrize(
    ("frequencies", "radii", "message"),
    [
        ([2**23, 2**23 - 1], [0], r"table 0 sums to 16777215"),
        ([2**23, 2**23, 2**23, 2**23 + 1], [0, 0], r"table 1 sums"),
        ([2**24, 0], [0], r"frequency 0 is 16777216"),
        ([2**23, 2**23, 0, 2**24 - 1], [0, 0], r"frequency 2 is 0"),
        ([2**23, -(2**23)], [0], r"frequency 1 is -8388608"),
        ([2**23, 2**23], [1], r"radii ask for 4 frequencies; there are 2"),
        ([2**23, 2**23], [-1], r"radii are -1"),
        ([2**23, 2**23], [32768], r"radii are 32768"),
        ([], [], r"symbol tables, not 0"),
        ([0.5, 0.5], [0], r"frequencies must be integers"),
        ([[2**23, 2**23]], [0], r"shape \(1, 2\)"),
    ],
)
def test_bad_tables_are_named(frequencies: list[Any], radii: list[int], message: str) -> None:
    kind = np.asarray(frequencies if frequencies else [0]).dtype
    with pytest.raises(ModelMismatchError, match=message):
        SymbolTables(np.array(frequencies, kind), np.array(radii, np.int64))


def test_the_tables_are_copies_that_do_not_change() -> None:
    frequencies = np.array(EXAMPLE[0][1], np.uint32)
    tables = SymbolTables(frequencies, np.array([0], np.int32))
    frequencies[0] = 5
    assert tables.frequencies[0] == 12582912
    with pytest.raises(ValueError, match="read-only"):
        tables.frequencies[0] = 5


def test_threads_share_tables_from_their_first_use() -> None:
    tables = symbol_tables(GAUSSIANS)
    index = np.arange(5000) % len(GAUSSIANS)
    symbols = (np.arange(5000) % 7 - 3).astype(np.int16)
    with ThreadPoolExecutor(8) as pool:
        streams = list(pool.map(lambda _: ans.encode([(symbols, index)], tables), range(16)))
        decoded = list(pool.map(lambda data: decode(data, [index], tables)[0], streams))
    assert len(set(streams)) == 1
    assert all(np.array_equal(each, symbols) for each in decoded)


def test_the_largest_radius() -> None:
    frequencies = np.full(65536, 256)
    tables = SymbolTables(frequencies, np.array([32767]))
    assert_round_trip([(array(-MAX_SYMBOL, 0, MAX_SYMBOL), array(0, 0, 0))], tables)


def test_checksum_does_not_depend_on_type_shape_or_cut() -> None:
    symbols = np.arange(-6, 6)
    whole = ans.checksum([symbols])
    assert whole == ans.checksum([symbols[:5].astype(np.int16), symbols[5:].astype(">i4")])
    assert whole == ans.checksum([symbols.reshape(3, 4)])
    assert ans.checksum([]) == 0
