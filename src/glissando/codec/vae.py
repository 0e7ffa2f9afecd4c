"""The family of plain VAEs: each latent is rounded as finely as the uncertainty about it deserves.

Latents at 1/16, their posterior means and deviations by the encoder's network. The quality sets nothing but κ: a
channel's points are multiples of κ·σ_c, σ_c its typical deviation, and a value takes the nearest or the next by the
objective of Bayesian arithmetic coding (``glissando.bayes``). An integer context model tells what symbols cost. The
decoder multiplies; it needs neither the values' deviations nor λ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bayes.lattice import multiples
from glissando.bitstream import LATENTS, Header, SymbolTables, Tile, ans
from glissando.bitstream.tiles import Passes, check_tile
from glissando.entropy import MAGNITUDE_MOST, MAGNITUDE_TABLES, MagnitudeContext
from glissando.entropy.magnitudes import Turn
from glissando.errors import CorruptError, ModelMismatchError
from glissando.zoo import Model

from .codec import Analysed, Codec, check_quality
from .geometry import PER_CELL, Area, Grid, Window

__all__ = ["Chooser", "PlaneModel", "VaeCodec"]

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
        """Of a turn, (places, channels); ``costs`` as in ``PlaneModel``."""
        at = np.ix_(turn.places, np.arange(turn.channels.start, turn.channels.stop))
        step = self.step[turn.channels]
        return multiples(self.mean[at], self.deviation[at], step, costs, turn.index, self.rate_weight)


class VaeCodec(Codec):
    """A model of this family; options as for ``Codec``."""

    analysis_outputs = {"mean": PER_CELL, "deviation": PER_CELL}  # noqa: RUF012 - declared as a constant in Codec

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__(model, **options)
        self._plane = PlaneModel(model.integers)
        self.tables = self._plane.tables
        self._points = model.floats(("deviation", "log2_step"))
        if self._points["deviation"].shape != (self._plane.context.channels,):
            raise ModelMismatchError(f"model {self.name}: its deviations do not agree with its context model")

    def step(self, units: int) -> Floats:
        """The spacing of each channel's points at a quality in 1/256 units, (C,)."""
        return (self._points["deviation"] * _at(self._points["log2_step"], units)).astype(np.float32)

    def values(self, symbols: Symbols, units: int) -> Floats:
        """The points that symbols (…, C) stand for."""
        return symbols * self.step(units)

    def rate_weight(self, units: int) -> float:
        """λ at a quality in 1/256 units: the price of a bit, in nats of the posterior's density."""
        return _at(self._log2_rate_weight, units)

    @cached_property
    def _log2_rate_weight(self) -> Floats:
        """At quality levels evenly spread over 0 … 100."""
        return self._model.floats(("log2_rate_weight",), "encoder.npz")["log2_rate_weight"]

    def chooser(self, mean: Floats, deviation: Floats, units: int) -> Chooser:
        """What chooses a tile's symbols from its posteriors (positions, C), at a quality in 1/256 units."""
        order = self._plane.context.order
        return Chooser(mean[:, order], deviation[:, order], self.step(units)[order], self.rate_weight(units))

    def _coded(self, analysed: Analysed, units: int) -> list[list[tuple[Turn, Symbols]]]:
        """What each tile codes: its turns, and the symbols of each."""
        context, costs = self._plane.context, self._plane.costs

        def choose(area: Area) -> list[tuple[Turn, Symbols]]:
            mean, deviation = (
                analysed.arrays[name][area.inside()].reshape(-1, context.channels) for name in self.analysis_outputs
            )
            chooser = self.chooser(mean, deviation, units)
            symbols = np.zeros((area.rows, area.columns, context.channels), np.int16)
            flat, coded = symbols.reshape(-1, context.channels), []
            for turn in context.walk(symbols, units):
                found = flat[turn.places, turn.channels] = chooser.symbols(turn, costs)
                coded.append((turn, found))
            return coded

        return self._each(choose, analysed.grid.tiles())

    def _passes(self, analysed: Analysed, units: int) -> list[Passes]:
        return [
            {LATENTS: [(symbols.reshape(-1), turn.index.reshape(-1)) for turn, symbols in coded]}
            for coded in self._coded(analysed, units)
        ]

    def bits_per_place(self, analysed: Analysed, quality: float) -> NDArray[np.float64]:
        grid = analysed.grid
        bits = np.zeros(grid.coded)
        for area, coded in zip(grid.tiles(), self._coded(analysed, check_quality(quality)), strict=True):
            places = np.zeros(area.rows * area.columns)
            for turn, symbols in coded:
                costs = self.tables.symbol_bits(symbols.reshape(-1), turn.index.reshape(-1))
                places[turn.places] += costs.reshape(symbols.shape).sum(axis=1)
            bits[area.inside()] = places.reshape(area.rows, area.columns)
        return bits

    def _empty_symbols(self, grid: Grid) -> dict[str, Symbols]:
        return {"symbols": np.zeros((*grid.latents, self._plane.context.channels), np.int16)}

    def _decode_tile(self, tile: Tile, area: Area, units: int, symbols: dict[str, Symbols]) -> None:
        if set(tile.streams) != {LATENTS}:
            raise CorruptError(f"this model needs stream {LATENTS} alone, the file has {sorted(tile.streams)}")
        context = self._plane.context
        ordered = np.zeros((area.rows, area.columns, context.channels), np.int16)
        flat = ordered.reshape(-1, context.channels)
        decoder = ans.Decoder(tile.streams[LATENTS], self.tables)
        passes = []
        for turn in context.walk(ordered, units):
            found = decoder.decode(turn.index.reshape(-1))
            flat[turn.places, turn.channels] = found.reshape(turn.index.shape)
            passes.append(found)
        decoder.finish()
        check_tile(tile, passes)
        symbols["symbols"][area.inside()][..., context.order] = ordered

    def _synthesise(self, symbols: dict[str, Symbols], header: Header) -> NDArray[np.uint8]:
        def inputs(window: Window) -> dict[str, NDArray[Any]]:
            return {"latents": self.values(symbols["symbols"][window.outer(PER_CELL)], header.quality)[None]}

        return self._over_windows("decode", header, inputs)


def _at(log2_levels: Floats, units: int) -> float:
    """2^x at a quality in 1/256 units, x between the levels on a straight line."""
    return float(np.exp2(np.interp(units / 25600, np.linspace(0, 1, len(log2_levels)), log2_levels)))
