"""Encoding: the order of the steps from a picture to the bytes of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando import bitstream
from glissando.bitstream import MAP, Header, PixelFormat
from glissando.bitstream.fields import QUALITY_FIELD_BOX
from glissando.bitstream.maps import CONTEXTS, map_passes
from glissando.bitstream.quality_field import pack_palette, with_map_tables
from glissando.bitstream.tiles import Passes, encode_tile
from glissando.errors import InputError
from glissando.picture import Picture

from .automatic import automatic_field
from .coding import Coding
from .engine import Engine
from .geometry import CELL, Area, Grid
from .importance import field_of_importance
from .metadata import boxes_of
from .options import EncodeOptions
from .pixels import padded
from .quality import LocalQuality, Quality, QualityField
from .size import same_size

__all__ = ["Analysed", "Encoder"]

TILE_LOG2 = 9  # tiles of 512 pixels


@dataclass(frozen=True)
class Analysed:
    """A picture's latents before any quality is chosen: what every file of it is coded from.

    Attributes:
        latents: the family's own dataclass, whose arrays lie over the whole grid.
        grid: where the latents lie.
        format: what a pixel is made of.
        boxes: metadata by the type of their box.
    """

    latents: Any
    grid: Grid
    format: PixelFormat
    boxes: dict[str, bytes]


class Encoder:
    """Pictures to bytes with one model; safe to use from several threads."""

    def __init__(self, engine: Engine, coding: Coding[Any, Any]) -> None:
        self._engine, self._coding = engine, coding
        self._tables = coding.tables
        if engine.family.takes_quality_field:
            self._tables = with_map_tables(coding.tables)
            self._field_index = len(coding.tables) + np.arange(CONTEXTS)

    # From pixels to latents ---------------------------------------------------------------------------

    def analyse(self, source: Picture, highest: Quality) -> Analysed:
        """Latents of a picture: the costly half of encoding, which does not depend on the quality.

        ``highest`` is the highest quality that they will be coded at; at low ones they may be computed in bfloat16.
        """
        precision = self._engine.encoder_precision(highest)
        for name in self._engine.family.encoder_graphs:
            self._engine.prepare(name, precision)
        boxes = boxes_of(source)
        grid = Grid(source.width, source.height, TILE_LOG2, self._coding.latents_per_cell)
        outputs = self._analysis_outputs(source.pixels, grid, precision)
        return Analysed(self._coding.latents(outputs), grid, source.format, boxes)

    def _analysis_outputs(self, pixels: NDArray[np.uint8], grid: Grid, precision: str) -> list[NDArray[np.float32]]:
        """The outputs of the analysis over the whole grid, (rows, columns, channels) each."""
        analysis = self._engine.graph(self._engine.family.encoder_graphs[0], precision)
        per_cell = self._coding.analysis_per_cell
        rows, columns = grid.cells
        outputs: list[NDArray[np.float32]] = []
        for window in self._engine.encoder_windows(grid):
            parts = analysis(pixels=padded(pixels, *window.outer(CELL)))
            if not outputs:
                outputs = [
                    np.empty((n * rows, n * columns, part.shape[-1]), np.float32)
                    for n, part in zip(per_cell, parts, strict=True)
                ]
            for whole, n, part in zip(outputs, per_cell, parts, strict=True):
                whole[window.inner(n)] = part[0][window.inner_of_result(n)]
        return outputs

    # From importance to a quality field ---------------------------------------------------------------

    def field(self, source: Picture, options: EncodeOptions) -> QualityField | None:
        """The quality field of a picture that was given an importance. Raises InputError where it cannot have one."""
        if options.importance is None:
            return None
        self._check_takes_field()
        grid = Grid(source.width, source.height, TILE_LOG2, self._coding.latents_per_cell)
        if isinstance(options.importance, str) and options.importance == "auto":
            return automatic_field(source.pixels, grid, options.strength)
        return field_of_importance(options.importance, grid, options.strength)

    def _check_takes_field(self) -> None:
        family, card = self._engine.family, self._engine.model.card
        if not family.takes_quality_field:
            raise InputError(f"model {card.name} (of the family {family.name!r}) takes no map of importance")

    # From latents to bytes ----------------------------------------------------------------------------

    def encode(
        self, analysed: Analysed, quality: Quality, field: QualityField | None = None, *, keep_size: bool = False
    ) -> bytes:
        """The file of an analysed picture.

        ``field``: over the coded latents; ``keep_size``: at whichever quality makes the file as large as it would be
        without the field, within 1 %. Raises InputError for a field that does not fit.
        """
        if field is None:
            return self._file(analysed, LocalQuality(quality))
        self._check_takes_field()
        if field.index.shape != analysed.grid.coded:
            raise InputError(f"the map has {field.index.shape} places, the picture {analysed.grid.coded}")
        if not keep_size:
            return self._file(analysed, LocalQuality(quality, field))
        size = len(self._file(analysed, LocalQuality(quality)))
        return same_size(lambda base: self._file(analysed, LocalQuality(base, field)), size, quality)

    def _file(self, analysed: Analysed, quality: LocalQuality) -> bytes:
        passes = self.passes(analysed, quality)
        tiles = self._engine.each(lambda of_tile: encode_tile(of_tile, self._tables), passes)
        grid, boxes = analysed.grid, analysed.boxes
        if quality.field is not None:
            boxes = {QUALITY_FIELD_BOX: pack_palette(quality.field.palette), **boxes}
        model_hash = bytes.fromhex(self._engine.model.card.hash)
        header = Header(grid.width, grid.height, quality.base.units, analysed.format, model_hash, grid.tile_log2)
        return bitstream.container.write(bitstream.Container(header, boxes, tiles))

    def passes(self, analysed: Analysed, quality: LocalQuality) -> list[Passes]:
        """What each tile codes, a quality field's stream included."""
        passes = self._coding.passes(analysed.latents, analysed.grid, quality)
        if quality.field is None:
            return passes
        return [
            {**of_tile, MAP: self._field_passes(area, quality)}
            for area, of_tile in zip(analysed.grid.tiles, passes, strict=True)
        ]

    def _field_passes(self, area: Area, quality: LocalQuality) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """What codes a tile's part of the field: no passes where the field has one offset alone."""
        index = quality.over(area.coded())
        return [] if index is None else map_passes(index, self._field_index)

    # What it costs ------------------------------------------------------------------------------------

    def ideal_bits(self, analysed: Analysed, quality: LocalQuality) -> float:
        """Cross-entropy in bits of all symbols under the model's integer tables."""
        tiles = self.passes(analysed, quality)
        parts = (part for passes in tiles for stream in passes.values() for part in stream)
        return float(sum(self._tables.ideal_bits(symbols, index) for symbols, index in parts))

    def bits_per_latent(self, analysed: Analysed, quality: LocalQuality) -> NDArray[np.float64]:
        """What each coded latent costs in bits, (rows, columns); a quality field is shared evenly within its tile."""
        grid = analysed.grid
        bits = np.empty(grid.coded)
        for area, passes in zip(grid.tiles, self.passes(analysed, quality), strict=True):
            costs = {
                stream: [self._tables.symbol_bits(symbols, index) for symbols, index in parts]
                for stream, parts in passes.items()
            }
            of_field = sum(float(part.sum()) for part in costs.pop(MAP)) if quality.field is not None else 0.0
            bits[area.coded()] = self._coding.latent_bits(area, costs) + of_field / (area.rows * area.columns)
        return bits
