"""Encoding: the order of the steps from a picture to the bytes of a file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando import bitstream
from glissando.bitstream import ALPHA, ANY_SIZE, CORRECTIONS, MAP, NO_MODEL, PIXELS, Header, PixelFormat, Reader, Tile
from glissando.bitstream.fields import QUALITY_FIELD_BOX
from glissando.bitstream.maps import CONTEXTS, map_passes
from glissando.bitstream.quality_field import pack_palette, with_map_tables
from glissando.bitstream.tiles import Passes, encode_tile, with_planes
from glissando.errors import InputError
from glissando.picture import Picture, Pixels, scaled

from .alpha import Opacity, carried_along, opacity_of, without_opacity
from .analysed import Analysed
from .analysis import Analysis
from .automatic import automatic_field
from .coding import Coding
from .effort import DEFAULT_EFFORT, HIGHEST_QUICK, schedule_of
from .engine import Engine
from .exact import (
    choose,
    corrections_of_seen,
    exact_planes,
    is_candidate,
    largest_error,
    seen_cells,
    tile_region,
    undecided_tiles,
    worth_of_error,
)
from .filling import filled
from .geometry import CELL, Area, Grid, Region
from .importance import field_of_importance
from .metadata import boxes_of
from .options import EncodeOptions
from .pixels import pixels_of_array
from .quality import TOP_UNITS, LocalQuality, Quality, QualityField
from .refinement import Progress, Refiner, Target, halves
from .size import same_size

__all__ = ["Decisions", "Encoder"]

TILE_LOG2 = 9  # tiles of 512 pixels
TILES_AT_ONCE = 16
"""Tiles whose symbols are held to be coded in parallel."""


@dataclass(frozen=True)
class Decisions:
    """What an encoder decides by the quality, and what makes bytes jump where it decides otherwise.

    Attributes:
        exact: the numbers of the tiles that are exact, ascending.
        error: by how many levels of 255 a sample may be off; None for any.
    """

    exact: tuple[int, ...]
    error: int | None


class Encoder:
    """Pictures to bytes with one model; safe to use from several threads."""

    def __init__(self, engine: Engine, coding: Coding[Any, Any], show: Callable[[bytes, Region], Pixels]) -> None:
        """``show``: decodes a region of a file to the pixels that a reader sees, (height, width[, channels])."""
        self._engine, self._coding, self._show = engine, coding, show
        self._tables = coding.tables
        if engine.family.takes_quality_field:
            self._tables = with_map_tables(coding.tables)
            self._field_index = len(coding.tables) + np.arange(CONTEXTS)

    # From pixels to latents ---------------------------------------------------------------------------

    def analyse(self, source: Picture, highest: Quality, options: EncodeOptions) -> Analysed:
        """Latents of a picture: the costly half of encoding, which does not depend on the quality.

        ``highest`` is the highest quality that they will be coded at; at low ones they may be computed in bfloat16. Of
        the options, the effort and those of opacity count here.
        """
        depth = source.format.depth
        encoder = self._engine.model.encoder_at(options.effort).card.name
        analysis, *further = self._engine.family.encoder_graphs
        precision = self._engine.analysis_precision(highest, depth, encoder)
        self._engine.prepare(analysis, precision, real_pixels=depth > 8, encoder=encoder)
        for name in further:
            self._engine.prepare(name, self._engine.encoder_precision(highest, depth))
        boxes, grid = boxes_of(source), self._grid(source)
        opacity = opacity_of(
            source, grid, options.alpha_quality, keeps_hidden=options.keeps_hidden, each=self._engine.each
        )
        source = without_opacity(source, opacity)
        latents = self._latents(source.pixels, depth, grid, precision, encoder)
        exact = self._exact_tiles(source, grid, opacity, is_candidate)
        return Analysed(latents, grid, source, boxes, exact, opacity, encoder)

    def suits(self, analysed: Analysed, highest: Quality, used: Quality) -> bool:
        """Whether latents that were analysed for qualities up to ``highest`` are precise enough for ``used``."""
        depth, encoder = analysed.format.depth, analysed.encoder
        precisions = (self._engine.analysis_precision(quality, depth, encoder) for quality in (highest, used))
        return used <= highest or len(set(precisions)) == 1

    def _grid(self, source: Picture) -> Grid:
        return Grid(source.width, source.height, TILE_LOG2, self._coding.latents_per_cell)

    def _latents(self, pixels: Pixels, depth: int, grid: Grid, precision: str, encoder: str) -> Any:
        over = pixels_of_array(pixels)
        analysis = Analysis(self._engine, self._coding, grid, over, depth=depth, precision=precision, encoder=encoder)
        return analysis.over(grid.whole)

    def _exact_tiles(
        self, source: Picture, grid: Grid, opacity: Opacity | None, wanted: Callable[[Pixels], bool]
    ) -> dict[int, bytes]:
        """The bytes that code the pixels of tiles exactly, by number, for tiles whose pixels are ``wanted`` so."""
        regions = [tile_region(area, grid).slices for area in grid.tiles]
        parts = [source.pixels[region] for region in regions]
        if opacity is not None:
            parts = [carried_along(p, opacity.hidden[region]) for p, region in zip(parts, regions, strict=True)]
        chosen = [number for number, part in enumerate(parts) if wanted(part)]
        coded = self._engine.each(lambda number: exact_planes(parts[number], source.format.depth), chosen)
        return dict(zip(chosen, coded, strict=True))

    # From importance to a quality field ---------------------------------------------------------------

    def field(self, source: Picture, options: EncodeOptions) -> QualityField | None:
        """The quality field of a picture that was given an importance. Raises InputError where it cannot have one."""
        if options.importance is None:
            return None
        self.check_takes_field()
        grid = self._grid(source)
        if isinstance(options.importance, str) and options.importance == "auto":
            colours = source.colour if source.alpha is None else filled(source.colour, source.alpha > 0)
            return automatic_field(scaled(colours, source.format.depth, 8), grid, options.strength)
        return field_of_importance(options.importance, grid, options.strength)

    def check_takes_field(self) -> None:
        """Raises InputError where the model's family has no quality fields."""
        family, card = self._engine.family, self._engine.model.card
        if not family.takes_quality_field:
            raise InputError(f"model {card.name} (of the family {family.name!r}) takes no map of importance")

    # From latents to bytes ----------------------------------------------------------------------------

    def encode(
        self,
        analysed: Analysed,
        quality: Quality,
        field: QualityField | None = None,
        *,
        keep_size: bool = False,
        effort: int = DEFAULT_EFFORT,
        progress: Progress | None = None,
    ) -> bytes:
        """The file of an analysed picture.

        ``field``: over the coded latents. ``keep_size``: choose the quality so that the file is as large as it would be
        without the field, within 1 %. ``effort`` and ``progress``: as in ``refine``. Raises InputError for a field that
        does not fit.
        """
        self._check_field(analysed, field)
        local = LocalQuality(quality, field)
        if not keep_size or field is None:
            return self.file(self.refine(analysed, local, effort, progress), local)
        plain = LocalQuality(quality)
        size = len(self.file(analysed, plain))
        if schedule_of(effort) is not None:
            # The quality at which sizes are equal before refinement is about the one at which they are afterwards.
            unrefined = self._of_size(analysed, field, size, quality)
            quality = Quality(Reader(unrefined, limits=ANY_SIZE).header.quality)
            first, second = halves(progress)
            size = len(self.file(self.refine(analysed, plain, effort, first), plain))
            analysed = self.refine(analysed, LocalQuality(quality, field), effort, second)
        return self._of_size(analysed, field, size, quality)

    def _of_size(self, analysed: Analysed, field: QualityField, size: int, start: Quality) -> bytes:
        return same_size(lambda base: self.file(analysed, LocalQuality(base, field)), size, start)

    def _check_field(self, analysed: Analysed, field: QualityField | None) -> None:
        if field is None:
            return
        self.check_takes_field()
        if field.index.shape != analysed.grid.coded:
            raise InputError(f"the map has {field.index.shape} places, the picture {analysed.grid.coded}")

    # Refinement ---------------------------------------------------------------------------------------

    def refine(
        self, analysed: Analysed, quality: LocalQuality, effort: int, progress: Progress | None = None
    ) -> Analysed:
        """An analysed picture whose latents are refined for a quality, if the effort asks for it.

        It is never worse than it was, by bits and by the distortion that the model was trained for, of real files and
        of what a reader sees of them; where it would be, it comes back as it was. ``progress`` is told the share that
        is done. Raises InputError for an effort that there is not, or that this model's family cannot make.
        """
        schedule = schedule_of(effort)
        if schedule is None:
            return analysed
        refiner = self._refiner
        target = Target(
            analysed.source.pixels, analysed.format.depth, analysed.grid, analysed.weight_of_errors(quality)
        )
        latents = refiner.refine(analysed.latents, target, quality, schedule, progress)
        refined = replace(analysed, latents=latents, refined=True)

        def cost(of: Analysed) -> float:
            data = self._written(of, quality, self._coded(self.passes(of, quality)))
            return 8 * len(data) + refiner.loss(self._show(data, of.grid.region), target, quality)

        return refined if cost(refined) < cost(analysed) else analysed

    @cached_property
    def _refiner(self) -> Refiner:
        family, model = self._engine.family, self._engine.model
        if not family.refines:
            raise InputError(
                f"model {model.card.name} (of the family {family.name!r}) cannot refine pictures: "
                f"the highest effort for it is {HIGHEST_QUICK}"
            )
        return Refiner(self._engine, family.refinement(model, self._coding))

    def lossless(self, source: Picture) -> bytes:
        """The file of a picture of which every tile is exact. No model takes part."""
        boxes, grid = boxes_of(source), self._grid(source)
        opacity = opacity_of(source, grid, 100, keeps_hidden=True, each=self._engine.each)
        source = without_opacity(source, opacity)
        exact = self._exact_tiles(source, grid, None, lambda pixels: True)
        tiles = [encode_tile({}, self._tables, {PIXELS: exact[number]}) for number in range(len(grid.tiles))]
        header = Header(grid.width, grid.height, TOP_UNITS, source.format, NO_MODEL, grid.tile_log2)
        return _file_of(header, boxes, tiles, opacity)

    def file(self, analysed: Analysed, quality: LocalQuality, decided: Decisions | None = None) -> bytes:
        """The file of an analysed picture at a quality. ``decided``: by another quality, unless by this one."""
        tiles = self._tiles(analysed, quality, None if decided is None else decided.exact)
        error = self.largest_error(quality) if decided is None else decided.error
        if error is not None:
            tiles = self._corrected(analysed, quality, tiles, error)
        return self._written(analysed, quality, tiles, analysed.opacity)

    def decisions(self, data: bytes, quality: LocalQuality) -> Decisions:
        """What was decided for a file that ``file`` has made at a quality."""
        with Reader(data, limits=ANY_SIZE) as reader:
            tiles = [reader.layout.tile(number).streams for number in range(reader.header.tile_count)]
        exact = tuple(number for number, spans in enumerate(tiles) if PIXELS in spans and spans[PIXELS].length)
        return Decisions(exact, self.largest_error(quality))

    @staticmethod
    def largest_error(quality: LocalQuality) -> int | None:
        """By how many levels of 255 a sample may be off; None for any."""
        # With an importance, more may be lost in some areas, so that no largest error is guaranteed for all samples.
        return largest_error(quality.base) if quality.field is None else None

    def shown(self, data: bytes, analysed: Analysed) -> Pixels:
        """The colours that a reader sees of a file of this picture, (height, width) or (height, width, 3)."""
        pixels = self._show(data, analysed.grid.region)
        if analysed.opacity is None:
            return pixels
        return pixels[..., 0] if analysed.format.grey else pixels[..., :3]

    def _written(
        self, analysed: Analysed, quality: LocalQuality, tiles: Sequence[Tile], opacity: Opacity | None = None
    ) -> bytes:
        header, boxes = self.described(analysed.grid, analysed.format, quality, analysed.boxes)
        return _file_of(header, boxes, tiles, opacity)

    def described(
        self, grid: Grid, format: PixelFormat, quality: LocalQuality, boxes: Mapping[str, bytes]
    ) -> tuple[Header, dict[str, bytes]]:
        """The header and the boxes of a file; ``boxes``: those of its metadata."""
        boxes = dict(boxes)
        if quality.field is not None:
            boxes = {QUALITY_FIELD_BOX: pack_palette(quality.field.palette), **boxes}
        model_hash = bytes.fromhex(self._engine.model.card.hash)
        return Header(grid.width, grid.height, quality.base.units, format, model_hash, grid.tile_log2), boxes

    def _tiles(self, analysed: Analysed, quality: LocalQuality, exact: Sequence[int] | None) -> list[Tile]:
        """All tiles, of which some are exact: those numbers, or None for as many as that pays for."""
        grid, reach = analysed.grid, self._engine.halo
        if not exact:
            lossy = self._coded(self.passes(analysed, quality))
            if exact is None:
                lossy_sizes = [sum(map(len, tile.streams.values())) for tile in lossy]
                exact_sizes = {number: len(data) for number, data in analysed.exact.items()}
                errors = self._prices_of_errors(analysed, quality, lossy, exact_sizes, lossy_sizes)
                exact = choose(grid, exact_sizes, lossy_sizes, errors, reach)
            if not exact:
                return lossy
        seen = seen_cells(grid, exact, reach)
        areas = [grid.tiles[number] for number in exact]
        empty = {number for number, area in zip(exact, areas, strict=True) if not seen[area.cells()].any()}
        if len(empty) < len(exact):  # neighbours see some of them; the pixels that they do not see may be any
            seen_pixels = np.repeat(np.repeat(seen, CELL, axis=0), CELL, axis=1)[: grid.height, : grid.width]
            depth = analysed.format.depth
            precision = self._engine.analysis_precision(quality.highest, depth, analysed.encoder)
            pixels = filled(analysed.source.pixels, seen_pixels)
            latents = self._latents(pixels, depth, grid, precision, analysed.encoder)
            kept = [] if not analysed.refined else [area for n, area in enumerate(grid.tiles) if n not in exact]
            analysed = replace(analysed, latents=_with_areas(latents, analysed.latents, kept, grid))
        chosen = {number: analysed.exact[number] for number in exact}
        return self._coded(self.passes(analysed, quality), lambda number: chosen.get(number, b""), empty)

    def _corrected(self, analysed: Analysed, quality: LocalQuality, tiles: Sequence[Tile], error: int) -> list[Tile]:
        """The tiles, with corrections where a sample is more than ``error`` levels of 255 off in what a reader sees."""
        shown = self._show(self._written(analysed, quality, tiles), analysed.grid.region)
        source, grid, depth = analysed.source, analysed.grid, analysed.format.depth

        def correct(number: int) -> bytes:
            if tiles[number].streams.get(PIXELS):
                return b""
            part = tile_region(grid.tiles[number], grid).slices
            return corrections_of_seen(source.pixels[part], shown[part], analysed.not_seen(part), error, depth)

        found = self._engine.each(correct, range(len(tiles)))
        if not any(found):
            return list(tiles)
        return [with_planes(tile, {CORRECTIONS: data}) for tile, data in zip(tiles, found, strict=True)]

    def _prices_of_errors(
        self,
        analysed: Analysed,
        quality: LocalQuality,
        lossy: Sequence[Tile],
        exact_sizes: Mapping[int, int],
        lossy_sizes: Sequence[int],
    ) -> dict[int, float]:
        """What the errors of tiles are worth in bytes, where that may decide whether they are to be exact."""
        undecided = undecided_tiles(analysed.grid, quality.base, exact_sizes, lossy_sizes)
        data = self._written(analysed, quality, lossy) if undecided else b""

        def price(number: int) -> float:
            part = tile_region(analysed.grid.tiles[number], analysed.grid)
            pixels, hidden = analysed.source.pixels[part.slices], analysed.not_seen(part.slices)
            return worth_of_error(pixels, self._show(data, part), hidden, quality.base, analysed.format.depth)

        return {number: price(number) for number in undecided}

    def _coded(
        self, passes: Iterable[Passes], exact: Callable[[int], bytes] | None = None, empty: Collection[int] = ()
    ) -> list[Tile]:
        return list(self.coded(passes, exact, empty))

    def coded(
        self, passes: Iterable[Passes], exact: Callable[[int], bytes] | None = None, empty: Collection[int] = ()
    ) -> Iterator[Tile]:
        """Tiles of these passes, some of them at once.

        ``exact``: the bytes of a tile's exact pixels by its number, none for others; ``empty``: tiles without latents.
        """

        def code(numbered: tuple[int, Passes]) -> Tile:
            number, of_tile = numbered
            if exact is None:
                return encode_tile(of_tile, self._tables)
            pixels = exact(number)
            tile = encode_tile(of_tile, self._tables, {PIXELS: pixels})
            # Where the streams of an exact tile's latents are empty, all its symbols are zeros.
            if number in empty or (pixels and not any(tile.streams[stream] for stream in self._coding.streams)):
                none = {stream: [] if stream in self._coding.streams else parts for stream, parts in of_tile.items()}
                return encode_tile(none, self._tables, {PIXELS: pixels})
            return tile

        numbered = enumerate(passes)
        while some := list(itertools.islice(numbered, TILES_AT_ONCE)):
            yield from self._engine.each(code, some)

    def passes(self, analysed: Analysed, quality: LocalQuality) -> Iterator[Passes]:
        """What each tile codes, tile after tile, a quality field's stream included."""
        return self.passes_of(analysed.latents_over, analysed.grid, quality)

    def passes_of(self, latents: Callable[[Area], Any], grid: Grid, quality: LocalQuality) -> Iterator[Passes]:
        """The same of latents that are asked for as ``Coding.passes`` does."""
        for area, of_tile in zip(grid.tiles, self._coding.passes(latents, grid, quality), strict=True):
            yield of_tile if quality.field is None else {**of_tile, MAP: self._field_passes(area, quality)}

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
        """What each coded latent costs in bits, (rows, columns); a quality field is shared evenly within its tile.

        What opacity takes is not among them.
        """
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


def _with_areas(latents: Any, others: Any, areas: Sequence[Area], grid: Grid) -> Any:
    """A family's latents over the grid, which are those of ``others`` in some areas."""
    arrays = {name: array.copy() for name, array in vars(latents).items()} if areas else {}
    for name, array in arrays.items():
        per_cell = len(array) // grid.cells[0]
        for area in areas:
            place = tuple(slice(part.start * per_cell, part.stop * per_cell) for part in area.cells())
            array[place] = getattr(others, name)[place]
    return replace(latents, **arrays)


def _file_of(header: Header, boxes: Mapping[str, bytes], tiles: Sequence[Tile], opacity: Opacity | None) -> bytes:
    """The bytes of a file, to whose tiles the planes of the opacity come if there is one."""
    if opacity is not None:
        header = replace(header, format=replace(header.format, alpha=opacity.kind))
        tiles = [with_planes(tile, {ALPHA: plane}) for tile, plane in zip(tiles, opacity.planes, strict=True)]
    return bitstream.container.write(bitstream.Container(header, boxes, tiles))
