"""Weighted sums in exact integer arithmetic: the prediction of a sample, and the context of its error.

Sums are computed in floating point. They are exact, whatever the order of the additions, because they stay below the
largest whole numbers that the type holds exactly: a reader that computes in integers gets the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .pyramid import Floats, predictor_size, spread_size

__all__ = [
    "PREDICTOR_BITS",
    "SPREAD_BITS",
    "Weights",
    "context_of",
    "contexts",
    "default_predictor",
    "default_spread",
    "predicted",
]

Weights = NDArray[np.int16]

PREDICTOR_BITS = 12
"""Weights of a prediction are in units of 2^-12."""

SPREAD_BITS = 8
"""Weights of an expected error are in units of 2^-8."""

_EXACT = 1 << 24  # whole numbers below it are exact in float32
_LEAST_SPREAD = -4  # a context for all expected errors up to 2^-4 of a level, and then four for each doubling


def contexts(depth: int) -> int:
    """How many contexts the errors of a plane have: four for each doubling of the expected error."""
    return 4 * (depth - _LEAST_SPREAD)


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


def predicted(features: Floats, weights: Weights, depth: int) -> NDArray[np.floating]:
    """Predictions of samples, real numbers from 0 to 2^depth - 1, (number,), which are yet to be rounded down.

    ``features``: rows of ``Stage.features``; ``weights``: one for each row.
    """
    middle = 1 << (depth - 1)
    planes = len(weights) // 4
    bounds = np.array([1, *(middle * factor for _ in range(planes) for factor in (2, 2, 8, 1))])[: len(weights)]
    wide = weights.astype(np.int64)
    wide[0] += (middle << PREDICTOR_BITS) + (1 << (PREDICTOR_BITS - 1))  # samples around zero to those from 0, rounded
    scaled = _scaled(wide, bounds, PREDICTOR_BITS)
    total = scaled @ features.astype(scaled.dtype, copy=False)
    return np.clip(total, 0, 2 * middle - 1, out=total)


def context_of(spreads: Floats, errors: Floats, weights: Weights, depth: int) -> NDArray[np.uint8]:
    """The context of each sample's error, 0 … contexts(depth) - 1, (number,).

    ``spreads``: those of ``Stage.spreads`` of the plane; ``errors``: those of ``Stage.errors`` of the planes before it;
    ``weights``: of the three spreads, of the number 1, and of each of the planes before.
    """
    whole = 1 << depth
    bounds = np.array([2 * whole, 2 * whole, 2 * whole, 1, *[whole] * (len(weights) - 4)])
    # The least expected error becomes 2.0. Of a float32 from there on, the exponent's lowest bits and two binary digits
    # are the context; the exponent's highest bit is beyond the byte.
    scaled = _scaled(weights.astype(np.int64), bounds, SPREAD_BITS - 1 + _LEAST_SPREAD)
    total = scaled[:3] @ spreads.astype(scaled.dtype, copy=False)
    total += scaled[3]
    if len(errors):
        total += scaled[4:] @ errors.astype(scaled.dtype, copy=False)
    total = total.astype(np.float32, copy=False)
    largest = np.nextafter(np.float32(2 << (depth - _LEAST_SPREAD)), np.float32(0))
    np.clip(total, np.float32(2), largest, out=total)
    context: NDArray[np.uint8] = (total.view(np.int32) >> 21).astype(np.uint8)
    return context


def _scaled(weights: NDArray[np.int64], bounds: NDArray[np.int64], bits: int) -> NDArray[np.floating]:
    """Weights over 2^bits, in float32 where weighted sums of numbers up to ``bounds`` are exact in it."""
    exact = np.float32 if int(np.abs(weights) @ bounds) < _EXACT else np.float64
    return (weights / (1 << bits)).astype(exact)
