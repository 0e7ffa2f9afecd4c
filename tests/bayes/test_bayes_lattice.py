"""The choice between neighbouring multiples of a step, against both of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glissando.bayes.lattice import multiples


@settings(deadline=None)
@given(seed=st.integers(0, 1 << 30), octaves=st.floats(-4, 6), log_weight=st.floats(-8, 6))
def test_the_better_of_two(seed: int, octaves: float, log_weight: float) -> None:
    random = np.random.default_rng(seed)
    shape, weight = (40, 3), 2.0**log_weight
    step = random.uniform(0.5, 2.0, 3)
    mean = random.laplace(scale=2**octaves, size=shape)
    std = random.uniform(0.2, 3.0, shape)
    costs = np.cumsum(random.exponential(size=(5, 40)), axis=1).astype(np.float32)
    table = random.integers(0, 5, shape)
    found = multiples(mean, std, step, costs, table, weight)

    nearest = np.rint(mean / step).astype(int)
    lower = nearest - np.sign(nearest)

    def objective(symbols: np.ndarray) -> np.ndarray:
        rate = costs[table, np.minimum(np.abs(symbols), 39)].astype(float)
        return (symbols * step - mean) ** 2 / (2 * std**2) + weight * rate

    either, other = objective(nearest), objective(lower)
    clear = np.abs(either - other) > 1e-4 * (1 + np.abs(either))
    expected = np.where((other < either) & (np.abs(nearest) < 40), lower, nearest)
    np.testing.assert_array_equal(found[clear], expected[clear])
    assert ((found == nearest) | (found == lower)).all()


@pytest.mark.parametrize("mean", [1e9, -1e9])
def test_what_is_far_out_is_clipped(mean: float) -> None:
    costs = np.zeros((1, 4), np.float32)
    found = multiples(np.array([mean]), np.ones(1), np.ones(1), costs, np.zeros(1, int), 1.0)
    assert found.tolist() == [np.sign(mean) * 32767]


def test_free_bits_mean_the_nearest_point() -> None:
    mean = np.linspace(-5, 5, 101) + 1e-9
    costs = np.arange(8, dtype=np.float32)[None]
    found = multiples(mean, np.full(101, 0.5), np.full(101, 0.7), costs, np.zeros(101, int), 0.0)
    np.testing.assert_array_equal(found, np.rint(mean / 0.7))
    assert found.dtype == np.int16
