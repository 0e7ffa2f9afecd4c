"""What a file is made of, and its bytes: a header that says everything about it, metadata boxes, the tiles' streams.

``docs/format.md`` is the specification. ``write`` puts a file together; ``reader`` takes one apart.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from glissando.bitstream.fields import (
    FORMATS,
    SIGNATURE,
    VERSION,
    VERSION_FIELD,
    FieldTables,
    write_record,
)
from glissando.bitstream.pixel_format import ALPHAS, CHANNELS, PixelFormat
from glissando.errors import InputError, LimitError

__all__ = [
    "ALPHA",
    "ANY_SIZE",
    "BOX_TYPE",
    "CORRECTIONS",
    "DEFAULT_LIMITS",
    "HYPER_LATENTS",
    "LATENTS",
    "MAP",
    "NO_MODEL",
    "PIXELS",
    "BoxSpan",
    "Container",
    "Header",
    "Layout",
    "Limits",
    "Span",
    "Tile",
    "TileSpan",
    "head_of",
    "write",
]

HYPER_LATENTS = 1
LATENTS = 2
MAP = 3
PIXELS = 4
CORRECTIONS = 5
ALPHA = 6

NO_MODEL = bytes(8)
"""The model hash of a file of which every tile is exact, so that no model takes part."""

BOX_TYPE = re.compile(r"[A-Za-z][ -~]{3}")
"""What the type of a box looks like."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its picture.

    Attributes:
        width, height: in pixels, 1 .. 2^24 - 1.
        quality: in units of 1/256, 0 .. 25600 (quality 0 to 100).
        format: what a pixel is made of.
        model_hash: 8 bytes that name the model.
        tile_log2: tiles are 2^tile_log2 pixels wide and high, 6 .. 10; those at the far edges may be cut.
        version: of the file format.
    """

    width: int
    height: int
    quality: int
    format: PixelFormat
    model_hash: bytes
    tile_log2: int = 9
    version: int = VERSION

    @property
    def tile_columns(self) -> int:
        return -(-self.width >> self.tile_log2)

    @property
    def tile_rows(self) -> int:
        return -(-self.height >> self.tile_log2)

    @property
    def tile_count(self) -> int:
        return self.tile_columns * self.tile_rows

    @classmethod
    def from_fields(cls, version: int, values: Mapping[str, object]) -> Header:
        """The header of these values of the table ``head``."""
        others = dict(values)
        packed = others.pop("pixel_format")
        assert isinstance(packed, dict)
        pixels = PixelFormat(CHANNELS[packed["colour"]], packed["depth"] + 1, ALPHAS[packed["alpha"]])
        return cls(format=pixels, version=version, **others)  # type: ignore[arg-type]

    def fields(self) -> dict[str, object]:
        """The values of the table ``head``."""
        values: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        values["pixel_format"] = {
            "colour": CHANNELS.index(self.format.channels),
            "depth": self.format.depth - 1,
            "alpha": ALPHAS.index(self.format.alpha),
        }
        return values


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reader accepts; larger files raise LimitError. Raise them for files that you trust.

    Attributes:
        max_pixels: width times height.
        max_metadata_bytes: all boxes together.
        max_tiles: tiles cost a reader more memory than the five bytes that each may take in a file.
    """

    max_pixels: int = 2**28
    max_metadata_bytes: int = 2**24
    max_tiles: int = 2**16

    def check_picture(self, header: Header) -> None:
        """Raises LimitError where the picture has too many pixels or tiles."""
        _check_limit("picture", header.width * header.height, "pixels", self.max_pixels)
        _check_limit("picture", header.tile_count, "tiles", self.max_tiles)

    def check_metadata(self, size: int) -> None:
        """Raises LimitError where all boxes together have too many bytes."""
        _check_limit("box table", size, "bytes of metadata", self.max_metadata_bytes)


DEFAULT_LIMITS = Limits()

ANY_SIZE = Limits(max_pixels=2**48)
"""For those who read a header only, which costs little whatever size of a picture it declares."""


def _check_limit(name: str, value: int, unit: str, limit: int) -> None:
    if value > limit:
        raise LimitError(f"{name} declares {value} {unit}; the caller's limit is {limit}")


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its streams by id (1 .. 255), and its checksum (``tiles.checksum_of``)."""

    streams: Mapping[int, bytes]
    checksum: int


@dataclass(frozen=True, slots=True)
class Container:
    """A whole file in memory: boxes by their four-character type, tiles in raster order."""

    header: Header
    boxes: Mapping[str, bytes]
    tiles: Sequence[Tile]


# --- Where the parts of a file lie ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """Where a part lies in the file, in bytes."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class BoxSpan(Span):
    """Where a box's payload lies, and the CRC-32 that it must have."""

    crc: int


@dataclass(frozen=True, slots=True)
class TileSpan(Span):
    """Where a tile lies, and in it its streams by id; and the checksum of its decoded symbols."""

    streams: Mapping[int, Span]
    checksum: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a file lie. ``header_bytes``, ``box_bytes`` and ``stream_bytes`` add up to ``file_bytes``.

    Attributes:
        header_bytes: bytes of the header with its CRC; the first box follows.
        boxes: where each box lies, by its type, in file order.
        stream_ids: the kinds of streams that every tile has, ascending.
        offsets: where each stream begins, tile after tile, and at last where the file ends: 64-bit integers.
        checksums: the checksum of each tile's symbols: 32-bit integers.
    """

    header_bytes: int
    boxes: Mapping[str, BoxSpan]
    stream_ids: tuple[int, ...]
    offsets: array[int]
    checksums: array[int]

    @property
    def file_bytes(self) -> int:
        """Bytes of the whole file."""
        return self.offsets[-1]

    @property
    def box_bytes(self) -> dict[str, int]:
        """Payload bytes of each box, by type."""
        return {name: span.length for name, span in self.boxes.items()}

    @property
    def stream_bytes(self) -> dict[int, int]:
        """Bytes of each stream kind, by id, summed over the tiles."""
        count = len(self.stream_ids)
        return {
            name: sum(self.offsets[i + 1 :: count]) - sum(self.offsets[i:-1:count])
            for i, name in enumerate(self.stream_ids)
        }

    def tile(self, number: int) -> TileSpan:
        """Where a tile and its streams lie. ``number``: in raster order, from 0; IndexError for any other."""
        if not 0 <= number < len(self.checksums):
            raise IndexError(f"tile {number} of {len(self.checksums)}")
        count = len(self.stream_ids)
        starts = self.offsets[number * count : (number + 1) * count + 1]
        streams = {name: Span(starts[i], starts[i + 1] - starts[i]) for i, name in enumerate(self.stream_ids)}
        return TileSpan(starts[0], starts[-1] - starts[0], streams, self.checksums[number])


# --- Writing -------------------------------------------------------------------------------------------------


def write(container: Container) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: a value out of its field's range, a box type that is none, a critical box that this version
            does not define, a number of tiles that is not the header's, or tiles with different streams.
    """
    header, boxes, tiles = container.header, container.boxes, container.tiles
    ids = sorted(tiles[0].streams) if tiles else []
    for number, tile in enumerate(tiles):
        if sorted(tile.streams) != ids:
            raise InputError(f"tile {number} has streams {sorted(tile.streams)}; tile 0 has {ids}")
    lengths = [len(tile.streams[i]) for tile in tiles for i in ids]
    out = head_of(header, boxes, ids, lengths, [tile.checksum for tile in tiles])
    return b"".join([out, *boxes.values(), *(tile.streams[i] for tile in tiles for i in ids)])


def head_of(
    header: Header, boxes: Mapping[str, bytes], ids: Sequence[int], lengths: Sequence[int], checksums: Sequence[int]
) -> bytes:
    """The bytes of a file before its payloads, which are those of the boxes and then, tile by tile, the streams.

    Args:
        header, boxes: of the file.
        ids: the kinds of streams that every tile has, ascending.
        lengths: bytes of each stream, tile after tile, of a tile in the order of ``ids``.
        checksums: of the tiles.

    Raises:
        InputError: as ``write``.
    """
    out = bytearray(SIGNATURE + VERSION_FIELD.write(header.version))
    tables = FORMATS[header.version]
    out += write_record(tables.head, header.fields())
    if len(checksums) != header.tile_count:
        raise InputError(f"{header.width}x{header.height} has {header.tile_count} tiles, not {len(checksums)}")
    out += tables.box_count.write(len(boxes))
    for name, payload in boxes.items():
        _check_box(name, tables)
        box = {"box_type": name.encode("ascii"), "box_length": len(payload), "box_crc": crc32(payload)}
        out += write_record(tables.box, box)
    out += tables.stream_count.write(len(ids))
    for i in ids:
        out += tables.stream_id.write(i)
    for number, checksum in enumerate(checksums):
        for length in lengths[number * len(ids) : (number + 1) * len(ids)]:
            out += tables.stream_length.write(length)
        out += tables.tile_checksum.write(checksum)
    out += tables.header_crc.write(crc32(out))
    return bytes(out)


def _check_box(name: str, tables: FieldTables) -> None:
    if not BOX_TYPE.fullmatch(name):
        raise InputError(f"box_type {name!r} must be a letter and three printable ASCII characters")
    if name[0].isupper() and name not in tables.critical_boxes:
        raise InputError(f"box_type {name!r} is critical, and this version of the format does not define it")
