"""One array on its way into a file: read in blocks, scaled, given a prior, searched, coded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import frexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bayes import priors
from glissando.bayes.coding import CodedRows, encode_rows
from glissando.bayes.frequencies import count_symbols, entropy
from glissando.bayes.grid import check_max_bits, count_depths, depth_rates
from glissando.bayes.layout import Layout
from glissando.bayes.search import first_offence, search
from glissando.bitstream.arrays import DEFAULT_ARRAY_LIMITS, MAX_CODED, MAX_GROUPS, Coded
from glissando.errors import InputError

__all__ = ["Source", "points_of"]

BLOCK = 1 << 19  # values that are read, scaled and searched at a time
SAMPLE = 1 << 21  # values that priors and expected rates are fitted to
FEW = 1 << 17  # values that sizes are estimated by


def points_of(knots: priors.Knots, max_bits: int, dtype: np.dtype[Any], exponent: int) -> NDArray[Any]:
    """The values of the code points, [G, 2^(N+1) - 1], in the array's type: what a decoder looks up.

    Beyond the type's range they are its largest number.
    """
    largest = float(np.finfo(dtype).max)
    with np.errstate(over="ignore", under="ignore"):
        values = np.ldexp(priors.points_from_knots(knots, max_bits), exponent)
        return np.clip(values, -largest, largest).astype(dtype)


@dataclass(frozen=True, slots=True)
class _Range:
    """Least and greatest value of each group, float64 [G]."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


class Source:
    """An array with deviations, to be coded at any rate.

    Args:
        mean, std: of one shape, floats; may be memory maps. At least one value.
        prior: see ``priors.fit``.
        max_bits: N.
        axis: whose indices are groups, or None.
        passes: how often code points are chosen; from the second time on by what depths cost at the time before.

    Raises:
        InputError: see ``compress``.
    """

    def __init__(
        self,
        mean: NDArray[Any],
        std: NDArray[Any],
        *,
        prior: str | priors.CdfTable,
        max_bits: int,
        axis: int | None,
        passes: int,
    ) -> None:
        if mean.dtype not in (np.float16, np.float32, np.float64):
            raise InputError(f"means must be float16, float32 or float64, not {mean.dtype}")
        if std.dtype.kind not in "fiu":
            raise InputError(f"deviations must be real numbers, not {std.dtype}")
        if std.shape != mean.shape:
            raise InputError(f"deviations have the shape {std.shape}, means {mean.shape}; they must be the same")
        if passes < 1:
            raise InputError(f"passes is {passes}; at least one is needed")
        self.max_bits, self.passes = check_max_bits(max_bits), passes
        self.dtype: np.dtype[Any] = mean.dtype.newbyteorder("=")
        self.layout = Layout(mean.shape, axis)
        groups = self.layout.groups
        if mean.size > MAX_CODED:
            raise InputError(f"the array has {mean.size} values; at most {MAX_CODED} can be coded together")
        if groups > MAX_GROUPS or groups << (max_bits + 1) > DEFAULT_ARRAY_LIMITS.max_points:
            raise InputError(
                f"{groups} groups of 2^{max_bits + 1} - 1 code points are too many; at most {MAX_GROUPS} groups, and "
                f"{DEFAULT_ARRAY_LIMITS.max_points} code points altogether; take fewer bits or another axis"
            )
        # What is C-contiguous already, such as most memory maps, is not copied.
        self._mean, self._std = np.ascontiguousarray(mean), np.ascontiguousarray(std)
        limits = self._inspect()
        largest = max(-limits.low.min(), limits.high.max())
        self.exponent = frexp(float(largest))[1]
        self.prior, self.parameters = priors.fit(prior, self._describe(limits), self.dtype, self.exponent)
        knots = priors.read_knots(self.prior, self.parameters, groups, self.dtype)
        self.points = points_of(knots, max_bits, self.dtype, self.exponent)
        self._search_points = self._scale(self.points)

    @property
    def size(self) -> int:
        return self.layout.rows * self.layout.groups

    @property
    def _step(self) -> int:
        return max(1, BLOCK // self.layout.groups)

    def _spans(self) -> Iterator[tuple[int, int]]:
        return ((a, min(a + self._step, self.layout.rows)) for a in range(0, self.layout.rows, self._step))

    def _scale(self, values: NDArray[Any]) -> NDArray[np.float64]:
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(values.astype(np.float64), -self.exponent)

    def _inspect(self) -> _Range:
        """Check every value, and find the range."""
        low = np.full(self.layout.groups, np.inf)
        high = -low
        for a, b in self._spans():
            m, s = (self.layout.take(array, a, b) for array in (self._mean, self._std))
            low = np.minimum(low, m.min(axis=0))
            high = np.maximum(high, m.max(axis=0))
            # NaN is refused here as well.
            if not (np.isfinite(low).all() and np.isfinite(high).all() and s.min() >= 0):
                raise first_offence(self._mean, self._std, largest=np.finfo(np.float64).max)
        return _Range(low, high)

    @cached_property
    def _sampled(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and deviations of evenly spread rows, scaled: of all rows, if they are not too many."""
        stride = max(1, -(-self.size // SAMPLE))
        picked: list[list[NDArray[Any]]] = [[], []]
        for a, b in self._spans():
            for array, pieces in zip((self._mean, self._std), picked, strict=True):
                pieces.append(self.layout.take(array, a, b)[-a % stride :: stride].copy())
        mean, std = (self._scale(np.concatenate(pieces)) for pieces in picked)
        return mean, std

    def _describe(self, limits: _Range) -> priors.Sample:
        count = 0
        mean = np.zeros(self.layout.groups)
        squares = np.zeros(self.layout.groups)
        for a, b in self._spans():  # Chan, Golub, LeVeque: blocks' moments are merged, so that no digits cancel
            block = self._scale(self.layout.take(self._mean, a, b))
            own = block.mean(axis=0)
            squares += np.square(block - own).sum(axis=0) + np.square(own - mean) * (count * (b - a) / (count + b - a))
            mean += (own - mean) * ((b - a) / (count + b - a))
            count += b - a
        low, high = self._scale(limits.low), self._scale(limits.high)
        mean = np.clip(mean, low, high)  # rounding may move the mean of equal values, and their variance from 0
        squares[low == high] = 0.0
        return priors.Sample(self._sampled[0], low, high, mean, np.sqrt(squares / count), count)

    def symbols(self, rate_weight: float) -> NDArray[np.int16]:
        """The chosen code points in rows, int16 [R, G]."""
        rates = self._rates(rate_weight)
        symbols = np.empty((self.layout.rows, self.layout.groups), np.int16)
        for a, b in self._spans():
            m, s = (self._scale(self.layout.take(array, a, b)) for array in (self._mean, self._std))
            symbols[a:b] = search(m, s, self._search_points, rates, rate_weight, -1)
        return symbols

    def _rates(self, rate_weight: float, stride: int = 1) -> NDArray[np.float64]:
        """What depths are expected to cost in the last pass, by every ``stride``-th row of the sample."""
        mean, std = (rows[::stride] for rows in self._sampled)
        rates = np.broadcast_to(np.arange(self.max_bits + 1.0), (self.layout.groups, self.max_bits + 1))
        for _ in range(self.passes - 1):
            symbols = search(mean, std, self._search_points, rates, rate_weight, -1)
            rates = depth_rates(count_depths(symbols, self.max_bits, np.arange(self.layout.groups)))
        return rates

    def estimate(self, rate_weight: float) -> float:
        """About how many bytes the array takes, by some of its rows."""
        mean, std = self._sampled
        stride = max(1, mean.size // FEW)
        rates = self._rates(rate_weight, stride)
        few = search(mean[::stride], std[::stride], self._search_points, rates, rate_weight, -1)
        counts = count_symbols(few, self.max_bits).sum(axis=0, keepdims=True)
        return len(self.parameters) + entropy(counts) / 8 * (self.size / few.size)

    def encode(self, rate_weight: float) -> Coded:
        """The array as its part of a file."""
        rows: CodedRows = encode_rows(self.symbols(rate_weight), self.max_bits)
        return Coded(
            exponent=self.exponent,
            axis=self.layout.axis,
            max_bits=self.max_bits,
            depth=rows.depth,
            prior=self.prior,
            mode=rows.mode,
            pooled=rows.pooled,
            own=rows.own,
            parameters=self.parameters,
            tables=rows.tables,
            chunks=rows.chunks,
        )
