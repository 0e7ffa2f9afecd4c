"""What a VAE's files are coded with, fitted to the posteriors of training pictures: steps, context model, tables.

Source: Yang, Bamler, Mandt (ICML 2020): what is uncertain gets few bits, and an encoder weighs (z − μ)² / 2σ² against
λ·R. Here a channel's points are multiples of κ·σ_c, σ_c its typical deviation and κ the quality's; R is what the point
costs under the tables of a context model (``glissando.families.vae.magnitudes``), which is learnt here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bayes.lattice import multiples
from glissando.entropy.fixed_point import STEPS_PER_OCTAVE
from glissando.families.vae.magnitudes import (
    MAGNITUDE_LOW,
    MAGNITUDE_MOST,
    MAGNITUDE_TABLES,
    MagnitudeContext,
    log2_of,
)
from glissando.frequencies import PRECISION, from_probabilities

from .magnitude_network import Examples, MagnitudeNetwork, learn

__all__ = [
    "Calibration",
    "Fit",
    "calibrate",
    "fit_context",
    "level_units",
    "log2_rate_weights",
    "magnitude_costs",
    "tables_of",
    "typical",
]

LEVELS = 11
COARSEST, FINEST = 26.0, 0.8  # κ at qualities 0 and 100
PRICE = 0.5  # share of the λ of uniform steps that an encoder uses; chosen on held-out tiles (docs/vae.md)
GROUPS = (1 / 6, 1 / 4)  # shares of the channels in the first and the second group; channels with most bits come first
STEPS = 280  # steps of learning for each level
RADIUS = 12.0  # radius of a table, in expected magnitudes
OWN = 3.0  # symbols of a two-sided geometric distribution that are added to those that a table has coded
MAX_SYMBOL = 32767
_UNIT = 32.0  # integers of the context model in an octave
_PIXELS = 256  # pixels that a latent covers

Symbols = NDArray[np.int16]


@dataclass(frozen=True)
class Fit:
    """A context model's integers, tables, and what was coded with them.

    ``arrays`` as ``MagnitudeContext`` takes them; ``frequencies`` and ``radii`` of its tables; ``bpp`` of each level on
    what was given, digits of escapes left out.
    """

    arrays: dict[str, NDArray[Any]]
    frequencies: NDArray[np.uint32]
    radii: NDArray[np.int32]
    bpp: NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Fitted arrays, as a model's folder holds them."""

    deviation: NDArray[np.float32]  # σ_c
    log2_step: NDArray[np.float32]  # log2 κ of each level
    log2_rate_weight: NDArray[np.float32]  # log2 λ of each level
    fit: Fit


def typical(deviation: NDArray[np.float32]) -> NDArray[np.float32]:
    """The typical deviation σ_c of each channel: the one with which an error costs what it does on average.
    ``deviation`` (…, C).
    """
    flat = deviation.reshape(-1, deviation.shape[-1]).astype(np.float64)
    found: NDArray[np.float32] = (1 / np.sqrt(np.mean(1 / flat**2, axis=0))).astype(np.float32)
    return found


def log2_rate_weights(log2_step: NDArray[np.float32], price: float) -> NDArray[np.float32]:
    """log2 λ, nats per bit, at which steps of 2^log2_step deviations are the best uniform ones, times ``price``.

    Their errors cost κ²/24 nats a value, and a bit more divides that by four: −dD/dR = κ²·ln 2 / 12.
    """
    found: NDArray[np.float32] = (2 * log2_step + math.log2(price * math.log(2) / 12)).astype(np.float32)
    return found


def calibrate(mean: NDArray[np.float32], deviation: NDArray[np.float32], levels: int | None = None) -> Calibration:
    """Fit everything to posteriors (crops, rows, columns, C) of crops of training pictures.

    There are two passes, as in the source: the prices of the second come from a model that was fitted to values that
    are only rounded. ``levels``: LEVELS unless given.
    """
    levels = LEVELS if levels is None else levels
    log2_step = np.linspace(math.log2(COARSEST), math.log2(FINEST), levels).astype(np.float32)
    sigma, weights = typical(deviation), log2_rate_weights(log2_step, PRICE)
    steps = [sigma * np.exp2(x) for x in log2_step]
    rounded = [np.clip(np.rint(mean / step), -MAX_SYMBOL, MAX_SYMBOL).astype(np.int16) for step in steps]
    first = fit_context(rounded, share=1 / 3)
    costs = magnitude_costs(first.frequencies, first.radii)
    model = MagnitudeContext(first.arrays)
    chosen = [
        multiples(mean, deviation, step, costs, tables_of(model, symbols, level_units(level, levels)), 2.0**weight)
        for level, (step, symbols, weight) in enumerate(zip(steps, rounded, weights, strict=True))
    ]
    return Calibration(sigma, log2_step, weights, fit_context(chosen))


def level_units(level: int, levels: int) -> int:
    """The quality of a level in 1/256 units."""
    return round(25600 * level / (levels - 1))


def fit_context(levels: Sequence[Symbols], share: float = 1.0) -> Fit:
    """Context model and tables for symbols (crops, rows, columns, C) of levels evenly spread over the qualities.

    ``share``: how much of the usual learning is done, 0 to 1.
    """
    channels = levels[0].shape[-1]
    means = np.stack([np.abs(symbols.astype(np.int32)).mean(axis=(0, 1, 2)) for symbols in levels])
    order = np.argsort(-means.mean(axis=0), kind="stable")
    means = means[:, order]
    early = [round(share * channels) for share in GROUPS]
    sizes = [*early, channels - sum(early)]
    known = np.minimum(np.rint(16 * means), 16 * MAGNITUDE_MOST).astype(np.int64)
    fixed: dict[str, NDArray[Any]] = {
        "order": order.astype(np.int16),
        "groups": np.array(sizes, np.int16),
        "usual": log2_of(known),
        "magnitude": np.rint(_UNIT * np.log2(means + 2.0**MAGNITUDE_LOW)).astype(np.int16),
    }
    network = MagnitudeNetwork(channels, sizes)
    some = [s[i % 2 :: 2] for i, s in enumerate(levels)]  # even crops for even levels, odd ones for odd levels
    examples = [Examples.of(s, fixed, i, level_units(i, len(levels))) for i, s in enumerate(some)]
    learn(network, examples, round(share * STEPS * len(levels)))
    arrays = {**fixed, **network.integers()}
    frequencies, radii, bpp = _fit_tables(MagnitudeContext(arrays), levels)
    return Fit(arrays, frequencies, radii, bpp)


def magnitude_costs(frequencies: NDArray[np.uint32], radii: NDArray[np.int32]) -> NDArray[np.float32]:
    """Bits of the magnitudes 0 … 255 under each table, (T, 256), escapes as what their ranges cost."""
    costs = np.empty((len(radii), MAGNITUDE_MOST + 1), np.float32)
    start = 0
    for row, radius in zip(costs, radii.tolist(), strict=True):
        table = PRECISION - np.log2(frequencies[start : start + 2 * radius + 2])
        inside = min(radius, MAGNITUDE_MOST) + 1
        row[:inside] = table[radius : radius + inside]
        beyond = np.arange(MAGNITUDE_MOST + 1 - inside)
        row[inside:] = table[-1] + 5 + np.floor(np.log2(np.maximum(beyond, 1)))
        start += 2 * radius + 2
    return costs


# --- Tables -------------------------------------------------------------------------------------------------


def tables_of(model: MagnitudeContext, symbols: Symbols, units: int) -> NDArray[np.int16]:
    """Which table each symbol has, of the symbols' shape (crops, rows, columns, C)."""
    found = np.empty(symbols.shape, np.int16)
    inverse = np.argsort(model.order)
    for crop, place in zip(symbols, found, strict=True):
        tables = np.empty((crop.shape[0] * crop.shape[1], crop.shape[2]), np.int16)
        for turn in model.walk(crop[..., model.order], units):
            tables[turn.positions, turn.channels] = turn.index
        place[...] = tables[:, inverse].reshape(crop.shape)
    return found


def _fit_tables(
    model: MagnitudeContext, levels: Sequence[Symbols]
) -> tuple[NDArray[np.uint32], NDArray[np.int32], NDArray[np.float64]]:
    """Frequencies and radii of the tables, and bits per pixel of each level."""
    expected = np.exp2(np.arange(MAGNITUDE_TABLES) / STEPS_PER_OCTAVE + MAGNITUDE_LOW)
    radii = np.clip(np.ceil(RADIUS * expected), 2, MAGNITUDE_MOST).astype(np.int32)
    beyond = MAGNITUDE_MOST + 1  # the magnitude that stands for all that no table has
    size = 2 * beyond + 1
    counts = np.zeros((len(levels), MAGNITUDE_TABLES, size))
    for level, symbols in enumerate(levels):
        tables = tables_of(model, symbols, level_units(level, len(levels)))
        clipped = np.clip(symbols.astype(np.int32), -beyond, beyond) + beyond
        keys = (tables.astype(np.int32) * size + clipped).ravel()
        counts[level] = np.bincount(keys, minlength=MAGNITUDE_TABLES * size).reshape(counts[level].shape)
    rows, costs = [], np.zeros(len(levels))
    for table, radius in enumerate(radii.tolist()):
        both = counts[:, table] + counts[:, table, ::-1]  # tables are symmetric
        inside, outside = both[:, beyond - radius : beyond + radius + 1], both[:, : beyond - radius]
        seen = np.concatenate([inside, 2 * outside.sum(axis=1, keepdims=True)], axis=1)
        weights = seen.sum(axis=0) + OWN * _geometric(float(expected[table]), radius)
        row = from_probabilities(weights / weights.sum())
        costs += seen @ (PRECISION - np.log2(row)) / 2
        rows.append(row)
    positions = levels[0].size // levels[0].shape[-1]
    return np.concatenate(rows), radii, costs / positions / _PIXELS


def _geometric(magnitude: float, radius: int) -> NDArray[np.float64]:
    """Probabilities of the symbols −radius … radius and of the escape, as the network learns them to be."""
    k = np.abs(np.arange(-radius, radius + 1))
    some = 0.5 * np.exp(-np.maximum(k - 0.5, 0) / magnitude) * -np.expm1(-1 / magnitude)
    inside = np.where(k == 0, -np.expm1(-0.5 / magnitude), some)
    found = np.append(inside, math.exp(-(radius + 0.5) / magnitude)) + 1e-6
    normal: NDArray[np.float64] = found / found.sum()
    return normal
