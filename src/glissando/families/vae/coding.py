"""The family of plain VAEs in the codec: means and deviations of latents to symbols, and symbols to latents.

The encoder's network gives means and deviations of the posterior of latents at 1/16. The quality sets nothing but κ: a
channel's points are multiples of κ·σ_c, where σ_c is its typical deviation. A value takes the nearest point or one
nearer to zero, whichever is better by the objective of Bayesian arithmetic coding (``glissando.bayes``). An integer
context model tells what symbols cost. The decoder only multiplies: it needs neither the values' deviations nor λ.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bayes.lattice import multiples
from glissando.bitstream import LATENTS, SymbolTables, ans
from glissando.bitstream.tiles import Passes
from glissando.codec.coding import DecoderInputs
from glissando.codec.engine import Engine
from glissando.codec.geometry import CELL, Area, Grid, Window
from glissando.codec.quality import LocalQuality, Quality
from glissando.entropy.levels import power_at
from glissando.errors import ModelMismatchError
from glissando.zoo import Model

from . import FAMILY
from .magnitudes import MAGNITUDE_MOST, MAGNITUDE_TABLES, MagnitudeContext, Turn

__all__ = ["CODING", "Chooser", "PlaneModel", "VaeCoding", "VaeLatents", "VaeSymbols"]

Floats = NDArray[np.float32]
Symbols = NDArray[np.int16]


class PlaneModel:
    """A model's integers: context model and tables. Shared by all pictures.

    ``integers``: "frequencies" and "radii" of ``MAGNITUDE_TABLES`` tables, and the context model's arrays, their names
    after "context.". Raises ModelMismatchError where they do not agree.
    """

    def __init__(self, integers: Mapping[str, NDArray[Any]]) -> None:
        try:
            self.tables = SymbolTables(integers["frequencies"], integers["radii"])
        except KeyError as missing:
            raise ModelMismatchError(f"the model's integers.npz has no array {missing}") from None
        if len(self.tables) != MAGNITUDE_TABLES:
            raise ModelMismatchError(f"the model has {len(self.tables)} tables; this family has {MAGNITUDE_TABLES}")
        self.context = MagnitudeContext(
            {name.removeprefix("context."): array for name, array in integers.items() if name.startswith("context.")}
        )

    @cached_property
    def costs(self) -> Floats:
        """Bits of the magnitudes 0 … 255 under each table, (T, 256)."""
        magnitudes, tables = np.arange(MAGNITUDE_MOST + 1), np.arange(MAGNITUDE_TABLES)
        every = np.tile(magnitudes, len(tables)), np.repeat(tables, len(magnitudes))
        return self.tables.symbol_bits(*every).reshape(len(tables), -1).astype(np.float32)


@dataclass(frozen=True)
class Chooser:
    """How an encoder chooses the symbols of a tile.

    ``mean`` and ``deviation`` (positions, C), ``step`` (C,), channels in the order they are coded in; λ.
    """

    mean: Floats
    deviation: Floats
    step: Floats
    rate_weight: float

    def symbols(self, turn: Turn, costs: Floats) -> Symbols:
        """The symbols of a turn, (positions, channels); ``costs`` as in ``PlaneModel``."""
        at = np.ix_(turn.positions, np.arange(turn.channels.start, turn.channels.stop))
        step = self.step[turn.channels]
        return multiples(self.mean[at], self.deviation[at], step, costs, turn.index, self.rate_weight)


@dataclass(frozen=True, eq=False)
class VaeLatents:
    """The posterior of each latent: ``mean`` and ``deviation``, (rows, columns, C) each."""

    mean: Floats
    deviation: Floats


@dataclass(frozen=True, eq=False)
class VaeSymbols:
    """``symbols`` (rows, columns, C), channels in the order of the network."""

    symbols: Symbols


class VaeCoding:
    """The coding of one model of this family (``glissando.codec.coding.Coding``)."""

    latents_per_cell = CELL // (FAMILY.pixels_per_latent or CELL)
    analysis_per_cell = (latents_per_cell, latents_per_cell)
    streams = (LATENTS,)

    def __init__(self, model: Model, engine: Engine) -> None:
        self._model, self.engine = model, engine
        self._plane = PlaneModel(model.integers)
        self.tables = self._plane.tables
        self._points = model.floats(("deviation", "log2_step"))
        if self._points["deviation"].shape != (self._plane.context.channels,):
            raise ModelMismatchError(f"model {model.card.name}: its deviations do not agree with its context model")

    def step(self, quality: Quality) -> Floats:
        """The spacing of each channel's points, (C,)."""
        return (self._points["deviation"] * power_at(self._points["log2_step"], quality.units)).astype(np.float32)

    def values(self, symbols: Symbols, quality: Quality) -> Floats:
        """The points that symbols (…, C) stand for."""
        return symbols * self.step(quality)

    def rate_weight(self, quality: Quality) -> float:
        """λ: the price of a bit, in nats of the posterior's density."""
        return power_at(self._log2_rate_weight, quality.units)

    @cached_property
    def _log2_rate_weight(self) -> Floats:
        """log2 λ at quality levels evenly spread over 0 … 100."""
        return self._model.floats(("log2_rate_weight",), "encoder.npz")["log2_rate_weight"]

    def chooser(self, mean: Floats, deviation: Floats, quality: Quality) -> Chooser:
        """What chooses a tile's symbols from its posteriors (positions, C)."""
        order = self._plane.context.order
        return Chooser(mean[:, order], deviation[:, order], self.step(quality)[order], self.rate_weight(quality))

    # Encoding -----------------------------------------------------------------------------------------

    def latents(self, outputs: Sequence[Floats]) -> VaeLatents:
        return VaeLatents(*outputs)

    def passes(self, latents: Callable[[Area], VaeLatents], grid: Grid, quality: LocalQuality) -> Iterator[Passes]:
        context, costs = self._plane.context, self._plane.costs

        def choose(area: Area, part: VaeLatents) -> Passes:
            mean, deviation = (
                array[area.coded()].reshape(-1, context.channels) for array in (part.mean, part.deviation)
            )
            chooser = self.chooser(mean, deviation, quality.base)
            symbols = np.zeros((*area.coded_shape, context.channels), np.int16)
            flat, passes = symbols.reshape(-1, context.channels), []
            for turn in context.walk(symbols, quality.base.units):
                chosen = flat[turn.positions, turn.channels] = chooser.symbols(turn, costs)
                passes.append((chosen.reshape(-1), turn.index.reshape(-1)))
            return {LATENTS: passes}

        for numbers, row in grid.rows_of_tiles:
            part = latents(row)
            areas = [grid.tiles[number].within(row) for number in numbers]
            yield from self.engine.each(functools.partial(choose, part=part), areas)

    def latent_bits(self, area: Area, costs: Mapping[int, Sequence[NDArray[np.float64]]]) -> NDArray[np.float64]:
        bits = np.zeros(area.rows * area.columns)
        for positions, part in zip(self._plane.context.positions(*area.coded_shape), costs[LATENTS], strict=True):
            bits[positions] += part.reshape(len(positions), -1).sum(axis=1)
        return bits.reshape(area.coded_shape)

    # Decoding -----------------------------------------------------------------------------------------

    def empty_symbols(self, area: Area) -> VaeSymbols:
        return VaeSymbols(np.zeros((*area.latents_shape, self._plane.context.channels), np.int16))

    def decode_tile(
        self, streams: Mapping[int, bytes], area: Area, quality: LocalQuality, symbols: VaeSymbols
    ) -> list[Symbols]:
        context = self._plane.context
        ordered = np.zeros((*area.coded_shape, context.channels), np.int16)
        flat = ordered.reshape(-1, context.channels)
        decoder = ans.Decoder(streams[LATENTS], self.tables)
        in_order = []
        for turn in context.walk(ordered, quality.base.units):
            decoded = decoder.decode(turn.index.reshape(-1))
            flat[turn.positions, turn.channels] = decoded.reshape(turn.index.shape)
            in_order.append(decoded)
        decoder.finish()
        symbols.symbols[area.coded()][..., context.order] = ordered
        return in_order

    def decoder_inputs(self, symbols: VaeSymbols, quality: LocalQuality) -> DecoderInputs:
        def inputs(window: Window) -> dict[str, NDArray[Any]]:
            return {"latents": self.values(symbols.symbols[window.outer(self.latents_per_cell)], quality.base)[None]}

        return inputs


CODING = VaeCoding
