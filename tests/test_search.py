"""The search for where a rising function is zero."""

from __future__ import annotations

import math
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glissando.search import approach_zero, approach_zero_by_slope


@given(
    zero=st.floats(-1000, 1000),
    shape=st.sampled_from(("line", "cube", "flat", "stairs", "jump", "exponential")),
    start=st.integers(-1500, 1500) | st.none(),
    step=st.integers(1, 3000),
)
def test_it_ends_at_zero_or_between_two_neighbours(zero: float, shape: str, start: int | None, step: int) -> None:
    def value(x: int) -> float:
        far = x - zero
        return {
            "line": far,
            "cube": far**3,
            "flat": math.copysign(1e-9, far) if abs(far) < 500 else far,
            "stairs": math.floor(far / 7) + 0.5,
            "jump": math.copysign(1, far),
            "exponential": math.expm1(far / 50),
        }[shape]

    trials = list(approach_zero(value, -1000, 1000, start=start, step=step))
    positions = [position for position, _ in trials]
    assert len(set(positions)) == len(positions) <= 45
    assert all(-1000 <= position <= 1000 and error == value(position) for position, error in trials)
    below = max((position for position, error in trials if error < 0), default=None)
    above = min((position for position, error in trials if error > 0), default=None)
    if all(error != 0 for _, error in trials):
        if below is None:
            assert above == -1000
        elif above is None:
            assert below == 1000
        else:
            assert above == below + 1


def test_a_smooth_function_takes_few_trials() -> None:
    for zero in range(100, 25_600, 997):
        trials = approach_zero(
            lambda x, zero=zero: math.log((x + 500) / (zero + 500)), 0, 25_600, start=12_000, step=2000
        )
        assert any(abs(error) < 1e-3 for _, error in islice(trials, 14))


def test_zero_outside_the_range_is_met_by_its_end() -> None:
    assert list(approach_zero(lambda x: x - 7.5, 0, 5, start=1, step=1)) == [(1, -6.5), (2, -5.5), (4, -3.5), (5, -2.5)]
    assert list(approach_zero(lambda x: x + 1.0, 0, 5)) == [(0, 1.0)]
    assert list(approach_zero(lambda x: 0.0, 3, 3)) == [(3, 0.0)]


def test_the_function_is_asked_only_as_long_as_the_caller_wants() -> None:
    asked: list[int] = []

    def value(x: int) -> float:
        asked.append(x)
        return x - 50.3

    for _, error in approach_zero(value, 0, 100, start=20, step=10):
        if abs(error) < 1:
            break
    assert len(asked) == len(set(asked)) < 8


@pytest.mark.parametrize("ripple", [0.0, 0.4])
def test_small_ripples_do_no_harm(ripple: float) -> None:
    def value(x: int) -> float:
        return x / 100 - 3.2 + ripple * math.sin(x) / 100

    *_, (position, _) = approach_zero(value, 0, 1000, start=900, step=50)
    assert abs(position - 320) <= 2


@given(
    zero=st.floats(-1000, 1000),
    shape=st.sampled_from(("line", "cube", "flat", "stairs", "jump", "exponential", "far")),
    start=st.integers(-1500, 1500),
    slope=st.floats(1e-6, 1e6),
)
def test_with_a_slope_it_ends_at_zero_or_between_two_neighbours(
    zero: float, shape: str, start: int, slope: float
) -> None:
    def value(x: int) -> float:
        far = x - zero
        return {
            "line": far,
            "cube": far**3,
            "flat": math.copysign(1e-9, far) if abs(far) < 500 else far,
            "stairs": math.floor(far / 7) + 0.5,
            "jump": math.copysign(1, far),
            "exponential": math.expm1(far / 50),
            "far": far if far < 0 else 1e9,
        }[shape]

    trials = list(approach_zero_by_slope(value, -1000, 1000, start=start, slope=slope))
    positions = [position for position, _ in trials]
    assert len(set(positions)) == len(positions) <= 45
    assert all(-1000 <= position <= 1000 and error == value(position) for position, error in trials)
    below = max((position for position, error in trials if error < 0), default=None)
    above = min((position for position, error in trials if error > 0), default=None)
    if all(error != 0 for _, error in trials):
        assert above == -1000 if below is None else below == 1000 if above is None else above == below + 1


def test_a_known_slope_saves_trials() -> None:
    for zero in range(100, 25_600, 997):
        trials = approach_zero_by_slope(
            lambda x, zero=zero: math.log((x + 5000) / (zero + 5000)), 0, 25_600, start=12_000, slope=1 / 15_000
        )
        assert any(abs(error) < 1e-3 for _, error in islice(trials, 5))
