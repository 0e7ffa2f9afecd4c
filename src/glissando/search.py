"""Where a rising function crosses zero: the search behind every file of a wanted size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

__all__ = ["approach_zero"]

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
