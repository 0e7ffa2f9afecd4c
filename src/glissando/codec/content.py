"""The content-weighted family: an importance map says place by place how many bits a picture gets.

Each latent is n bits in L levels of n/L, of which the map keeps the first few and drops the others (Li, Zuo, Gu, Zhao
and Zhang, CVPR 2018, sections 3.1 and 3.2). The quality scales the map before it is quantised; a file carries the kept
levels, and the kept bits under a context model (``glissando.entropy.BitContext``). docs/content-weighted.md explains
the method, docs/format.md specifies the streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import IMPORTANCE, LATENTS, Header, SymbolTables, Tile, ans
from glissando.bitstream.maps import CONTEXTS, decode_map, map_passes
from glissando.bitstream.tiles import Passes, check_tile
from glissando.entropy import ODDS_TABLES, BitContext
from glissando.errors import CorruptError, ModelMismatchError
from glissando.zoo import Model

from .codec import Analysed, Codec
from .geometry import CELL, Area, Grid, Window, checkerboard, joined, split

__all__ = ["BitModel", "ContentCodec", "TileBits"]

Bits = NDArray[np.int16]
Kept = NDArray[np.int16]


class BitModel:
    """A model's integers: context model, tables of the bits and of the map. Shared by all pictures.

    ``integers``: "bits.NAME" of the context model; "frequencies" and "radii", of which tables 0 … 96 code bits;
    "map_index" (levels, CONTEXTS), the tables of the map; "per_cell", latents per cell, each way. Raises
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
        self.per_cell = int(per_cell)
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
        halves = np.stack(split(by_level, checkerboard(rows, columns)[..., None, None]))
        bits = np.ascontiguousarray(halves.transpose(3, 0, 1, 2, 4)).reshape(self._levels, 2, rows * columns, -1)
        index = np.full(bits.shape, -1, np.int16)
        for turn in self._model.context.walk(kept, bits):
            index[turn.level, turn.half, turn.rows] = turn.index
        flat = (2 * self._levels, -1)
        return {
            LATENTS: list(zip(bits.reshape(flat), index.reshape(flat), strict=True)),
            IMPORTANCE: map_passes(kept, self._map_index),
        }

    def decode(self, tile: Tile, rows: int, columns: int) -> tuple[Bits, Kept]:
        """Code and kept levels from a tile's streams. Raises CorruptError where anything does not agree."""
        if set(tile.streams) != {LATENTS, IMPORTANCE}:
            raise CorruptError(
                f"this model needs streams {LATENTS} and {IMPORTANCE}, the file has {sorted(tile.streams)}"
            )
        decoder = ans.Decoder(tile.streams[IMPORTANCE], self._model.tables)
        kept, map_symbols = decode_map(decoder, rows, columns, self._map_index, self._levels)
        decoder.finish()
        bits = np.zeros((self._levels, 2, rows * columns, self._group // 2), np.int16)
        decoder = ans.Decoder(tile.streams[LATENTS], self._model.tables)
        for turn in self._model.context.walk(kept, bits):
            found = decoder.decode(turn.index.reshape(-1))
            if (np.abs(found) != 1).any():
                raise CorruptError(f"a bit of level {turn.level} is neither -1 nor +1")
            bits[turn.level, turn.half, turn.rows] = found.reshape(turn.index.shape)
        decoder.finish()
        check_tile(tile, (bits, *map_symbols))
        first, second = bits.reshape(self._levels, 2, rows, columns, -1).transpose(1, 2, 3, 0, 4)
        code = joined(first, second, checkerboard(rows, columns)[..., None, None])
        return code.reshape(rows, columns, -1), kept


class ContentCodec(Codec):
    """A model of this family; options as for ``Codec``."""

    def __init__(self, model: Model, **options: Any) -> None:
        super().__init__(model, **options)
        self._bits = BitModel(model.integers)
        self.tables = self._bits.tables
        self.per_cell = self._bits.per_cell
        self.analysis_outputs = {"code": self.per_cell, "importance": self.per_cell}

    @property
    def levels(self) -> int:
        """L: the most levels of bits that a position may keep."""
        return self._bits.context.levels

    @cached_property
    def _log2_map_scale(self) -> NDArray[np.float32]:
        """log2 s at quality levels evenly spread over 0 … 100."""
        return self._model.floats(("log2_map_scale",), "encoder.npz")["log2_map_scale"]

    def kept(self, importance: NDArray[np.float32], units: int) -> Kept:
        """Levels to keep at a quality in 1/256 units: min(L, ⌊L·p·s⌋), p in (0, 1) the network's importance."""
        scales = self._log2_map_scale
        scale = np.exp2(np.interp(units / 25600, np.linspace(0, 1, len(scales)), scales))
        kept: Kept = np.clip(np.floor(self.levels * scale * importance), 0, self.levels).astype(np.int16)
        return kept

    def _passes(self, analysed: Analysed, units: int) -> list[Passes]:
        code = analysed.arrays["code"]
        if code.shape[-1] != self._bits.context.bits:
            raise ModelMismatchError(
                f"model {self.name}: its encoder gives {code.shape[-1]} bits, its context model codes "
                f"{self._bits.context.bits}"
            )
        kept = self.kept(analysed.arrays["importance"][..., 0], units)
        tile = TileBits(self._bits, units)
        level_of = np.arange(code.shape[-1]) // self._bits.context.group

        def passes(area: Area) -> Passes:
            inside = area.inside()
            signs = np.where(code[inside] > 0, np.int16(1), np.int16(-1))
            return tile.passes(signs * (level_of < kept[inside][..., None]), kept[inside])

        return self._each(passes, analysed.grid.tiles())

    def _empty_symbols(self, grid: Grid) -> dict[str, NDArray[np.int16]]:
        return {
            "code": np.zeros((*grid.latents, self._bits.context.bits), np.int16),
            "kept": np.zeros((*grid.latents, 1), np.int16),
        }

    def _decode_tile(self, tile: Tile, area: Area, units: int, symbols: dict[str, NDArray[np.int16]]) -> None:
        code, kept = TileBits(self._bits, units).decode(tile, area.rows, area.columns)
        symbols["code"][area.inside()] = code
        symbols["kept"][area.inside()] = kept[..., None]

    def _synthesise(self, symbols: dict[str, NDArray[np.int16]], header: Header) -> NDArray[np.uint8]:
        def inputs(window: Window) -> dict[str, NDArray[Any]]:
            return {"code": symbols["code"][window.outer(self.per_cell)].astype(np.float32)[None]}

        return self._over_windows("decode", header, inputs)
