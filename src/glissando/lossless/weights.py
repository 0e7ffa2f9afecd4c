"""Weighted sums in exact integer arithmetic: the prediction of a sample, and the context of its error.

Sums are computed in floating point. They are exact, whatever the order of the additions, because they stay below the
largest whole numbers that the type holds exactly: a reader that computes in integers gets the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .pyramid import predictor_size, spread_size

__all__ = [
    "PREDICTOR_BITS",
    "SPREAD_BITS",
    "context_of",
    "contexts",
    "default_predictor",
    "default_spread",
    "predicted",
]

Floats = NDArray[np.float32]
Weights = NDArray[np.int16]

PREDICTOR_BITS = 12
"""Weights of a prediction are in units of 2^-12."""

SPREAD_BITS = 8
"""Weights of an expected error are in units of 2^-8."""

_EXACT = 1 << 24  # whole numbers below it are exact in float32
_LEAST_SPREAD = 16  # one sixteenth of a level, in units of 2^-8
_FIRST_CONTEXT = (127 + 4) << 2  # the upper bits of the least spread in float32: its exponent and two binary digits


def contexts(depth: int) -> int:
    """How many contexts the errors of a plane have: four for each doubling of the expected error."""
    return 4 * (depth + 4)


def default_predictor(plane: int) -> Weights:
    """What weights of zeros stand for: the mean of the four nearest neighbours."""
    weights = np.zeros(predictor_size(plane), np.int16)
    weights[1 + 4 * plane : 3 + 4 * plane] = 1 << (PREDICTOR_BITS - 2)
    return weights


def default_spread(plane: int) -> Weights:
    """What weights of zeros stand for: a quarter of how much the nearest neighbours differ."""
    weights = np.zeros(spread_size(plane), np.int16)
    weights[:2] = 1 << (SPREAD_BITS - 2)
    return weights


def predicted(features: Floats, weights: Weights, depth: int) -> Floats:
    """Predictions of samples that are centred on zero: whole numbers in float32, (number,).

    ``features``: rows of ``Stage.features``; ``weights``: one for each row.
    """
    middle = 1 << (depth - 1)
    planes = len(weights) // 4
    bounds = np.array([1, *(middle * factor for _ in range(planes) for factor in (2, 2, 8, 1))])[: len(weights)]
    total = _exact_sum(features, weights, bounds)
    total += 1 << (PREDICTOR_BITS - 1)
    total *= 2.0**-PREDICTOR_BITS
    np.floor(total, out=total)
    return np.clip(total, -middle, middle - 1, out=total).astype(np.float32, copy=False)


def context_of(spreads: Floats, weights: Weights, depth: int) -> NDArray[np.uint8]:
    """The context of each sample's error, 0 … contexts(depth) - 1, (number,).

    ``spreads``: rows of ``Stage.spreads``; ``weights``: one for each row.
    """
    whole = 1 << depth
    bounds = np.array([2 * whole, 2 * whole, 2 * whole, 1, *[whole] * (len(weights) - 4)])
    total = _exact_sum(spreads, weights, bounds).astype(np.float32, copy=False)
    np.maximum(total, _LEAST_SPREAD, out=total)
    found = (total.view(np.int32) >> 21) - _FIRST_CONTEXT
    context: NDArray[np.uint8] = np.minimum(found, contexts(depth) - 1).astype(np.uint8)
    return context


def _exact_sum(rows: Floats, weights: Weights, bounds: NDArray[np.int64]) -> NDArray[np.floating]:
    """The weighted sum of rows whose magnitudes are at most ``bounds``; exact, and in float32 where that suffices."""
    exact = (
        np.float32 if int(np.abs(weights.astype(np.int64)) @ bounds) + (1 << PREDICTOR_BITS) < _EXACT else np.float64
    )
    return np.asarray(weights.astype(exact) @ rows.astype(exact, copy=False))
