"""The context model of bits: equal to plain integers, for any map, and refused where it could be inexact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bits_reference import BitsReference
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glissando.entropy.checkerboard import even_squares, split
from glissando.errors import ModelMismatchError
from glissando.families.content.bits import ODDS_TABLES, BitContext

Arrays = dict[str, NDArray[Any]]
LEVELS, GROUP, HIDDEN, REACH = 4, 4, 3, 2
BITS = LEVELS * GROUP


def random_arrays(seed: int, size: int = 100, reach: int = REACH) -> Arrays:
    random = np.random.default_rng(seed)
    rows = LEVELS * HIDDEN
    shapes = {
        "past.weight": (rows, BITS),
        "near.weight": (rows, reach * GROUP, 3, 3),
        "map.weight": (rows, 1, 3, 3),
        "current.weight": (rows, GROUP, 5, 5),
        "bias": (rows,),
        "out_first.weight": (BITS, HIDDEN),
        "out_first.bias": (BITS,),
        "out_second.weight": (BITS, HIDDEN),
        "out_second.bias": (BITS,),
    }
    arrays: Arrays = {name: random.integers(-size, size + 1, shape) for name, shape in shapes.items()}
    arrays["past.weight"][early(rows)] = 0
    return {name: array.astype(np.int16) for name, array in arrays.items()}


def early(rows: int) -> NDArray[np.bool_]:
    """Weights of ``past`` that read no earlier level."""
    return np.arange(BITS)[None] // GROUP >= np.arange(rows)[:, None] // HIDDEN


def random_code(seed: int, rows: int, columns: int, kept_most: int) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    random = np.random.default_rng(seed)
    kept = random.integers(0, kept_most + 1, (rows, columns)).astype(np.int16)
    code = random.choice([-1, 1], (rows, columns, BITS)).astype(np.int16)
    return code * (np.arange(BITS) // GROUP < kept[..., None]), kept


def halves(code: NDArray[np.int16]) -> NDArray[np.int16]:
    """(rows, columns, n) → (L, 2, rows·columns, g/2), as ``walk`` takes it."""
    rows, columns, _ = code.shape
    parts = np.stack(split(code.reshape(rows, columns, LEVELS, GROUP), even_squares(rows, columns)[..., None, None]))
    return np.ascontiguousarray(parts.transpose(3, 0, 1, 2, 4)).reshape(LEVELS, 2, rows * columns, GROUP // 2)


def tables_of(context: BitContext, code: NDArray[np.int16], kept: NDArray[np.int16]) -> NDArray[np.int16]:
    """Tables of all bits as a decoder finds them: bits of a pass are unknown until it is over. −1: not coded."""
    bits = halves(code)
    known, index = np.zeros_like(bits), np.full(bits.shape, -1, np.int16)
    for turn in context.walk(kept, known):
        index[turn.level, turn.half, turn.rows] = turn.index
        known[turn.level, turn.half, turn.rows] = bits[turn.level, turn.half, turn.rows]
    np.testing.assert_array_equal(known, bits)
    return index


def slow_tables(arrays: Arrays, code: NDArray[np.int16], kept: NDArray[np.int16], reach: int = REACH) -> Any:
    slow = BitsReference(arrays, GROUP, reach)
    rows, columns = kept.shape
    index = np.full((LEVELS, 2, rows * columns, GROUP // 2), -1, np.int16)
    for number, found in enumerate(slow.passes(code.tolist(), kept.tolist())):
        for (r, c, channel), table in found.items():
            index[number // 2, number % 2, r * columns + c, channel % (GROUP // 2)] = table
    return slow, index


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 5), st.integers(0, LEVELS), st.sampled_from([1, 2, 3, 5])
)
def test_equal_to_plain_integers(seed: int, rows: int, columns: int, kept_most: int, reach: int) -> None:
    arrays = random_arrays(seed, reach=reach)
    code, kept = random_code(seed, rows, columns, kept_most)
    context = BitContext(arrays)
    slow, expected = slow_tables(arrays, code, kept, reach)
    np.testing.assert_array_equal(tables_of(context, code, kept), expected)
    weights = {name.removesuffix(".weight"): array for name, array in arrays.items() if name.endswith(".weight")}
    bounds = context.check_bounds(weights, arrays)
    assert all(slow.totals[name] <= bounds[name] for name in bounds)


def test_biases_may_fill_their_type() -> None:
    arrays = random_arrays(6)
    arrays["bias"][...] = 32767
    arrays["out_first.bias"][...] = arrays["out_second.bias"][...] = -32768
    code, kept = random_code(6, 3, 4, LEVELS)
    np.testing.assert_array_equal(tables_of(BitContext(arrays), code, kept), slow_tables(arrays, code, kept)[1])


def test_an_encoder_that_knows_all_bits_finds_the_same() -> None:
    context = BitContext(random_arrays(1))
    code, kept = random_code(1, 5, 6, LEVELS)
    bits = halves(code)
    index = np.full(bits.shape, -1, np.int16)
    for turn in context.walk(kept, bits):
        index[turn.level, turn.half, turn.rows] = turn.index
    np.testing.assert_array_equal(index, tables_of(context, code, kept))
    assert ((index >= 0) == (bits != 0)).all()
    assert index.max() < ODDS_TABLES
    assert len(np.unique(index)) > 20


def test_nothing_kept_is_nothing_to_code() -> None:
    context = BitContext(random_arrays(2))
    bits = np.zeros((LEVELS, 2, 6, GROUP // 2), np.int16)
    assert list(context.walk(np.zeros((2, 3), np.int16), bits)) == []
    one = np.zeros((2, 3), np.int16)
    one[1, 2] = LEVELS
    turns = [(turn.level, turn.half, turn.rows.tolist()) for turn in context.walk(one, bits)]
    assert turns == [(level, half, [5]) for level in range(LEVELS) for half in (0, 1)]


def test_positions_come_row_by_row() -> None:
    context = BitContext(random_arrays(3))
    code, kept = random_code(3, 7, 9, LEVELS)
    for turn in context.walk(kept, halves(code)):
        np.testing.assert_array_equal(turn.rows, np.flatnonzero(kept.reshape(-1) > turn.level))


@pytest.mark.parametrize("sign", [1, -1])
def test_exact_up_to_the_bound(sign: int) -> None:
    """Weights that bring the hidden sums next to 2^24 with every input at its largest."""
    arrays = {name: np.zeros_like(array, np.int64) for name, array in random_arrays(0).items()}
    rows = LEVELS * HIDDEN
    inputs = LEVELS * 9 + 3 * GROUP + REACH * GROUP * 9 + GROUP * 25  # of the last level's units, the map's L-fold
    each = (2**24 - 3) // inputs
    for name in ("past", "near", "map", "current"):
        arrays[f"{name}.weight"] += sign * each
    arrays["past.weight"][early(rows)] = 0
    arrays["bias"][...] = sign * (2**24 - 3 - inputs * each)
    arrays["out_first.weight"][...] = arrays["out_second.weight"][...] = 1
    kept = np.full((5, 5), LEVELS, np.int16)
    code = np.ones((5, 5, BITS), np.int16)
    slow, expected = slow_tables(arrays, code, kept)
    np.testing.assert_array_equal(tables_of(BitContext(arrays), code, kept), expected)
    assert slow.totals["hidden"] > 2**23
    arrays["bias"] += sign
    with pytest.raises(ModelMismatchError, match=rf"hidden: sums may reach {2**24}"):
        BitContext(arrays)


@pytest.mark.parametrize("name", ["out_first", "out_second"])
def test_an_output_that_could_overflow_is_refused(name: str) -> None:
    arrays = {key: array.astype(np.int64) for key, array in random_arrays(4).items()}
    arrays[f"{name}.weight"][7] = [16399, -3, 0]
    arrays[f"{name}.bias"][7] = 2**24 - 16399 * 1023 - 1
    BitContext(arrays)
    arrays[f"{name}.bias"][7] += 1
    with pytest.raises(ModelMismatchError, match=rf"{name}: sums may reach {2**24}"):
        BitContext(arrays)


@pytest.mark.parametrize("name", sorted(random_arrays(0)))
def test_arrays_that_do_not_agree_are_named(name: str) -> None:
    arrays = random_arrays(0)
    missing = {key: array for key, array in arrays.items() if key != name}
    with pytest.raises(ModelMismatchError, match=name.replace(".", r"\.")):
        BitContext(missing)
    with pytest.raises(ModelMismatchError, match="context model"):
        BitContext({**arrays, name: arrays[name][1:]})
    with pytest.raises(ModelMismatchError, match="context model"):
        BitContext({**arrays, name: np.array(3)})
    with pytest.raises(ModelMismatchError, match="must be integers"):
        BitContext({**arrays, name: arrays[name].astype(np.float32)})


def test_bits_of_the_same_level_are_not_its_past() -> None:
    arrays = random_arrays(0)
    arrays["past.weight"][HIDDEN, GROUP] = 1  # a unit of level 1 that reads a bit of level 1
    with pytest.raises(ModelMismatchError, match="not of an earlier level"):
        BitContext(arrays)


def test_a_level_has_two_halves() -> None:
    """One bit for each of 16 levels: it could not be divided over the two passes."""
    rows = BITS * HIDDEN
    arrays = random_arrays(0) | {
        "past.weight": np.zeros((rows, BITS), np.int16),
        "near.weight": np.zeros((rows, REACH, 3, 3), np.int16),
        "map.weight": np.zeros((rows, 1, 3, 3), np.int16),
        "current.weight": np.zeros((rows, 1, 5, 5), np.int16),
        "bias": np.zeros(rows, np.int16),
    }
    with pytest.raises(ModelMismatchError, match="even number of bits"):
        BitContext(arrays)
