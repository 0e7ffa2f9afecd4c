"""Priors: where the code points of each group lie.

A prior is a monotone, piecewise-linear quantile function, given by its knots. Whatever it was fitted to, a file
holds the knots, and the points follow from them by single IEEE operations in float64 (``points_from_knots``), so
that every machine decodes the same values. ``docs/array-format.md``, Priors, is the specification.

Everything here is in *scaled* units: the array's values times a power of two that brings the largest near 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.errors import CorruptError, InputError

__all__ = [
    "EMPIRICAL",
    "GAUSSIAN",
    "NAMES",
    "TABLE",
    "CdfTable",
    "Knots",
    "Sample",
    "fit",
    "points_from_knots",
    "read_knots",
]

ONE = 1 << 32
"""Positions of knots are integers, ξ in units of 2^-32."""

MAX_KNOTS = 4096

GAUSSIAN, EMPIRICAL, TABLE = 0, 1, 2
NAMES = {GAUSSIAN: "gaussian", EMPIRICAL: "empirical", TABLE: "table"}


@dataclass(frozen=True, eq=False)
class Knots:
    """A quantile function for each group.

    Attributes:
        positions: int64 [K], strictly ascending from 0 to 2^32.
        values: float64 [G, K], ascending (not strictly) along each row.
    """

    positions: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CdfTable:
    """A prior of the caller's own: knots of its distribution function, straight lines between them.

    Attributes:
        cdf: [K], strictly ascending from 0 to 1, K = 2 .. 4096; kept to 2^-32.
        values: [K], or [G, K] where each group has its own: the values at which the function takes them, ascending.
    """

    cdf: Sequence[float] | NDArray[Any]
    values: Sequence[float] | NDArray[Any]

    def knots(self, groups: int) -> Knots:
        """The table, checked; InputError where it is none or is not for so many groups."""
        cdf, values = np.asarray(self.cdf, np.float64), np.atleast_2d(np.asarray(self.values, np.float64))
        if cdf.ndim != 1 or not 2 <= cdf.size <= MAX_KNOTS or values.shape not in ((1, cdf.size), (groups, cdf.size)):
            raise InputError(
                f"a prior's table has 2..{MAX_KNOTS} knots, and values [knots] or [{groups}, knots]; cdf has the shape "
                f"{cdf.shape}, values {np.shape(self.values)}"
            )
        if not (cdf[0] == 0 and cdf[-1] == 1 and (np.diff(cdf) > 0).all()):
            raise InputError("the cdf of a prior's table must ascend strictly from 0 to 1")
        positions = np.rint(cdf * ONE).astype(np.int64)
        if (np.diff(positions) < 1).any():
            raise InputError("knots of a prior's table are closer than 2^-32 of its probability")
        if not (np.isfinite(values).all() and (np.diff(values) >= 0).all()):
            raise InputError("the values of a prior's table must be finite and ascend")
        return Knots(positions, values)


@dataclass(frozen=True, eq=False)
class Sample:
    """What a prior is fitted to, in scaled units.

    Attributes:
        rows: float64 [n, G], some or all of the means.
        low, high: float64 [G], least and largest of all means.
        mean, std: float64 [G], of all means.
        count: how many means each group has.
    """

    rows: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    count: int


def points_from_knots(knots: Knots, max_bits: int) -> NDArray[np.float64]:
    """The code points of each group, float64 [G, 2^(N+1) - 1], ascending.

    The same bits everywhere: each step is one elementwise operation of IEEE 754 in double precision.
    """
    x = np.arange(1, 2 << max_bits, dtype=np.int64) << (31 - max_bits)
    left = np.searchsorted(knots.positions, x, side="right") - 1
    low, high = knots.values[:, left], knots.values[:, left + 1]
    width = (knots.positions[left + 1] - knots.positions[left]).astype(np.float64)
    points = high - low
    points *= (x - knots.positions[left]).astype(np.float64)
    points /= width
    points += low
    return np.minimum(points, high, out=points)  # roundings may lead past the next knot


# --- The standard shapes -----------------------------------------------------------------------------------


def _mirrored(half: Sequence[int], *, sign: int, around: int) -> NDArray[np.int64]:
    """A symmetric table from its lower half, middle included."""
    lower = np.array(half, np.int64)
    return np.concatenate([lower, around + sign * lower[-2::-1]])


# The standard normal distribution: knots in units of 2^-16 below and at the middle, quantiles in units of 2^-16.
# They are integers in the source, and in the specification, because logarithms differ between machines.
# fmt: off
_NORMAL_POSITIONS = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256,
    320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192,
    10240, 12288, 14336, 16384, 18432, 20480, 22528, 24576, 26624, 28672, 30720, 32768,
)
_NORMAL_VALUES = (
    -294912, -273257, -262719, -256374, -251785, -248173, -245187, -242636, -240408, -236642, -233525, -230861,
    -228531, -224590, -221325, -218531, -216085, -211943, -208507, -205563, -202983, -198608, -194971, -191851,
    -189113, -184462, -180588, -177257, -174330, -169346, -165184, -161597, -158437, -153042, -148519, -144610,
    -141156, -135235, -130248, -125918, -122076, -115453, -109834, -104924, -100540, -92917, -86377, -80600, -75389,
    -66191, -58140, -50884, -44203, -37954, -32032, -26362, -20882, -15545, -10310, -5139, 0,
)
# fmt: on
NORMAL = Knots(
    _mirrored(_NORMAL_POSITIONS, sign=-1, around=1 << 16) << 16,
    _mirrored(_NORMAL_VALUES, sign=-1, around=0)[None] / 65536,
)
"""The standard normal distribution."""

# Where the empirical prior has its knots, in units of 2^-16, to the middle: 7, 23 or 45 knots in all.
_COARSE = (0, 2048, 16384, 32768)
_MIDDLE = (0, *(1 << k for k in range(6, 16)))
_FINE = (0, 16, 32, 64, 128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, *range(6144, 16384, 2048))
_LEVELS = (_COARSE, _MIDDLE, (*_FINE, *range(16384, 32769, 4096)))
UNIFORM = 1 / 64
"""Share of the empirical prior that lies evenly over the range of the means, so that outliers have points near."""

EMPIRICAL_POSITIONS = tuple(_mirrored(half, sign=-1, around=1 << 16) << 16 for half in _LEVELS)


def empirical_level(count: int) -> int:
    """How finely groups of so many values describe their prior: the knots cost 16 bits each."""
    return 0 if count < 4096 else 1 if count < 1 << 17 else 2


# --- Fitting -----------------------------------------------------------------------------------------------


def fit(prior: str | CdfTable, sample: Sample, dtype: np.dtype[Any], exponent: int) -> tuple[int, bytes]:
    """A prior's kind and parameters as a file holds them.

    Args:
        prior: "empirical" (quantiles of the means), "gaussian" (their mean and deviation), "zero-gaussian" (mean 0
            and their root mean square), or a table in the units of the array.
        sample: the means, scaled.
        dtype: of the array; a group's centre is stored in it.
        exponent: the array is the scaled one times 2^exponent.
    """
    if isinstance(prior, CdfTable):
        knots = prior.knots(sample.low.size)
        shared = knots.values.shape[0] == 1
        head = _little(np.array([shared, knots.positions.size], np.uint16))
        values = np.ldexp(knots.values, -exponent)
        return TABLE, head + _little(knots.positions[1:-1].astype(np.uint32)) + _little(values)
    if prior == "empirical":
        return EMPIRICAL, _fit_empirical(sample, dtype)
    if prior in ("gaussian", "zero-gaussian"):
        return GAUSSIAN, _fit_gaussian(sample, dtype, zero_mean=prior == "zero-gaussian")
    raise InputError(f"prior is {prior!r}; must be empirical, gaussian, zero-gaussian or a CdfTable")


def _fit_gaussian(sample: Sample, dtype: np.dtype[Any], *, zero_mean: bool) -> bytes:
    centre = np.zeros_like(sample.mean, dtype) if zero_mean else sample.mean.astype(dtype)
    spread = np.hypot(sample.std, sample.mean - centre.astype(np.float64))
    return _little(centre) + _little(to_half(spread))


def _fit_empirical(sample: Sample, dtype: np.dtype[Any]) -> bytes:
    level = empirical_level(sample.count)
    positions = EMPIRICAL_POSITIONS[level]
    middle = positions.size // 2
    quantiles = np.empty((sample.low.size, positions.size))
    ranks = np.linspace(0, 1 - UNIFORM, len(sample.rows))
    for group, (low, high) in enumerate(zip(sample.low, sample.high, strict=True)):
        ordered = np.sort(sample.rows[:, group])
        cdf = ranks + UNIFORM * ((ordered - low) / max(high - low, np.finfo(np.float64).tiny))
        cdf, ordered = np.concatenate([[0], cdf, [1]]), np.concatenate([[low], ordered, [high]])
        quantiles[group] = np.interp(positions / ONE, cdf, ordered)
    centre = quantiles[:, middle].astype(dtype)
    away = np.abs(quantiles - centre.astype(np.float64)[:, None])
    codes = to_half(away)
    for end in (0, -1):
        codes[:, end] = to_half(away[:, end], up=True)  # the outermost points lie within the range
    codes[:, :middle] = np.maximum.accumulate(codes[:, middle - 1 :: -1], axis=1)[:, ::-1]
    codes[:, middle + 1 :] = np.maximum.accumulate(codes[:, middle + 1 :], axis=1)
    return bytes([level]) + _little(centre) + _little(np.delete(codes, middle, axis=1))


# --- Reading -----------------------------------------------------------------------------------------------


def read_knots(kind: int, data: bytes, groups: int, dtype: np.dtype[Any]) -> Knots:
    """The knots that a file's parameters describe, scaled.

    Args:
        kind: GAUSSIAN, EMPIRICAL or TABLE.
        data: the parameters, all of them.
        groups: G.
        dtype: of the array.

    Raises:
        CorruptError: they are of another length, or describe no quantile function.
    """
    source = _Source(data)
    if kind == GAUSSIAN:
        centre = source.take(dtype, groups).astype(np.float64)
        spread = from_half(source.take(np.dtype(np.uint16), groups))
        values = NORMAL.values * spread[:, None] + centre[:, None]
        positions = NORMAL.positions
    elif kind == EMPIRICAL:
        level = int(source.take(np.dtype(np.uint8), 1)[0])
        if level >= len(EMPIRICAL_POSITIONS):
            raise CorruptError(f"an empirical prior of level {level}; levels are 0..{len(EMPIRICAL_POSITIONS) - 1}")
        positions = EMPIRICAL_POSITIONS[level]
        middle = positions.size // 2
        centre = source.take(dtype, groups).astype(np.float64)
        away = from_half(source.take(np.dtype(np.uint16), groups * 2 * middle)).reshape(groups, -1)
        away = np.insert(away, middle, 0.0, axis=1)
        away[:, :middle] *= -1
        values = away + centre[:, None]
    else:
        shared, count = source.take(np.dtype(np.uint16), 2).tolist()
        if shared > 1 or not 2 <= count <= MAX_KNOTS:
            raise CorruptError(f"a prior's table of {count} knots, shared {shared}; has 2..{MAX_KNOTS}, shared 0 or 1")
        inner = source.take(np.dtype(np.uint32), count - 2).astype(np.int64)
        positions = np.concatenate([[0], inner, [ONE]])
        rows = 1 if shared else groups
        values = source.take(np.dtype(np.float64), rows * count).reshape(rows, count)
        values = np.broadcast_to(values, (groups, count))
    source.finish()
    # These comparisons are false for NaN, which is therefore refused.
    if not ((np.diff(positions) > 0).all() and (np.abs(values) <= 1e9).all() and (np.diff(values) >= 0).all()):
        raise CorruptError("the parameters of a prior describe no ascending quantile function")
    return Knots(positions, values)


class _Source:
    """Arrays one after the other in little-endian bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._offset = data, 0

    def take(self, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        end = self._offset + dtype.itemsize * count
        if end > len(self._data):
            raise CorruptError(f"a prior's parameters need {end} bytes and more; {len(self._data)} are declared")
        taken = np.frombuffer(self._data, dtype.newbyteorder("<"), count, self._offset).astype(dtype)
        self._offset = end
        return taken

    def finish(self) -> None:
        if self._offset != len(self._data):
            raise CorruptError(f"{len(self._data) - self._offset} bytes are left over after a prior's parameters")


def _little(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def to_half(values: NDArray[np.float64], *, up: bool = False) -> NDArray[np.uint16]:
    """Non-negative numbers as the upper halves of their float32 bits (bfloat16), to the nearest or upwards."""
    single = values.astype(np.float32)
    if up:
        single = np.where(single < values, np.nextafter(single, np.float32(np.inf)), single)
    bits = single.view(np.uint32)
    return ((bits + (0xFFFF if up else 0x8000)) >> 16).astype(np.uint16)


def from_half(codes: NDArray[np.uint16]) -> NDArray[np.float64]:
    """The numbers that codes of ``to_half`` stand for."""
    return (codes.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
