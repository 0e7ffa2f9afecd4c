"""Frequencies that sum to 2^24."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from glissando.frequencies import WHOLE, complete, from_probabilities


@given(arrays.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 300)), elements=st.floats(0, 1)))
def test_tables_are_whole_and_near_their_probabilities(weights: np.ndarray) -> None:
    weights[:, 0] += 1e-3
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    found = from_probabilities(probabilities)
    assert found.dtype == np.uint32
    assert (found >= 1).all()
    assert (found.sum(axis=1, dtype=np.int64) == WHOLE).all()
    away = np.abs(found - np.maximum(probabilities * WHOLE, 1))
    assert np.sort(away, axis=1)[:, :-1].max(initial=0) <= 0.5
    filled = np.arange(len(away)), away.argmax(axis=1)  # the symbol that took what was missing, if any did
    frequent = probabilities[filled] * WHOLE >= probabilities.max(axis=1) * WHOLE - 1  # two round to the same number
    assert (frequent | (away[filled] <= 0.5)).all()
    assert away.max() <= 1.5 * found.shape[1]
    np.testing.assert_array_equal(from_probabilities(probabilities[0]), found[0])


def test_one_symbol_takes_what_is_missing() -> None:
    rows = np.array([[1, 2, 3], [4, 5, 6]])
    complete(rows, np.array([2, 0]))
    assert rows.tolist() == [[1, 2, WHOLE - 3], [WHOLE - 11, 5, 6]]
    complete(rows, 1)  # nothing is
    assert rows.tolist() == [[1, 2, WHOLE - 3], [WHOLE - 11, 5, 6]]


@pytest.mark.parametrize("count", [1, 2, 4096])
def test_even_chances(count: int) -> None:
    found = from_probabilities(np.full(count, 1 / count))
    assert found.sum(dtype=np.int64) == WHOLE
    assert np.ptp(found.astype(int)) <= count
