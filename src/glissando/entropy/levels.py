"""Real numbers that a model gives for quality levels, in between them: for encoders and for means, never for the coder.

What the coder depends on is interpolated in integers: ``fixed_point.level_row``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fixed_point import QUALITY_TOP

__all__ = ["power_at"]


def power_at(log2_levels: NDArray[np.floating[Any]], units: int) -> float:
    """2^x at a quality in 1/256 units (0 … 25600), x on a straight line between the levels next to it.

    ``log2_levels``: log2 of the number at each of the quality levels, (levels,), spread evenly over 0 … 100.
    """
    return float(np.exp2(np.interp(units / QUALITY_TOP, np.linspace(0, 1, len(log2_levels)), log2_levels)))
