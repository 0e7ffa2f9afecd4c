"""From points to curves of means, and from curves to BD-rates."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from glissando.errors import BenchmarkError

from .bdrate import Curve, bd_rate
from .results import BDRow, Point

__all__ = ["MIN_OVERLAP", "Mean", "bd_row", "bd_rows", "mean_curve", "scores_at", "setting_at", "valued"]

MIN_OVERLAP = 0.25
"""Share of the shorter curve's range of scores that two curves must have in common for a BD-rate."""


@dataclass(frozen=True)
class Mean:
    """A codec at one setting, averaged over the pictures."""

    setting: float
    bpp: float
    score: float


def valued(points: Iterable[Point], metric: str) -> set[str]:
    """Pictures that any codec has a score for; of others (too small, say) the metric cannot be had."""
    return {point.picture for point in points if metric in point.scores}


def mean_curve(points: Sequence[Point], codec: str, metric: str) -> list[Mean]:
    """Mean bpp and mean score by setting, smallest files first.

    The means are over the pictures that the metric can be had of, and a setting counts only where every one of
    them has it: otherwise the points of one curve would be of different pictures.
    """
    pictures = valued(points, metric)
    groups: dict[float, list[Point]] = defaultdict(list)
    for point in points:
        if point.codec == codec and metric in point.scores:
            groups[point.setting].append(point)
    means = [
        Mean(setting, fmean(p.bpp for p in group), fmean(p.scores[metric] for p in group))
        for setting, group in groups.items()
        if {p.picture for p in group} == pictures
    ]
    return sorted(means, key=lambda mean: mean.bpp)


def bd_rows(
    points: Sequence[Point], codecs: Sequence[str], metrics: Sequence[str], pictures: Sequence[str], anchor: str
) -> list[BDRow]:
    """BD-rate of every codec, the anchor too, by every metric: of the means ("") and of each picture."""
    rows = []
    one: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in points:
        one[point.codec, point.picture].append(point)
    for metric in metrics:
        means = {codec: [(m.bpp, m.score) for m in mean_curve(points, codec, metric)] for codec in codecs}
        rows += [bd_row(codec, metric, "", anchor, means[anchor], means[codec]) for codec in codecs]
        for picture in pictures:
            own = {
                codec: [(p.bpp, p.scores[metric]) for p in one[codec, picture] if metric in p.scores]
                for codec in codecs
            }
            rows += [bd_row(codec, metric, picture, anchor, own[anchor], own[codec]) for codec in codecs]
    return rows


def bd_row(
    codec: str,
    metric: str,
    picture: str,
    anchor: str,
    anchor_points: Iterable[tuple[float, float]],
    points: Iterable[tuple[float, float]],
) -> BDRow:
    """BD-rate of one curve of (bpp, score) points against another; where it is refused, the row says why.

    ``picture`` is "" for curves of means over pictures. The anchor may also be a curve that others have published.
    """
    try:
        curve, base = (
            Curve.of(name, given, strict=False) for name, given in ((codec, points), (anchor, anchor_points))
        )
        result = bd_rate(base, curve, min_overlap=MIN_OVERLAP)
    except (BenchmarkError, ValueError) as error:
        return BDRow(codec, metric, picture, None, None, None, reason=str(error))
    if not math.isfinite(result.percent):
        return BDRow(codec, metric, picture, None, None, None, reason="the curves are too steep to compare")
    return BDRow(codec, metric, picture, result.percent, result.low, result.high)


def scores_at(points: Iterable[tuple[float, float]], bpp: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores of a curve of (bpp, score) points at other rates, on straight lines over log-rate.

    Beyond its ends the curve stays level: ask only within them.
    """
    rates, scores = zip(*sorted(points), strict=True)
    at_rates: NDArray[np.float64] = np.interp(np.log(bpp), np.log(rates), scores)
    return at_rates


def setting_at(points: Iterable[Point | Mean], bpp: float, *, whole: bool) -> float:
    """The setting of one codec that gives about ``bpp``: interpolated over log-rate, or the nearest end.

    The points are those of one picture, or means over the same pictures.

    Raises BenchmarkError where there is no point.
    """
    known = sorted({(math.log(p.bpp), p.setting) for p in points})
    if not known:
        raise BenchmarkError("no setting of it worked")
    wanted = math.log(bpp)
    below = max((k for k in known if k[0] <= wanted), default=known[0])
    above = min((k for k in known if k[0] >= wanted), default=known[-1])
    share = (wanted - below[0]) / (above[0] - below[0]) if above[0] > below[0] else 0.0
    setting = below[1] + share * (above[1] - below[1])
    return float(round(setting)) if whole else round(setting, 2)
