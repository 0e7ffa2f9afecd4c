"""Decoding: the order of the steps from a file to pixels, of the whole picture or of a region."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from .geometry import CELL, Area, Grid, Region, Window, rows_of_windows, take_over
from .metadata import arguments_in
from .painting import largest_factor, painter, prepare
from .pixels import grey_of, to_levels
from .quality import LocalQuality, Quality, QualityField
from .reduction import FACTORS, factor_for, fitting, resized
from .room import Room

__all__ = ["Decoder", "PictureSymbols"]

_Planes = tuple[dict[int, bytes], dict[int, bytes], dict[int, bytes]]
"""What codes the pixels of exact tiles, corrections, and opacity, by the tile's number."""


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
    exact: dict[int, bytes]
    corrections: dict[int, bytes]
    alpha: dict[int, bytes]

    @property
    def planes(self) -> _Planes:
        """What tiles have beside latents: ``exact``, ``corrections`` and ``alpha``."""
        return self.exact, self.corrections, self.alpha

    def take_over(self, before: PictureSymbols | None) -> int:
        """Copy what the symbols of an area above have in common with these, and all planes.

        Returns the first row of cells whose symbols are still missing.

        Both areas have the same columns, and the upper one begins and ends with whole tiles.
        """
        if before is None:
            return self.area.top
        for new, old in zip(_arrays(self.latents), _arrays(before.latents), strict=True):
            take_over(new, self.area, old, before.area)
        if self.quality.field is not None and before.quality.field is not None:
            take_over(self.quality.field.index, self.area, before.quality.field.index, before.area)
        for found, earlier in zip(self.planes, before.planes, strict=True):
            found |= earlier
        return before.area.bottom


@dataclass(frozen=True)
class _Plan:
    """What has to be read and run for a region.

    Attributes:
        grid: of the picture.
        factor: by how much the picture is reduced, a divisor of ``CELL``.
        region: what is wanted, in squares of ``factor`` by ``factor`` pixels, each of which becomes one pixel.
        covered: the cells that the region covers.
        windows: what the networks run over, row after row.
    """

    grid: Grid
    factor: int
    region: Region
    covered: Area
    windows: Sequence[Window]

    @property
    def rows_of_tiles(self) -> Iterator[tuple[list[int], int]]:
        """Row by row the tiles that have pixels in the region, and the region's first row below them."""
        numbers, _ = self.grid.tiles_over(self.covered)
        for _, row in itertools.groupby(numbers, lambda number: number // self.grid.tiles_across):
            some = list(row)
            yield some, self.bottom_of(self.grid.tiles[some[0]].bottom)

    def bottom_of(self, cells: int) -> int:
        """The first row of reduced pixels below so many rows of cells, at most that below the region."""
        return min(cells * CELL // self.factor, self.region.y + self.region.height)


class Decoder:
    """Files to pictures with one model; safe to use from several threads."""

    def __init__(self, engine: Engine, coding: Coding[Any, Any]) -> None:
        self._engine, self._coding = engine, coding

    def decode(
        self,
        reader: Reader,
        region: Sequence[int] | None = None,
        max_size: int | Sequence[int] | None = None,
    ) -> Picture:
        """A file's pixels and metadata; with a region (x, y, width, height), the pixels of that rectangle alone.

        ``max_size``: scaled down to fit, pixels of the longer side or (width, height). Raises UnknownModelError where
        another model made the file, FormatError where what is read of it is damaged, InputError for a region that does
        not lie in the picture, or a size that is none.
        """
        grid, format = self._checked_grid(reader), reader.header.format
        wanted = grid.region if region is None else Region.of(region, grid.width, grid.height)
        whole = wanted.width, wanted.height
        size = whole if max_size is None else fitting(*whole, max_size)
        boxes = {name: reader.box(name) for name in reader.layout.boxes}
        plan = self._plan(grid, wanted, self._factor(reader, wanted, size))
        pixels = self._pixels(reader, plan)
        if size != whole:
            left, top = wanted.x / plan.factor - plan.region.x, wanted.y / plan.factor - plan.region.y
            box = left, top, left + wanted.width / plan.factor, top + wanted.height / plan.factor
            pixels = resized(pixels, size, box, alpha=format.alpha != "none")
        part = None if size == (grid.width, grid.height) else size
        return Picture(pixels, depth=format.depth, **arguments_in(boxes, part))

    def bands(self, reader: Reader, region: Sequence[int] | None = None) -> Iterator[Pixels]:
        """The pixels that ``decode`` gives, some rows at a time from the top down; no more of the file is in memory.

        Arrays are (rows, width), or (rows, width, channels), and end where rows of tiles do. Errors as of ``decode``,
        which may come after the first of them.
        """
        grid = self._checked_grid(reader)
        plan = self._plan(grid, grid.region if region is None else Region.of(region, grid.width, grid.height), 1)
        yield from self._bands(reader, plan, Room.for_region(plan.region, reader.header.format, whole=False))

    def _factor(self, reader: Reader, wanted: Region, size: tuple[int, int]) -> int:
        """By how much networks and tiles are reduced for a region to be shown at a size."""
        if size == (wanted.width, wanted.height):
            return 1
        by_model = reader.header.model_hash != NO_MODEL
        return factor_for(wanted, size, largest_factor(self._engine) if by_model else max(FACTORS))

    def _pixels(self, reader: Reader, plan: _Plan) -> Pixels:
        """The region's pixels, (height, width), or with channels (height, width, channels); opacity is the last."""
        room = Room.for_region(plan.region, reader.header.format, whole=True)
        for _ in self._bands(reader, plan, room):
            pass
        return room.all

    def symbols(self, reader: Reader, order: Iterable[int] | None = None) -> PictureSymbols:
        """All symbols of a file.

        ``order``: numbers of tiles in the order to be decoded, each once; any order gives the same result. The symbols
        of tiles that are left out are undefined.
        """
        grid = self._grid(reader)
        tiles = range(len(grid.tiles)) if order is None else order
        symbols = self._empty(reader, grid.whole, self._palette(reader))
        self._decode_tiles(reader, grid, tiles, symbols)
        return symbols

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

    def _checked_grid(self, reader: Reader) -> Grid:
        """The grid of a file that this model can decode, and that is as long as it should be."""
        check_carried(reader.header.format)
        reader.check_complete()
        if reader.header.model_hash != NO_MODEL:
            self._check_model(reader.header.model_hash)
        return self._grid(reader)

    def _grid(self, reader: Reader) -> Grid:
        header = reader.header
        return Grid(header.width, header.height, header.tile_log2, self._coding.latents_per_cell)

    def _plan(self, grid: Grid, region: Region, factor: int) -> _Plan:
        """The windows whose results a region is cut from."""
        covered = grid.area_over(region)
        return _Plan(grid, factor, region.reduced(factor), covered, list(self._engine.windows(grid, covered, factor)))

    def _palette(self, reader: Reader) -> tuple[int, ...] | None:
        """The offsets of the file's quality field, None where it has none."""
        palette = read_palette(reader)
        if palette is not None and not self._engine.family.takes_quality_field:
            raise CorruptError(
                f"box {QUALITY_FIELD_BOX!r}: model {self._engine.model.card.name} takes no map of importance"
            )
        return palette

    # From streams to symbols --------------------------------------------------------------------------

    def _empty(self, reader: Reader, area: Area, palette: tuple[int, ...] | None) -> PictureSymbols:
        """Arrays for the symbols of an area, into which ``_decode_tiles`` writes."""
        field = _field(palette, np.zeros(area.coded_shape, np.int16))
        quality = LocalQuality(Quality(reader.header.quality), field)
        return PictureSymbols(self._coding.empty_symbols(area), quality, area, {}, {}, {})

    def _decode_tiles(self, reader: Reader, grid: Grid, tiles: Iterable[int], symbols: PictureSymbols) -> None:
        """Write the symbols of some tiles, and what else these have, into their places."""
        planes = (PIXELS, symbols.exact), (CORRECTIONS, symbols.corrections), (ALPHA, symbols.alpha)

        def decode(number: int) -> None:
            tile = reader.tile(number)
            with _naming_tile(number, grid):
                _check_opacity(tile, reader.header.format)
                area = grid.tiles[number].within(symbols.area)
                self._decode_tile(tile, area, symbols.quality, symbols.latents)
                for stream, found in planes:
                    if data := tile.streams.get(stream):
                        found[number] = data

        self._engine.each(decode, tiles)

    def _bands_of_symbols(
        self, reader: Reader, plan: _Plan, palette: tuple[int, ...] | None
    ) -> Iterator[tuple[list[Window], PictureSymbols]]:
        """The windows, row by row, with the symbols that these see; no tile is decoded twice.

        Latents take twice the memory of the pixels, so that no more of them are held than a row of windows needs. What
        tiles have beside latents goes on into the next band unless it has been taken out.
        """
        grid, before = plan.grid, None
        for windows in rows_of_windows(plan.windows):
            top, bottom = windows[0].inner_rows.start, windows[-1].inner_rows.stop
            seen = replace(plan.covered, top=top, height=bottom - top)
            numbers, area = grid.tiles_over(grid.around(seen, self._engine.halo))
            symbols = self._empty(reader, area, palette)
            first = symbols.take_over(before)
            before = None
            self._decode_tiles(reader, grid, [n for n in numbers if grid.tiles[n].top >= first], symbols)
            yield windows, symbols
            before = symbols

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

    # From symbols and planes to pixels ----------------------------------------------------------------

    def _bands(self, reader: Reader, plan: _Plan, room: Room) -> Iterator[Pixels]:
        """The region's pixels from the top down: each time those rows of tiles that are complete by then."""
        steps = self._painted if reader.header.model_hash != NO_MODEL else self._of_exact_tiles
        rows = deque(plan.rows_of_tiles)
        for bottom, planes in steps(reader, plan, room):
            numbers: list[int] = []
            while rows and rows[0][1] <= bottom:
                some, complete = rows.popleft()
                numbers += some
            if numbers:
                region, pixels = room.take(complete)
                self._finish(reader.header.format, plan, numbers, region, pixels, planes)
                yield pixels[..., 0] if pixels.shape[2] == 1 else pixels
                del pixels  # rows of a large picture take much memory, and the next ones are coming

    def _painted(self, reader: Reader, plan: _Plan, room: Room) -> Iterator[tuple[int, _Planes]]:
        """Paint one row of windows after the other.

        Gives the first row of pixels that is not painted yet, and what tiles that have pixels above it have beside
        latents; what is done with is to be taken out.
        """
        format, palette = reader.header.format, self._palette(reader)
        highest = LocalQuality(Quality(reader.header.quality), _field(palette, np.empty((0, 0), np.int16))).highest
        precision = self._engine.decoder_precision(highest, format.depth, plan.factor)
        prepare(self._engine, plan.factor, precision, format.depth)  # compiles while the first symbols are decoded
        paint = None
        for windows, symbols in self._bands_of_symbols(reader, plan, palette):
            paint = paint or painter(self._engine, plan.factor, precision, format.depth)
            inputs = self._coding.decoder_inputs(symbols.latents, symbols.quality)
            region, pixels = room.new(plan.bottom_of(windows[-1].inner_rows.stop))
            for window in windows:
                if all(number in symbols.exact for number in plan.grid.tiles_over(window.area(plan.grid))[0]):
                    continue  # exact tiles will cover all of it
                source, target = window.pixels(region, plan.factor)
                part = paint(inputs(window.within(symbols.area)))[source]
                levels = part if part.dtype == np.uint8 else to_levels(part, format.depth)
                if format.grey:
                    pixels[..., 0][target] = grey_of(levels)
                else:
                    pixels[..., :3][target] = levels
            planes = symbols.planes
            del pixels, symbols, inputs  # they take much memory where the picture is large, and the next are coming
            yield region.y + region.height, planes

    def _of_exact_tiles(self, reader: Reader, plan: _Plan, room: Room) -> Iterator[tuple[int, _Planes]]:
        """The same for a file of which every tile is exact, one row of tiles after the other."""
        format = reader.header.format
        for numbers, bottom in plan.rows_of_tiles:
            exact, alpha = {}, {}
            for number in numbers:
                tile = reader.tile(number)
                with _naming_tile(number, plan.grid):
                    _check_opacity(tile, format)
                    if set(tile.streams) - {ALPHA} != {PIXELS}:
                        raise CorruptError(
                            f"a file without a model has stream {PIXELS} alone, not {sorted(tile.streams)}"
                        )
                    check_tile(tile, ())
                    exact[number] = tile.streams[PIXELS]
                    if data := tile.streams.get(ALPHA):
                        alpha[number] = data
            room.new(bottom)
            yield bottom, (exact, {}, alpha)

    def _finish(
        self,
        format: PixelFormat,
        plan: _Plan,
        numbers: Sequence[int],
        region: Region,
        pixels: Pixels,
        planes: _Planes,
    ) -> None:
        """Do to painted pixels what planes of these tiles say, and take the planes out."""
        exact, corrections, alpha = planes
        colours = pixels[..., 0] if format.grey else pixels[..., :3]

        def apply(
            change: Callable[[Pixels, Region, Region, bytes, int, int], None], to: Pixels, coded: dict[int, bytes]
        ) -> None:
            def decode(number: int) -> None:
                place = tile_region(plan.grid.tiles[number], plan.grid)
                with _naming_tile(number, plan.grid):
                    change(to, region, place, coded.pop(number), format.depth, plan.factor)

            self._engine.each(decode, [number for number in numbers if number in coded])

        apply(correct, colours, corrections)
        apply(paste, colours, exact)
        if format.alpha != "none":
            opacity = pixels[..., -1]
            opacity[...] = (1 << format.depth) - 1
            apply(paste_alpha, opacity, alpha)
            if format.alpha == "straight":
                colours[opacity == 0] = 0


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


def _arrays(latents: Any) -> list[NDArray[Any]]:
    """The arrays of a family's symbols, which are a dataclass of arrays or one array."""
    return [latents] if isinstance(latents, np.ndarray) else list(vars(latents).values())


def _field(palette: tuple[int, ...] | None, index: NDArray[np.int16]) -> QualityField | None:
    return None if palette is None else QualityField(palette, index)


def _listed(streams: Sequence[int]) -> str:
    """ "stream 2", "streams 1 and 2", "streams 1, 2 and 3"."""
    *others, last = streams
    if not others:
        return f"stream {last} alone"
    return f"streams {', '.join(map(str, others))} and {last}"
