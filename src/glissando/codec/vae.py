"""The family of plain VAEs: each latent gets as many bits as the certainty about it is worth.

Latents at 1/16, their posterior means and deviations by the encoder's network. The quality sets nothing but λ, the
price of a bit: Bayesian arithmetic coding (``glissando.bayes``) then chooses the code points. The decoder looks the
points up; it needs neither deviations nor λ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bayes import search
from glissando.bayes.grid import points_between, symbol_depths
from glissando.bitstream import LATENTS, Header, SymbolTables, Tile, ans
from glissando.bitstream.tiles import Passes, check_tile
from glissando.errors import CorruptError, ModelMismatchError
from glissando.zoo import Model

from .codec import Analysed, Codec
from .geometry import PER_CELL, Area, Grid, Window

__all__ = ["VaeCodec"]


class PointModel:
    """A model's tables: which code points a channel has, and at each level which table codes it.

    ``integers``: "index", int16 (levels, latents), a table or −1 for a channel that is not coded; "max_bits", N;
    "frequencies" and "radii", tables of radius 2^N − 1. ``knots``: "knots" (latents, K), a channel's code points at
    the symbols "knot_symbols" (K,); those between lie on the line.
    """

    def __init__(self, integers: Mapping[str, NDArray[Any]], knots: Mapping[str, NDArray[np.float32]]) -> None:
        try:
            self.max_bits = int(integers["max_bits"])
            self.index = integers["index"]
            self.tables = SymbolTables(integers["frequencies"], integers["radii"])
        except KeyError as missing:
            raise ModelMismatchError(f"the model's integers.npz has no array {missing}") from None
        self.largest = (1 << self.max_bits) - 1
        if (self.tables.radii != self.largest).any() or self.index.max() >= len(self.tables):
            raise ModelMismatchError(f"the model's tables and points do not agree: {self.max_bits} bits")
        self.points = points_between(knots["knot_symbols"], knots["knots"], self.max_bits)
        self._costs = self._depth_costs()

    @property
    def latents(self) -> int:
        """Channels."""
        return len(self.points)

    def level(self, units: int) -> NDArray[Any]:
        """Tables of the channels, (latents,), at a quality in 1/256 units: those of the nearest level."""
        levels = len(self.index)
        row: NDArray[Any] = self.index[(units * (levels - 1) + 12800) // 25600]
        return row

    def costs(self, units: int) -> NDArray[np.float64]:
        """Bits of a point of each depth in each channel, (latents, N + 1)."""
        costs: NDArray[np.float64] = self._costs[self.level(units)]
        costs[self.level(units) < 0, 1:] = 1e6  # not coded: only the median is there
        return costs

    def _depth_costs(self) -> NDArray[np.float64]:
        """The same for each table, and a last row of zeros: −log2 of the depth's probability, plus n bits."""
        frequencies = self.tables.frequencies.reshape(len(self.tables), -1)[:, :-1].astype(np.float64)
        depths = symbol_depths(self.max_bits)
        mass = np.stack([frequencies[:, depths == n].sum(axis=1) for n in range(self.max_bits + 1)], axis=1)
        costs = np.arange(self.max_bits + 1) - np.log2(mass / (1 << 24))
        return np.concatenate([costs, np.zeros((1, self.max_bits + 1))])


class VaeCodec(Codec):
    """A model of this family; options as for ``Codec``."""

    analysis_outputs = {"mean": PER_CELL, "deviation": PER_CELL}  # noqa: RUF012 - declared as a constant in Codec

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__(model, **options)
        self._points = PointModel(model.integers, model.floats(("knots", "knot_symbols")))
        self.tables = self._points.tables

    def rate_weight(self, units: int) -> float:
        """λ at a quality in 1/256 units: the price of a bit, in nats of the posterior's density."""
        (levels,) = self._model.floats(("log2_rate_weight",), "encoder.npz").values()
        return float(np.exp2(np.interp(units / 25600, np.linspace(0, 1, len(levels)), levels)))

    def _passes(self, analysed: Analysed, units: int) -> list[Passes]:
        model = self._points
        row, costs, weight = model.level(units), model.costs(units), self.rate_weight(units)
        mean, deviation = analysed.arrays["mean"], analysed.arrays["deviation"]

        def choose(area: Area) -> Passes:
            inside = self._inside(area)
            symbols = search(mean[inside], deviation[inside], model.points, costs, weight, group=-1)
            return {LATENTS: [(symbols.reshape(-1), np.broadcast_to(row, symbols.shape).reshape(-1))]}

        return self._each(choose, analysed.grid.tiles())

    def _empty_symbols(self, grid: Grid) -> dict[str, NDArray[np.int16]]:
        return {"symbols": np.zeros((*grid.latents, self._points.latents), np.int16)}

    def _decode_tile(self, tile: Tile, area: Area, units: int, symbols: dict[str, NDArray[np.int16]]) -> None:
        if set(tile.streams) != {LATENTS}:
            raise CorruptError(f"this model needs stream {LATENTS} alone, the file has {sorted(tile.streams)}")
        place = symbols["symbols"][self._inside(area)]
        decoder = ans.Decoder(tile.streams[LATENTS], self.tables)
        found = decoder.decode(np.broadcast_to(self._points.level(units), place.shape).reshape(-1))
        decoder.finish()
        check_tile(tile, (found,))
        if found.size and np.abs(found).max() > self._points.largest:
            raise CorruptError(f"a symbol of magnitude {np.abs(found).max()}; the largest is {self._points.largest}")
        place[...] = found.reshape(place.shape)

    def _synthesise(self, symbols: dict[str, NDArray[np.int16]], header: Header) -> NDArray[np.uint8]:
        points = self._points.points.astype(np.float32)
        channels = np.arange(self._points.latents)

        def inputs(window: Window) -> dict[str, NDArray[Any]]:
            part = symbols["symbols"][window.outer(PER_CELL)]
            return {"latents": points[channels, part.astype(np.intp) + self._points.largest][None]}

        return self._over_windows("decode", header, inputs)

    @staticmethod
    def _inside(area: Area) -> tuple[slice, slice]:
        """A tile's latents that lie in the picture, in an array over the whole grid."""
        rows, columns = area.latents()
        return slice(rows.start, rows.start + area.rows), slice(columns.start, columns.start + area.columns)
