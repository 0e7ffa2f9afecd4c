"""Up to which quality an analysis in 8-bit integers may be used."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="held-out tiles are read by the trainer: pip install glissando[train]")

from benchmarks.int8 import BOUND, QUALITIES, costs, trusted_quality


def test_bits_and_decibels_are_one_cost() -> None:
    """On a curve of 10 % more bits for each decibel, half a decibel is worth 5 % of them."""
    psnr = np.linspace(25, 40, len(QUALITIES))
    exact = np.stack([np.log(1.1) * psnr, psnr], axis=1)[None].repeat(3, axis=0)
    smaller, worse = exact.copy(), exact.copy()
    smaller[..., 0] -= 0.01
    worse[..., 1] -= 0.5
    np.testing.assert_allclose(costs(exact, smaller), -1.0)
    np.testing.assert_allclose(costs(exact, worse), 50 * np.log(1.1))
    np.testing.assert_allclose(costs(exact, exact), 0)


@pytest.mark.parametrize(("number", "expected"), [(0, -1.0), (1, 0.0), (7, 60.0), (len(QUALITIES), 100.0)])
def test_it_stops_below_the_first_quality_that_costs_too_much(number: int, expected: float) -> None:
    cost = np.full(len(QUALITIES), BOUND)
    cost[number : number + 1] = 2 * BOUND
    assert trusted_quality(cost) == expected
    cost[number : number + 1] = np.nan  # a cost that cannot be computed is none that is low enough
    assert trusted_quality(cost) == expected
