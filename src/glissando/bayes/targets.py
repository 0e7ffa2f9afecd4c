"""The rate weight at which a file has a wanted size."""

from __future__ import annotations

from collections.abc import Callable
from math import log, log2

from glissando.errors import InputError

__all__ = ["guess_weight", "meet"]

LEAST, MOST = -40.0, 40.0
"""log2 of the rate weights tried. Weights are nats a bit, whatever the array's units, so this is ample."""

_ENOUGH = 0.995  # of the target
_TRIALS = 24


def meet(target: int, encode: Callable[[float], bytes], guess: float = 1.0, step: float = 1.0) -> bytes:
    """The largest file found of at most ``target`` bytes.

    Sizes fall as weights rise, but for small ripples. A bracket is grown around ``guess`` and then narrowed, first
    by interpolation of log-size, until a file is within 0.5 % below the target or the weights are one.

    Args:
        target: bytes.
        encode: rate weight -> file.
        guess: a weight near the right one makes it faster.
        step: how far off it may be, in octaves.

    Raises:
        InputError: even the smallest file is larger; the message says how large that is.
    """
    best: bytes | None = None
    trials = 0

    def attempt(exponent: float) -> float:
        """log(size / target), and keep the file if it fits and is the largest so far."""
        nonlocal best, trials
        trials += 1
        data = encode(0.0 if exponent <= LEAST else 2.0**exponent)
        if len(data) <= target and (best is None or len(data) > len(best)):
            best = data
        return log(len(data) / target)

    def good() -> bool:
        return best is not None and len(best) >= _ENOUGH * target

    if target < 1:
        raise InputError(f"the target is {target} bytes; it must be at least 1")
    here = min(max(log2(guess), LEAST), MOST)
    excess = attempt(here)
    low = high = here  # exponents: at `low` the file is too large, at `high` it fits
    low_excess = high_excess = excess
    first = step
    while not good() and low_excess <= 0 and low > LEAST:
        low = max(low - step, LEAST)
        low_excess = attempt(low)
        step *= 2
    step = first
    while high_excess > 0 and high < MOST:
        low, low_excess = high, high_excess
        high = min(high + step, MOST)
        high_excess = attempt(high)
        step *= 2
    if best is None:
        smallest = len(encode(2.0**MOST))
        if smallest > target:
            raise InputError(f"the smallest possible file has {smallest} bytes; the target is {target}")
        best = encode(2.0**MOST)
    if low_excess <= 0:
        return best  # even the most precise file fits
    while not good() and high - low > 1e-4 and trials < _TRIALS:
        aim = log(0.998) - low_excess
        # Interpolate, but keep off the ends, so that the bracket shrinks from both sides.
        part = min(max(aim / (high_excess - low_excess), 0.1), 0.9)
        middle = low + part * (high - low)
        excess = attempt(middle)
        if excess > 0:
            low, low_excess = middle, excess
        else:
            high, high_excess = middle, excess
    return best


def guess_weight(target: int, estimate: Callable[[float], float]) -> float:
    """The weight at which ``estimate``, of bytes, is near the target: a cheap start for ``meet``."""
    low, high = LEAST, MOST
    while high - low > 0.1:
        middle = (low + high) / 2
        if estimate(2.0**middle) > target:
            low = middle
        else:
            high = middle
    return float(2.0**high)
