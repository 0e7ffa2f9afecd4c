"""Frequency tables of the symbols: held in the file, or learnt from the symbols before.

Tables speak of *t*, the symbol without the zeros that all symbols of an array end in: t = s >> (N - D), D the
largest depth that occurs, t in -(2^D - 1) .. 2^D - 1, A = 2^(D+1) - 1 of them. Everything is in integers, the same
on both sides and on every machine; ``docs/array-format.md``, Frequencies, is the specification.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bayes.grid import symbol_depths
from glissando.bitstream import SymbolTables
from glissando.deflate import deflated, inflated
from glissando.errors import CorruptError
from glissando.frequencies import WHOLE, complete

__all__ = [
    "Adaptive",
    "count_symbols",
    "entropy",
    "estimate_learnt",
    "level_weights",
    "make_tables",
    "pack_levels",
    "symbols_of",
    "to_levels",
    "unpack_levels",
]

STEPS = 8
"""Levels to an octave: frequencies are kept to about 4 %, which costs 0.0005 bit a value."""

MAX_LEVEL = 1 + 29 * STEPS + STEPS - 1

_STEP = np.array([256, 279, 304, 332, 362, 395, 431, 470])  # 256·2^(i/8), cut down

_UNIT = 30  # weights learnt are in units of 2^-30


def symbols_of(depth: int) -> int:
    """A, how many symbols there are up to a depth; at depth 0 the median alone."""
    return (2 << depth) - 1


def count_symbols(rows: NDArray[Any], depth: int) -> NDArray[np.int64]:
    """How often each symbol occurs in each group.

    Args:
        rows: integers t [n, G], -(2^D - 1) .. 2^D - 1.
        depth: D.

    Returns:
        int64 [G, A].
    """
    groups, size = rows.shape[1], symbols_of(depth)
    keys = rows.astype(np.int64) + (np.arange(groups) * size + (size >> 1))
    return np.bincount(keys.ravel(), minlength=groups * size).reshape(groups, size)


def entropy(counts: NDArray[np.int64]) -> float:
    """Bits of symbols with these counts [G, A] at their empirical entropy, each group by itself."""
    return _xlog2x(counts.sum(axis=-1)) - _xlog2x(counts)


def _xlog2x(counts: NDArray[np.int64]) -> float:
    some = counts[counts > 0].astype(np.float64)
    return float((some * np.log2(some)).sum())


def make_tables(weights: NDArray[np.int64]) -> SymbolTables:
    """Tables in proportion to weights: int64 [T, A], >= 0, below 2^39, some of each row positive.

    Each symbol gets 1 + ⌊w·(2^24 - A - 1) / W⌋, W the row's sum, and the escape 1, which is never used; what is then
    missing from 2^24 goes to the first of the symbols with the largest weight.
    """
    count, size = weights.shape
    frequencies = np.ones((count, size + 1), np.int64)
    shares = frequencies[:, :size]
    shares += weights * (WHOLE - size - 1) // weights.sum(axis=1, keepdims=True)
    complete(frequencies, weights.argmax(axis=1))
    return SymbolTables(frequencies.ravel(), np.full(count, size >> 1))


# --- Tables in the file ------------------------------------------------------------------------------------


def to_levels(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Counts as levels, eight to an octave: 0 for none, else 1 + 8·log2(count), rounded."""
    levels = np.zeros(counts.shape, np.uint8)
    np.rint(1 + STEPS * np.log2(counts, where=counts > 0, out=np.zeros(counts.shape)), out=levels, casting="unsafe")
    levels[counts == 0] = 0
    return levels


def level_weights(levels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The weights that levels stand for, int64, below 2^38; a row of zeros counts as a row of ones."""
    above = np.maximum(levels.astype(np.int64) - 1, 0)
    weights: NDArray[np.int64] = _STEP[above % STEPS] << (above // STEPS)
    weights[levels == 0] = 0
    weights[~weights.any(axis=-1)] = 1
    return weights


def _by_depth(depth: int) -> NDArray[np.intp]:
    """All symbols in order of depth, ascending within each, so that neighbours have similar frequencies."""
    return np.argsort(symbol_depths(depth) if depth else np.zeros(1), kind="stable")


def pack_levels(levels: NDArray[np.uint8]) -> bytes:
    """Levels [T, A] as bytes: differences along each table in order of depth, modulo 256, deflated (RFC 1951)."""
    order = _by_depth((levels.shape[1] + 1).bit_length() - 2)
    ordered = levels[:, order]
    ordered[:, 1:] -= ordered[:, :-1].copy()
    return deflated(ordered.tobytes(), level=6)


def unpack_levels(data: bytes, count: int, depth: int) -> NDArray[np.uint8]:
    """The levels [T, A] that ``pack_levels`` packed, T = ``count``; CorruptError where they are none."""
    size = symbols_of(depth)
    raw = inflated(data, count * size, "the stream of symbol tables")
    ordered = np.cumsum(np.frombuffer(raw, np.uint8).reshape(count, size), axis=1, dtype=np.uint8)
    if ordered.max() > MAX_LEVEL:
        raise CorruptError(f"a symbol table has the level {ordered.max()}; the largest is {MAX_LEVEL}")
    levels = np.empty_like(ordered)
    levels[:, _by_depth(depth)] = ordered
    return levels


# --- Tables learnt -----------------------------------------------------------------------------------------


class Adaptive:
    """Tables that follow from what was coded before: counts, smoothed towards what is known more broadly.

    A group's symbol counts are smoothed towards those of all groups together, these towards the counts of depths,
    every point of a depth equally likely, and these towards equal ones. With counts c of a group, C of all groups
    and H of depths n,

        B = ⌊(H_n + 1)·2^(30 - n) / (ΣH + D + 1)⌋,   P = ⌊(2^30·C + a·B) / (ΣC + a)⌋,   w = ⌊(2^30·c + b·P) / (Σc + b)⌋

    with concentrations a, b that the file states. For one group, w is P.

    Args:
        groups: G.
        depth: D.
        pooled: log2 a, 0 .. 20.
        own: log2 b, 0 .. 20.
    """

    def __init__(self, groups: int, depth: int, pooled: int, own: int) -> None:
        self._depth, self._pooled, self._own = depth, 1 << pooled, 1 << own
        self._counts = np.zeros((groups, symbols_of(depth)), np.int64)
        self._depths = symbol_depths(depth).astype(np.int64) if depth else np.zeros(1, np.int64)

    def learn(self, counts: NDArray[np.int64]) -> None:
        """Add what was coded: int64 [G, A]."""
        self._counts += counts

    def forget(self, counts: NDArray[np.int64]) -> None:
        """Take back what was added, as an encoder works from the end to the beginning."""
        self._counts -= counts

    def weights(self) -> NDArray[np.int64]:
        """The weights after what was learnt, int64 [G, A], at most 2^30."""
        counts = self._counts
        every = counts.sum(axis=0)
        depths = np.bincount(self._depths, weights=every, minlength=self._depth + 1).astype(np.int64)
        total = int(every.sum())
        base = ((depths + 1) << (_UNIT - np.arange(self._depth + 1))) // (total + self._depth + 1)
        pooled = ((every << _UNIT) + self._pooled * base[self._depths]) // (total + self._pooled)
        if len(counts) == 1:
            return np.asarray(np.maximum(pooled, 1))[None]
        # Every group has had equally many symbols.
        each = total // len(counts)
        mixed = ((counts << _UNIT) + self._own * pooled) // (each + self._own)
        return np.asarray(np.maximum(mixed, 1))


def estimate_learnt(counts: NDArray[np.int64], depth: int) -> tuple[float, int, int]:
    """About how many bits learnt tables need for symbols with these counts [G, A], and their concentrations.

    Were tables learnt after every symbol, and smoothed towards a fixed distribution, a group would cost the
    Dirichlet-multinomial code length, whatever the order of its symbols.

    Returns:
        Bits, log2 a, log2 b.
    """
    every = counts.sum(axis=0, keepdims=True)
    depths = symbol_depths(depth).astype(np.int64) if depth else np.zeros(1, np.int64)
    share = np.bincount(depths, weights=every[0], minlength=depth + 1) + 1
    base = (share / share.sum() / np.exp2(np.arange(depth + 1)))[depths]
    pooled_bits, pooled = min((_dirichlet_bits(every, base, 1 << a), a) for a in range(1, 15, 2))
    learning = pooled_bits - entropy(every)
    if len(counts) == 1:
        return pooled_bits, pooled, 0
    mean = (every[0] + base) / (every.sum() + 1)
    own_bits, own = min((_dirichlet_bits(counts, mean, 1 << b), b) for b in range(3, 19, 3))
    return own_bits + learning, pooled, own


def _dirichlet_bits(counts: NDArray[np.int64], base: NDArray[np.float64], concentration: int) -> float:
    """Bits of counts [G, A] under a Dirichlet prior around ``base`` [A]."""
    group, symbol = np.nonzero(counts)
    some, prior = counts[group, symbol], concentration * base[symbol]
    totals = counts.sum(axis=1)
    nats = (_log_gamma(totals + concentration) - _log_gamma(np.full(totals.shape, concentration))).sum()
    nats -= (_log_gamma(some + prior) - _log_gamma(prior)).sum()
    return float(nats / np.log(2))


def _log_gamma(x: NDArray[Any]) -> NDArray[np.float64]:
    """ln Γ(x) for x > 0, good to 1e-6: Stirling's series at x + 4."""
    y = np.asarray(x, np.float64)
    z = y + 4
    series: NDArray[np.float64] = (z - 0.5) * np.log(z) - z + 0.5 * np.log(2 * np.pi) + 1 / (12 * z) - 1 / (360 * z**3)
    return series - np.log(y * (y + 1) * (y + 2) * (y + 3))
