"""Bjøntegaard delta rate between two curves of (bits per pixel, score)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import bjontegaard
import numpy as np

from glissando.errors import BenchmarkError

__all__ = ["METHOD", "BDRate", "Curve", "bd_rate"]

Method = Literal["pchip", "akima"]
METHOD: Method = "pchip"
"""Interpolation of log-rate over PSNR: monotone piecewise cubic, which never overshoots its points."""


@dataclass(frozen=True)
class Curve:
    """A codec's rate-distortion curve: at least two points of rising rate (bpp) and rising score (PSNR in dB, …)."""

    name: str
    bpp: tuple[float, ...]
    score: tuple[float, ...]

    @classmethod
    def of(cls, name: str, points: Iterable[tuple[float, float]], *, strict: bool = True) -> Curve:
        """From (bpp, score) points in any order. Raises BenchmarkError where they make no rising curve.

        Without ``strict``, a point that a smaller file matches or beats is left out instead, as nobody would
        choose its setting.
        """
        ordered = sorted(points)
        for rate, quality in ordered:
            if not (math.isfinite(rate) and math.isfinite(quality) and rate > 0.0):
                raise BenchmarkError(f"{name}: ({rate} bpp, {quality}) is no point of a curve")
        if not strict:
            ordered = _rising(ordered)
        if len(ordered) < 2:
            raise BenchmarkError(f"{name}: a BD-rate needs at least two points, not {len(ordered)}")
        for (rate_a, score_a), (rate_b, score_b) in pairwise(ordered):
            if rate_b <= rate_a or score_b <= score_a:
                raise BenchmarkError(
                    f"{name}: the score must rise with the rate, but ({rate_a:.4f} bpp, {score_a:.3f}) is "
                    f"followed by ({rate_b:.4f} bpp, {score_b:.3f})"
                )
        return cls(name, tuple(r for r, _ in ordered), tuple(p for _, p in ordered))


def _rising(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points sorted by rate, those whose score is above that of all smaller rates."""
    kept: list[tuple[float, float]] = []
    for rate, quality in ordered:
        if not kept or quality > kept[-1][1]:
            if kept and rate == kept[-1][0]:
                kept.pop()
            kept.append((rate, quality))
    return kept


@dataclass(frozen=True)
class BDRate:
    """Mean rate difference of a curve to its anchor over a range of scores."""

    percent: float
    """Negative where the curve needs fewer bits than the anchor for the same score."""
    low: float
    """Lower end of the overlap, in the score's unit."""
    high: float
    """Upper end of the overlap."""
    method: Method = METHOD


def bd_rate(anchor: Curve, curve: Curve, method: Method = METHOD, *, min_overlap: float = 0.0) -> BDRate:
    """BD-rate of `curve` against `anchor`, over the whole range of scores that both cover.

    Raises BenchmarkError where their ranges do not overlap, or by less than the share ``min_overlap`` of the
    shorter of them. (Bjøntegaard, VCEG-M33, with piecewise cubic interpolation in place of the single
    polynomial, as JCT-VC has it.)
    """
    low, high = max(anchor.score[0], curve.score[0]), min(anchor.score[-1], curve.score[-1])
    if low >= high:
        raise BenchmarkError(f"{curve.name} and {anchor.name} share no range of scores")
    shorter = min(anchor.score[-1] - anchor.score[0], curve.score[-1] - curve.score[0])
    if high - low < min_overlap * shorter:
        raise BenchmarkError(
            f"{curve.name} and {anchor.name} share only {low:.3g} to {high:.3g}, "
            f"{100 * (high - low) / shorter:.0f} % of the shorter curve"
        )
    percent = bjontegaard.bd_rate(
        np.array(anchor.bpp),
        np.array(anchor.score),
        np.array(curve.bpp),
        np.array(curve.score),
        method=method,
        require_matching_points=False,
        min_overlap=0.0,
    )
    return BDRate(float(percent), low, high, method)
