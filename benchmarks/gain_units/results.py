"""The study's results as they lie in a folder, and what is computed of them: differences at equal rate, distances."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from glissando.bench.bdrate import Curve, bd_rate
from glissando.errors import BenchmarkError

from ..plans import Row, runs_of
from .recipe import GainRecipe, Plan

__all__ = ["Result", "bd_rate_against", "by_group", "distances", "psnr_at", "read_results"]

Point = Sequence[float]
"""[quality, bpp, PSNR]."""


@dataclass(frozen=True)
class Result:
    """A row that has been trained with one seed."""

    row: Row
    recipe: GainRecipe
    seed: int
    figures: dict[str, Any]

    @property
    def curve(self) -> list[Point]:
        found: list[Point] = self.figures["curve"]
        return found

    @property
    def dedicated(self) -> bool:
        return self.recipe.method.kind == "dedicated"

    @property
    def trained_lambda(self) -> float:
        """The λ of a dedicated model."""
        return self.recipe.rate.lambda_of(self.recipe.method.quality)


def read_results(plan: Plan, out: Path) -> list[Result]:
    """The results that are there and of the plan's recipes, in the plan's order. Raises BenchmarkError without any."""
    found = []
    order = {id(row): number for number, row in enumerate(plan.rows)}
    for row, seed in sorted(runs_of(plan.rows), key=lambda run: (order[id(run[0])], run[1])):
        path, recipe = row.path(out, seed), plan.recipe_of(row)
        if path.exists():
            figures = json.loads(path.read_text(encoding="utf-8"))
            if figures["hash"] == recipe.hash():
                found.append(Result(row, recipe, seed, figures))
    if not found:
        raise BenchmarkError(f"{out} holds no result of the plan's rows")
    return found


def by_group(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of each group."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.row.group, []).append(result)
    return groups


def _interpolated(points: Sequence[Point], bpp: NDArray[np.float64]) -> NDArray[np.float64]:
    """PSNR at other rates, monotone piecewise cubic over log-rate; NaN beyond the ends."""
    curve = Curve.of("a curve", [(rate, psnr) for _, rate, psnr in points], strict=False)
    interpolate = PchipInterpolator(np.log(curve.bpp), curve.score, extrapolate=False)
    found: NDArray[np.float64] = interpolate(np.log(bpp))
    return found


def psnr_at(points: Sequence[Point], bpp: float) -> float | None:
    """The PSNR of a curve at a rate, None where the curve does not reach it."""
    value = float(_interpolated(points, np.array([bpp]))[0])
    return None if math.isnan(value) else value


def distances(levels: Sequence[Point], between: Sequence[Point]) -> NDArray[np.float64]:
    """How far points lie from the curve through those of the levels, in dB; points beyond its ends are left out.

    Positive values are above the curve.
    """
    rates = np.array([bpp for _, bpp, _ in between])
    found = np.array([psnr for *_, psnr in between]) - _interpolated(levels, rates)
    return found[~np.isnan(found)]


def bd_rate_against(anchor: Sequence[Point], points: Sequence[Point]) -> float | None:
    """BD-rate in percent, None where the curves have too little in common."""
    try:
        curves = [
            Curve.of(name, [(bpp, psnr) for _, bpp, psnr in given], strict=False)
            for name, given in (("gains", anchor), ("another", points))
        ]
        return bd_rate(curves[0], curves[1], min_overlap=0.25).percent
    except BenchmarkError:
        return None
