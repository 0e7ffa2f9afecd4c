"""Where means and deviations come from: given, or estimated from samples."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glissando.errors import InputError

__all__ = ["Posterior", "from_samples"]


class Posterior(NamedTuple):
    """What is known of an array: each value's mean and standard deviation, of one shape."""

    mean: NDArray[Any]
    std: NDArray[Any]


def from_samples(samples: ArrayLike, axis: int = 0) -> Posterior:
    """Means and deviations of an ensemble, of SWAG's or a Markov chain's draws, or of the seeds of a training.

    Args:
        samples: floats; at least two along ``axis``.
        axis: along which the samples lie.

    Returns:
        Mean and standard deviation (of n samples, with n - 1) in the samples' type, computed in float64.

    Raises:
        InputError: fewer than two samples, or no floats.
    """
    drawn = np.asarray(samples)
    if drawn.dtype.kind != "f":
        raise InputError(f"samples must be floating-point numbers, not {drawn.dtype}")
    if not drawn.ndim or not -drawn.ndim <= axis < drawn.ndim or drawn.shape[axis] < 2:
        raise InputError(f"deviations need at least two samples along axis {axis}; the samples' shape is {drawn.shape}")
    wide = np.moveaxis(drawn, axis, 0)
    mean = wide.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for sample in wide:
        squares += np.square(sample - mean)
    std = np.sqrt(squares / (len(wide) - 1))
    return Posterior(mean.astype(drawn.dtype), std.astype(drawn.dtype))
