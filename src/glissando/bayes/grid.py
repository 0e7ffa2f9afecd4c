"""The code points of Bayesian arithmetic coding: dyadic grids in the prior's quantile space.

A prior with distribution function F maps a value z to ξ = F(z) in (0, 1). The n-bit grid, n = 0 .. N, is
{k·2^-n + 2^-(n+1) : k = 0 .. 2^n - 1}: midpoints, so that the grids are disjoint and their union has 2^(N+1) - 1
points, which lie evenly in ξ and densely in z where the prior has mass (Yang, Bamler, Mandt, "Variable-Bitrate
Neural Compression via Bayesian Arithmetic Coding", ICML 2020, section 3).

A point is one signed integer, its *symbol* s in -(2^N - 1) .. 2^N - 1:  ξ = 1/2 + s / 2^(N+1). Its *depth*, the n
of its grid, is N minus the number of trailing zeros of s; s = 0, the prior's median, has depth 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.errors import InputError

__all__ = [
    "MAX_BITS",
    "check_max_bits",
    "count_depths",
    "depth_of",
    "depth_rates",
    "max_bits_of",
    "positions",
    "reconstruct",
    "symbol_depths",
]

MAX_BITS = 15
"""The largest N: symbols then just fit in an int16, and in the entropy coder's range."""


def check_max_bits(max_bits: int) -> int:
    """``max_bits`` if it is an integer in 1 .. 15; InputError otherwise."""
    if isinstance(max_bits, bool) or not isinstance(max_bits, int | np.integer) or not 1 <= max_bits <= MAX_BITS:
        raise InputError(f"max_bits is {max_bits!r}; it must be an integer in 1..{MAX_BITS}")
    return int(max_bits)


def max_bits_of(points: NDArray[Any]) -> int:
    """N of a table of points [G, 2^(N+1) - 1]; InputError if it has no such shape."""
    if points.ndim != 2 or not points.shape[0]:
        raise InputError(f"points must have the shape [groups, 2^(N+1) - 1], not {points.shape}")
    bits = (points.shape[1] + 1).bit_length() - 2
    if points.shape[1] != (2 << bits) - 1 or not 1 <= bits <= MAX_BITS:
        raise InputError(f"{points.shape[1]} points a group; must be 2^(N+1) - 1 with N in 1..{MAX_BITS}")
    return int(bits)


def symbol_depths(max_bits: int) -> NDArray[np.uint8]:
    """The depth of each symbol in ascending order, uint8 [2^(N+1) - 1]."""
    depths = np.empty((2 << max_bits) - 1, np.uint8)
    for depth in range(max_bits + 1):
        depths[(1 << (max_bits - depth)) - 1 :: 2 << (max_bits - depth)] = depth
    return depths


def depth_of(symbols: NDArray[Any], max_bits: int) -> NDArray[np.uint8]:
    """The depth of each symbol: uint8, 0 .. N, of the symbols' shape. Symbols must be in range."""
    return symbol_depths(max_bits)[np.asarray(symbols).astype(np.int32) + ((1 << max_bits) - 1)]


def positions(max_bits: int) -> NDArray[np.float64]:
    """ξ of each symbol in ascending order, float64 [2^(N+1) - 1], all exact."""
    count = 2 << max_bits
    return np.arange(1, count, dtype=np.float64) / count


def count_depths(symbols: NDArray[Any], max_bits: int, group: NDArray[Any] | None = None) -> NDArray[np.int64]:
    """How often each depth occurs in each group.

    Args:
        symbols: integers of any shape.
        max_bits: N.
        group: integers 0 .. G - 1 that broadcast to the symbols' shape; None for one group.

    Returns:
        int64 [G, N + 1]; G is 1 + the largest group.
    """
    symbols = np.asarray(symbols)
    width = max_bits + 1
    depths = depth_of(symbols, max_bits)
    if group is None:
        return np.bincount(depths.ravel(), minlength=width).reshape(1, width)
    groups = int(np.max(group, initial=0)) + 1
    keys = depths + np.asarray(group, np.int64) * width
    return np.bincount(keys.ravel(), minlength=groups * width).reshape(groups, width)


def depth_rates(counts: NDArray[Any]) -> NDArray[np.float64]:
    """What a point of each depth is expected to cost: n - log2 f(n) bits, f the frequencies with one added.

    This is the second pass of the paper's coder; the first takes n itself, ``np.arange(N + 1)``. Points of one
    depth are taken as equally likely: depth costs -log2 f(n), its point n bits.

    Args:
        counts: [G, N + 1], how often each depth occurs (``count_depths``).

    Returns:
        float64 [G, N + 1], >= 0.
    """
    smoothed = np.asarray(counts, np.float64) + 1
    bits: NDArray[np.float64] = np.log2(smoothed.sum(axis=-1, keepdims=True)) - np.log2(smoothed)
    return bits + np.arange(smoothed.shape[-1])


def reconstruct(symbols: NDArray[Any], points: NDArray[Any], group: NDArray[Any] | int | None = None) -> NDArray[Any]:
    """The values that symbols stand for: ``points[group, symbol + 2^N - 1]``.

    Args:
        symbols: integers of any shape.
        points: [G, 2^(N+1) - 1].
        group: as in ``search``: None for one group, an axis, or integers that broadcast to the symbols' shape.

    Raises:
        InputError: a symbol or a group that the table does not have.
    """
    symbols, points = np.asarray(symbols), np.asarray(points)
    middle = (1 << max_bits_of(points)) - 1
    if symbols.dtype.kind not in "iu" or (symbols.size and (symbols.min() < -middle or symbols.max() > middle)):
        raise InputError(f"symbols must be integers in {-middle}..{middle}")
    rows = group_indices(symbols.shape, group, points.shape[0])
    return points[rows, symbols.astype(np.int64) + middle]


def group_axis(shape: tuple[int, ...], axis: int) -> int:
    """``axis`` counted from the front; InputError if an array of this shape has no such axis."""
    if not -len(shape) <= axis < len(shape):
        raise InputError(f"the groups' axis is {axis}; the array has {len(shape)} axes")
    return axis % len(shape)


def group_indices(shape: tuple[int, ...], group: NDArray[Any] | int | None, groups: int) -> NDArray[np.int64]:
    """Each value's group, int64, of a shape that broadcasts to ``shape``.

    Raises:
        InputError: the groups do not fit the shape, or the table of ``groups`` groups; it names the first offence.
    """
    if group is None:
        if groups != 1:
            raise InputError(f"the tables are for {groups} groups; say which group each value belongs to")
        return np.zeros((), np.int64)
    if isinstance(group, int | np.integer):
        axis = group_axis(shape, int(group))
        if shape[axis] != groups:
            raise InputError(f"axis {axis} has {shape[axis]} entries; the tables are for {groups} groups")
        return np.arange(groups).reshape(-1, *[1] * (len(shape) - 1 - axis))
    indices = np.asarray(group)
    if indices.dtype.kind not in "iu":
        raise InputError(f"groups must be integers, not {indices.dtype}")
    try:
        np.broadcast_to(indices, shape)
    except ValueError:
        raise InputError(f"groups of shape {indices.shape} do not broadcast to values of shape {shape}") from None
    wrong = (indices < 0) | (indices >= groups)
    if wrong.any():
        where = np.unravel_index(int(wrong.argmax()), indices.shape)
        raise InputError(
            f"group {indices[where]} at {list(map(int, where))} does not exist; there are {groups}, from 0"
        )
    return indices.astype(np.int64, copy=False)
