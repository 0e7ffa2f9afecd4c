"""The codec's half: coefficients to symbols, and symbols to coefficients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import LATENTS, SymbolTables, ans
from glissando.bitstream.tiles import Passes
from glissando.codec.coding import DecoderInputs
from glissando.codec.engine import Engine
from glissando.codec.geometry import Area, Grid, Window
from glissando.codec.quality import LocalQuality
from glissando.zoo import Model

from . import TABLES, log2_step

__all__ = ["CODING", "ToyCoding", "table_of"]

Floats = NDArray[np.float32]
Symbols = NDArray[np.int16]


def table_of(log2_scale: NDArray[np.integer[Any]]) -> NDArray[np.int16]:
    """The table of symbols whose log2-scale in 1/256 octaves is this; integers alone."""
    return np.clip(((log2_scale + 16) >> 5) + 32, 0, TABLES - 1).astype(np.int16)


class ToyCoding:
    """The coding of one model (``glissando.codec.coding.Coding``); latents and symbols are arrays over the grid."""

    latents_per_cell = 8
    analysis_per_cell = (8,)
    streams = (LATENTS,)

    def __init__(self, model: Model, engine: Engine) -> None:
        self.tables = SymbolTables(model.integers["frequencies"], model.integers["radii"])
        self._log2_scale = model.integers["log2_scale"].astype(np.int32)

    @property
    def channels(self) -> int:
        return len(self._log2_scale)

    def _index(self, area: Area, quality: LocalQuality) -> NDArray[np.int16]:
        row = table_of(self._log2_scale - log2_step(quality.base.units))
        return np.broadcast_to(row, (*area.coded_shape, self.channels)).reshape(-1)

    def _step(self, quality: LocalQuality) -> np.float32:
        return np.float32(2 ** (log2_step(quality.base.units) / 256))

    def latents(self, outputs: Sequence[Floats]) -> Floats:
        return outputs[0]

    def passes(self, latents: Callable[[Area], Floats], grid: Grid, quality: LocalQuality) -> Iterator[Passes]:
        for numbers, row in grid.rows_of_tiles:
            part = latents(row)
            for area in (grid.tiles[number].within(row) for number in numbers):
                symbols = np.rint(part[area.coded()] / self._step(quality)).astype(np.int16)
                yield {LATENTS: [(symbols.reshape(-1), self._index(area, quality))]}

    def latent_bits(self, area: Area, costs: Mapping[int, Sequence[NDArray[np.float64]]]) -> NDArray[np.float64]:
        return costs[LATENTS][0].reshape(*area.coded_shape, self.channels).sum(axis=2)

    def empty_symbols(self, area: Area) -> Symbols:
        return np.zeros((*area.latents_shape, self.channels), np.int16)

    def decode_tile(
        self, streams: Mapping[int, bytes], area: Area, quality: LocalQuality, symbols: Symbols
    ) -> list[Symbols]:
        decoder = ans.Decoder(streams[LATENTS], self.tables)
        decoded = decoder.decode(self._index(area, quality))
        decoder.finish()
        symbols[area.coded()] = decoded.reshape(*area.coded_shape, self.channels)
        return [decoded]

    def decoder_inputs(self, symbols: Symbols, quality: LocalQuality) -> DecoderInputs:
        def inputs(window: Window) -> dict[str, NDArray[Any]]:
            return {"latents": symbols[window.outer(self.latents_per_cell)][None] * self._step(quality)}

        return inputs


CODING = ToyCoding
