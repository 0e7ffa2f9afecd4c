"""Decoding: the order of the steps from a file to pixels, of the whole picture or of a region."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import MAP, Reader, Tile
from glissando.bitstream.fields import QUALITY_FIELD_BOX
from glissando.bitstream.quality_field import decode_quality_field, read_palette
from glissando.bitstream.tiles import check_tile
from glissando.errors import CorruptError, UnknownModelError
from glissando.picture import Picture, check_carried

from .coding import Coding
from .engine import Engine
from .geometry import Area, Grid, Region, Window
from .metadata import metadata_in
from .pixels import grey_of, to_levels
from .quality import LocalQuality, Quality, QualityField

__all__ = ["Decoder", "PictureSymbols"]


@dataclass(frozen=True)
class PictureSymbols:
    """All symbols of a file, or of those tiles that a region needs.

    Attributes:
        latents: the family's own dataclass, whose arrays lie over ``area``.
        quality: the file's quality, and its quality field over the coded latents of ``area``, if it has one.
        area: the cells of the grid that they are of.
    """

    latents: Any
    quality: LocalQuality
    area: Area


@dataclass(frozen=True)
class _Plan:
    """What has to be read and run for a region."""

    grid: Grid
    region: Region
    windows: Sequence[Window]
    tiles: Sequence[int]
    area: Area  # of these tiles


class Decoder:
    """Files to pictures with one model; safe to use from several threads."""

    def __init__(self, engine: Engine, coding: Coding[Any, Any]) -> None:
        self._engine, self._coding = engine, coding

    def decode(self, reader: Reader, region: Sequence[int] | None = None) -> Picture:
        """A file's pixels and metadata; with a region (x, y, width, height), the pixels of that rectangle alone.

        Raises UnknownModelError where another model made the file, FormatError where what is read of it is damaged,
        InputError for a region that does not lie in the picture.
        """
        header = reader.header
        check_carried(header.format)
        self._check_model(header.model_hash)
        plan = self._plan(self._grid(reader), region)
        reader.check_complete()
        boxes = {name: reader.box(name) for name in reader.layout.boxes}
        palette = self._palette(reader)
        highest = LocalQuality(Quality(header.quality), _field(palette, np.empty((0, 0), np.int16))).highest
        precision = self._engine.decoder_precision(highest)
        self._engine.prepare(self._graph_name, precision)  # while the symbols are decoded
        symbols = self._symbols(reader, plan.grid, plan.tiles, plan.area, palette)
        pixels = self._synthesise(symbols, plan, precision, header.format.depth)
        if header.format.grey:
            pixels = grey_of(pixels)
        return Picture(pixels, **metadata_in(boxes))

    def symbols(self, reader: Reader, order: Iterable[int] | None = None) -> PictureSymbols:
        """All symbols of a file.

        ``order``: numbers of tiles in the order to be decoded, each once; any order gives the same result. Of tiles
        that are left out, symbols are not defined.
        """
        grid = self._grid(reader)
        tiles = range(len(grid.tiles)) if order is None else order
        return self._symbols(reader, grid, tiles, grid.whole, self._palette(reader))

    def _check_model(self, model_hash: bytes) -> None:
        card = self._engine.model.card
        if model_hash.hex() != card.hash:
            raise UnknownModelError(
                f"the file was made with model {model_hash.hex()}, this is {card.name} ({card.hash}); "
                "glissando.decode finds the right one"
            )

    # What to read and to run --------------------------------------------------------------------------

    def _grid(self, reader: Reader) -> Grid:
        header = reader.header
        return Grid(header.width, header.height, header.tile_log2, self._coding.latents_per_cell)

    def _plan(self, grid: Grid, wanted: Sequence[int] | None) -> _Plan:
        """The windows whose results a region is cut from, and the tiles that these windows see."""
        region = grid.region if wanted is None else Region.of(wanted, grid.width, grid.height)
        covered = grid.area_over(region)
        tiles, area = grid.tiles_over(grid.around(covered, self._engine.halo))
        return _Plan(grid, region, list(self._engine.windows(grid, covered)), tiles, area)

    def _palette(self, reader: Reader) -> tuple[int, ...] | None:
        """The offsets of the file's quality field, None where it has none."""
        palette = read_palette(reader)
        if palette is not None and not self._engine.family.takes_quality_field:
            raise CorruptError(
                f"box {QUALITY_FIELD_BOX!r}: model {self._engine.model.card.name} takes no map of importance"
            )
        return palette

    # From streams to symbols --------------------------------------------------------------------------

    def _symbols(
        self, reader: Reader, grid: Grid, tiles: Iterable[int], area: Area, palette: tuple[int, ...] | None
    ) -> PictureSymbols:
        """The symbols of some tiles, in arrays over ``area``."""
        field = _field(palette, np.zeros(area.coded_shape, np.int16))
        quality = LocalQuality(Quality(reader.header.quality), field)
        symbols = self._coding.empty_symbols(area)

        def decode(number: int) -> None:
            try:
                self._decode_tile(reader.tile(number), grid.tiles[number].within(area), quality, symbols)
            except CorruptError as error:
                raise CorruptError(f"tile {number} of {len(grid.tiles)}: {error}") from error

        self._engine.each(decode, tiles)
        return PictureSymbols(symbols, quality, area)

    def _decode_tile(self, tile: Tile, area: Area, quality: LocalQuality, symbols: Any) -> None:
        """Write a tile's symbols, and its part of the quality field, into their places."""
        needed = [*self._coding.streams]
        of_field: Sequence[NDArray[Any]] = ()
        if quality.field is not None:
            needed.append(MAP)
            part, of_field = decode_quality_field(tile, area.rows, area.columns, quality.field.palette)
            quality.field.index[area.coded()] = part
        if sorted(tile.streams) != needed:
            raise CorruptError(f"this model needs {_listed(needed)}, the file has {sorted(tile.streams)}")
        check_tile(tile, (*self._coding.decode_tile(tile.streams, area, quality, symbols), *of_field))

    # From symbols to pixels ---------------------------------------------------------------------------

    @property
    def _graph_name(self) -> str:
        family = self._engine.family
        return family.decoder_graph_8bit or family.decoder_graph

    def _synthesise(self, symbols: PictureSymbols, plan: _Plan, precision: str, depth: int) -> NDArray[np.uint8]:
        """The region's pixels, (height, width, 3): each window's part of it, one window after the other."""
        run = self._engine.graph(self._graph_name, precision)
        inputs = self._coding.decoder_inputs(symbols.latents, symbols.quality)
        out = np.empty((plan.region.height, plan.region.width, 3), np.uint8)
        for window in plan.windows:
            (pixels,) = run(**inputs(window.within(plan.area)))
            source, target = window.pixels(plan.region)
            part = pixels[0][source]
            out[target] = part if part.dtype == np.uint8 else to_levels(part, depth)
        return out


def _field(palette: tuple[int, ...] | None, index: NDArray[np.int16]) -> QualityField | None:
    return None if palette is None else QualityField(palette, index)


def _listed(streams: Sequence[int]) -> str:
    """ "stream 2", "streams 1 and 2", "streams 1, 2 and 3"."""
    *others, last = streams
    if not others:
        return f"stream {last} alone"
    return f"streams {', '.join(map(str, others))} and {last}"
