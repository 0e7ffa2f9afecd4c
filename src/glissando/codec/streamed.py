"""Encoding a picture that does not fit into memory: the same bytes as ``Encoder``, from a few of its rows at a time.

What is held of the picture is what a row of windows needs; of the file, a few numbers for each tile. Its tiles wait in
temporary files, since the header, which comes before them, tells their lengths. The picture is read more than once:

1. where it has opacity: the planes of that, and means by which colours that it hides are made up;
2. tiles of few colours: their exact planes;
3. latents, and the streams of all tiles;
4. where tiles are exact: both again, of a picture whose exact tiles are made up as far as nobody sees them;
5. at the highest qualities: corrections, by decoding what there is so far.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import ALPHA, CORRECTIONS, NO_MODEL, PIXELS, Header, PixelFormat, Tile
from glissando.bitstream.tiles import encode_tile, with_planes
from glissando.errors import InputError
from glissando.picture import PictureRows, Pixels

from .alpha import carried_along, coded_alpha, shown_alpha, step_of
from .analysis import Analysis
from .coding import Coding
from .decoder import Decoder
from .effort import HIGHEST_QUICK
from .encoder import TILE_LOG2, Encoder
from .engine import Engine
from .exact import (
    choose,
    corrections_of_seen,
    exact_planes,
    is_candidate,
    seen_cells,
    tile_region,
    undecided_tiles,
    worth_of_error,
)
from .filling import FilledRows
from .geometry import Area, Grid
from .importance import field_of_importance
from .metadata import boxes_of
from .options import EncodeOptions
from .pixels import PixelsOver
from .quality import TOP_UNITS, LocalQuality, Quality, QualityField
from .rowwise import Advance, RowwiseOpacity, Steps, alpha_over, by_cells, colours_over, columns_of, parts_of
from .spool import Spool, StoredTiles

__all__ = ["StreamedEncoder", "check_streamable"]

_LOOK, _CODE, _CORRECT = 1.0, 8.0, 8.0
"""How long steps take, about: looking at all tiles, coding them, decoding and comparing them."""


def check_streamable(options: EncodeOptions) -> None:
    """Raises InputError for what needs the whole picture in memory."""
    wanted = None
    if options.targets.any:
        wanted = (*options.targets.chosen, "max_size")[0]
    elif options.keep_size:
        wanted = "keep_size"
    elif isinstance(options.importance, str):
        wanted = f"importance {options.importance!r}"
    elif options.effort > HIGHEST_QUICK:
        wanted = f"an effort above {HIGHEST_QUICK}"
    if wanted is not None:
        raise InputError(f"{wanted} needs the whole picture in memory; it is not for one that is read by rows")


class StreamedEncoder:
    """Pictures that are read by rows to files, with one model; safe to use from several threads."""

    def __init__(self, engine: Engine, coding: Coding[Any, Any], encoder: Encoder, decoder: Decoder) -> None:
        self.engine, self.coding, self.encoder, self.decoder = engine, coding, encoder, decoder

    def encode(
        self,
        source: PictureRows,
        stream: IO[bytes],
        quality: Quality,
        options: EncodeOptions,
        *,
        folder: str | os.PathLike[str] | None = None,
        advance: Advance | None = None,
    ) -> int:
        """Write the file of a picture to a buffered stream once all of it is known; its number of bytes.

        ``folder``: where temporary files lie, each no larger than the file or the exact planes of its tiles. Raises
        InputError as ``check_streamable``, OSError where the disk is full or the picture cannot be read.
        """
        check_streamable(options)
        grid = Grid(source.width, source.height, TILE_LOG2, self.coding.latents_per_cell)
        local = LocalQuality(quality, self._field(options, grid))
        total = _LOOK * (1 + (source.format.alpha != "none"))
        if not options.lossless:
            total += 2 * _CODE + (_CORRECT if self.encoder.largest_error(local) is not None else 0)
        with ExitStack() as stack:
            opaque = replace(source.format, alpha="none")
            boxes = boxes_of(source.metadata)
            job = _Job(self, source, options, grid, opaque, Steps(advance, total), stack, folder)
            job.begin()
            if options.lossless:
                tiles = job.lossless()
                header = Header(grid.width, grid.height, TOP_UNITS, opaque, NO_MODEL, grid.tile_log2)
            else:
                header, boxes = self.encoder.described(grid, opaque, local, boxes)
                tiles = job.corrected(job.tiles(local, header, boxes), local, header, boxes)
            if (opacity := job.opacity) is not None:
                header = replace(header, format=replace(opaque, alpha=opacity.kind))
                tiles = job.stored(
                    with_planes(tile, {ALPHA: opacity.planes[number]}) for number, tile in enumerate(tiles)
                )
            return tiles.write(stream, header, boxes)

    def _field(self, options: EncodeOptions, grid: Grid) -> QualityField | None:
        if options.importance is None:
            return None
        self.encoder.check_takes_field()
        assert not isinstance(options.importance, str)  # as it was checked
        return field_of_importance(options.importance, grid, options.strength)


@dataclass
class _Job:
    """One picture on its way to a file.

    Attributes:
        parent: whose job it is.
        source, options, grid: the picture, what was asked for, and its tiles.
        format: what a pixel is made of, opacity left out.
        steps: how far it is.
        stack: closes temporary files at the end; ``folder``: where these lie.
        colours, opacity: of the picture, once the job has begun.
    """

    parent: StreamedEncoder
    source: PictureRows
    options: EncodeOptions
    grid: Grid
    format: PixelFormat
    steps: Steps
    stack: ExitStack
    folder: str | os.PathLike[str] | None
    opacity: RowwiseOpacity | None = None

    def __post_init__(self) -> None:
        self.engine, self.coding = self.parent.engine, self.parent.coding
        self.encoder, self.decoder = self.parent.encoder, self.parent.decoder

    def begin(self) -> None:
        """Find out what of the picture is seen, and its colours."""
        self.opacity = None if self.source.format.alpha == "none" else self._coded_opacity()
        self.colours = colours_over(self.source, self.opacity)

    # Rows of tiles, and where they are kept -----------------------------------------------------------

    def rows(self, weight: float) -> Iterator[tuple[list[int], Area]]:
        """The rows of tiles, as a step of this weight."""
        rows = list(self.grid.rows_of_tiles)
        return self.steps.through(rows, len(rows), weight)

    def spool(self) -> Spool:
        """An empty spool, which is closed with the job."""
        return self.stack.enter_context(Spool(self.folder))

    def stored(self, tiles: Iterable[Tile]) -> StoredTiles:
        """All tiles of the picture, kept until the job ends."""
        stored = StoredTiles(self.folder)
        self.stack.callback(stored.close)
        for tile in tiles:
            stored.add(tile)
        return stored

    def _colours_and_hidden(
        self, numbers: Sequence[int], row: Area
    ) -> tuple[list[Pixels], Sequence[NDArray[np.bool_] | None]]:
        """The colours of some tiles of a row, and for each what of them opacity hides."""
        hidden = None if self.opacity is None else self.opacity.hidden(numbers, row, self.grid)
        return parts_of(self.colours, numbers, row, self.grid), hidden or [None] * len(numbers)

    # Planes -------------------------------------------------------------------------------------------

    def _coded_opacity(self) -> RowwiseOpacity | None:
        """What the file says of the picture's opacity; None where all of it is opaque, or comes back so."""
        source, depth = self.source, self.format.depth
        step = step_of(self.options.alpha_quality, depth)
        planes, coded, hides = self.spool(), False, False
        for numbers, row in self.rows(_LOOK):
            alpha = alpha_over(source, tile_region(row, self.grid).slices[0])
            parts = [alpha[:, columns_of(number, self.grid)] for number in numbers]
            found = self.engine.each(lambda part: coded_alpha(part, step, depth), parts)
            for number, data in zip(numbers, found, strict=True):
                planes.add(number, data)
            coded = coded or any(found)
            hides = hides or bool((shown_alpha(alpha, step, depth) == 0).any())
        if not coded:
            return None
        if self.options.keeps_hidden:
            return RowwiseOpacity("exact", planes, None)

        def seen(rows: slice) -> Callable[[slice], NDArray[np.bool_]]:
            alpha = alpha_over(source, rows)
            return lambda columns: shown_alpha(alpha[:, columns], step, depth) != 0

        return RowwiseOpacity("straight", planes, seen if hides else None)

    def _exact_planes(self, wanted: Callable[[Pixels], bool]) -> Spool:
        """The bytes that code the pixels of tiles exactly, for tiles whose pixels are ``wanted`` so."""
        spool, depth = self.spool(), self.format.depth

        def coded(pair: tuple[Pixels, NDArray[np.bool_] | None]) -> bytes | None:
            pixels, hidden = pair
            if hidden is not None:
                pixels = carried_along(pixels, hidden)
            return exact_planes(pixels, depth) if wanted(pixels) else None

        for numbers, row in self.rows(_LOOK):
            pairs = zip(*self._colours_and_hidden(numbers, row), strict=True)
            for number, data in zip(numbers, self.engine.each(coded, pairs), strict=True):
                if data is not None:
                    spool.add(number, data)
        return spool

    def lossless(self) -> StoredTiles:
        """The tiles of a picture of which every one is exact."""
        exact = self._exact_planes(lambda pixels: True)
        return self.stored(encode_tile({}, self.coding.tables, {PIXELS: exact[number]}) for number in exact)

    # Tiles --------------------------------------------------------------------------------------------

    def tiles(self, quality: LocalQuality, header: Header, boxes: dict[str, bytes]) -> StoredTiles:
        """All tiles, of which as many are exact as that pays for."""
        grid, reach = self.grid, self.engine.halo
        candidates = self._exact_planes(is_candidate)
        if not candidates:
            self.steps.skip(_CODE)
        lossy = self.stored(self._coded(self.colours, quality))
        sizes = [lossy.size(number) for number in range(len(lossy))]
        exact_sizes = {number: candidates.length(number) for number in candidates}
        undecided = undecided_tiles(grid, quality.base, exact_sizes, sizes)
        errors: dict[int, float] = {}
        if undecided:
            with lossy.reader(header, boxes) as reader:
                for number in undecided:
                    area = grid.tiles[number]
                    (pixels,), (hidden,) = self._colours_and_hidden([number], area)
                    shown = self.decoder.decode(reader, astuple(tile_region(area, grid))).pixels
                    errors[number] = worth_of_error(pixels, shown, hidden, quality.base, self.format.depth)
        chosen = set(choose(grid, exact_sizes, sizes, errors, reach))
        if not chosen:
            self.steps.skip(_CODE if candidates else 0)
            return lossy
        seen, colours = seen_cells(grid, chosen, reach), self.colours
        empty = {number for number in chosen if not seen[grid.tiles[number].cells()].any()}
        if len(empty) < len(chosen):  # neighbours see some of them; the pixels that they do not see may be any
            colours = FilledRows(colours, by_cells(seen, grid), grid.height, grid.width)
        return self.stored(
            self._coded(colours, quality, lambda number: candidates[number] if number in chosen else b"", empty)
        )

    def _coded(
        self,
        colours: PixelsOver,
        quality: LocalQuality,
        exact: Callable[[int], bytes] | None = None,
        empty: Collection[int] = (),
    ) -> Iterator[Tile]:
        """Tiles of the latents of these colours, computed as they are needed; others as in ``Encoder.coded``."""
        encoder = self.engine.model.encoder_at(self.options.effort).card.name
        depth = self.format.depth
        precision = self.engine.analysis_precision(quality.highest, depth, encoder)
        analysis = Analysis(
            self.engine, self.coding, self.grid, colours, depth=depth, precision=precision, encoder=encoder
        )
        passes = self.encoder.passes_of(analysis.over, self.grid, quality)
        tiles = self.encoder.coded(passes, exact, empty)
        return self.steps.through(tiles, len(self.grid.tiles), _CODE)

    # Corrections --------------------------------------------------------------------------------------

    def corrected(
        self, tiles: StoredTiles, quality: LocalQuality, header: Header, boxes: dict[str, bytes]
    ) -> StoredTiles:
        """The tiles, with corrections where a sample is too far off in what a reader sees, at the highest qualities."""
        error = self.encoder.largest_error(quality)
        if error is None:
            return tiles
        found, some, rows = self.spool(), False, self.rows(_CORRECT)
        with tiles.reader(header, boxes) as reader:
            for shown in self.decoder.bands(reader):
                top = 0
                while top < len(shown):
                    numbers, row = next(rows)
                    bottom = top + tile_region(row, self.grid).height
                    corrections = self._row_of_corrections(tiles, numbers, row, shown[top:bottom], error)
                    for number, data in zip(numbers, corrections, strict=True):
                        found.add(number, data)
                    some, top = some or any(corrections), bottom
        next(rows, None)  # the step ends with its last row
        if not some:
            return tiles
        return self.stored(with_planes(tile, {CORRECTIONS: found[number]}) for number, tile in enumerate(tiles))

    def _row_of_corrections(
        self, tiles: StoredTiles, numbers: Sequence[int], row: Area, shown: Pixels, error: int
    ) -> list[bytes]:
        """What brings the shown pixels of a row of tiles to within ``error`` levels of 255; none for exact tiles."""
        parts, hidden = self._colours_and_hidden(numbers, row)

        def correct(place: int) -> bytes:
            if tiles[numbers[place]].streams.get(PIXELS):
                return b""
            part = shown[:, columns_of(numbers[place], self.grid)]
            return corrections_of_seen(parts[place], part, hidden[place], error, self.format.depth)

        return self.engine.each(correct, range(len(numbers)))
