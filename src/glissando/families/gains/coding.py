"""The main family in the codec: latents y at 1/16 and hyper-latents z at 1/64 to symbols, and back.

``symbols`` does the integer arithmetic, tile by tile. This module does what is computed in floats over the whole
picture: it scales latents by gains, and runs the graph "quantise", which subtracts the means that its network predicts.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import HYPER_LATENTS, LATENTS, MAX_SYMBOL
from glissando.bitstream.tiles import Passes
from glissando.codec.bits import share_of_cells
from glissando.codec.coding import DecoderInputs
from glissando.codec.engine import Engine
from glissando.codec.geometry import CELL, Area, Grid, Window, move_up, rows_of_windows
from glissando.codec.quality import LocalQuality, Quality
from glissando.entropy.checkerboard import even_squares
from glissando.runtime import Graph, release
from glissando.zoo import Model

from . import FAMILY
from .symbols import Rates, SymbolModel, TileCoder, octaves, row_of_each_latent

__all__ = ["CODING", "GainsCoding", "GainsLatents", "GainsSymbols", "checkerboard"]

TILES_AT_ONCE = 16
"""Tiles whose symbols and tables are made in parallel."""

VECTORS = ("means_offset", "synthesis_factor", "synthesis_offset")

Floats = NDArray[np.float32]
Symbols = NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class GainsLatents:
    """Latents y (4·rows, 4·columns, latents) and hyper-latents z (rows, columns, hyper), before any gain."""

    y: Floats
    z: Floats


@dataclass(frozen=True, eq=False)
class GainsSymbols:
    """Symbols of the hyper-latents z and of the latents y, shapes as in ``GainsLatents``."""

    z: Symbols
    y: Symbols


class GainsCoding:
    """The coding of one model of this family (``glissando.codec.coding.Coding``)."""

    latents_per_cell = CELL // (FAMILY.pixels_per_latent or CELL)
    analysis_per_cell = (latents_per_cell, 1)
    streams = (HYPER_LATENTS, LATENTS)

    def __init__(self, model: Model, engine: Engine) -> None:
        self._model, self.engine = model, engine
        self.integers = SymbolModel(model.integers)
        self.tables = self.integers.tables

    @cached_property
    def _level_tables(self) -> dict[str, Floats]:
        arrays = self._model.floats(tuple(f"{name}.table" for name in VECTORS))
        return {name: arrays[f"{name}.table"] for name in VECTORS}

    def _vector(self, name: str, quality: Quality) -> Floats:
        """The row of a float level table at a quality, (channels,)."""
        table = self._level_tables[name]
        position = quality.units / (100 * 256) * (len(table) - 1)
        low = min(math.floor(position), len(table) - 2)
        part = np.float32(position - low)
        row: Floats = table[low] * (1 - part) + table[low + 1] * part
        return row

    def vectors(self, quality: LocalQuality) -> dict[str, Floats]:
        """The rows of the float level tables that the decoder's graph takes."""
        return {
            name: self._vector(name, quality.base if name == "means_offset" else quality.synthesis) for name in VECTORS
        }

    def rates(self, quality: LocalQuality) -> Rates:
        """The rows of the level tables at the qualities that occur."""
        return self.integers.at(quality.base.units, [local.units for local in quality.palette])

    def _coder(self, rates: Rates, area: Area, quality: LocalQuality) -> TileCoder:
        return TileCoder(self.integers, rates, area, quality.over(area.latents()))

    # Encoding -----------------------------------------------------------------------------------------

    def latents(self, outputs: Sequence[Floats]) -> GainsLatents:
        return GainsLatents(*outputs)

    def passes(self, latents: Callable[[Area], GainsLatents], grid: Grid, quality: LocalQuality) -> Iterator[Passes]:
        rates = self.rates(quality)
        graph = self.engine.graph("quantise", self.engine.encoder_precision(quality.highest))
        quantise = self._quantiser(graph, quality, rates)
        rows = list(rows_of_windows(self.engine.quantiser_windows(grid)))
        seen = [grid.tiles_over(_seen(windows, grid)) for windows in rows]
        band = _Band.of(grid, max(area.height for _, area in seen), self.integers)
        coders: dict[int, TileCoder] = {}
        next_tile = 0
        for windows, (numbers, area) in zip(rows, seen, strict=True):
            part = latents(area)
            band = band.moved(area)
            new = {n: self._coder(rates, grid.tiles[n], quality) for n in numbers if grid.tiles[n].top >= band.prepared}
            coders |= new
            self._prepare(band, list(new.values()), part.z, rates)
            z_values = self._hyper_values(band.z[: area.height], rates.hyper_gain)
            for window in windows:
                quantise(window, band, part.y, z_values)
            if len(rows) > 1:
                release(graph)  # what it takes for a large window; the analysis of the next rows needs as much
            done = []
            while next_tile in coders and coders[next_tile].area.bottom <= windows[-1].inner_rows.stop:
                done.append(coders.pop(next_tile))
                next_tile += 1
            for first in range(0, len(done), TILES_AT_ONCE):
                yield from self.engine.each(functools.partial(_tile_passes, band), done[first : first + TILES_AT_ONCE])

    def _prepare(self, band: _Band, coders: Sequence[TileCoder], z: Floats, rates: Rates) -> None:
        """The hyper-latents' symbols of some tiles, the first pass's scales, and where symbols may be coded.

        ``z``: the hyper-latents over the band.
        """

        def prepare(coder: TileCoder) -> None:
            area = coder.area
            place = area.within(band.area)
            scaled = np.rint(z[place.cells()] * octaves(rates.hyper_gain))
            symbols = np.clip(scaled, -MAX_SYMBOL, MAX_SYMBOL).astype(np.int16)
            symbols[coder.hyper_index() < 0] = 0
            band.z[place.cells()] = symbols
            scales = coder.first_scales(symbols)
            coded = coder.first_index(scales) >= 0
            codable = coder.joined(coded, np.ones_like(coded))
            codable[area.rows :] = False
            codable[:, area.columns :] = False
            band.codable[place.latents()] = codable
            band.keep_scales(area, scales)

        self.engine.each(prepare, coders)

    def _quantiser(
        self, graph: Graph, quality: LocalQuality, rates: Rates
    ) -> Callable[[Window, _Band, Floats, Floats], None]:
        """What makes the symbols of a window: latents less the means that the network predicts, times gain, rounded.

        It is called with the window, the band, and over the band the latents and the values of the hyper-latents.
        """
        rows, inverse_rows = octaves(rates.gain), octaves(rates.inverse_gain)
        n = self.latents_per_cell

        def quantise(window: Window, band: _Band, y: Floats, z_values: Floats) -> None:
            in_picture, here = window.outer(n), window.within(band.area)
            inside = here.outer(n)
            inverse = row_of_each_latent(inverse_rows, quality.over(in_picture))
            gain = np.multiply(band.codable[inside], row_of_each_latent(rows, quality.over(in_picture)))
            (symbols,) = graph(
                y=y[inside][None],
                z=z_values[here.outer(1)][None],
                gain=gain[None],
                inverse_gain=inverse[None] if inverse.ndim == 3 else inverse[None, None, None],
                means_offset=self._vector("means_offset", quality.base),
                even=checkerboard(inside),
            )
            kept = symbols[0][window.inner_of_result(n)]
            band.symbols[here.inner(n)] = np.clip(kept, -MAX_SYMBOL, MAX_SYMBOL)

        return quantise

    def latent_bits(self, area: Area, costs: Mapping[int, Sequence[NDArray[np.float64]]]) -> NDArray[np.float64]:
        (of_cells,) = costs[HYPER_LATENTS]
        bits = share_of_cells(area, of_cells.reshape(*area.shape, -1).sum(axis=2))
        for part in costs[LATENTS]:
            bits += part.reshape(*area.coded_shape, -1).sum(axis=2)
        return bits

    # Decoding -----------------------------------------------------------------------------------------

    def empty_symbols(self, area: Area) -> GainsSymbols:
        return GainsSymbols(
            z=np.zeros((*area.shape, self.integers.hyper), np.int16),
            y=np.zeros((*area.latents_shape, self.integers.latents), np.int16),
        )

    def decode_tile(
        self, streams: Mapping[int, bytes], area: Area, quality: LocalQuality, symbols: GainsSymbols
    ) -> list[Symbols]:
        coder = self._coder(self.rates(quality), area, quality)
        symbols.z[area.cells()], symbols.y[area.latents()], in_order = coder.decode(streams)
        return in_order

    def decoder_inputs(self, symbols: GainsSymbols, quality: LocalQuality) -> DecoderInputs:
        rates = self.rates(quality)
        inverse_rows, z_values = octaves(rates.inverse_gain), self._hyper_values(symbols.z, rates.hyper_gain)
        vectors = self.vectors(quality)

        def inputs(window: Window) -> dict[str, NDArray[Any]]:
            inside = window.outer(self.latents_per_cell)
            gain = row_of_each_latent(inverse_rows, quality.over(inside))
            return {
                "residual": np.multiply(symbols.y[inside], gain, dtype=np.float32)[None],
                "z": z_values[window.outer(1)][None],
                "even": checkerboard(inside),
                **vectors,
            }

        return inputs

    def _hyper_values(self, z: Symbols, log_gain: NDArray[np.int32]) -> Floats:
        """Hyper-latents as the float networks see them."""
        return np.multiply(z, octaves(-log_gain), dtype=np.float32)


CODING = GainsCoding


@dataclass(frozen=True, eq=False)
class _Band:
    """What lies between latents and passes, over those tiles that a row of windows sees.

    Attributes:
        area: of these tiles.
        prepared: the first row of cells whose tiles are not prepared yet.
        codable: (4·rows, 4·columns, latents), of which there may be more rows than the area has: whether a symbol may
            be coded; the gain is zero where none may.
        symbols: of the same shape, what the windows so far have made.
        z: the symbols of the hyper-latents, (rows, columns, hyper), likewise.
        scales: those of the first pass, of the shape of ``codable``, as far as they fit into 16 bits, which those of
            working models do.
        wide: those of tiles where they do not, by the tile's area.
    """

    area: Area
    prepared: int
    codable: NDArray[np.bool_]
    symbols: Symbols
    z: Symbols
    scales: NDArray[np.int16]
    wide: dict[Area, NDArray[np.int32]]

    @classmethod
    def of(cls, grid: Grid, height: int, model: SymbolModel) -> _Band:
        """An empty band at the top of a grid, whose arrays have room for ``height`` rows of cells."""
        area = grid.area(0, 0, height, grid.cells[1])
        shape = (*area.latents_shape, model.latents)
        z, symbols, scales = (np.zeros(each, np.int16) for each in ((*area.shape, model.hyper), shape, shape))
        return cls(replace(area, height=0), 0, np.zeros(shape, np.bool_), symbols, z, scales, {})

    def keep_scales(self, area: Area, scales: NDArray[np.int32]) -> None:
        """Keep the scales of a tile, which is in the picture at ``area``."""
        most = np.iinfo(np.int16).max
        if -most <= scales.min() and scales.max() <= most:
            self.scales[area.within(self.area).latents()] = scales
        else:
            self.wide[area] = scales

    def moved(self, area: Area) -> _Band:
        """The band over an area farther down, in the same memory; it has all that is known of the area's tiles."""
        rows = area.top - self.area.top
        for values in (self.codable, self.symbols, self.scales):
            move_up(values, rows * area.latents_per_cell)
        move_up(self.z, rows)
        return replace(self, area=area, prepared=self.area.bottom)


def _seen(windows: Sequence[Window], grid: Grid) -> Area:
    """All cells that a row of windows sees."""
    top, bottom = windows[0].outer_rows.start, windows[-1].outer_rows.stop
    return grid.area(top, 0, bottom - top, grid.cells[1])


def _tile_passes(band: _Band, coder: TileCoder) -> Passes:
    """What a tile codes, once windows have made all of its symbols."""
    place = coder.area.within(band.area)
    scales = band.wide.pop(coder.area, None)
    if scales is None:
        scales = band.scales[place.latents()].astype(np.int32)
    z = band.z[place.cells()].copy()  # since it is coded when the band may have moved on
    return coder.final_passes(z, band.symbols[place.latents()], scales)


def checkerboard(inside: tuple[slice, slice]) -> Floats:
    """The checkerboard of a window, (1, rows, columns, 1); windows start on even latents."""
    rows, columns = (part.stop - part.start for part in inside)
    return even_squares(rows, columns).astype(np.float32)[None, :, :, None]
