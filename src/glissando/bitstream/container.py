"""The container: a header that says everything about a file, then metadata boxes, then the tiles' streams.

``docs/format.md`` is the specification. ``read_header`` needs the header's bytes only and tells where each
part lies, so that a probe reads little and one tile can be decoded without the rest; ``read`` takes a whole
file apart and ``write`` puts it together. Reading checks each length against the bytes present, or against a
limit, before it allocates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from glissando.bitstream.fields import (
    BOX,
    BOX_COUNT,
    HEAD,
    HEADER_CRC,
    SIGNATURE,
    SIGNATURE_FIELD,
    STREAM_COUNT,
    STREAM_ID,
    STREAM_LENGTH,
    TILE_CHECKSUM,
    VERSION,
    Cursor,
    check_signature,
    read_record,
    write_record,
)
from glissando.errors import (
    CorruptError,
    InputError,
    LimitError,
    TruncatedError,
    VersionError,
)

__all__ = [
    "CRITICAL_BOXES",
    "DEFAULT_LIMITS",
    "HYPER_LATENTS",
    "IMPORTANCE",
    "IMPORTANCE_BOX",
    "LATENTS",
    "BoxSpan",
    "Container",
    "Header",
    "Layout",
    "Limits",
    "Span",
    "Tile",
    "TileSpan",
    "read",
    "read_header",
    "write",
]

Buffer = bytes | bytearray | memoryview

HYPER_LATENTS = 1
LATENTS = 2
IMPORTANCE = 3

IMPORTANCE_BOX = "Impt"
"""The box that holds the palette of an importance map (``importance``)."""

CRITICAL_BOXES = frozenset({IMPORTANCE_BOX})
"""Critical boxes that this version understands."""

_BOX_TYPE = re.compile(r"[A-Za-z][ -~]{3}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reader accepts; larger files raise LimitError. Raise them for files that you trust.

    Attributes:
        max_pixels: width times height.
        max_metadata_bytes: all boxes together.
        max_tiles: tiles cost a reader far more memory than the five bytes that each may take in a file.
    """

    max_pixels: int = 2**28
    max_metadata_bytes: int = 2**24
    max_tiles: int = 2**16


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its picture.

    Attributes:
        width, height: in pixels, 1 .. 2^24 - 1.
        quality: in units of 1/256, 0 .. 25600 (quality 0 to 100).
        grey: the picture has one channel.
        model_hash: 8 bytes that name the model.
        tile_log2: tiles are 2^tile_log2 pixels wide and high, 6 .. 12; those at the far edges may be cut.
        version: of the format.
    """

    width: int
    height: int
    quality: int
    grey: bool
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


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its streams by id (1 .. 255), and the checksum of its decoded symbols (``ans.checksum``)."""

    streams: Mapping[int, bytes]
    checksum: int


@dataclass(frozen=True, slots=True)
class Container:
    """A file taken apart: boxes by their four-character type, tiles in raster order."""

    header: Header
    boxes: Mapping[str, bytes]
    tiles: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a part lies in the file, in bytes."""

    offset: int
    length: int

    def of(self, data: Buffer) -> bytes:
        """Copy the part out of the file's bytes; TruncatedError if they end before it does."""
        if self.offset + self.length > len(data):
            raise TruncatedError(
                f"the part at byte {self.offset} needs a file of at least {self.offset + self.length} bytes; "
                f"{len(data)} are present"
            )
        return bytes(data[self.offset : self.offset + self.length])


@dataclass(frozen=True, slots=True)
class BoxSpan(Span):
    """Where a box's payload lies, and the CRC-32 that it must have."""

    crc: int


@dataclass(frozen=True, slots=True)
class TileSpan:
    """Where a tile's streams lie, by id, and the checksum of its decoded symbols."""

    streams: Mapping[int, Span]
    checksum: int


@dataclass(frozen=True, slots=True)
class Layout:
    """All that a header says: the parts that follow it, with their places.

    ``header_bytes``, ``box_bytes`` and ``stream_bytes`` add up to ``file_bytes``.
    """

    header: Header
    boxes: Mapping[str, BoxSpan]
    tiles: Sequence[TileSpan]
    header_bytes: int
    file_bytes: int

    @property
    def box_bytes(self) -> dict[str, int]:
        """Payload bytes of each box, by type."""
        return {name: span.length for name, span in self.boxes.items()}

    @property
    def stream_bytes(self) -> dict[int, int]:
        """Bytes of each stream kind, by id, summed over the tiles."""
        ids = self.tiles[0].streams
        return {i: sum(tile.streams[i].length for tile in self.tiles) for i in ids}

    def box(self, data: Buffer, name: str) -> bytes:
        """A box's payload, out of the file's bytes. Raises TruncatedError, and CorruptError where its CRC differs."""
        span = self.boxes[name]
        payload = span.of(data)
        if crc32(payload) != span.crc:
            raise CorruptError(f"box {name!r} at byte {span.offset} does not have the CRC of its table entry")
        return payload


# --- Writing -----------------------------------------------------------------------------------------------


def write(container: Container) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: a value out of its field's range, a box type that is none, a critical box that this version
            does not define, a number of tiles that is not the header's, or tiles with different streams.
    """
    header, boxes, tiles = container.header, container.boxes, container.tiles
    values = {name: getattr(header, name) for name in Header.__slots__} | {"flags": int(header.grey)}
    out = bytearray(SIGNATURE + write_record(HEAD, values))
    if len(tiles) != header.tile_count:
        raise InputError(f"{header.width}x{header.height} has {header.tile_count} tiles, not {len(tiles)}")
    out += BOX_COUNT.write(len(boxes))
    for name, payload in boxes.items():
        _check_box_type(name, InputError, InputError, "")
        box = {"box_type": name.encode("ascii"), "box_length": len(payload), "box_crc": crc32(payload)}
        out += write_record(BOX, box)
    ids = sorted(tiles[0].streams)
    out += STREAM_COUNT.write(len(ids))
    for i in ids:
        out += STREAM_ID.write(i)
    for number, tile in enumerate(tiles):
        if sorted(tile.streams) != ids:
            raise InputError(f"tile {number} has streams {sorted(tile.streams)}; tile 0 has {ids}")
        for i in ids:
            out += STREAM_LENGTH.write(len(tile.streams[i]))
        out += TILE_CHECKSUM.write(tile.checksum)
    out += HEADER_CRC.write(crc32(out))

    parts = [*boxes.values(), *(tile.streams[i] for tile in tiles for i in ids)]
    return b"".join([out, *parts])


# --- Reading -----------------------------------------------------------------------------------------------


def read(data: Buffer, *, limits: Limits = DEFAULT_LIMITS) -> Container:
    """Take a whole file apart. ``write(read(data)) == data`` for every file that this function accepts.

    Raises:
        SignatureError, VersionError, TruncatedError, CorruptError, LimitError: see glissando.errors. Damage
            inside a tile's streams is not seen here, but by the tile's checksum once its symbols are decoded.
    """
    layout = read_header(data, limits=limits)
    view = memoryview(data).cast("B")
    if len(view) < layout.file_bytes:
        raise TruncatedError(f"the file needs {layout.file_bytes} bytes; {len(view)} are present")
    if len(view) > layout.file_bytes:
        raise CorruptError(
            f"the file should end at byte {layout.file_bytes}; {len(view) - layout.file_bytes} bytes follow"
        )
    boxes = {name: layout.box(view, name) for name in layout.boxes}
    tiles = [Tile({i: s.of(view) for i, s in tile.streams.items()}, tile.checksum) for tile in layout.tiles]
    return Container(layout.header, boxes, tiles)


def read_header(data: Buffer, *, limits: Limits = DEFAULT_LIMITS) -> Layout:
    """Read the header alone: ``data`` may end anywhere after it.

    Raises:
        SignatureError, VersionError, TruncatedError, CorruptError, LimitError: see glissando.errors.
    """
    cursor = Cursor(data)
    check_signature(cursor, SIGNATURE_FIELD, SIGNATURE, "Glissando file")
    values = read_record(cursor, HEAD)
    header = Header(grey=bool(values.pop("flags") & 1), **values)
    _check_limit("picture", header.width * header.height, "pixels", limits.max_pixels)
    _check_limit("picture", header.tile_count, "tiles", limits.max_tiles)

    entries = _read_box_table(cursor, limits)
    ids, tiles = _read_stream_table(cursor, header.tile_count)

    covered = cursor.offset
    if HEADER_CRC.read(cursor) != crc32(cursor.data[:covered]):
        raise CorruptError(f"header_crc at byte {covered} is not the CRC of the header's {covered} bytes")

    header_bytes = offset = cursor.offset
    boxes = {}
    for name, (length, crc) in entries.items():
        boxes[name] = BoxSpan(offset, length, crc)
        offset += length
    spans = []
    for lengths, checksum in tiles:
        streams = {}
        for i, length in zip(ids, lengths, strict=True):
            streams[i] = Span(offset, length)
            offset += length
        spans.append(TileSpan(streams, checksum))
    return Layout(header, boxes, spans, header_bytes, file_bytes=offset)


def _read_box_table(cursor: Cursor, limits: Limits) -> dict[str, tuple[int, int]]:
    """Box type -> (length, crc), in file order."""
    count = BOX_COUNT.read(cursor)
    cursor.require(count * sum(field.min_bytes for field in BOX), "box table")
    entries: dict[str, tuple[int, int]] = {}
    for _ in range(count):
        place = f" at byte {cursor.offset}"
        box = read_record(cursor, BOX)
        name = box["box_type"].decode("latin-1")
        _check_box_type(name, CorruptError, VersionError, place)
        if name in entries:
            raise CorruptError(f"box_type {name!r}{place} occurs twice")
        entries[name] = box["box_length"], box["box_crc"]
    total = sum(length for length, _ in entries.values())
    _check_limit("box table", total, "bytes of metadata", limits.max_metadata_bytes)
    return entries


def _read_stream_table(cursor: Cursor, tile_count: int) -> tuple[list[int], list[tuple[list[int], int]]]:
    """Stream ids, and for each tile its streams' lengths and its checksum."""
    start = cursor.offset
    count = STREAM_COUNT.read(cursor)
    cursor.require(count, "stream table")
    ids = [STREAM_ID.read(cursor) for _ in range(count)]
    if ids != sorted(set(ids)):
        raise CorruptError(f"stream_id after byte {start}: {ids} are not strictly ascending")
    # A picture of a few bytes cannot declare a million tiles.
    entry = count * STREAM_LENGTH.min_bytes + TILE_CHECKSUM.min_bytes
    cursor.require(tile_count * entry + HEADER_CRC.min_bytes, f"table of {tile_count} tiles")
    tiles = []
    for _ in range(tile_count):
        lengths = [STREAM_LENGTH.read(cursor) for _ in ids]
        tiles.append((lengths, TILE_CHECKSUM.read(cursor)))
    return ids, tiles


def _check_box_type(name: str, malformed: type[Exception], unknown: type[Exception], place: str) -> None:
    if not _BOX_TYPE.fullmatch(name):
        raise malformed(f"box_type {name!r}{place} must be a letter and three printable ASCII characters")
    if name[0].isupper() and name not in CRITICAL_BOXES:
        raise unknown(f"box_type {name!r}{place} is critical, and format version {VERSION} does not know it")


def _check_limit(name: str, value: int, unit: str, limit: int) -> None:
    if value > limit:
        raise LimitError(f"{name} declares {value} {unit}; the caller's limit is {limit}")
