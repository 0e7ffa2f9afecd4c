"""The codec: a Picture to the bytes of a .gliss file and back, with one model.

Here is what all families of models share: engines, windows, tiles side by side, the container, metadata. A family
says what its latents are and how they become symbols and pixels (``gains``, ``vae``).
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glissando import bitstream
from glissando.bitstream import DEFAULT_LIMITS, Header, SymbolTables, Tile
from glissando.bitstream.tiles import Passes, encode_tile
from glissando.entropy import quality_units
from glissando.errors import CorruptError, InputError, ModelMismatchError, UnknownModelError
from glissando.picture import Picture, as_picture
from glissando.runtime import Graph, choose_engine, fast_precision, open_graph
from glissando.zoo import Card, Model

from .geometry import CELL, Area, Grid, Window, windows

__all__ = ["Analysed", "Codec"]

TILE_LOG2 = 9  # tiles of 512 pixels
WINDOW = 24  # cells (1,536 pixels): the side of what a transform runs over at once, without its halo
BOXES = {"icc": "icc ", "exif": "exif", "xmp": "xmp "}

T = TypeVar("T")
R = TypeVar("R")
PictureLike = NDArray[np.uint8] | Image.Image | Picture


@dataclass(frozen=True)
class Analysed:
    """A picture's latents before any quality is chosen: what every file of it is coded from.

    ``arrays`` by name, each (rows, columns, channels) float32 over the whole grid; which they are, the family says.
    """

    arrays: Mapping[str, NDArray[np.float32]]
    grid: Grid
    grey: bool
    boxes: dict[str, bytes]


class Codec(ABC):
    """One model, ready to encode and decode many pictures; safe to use from several threads.

    ``backend`` and ``precision`` as in :func:`glissando.open_model`; graphs are compiled when first used.
    """

    encoder_graphs: ClassVar[tuple[str, ...]] = ("analysis",)
    analysis_outputs: ClassVar[Mapping[str, int]]
    """What the graph "analysis" answers, in its order: name and elements per cell, each way."""

    tables: SymbolTables
    """The model's tables, which all its symbols are coded with."""

    def __init__(
        self, model: Model, *, backend: str = "auto", precision: str = "auto", threads: int | None = None
    ) -> None:
        # What is wrong with the options shows now, not at the first picture.
        self._engine = choose_engine(backend, precision, threads)
        self._model = model
        self._wanted_precision = precision
        self._options: dict[str, Any] = {"backend": self._engine, "threads": threads}
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

    def _encoder_precision(self, quality: float) -> str:
        """What the encoder's transforms compute in: bfloat16 only where it is fast and its rounding is not seen."""
        return self._precision(quality <= self._model.card.bf16_encode_quality)

    def _decoder_precision(self, quality: float) -> str:
        """The same for the decoder's."""
        return self._precision(quality <= self._model.card.bf16_quality)

    def _precision(self, unseen: bool) -> str:
        if self._wanted_precision != "auto":
            return self._wanted_precision
        return self._fast_precision if unseen else "f32"

    def _prepare(self, name: str, precision: str) -> Future[Graph]:
        """Compile a graph in the background, once; its future is kept."""
        with self._lock:
            if (name, precision) not in self._graphs:
                self._graphs[name, precision] = self._pool.submit(self._open, name, precision)
            return self._graphs[name, precision]

    def _open(self, name: str, precision: str) -> Graph:
        if name in self.encoder_graphs:
            self._model.check_encoder()
        return open_graph(self._model.graph(name), precision=precision, **self._options)

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
        precision = self._encoder_precision(quality)
        for name in self.encoder_graphs:
            self._prepare(name, precision)
        analysis = self._prepare("analysis", precision).result()
        pixels, grey = source.pixels, source.pixels.ndim == 2
        height, width = pixels.shape[:2]
        grid = Grid(width, height, TILE_LOG2)
        rows, columns = grid.cells
        arrays: dict[str, NDArray[np.float32]] = {}
        for window in self._windows(grid):
            parts = analysis(pixels=_padded(pixels, *window.outer(CELL)))
            for (name, per_cell), part in zip(self.analysis_outputs.items(), parts, strict=True):
                if name not in arrays:
                    arrays[name] = np.empty((per_cell * rows, per_cell * columns, part.shape[-1]), np.float32)
                arrays[name][window.inner(per_cell)] = part[0][window.kept(per_cell)]
        boxes = {BOXES[key]: value for key in BOXES if (value := getattr(source, key)) is not None}
        if (size := sum(map(len, boxes.values()))) > DEFAULT_LIMITS.max_metadata_bytes:
            raise InputError(
                f"{size:,} bytes of metadata; a file carries {DEFAULT_LIMITS.max_metadata_bytes:,} at most"
            )
        return Analysed(arrays, grid, grey, boxes)

    def encode_analysed(self, analysed: Analysed, quality: float) -> bytes:
        """The file of an analysed picture at one quality, 0 to 100."""
        units = check_quality(quality)
        tiles = self._each(lambda passes: encode_tile(passes, self.tables), self._passes(analysed, units))
        grid = analysed.grid
        header = Header(grid.width, grid.height, units, analysed.grey, bytes.fromhex(self.card.hash), grid.tile_log2)
        return bitstream.container.write(bitstream.Container(header, analysed.boxes, tiles))

    def ideal_bits(self, picture: PictureLike, quality: float) -> float:
        """Cross-entropy in bits of the picture's symbols under the model's integer tables."""
        units = check_quality(quality)
        tiles = self._passes(self.analyse(picture, units / 256), units)
        parts = (part for passes in tiles for stream in passes.values() for part in stream)
        return float(sum(self.tables.ideal_bits(symbols, index) for symbols, index in parts))

    @abstractmethod
    def _passes(self, analysed: Analysed, units: int) -> list[Passes]:
        """What each tile codes at a quality in 1/256 units."""

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
        self._prepare("decode", self._decoder_precision(header.quality / 256))  # while the symbols are decoded
        pixels = self._synthesise(self.decode_symbols(container), header)
        if header.grey:
            # The three channels are three estimates of one grey: their mean is the best of them.
            pixels = ((pixels.sum(axis=2, dtype=np.uint16) + 1) // 3).astype(np.uint8)
        icc, exif, xmp = (container.boxes.get(name) for name in BOXES.values())
        return Picture(pixels, icc=icc, exif=exif, xmp=xmp)

    def decode_symbols(
        self, container: bitstream.Container, order: Iterable[int] | None = None
    ) -> dict[str, NDArray[np.int16]]:
        """All symbols of a file, by the names of the latents, each (rows, columns, channels) over the whole grid.

        ``order``: tiles in the order to be decoded, each number once; any order gives the same result.
        """
        header = container.header
        grid = Grid(header.width, header.height, header.tile_log2)
        symbols = self._empty_symbols(grid)
        areas = grid.tiles()

        def decode(number: int) -> None:
            try:
                self._decode_tile(container.tiles[number], areas[number], header.quality, symbols)
            except CorruptError as error:
                raise CorruptError(f"tile {number} of {len(areas)}: {error}") from error

        self._each(decode, range(len(areas)) if order is None else order)
        return symbols

    @abstractmethod
    def _empty_symbols(self, grid: Grid) -> dict[str, NDArray[np.int16]]:
        """Arrays for all symbols of a picture."""

    @abstractmethod
    def _decode_tile(self, tile: Tile, area: Area, units: int, symbols: dict[str, NDArray[np.int16]]) -> None:
        """Write a tile's symbols into their places. Raises CorruptError where anything does not agree."""

    @abstractmethod
    def _synthesise(self, symbols: dict[str, NDArray[np.int16]], header: Header) -> NDArray[np.uint8]:
        """Pixels (H, W, 3) from a file's symbols."""

    def _over_windows(
        self, graph: str, header: Header, inputs: Callable[[Any], dict[str, NDArray[Any]]]
    ) -> NDArray[np.uint8]:
        """Pixels (H, W, 3): the graph's answer to what ``inputs`` gives for each window."""
        run = self._prepare(graph, self._decoder_precision(header.quality / 256)).result()
        out = np.empty((header.height, header.width, 3), np.uint8)
        for window in self._windows(Grid(header.width, header.height, header.tile_log2)):
            (pixels,) = run(**inputs(window))
            place = out[window.inner(CELL)]
            place[...] = pixels[0][window.kept(CELL)][: place.shape[0], : place.shape[1]]
        return out

    def _windows(self, grid: Grid) -> Iterator[Window]:
        """What the transforms run over, one after the other."""
        return windows(grid.cells, WINDOW, self._halo)

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


def _padded(pixels: NDArray[np.uint8], rows: slice, columns: slice) -> NDArray[np.uint8]:
    """The window's pixels, (1, h, w, 3), the picture's last row and column repeated beyond its edge."""
    part = pixels[rows, columns]
    if part.ndim == 2:
        part = np.repeat(part[:, :, None], 3, axis=2)
    margin = [(0, (s.stop - s.start) - n) for s, n in zip((rows, columns), part.shape[:2], strict=True)]
    if any(after for _, after in margin):
        part = np.pad(part, (*margin, (0, 0)), mode="edge")
    return np.ascontiguousarray(part)[None]
