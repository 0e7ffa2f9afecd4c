"""What a VAE's files are coded with, fitted to the posteriors of training pictures: points, tables, prices of a bit.

Source: Yang, Bamler, Mandt (ICML 2020), "empirical prior" and the two passes of its coder: first each point costs its
depth, then what its depth and place proved to cost. Instead of a table for each channel and price, here some tens of
tables are shared by all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glissando.bayes.grid import count_depths, depth_rates, points_between, symbol_depths
from glissando.bayes.search import search

__all__ = ["Calibration", "Tables", "calibrate", "fit_knots", "fit_tables"]

MAX_BITS = 10
LEVELS = 21
TABLES = 48
LOWEST_BPP, HIGHEST_BPP = 0.06, 2.5  # what qualities 0 and 100 aim at
SURE = 0.002  # a channel whose symbols differ from zero less often than this is not coded
BROAD = 0.04  # share of the prior that lies evenly over a range wider than what was seen
BEYOND = 1.3  # times as wide
PRECISION_BITS = 24  # tables sum to 2^24
KNOTS = 65
_PIXELS = 256  # a latent's


@dataclass(frozen=True)
class Tables:
    """Which table codes which channel at which level; ``codec.vae.PointModel`` says what the arrays mean."""

    index: NDArray[np.int16]
    frequencies: NDArray[np.uint32]
    radii: NDArray[np.int32]
    bpp: NDArray[np.float64]  # of each level, on what was given


@dataclass(frozen=True)
class Calibration:
    """Fitted arrays, as a model's folder holds them."""

    knots: NDArray[np.float32]
    knot_symbols: NDArray[np.int16]
    tables: Tables
    log2_rate_weight: NDArray[np.float32]


def fit_knots(mean: NDArray[np.float32]) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Knots of each channel's code points. ``mean`` (n, channels) → symbols (K,), values (channels, K).

    Points are quantiles of the posterior means, of which a small share is laid over a broader range: what lies far
    out is rare, but must not be cut off.
    """
    largest = (1 << MAX_BITS) - 1
    symbols = np.unique(np.rint(largest * np.sin(np.linspace(-np.pi / 2, np.pi / 2, KNOTS))).astype(np.int16))
    xi = 0.5 + symbols / (2 << MAX_BITS)
    reach = BEYOND * np.abs(mean).max(axis=0)
    broad = np.linspace(-reach, reach, max(2, round(BROAD * len(mean))))
    values = np.quantile(np.concatenate([mean, broad]), xi, axis=0).T
    return symbols, np.maximum.accumulate(values, axis=1).astype(np.float32)


def calibrate(mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> Calibration:
    """Fit everything to posteriors (n, channels) of positions drawn from training pictures."""
    knot_symbols, knots = fit_knots(mean)
    points = points_between(knot_symbols, knots, MAX_BITS)
    log2_weights = _prices(mean, deviation, points)
    symbols = (_two_passes(mean, deviation, points, 2.0**x)[0] for x in log2_weights)
    return Calibration(knots, knot_symbols, fit_tables(symbols), log2_weights.astype(np.float32))


def fit_tables(levels: Iterable[NDArray[np.int16]], max_bits: int = MAX_BITS, sure: float = SURE) -> Tables:
    """Tables for the symbols (n, channels) of each level; channels surer to be zero than ``sure`` are not coded."""
    largest = (1 << max_bits) - 1
    size = 2 * largest + 1
    histograms, positions = [], 0
    for symbols in levels:
        positions, channels = symbols.shape
        keys = (symbols.astype(np.int64) + largest) + np.arange(channels) * size
        histograms.append(np.bincount(keys.ravel(), minlength=channels * size).reshape(channels, size))
    flat = np.concatenate(histograms).astype(np.float64)
    coded = flat[:, largest] <= (1 - sure) * flat.sum(axis=1)
    shared, nearest = _share(flat[coded], max_bits)
    index = np.full(len(flat), -1, np.int16)
    index[coded] = nearest
    cost = np.where(coded, -(flat * np.log2(shared[np.maximum(index, 0)])).sum(axis=1), 0.0)
    return Tables(
        index=index.reshape(len(histograms), -1),
        frequencies=np.concatenate([_integers(row) for row in shared]),
        radii=np.full(len(shared), largest, np.int32),
        bpp=cost.reshape(len(histograms), -1).sum(axis=1) / positions / _PIXELS,
    )


def _two_passes(
    mean: NDArray[np.float32], deviation: NDArray[np.float32], points: NDArray[np.float64], weight: float
) -> tuple[NDArray[np.int16], float]:
    """Symbols (n, channels), and about what they cost in bits per pixel."""
    channel = np.arange(mean.shape[1])
    first = search(mean, deviation, points, np.arange(MAX_BITS + 1.0), weight, group=-1)
    rates = depth_rates(count_depths(first, MAX_BITS, channel))
    symbols = search(mean, deviation, points, rates, weight, group=-1)
    counts = count_depths(symbols, MAX_BITS, channel)
    return symbols, float((counts * depth_rates(counts)).sum() / len(mean) / _PIXELS)


def _prices(
    mean: NDArray[np.float32], deviation: NDArray[np.float32], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """log2 λ of each level, evenly spaced between the prices at which the lowest and the highest rate are reached."""
    some = slice(None, None, max(1, len(mean) // 4096))
    trial = np.arange(-14.0, 11.0, 1.0)
    rates = [_two_passes(mean[some], deviation[some], points, 2.0**x)[1] for x in trial]
    # Rates fall as prices rise; np.interp wants them rising.
    ends = np.interp([LOWEST_BPP, HIGHEST_BPP], rates[::-1], trial[::-1])
    return np.linspace(ends[0], ends[1], LEVELS)


def _share(histograms: NDArray[np.float64], max_bits: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distributions (T, S) that many histograms (n, S) share, and which of them each one takes.

    Lloyd's iteration with code length for the distance, from histograms in order of their mean depth.
    """
    depths = symbol_depths(max_bits)
    mean_depth = histograms @ depths / histograms.sum(axis=1)
    order = np.argsort(mean_depth)
    nearest = np.empty(len(histograms), np.intp)
    nearest[order] = np.arange(len(order)) * min(TABLES, len(order)) // len(order)
    for _ in range(12):
        used = np.unique(nearest)
        shared = np.stack([_smooth(histograms[nearest == t].sum(axis=0), depths) for t in used])
        nearest = np.argmin(-(histograms @ np.log2(shared).T), axis=1)
    used, nearest = np.unique(nearest, return_inverse=True)
    return shared[used], nearest


def _smooth(counts: NDArray[np.float64], depths: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A distribution from counts: within each depth, places are smoothed over 32 neighbours, and none is impossible."""
    out = np.empty_like(counts)
    for depth in range(int(depths.max()) + 1):
        at = depths == depth
        own = counts[at]
        run = max(1, len(own) // 32)
        even = np.repeat(own.reshape(-1, run).mean(axis=1), run)
        out[at] = even + (own.sum() + 1.0) * 1e-3 / len(own)
    out /= out.sum()
    return out


def _integers(distribution: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Frequencies with the sum 2^24, each at least 1, the last one for the escape, which never occurs."""
    whole = 1 << PRECISION_BITS
    counts = np.maximum(1, np.rint(distribution * (whole - len(distribution) - 1))).astype(np.int64)
    counts[np.argmax(counts)] += whole - 1 - counts.sum()
    return np.append(counts, 1).astype(np.uint32)
