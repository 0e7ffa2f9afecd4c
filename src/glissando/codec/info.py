"""What a file says about itself, read from its header and boxes; no network takes part."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import (
    ALPHA,
    ANY_SIZE,
    CORRECTIONS,
    DEFAULT_LIMITS,
    HYPER_LATENTS,
    LATENTS,
    MAP,
    NO_MODEL,
    PIXELS,
    Header,
    Limits,
    PixelFormat,
    Reader,
    Source,
    opened,
)
from glissando.bitstream.fields import QUALITY_FIELD_BOX
from glissando.bitstream.quality_field import decode_quality_field, read_palette
from glissando.errors import CorruptError, InputError
from glissando.families import family
from glissando.zoo import models

from .geometry import CELL, Grid
from .quality import QualityField

__all__ = ["Info", "probe", "read_importance", "read_quality_field"]

MAIN_FAMILY = "gains"  # the family that a file with a quality field is taken to be of where its model is not installed
STREAMS = {
    HYPER_LATENTS: "hyper-latents",
    LATENTS: "latents",
    MAP: "map",
    PIXELS: "pixels",
    CORRECTIONS: "corrections",
    ALPHA: "alpha",
}


@dataclass(frozen=True)
class Info:
    """A file's header, and how many bytes each part of the file takes (their sum is ``file_bytes``)."""

    width: int
    height: int
    format: PixelFormat
    quality: float
    model: str | None  # the installed model's name; None where no model made the file, or its model is not installed
    model_hash: str
    tile: int  # pixels
    tiles: int
    file_bytes: int
    format_version: int
    parts: dict[str, int] = field(default_factory=dict)  # header, latents, map, pixels, metadata …
    boxes: dict[str, int] = field(default_factory=dict)  # metadata by box
    importance: tuple[float, ...] | None = None  # offsets of a map in quality steps, ascending; None without a map

    @property
    def lossless(self) -> bool:
        """Whether every pixel is the one that was encoded: no model made the file."""
        return self.model_hash == NO_MODEL.hex()

    @property
    def bpp(self) -> float:
        """Bits of the whole file per pixel."""
        return 8 * self.file_bytes / (self.width * self.height)


def probe(source: Source | Reader, *, limits: Limits = ANY_SIZE) -> Info:
    """Read a .gliss file's header, and the palette of its map; nothing else is read, no network is loaded.

    ``source``: the file's bytes, its path, a file object opened for reading bytes, an object that reads ranges (see
    ``glissando.Reader``), or a Reader.

    Raises FormatError where either is damaged or the file ends too early, OSError where it cannot be read.
    """
    with opened(source, limits=limits) as file:
        return _info(file)


def _info(file: Reader) -> Info:
    header, layout = file.header, file.layout
    parts = {"header": layout.header_bytes, "hyper-latents": 0, "latents": 0}
    for stream, size in layout.stream_bytes.items():
        parts[STREAMS.get(stream, f"stream {stream}")] = size
    boxes = layout.box_bytes
    palette = read_palette(file)
    if palette is not None:
        parts[STREAMS[MAP]] = parts.get(STREAMS[MAP], 0) + boxes.pop(QUALITY_FIELD_BOX)
    parts["metadata"] = sum(boxes.values())
    return Info(
        width=header.width,
        height=header.height,
        format=header.format,
        quality=header.quality / 256,
        model=next((card.name for card in models() if card.hash == header.model_hash.hex()), None),
        model_hash=header.model_hash.hex(),
        tile=1 << header.tile_log2,
        tiles=header.tile_count,
        file_bytes=layout.file_bytes,
        format_version=header.version,
        parts=parts,
        boxes={name.strip(): size for name, size in boxes.items()},
        importance=None if palette is None else tuple(offset / 256 for offset in palette),
    )


def read_importance(source: Source | Reader, *, max_pixels: int = DEFAULT_LIMITS.max_pixels) -> NDArray[np.float32]:
    """The offsets of a file's quality field in quality steps: float32 (rows, columns), one for each latent.

    ``source``: as for ``probe``. Latents of the shipped models cover 16x16 pixels.

    Raises InputError where the file has no quality field, FormatError where it is damaged, LimitError where it declares
    more than ``max_pixels``, OSError where it cannot be read.
    """
    _, field = read_quality_field(source, max_pixels=max_pixels)
    return field.offsets


def read_quality_field(
    source: Source | Reader, *, max_pixels: int = DEFAULT_LIMITS.max_pixels
) -> tuple[Grid, QualityField]:
    """A file's quality field, and the grid that it lies on; argument and errors as in ``read_importance``."""
    with opened(source, limits=replace(DEFAULT_LIMITS, max_pixels=max_pixels)) as file:
        file.check_complete()
        palette = read_palette(file)
        if palette is None:
            raise InputError("the file has no map of importance")
        grid = _grid(file.header)
        index = np.empty(grid.coded, np.int16)
        for number, (tile, area) in enumerate(zip(file.tiles, grid.tiles, strict=True)):
            try:
                index[area.coded()], _ = decode_quality_field(tile, area.rows, area.columns, palette)
            except CorruptError as error:
                raise CorruptError(f"tile {number} of {len(grid.tiles)}: {error}") from error
    return grid, QualityField(palette, index)


def _grid(header: Header) -> Grid:
    """The grid of a file that has a quality field, by what its model's family says of its latents."""
    name = next((card.family for card in models() if card.hash == header.model_hash.hex()), MAIN_FAMILY)
    pixels_per_latent = family(name).pixels_per_latent
    if pixels_per_latent is None:
        raise CorruptError(f"the file has a quality field, which the family {name!r} of its model cannot have")
    return Grid(header.width, header.height, header.tile_log2, CELL // pixels_per_latent)
