"""The search as its definition has it: all 2^(N+1) - 1 points of each value, one value after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glissando.bayes import grid
from glissando.bayes.search import FREE


def brute_force(
    mean: float, std: float, points: NDArray[np.float64], rates: NDArray[np.float64], rate_weight: float
) -> int:
    """The symbol of the best point; points [2^(N+1) - 1] ascending, rates [N + 1] in bits."""
    depths = grid.symbol_depths(grid.max_bits_of(points[None])).astype(np.int64)
    mean = np.float64(mean)
    std = np.float64(std)
    if std == np.inf:
        price = np.float64(FREE)
    else:
        with np.errstate(over="ignore"):
            price = min(min(std * std, FREE) * (2 * rate_weight), FREE)
    difference = mean - points
    objective = difference * difference + price * rates[depths]
    above = points > mean
    below_count = int(np.count_nonzero(~above))
    order = np.abs(2 * (np.arange(points.size) - below_count) + 1)  # how far from the mean, in places
    best = np.lexsort([order, above, np.abs(difference), depths, objective])[0]  # the last key counts first
    return int(best) - (points.size - 1) // 2
