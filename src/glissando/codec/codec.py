"""The codec: a Picture to the bytes of a .gliss file and back, with one model.

Here is what all families of models share: engines, windows, tiles side by side, the container, metadata. A family
says what its latents are and how they become symbols and pixels (``gains``, ``vae``, ``content``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glissando import bitstream
from glissando.bitstream import DEFAULT_LIMITS, Header, Limits, SymbolTables, Tile
from glissando.bitstream.container import IMPORTANCE_BOX
from glissando.bitstream.importance import pack_palette, read_palette
from glissando.bitstream.tiles import Passes, encode_tile
from glissando.entropy import quality_units
from glissando.errors import CorruptError, InputError, UnknownModelError
from glissando.picture import Picture, as_picture

from .automatic import automatic_importance
from .geometry import CELL, PER_CELL, Area, Grid
from .importance import Importance, ImportanceLike, LocalQuality, importance_map
from .places import tile_bits
from .size import same_size
from .transforms import Transforms

__all__ = ["Analysed", "Codec"]

TILE_LOG2 = 9  # tiles of 512 pixels
BOXES = {"icc": "icc ", "exif": "exif", "xmp": "xmp "}

PictureLike = NDArray[np.uint8] | Image.Image | Picture


@dataclass(frozen=True)
class Analysed:
    """A picture's latents before any quality is chosen: what every file of it is coded from.

    ``arrays`` by name, each (rows, columns, channels) float32 over the whole grid; which they are, the family says.
    ``importance``: where the quality is to be other than the file's, if anywhere.
    """

    arrays: Mapping[str, NDArray[np.float32]]
    grid: Grid
    grey: bool
    boxes: dict[str, bytes]
    importance: Importance | None = None


class Codec(Transforms, ABC):
    """One model, ready to encode and decode many pictures; safe to use from several threads.

    ``backend`` and ``precision`` as in :func:`glissando.open_model`; graphs are compiled when first used.
    """

    takes_importance: ClassVar[bool] = False
    """Whether files of this family can have a map of importance."""

    analysis_outputs: Mapping[str, int]
    """What the graph "analysis" answers, in its order: name and elements per cell, each way."""

    per_cell: int = PER_CELL
    """Latents per cell, each way."""

    tables: SymbolTables
    """The model's tables, which all its symbols are coded with."""

    # Encoding -----------------------------------------------------------------------------------------

    def encode(
        self,
        picture: PictureLike,
        quality: float = 60.0,
        *,
        importance: ImportanceLike | Literal["auto"] | None = None,
        strength: float | None = None,
        keep_size: bool = False,
    ) -> bytes:
        """A picture's .gliss file.

        ``picture``: uint8 array (H, W, 3), (H, W) or (H, W, 1), a PIL image, or a Picture. ``quality``: 0 to 100,
        any real number; stored in steps of 1/256.

        ``importance``: where to spend the bits: a greyscale picture or array of any size (uint8, uint16, bool, floats
        in [0, 1]), laid over the picture. White has ``strength`` quality steps more, black as many less, mid-grey is
        neutral; or "auto": a map from the picture itself. ``strength``: 0 to 100; 24 unless given, 12 for "auto".
        ``keep_size``: choose the quality so that the file is as large as it would be without the map, within 1 %.

        Raises InputError for anything else, and for a map that this model cannot take.
        """
        analysed, found = self._analysed(picture, quality, importance, strength, keep_size)
        return self.encode_analysed(analysed, quality, importance=found, keep_size=keep_size)

    def encode_with_bits(
        self,
        picture: PictureLike,
        quality: float = 60.0,
        *,
        importance: ImportanceLike | Literal["auto"] | None = None,
        strength: float | None = None,
        keep_size: bool = False,
    ) -> tuple[bytes, NDArray[np.float64]]:
        """The same file, and what each latent position in the picture costs in it: bits, (rows, columns).

        Their sum is the ideal size of the file's streams.
        """
        analysed, found = self._analysed(picture, quality, importance, strength, keep_size)
        data = self.encode_analysed(analysed, quality, importance=found, keep_size=keep_size)
        units = bitstream.container.read_header(data, limits=Limits(max_pixels=2**48)).header.quality
        return data, self.bits_per_place(replace(analysed, importance=found), units / 256)

    def _analysed(
        self,
        picture: PictureLike,
        quality: float,
        importance: ImportanceLike | Literal["auto"] | None,
        strength: float | None,
        keep_size: bool,
    ) -> tuple[Analysed, Importance | None]:
        """What ``encode_analysed`` takes, after checking what a caller asked for."""
        units, source = check_quality(quality), as_picture(picture)
        if importance is None:
            if strength is not None or keep_size:
                raise InputError("strength and keep_size need a map of importance")
            return self.analyse(source, units / 256), None
        self._check_takes_importance()
        if isinstance(importance, str) and importance == "auto":
            found = automatic_importance(source.pixels, strength)
        else:
            found = importance_map(importance, source.width, source.height, strength)
        # What keeps the size may have any quality.
        highest = 100.0 if keep_size else LocalQuality.around(units, found.palette).highest
        return self.analyse(source, highest), found

    def _check_takes_importance(self) -> None:
        if not self.takes_importance:
            raise InputError(f"model {self.name} (of the family {self.card.family!r}) takes no map of importance")

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
        grid = Grid(width, height, TILE_LOG2, self.per_cell)
        rows, columns = grid.cells
        arrays: dict[str, NDArray[np.float32]] = {}
        for window in self._windows(grid, encoding=True):
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

    def encode_analysed(
        self, analysed: Analysed, quality: float, *, importance: Importance | None = None, keep_size: bool = False
    ) -> bytes:
        """The file of an analysed picture at one quality, 0 to 100.

        ``importance``: a map of the picture's size, as ``importance_map`` makes it; ``keep_size`` as in ``encode``.
        """
        units = check_quality(quality)
        if importance is None:
            return self._file(analysed, units)
        self._check_takes_importance()
        if importance.index.shape != analysed.grid.coded:
            raise InputError(f"the map has {importance.index.shape} places, the picture {analysed.grid.coded}")
        mapped = replace(analysed, importance=importance)
        if not keep_size:
            return self._file(mapped, units)
        return same_size(lambda other: self._file(mapped, other), len(self._file(analysed, units)), units)

    def _file(self, analysed: Analysed, units: int) -> bytes:
        tiles = self._each(lambda passes: encode_tile(passes, self.tables), self._passes(analysed, units))
        grid, boxes = analysed.grid, analysed.boxes
        if analysed.importance is not None:
            boxes = {IMPORTANCE_BOX: pack_palette(analysed.importance.palette), **boxes}
        header = Header(grid.width, grid.height, units, analysed.grey, bytes.fromhex(self.card.hash), grid.tile_log2)
        return bitstream.container.write(bitstream.Container(header, boxes, tiles))

    def bits_per_place(self, analysed: Analysed, quality: float) -> NDArray[np.float64]:
        """What each latent position in the picture costs in bits at a quality, (rows, columns)."""
        grid = analysed.grid
        bits = np.zeros(grid.latents)
        passes = self._passes(analysed, check_quality(quality))
        for area, parts in zip(grid.tiles(), passes, strict=True):
            bits[area.inside()] = tile_bits(area, parts, self.tables)
        rows, columns = grid.coded
        return bits[:rows, :columns]

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
        palette = read_palette(container.boxes) or (0,)
        highest = LocalQuality.around(header.quality, palette).highest
        self._prepare("decode", self._decoder_precision(highest))  # while the symbols are decoded
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

        A file with a map has two more: "palette", quality offsets in 1/256, and "importance", which of them each latent
        in the picture has, (rows, columns).

        ``order``: tiles in the order to be decoded, each number once; any order gives the same result.
        """
        header = container.header
        grid = Grid(header.width, header.height, header.tile_log2, self.per_cell)
        symbols = self._empty_symbols(grid)
        palette = read_palette(container.boxes)
        if palette is not None:
            if not self.takes_importance:
                raise CorruptError(f"box {IMPORTANCE_BOX!r}: model {self.name} takes no map of importance")
            symbols["palette"] = np.array(palette, np.int16)
            symbols["importance"] = np.zeros(grid.coded, np.int16)
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
        self,
        graph: str,
        header: Header,
        inputs: Callable[[Any], dict[str, NDArray[Any]]],
        highest: float | None = None,
    ) -> NDArray[np.uint8]:
        """Pixels (H, W, 3): the graph's answer to what ``inputs`` gives for each window.

        ``highest``: the highest quality of all places, where it is not the header's.
        """
        quality = header.quality / 256 if highest is None else highest
        run = self._prepare(graph, self._decoder_precision(quality)).result()
        out = np.empty((header.height, header.width, 3), np.uint8)
        for window in self._windows(Grid(header.width, header.height, header.tile_log2), encoding=False):
            (pixels,) = run(**inputs(window))
            place = out[window.inner(CELL)]
            place[...] = pixels[0][window.kept(CELL)][: place.shape[0], : place.shape[1]]
        return out


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
