"""Maps of small integers: there and back, against a plain reference, what they cost, and damage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from map_reference import decode_map as reference_decode
from map_reference import table
from numpy.typing import NDArray

from glissando.bitstream import RGB_8, Container, Header, Reader, Tile, ans, container
from glissando.bitstream.maps import CONTEXTS, decode_map, map_passes
from glissando.bitstream.quality_field import (
    MAP_CHANCES,
    decode_quality_field,
    map_tables,
    pack_palette,
    read_palette,
    unpack_palette,
    with_map_tables,
)
from glissando.bitstream.tables import SymbolTables
from glissando.errors import CorruptError, FormatError, InputError

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
INDEX = np.arange(CONTEXTS)
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def coded(values: NDArray[Any]) -> bytes:
    return ans.encode(map_passes(values, INDEX), map_tables())


def decoded(data: bytes, shape: tuple[int, int], largest: int) -> NDArray[np.int16]:
    decoder = ans.Decoder(data, map_tables())
    values, _ = decode_map(decoder, *shape, INDEX, largest)
    decoder.finish()
    return values


@settings(max_examples=200, deadline=None)
@given(SIZES.flatmap(lambda shape: arrays(np.int16, shape, elements=st.integers(0, 63))))
def test_there_and_back(values: NDArray[np.int16]) -> None:
    passes = map_passes(values, INDEX)
    decoder = ans.Decoder(ans.encode(passes, map_tables()), map_tables())
    found, symbols = decode_map(decoder, *values.shape, INDEX, 63)
    decoder.finish()
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.int16
    assert sum(s.size for s in symbols) == values.size
    assert ans.checksum(symbols) == ans.checksum(s for s, _ in passes)


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(1, 20), st.integers(1, 20)), st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 16]))
def test_the_page_decodes_it(shape: tuple[int, int], seed: int, largest: int) -> None:
    values = np.random.default_rng(seed).integers(0, largest + 1, shape)
    tables = [table(*chances) for stage in MAP_CHANCES for chances in stage]
    assert reference_decode(coded(values), *shape, tables) == values.tolist()


def test_values_of_any_size() -> None:
    values = np.array([[0, 32767, 5], [32767, 0, 1000]])
    np.testing.assert_array_equal(decoded(coded(values), (2, 3), 32767), values)


def test_the_page_lists_the_tables() -> None:
    section = PAGE.partition("## Quality field")[2].partition("## What a reader")[0]
    corner = re.search(r"Context 0 has the numbers\s+(\d+) (\d+) (\d+)", section)
    assert corner
    rows = re.findall(r"^\| [124].*?, (?:centres|between) \| (.*) \|$", section, re.MULTILINE)
    found = [tuple(map(int, corner.groups()))]
    found += [tuple(map(int, cell.split())) for row in rows for cell in row.split(" | ")]
    assert found == [chances for stage in MAP_CHANCES for chances in stage]
    assert len(found) == CONTEXTS == len(map_tables())


def test_flat_maps_and_shapes_cost_little() -> None:
    assert len(coded(np.zeros((1, 1), int))) <= 4
    assert len(coded(np.zeros((32, 32), int))) <= 4
    y, x = np.mgrid[:32, :32]
    for shape in (np.hypot(y - 15, x - 14) < 9, (y > 6) & (y < 20) & (x > 9), x + y < 30):
        boundary = int((shape[1:] != shape[:-1]).sum() + (shape[:, 1:] != shape[:, :-1]).sum())
        for values in (shape.astype(int), 1 - shape.astype(int)):
            bits = sum(map_tables().ideal_bits(*part) for part in map_passes(values, INDEX))
            assert bits < 1.8 * boundary + 0.01 * shape.size + 20


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(4, int), "two dimensions"),
        (np.zeros((2, 2)), "float64"),
        (np.array([[-1, 0]]), r"-1\.\.0"),
        (np.array([[0, 40000]]), r"0\.\.40000"),
    ],
)
def test_what_is_no_map(values: NDArray[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        map_passes(values, INDEX)


def test_a_value_out_of_range_is_corrupt() -> None:
    data = coded(np.array([[0, 3], [1, 2]]))
    with pytest.raises(CorruptError, match=r"must be in 0\.\.2"):
        decoded(data, (2, 2), 2)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.tuples(st.integers(1, 33), st.integers(1, 33)), st.integers(2, 64))
def test_rubbish_is_an_error_or_another_map(data: bytes, shape: tuple[int, int], count: int) -> None:
    tile = Tile({3: data}, 0)
    try:
        found, _ = decode_quality_field(tile, *shape, range(count))
    except FormatError:
        return
    assert found.min() >= 0
    assert found.max() < count
    assert coded(found) == data  # decoding is one-to-one


# --- The palette ---------------------------------------------------------------------------------------------


@given(st.sets(st.integers(-25600, 25600), min_size=1, max_size=64).map(sorted))
def test_palettes_there_and_back(palette: list[int]) -> None:
    assert unpack_palette(pack_palette(palette)) == tuple(palette)


def test_no_box_is_no_palette() -> None:
    header = Header(1, 1, 0, RGB_8, bytes(8))
    for boxes, palette in [({"icc ": b"x"}, None), ({"icc ": b"x", "Qfld": pack_palette([-5, 7])}, (-5, 7))]:
        data = container.write(Container(header, boxes, [Tile({3: b""}, 0)]))
        assert read_palette(Reader(data)) == palette


@pytest.mark.parametrize("palette", [[], list(range(65)), [0, 0], [5, 1], [-25601], [0, 25601]])
def test_what_is_no_palette(palette: list[int]) -> None:
    with pytest.raises(InputError):
        pack_palette(palette)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "palette_size"),
        (b"\0\x64\0", "palette_size"),
        (b"\x41" + bytes(200), "palette_size"),
        (b"\x01\x64", "first_offset"),
        (b"\x01\xc8\x01", "first_offset"),
        (b"\x02\x64\0", "offset_step"),
        (b"\x02\x64\0\0", "offset_step"),
        (b"\x02\xc8\0\1", "offset of 25601"),
        (b"\x01\x64\0\0", "1 bytes follow"),
    ],
)
def test_damaged_palettes(payload: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        unpack_palette(payload)


def test_one_offset_needs_an_empty_stream() -> None:
    found, symbols = decode_quality_field(Tile({3: b""}, 0), 4, 5, (7,))
    assert (found.shape, found.any(), symbols) == ((4, 5), np.False_, [])
    with pytest.raises(CorruptError, match="left over"):
        decode_quality_field(Tile({3: b"\1\0\0\0"}, 0), 4, 5, (7,))
    with pytest.raises(CorruptError, match="no stream 3"):
        decode_quality_field(Tile({1: b""}, 0), 4, 5, (7,))


def test_a_models_tables_come_first() -> None:
    model = SymbolTables(np.array([2**24 - 1, 1]), np.array([0]))
    both = with_map_tables(model)
    assert len(both) == 1 + CONTEXTS
    np.testing.assert_array_equal(both.frequencies[2:], map_tables().frequencies)


def test_bits_of_symbols_add_up_to_the_ideal_size() -> None:
    symbols, index = np.array([0, 1, -9, 40, 0]), np.array([0, 1, 2, 3, -1])
    bits = map_tables().symbol_bits(symbols, index)
    assert bits[4] == 0
    assert bits[3] > bits[1] > 0
    assert bits.sum() == pytest.approx(map_tables().ideal_bits(symbols, index))
