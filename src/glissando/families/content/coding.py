"""The content-weighted family in the codec: codes of bits and a learnt level map to symbols, and back.

Each latent is n bits in L levels of n/L, of which the level map keeps the first few and drops the others (Li, Zuo, Gu,
Zhao and Zhang, CVPR 2018, sections 3.1 and 3.2, who call it the importance map). The quality scales the map before it
is quantised; a file carries the levels that are kept, and their bits under a context model (``bits``).
docs/content-weighted.md explains the method, docs/format.md specifies the streams.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import LATENTS, MAP, SymbolTables, ans
from glissando.bitstream.maps import CONTEXTS, decode_map, map_passes
from glissando.bitstream.tiles import Passes
from glissando.codec.coding import DecoderInputs
from glissando.codec.engine import Engine
from glissando.codec.geometry import CELL, Area, Grid, Window
from glissando.codec.quality import LocalQuality, Quality
from glissando.entropy.checkerboard import even_squares, joined, split
from glissando.entropy.levels import power_at
from glissando.errors import CorruptError, ModelMismatchError
from glissando.zoo import Model

from .bits import ODDS_TABLES, BitContext

__all__ = ["CODING", "BitModel", "ContentCoding", "ContentLatents", "ContentSymbols", "TileBits"]

LEVEL_MAP = MAP
"""The stream of the level map. Level maps and quality fields share its number."""

Floats = NDArray[np.float32]
Bits = NDArray[np.int16]
Kept = NDArray[np.int16]


class BitModel:
    """A model's integers: context model, tables of the bits and of the map. Shared by all pictures.

    ``integers``: "bits.NAME" of the context model; "frequencies" and "radii", of which tables 0 … 96 code bits;
    "map_index" (levels, CONTEXTS), the tables of the map; "per_cell", latents of a cell each way. Raises
    ModelMismatchError where they do not agree.
    """

    def __init__(self, integers: Mapping[str, NDArray[Any]]) -> None:
        try:
            self.tables = SymbolTables(integers["frequencies"], integers["radii"])
            self._map_index = np.asarray(integers["map_index"])
            per_cell = np.asarray(integers["per_cell"])
        except KeyError as missing:
            raise ModelMismatchError(f"the model's integers.npz has no array {missing}") from None
        if per_cell.shape != () or per_cell.dtype.kind not in "iu" or not (per_cell > 0 and CELL % per_cell == 0):
            raise ModelMismatchError(f"per_cell must divide {CELL}; it is {per_cell}")
        self.latents_per_cell = int(per_cell)
        if len(self.tables) <= ODDS_TABLES or (self.tables.radii[:ODDS_TABLES] != 1).any():
            raise ModelMismatchError(f"tables 0 … {ODDS_TABLES - 1} must code bits, and others the map")
        index = self._map_index
        if index.dtype.kind not in "iu" or index.ndim != 2 or index.shape[1] != CONTEXTS or not len(index):
            raise ModelMismatchError(
                f"map_index must be (levels, {CONTEXTS}) integers, not {index.dtype} {index.shape}"
            )
        if index.min() < ODDS_TABLES or index.max() >= len(self.tables):
            raise ModelMismatchError(
                f"map_index names tables {index.min()}..{index.max()}, but the map has {ODDS_TABLES} to "
                f"{len(self.tables) - 1}"
            )
        self.context = BitContext(
            {name.removeprefix("bits."): array for name, array in integers.items() if name.startswith("bits.")}
        )

    def map_index(self, units: int) -> NDArray[Any]:
        """Tables of the map's contexts, (CONTEXTS,), at a quality in 1/256 units: those of the nearest level."""
        row: NDArray[Any] = self._map_index[(units * (len(self._map_index) - 1) + 12800) // 25600]
        return row


class TileBits:
    """The bits of one tile, from code (rows, columns, n) to streams and back; ``kept`` (rows, columns)."""

    def __init__(self, model: BitModel, units: int) -> None:
        self._model, self._map_index = model, model.map_index(units)
        self._levels, self._group = model.context.levels, model.context.group

    def passes(self, code: Bits, kept: Kept) -> Passes:
        """What the streams code; ``code`` is 0 wherever it is not kept."""
        rows, columns = kept.shape
        by_level = code.reshape(rows, columns, self._levels, self._group)
        halves = np.stack(split(by_level, even_squares(rows, columns)[..., None, None]))
        bits = np.ascontiguousarray(halves.transpose(3, 0, 1, 2, 4)).reshape(self._levels, 2, rows * columns, -1)
        index = np.full(bits.shape, -1, np.int16)
        for turn in self._model.context.walk(kept, bits):
            index[turn.level, turn.half, turn.rows] = turn.index
        flat = (2 * self._levels, -1)
        return {
            LATENTS: list(zip(bits.reshape(flat), index.reshape(flat), strict=True)),
            LEVEL_MAP: map_passes(kept, self._map_index),
        }

    def decode(self, streams: Mapping[int, bytes], rows: int, columns: int) -> tuple[Bits, Kept, list[NDArray[Any]]]:
        """Code and kept levels of a tile, and all its symbols in the order in which they are coded.

        Raises CorruptError where a stream holds something else.
        """
        decoder = ans.Decoder(streams[LEVEL_MAP], self._model.tables)
        kept, map_symbols = decode_map(decoder, rows, columns, self._map_index, self._levels)
        decoder.finish()
        bits = np.zeros((self._levels, 2, rows * columns, self._group // 2), np.int16)
        decoder = ans.Decoder(streams[LATENTS], self._model.tables)
        for turn in self._model.context.walk(kept, bits):
            symbols = decoder.decode(turn.index.reshape(-1))
            if (np.abs(symbols) != 1).any():
                raise CorruptError(f"a bit of level {turn.level} is neither -1 nor +1")
            bits[turn.level, turn.half, turn.rows] = symbols.reshape(turn.index.shape)
        decoder.finish()
        first, second = bits.reshape(self._levels, 2, rows, columns, -1).transpose(1, 2, 3, 0, 4)
        code = joined(first, second, even_squares(rows, columns)[..., None, None])
        return code.reshape(rows, columns, -1), kept, [bits, *map_symbols]


@dataclass(frozen=True, eq=False)
class ContentLatents:
    """``code`` (rows, columns, n), whose signs are the bits, and ``level_map`` (rows, columns, 1), in (0, 1)."""

    code: Floats
    level_map: Floats


@dataclass(frozen=True, eq=False)
class ContentSymbols:
    """``code`` (rows, columns, n) of −1 and +1, 0 where not kept; ``kept`` (rows, columns, 1), levels, 0 … L."""

    code: Bits
    kept: Kept


class ContentCoding:
    """The coding of one model of this family (``glissando.codec.coding.Coding``)."""

    streams = (LATENTS, LEVEL_MAP)

    def __init__(self, model: Model, engine: Engine) -> None:
        self._model, self.engine = model, engine
        self._bits = BitModel(model.integers)
        self.tables = self._bits.tables
        self.latents_per_cell = self._bits.latents_per_cell
        self.analysis_per_cell = (self.latents_per_cell, self.latents_per_cell)

    @property
    def levels(self) -> int:
        """L: the most levels of bits that a position may keep."""
        return self._bits.context.levels

    @cached_property
    def _log2_map_scale(self) -> Floats:
        """log2 s at quality levels evenly spread over 0 … 100."""
        return self._model.floats(("log2_map_scale",), "encoder.npz")["log2_map_scale"]

    def kept_levels(self, level_map: Floats, quality: Quality) -> Kept:
        """Levels to keep at a quality: min(L, ⌊L·p·s⌋), p in (0, 1) the network's level map."""
        scale = np.float64(power_at(self._log2_map_scale, quality.units))
        kept: Kept = np.clip(np.floor(self.levels * scale * level_map), 0, self.levels).astype(np.int16)
        return kept

    # Encoding -----------------------------------------------------------------------------------------

    def latents(self, outputs: Sequence[Floats]) -> ContentLatents:
        return ContentLatents(*outputs)

    def passes(self, latents: Callable[[Area], ContentLatents], grid: Grid, quality: LocalQuality) -> Iterator[Passes]:
        tile = TileBits(self._bits, quality.base.units)
        level_of = np.arange(self._bits.context.bits) // self._bits.context.group

        def passes(area: Area, code: Floats, kept: Kept) -> Passes:
            inside = area.coded()
            signs = np.where(code[inside] > 0, np.int16(1), np.int16(-1))
            return tile.passes(signs * (level_of < kept[inside][..., None]), kept[inside])

        for numbers, row in grid.rows_of_tiles:
            part = latents(row)
            if part.code.shape[-1] != self._bits.context.bits:
                raise ModelMismatchError(
                    f"model {self._model.card.name}: its encoder gives {part.code.shape[-1]} bits, its context model "
                    f"codes {self._bits.context.bits}"
                )
            kept = self.kept_levels(part.level_map[..., 0], quality.base)
            areas = [grid.tiles[number].within(row) for number in numbers]
            yield from self.engine.each(functools.partial(passes, code=part.code, kept=kept), areas)

    def latent_bits(self, area: Area, costs: Mapping[int, Sequence[NDArray[np.float64]]]) -> NDArray[np.float64]:
        bits = np.full(area.coded_shape, sum(float(part.sum()) for part in costs[LEVEL_MAP]))
        bits /= bits.size
        for part in costs[LATENTS]:
            bits += part.reshape(*area.coded_shape, -1).sum(axis=2)
        return bits

    # Decoding -----------------------------------------------------------------------------------------

    def empty_symbols(self, area: Area) -> ContentSymbols:
        return ContentSymbols(
            code=np.zeros((*area.latents_shape, self._bits.context.bits), np.int16),
            kept=np.zeros((*area.latents_shape, 1), np.int16),
        )

    def decode_tile(
        self, streams: Mapping[int, bytes], area: Area, quality: LocalQuality, symbols: ContentSymbols
    ) -> list[NDArray[Any]]:
        code, kept, in_order = TileBits(self._bits, quality.base.units).decode(streams, area.rows, area.columns)
        symbols.code[area.coded()] = code
        symbols.kept[area.coded()] = kept[..., None]
        return in_order

    def decoder_inputs(self, symbols: ContentSymbols, quality: LocalQuality) -> DecoderInputs:
        def inputs(window: Window) -> dict[str, NDArray[Any]]:
            return {"code": symbols.code[window.outer(self.latents_per_cell)].astype(np.float32)[None]}

        return inputs


CODING = ContentCoding
