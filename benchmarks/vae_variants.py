"""The variants that the study of the VAE compares: its network with other points, prices and deviations.

Each is a coding like the model's own, in a codec that decodes the files it makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bayes import search
from glissando.bayes.grid import count_depths, depth_of, depth_rates, positions
from glissando.codec import BackendOptions, Quality
from glissando.codec.engine import Engine
from glissando.entropy.levels import power_at
from glissando.families.vae.calibration import (
    COARSEST,
    FINEST,
    MAX_SYMBOL,
    PRICE,
    Fit,
    calibrate,
    fit_context,
    log2_rate_weights,
    typical,
)
from glissando.families.vae.coding import Chooser, PlaneModel, VaeCoding
from glissando.families.vae.magnitudes import Turn
from glissando.zoo import Model

from .quantisers import kmeans

__all__ = ["CENTRES", "FITTED", "LEVELS", "own_variants"]

LEVELS = 6  # of each variant: its points of a curve
CENTRES = tuple((2 << n) - 1 for n in range(1, LEVELS + 1))  # 3, 7, … 127 points a channel
BEYOND, BROAD = 1.3, 0.04  # a share of the quantiles lies evenly over a range wider than the means
DEEPEST, RARE = 7, 0.001  # of dyadic points: depths that fewer symbols have are left out

F32 = BackendOptions(precision="f32")

Floats = NDArray[np.float32]
Symbols = NDArray[np.int16]


class Priced(VaeCoding):
    """The model's own files, bits charged at another share of their price."""

    share = 1.0

    def rate_weight(self, quality: Quality) -> float:
        return super().rate_weight(quality) * self.share / PRICE


class Typical(VaeCoding):
    """The model's own files, chosen as if each channel's values were all as uncertain as they typically are."""

    def chooser(self, mean: Floats, deviation: Floats, quality: Quality) -> Chooser:
        return super().chooser(mean, np.broadcast_to(self._points["deviation"], deviation.shape), quality)


class Variant(VaeCoding):
    """The same network with other points, and a context model fitted to them."""

    def __init__(self, model: Model, fit: Fit) -> None:
        super().__init__(model, Engine(model, F32))
        arrays = {f"context.{name}": array for name, array in fit.arrays.items()}
        self._plane = PlaneModel({"frequencies": fit.frequencies, "radii": fit.radii, **arrays})
        self.tables = self._plane.tables


class Stepped(Variant):
    """Multiples of one step for all channels; ``rate_weights`` None: plain rounding."""

    def __init__(
        self, model: Model, fit: Fit, deviation: Floats, log2_step: Floats, rate_weights: Floats | None = None
    ) -> None:
        super().__init__(model, fit)
        self._points = {"deviation": deviation, "log2_step": log2_step}
        self._rate_weights = rate_weights

    def rate_weight(self, quality: Quality) -> float:
        if self._rate_weights is None:
            return 0.0
        return power_at(self._rate_weights, quality.units)

    def chooser(self, mean: Floats, deviation: Floats, quality: Quality) -> Chooser:
        return super().chooser(mean, np.broadcast_to(self._points["deviation"], deviation.shape), quality)


@dataclass(frozen=True)
class Points:
    """A list of points for each channel in ascending order, (C, 2K + 1), how a value finds its own, and their symbols:
    −K … K, or for each place in the lists another of these.
    """

    values: NDArray[np.float64]
    rates: NDArray[np.float64]  # bits of each depth, (C, N + 1)
    rate_weight: float
    codes: Symbols | None = None

    def symbols(self, mean: Floats, deviation: Floats) -> Symbols:
        """The symbols of posteriors (…, C)."""
        found = search(mean, deviation, self.values, self.rates, self.rate_weight, group=-1)
        return found if self.codes is None else self.codes[found.astype(np.intp) + len(self.codes) // 2]

    def decoded(self, symbols: Symbols) -> Floats:
        """The points of symbols (…, C)."""
        channels, size = self.values.shape
        places = symbols.astype(np.intp) + size // 2
        if self.codes is not None:
            places = np.argsort(self.codes)[places]
        found: Floats = self.values[np.arange(channels), places].astype(np.float32)
        return found


@dataclass(frozen=True)
class Made:
    """Symbols (positions, C) that were chosen beforehand, as ``Chooser`` gives them."""

    chosen: Symbols

    def symbols(self, turn: Turn, costs: Floats) -> Symbols:
        """The symbols of a turn, (positions, channels); ``costs`` do not matter."""
        return self.chosen[turn.positions, turn.channels]


class Listed(Variant):
    """Points from lists, one for each of LEVELS qualities evenly spread."""

    def __init__(self, model: Model, levels: Sequence[Points], mean: Floats, deviation: Floats) -> None:
        super().__init__(model, fit_context([level.symbols(mean, deviation) for level in levels]))
        self._lists = levels

    def _list(self, quality: Quality) -> Points:
        return self._lists[round(quality.number * (len(self._lists) - 1) / 100)]

    def chooser(self, mean: Floats, deviation: Floats, quality: Quality) -> Any:
        return Made(self._list(quality).symbols(mean, deviation)[:, self._plane.context.order])

    def values(self, symbols: Symbols, quality: Quality) -> Floats:
        return self._list(quality).decoded(symbols)


def one_deviation(model: Model, mean: Floats, deviation: Floats) -> Variant:
    """Everything as in the model, told that all latents are as uncertain as they typically are."""
    fitted = calibrate(mean, np.full_like(deviation, _overall(deviation)), LEVELS)
    return Stepped(model, fitted.fit, fitted.deviation, fitted.log2_step, fitted.log2_rate_weight)


def uniform(model: Model, mean: Floats, deviation: Floats) -> Variant:
    """Means rounded to multiples of a step: about those that the model takes for a channel of typical uncertainty."""
    steps = np.linspace(np.log2(COARSEST), np.log2(FINEST), LEVELS).astype(np.float32)
    same = np.full(mean.shape[-1], _overall(deviation), np.float32)
    rounded = [np.rint(mean / (same * 2**x)).clip(-MAX_SYMBOL, MAX_SYMBOL).astype(np.int16) for x in steps]
    return Stepped(model, fit_context(rounded), same, steps)


def _overall(deviation: Floats) -> np.float32:
    """One deviation for all channels and places."""
    return np.float32(typical(deviation.reshape(-1, 1))[0])


def by_kmeans(model: Model, mean: Floats, deviation: Floats) -> Variant:
    """Means rounded to the nearest of CENTRES points a channel."""
    some = mean[::4].reshape(-1, mean.shape[-1])
    lists = []
    for count in CENTRES:
        points = np.sort(kmeans(some, count, axis=-1).points.astype(np.float64), axis=1)
        depths = (count + 1).bit_length() - 1
        lists.append(Points(points, np.zeros((len(points), depths)), 0.0))
    return Listed(model, lists, mean, np.ones_like(deviation))


def shallow_first(depth: int) -> Symbols:
    """Symbols of dyadic points that grow with the depth, then outwards: 0; ±1; ±2, ±3; ±4 … ±7; … in ascending order
    of the points. Shallow points are those of small symbols, as the context model expects.
    """
    symbols = np.arange(1 - (1 << depth), 1 << depth)
    digits = depth_of(symbols, depth).astype(np.int64)
    within = (np.abs(symbols) >> (depth - digits)) >> 1
    found: Symbols = (np.sign(symbols) * ((1 << digits >> 1) + within)).astype(np.int16)
    return found


def as_in_the_source(model: Model, mean: Floats, deviation: Floats) -> Variant:
    """Quantiles of the means at dyadic depths, chosen at the full price of a bit, rates by the frequency of depths."""
    some, about = (x[::4].reshape(-1, x.shape[-1]) for x in (mean, deviation))
    reach = BEYOND * np.abs(mean).max(axis=(0, 1, 2))
    broad = np.concatenate([some, np.linspace(-reach, reach, round(BROAD * len(some)))])
    channel = np.arange(mean.shape[-1])
    lists = []
    steps = np.linspace(np.log2(COARSEST), np.log2(FINEST), LEVELS).astype(np.float32)
    for weight in np.exp2(log2_rate_weights(steps, 1.0).astype(np.float64)):
        depth, rates = DEEPEST, np.tile(np.arange(DEEPEST + 1.0), (len(channel), 1))
        for _ in range(2):
            points = np.quantile(broad, positions(depth), axis=0).T
            symbols = search(some, about, points, rates, float(weight), group=-1)
            share = np.bincount(depth_of(symbols, depth).ravel(), minlength=depth + 1)[::-1].cumsum()[::-1]
            counts = count_depths(symbols, depth, channel)
            depth = max(1, int(np.flatnonzero(share > RARE * symbols.size).max()))
            rates = depth_rates(counts[:, : depth + 1])
        points = np.quantile(broad, positions(depth), axis=0).T
        lists.append(Points(points, rates, float(weight), shallow_first(depth)))
    return Listed(model, lists, mean, deviation)


FITTED: dict[str, Callable[[Model, Floats, Floats], Variant]] = {
    "one σ": one_deviation,
    "uniform": uniform,
    "k-means": by_kmeans,
    "source": as_in_the_source,
}
"""By name, what makes a variant from posteriors (crops, rows, columns, C) of training pictures."""


def own_variants(model: Model) -> dict[str, VaeCoding]:
    """By name, those that share the model's grid, context model and tables."""
    engine = Engine(model, F32)
    rounded, full = Priced(model, engine), Priced(model, engine)
    rounded.share = 0.0
    return {"rounded": rounded, "full price": full, "one σ a channel": Typical(model, engine)}
