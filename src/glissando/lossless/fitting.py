"""What an encoder chooses for the planes it codes: weights by least squares, tables by counting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.tables import MAX_SYMBOL

from .pyramid import Floats, Stage, predictor_size, spread_size
from .symbols import Pass
from .tables import CHOICES, MOST_LOW_BITS, NOISY_WIDTHS, PLAIN, WIDTHS, choice_costs
from .weights import PREDICTOR_BITS, SPREAD_BITS, Weights, default_predictor

__all__ = ["best_choices", "fit"]

FEWEST_SAMPLES = 16  # needed for each weight
FITTED_SAMPLES = 1500  # of a stage, about; more take longer and hardly save bytes
COUNTED_SAMPLES = 8192  # of a pass, about


def fit(stage: Stage, plane: int) -> tuple[Weights, Weights]:
    """Weights of a plane in one kind of stage, of the prediction and of the expected error.

    Where there are too few samples the weights are zeros, which stand for the default.
    """
    size, number = predictor_size(plane), stage.rows * stage.columns
    if number < FEWEST_SAMPLES * size:
        return np.zeros(size, np.int16), np.zeros(spread_size(plane), np.int16)
    every = 2 * int(math.sqrt(number / FITTED_SAMPLES) / 2) + 1  # odd, to meet all places in the blocks of a JPEG file
    down, right = _some(stage.rows, every), _some(stage.columns, every)

    def thinned(rows: Floats) -> NDArray[np.float64]:
        few = rows.reshape(len(rows), stage.rows, stage.pitch)[:, down, right]
        return few.reshape(len(rows), few.shape[1] * few.shape[2]).astype(np.float64)

    x = thinned(stage.features[:size])
    s = np.concatenate([thinned(stage.spreads[plane]), np.ones((1, x.shape[1])), thinned(stage.errors[:plane])])
    wanted = stage.samples[plane, down, right].reshape(-1).astype(np.float64) - stage.middle
    # The cost of an error is about the logarithm of its size relative to the expected one. Two rounds of weighted
    # least squares come close to the least cost. A few samples that nothing around them announces must not decide all,
    # so the more an error exceeds the expected one, the less it counts. At first the neighbours' errors are expected.
    expected = s[2] / 4
    expected += expected.mean() / 2 + 0.5
    trust = 1 / expected**1.5
    for _ in range(2):
        predictor = _solved(x, wanted, trust, PREDICTOR_BITS)
        error = np.abs(wanted - predictor @ x / (1 << PREDICTOR_BITS))
        spread = _solved(s, np.minimum(error, 3 * expected), 1 / expected**1.5, SPREAD_BITS)
        expected = np.maximum(spread @ s / (1 << SPREAD_BITS), 0.0) + 0.5
        trust = 1 / (expected * (expected + error))
    # Where most samples are flat, rounded weights can miss all of them, which the default does not.
    by_default = np.abs(wanted - default_predictor(plane) @ x / (1 << PREDICTOR_BITS))
    if np.sqrt(by_default).sum() <= np.sqrt(error).sum():
        predictor = np.zeros(size, np.int16)
    return predictor, spread


def _some(side: int, every: int) -> slice:
    """Every so many rows or columns, without the last one, which lacks neighbours and would count too much."""
    start = min(every // 2, side - 1)
    return slice(start, max(side - 1, start + 1), every)


def _solved(rows: NDArray[np.float64], wanted: NDArray[np.float64], trust: NDArray[np.float64], bits: int) -> Weights:
    """Weighted least squares, rounded to units of 2^-bits."""
    trusted = rows * trust
    normal = trusted @ rows.T
    normal[np.diag_indices(len(normal))] += 1e-3 * trust.sum()
    found = np.linalg.solve(normal, trusted @ wanted)
    rounded: Weights = np.clip(np.rint(found * (1 << bits)), -32768, 32767).astype(np.int16)
    return rounded


def best_choices(passes: Sequence[Pass], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The cheapest choice for each context of each plane: uint8 of ``shape`` (planes, contexts)."""
    every = np.arange(shape[1])
    counts = np.zeros((*shape, 257), np.int64)
    sums = np.zeros(shape, np.int64)
    beyond = np.zeros(shape, np.bool_)  # has an error of -32768, which is no symbol unless its low bits are left out
    for one in passes:
        step = -(-one.errors.size // COUNTED_SAMPLES)
        magnitude = np.abs(one.errors[::step].astype(np.int32))
        context = np.repeat(every, one.counts)[::step]
        keys = 257 * context + np.minimum(magnitude, 256)
        counts[one.plane] += np.bincount(keys, minlength=shape[1] * 257).reshape(shape[1], 257)
        if magnitude.max() > 256:
            sums[one.plane] += np.bincount(context, np.maximum(magnitude - 256, 0), shape[1]).astype(np.int64)
        if one.errors.itemsize > 1:
            where = np.flatnonzero(one.errors == -MAX_SYMBOL - 1)
            beyond[one.plane, np.searchsorted(np.cumsum(one.counts), where, side="right")] = True
    sums += counts @ np.arange(257)
    mean = sums / np.maximum(counts.sum(axis=2), 1)
    # A context of which no error was counted has one of the size that it stands for.
    counts[:, every, np.minimum(2.0 ** (every / 4 - 4), 256).astype(np.int64)] += 1
    choices: NDArray[np.uint8] = (counts @ choice_costs().T).argmin(axis=2).astype(np.uint8)
    for plane, context in np.argwhere((mean > 2.0 ** (WIDTHS / 4 - 10)) | beyond):
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
