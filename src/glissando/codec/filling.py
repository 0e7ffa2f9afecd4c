"""Replaces pixels that nobody will see by such as take few bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["filled"]


def filled(pixels: NDArray[np.unsignedinteger[Any]], seen: NDArray[np.bool_]) -> NDArray[np.unsignedinteger[Any]]:
    """A copy in which the pixels that are not seen continue those that are, smoothly.

    Each unseen pixel gets a mean of what is seen around it: of the smallest square around it, 2x2, 4x4, 8x8 …, in
    which something is seen, interpolated smoothly ("push-pull", Gortler et al., "The Lumigraph", 1996).

    Args:
        pixels: (height, width) or (height, width, channels).
        seen: (height, width). If no pixel is seen, all become 0.
    """
    values = pixels.astype(np.float32).reshape(*pixels.shape[:2], -1)
    smooth = _pushed_and_pulled(values * seen[..., None], seen.astype(np.float32)[..., None])
    rounded = np.rint(smooth).astype(pixels.dtype).reshape(pixels.shape)
    return np.where(seen.reshape(*seen.shape, *[1] * (pixels.ndim - 2)), pixels, rounded)


def _pushed_and_pulled(values: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values over their weights where these are 1, else what coarser means say. ``values`` are 0 where weights are."""
    height, width = weights.shape[:2]
    if weights.all() or max(height, width) == 1:
        return values
    margin = ((0, height % 2), (0, width % 2), (0, 0))
    padded, of_padded = np.pad(values, margin), np.pad(weights, margin)
    total, weight = (
        array[::2, ::2] + array[1::2, ::2] + array[::2, 1::2] + array[1::2, 1::2] for array in (padded, of_padded)
    )
    coarse = _pushed_and_pulled(total / np.maximum(weight, 1), np.minimum(weight, 1))
    return values + (1 - weights) * _doubled(coarse)[:height, :width]


def _doubled(coarse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Twice the height and width, interpolated linearly between the centres of pixels."""
    for axis in (0, 1):
        before = np.concatenate([coarse.take([0], axis), coarse.take(range(coarse.shape[axis] - 1), axis)], axis)
        after = np.concatenate([coarse.take(range(1, coarse.shape[axis]), axis), coarse.take([-1], axis)], axis)
        pairs = np.stack([0.75 * coarse + 0.25 * before, 0.75 * coarse + 0.25 * after], axis + 1)
        shape = list(coarse.shape)
        shape[axis] *= 2
        coarse = pairs.reshape(shape)
    return coarse
