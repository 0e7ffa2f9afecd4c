"""Where a rising function crosses zero: the searches behind every file of a wanted size or score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

__all__ = ["approach_zero", "approach_zero_by_slope"]

_KEPT = 0.1  # share of a bracket that each trial leaves on either side, so that it shrinks from both


def approach_zero(
    value: Callable[[int], float], low: int, high: int, *, start: int | None = None, step: int = 1
) -> Iterator[tuple[int, float]]:
    """Try positions ``low`` … ``high``, each nearer to where a rising function is zero; the caller stops when content.

    From ``start`` the search walks towards zero in steps that double, until zero lies between two positions. It then
    tries positions between them: those that a straight line between their values says (false position), and the middle
    where that has moved the same end twice. Small ripples in the function do no harm.

    Args:
        value: costly, and called once for each position.
        low, high: the first and the last position.
        start: a position near zero makes the search shorter; ``low`` if not given.
        step: how far from ``start`` zero may be; 1 or more.

    Yields:
        Each position that was tried, and its value. The search ends where a value is zero, where zero lies between
        two neighbours, or beyond ``low`` or ``high``, which have been tried then.
    """
    here = low if start is None else min(max(start, low), high)
    error = value(here)
    yield here, error
    below: tuple[int, float] | None = None  # the last position known to have a value below zero
    above: tuple[int, float] | None = None  # the first position known to have a value above zero
    while True:
        if error < 0:
            below = here, error
        elif error > 0:
            above = here, error
        else:
            return
        if below is not None and above is not None:
            break
        if here == (high if error < 0 else low):
            return
        here = min(here + step, high) if error < 0 else max(here - step, low)
        step *= 2
        error = value(here)
        yield here, error
    signs: list[bool] = []  # of the values found on straight lines since the middle was tried
    while (width := above[0] - below[0]) > 1:
        if signs[-2:] in ([True, True], [False, False]):
            share = 0.5
            signs.clear()
        else:
            share = min(max(below[1] / (below[1] - above[1]), _KEPT), 1 - _KEPT)
        here = below[0] + min(max(round(share * width), 1), width - 1)
        error = value(here)
        yield here, error
        if error == 0:
            return
        signs.append(error > 0)
        if error > 0:
            above = here, error
        else:
            below = here, error


_FARTHEST = 4.0  # times the distance that the given slope says, which no step may exceed


def approach_zero_by_slope(
    value: Callable[[int], float], low: int, high: int, *, start: int, slope: float
) -> Iterator[tuple[int, float]]:
    """Try positions ``low`` … ``high``, each nearer to where a smooth rising function is zero, of known steepness.

    The second position is where a line of that slope through the first is zero (Newton's method), each further one
    where a line or a parabola through the best of those before is. So smooth functions take few trials. Functions with
    steps take more: where two trials have not halved what lies between a value below zero and one above, the third is
    in the middle, and once that has happened twice, all others are.

    Args:
        value: costly, and called once for each position.
        low, high: the first and the last position.
        start: the first to be tried.
        slope: by how much the value rises from one position to the next, about; more than 0.

    Yields:
        Each position that was tried, and its value. The search ends where a value is zero, where zero lies between
        two neighbours, or beyond ``low`` or ``high``, which have been tried then.
    """
    here = min(max(start, low), high)
    tried: list[tuple[int, float]] = []
    below, above = low - 1, high + 1  # the nearest positions known to lie below and above zero, once they are tried
    widths: list[int] = []
    stuck, shortest = 0, 1
    while True:
        error = value(here)
        yield here, error
        tried.append((here, error))
        if error < 0:
            below = here
        elif error > 0:
            above = here
        else:
            return
        if above - below <= 1:
            return
        wanted = _where_zero(tried, slope)
        if low <= below and above <= high:
            widths.append(above - below)
            if stuck < 2 and len(widths) > 2 and 2 * widths[-1] > widths[-3]:
                stuck += 1
                widths = []
                wanted = (below + above) // 2
            elif stuck == 2:
                wanted = (below + above) // 2
        else:  # each step goes at least twice as far as the one before was made to go
            farthest = max(shortest, round(_FARTHEST * min(abs(error) / slope, high - low)))
            distance = min(max((wanted - here) * (1 if error < 0 else -1), shortest), farthest)
            wanted = here + (distance if error < 0 else -distance)
            shortest *= 2
        here = min(max(wanted, below + 1), above - 1)


def _where_zero(tried: Sequence[tuple[int, float]], slope: float) -> int:
    """Where a curve through the best positions is zero: a parabola, a line, or a line of the given slope."""
    best = sorted(tried, key=lambda trial: abs(trial[1]))[:3]
    here, error = best[0]
    rising = sorted(best)
    if len(best) == 3 and all(first[1] < second[1] for first, second in pairwise(rising)):
        # The parabola is that of the position over the value, so that it has one position for zero.
        total = 0.0
        for position, value in best:
            share = 1.0
            for _, other in best:
                if other != value:
                    share *= other / (other - value)
            total += position * share
        return round(total)
    if len(best) > 1 and (best[1][1] - error) * (best[1][0] - here) > 0:
        slope = (best[1][1] - error) / (best[1][0] - here)
    return round(here - error / slope)
