"""Which code point each value takes: the least (z - mean)² / (2 std²) + rate_weight·R, found exactly.

The posterior is N(mean, std²), R the point's cost in bits (paper, section 3; ``docs/bayes.md``). Multiplied by
2·std², the objective computed here, in float64 and in this order, is

    (z - mean)·(z - mean) + c·R,   c = min(2·rate_weight·min(std·std, 1e280), 1e280);  c = 1e280 if std is infinite

so std = 0 asks for the nearest point, and an infinite std for the cheapest. Of points with equal objectives the
one of least depth wins, then the one nearer to the mean, then that which is not above the mean; of several that
coincide, the one next to the mean in order. (z - mean)² never falls on the way from the mean, even in floating
point, so of each grid only the two neighbours of the mean can win. The search walks down the binary tree that
the grids form, and so meets at each depth n the one of the two whose cell of width 2^-n contains the mean. The
other is behind a point that is nearer and of lesser depth, so it can win only where lesser depths cost more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bayes.grid import group_axis, group_indices, max_bits_of
from glissando.errors import InputError

__all__ = ["FREE", "LARGEST", "search"]

FREE = 1e280
"""c of values that are free to go anywhere; larger than any squared distance."""

LARGEST = 1e100
"""Means and points are at most this far from zero, so that no square overflows."""

BLOCK = 8192  # values: what a block needs, about 500 kB, stays in the second-level cache
LONG_RUN = 2048  # values a group, from which on it pays to search each group by itself


def search(
    mean: NDArray[Any],
    std: NDArray[Any] | float,
    points: NDArray[Any],
    rates: NDArray[Any],
    rate_weight: float,
    group: NDArray[Any] | int | None = None,
) -> NDArray[np.int16]:
    """The best code point of each value.

    Args:
        mean: posterior means, floats of any shape, within ±1e100.
        std: posterior standard deviations, >= 0, may be infinite; of the means' shape or broadcasting to it.
        points: values of the code points in ascending order, [G, 2^(N+1) - 1], N = 1 .. 15; equal ones may occur.
        rates: bits that a point of each depth costs, [G, N + 1] or [N + 1] for all groups, 0 .. 1e6.
        rate_weight: λ, 0 .. 1e100, the price of a bit.
        group: which row of the tables serves which value. None: there is one row. An integer: an axis, each
            index along it has its own row (-1 for channels last). An integer array: each value's row; it must
            broadcast to the means' shape.

    Returns:
        Symbols, int16, of the means' shape; symbol s is the point ``points[group, s + 2^N - 1]``.

    Raises:
        InputError: an argument is not of this kind; the message names the first offending position.
    """
    mean = np.asarray(mean)
    if mean.dtype.kind != "f":
        raise InputError(f"means must be floating-point numbers, not {mean.dtype}")
    std = np.asarray(std)
    if std.dtype.kind not in "fiu":
        raise InputError(f"deviations must be real numbers, not {std.dtype}")
    try:
        std = np.broadcast_to(std, mean.shape)
    except ValueError:
        raise InputError(f"deviations of shape {std.shape} do not broadcast to means of shape {mean.shape}") from None
    points, rates = check_tables(points, rates)
    check_rate_weight(rate_weight)

    symbols = np.empty(mean.shape, np.int16)
    try:
        for part, rows in _parts(mean.shape, group, points.shape[0]):
            if isinstance(rows, int):
                tables = _Tables(points[rows : rows + 1], rates[rows : rows + 1])
                _search_part(mean[part], std[part], tables, rate_weight, None, symbols[part])
            else:
                _search_part(mean[part], std[part], _Tables(points, rates), rate_weight, rows, symbols[part])
    except _OffendingValueError:
        raise first_offence(mean, std) from None
    return symbols


def check_rate_weight(rate_weight: float) -> float:
    """λ, if it is a number in 0 .. 1e100; InputError otherwise."""
    if not 0 <= rate_weight <= LARGEST:
        raise InputError(f"rate_weight is {rate_weight}; it must be in 0..{LARGEST:g}")
    return float(rate_weight)


def check_tables(points: NDArray[Any], rates: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two tables in float64, rates [G, N + 1]; InputError where ``search`` cannot use them."""
    points = np.asarray(points)
    bits = max_bits_of(points)
    points = np.ascontiguousarray(points, np.float64)
    # These comparisons are false for NaN, which is therefore refused.
    good = np.abs(points) <= LARGEST
    good[:, 1:] &= points[:, 1:] >= points[:, :-1]
    if not good.all():
        row, column = (int(i) for i in np.unravel_index(int(good.argmin()), good.shape))
        raise InputError(f"point {column} of group {row} is {points[row, column]}; must ascend, within ±{LARGEST:g}")
    rates = np.asarray(rates, np.float64)
    try:
        rates = np.broadcast_to(rates, (points.shape[0], bits + 1))
    except ValueError:
        raise InputError(f"rates of shape {rates.shape}; must be {(points.shape[0], bits + 1)}") from None
    if not ((rates >= 0) & (rates <= 1e6)).all():
        raise InputError(f"rates are {rates.min()}..{rates.max()} bits; must be in 0..1e6")
    return points, rates


def first_offence(mean: NDArray[Any], std: NDArray[Any], *, largest: float = LARGEST) -> InputError:
    """The error for the first value, in C order, that cannot be coded. There must be one."""
    for start in range(0, mean.size, 1 << 20):
        # A slice of .flat copies no more than these values; the arrays may be larger than memory.
        m, s = (np.asarray(a.flat[start : start + (1 << 20)]) for a in (mean, std))
        wrong = ~((np.abs(m) <= largest) & (s >= 0))
        if wrong.any():
            i = int(wrong.argmax())
            where = [int(x) for x in np.unravel_index(start + i, mean.shape)]
            if not s[i] >= 0:
                return InputError(f"the deviation at {where} is {s[i]}; it must be at least 0 (infinity is allowed)")
            return InputError(f"the mean at {where} is {m[i]}; it must be finite, within ±{largest:.4g}")
    raise AssertionError("no value offends")


class _OffendingValueError(Exception):
    """Some value of a block cannot be coded."""


def _parts(
    shape: tuple[int, ...], group: NDArray[Any] | int | None, groups: int
) -> Iterator[tuple[Any, int | NDArray[np.int64]]]:
    """Cut an array for the search: (index of a part, its one group or its values' groups)."""
    rows = group_indices(shape, group, groups)
    if groups == 1:
        yield (..., 0)
    elif isinstance(group, int | np.integer) and np.prod(shape, dtype=np.int64) >= LONG_RUN * groups:
        axis = group_axis(shape, int(group))
        for row in range(groups):
            yield (*[slice(None)] * axis, row, ...), row
    else:
        yield ..., np.broadcast_to(rows, shape)


class _Tables:
    """What the walk looks up, by depth n.

    Attributes:
        path: P[n], float64 [G·2^n]: the points of depth n, group after group. A node's children are at 2k and
            2k + 1 of the next depth, whatever its group.
        beside: float64 [G·2^(n+1)] by child: the other neighbour of the mean, infinite where there is none; None
            where a shallower point is always as good.
        rates: float64 [N + 1, G].
        least: float64 [N + 2, G]: the least rate from each depth on.
    """

    def __init__(self, points: NDArray[np.float64], rates: NDArray[np.float64]) -> None:
        groups = points.shape[0]
        self.max_bits = max_bits_of(points)
        self.points = points
        self.path: list[NDArray[np.float64]] = []
        self.beside: list[NDArray[np.float64] | None] = []
        for depth in range(self.max_bits + 1):
            grid = points[:, (1 << (self.max_bits - depth)) - 1 :: 2 << (self.max_bits - depth)]
            self.path.append(grid.ravel())
            if not (rates[:, :depth] > rates[:, depth : depth + 1]).any():
                self.beside.append(None)
                continue
            beside = np.full((groups, 2 << depth), np.inf)
            beside[:, 2::2] = grid[:, :-1]
            beside[:, 1:-1:2] = grid[:, 1:]
            self.beside.append(beside.ravel())
        self.rates = np.ascontiguousarray(rates.T)
        least = np.minimum.accumulate(rates[:, ::-1], axis=1)[:, ::-1]
        self.least = np.concatenate([least.T, np.full((1, groups), np.inf)])


def _search_part(
    mean: NDArray[Any],
    std: NDArray[Any],
    tables: _Tables,
    rate_weight: float,
    rows: NDArray[np.int64] | None,
    out: NDArray[np.int16],
) -> None:
    """Search block by block, in C order of the part; ``out`` is a view of the part's symbols."""
    flat = [a.reshape(-1) if a.flags.c_contiguous else a.flat for a in (mean, std)]
    target = out.reshape(-1) if out.flags.c_contiguous else out.flat
    groups = None if rows is None else rows.flat
    for start in range(0, mean.size, BLOCK):
        block = slice(start, start + BLOCK)
        m, s = (np.asarray(a[block]).astype(np.float64) for a in flat)
        target[block] = _search_block(m, _price(m, s, rate_weight), tables, None if groups is None else groups[block])


def _price(mean: NDArray[np.float64], std: NDArray[np.float64], rate_weight: float) -> NDArray[np.float64]:
    """c of each value."""
    if not (np.abs(mean).max(initial=0) <= LARGEST and std.min(initial=0) >= 0):  # both are false for NaN
        raise _OffendingValueError
    with np.errstate(over="ignore"):
        price = std * std
        np.minimum(price, FREE, out=price)
        np.multiply(price, 2 * rate_weight, out=price)
    np.minimum(price, FREE, out=price)
    price[std == np.inf] = FREE
    return price


def _search_block(
    mean: NDArray[np.float64], price: NDArray[np.float64], tables: _Tables, rows: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Walk down the tree with all values of a block at once; a value leaves as soon as its point is decided."""
    top = tables.max_bits + 1
    node = np.zeros(mean.size, np.int64) if rows is None else rows.copy()
    leaf = np.empty(mean.size, np.int64)  # where each walk ends, as if it had gone on to depth N + 1
    depth = np.empty(mean.size, np.uint8)
    left: slice | NDArray[np.intp] = slice(None)  # the values still walking
    m, c, r = mean, price, rows
    best = np.full(mean.size, np.inf)
    chosen = np.zeros(mean.size, np.uint8)
    d, t = np.empty_like(mean), np.empty_like(mean)
    flag = np.empty(mean.size, bool)
    byte = np.empty(mean.size, np.uint8)
    for n in range(top):
        np.take(tables.path[n], node, out=t, mode="clip")
        np.subtract(m, t, out=d)
        np.greater_equal(d, 0, out=flag)
        np.add(node, node, out=node)
        np.add(node, flag, out=node)
        np.multiply(d, d, out=d)
        if (beside := tables.beside[n]) is not None:
            np.take(beside, node, out=t, mode="clip")
            np.subtract(m, t, out=t)
            np.multiply(t, t, out=t)
            np.minimum(d, t, out=d)
        np.multiply(c, tables.rates[n, 0] if r is None else tables.rates[n][r], out=t)
        np.add(d, t, out=d)
        np.less(d, best, out=flag)
        np.minimum(best, d, out=best)
        np.multiply(flag.view(np.uint8), np.uint8(n), out=byte)
        np.maximum(chosen, byte, out=chosen)  # depths ascend, so the last to be better is the largest
        if n == top - 1:
            break
        # Every deeper point costs at least the least rate: where that alone is no gain any more, the walk ends.
        np.multiply(c, tables.least[n + 1, 0] if r is None else tables.least[n + 1][r], out=t)
        np.less(t, best, out=flag)
        walking = np.count_nonzero(flag)
        if walking <= 0.7 * m.size:
            leaf[left] = node << (top - 1 - n)
            depth[left] = chosen
            keep = np.flatnonzero(flag)
            left = keep if isinstance(left, slice) else left[keep]
            m, c, node, best, chosen = m[keep], c[keep], node[keep], best[keep], chosen[keep]
            r = None if r is None else r[keep]
            d, t, flag, byte = d[:walking], t[:walking], flag[:walking], byte[:walking]
            if not walking:
                break
    leaf[left] = node
    depth[left] = chosen
    return _symbols(mean, leaf, depth, tables, rows)


def _symbols(
    mean: NDArray[np.float64],
    leaf: NDArray[np.int64],
    depth: NDArray[np.uint8],
    tables: _Tables,
    rows: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """The symbol of the nearer neighbour at the best depth, from where the walk ended."""
    half = np.left_shift(1, tables.max_bits - depth.astype(np.int64))  # half a cell's width, in symbols
    place = leaf if rows is None else leaf - (rows << (tables.max_bits + 1))
    symbol: NDArray[np.int64] = (place & -2 * half) + half
    if any(beside is not None for beside in tables.beside):
        above = (place & half) == 0  # the cell's point is above the mean
        other = symbol + np.where(above, -2, 2) * half
        inside = (other > 0) & (other < 2 << tables.max_bits)
        np.copyto(other, symbol, where=~inside)
        width = tables.points.shape[1]
        table = tables.points.ravel()
        base = -1 if rows is None else rows * width - 1
        here = np.abs(mean - table[symbol + base])
        there = np.abs(mean - table[other + base])
        # Between two that are equally near, the one not above the mean.
        np.copyto(symbol, other, where=inside & ((there < here) | (above & (there == here))))
    symbol -= 1 << tables.max_bits
    return symbol
