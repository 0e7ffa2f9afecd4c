"""The main family: gain units before and behind the quantiser, scales and means from hyper-latents.

Latents "y" at 1/16 and hyper-latents "z" at 1/64. ``tiles`` holds the integers' side, here are the floats.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando import bitstream
from glissando.bitstream import IMPORTANCE, Header, Tile
from glissando.bitstream.importance import decode_tile_map
from glissando.bitstream.maps import map_passes
from glissando.bitstream.tiles import Passes
from glissando.zoo import Model

from .codec import Analysed, Codec
from .geometry import PER_CELL, Area, Grid, Window, checkerboard
from .importance import LocalQuality
from .tiles import SymbolModel, TileCoder, octaves, spread

__all__ = ["GainsCodec"]

VECTORS = ("means_offset", "synthesis_factor", "synthesis_offset")
MAX_SYMBOL = bitstream.MAX_SYMBOL


class GainsCodec(Codec):
    """A model of the main family; options as for ``Codec``."""

    takes_importance = True
    encoder_graphs = ("analysis", "quantise")
    analysis_outputs = {"y": PER_CELL, "z": 1}  # noqa: RUF012 - declared as a constant in Codec

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__(model, **options)
        self._symbols = SymbolModel(model.integers)
        self.tables = self._symbols.tables

    @cached_property
    def _vectors(self) -> dict[str, NDArray[np.float32]]:
        arrays = self._model.floats(tuple(f"{name}.table" for name in VECTORS))
        return {name: arrays[f"{name}.table"] for name in VECTORS}

    def _vector(self, name: str, quality: int) -> NDArray[np.float32]:
        """A float level table's row, (channels,), at a quality in 1/256 units."""
        table = self._vectors[name]
        position = quality / (100 * 256) * (len(table) - 1)
        low = min(math.floor(position), len(table) - 2)
        part = np.float32(position - low)
        row: NDArray[np.float32] = table[low] * (1 - part) + table[low + 1] * part
        return row

    def _passes(self, analysed: Analysed, units: int) -> list[Passes]:
        latents, hyper_latents = analysed.arrays["y"], analysed.arrays["z"]
        local = self._local(analysed, units)
        rates = self._symbols.at(units, local.palette)
        grid = analysed.grid
        coders = [TileCoder(self._symbols, rates, area, local.over(area.latents())) for area in grid.tiles()]

        limit = MAX_SYMBOL
        z = np.clip(np.rint(hyper_latents * octaves(rates.hyper_gain)), -limit, limit).astype(np.int16)
        for coder in coders:
            z[coder.area.cells()][coder.hyper_index() < 0] = 0
        gain = np.zeros(latents.shape, np.float32)
        rows, inverse_rows = octaves(rates.gain), octaves(rates.inverse_gain)

        def prepare(coder: TileCoder) -> NDArray[np.int32]:
            """First scales of a tile; opens the gain where symbols may be other than zero."""
            area = coder.area
            scales = coder.first_scales(z[area.cells()])
            coded = coder.first_index(scales) >= 0
            open_ = coder.joined(coded, np.ones_like(coded))
            open_[area.rows :] = False
            open_[:, area.columns :] = False
            np.multiply(open_, spread(rows, coder.places), out=gain[area.latents()])
            return scales

        scales = self._each(prepare, coders)
        y = np.empty(latents.shape, np.int16)
        z_values = self._hyper_values(z, rates.hyper_gain)
        quantise = self._prepare("quantise", self._encoder_precision(local.highest)).result()
        for window in self._windows(grid, encoding=False):  # the means are the decoder's
            inside, cells = window.outer(PER_CELL), window.outer(1)
            inverse = spread(inverse_rows, local.over(inside))
            (symbols,) = quantise(
                y=latents[inside][None],
                z=z_values[cells][None],
                gain=gain[inside][None],
                inverse_gain=inverse[None] if inverse.ndim == 3 else inverse[None, None, None],
                means_offset=self._vector("means_offset", units),
                even=_even(inside),
            )
            y[window.inner(PER_CELL)] = np.clip(symbols[0][window.kept(PER_CELL)], -limit, limit)

        def settle(pair: tuple[TileCoder, NDArray[np.int32]]) -> Passes:
            coder, first = pair
            area = coder.area
            passes = coder.settle(z[area.cells()], y[area.latents()], first)
            if analysed.importance is None:
                return passes
            return {**passes, IMPORTANCE: self._map_passes(coder)}

        return self._each(settle, zip(coders, scales, strict=True))

    @staticmethod
    def _local(analysed: Analysed, units: int) -> LocalQuality:
        found = analysed.importance
        return LocalQuality.around(units) if found is None else LocalQuality.around(units, found.palette, found.index)

    def _map_passes(self, coder: TileCoder) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """What codes a tile's map: nothing where all places are alike."""
        if coder.places is None:
            return []
        return map_passes(coder.places[: coder.area.rows, : coder.area.columns], self._symbols.map_index)

    def _empty_symbols(self, grid: Grid) -> dict[str, NDArray[np.int16]]:
        return {
            "z": np.empty((*grid.cells, self._symbols.hyper), np.int16),
            "y": np.empty((*grid.latents, self._symbols.latents), np.int16),
        }

    def _decode_tile(self, tile: Tile, area: Area, units: int, symbols: dict[str, NDArray[Any]]) -> None:
        local, map_symbols = LocalQuality.around(units), None
        if "palette" in symbols:
            palette = symbols["palette"].tolist()
            index, map_symbols = decode_tile_map(tile, area.rows, area.columns, palette)
            symbols["importance"][area.inside()] = index
            local = LocalQuality.around(units, palette, index)
        whole = slice(0, PER_CELL * area.height), slice(0, PER_CELL * area.width)
        coder = TileCoder(self._symbols, self._symbols.at(units, local.palette), area, local.over(whole))
        symbols["z"][area.cells()], symbols["y"][area.latents()] = coder.decode(tile, map_symbols)

    def _synthesise(self, symbols: dict[str, NDArray[Any]], header: Header) -> NDArray[np.uint8]:
        units = header.quality
        local = LocalQuality.around(units)
        if "palette" in symbols:
            local = LocalQuality.around(units, symbols["palette"].tolist(), symbols["importance"])
        rates = self._symbols.at(units, local.palette)
        inverse = octaves(rates.inverse_gain)
        z_values = self._hyper_values(symbols["z"], rates.hyper_gain)
        vectors = {name: self._vector(name, units if name == "means_offset" else local.synthesis) for name in VECTORS}

        def inputs(window: Window) -> dict[str, NDArray[Any]]:
            inside = window.outer(PER_CELL)
            gain = spread(inverse, local.over(inside))
            return {
                "residual": np.multiply(symbols["y"][inside], gain, dtype=np.float32)[None],
                "z": z_values[window.outer(1)][None],
                "even": _even(inside),
                **vectors,
            }

        return self._over_windows("decode", header, inputs, local.highest)

    def _hyper_values(self, z: NDArray[np.int16], log_gain: NDArray[np.int32]) -> NDArray[np.float32]:
        """Hyper-latents as the float networks see them."""
        return np.multiply(z, octaves(-log_gain), dtype=np.float32)


def _even(inside: tuple[slice, slice]) -> NDArray[np.float32]:
    """The checkerboard of a window, (1, rows, columns, 1); windows start on even latents."""
    rows, columns = (part.stop - part.start for part in inside)
    return checkerboard(rows, columns).astype(np.float32)[None, :, :, None]
