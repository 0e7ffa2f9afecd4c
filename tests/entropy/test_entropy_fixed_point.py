"""Levels, gains and table indices: exact integer arithmetic, checked against rationals."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import floor

import numpy as np
import pytest
import scale_reference as reference
from hypothesis import example, given
from hypothesis import strategies as st

from glissando.entropy import dequantise, level_row, quality_units, table_index
from glissando.entropy import fixed_point as fp

UNITS = st.integers(0, 25600)
INT16 = st.integers(-32767, 32767)
LOG_GAIN = st.integers(-16 * 256, 16 * 256)


def row_of(table: list[list[int]], units: int) -> list[int]:
    return level_row(np.array(table, np.int16), units).tolist()


# --- Quality -----------------------------------------------------------------------------------------------


def test_every_stored_quality_is_its_own_number_of_units() -> None:
    assert [quality_units(u / 256) for u in range(25601)] == list(range(25601))


@given(st.floats(0, 100), st.floats(0, 100))
def test_units_are_nearest_and_in_order(a: float, b: float) -> None:
    assert abs(Fraction(a) * 256 - quality_units(a)) <= Fraction(1, 2)
    assert (quality_units(a) <= quality_units(b)) == (a <= b) or quality_units(a) == quality_units(b)


# --- Levels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 3, 5, 9, 11, 17, 26])
def test_a_level_itself_is_exact(levels: int) -> None:
    random = np.random.default_rng(levels)
    table = random.integers(-32768, 32768, (levels, 5)).astype(np.int16)
    for i in range(levels):
        if 25600 * i % (levels - 1) == 0:
            np.testing.assert_array_equal(level_row(table, 25600 * i // (levels - 1)), table[i])
    np.testing.assert_array_equal(level_row(table, 0), table[0])
    np.testing.assert_array_equal(level_row(table, 25600), table[-1])


@given(st.lists(st.lists(INT16, min_size=3, max_size=3), min_size=2, max_size=12), UNITS)
def test_between_levels_the_rational_is_rounded_half_up(table: list[list[int]], units: int) -> None:
    position = Fraction(units * (len(table) - 1), 25600)
    low = min(floor(position), len(table) - 2)
    part = position - low
    exact = [a + (b - a) * part for a, b in zip(table[low], table[low + 1], strict=True)]
    assert row_of(table, units) == [floor(value + Fraction(1, 2)) for value in exact]
    assert row_of(table, units) == reference.level(table, units)
    for value, a, b in zip(row_of(table, units), table[low], table[low + 1], strict=True):
        assert min(a, b) <= value <= max(a, b)


@given(st.lists(INT16, min_size=2, max_size=12).map(sorted), UNITS, UNITS)
def test_rising_levels_give_rising_rows(column: list[int], a: int, b: int) -> None:
    table = [[value] for value in column]
    assert row_of(table, min(a, b)) <= row_of(table, max(a, b))


def test_neighbouring_qualities_are_close() -> None:
    table = [[0], [256], [-256], [500]]
    rows = [row_of(table, units)[0] for units in range(25601)]
    assert max(abs(b - a) for a, b in pairwise(rows)) <= 1


# --- Powers of two -----------------------------------------------------------------------------------------


def test_mantissas_are_the_exact_floors() -> None:
    assert len(fp._MANTISSA) == 256
    for part, m in enumerate(fp._MANTISSA.tolist()):
        assert m**256 <= 1 << (15 * 256 + part) < (m + 1) ** 256


@pytest.mark.parametrize(("part", "value"), [(0, 32768), (64, 38967), (128, 46340), (192, 55108), (255, 65358)])
def test_some_mantissas(part: int, value: int) -> None:
    assert fp._MANTISSA[part] == value
    assert reference.mantissa(part) == value


@given(INT16, LOG_GAIN)
@example(32767, -4096)
@example(-32767, -4096)
@example(32767, 4096)
@example(-1, 256 * 6)  # −½ of a unit: half goes up
@example(1, 256 * 6)
def test_dequantised_values_are_exact_roundings(symbol: int, log_gain: int) -> None:
    found = dequantise(np.array([symbol], np.int16), np.array([log_gain], np.int32))
    assert found.dtype == np.int32
    power = Fraction(2) ** (-log_gain // 256)  # rounded down, as (e div 256) is
    exact = symbol * 32 * Fraction(reference.mantissa(-log_gain % 256), 1 << 15) * power
    assert found[0] == min(max(floor(exact + Fraction(1, 2)), -1023), 1023)
    assert found[0] == reference.dequantised(symbol, log_gain)
    real = symbol * 32 * 2 ** (-log_gain / 256)
    if abs(real) < 1023:
        assert abs(found[0] - real) <= 0.5 + abs(real) / 2**14


@pytest.mark.parametrize("symbol", [-5, 0, 3])
def test_no_gain_means_plain_32ths(symbol: int) -> None:
    assert dequantise(np.array([symbol], np.int16), np.zeros(1, np.int32)) == 32 * symbol


@given(st.lists(INT16, min_size=2, max_size=2).map(sorted), LOG_GAIN)
def test_dequantising_keeps_the_order(symbols: list[int], log_gain: int) -> None:
    low, high = dequantise(np.array(symbols, np.int16)[:, None], np.array([log_gain], np.int32))[:, 0]
    assert -1023 <= low <= high <= 1023


# --- Tables ------------------------------------------------------------------------------------------------


def index_of(scale: int, first: int = 0, family: int = 0) -> int:
    found = table_index(np.array([scale], np.int32), first, family)
    assert found.dtype == np.int16
    return int(found[0])


@pytest.mark.parametrize("family", [0, 1])
@pytest.mark.parametrize("table", range(96))
def test_a_table_serves_the_32_scales_around_its_own(table: int, family: int) -> None:
    own, start = 32 * table - 1024, 96 * family
    assert [index_of(s, 0, family) for s in (own - 16, own, own + 15)] == [start + table] * 3
    assert index_of(own - 17, 0, family) == (start + table - 1 if table else -1)
    assert index_of(own + 16, 0, family) == start + min(table + 1, 95)


@pytest.mark.parametrize("family", [0, 1])
@pytest.mark.parametrize("first", [0, 1, 9, 95])
def test_below_the_first_table_nothing_is_coded(first: int, family: int) -> None:
    edge, start = 32 * first - 1024 - 16, 96 * family
    assert index_of(edge, first, family) == start + first
    assert index_of(edge - 1, first, family) == -1
    assert index_of(-(2**20), first, family) == -1
    assert index_of(2**20, first, family) == start + 95


@given(st.integers(-2000, 3000) | st.integers(-(2**20), 2**20), st.integers(0, 95), st.sampled_from([0, 1]))
def test_table_index_is_the_documented_one(scale: int, first: int, family: int) -> None:
    assert index_of(scale, first, family) == reference.table(scale, [first, first], family)


def test_scales_are_left_alone() -> None:
    scales = np.array([[-5000, 0], [700, 9000]], np.int32)
    before = scales.copy()
    assert table_index(scales, 9, 1).tolist() == [[-1, 96 + 32], [96 + 54, 96 + 95]]
    np.testing.assert_array_equal(scales, before)
