"""BD-rates with known answers, and against an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from glissando.bench.bdrate import Curve, Method, bd_rate
from glissando.bench.published import load_published
from glissando.errors import BenchmarkError

CURVE = Curve.of("a", [(0.1, 26.0), (0.2, 28.5), (0.5, 32.1), (1.0, 35.3), (2.0, 39.0)])
METHODS: tuple[Method, ...] = ("pchip", "akima")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("factor", "percent"), [(1.0, 0.0), (0.5, -50.0), (2.0, 100.0), (0.88, -12.0)])
def test_scaled_rate(method: Method, factor: float, percent: float) -> None:
    scaled = Curve.of("b", [(factor * b, p) for b, p in zip(CURVE.bpp, CURVE.score, strict=True)])
    result = bd_rate(CURVE, scaled, method)
    assert result.percent == pytest.approx(percent, abs=1e-6)
    assert (result.low, result.high) == (26.0, 39.0)


def test_only_the_overlap_counts() -> None:
    """Straight lines in log-rate, so that points may be added and cut without changing the answer."""
    line = [(0.1 * 2**i, 25.0 + 3 * i) for i in range(8)]
    longer = Curve.of("longer", line)
    shorter = Curve.of("shorter", [(0.75 * b, p) for b, p in line[2:5]])
    result = bd_rate(longer, shorter)
    assert result.percent == pytest.approx(-25.0, abs=1e-6)
    assert (result.low, result.high) == (31.0, 37.0)


def test_points_may_come_in_any_order() -> None:
    pairs = list(zip(CURVE.bpp, CURVE.score, strict=True))
    assert Curve.of("a", reversed(pairs)) == CURVE


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([(0.1, 20.0)], "two points"),
        ([(0.1, 20.0), (0.2, 20.0)], "must rise"),
        ([(0.1, 20.0), (0.2, float("inf"))], "no point"),
        ([(0.0, 20.0), (0.2, 21.0)], "no point"),
    ],
)
def test_impossible_curves(points: list[tuple[float, float]], words: str) -> None:
    with pytest.raises(BenchmarkError, match=words):
        Curve.of("bad", points)


def test_no_overlap() -> None:
    with pytest.raises(BenchmarkError, match="share no range"):
        bd_rate(CURVE, Curve.of("high", [(3.0, 40.0), (4.0, 42.0)]))


def pchip(x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fritsch and Butland's monotone piecewise cubic, written from the paper (SIAM J. Sci. Stat. 5, 1984)."""
    h, slope = np.diff(x), np.diff(y) / np.diff(x)
    d = np.empty_like(x)
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    d[1:-1] = (w1 + w2) / (w1 / slope[:-1] + w2 / slope[1:])  # all slopes are positive here
    for end, (h0, h1, s0, s1) in {
        0: (h[0], h[1], slope[0], slope[1]),
        -1: (h[-1], h[-2], slope[-1], slope[-2]),
    }.items():
        d[end] = min(max(((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1), 0.0), 3 * s0)
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(h) - 1)
    t = (at - x[i]) / h[i]
    result: NDArray[np.float64] = (
        (1 + 2 * t) * (1 - t) ** 2 * y[i]
        + t * (1 - t) ** 2 * h[i] * d[i]
        + t**2 * (3 - 2 * t) * y[i + 1]
        + t**2 * (t - 1) * h[i] * d[i + 1]
    )
    return result


def independent_bd_rate(anchor: Curve, curve: Curve) -> float:
    """Percent: midpoint rule over the overlap, natural logarithms."""
    low, high = max(anchor.score[0], curve.score[0]), min(anchor.score[-1], curve.score[-1])
    at = low + (high - low) * (np.arange(100_000) + 0.5) / 100_000
    a = pchip(np.array(anchor.score), np.log(np.array(anchor.bpp)), at)
    b = pchip(np.array(curve.score), np.log(np.array(curve.bpp)), at)
    return 100.0 * float(np.expm1(np.mean(b - a)))


def test_independent_computation_on_a_small_curve() -> None:
    other = Curve.of("b", [(0.08, 25.0), (0.3, 30.0), (0.9, 36.0), (3.0, 43.0)])
    assert bd_rate(CURVE, other).percent == pytest.approx(independent_bd_rate(CURVE, other), abs=1e-3)


@pytest.fixture(scope="module")
def published() -> dict[str, Curve]:
    curves = {curve.name: curve.points["psnr"] for curve in load_published() if "psnr" in curve.points}
    return {name: Curve.of(name, [(bpp, score) for bpp, score in points]) for name, points in curves.items()}


@pytest.mark.parametrize("name", ["JPEG2000", "WebP", "AV1", "BPG-444-x265-ycbcr", "VTM"])
def test_published_curves_against_jpeg(published: dict[str, Curve], name: str) -> None:
    result = bd_rate(published["JPEG"], published[name])
    assert result.percent == pytest.approx(independent_bd_rate(published["JPEG"], published[name]), abs=0.1)
    assert bd_rate(published["JPEG"], published[name], "akima").percent == pytest.approx(result.percent, abs=0.5)
    assert -75.0 < result.percent < -20.0


def test_published_order(published: dict[str, Curve]) -> None:
    """VTM needs fewer bits than AV1, AV1 than BPG, BPG than JPEG 2000, and that than JPEG."""
    names = ["VTM", "AV1", "BPG-444-x265-ycbcr", "JPEG2000", "JPEG"]
    rates = [bd_rate(published["JPEG"], published[name]).percent for name in names]
    assert rates == sorted(rates)


def test_points_that_a_smaller_file_beats_are_left_out_unless_strict() -> None:
    points = [(1.0, 30.0), (1.2, 29.9), (1.5, 33.0), (2.0, 33.0), (2.5, 35.0), (2.5, 36.0)]
    assert Curve.of("a", points, strict=False) == Curve("a", (1.0, 1.5, 2.5), (30.0, 33.0, 36.0))
    with pytest.raises(BenchmarkError, match="must rise"):
        Curve.of("a", points)
    with pytest.raises(BenchmarkError, match="at least two points"):
        Curve.of("a", [(1.0, 30.0), (2.0, 29.0)], strict=False)


def test_too_little_overlap_is_refused_where_asked() -> None:
    anchor = Curve("a", (1.0, 2.0), (30.0, 40.0))
    curve = Curve("b", (1.0, 2.0), (38.0, 48.0))  # they share 2 of 10 dB
    assert bd_rate(anchor, curve, min_overlap=0.2).low == 38.0
    with pytest.raises(BenchmarkError, match="only 38 to 40, 20 %"):
        bd_rate(anchor, curve, min_overlap=0.25)
