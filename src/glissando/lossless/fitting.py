"""What an encoder chooses for the planes it codes: weights by least squares, tables by counting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.tables import MAX_SYMBOL

from .tables import CHOICES, MOST_LOW_BITS, NOISY_WIDTHS, PLAIN, choice_costs
from .weights import PREDICTOR_BITS, SPREAD_BITS, default_spread

__all__ = ["best_choices", "fit"]

Floats = NDArray[np.float32]
Weights = NDArray[np.int16]

MOST_SAMPLES = 8192  # samples of a stage that weights are fitted to, at most
FEWEST_SAMPLES = 16  # needed for each weight


def fit(features: Floats, spreads: Floats, samples: Floats, plane: int) -> tuple[Weights, Weights]:
    """Weights of a plane in one kind of stage, of the prediction and of the expected error.

    ``features``, ``spreads``: the rows that ``Stage.look`` gives for the plane. ``samples``: what is to be predicted.
    Where there are too few samples the weights are zeros, which stand for the default.
    """
    size, spread = len(features), len(spreads)
    if samples.size < FEWEST_SAMPLES * size:
        return np.zeros(size, np.int16), np.zeros(spread, np.int16)
    every = -(-samples.size // MOST_SAMPLES)
    x, s = features[:, ::every].astype(np.float64), spreads[:, ::every].astype(np.float64)
    wanted = samples[::every].astype(np.float64)
    expected = default_spread(plane) @ s / (1 << SPREAD_BITS)
    # The cost of an error is about the logarithm of its size relative to the expected one. Two rounds of weighted
    # least squares come close to the least cost.
    for _ in range(2):
        trust = 1.0 / (expected + 0.7) ** 1.5
        predictor = _solved(x, wanted, trust, PREDICTOR_BITS)
        error = np.abs(wanted - predictor @ x / (1 << PREDICTOR_BITS))
        of_error = _solved(s, error, trust, SPREAD_BITS)
        expected = np.maximum(of_error @ s / (1 << SPREAD_BITS), 0.0)
    return predictor, of_error


def _solved(rows: NDArray[np.float64], wanted: NDArray[np.float64], trust: NDArray[np.float64], bits: int) -> Weights:
    """Weighted least squares, rounded to units of 2^-bits."""
    trusted = rows * trust
    normal = trusted @ rows.T
    normal[np.diag_indices(len(normal))] += 1e-3 * trust.sum()
    found = np.linalg.solve(normal, trusted @ wanted)
    rounded: Weights = np.clip(np.rint(found * (1 << bits)), -32768, 32767).astype(np.int16)
    return rounded


def best_choices(
    errors: Sequence[NDArray[np.int32]],
    contexts: Sequence[NDArray[np.uint8]],
    planes: Sequence[int],
    shape: tuple[int, int],
) -> NDArray[np.uint8]:
    """The cheapest choice for each context of each plane: uint8 of ``shape`` (planes, contexts).

    ``errors``, ``contexts``: of each pass; ``planes``: which plane each pass is of.
    """
    counts = np.zeros((*shape, 257), np.int64)
    largest = np.zeros(shape, np.int64)
    sums = np.zeros(shape, np.int64)
    for error, context, plane in zip(errors, contexts, planes, strict=True):
        magnitude = np.abs(error)
        key = context.astype(np.int64) * 257 + np.minimum(magnitude, 256)
        counts[plane] += np.bincount(key, minlength=shape[1] * 257).reshape(shape[1], 257)
        sums[plane] += np.bincount(context, magnitude, shape[1]).astype(np.int64)
        if magnitude.max(initial=0) > MAX_SYMBOL:
            np.maximum.at(largest[plane], context, magnitude)
    choices: NDArray[np.uint8] = (counts @ choice_costs().T).argmin(axis=2).astype(np.uint8)
    mean = sums / np.maximum(counts.sum(axis=2), 1)
    widest = 2.0 ** (NOISY_WIDTHS.stop / 4 - 10)
    noisy = (mean > widest) | (
        largest > MAX_SYMBOL
    )  # only samples of 16 bits have such errors; without the lowest bit they can be coded
    for plane, context in np.argwhere(noisy):
        choices[plane, context] = _noisy_choice(float(mean[plane, context]))
    return choices


def _noisy_choice(mean: float) -> int:
    """The choice for errors of a mean magnitude that no table has: so many low bits are left out that one fits."""
    quarters = round(4 * math.log2(max(mean, 1.0)) + 40) - NOISY_WIDTHS.start  # quarter octaves above the first width
    bits = min(max(quarters // len(NOISY_WIDTHS), 1), MOST_LOW_BITS)
    width = min(max(quarters - len(NOISY_WIDTHS) * bits, 0), len(NOISY_WIDTHS) - 1)
    choice = PLAIN + len(NOISY_WIDTHS) * (bits - 1) + width
    assert choice < CHOICES
    return choice
