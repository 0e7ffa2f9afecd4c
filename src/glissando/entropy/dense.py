"""Layers of integers as matrix products in float32: exact wherever every partial sum stays below 2^24.

What the families' integer networks share. Arrays are channels-last, one tile at a time; outside the tile
everything is zero, so a tile decodes alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .fixed_point import ACTIVATION_MAX, WEIGHT_BITS

__all__ = ["EXACT", "Dense", "Float", "largest_sums", "product"]

EXACT = 1 << 24
"""Integers below this are exact in float32."""

_ONE_THREAD = 1 << 18  # multiply-adds of the largest product that OpenBLAS keeps to the calling thread

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Dense:
    """A layer as one matrix product: (n, kernel²·inputs) → (n, outputs), integers in float32."""

    weight: Float
    bias: Float
    kernel: int
    relu: bool

    def __call__(self, x: Float) -> Float:
        """``x`` (h, w, inputs) → (h, w, outputs)."""
        h, w, _ = x.shape
        if self.kernel > 1:
            x = _neighbourhoods(x, self.kernel)
        y = product(x.reshape(h * w, -1), self.weight)
        y += self.bias  # includes the half that makes the floor a rounding
        y *= 1.0 / (1 << WEIGHT_BITS)  # a power of two: exact
        np.floor(y, out=y)
        if self.relu:
            np.clip(y, 0, ACTIVATION_MAX, out=y)
        return y.reshape(h, w, -1)


def product(x: Float, weight: Float) -> Float:
    """x (n, inputs) @ weight (inputs, outputs), a few rows at a time.

    A larger product would start BLAS threads, which then spin on the cores that the inference engine and the
    other tiles need: at these sizes that costs more than the threads win.
    """
    rows = max(1, _ONE_THREAD // weight.size)
    rows = 1 << (rows.bit_length() - 1)  # kernels like powers of two
    whole = len(x) // rows * rows
    out = np.empty((len(x), weight.shape[1]), np.float32)
    np.matmul(x[:whole].reshape(-1, rows, len(weight)), weight, out=out[:whole].reshape(-1, rows, weight.shape[1]))
    if whole < len(x):
        np.matmul(x[whole:], weight, out=out[whole:])
    return out


def _neighbourhoods(x: Float, kernel: int) -> Float:
    """(h, w, c) → (h, w, kernel²·c): each position's neighbourhood, row by row, zeros outside."""
    margin = kernel // 2
    padded = np.pad(x, ((margin, margin), (margin, margin), (0, 0)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(0, 1))
    out: Float = view.transpose(0, 1, 3, 4, 2).reshape(x.shape[0], x.shape[1], -1)
    return out


def largest_sums(weight: NDArray[np.integer], largest: int, signed: int = 0) -> NDArray[np.int64]:
    """Largest possible |partial sum| of products, (outputs,), of inputs of magnitude ``largest`` at most.

    ``weight`` (outputs, inputs, …); inputs before ``signed`` are never negative. Whatever the order, a partial sum
    lies between the sum of all negative products and that of all positive ones.
    """
    wide = weight.astype(np.int64)
    either = np.abs(wide[:, signed:]).reshape(len(wide), -1).sum(1)
    above, below = (np.maximum(sign * wide[:, :signed], 0).reshape(len(wide), -1).sum(1) + either for sign in (1, -1))
    sums: NDArray[np.int64] = largest * np.maximum(above, below)
    return sums
