"""The codec: a Picture to the bytes of a .gliss file and back, with one model."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glissando import bitstream
from glissando.bitstream import DEFAULT_LIMITS, Header
from glissando.entropy import quality_units
from glissando.errors import CorruptError, InputError, ModelMismatchError, UnknownModelError
from glissando.picture import Picture, as_picture
from glissando.runtime import Graph, choose_engine, fast_precision, open_graph
from glissando.zoo import Card, Model

from .geometry import CELL, PER_CELL, Grid, checkerboard, windows
from .tiles import SymbolModel, TileCoder, octaves

__all__ = ["Analysed", "Codec"]

TILE_LOG2 = 9  # tiles of 512 pixels
WINDOW = 24  # cells (1,536 pixels): the side of what a transform runs over at once, without its halo
BOXES = {"icc": "icc ", "exif": "exif", "xmp": "xmp "}
VECTORS = ("means_offset", "synthesis_factor", "synthesis_offset")
MAX_SYMBOL = bitstream.MAX_SYMBOL

T = TypeVar("T")
R = TypeVar("R")
PictureLike = NDArray[np.uint8] | Image.Image | Picture


@dataclass(frozen=True)
class Analysed:
    """A picture's latents before any gain: what every quality of it is coded from.

    ``y`` (4·rows, 4·columns, latents), ``z`` (rows, columns, hyper), float32.
    """

    y: NDArray[np.float32]
    z: NDArray[np.float32]
    grid: Grid
    grey: bool
    boxes: dict[str, bytes]


class Codec:
    """One model, ready to encode and decode many pictures; safe to use from several threads.

    ``backend`` and ``precision`` as in :func:`glissando.open_model`; graphs are compiled when first used.
    """

    def __init__(
        self, model: Model, *, backend: str = "auto", precision: str = "auto", threads: int | None = None
    ) -> None:
        # What is wrong with the options shows now, not at the first picture.
        self._engine = choose_engine(backend, precision, threads)
        self._model = model
        self._wanted_precision = precision
        self._options: dict[str, Any] = {"backend": self._engine, "threads": threads}
        self._symbols = SymbolModel(model.integers)
        self._graphs: dict[tuple[str, str], Future[Graph]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="glissando")

    @property
    def name(self) -> str:
        return self._model.card.name

    @property
    def card(self) -> Card:
        return self._model.card

    @cached_property
    def _fast_precision(self) -> str:
        return fast_precision(self._engine)

    def _precision(self, quality: float) -> str:
        """What the transforms compute in: bfloat16 only where it is fast and its rounding is not seen."""
        if self._wanted_precision != "auto":
            return self._wanted_precision
        return self._fast_precision if quality <= self._model.card.bf16_quality else "f32"

    def _prepare(self, name: str, precision: str) -> Future[Graph]:
        """Compile a graph in the background, once; its future is kept."""
        with self._lock:
            if (name, precision) not in self._graphs:
                self._graphs[name, precision] = self._pool.submit(self._open, name, precision)
            return self._graphs[name, precision]

    def _open(self, name: str, precision: str) -> Graph:
        if name == "analysis":
            self._model.check_encoder()
        return open_graph(self._model.graph(name), precision=precision, **self._options)

    @cached_property
    def _vectors(self) -> dict[str, NDArray[np.float32]]:
        return self._model.vectors(VECTORS)

    def _vector(self, name: str, quality: int) -> NDArray[np.float32]:
        """A float level table's row at a quality in 1/256 units."""
        table = self._vectors[name]
        position = quality / (100 * 256) * (len(table) - 1)
        low = min(math.floor(position), len(table) - 2)
        part = np.float32(position - low)
        row: NDArray[np.float32] = table[low] * (1 - part) + table[low + 1] * part
        return row

    def _each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """``work`` over all items, side by side where there are several."""
        listed = list(items)
        return [work(listed[0])] if len(listed) == 1 else list(self._pool.map(work, listed))

    # Encoding -----------------------------------------------------------------------------------------

    def encode(self, picture: PictureLike, quality: float = 60.0) -> bytes:
        """A picture's .gliss file.

        ``picture``: uint8 array (H, W, 3), (H, W) or (H, W, 1), a PIL image, or a Picture. ``quality``: 0 to 100,
        any real number; stored in steps of 1/256. Raises InputError for anything else.
        """
        units = check_quality(quality)
        return self.encode_analysed(self.analyse(picture, units / 256), units / 256)

    def analyse(self, picture: PictureLike, quality: float = 100.0) -> Analysed:
        """Latents of a picture: the costly half of encoding, which does not depend on the quality.

        ``quality`` is the highest that the latents will be coded at; low ones may be computed in bfloat16.
        """
        source = as_picture(picture)
        precision = self._precision(quality)
        self._prepare("quantise", precision)  # while the analysis runs
        analysis = self._prepare("analysis", precision).result()
        pixels, grey = source.pixels, source.pixels.ndim == 2
        height, width = pixels.shape[:2]
        grid = Grid(width, height, TILE_LOG2)
        rows, columns = grid.cells
        y = np.empty((*grid.latents, self._symbols.latents), np.float32)
        z = np.empty((rows, columns, self._symbols.hyper), np.float32)
        for window in windows((rows, columns), WINDOW, self._halo):
            part_y, part_z = analysis(pixels=_padded(pixels, *window.outer(CELL)))
            y[window.inner(PER_CELL)] = part_y[0][window.kept(PER_CELL)]
            z[window.inner(1)] = part_z[0][window.kept(1)]
        boxes = {BOXES[key]: value for key in BOXES if (value := getattr(source, key)) is not None}
        if (size := sum(map(len, boxes.values()))) > DEFAULT_LIMITS.max_metadata_bytes:
            raise InputError(
                f"{size:,} bytes of metadata; a file carries {DEFAULT_LIMITS.max_metadata_bytes:,} at most"
            )
        return Analysed(y, z, grid, grey, boxes)

    def encode_analysed(self, analysed: Analysed, quality: float) -> bytes:
        """The file of an analysed picture at one quality, 0 to 100."""
        units = check_quality(quality)
        tiles = self._each(lambda pair: pair[0].encode(pair[1]), self._quantised(analysed, units))
        grid = analysed.grid
        header = Header(grid.width, grid.height, units, analysed.grey, bytes.fromhex(self.card.hash), grid.tile_log2)
        return bitstream.container.write(bitstream.Container(header, analysed.boxes, tiles))

    def ideal_bits(self, picture: PictureLike, quality: float) -> float:
        """Cross-entropy in bits of the picture's symbols under the model's integer tables."""
        units = check_quality(quality)
        passes = (p for _, p in self._quantised(self.analyse(picture, units / 256), units))
        parts = (part for streams in passes for stream in streams.values() for part in stream)
        return float(sum(self._symbols.tables.ideal_bits(symbols, index) for symbols, index in parts))

    def _quantised(self, analysed: Analysed, units: int) -> list[tuple[TileCoder, dict[int, list[Any]]]]:
        """Each tile's coder, and the passes that it will code."""
        rates = self._symbols.at(units)
        grid = analysed.grid
        coders = [TileCoder(self._symbols, rates, area) for area in grid.tiles()]

        limit = MAX_SYMBOL
        z = np.clip(np.rint(analysed.z * octaves(rates.hyper_gain)), -limit, limit).astype(np.int16)
        for coder in coders:
            z[coder.area.cells()][coder.hyper_index() < 0] = 0
        gain = np.zeros(analysed.y.shape, np.float32)
        row = octaves(rates.gain)

        def prepare(coder: TileCoder) -> NDArray[np.int32]:
            """First scales of a tile; opens the gain where symbols may be other than zero."""
            area = coder.area
            scales = coder.first_scales(z[area.cells()])
            coded = coder.first_index(scales) >= 0
            open_ = coder.joined(coded, np.ones_like(coded))
            open_[area.rows :] = False
            open_[:, area.columns :] = False
            np.multiply(open_, row, out=gain[area.latents()])
            return scales

        scales = self._each(prepare, coders)
        y = np.empty(analysed.y.shape, np.int16)
        z_values = self._hyper_values(z, rates.hyper_gain)
        quantise = self._prepare("quantise", self._precision(units / 256)).result()
        for window in windows(grid.cells, WINDOW, self._halo):
            inside, cells = window.outer(PER_CELL), window.outer(1)
            (symbols,) = quantise(
                y=analysed.y[inside][None],
                z=z_values[cells][None],
                gain=gain[inside][None],
                inverse_gain=octaves(rates.inverse_gain)[None, None, None],
                means_offset=self._vector("means_offset", units),
                even=_even(inside),
            )
            y[window.inner(PER_CELL)] = np.clip(symbols[0][window.kept(PER_CELL)], -limit, limit)

        def settle(pair: tuple[TileCoder, NDArray[np.int32]]) -> tuple[TileCoder, dict[int, list[Any]]]:
            coder, first = pair
            area = coder.area
            return coder, coder.settle(z[area.cells()], y[area.latents()], first)

        return self._each(settle, zip(coders, scales, strict=True))

    # Decoding -----------------------------------------------------------------------------------------

    def decode(self, data: bytes, *, max_pixels: int = DEFAULT_LIMITS.max_pixels) -> NDArray[np.uint8]:
        """Pixels of a .gliss file: uint8, (H, W, 3), or (H, W) if the picture is grey.

        Raises FormatError where the file is damaged, LimitError where it declares more than ``max_pixels``,
        UnknownModelError where another model made it.
        """
        return self.decode_picture(data, max_pixels=max_pixels).pixels

    def decode_picture(self, data: bytes, *, max_pixels: int = DEFAULT_LIMITS.max_pixels) -> Picture:
        """Pixels and metadata of a .gliss file; errors as in ``decode``."""
        container = bitstream.container.read(data, limits=replace(DEFAULT_LIMITS, max_pixels=max_pixels))
        header = container.header
        if header.model_hash.hex() != self.card.hash:
            raise UnknownModelError(
                f"the file was made with model {header.model_hash.hex()}, this is {self.name} ({self.card.hash}); "
                "glissando.decode finds the right one"
            )
        self._prepare("decode", self._precision(header.quality / 256))  # while the symbols are decoded
        z, y = self.decode_symbols(container)
        pixels = self._synthesise(z, y, header)
        icc, exif, xmp = (container.boxes.get(name) for name in BOXES.values())
        return Picture(pixels, icc=icc, exif=exif, xmp=xmp)

    def decode_symbols(
        self, container: bitstream.Container, order: Iterable[int] | None = None
    ) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """All symbols of a file, z (rows, columns, hyper) and y (4·rows, 4·columns, latents).

        ``order``: tiles in the order to be decoded, each number once; any order gives the same result.
        """
        header = container.header
        grid = Grid(header.width, header.height, header.tile_log2)
        rates = self._symbols.at(header.quality)
        z = np.empty((*grid.cells, self._symbols.hyper), np.int16)
        y = np.empty((*grid.latents, self._symbols.latents), np.int16)
        areas = grid.tiles()

        def decode(number: int) -> None:
            area, tile = areas[number], container.tiles[number]
            try:
                z[area.cells()], y[area.latents()] = TileCoder(self._symbols, rates, area).decode(tile)
            except CorruptError as error:
                raise CorruptError(f"tile {number} of {len(areas)}: {error}") from error

        self._each(decode, range(len(areas)) if order is None else order)
        return z, y

    def _synthesise(self, z: NDArray[np.int16], y: NDArray[np.int16], header: Header) -> NDArray[np.uint8]:
        units = header.quality
        rates = self._symbols.at(units)
        inverse = octaves(rates.inverse_gain)
        z_values = self._hyper_values(z, rates.hyper_gain)
        vectors = {name: self._vector(name, units) for name in VECTORS}
        decode = self._prepare("decode", self._precision(units / 256)).result()
        out = np.empty((header.height, header.width, 3), np.uint8)
        for window in windows(z.shape[:2], WINDOW, self._halo):
            inside = window.outer(PER_CELL)
            (pixels,) = decode(
                residual=np.multiply(y[inside], inverse, dtype=np.float32)[None],
                z=z_values[window.outer(1)][None],
                even=_even(inside),
                **vectors,
            )
            place = out[window.inner(CELL)]
            place[...] = pixels[0][window.kept(CELL)][: place.shape[0], : place.shape[1]]
        if header.grey:
            # The three channels are three estimates of one grey: their mean is the best of them.
            grey: NDArray[np.uint8] = ((out.sum(axis=2, dtype=np.uint16) + 1) // 3).astype(np.uint8)
            return grey
        return out

    def _hyper_values(self, z: NDArray[np.int16], log_gain: NDArray[np.int32]) -> NDArray[np.float32]:
        """Hyper-latents as the float networks see them."""
        return np.multiply(z, octaves(-log_gain), dtype=np.float32)

    @property
    def _halo(self) -> int:
        """Cells around a window that its result depends on."""
        halo: object = self.card.halo
        if not isinstance(halo, int) or halo <= 0 or halo % CELL:
            raise ModelMismatchError(f"model {self.name}: its card's halo of {halo!r} pixels cannot be right")
        return halo // CELL


def check_quality(quality: float) -> int:
    """A quality in 1/256 units. Raises InputError unless it is a number from 0 to 100."""
    try:
        value = float(quality)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"quality must be a number from 0 to 100, not {quality!r}") from None
    if not 0 <= value <= 100:
        raise InputError(f"quality must be from 0 to 100, not {quality}")
    return quality_units(value)


def _even(inside: tuple[slice, slice]) -> NDArray[np.float32]:
    """The checkerboard of a window, (1, rows, columns, 1); windows start on even latents."""
    rows, columns = (part.stop - part.start for part in inside)
    return checkerboard(rows, columns).astype(np.float32)[None, :, :, None]


def _padded(pixels: NDArray[np.uint8], rows: slice, columns: slice) -> NDArray[np.uint8]:
    """The window's pixels, (1, h, w, 3), the picture's last row and column repeated beyond its edge."""
    part = pixels[rows, columns]
    if part.ndim == 2:
        part = np.repeat(part[:, :, None], 3, axis=2)
    margin = [(0, (s.stop - s.start) - n) for s, n in zip((rows, columns), part.shape[:2], strict=True)]
    if any(after for _, after in margin):
        part = np.pad(part, (*margin, (0, 0)), mode="edge")
    return np.ascontiguousarray(part)[None]
