"""The search is compared with its definition, and asked about everything that an array may hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bayes_reference import brute_force
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glissando.bayes import grid, search
from glissando.bayes.search import BLOCK, LARGEST, LONG_RUN
from glissando.errors import InputError

EXTREMES = np.array([0.0, -0.0, 1.0, -1.0, 1e-300, 1e-160, LARGEST, -LARGEST, 3e38, 1e-45, 1 + 2**-52])
DEVIATIONS = np.array([0.0, np.inf, 1e-200, 1e200, 1.7e308, 5e-324, 1e-3, 1.0, 30.0])


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    """Tables and values full of ties: equal points, means on points and halfway between two, equal rates."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits, groups, size = draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 40))
    count = (2 << bits) - 1
    kind = draw(st.sampled_from(["normal", "integers", "extremes", "one value"]))
    points = {
        "normal": random.normal(size=(groups, count)),
        "integers": random.integers(-4, 5, (groups, count)).astype(float),
        "extremes": random.choice(EXTREMES, (groups, count)),
        "one value": np.full((groups, count), random.normal()),
    }[kind]
    points.sort(axis=1)
    rates = {
        "plain": np.tile(np.arange(bits + 1.0), (groups, 1)),
        "integers": random.integers(0, 5, (groups, bits + 1)).astype(float),
        "reals": random.uniform(0, 20, (groups, bits + 1)),
        "largest": random.choice([0.0, 1e6], (groups, bits + 1)),
    }[draw(st.sampled_from(["plain", "integers", "reals", "largest"]))]
    group = random.integers(0, groups, size)
    some = random.integers(0, count, (2, size))
    mean = points[group, some[0]] / 2 + points[group, some[1]] / 2
    mean = np.where(random.random(size) < 0.3, random.normal(size=size), mean)
    mean = np.where(random.random(size) < 0.2, random.choice(EXTREMES, size), mean)
    std = np.where(random.random(size) < 0.5, random.choice(DEVIATIONS, size), random.exponential(size=size))
    weight = draw(st.sampled_from([0.0, 1e-6, 0.1, 1.0, 7.0, 1e5, 1e100]))
    return {"mean": mean, "std": std, "points": points, "rates": rates, "rate_weight": weight, "group": group}


@settings(max_examples=300, deadline=None)
@given(problems())
def test_it_finds_what_brute_force_finds(problem: dict[str, Any]) -> None:
    found = search(**problem)
    assert found.dtype == np.int16
    for i, group in enumerate(problem["group"]):
        value = problem["mean"][i], problem["std"][i], problem["points"][group], problem["rates"][group]
        assert found[i] == brute_force(*value, problem["rate_weight"]), (i, value)


@pytest.mark.parametrize("max_bits", [10, 15])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_it_finds_what_brute_force_finds_among_many_points(max_bits: int, dtype: type) -> None:
    random = np.random.default_rng(max_bits)
    points = np.sort(random.standard_t(3, size=(2 << max_bits) - 1))
    rates = grid.depth_rates(random.integers(0, 1000, max_bits + 1))  # not ascending
    mean, std = random.normal(size=60).astype(dtype), random.lognormal(-3, 3, 60).astype(dtype)
    found = search(mean, std, points[None], rates, 0.3)
    assert found.tolist() == [brute_force(*pair, points, rates, 0.3) for pair in zip(mean, std, strict=True)]


def tables(groups: int, max_bits: int = 4) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(groups)
    points = np.sort(random.normal(size=(groups, (2 << max_bits) - 1)), axis=1)
    return points, random.uniform(0, 6, (groups, max_bits + 1))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((3, 5, 4), 0), ((3, 5, 4), 1), ((3, 5, 4), -1), ((LONG_RUN + 9, 4), 1), ((4, BLOCK + 9), 0), ((2, 3, BLOCK), 1)],
)
def test_an_axis_of_groups_is_an_index_array_in_short(shape: tuple[int, ...], axis: int) -> None:
    random = np.random.default_rng(1)
    groups = shape[axis]
    points, rates = tables(groups)
    mean, std = random.normal(size=shape), random.exponential(size=shape)
    indices = np.moveaxis(np.broadcast_to(np.arange(groups), np.moveaxis(mean, axis, -1).shape), -1, axis)
    by_axis = search(mean, std, points, rates, 0.4, axis)
    assert (by_axis == search(mean, std, points, rates, 0.4, indices)).all()
    for group in range(groups):
        part = (indices == group).reshape(shape)
        alone = search(mean[part], std[part], points[group : group + 1], rates[group], 0.4)
        assert (by_axis[part] == alone).all()


def test_any_memory_layout() -> None:
    points, rates = tables(1)
    random = np.random.default_rng(0)
    mean, std = random.normal(size=(300, 70)), random.exponential(size=(300, 70))
    expected = search(mean, std, points, rates, 0.4)
    assert (search(np.asfortranarray(mean), std, points, rates, 0.4) == expected).all()
    assert (search(mean[::-1, ::2], std[::-1, ::2], points, rates, 0.4) == expected[::-1, ::2]).all()
    assert (search(mean, 0.5, points, rates, 0.4) == search(mean, np.full(mean.shape, 0.5), points, rates, 0.4)).all()


def test_certain_and_free_values() -> None:
    points = np.linspace(-1, 1, 31)[None]
    mean = np.linspace(-1.2, 1.2, 50)
    nearest = np.abs(mean[:, None] - points).argmin(axis=1) - 15
    assert (search(mean, 0.0, points, np.arange(5.0), 1e9) == nearest).all()
    assert (search(mean, np.inf, points, np.arange(5.0), 1e-9) == 0).all()
    # The cheapest depth, and of its points the nearest cannot be told: any one of that depth.
    cheap = search(mean, np.inf, points, np.array([5.0, 4, 1, 3, 2]), 1.0)
    assert (grid.depth_of(cheap, 4) == 2).all()


def test_no_weight_is_the_nearest_point_and_a_large_one_the_median() -> None:
    points, _ = tables(1, 10)
    mean = np.random.default_rng(0).normal(size=500)
    found = search(mean, 1.0, points, np.arange(11.0), 0.0)
    assert (np.abs(points[0, found + 1023] - mean) == np.abs(points[0] - mean[:, None]).min(axis=1)).all()
    assert not search(mean, 1.0, points, np.arange(11.0), 1e6).any()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
def test_shapes_without_much_in_them(shape: tuple[int, ...]) -> None:
    points, rates = tables(1)
    found = search(np.zeros(shape), np.ones(shape), points, rates, 1.0)
    assert found.shape == shape
    assert found.dtype == np.int16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": np.array([[0.0, 1.0], [np.nan, np.nan]])}, r"mean at \[1, 0\] is nan"),
        ({"mean": np.array([[0.0, 1.0], [1.0, -np.inf]])}, r"mean at \[1, 1\] is -inf"),
        ({"mean": np.array([[0.0, 2e100], [1.0, 1.0]])}, r"mean at \[0, 1\] is 2e\+100; it must be finite, within"),
        ({"std": np.array([[1.0, 1.0], [-1.0, 1.0]])}, r"deviation at \[1, 0\] is -1.0; it must be at least 0"),
        ({"std": np.array([[1.0, np.nan], [-1.0, 1.0]])}, r"deviation at \[0, 1\] is nan"),
        ({"std": np.ones(3)}, r"deviations of shape \(3,\) do not broadcast to means of shape \(2, 2\)"),
        ({"mean": np.ones((2, 2), int)}, "means must be floating-point numbers, not int64"),
        ({"std": np.ones((2, 2), complex)}, "deviations must be real numbers"),
        ({"points": np.zeros((1, 30))}, r"30 points a group; must be 2\^\(N\+1\) - 1"),
        ({"points": np.zeros(31)}, r"must have the shape \[groups, 2\^\(N\+1\) - 1\], not \(31,\)"),
        ({"points": np.arange(31.0)[None, ::-1]}, "point 1 of group 0 is 29.0; must ascend"),
        ({"points": np.full((1, 31), np.nan)}, "point 0 of group 0 is nan"),
        ({"rates": np.zeros(4)}, r"rates of shape \(4,\); must be \(1, 5\)"),
        ({"rates": np.full(5, -1.0)}, r"rates are -1.0..-1.0 bits"),
        ({"rates": np.array([0, 1, 2, 3, np.inf])}, r"rates are 0.0..inf bits"),
        ({"rate_weight": -1.0}, "rate_weight is -1.0"),
        ({"rate_weight": np.nan}, "rate_weight is nan"),
        ({"rate_weight": np.inf}, "rate_weight is inf"),
        ({"group": 2}, "axis is 2; the array has 2 axes"),
        ({"group": 0}, "axis 0 has 2 entries; the tables are for 1 groups"),
        ({"group": np.array([[0, 0], [0, 1]])}, r"group 1 at \[1, 1\] does not exist; there are 1"),
        ({"group": np.array([0.0, 1.0])}, "groups must be integers"),
        ({"group": np.array([0, 0, 0])}, r"groups of shape \(3,\) do not broadcast"),
        ({"points": np.zeros((2, 31))}, "tables are for 2 groups; say which"),
    ],
)
def test_what_cannot_be_searched_is_named(change: dict[str, Any], message: str) -> None:
    points, rates = tables(1)
    good = {"mean": np.ones((2, 2)), "std": np.ones((2, 2)), "points": points, "rates": rates, "rate_weight": 1.0}
    with pytest.raises(InputError, match=message):
        search(**{**good, **change})


def test_the_first_offence_of_a_large_array_is_named() -> None:
    points, rates = tables(1)
    mean = np.zeros((3, BLOCK))
    mean[2, 5] = mean[2, 7] = np.nan
    with pytest.raises(InputError, match=r"mean at \[2, 5\] is nan"):
        search(mean, 1.0, points, rates, 1.0)


# --- The grid ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_bits", [1, 4, 10, 15])
def test_the_grids_are_those_of_the_paper(max_bits: int) -> None:
    positions, depths = grid.positions(max_bits), grid.symbol_depths(max_bits)
    for n in range(max_bits + 1):
        expected = [k / 2**n + 2.0 ** -(n + 1) for k in range(2**n)]
        assert positions[depths == n].tolist() == expected
    symbols = np.arange(-(2**max_bits) + 1, 2**max_bits)
    assert (positions == 0.5 + symbols / 2 ** (max_bits + 1)).all()
    assert (grid.depth_of(symbols, max_bits) == depths).all()


def test_counts_rates_and_values() -> None:
    symbols = np.array([[0, 4, -4], [2, 6, 1]])
    assert grid.count_depths(symbols, 3).tolist() == [[1, 2, 2, 1]]
    assert grid.count_depths(symbols, 3, np.arange(3)).tolist() == [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]]
    expected = [np.log2(10 / 7), 1 + np.log2(10), 2 + np.log2(10), 3 + np.log2(10)]
    assert grid.depth_rates(np.array([[6, 0, 0, 0]]))[0].tolist() == pytest.approx(expected)
    points = np.arange(30.0).reshape(2, 15)
    assert grid.reconstruct(np.array([[0, 7], [-7, 1]]), points, -1).tolist() == [[7, 29], [0, 23]]
    with pytest.raises(InputError, match=r"symbols must be integers in -7\.\.7"):
        grid.reconstruct(np.array([8]), points[:1])
