"""Decoding: the order of the steps from a file to pixels, of the whole picture or of a region."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import ALPHA, CORRECTIONS, MAP, NO_MODEL, PIXELS, PixelFormat, Reader, Tile
from glissando.bitstream.fields import QUALITY_FIELD_BOX
from glissando.bitstream.quality_field import decode_quality_field, read_palette
from glissando.bitstream.tiles import check_tile
from glissando.errors import CorruptError, TruncatedError, UnknownModelError
from glissando.picture import Picture, Pixels, check_carried

from .alpha import paste_alpha
from .coding import Coding
from .engine import Engine
from .exact import correct, paste, tile_region
from .geometry import Area, Grid, Region, Window
from .metadata import arguments_in
from .pixels import grey_of, sample_type, to_levels
from .quality import LocalQuality, Quality, QualityField

__all__ = ["Decoder", "PictureSymbols"]


@dataclass(frozen=True)
class PictureSymbols:
    """All symbols of a file, or of those tiles that a region needs.

    Attributes:
        latents: the family's own dataclass, whose arrays lie over ``area``.
        quality: the file's quality, and its quality field over the coded latents of ``area``, if it has one.
        area: the cells of the grid whose symbols these are.
        exact: the bytes that code the pixels of exact tiles, by the tile's number.
        corrections: the bytes that code what is added to a tile's pixels, likewise.
        alpha: the bytes that code a tile's opacity, likewise.
    """

    latents: Any
    quality: LocalQuality
    area: Area
    exact: Mapping[int, bytes]
    corrections: Mapping[int, bytes]
    alpha: Mapping[int, bytes]


@dataclass(frozen=True)
class _Plan:
    """What has to be read and run for a region."""

    grid: Grid
    region: Region
    windows: Sequence[Window]
    tiles: Sequence[int]
    area: Area  # the area of these tiles


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
        plan = self._plan(self._grid(reader), region)
        reader.check_complete()
        boxes = {name: reader.box(name) for name in reader.layout.boxes}
        part = None if region is None else (plan.region.width, plan.region.height)
        if header.model_hash == NO_MODEL:
            pixels, alpha = self._lossless(reader, plan)
            pixels = self._with_opacity(pixels, plan, alpha, header.format)
            return Picture(pixels, depth=header.format.depth, **arguments_in(boxes, part))
        self._check_model(header.model_hash)
        palette = self._palette(reader)
        highest = LocalQuality(Quality(header.quality), _field(palette, np.empty((0, 0), np.int16))).highest
        precision = self._engine.decoder_precision(highest, header.format.depth)
        graph_name = self._graph_name(header.format.depth)
        self._engine.prepare(graph_name, precision)  # compiles while the symbols are decoded
        symbols = self._symbols(reader, plan.grid, plan.tiles, plan.area, palette)
        pixels = self._synthesise(symbols, plan, precision, header.format.depth)
        if header.format.grey:
            pixels = grey_of(pixels)
        self._apply(correct, pixels, plan, symbols.corrections, header.format.depth)
        self._apply(paste, pixels, plan, symbols.exact, header.format.depth)
        pixels = self._with_opacity(pixels, plan, symbols.alpha, header.format)
        return Picture(pixels, depth=header.format.depth, **arguments_in(boxes, part))

    def symbols(self, reader: Reader, order: Iterable[int] | None = None) -> PictureSymbols:
        """All symbols of a file.

        ``order``: numbers of tiles in the order to be decoded, each once; any order gives the same result. The symbols
        of tiles that are left out are undefined.
        """
        grid = self._grid(reader)
        tiles = range(len(grid.tiles)) if order is None else order
        return self._symbols(reader, grid, tiles, grid.whole, self._palette(reader))

    def check(self, reader: Reader) -> None:
        """Read all of a file and compare every checksum in it; no network runs, and no pixel is made.

        Raises UnknownModelError where another model made the file, FormatError where it is damaged.
        """
        header = reader.header
        check_carried(header.format)
        reader.check_complete()
        for name in reader.layout.boxes:
            reader.box(name)
        if header.model_hash != NO_MODEL:
            self._check_model(header.model_hash)
            self.symbols(reader)
            return
        grid = self._grid(reader)
        for number, tile in enumerate(reader.tiles):
            with _naming_tile(number, grid):
                check_tile(tile, ())

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
        exact: dict[int, bytes] = {}
        corrections: dict[int, bytes] = {}
        alpha: dict[int, bytes] = {}

        def decode(number: int) -> None:
            tile = reader.tile(number)
            with _naming_tile(number, grid):
                _check_opacity(tile, reader.header.format)
                self._decode_tile(tile, grid.tiles[number].within(area), quality, symbols)
                for stream, found in ((PIXELS, exact), (CORRECTIONS, corrections), (ALPHA, alpha)):
                    if data := tile.streams.get(stream):
                        found[number] = data

        self._engine.each(decode, tiles)
        return PictureSymbols(symbols, quality, area, exact, corrections, alpha)

    def _decode_tile(self, tile: Tile, area: Area, quality: LocalQuality, symbols: Any) -> None:
        """Write a tile's symbols, and its part of the quality field, into their places."""
        needed = [*self._coding.streams]
        of_field: Sequence[NDArray[Any]] = ()
        if quality.field is not None:
            needed.append(MAP)
            part, of_field = decode_quality_field(tile, area.rows, area.columns, quality.field.palette)
            quality.field.index[area.coded()] = part
        if sorted(set(tile.streams) - {PIXELS, CORRECTIONS, ALPHA}) != needed:
            raise CorruptError(f"this model needs {_listed(needed)}, the file has {sorted(tile.streams)}")
        of_latents: Sequence[NDArray[Any]] = ()
        if not tile.streams.get(PIXELS) or any(tile.streams[stream] for stream in self._coding.streams):
            of_latents = self._coding.decode_tile(tile.streams, area, quality, symbols)
        check_tile(tile, (*of_latents, *of_field))

    # From exact tiles to pixels -----------------------------------------------------------------------

    def _lossless(self, reader: Reader, plan: _Plan) -> tuple[Pixels, dict[int, bytes]]:
        """The region's pixels of a file of which every tile is exact, and what codes the opacity of its tiles."""
        format, region = reader.header.format, plan.region
        exact, alpha = {}, {}
        for number in plan.grid.tiles_over(plan.grid.area_over(region))[0]:
            tile = reader.tile(number)
            with _naming_tile(number, plan.grid):
                _check_opacity(tile, format)
                if set(tile.streams) - {ALPHA} != {PIXELS}:
                    raise CorruptError(f"a file without a model has stream {PIXELS} alone, not {sorted(tile.streams)}")
                check_tile(tile, ())
                exact[number] = tile.streams[PIXELS]
                if data := tile.streams.get(ALPHA):
                    alpha[number] = data
        shape = (region.height, region.width) if format.grey else (region.height, region.width, 3)
        pixels: Pixels = np.empty(shape, sample_type(format.depth))
        self._apply(paste, pixels, plan, exact, format.depth)
        return pixels, alpha

    def _with_opacity(self, pixels: Pixels, plan: _Plan, planes: Mapping[int, bytes], format: PixelFormat) -> Pixels:
        """The region's pixels with the opacity of a file that has it as their last channel, and black where it is 0."""
        if format.alpha == "none":
            return pixels
        alpha = np.full(pixels.shape[:2], (1 << format.depth) - 1, pixels.dtype)
        self._apply(paste_alpha, alpha, plan, planes, format.depth)
        if format.alpha == "straight":
            pixels[alpha == 0] = 0
        return np.dstack([pixels, alpha])

    def _apply(
        self,
        change: Callable[[Pixels, Region, Region, bytes, int], None],
        pixels: Pixels,
        plan: _Plan,
        planes: Mapping[int, bytes],
        depth: int,
    ) -> None:
        """Apply ``paste`` or ``correct`` to the region's pixels, tile by tile, for tiles that have such planes."""

        def decode(number: int) -> None:
            with _naming_tile(number, plan.grid):
                change(pixels, plan.region, tile_region(plan.grid.tiles[number], plan.grid), planes[number], depth)

        numbers, _ = plan.grid.tiles_over(plan.grid.area_over(plan.region))
        self._engine.each(decode, [number for number in numbers if number in planes])

    # From symbols to pixels ---------------------------------------------------------------------------

    def _graph_name(self, depth: int) -> str:
        family = self._engine.family
        return (family.decoder_graph_8bit if depth == 8 else None) or family.decoder_graph

    def _synthesise(self, symbols: PictureSymbols, plan: _Plan, precision: str, depth: int) -> Pixels:
        """The region's pixels, (height, width, 3): each window's part of it, one window after the other."""
        run = self._engine.graph(self._graph_name(depth), precision)
        inputs = self._coding.decoder_inputs(symbols.latents, symbols.quality)
        out: Pixels = np.empty((plan.region.height, plan.region.width, 3), sample_type(depth))
        for window in plan.windows:
            if all(number in symbols.exact for number in plan.grid.tiles_over(window.area(plan.grid))[0]):
                continue  # exact tiles will cover all of it
            (pixels,) = run(**inputs(window.within(plan.area)))
            source, target = window.pixels(plan.region)
            part = pixels[0][source]
            out[target] = part if part.dtype == np.uint8 else to_levels(part, depth)
        return out


@contextmanager
def _naming_tile(number: int, grid: Grid) -> Iterator[None]:
    """Add the tile's number to errors about what its streams hold, which may also end too early."""
    try:
        yield
    except (CorruptError, TruncatedError) as error:
        raise CorruptError(f"tile {number} of {len(grid.tiles)}: {error}") from error


def _check_opacity(tile: Tile, format: PixelFormat) -> None:
    """Raises CorruptError unless a tile has a stream of opacity where its file has opacity, and only there."""
    if (ALPHA in tile.streams) != (format.alpha != "none"):
        found = "no stream" if format.alpha != "none" else "a stream"
        raise CorruptError(f"a file of {format} pixels has {found} of opacity")


def _field(palette: tuple[int, ...] | None, index: NDArray[np.int16]) -> QualityField | None:
    return None if palette is None else QualityField(palette, index)


def _listed(streams: Sequence[int]) -> str:
    """ "stream 2", "streams 1 and 2", "streams 1, 2 and 3"."""
    *others, last = streams
    if not others:
        return f"stream {last} alone"
    return f"streams {', '.join(map(str, others))} and {last}"
