"""The choice among evenly spaced points: nearest, or one nearer to zero where that saves more than it spoils.

The same objective as ``search``, (z − μ)² / 2σ² + λ·R, where points are multiples of a step and R is what a table gives
each. In practice only two of them can win, because costs rise with the magnitude, by less and less.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["multiples"]


def multiples(
    mean: NDArray[Any],
    std: NDArray[Any],
    step: NDArray[Any],
    costs: NDArray[np.float32],
    table: NDArray[Any],
    rate_weight: float,
) -> NDArray[np.int16]:
    """Symbols s that stand for s·step.

    Args:
        mean, std: posterior means and deviations (> 0), of one shape.
        step: the points' spacing, > 0, broadcasting to that shape.
        costs: bits of the magnitudes 0 … M under each table, (T, M + 1); larger magnitudes are only rounded.
        table: which of them serves each value, integers of that shape.
        rate_weight: λ ≥ 0, nats per bit.

    Returns:
        int16, clipped to ±32767.
    """
    scaled = np.abs(mean) / step
    nearest = np.minimum(np.rint(scaled), 32767)
    symbols: NDArray[np.int16] = nearest.astype(np.int16)
    if rate_weight > 0:
        at = np.flatnonzero((nearest > 0) & (nearest < costs.shape[1]))
        high, rows = symbols.reshape(-1)[at], table.reshape(-1)[at]
        spoilt = 2 * (scaled.reshape(-1)[at] - high) + 1  # of squared distance, in squared steps
        spoilt *= 0.5 * np.square(np.broadcast_to(step, scaled.shape).reshape(-1)[at] / std.reshape(-1)[at])
        saved = costs[rows, high] - costs[rows, high - 1]
        symbols.reshape(-1)[at] -= spoilt < rate_weight * saved
    return np.where(mean < 0, -symbols, symbols)
