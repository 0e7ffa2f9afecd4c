"""The rate weight at which a file has a wanted size."""

from __future__ import annotations

from collections.abc import Callable
from math import log, log2

from glissando.errors import InputError
from glissando.search import approach_zero

__all__ = ["guess_weight", "largest_within"]

OCTAVES = 40
"""Rate weights 2^-40 … 2^40 are tried. Weights are nats a bit, whatever the array's units, so this is ample."""

_FINE = 8192  # rate weights an octave, among which the one with the wanted size is sought
_COARSE = 10  # the same for the first guess

_ENOUGH = 0.995  # share of the target: a file that has it is large enough
_AIM = 0.998
_TRIALS = 24


def largest_within(target: int, encode: Callable[[float], bytes], guess: float = 1.0, step: float = 1.0) -> bytes:
    """The largest file found of at most ``target`` bytes: within 0.5 % below it, unless no weight gives one.

    Sizes fall as weights rise, but for small ripples.

    Args:
        target: bytes.
        encode: rate weight -> file.
        guess: a weight near the right one makes it faster.
        step: how far off it may be, in octaves.

    Raises:
        InputError: even the smallest file is larger; the message says how large that is.
    """
    if target < 1:
        raise InputError(f"the target is {target} bytes; it must be at least 1")
    best: bytes | None = None
    smallest = -1
    top = OCTAVES * _FINE

    def excess(position: int) -> float:
        """log(size / what is aimed at), and keep the file if it fits and is the largest so far."""
        nonlocal best, smallest
        data = encode(0.0 if position == top else 2.0 ** (-position / _FINE))
        smallest = len(data) if smallest < 0 else min(smallest, len(data))
        if len(data) <= target and (best is None or len(data) > len(best)):
            best = data
        return log(len(data) / (_AIM * target))

    start, first = -round(_FINE * log2(guess)), max(1, round(_FINE * step))
    for trial, _ in enumerate(approach_zero(excess, -top, top, start=start, step=first), 1):
        if trial >= _TRIALS or (best is not None and len(best) >= _ENOUGH * target):
            break
    if best is None:
        raise InputError(f"the smallest possible file has {smallest} bytes; the target is {target}")
    return best


def guess_weight(target: int, estimate: Callable[[float], float]) -> float:
    """The weight at which ``estimate``, of bytes, is near the target: a cheap start for ``largest_within``."""
    top = OCTAVES * _COARSE

    def weight(position: int) -> float:
        return float(2.0 ** (-position / _COARSE))

    def excess(position: int) -> float:
        return log(max(estimate(weight(position)), 1.0) / target)

    position, _ = min(approach_zero(excess, -top, top, step=2 * top), key=lambda trial: abs(trial[1]))
    return weight(position)
