"""Bjøntegaard delta rate between two curves of (bits per pixel, dB)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import bjontegaard
import numpy as np

from .api import BenchmarkError

__all__ = ["METHOD", "BDRate", "Curve", "bd_rate"]

Method = Literal["pchip", "akima"]
METHOD: Method = "pchip"
"""Interpolation of log-rate over PSNR: monotone piecewise cubic, which never overshoots its points."""


@dataclass(frozen=True)
class Curve:
    """A codec's rate-distortion curve: at least two points of rising rate (bpp) and rising PSNR (dB)."""

    name: str
    bpp: tuple[float, ...]
    psnr: tuple[float, ...]

    @classmethod
    def of(cls, name: str, points: Iterable[tuple[float, float]]) -> Curve:
        """From (bpp, dB) points in any order. Raises BenchmarkError where they make no rising curve."""
        ordered = sorted(points)
        if len(ordered) < 2:
            raise BenchmarkError(f"{name}: a BD-rate needs at least two points, not {len(ordered)}")
        for rate, quality in ordered:
            if not (math.isfinite(rate) and math.isfinite(quality) and rate > 0.0):
                raise BenchmarkError(f"{name}: ({rate} bpp, {quality} dB) is no point of a curve")
        for (rate_a, psnr_a), (rate_b, psnr_b) in pairwise(ordered):
            if rate_b <= rate_a or psnr_b <= psnr_a:
                raise BenchmarkError(
                    f"{name}: PSNR must rise with the rate, but ({rate_a:.4f} bpp, {psnr_a:.3f} dB) is "
                    f"followed by ({rate_b:.4f} bpp, {psnr_b:.3f} dB)"
                )
        return cls(name, tuple(r for r, _ in ordered), tuple(p for _, p in ordered))


@dataclass(frozen=True)
class BDRate:
    """Mean rate difference of a curve to its anchor over a PSNR range."""

    percent: float
    """Negative where the curve needs fewer bits than the anchor for the same PSNR."""
    low: float
    """Lower end of the overlap, dB."""
    high: float
    """Upper end of the overlap, dB."""
    method: Method = METHOD


def bd_rate(anchor: Curve, curve: Curve, method: Method = METHOD) -> BDRate:
    """BD-rate of `curve` against `anchor`, over the whole PSNR range that both cover.

    Raises BenchmarkError where their ranges do not overlap. (Bjøntegaard, VCEG-M33, with piecewise cubic
    interpolation in place of the single polynomial, as JCT-VC has it.)
    """
    low, high = max(anchor.psnr[0], curve.psnr[0]), min(anchor.psnr[-1], curve.psnr[-1])
    if low >= high:
        raise BenchmarkError(f"{curve.name} and {anchor.name} share no PSNR range")
    percent = bjontegaard.bd_rate(
        np.array(anchor.bpp),
        np.array(anchor.psnr),
        np.array(curve.bpp),
        np.array(curve.psnr),
        method=method,
        require_matching_points=False,
        min_overlap=0.0,
    )
    return BDRate(float(percent), low, high, method)
