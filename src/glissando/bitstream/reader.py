"""A file that is read part by part: the header at once, boxes and tiles when they are asked for.

``docs/format.md`` is the specification, "What a reader must check" the list of what this module checks. Every length
is compared with the bytes that there are, or with a limit, before anything of that length is read or allocated.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self, overload
from zlib import crc32

from glissando.bitstream.container import (
    BOX_TYPE,
    DEFAULT_LIMITS,
    BoxSpan,
    Container,
    Header,
    Layout,
    Limits,
    Tile,
)
from glissando.bitstream.fields import (
    FORMATS,
    SIGNATURE,
    SIGNATURE_FIELD,
    VERSION_FIELD,
    Cursor,
    FieldTables,
    check_signature,
    read_record,
)
from glissando.bitstream.sources import Bytes, Source, open_source
from glissando.errors import CorruptError, TruncatedError, VersionError

__all__ = ["Reader", "opened"]

_FIRST_READ = 1024  # bytes: more than the header of most files has


class Reader:
    """A .gliss file, opened: its header is read at once, everything else when it is asked for.

        with Reader("photo.gliss") as file:
            print(file.header.width, file.box("icc "))
            streams = file.tile(0).streams

    Boxes and tiles may be read by several threads at once. A Reader of a path keeps the file open until it is closed.

    Args:
        source: the file's bytes, its path, a file object opened for reading bytes, or any object with an attribute
            ``size`` and a method ``read_at(offset, size)``, which several threads may call at once.
        limits: how large a file is accepted.

    Attributes:
        header: what the file says of its picture.
        layout: where boxes and tiles lie.
        size: the bytes that are there, more or fewer than the header declares where a file is damaged.

    Raises:
        SignatureError, VersionError, TruncatedError, CorruptError, LimitError: the header is not that of a file that
            can be read; see glissando.errors.
        InputError: ``source`` is something else.
        OSError: the file cannot be opened or read.
    """

    def __init__(self, source: Source, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._bytes = open_source(source)
        try:
            self.header, self.layout = _read_header(_HeaderCursor(self._bytes), limits)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        return self._bytes.size

    @property
    def tiles(self) -> Sequence[Tile]:
        """The tiles in raster order, each read when it is asked for."""
        return _Tiles(self)

    def tile(self, number: int) -> Tile:
        """Read one tile: its streams, and the checksum that its symbols must have once they are decoded.

        Args:
            number: in raster order, from 0.

        Raises:
            IndexError: there is no such tile.
            TruncatedError: the file ends before the tile does.
        """
        span = self.layout.tile(number)
        data = self._bytes.read_at(span.offset, span.length)
        start = span.offset
        streams = {
            name: data[part.offset - start : part.offset - start + part.length] for name, part in span.streams.items()
        }
        return Tile(streams, span.checksum)

    def box(self, name: str) -> bytes | None:
        """Read a box; None where the file has none of this type.

        Raises:
            CorruptError: its CRC is not the one of the header's table.
            TruncatedError: the file ends before the box does.
        """
        span = self.layout.boxes.get(name)
        if span is None:
            return None
        payload = self._bytes.read_at(span.offset, span.length)
        if crc32(payload) != span.crc:
            raise CorruptError(f"box {name!r} at byte {span.offset} does not have the CRC of its table entry")
        return payload

    def check_complete(self) -> None:
        """Compare the file's length with what its header declares, without reading anything.

        Raises:
            TruncatedError: the file is shorter.
            CorruptError: it is longer.
        """
        declared = self.layout.file_bytes
        if self.size < declared:
            raise TruncatedError(f"the file needs {declared} bytes; {self.size} are present")
        if self.size > declared:
            raise CorruptError(f"the file should end at byte {declared}; {self.size - declared} bytes follow")

    def check_limits(self, limits: Limits) -> None:
        """Raises LimitError where the file is larger than these limits, as opening it with them would."""
        limits.check_picture(self.header)
        limits.check_metadata(sum(self.layout.box_bytes.values()))

    def read_all(self) -> Container:
        """The whole file in memory; ``container.write`` gives the same bytes again.

        Damage inside a tile's streams is not seen here, but by the tile's checksum once its symbols are decoded.

        Raises:
            TruncatedError, CorruptError: as ``check_complete`` and ``box``.
        """
        self.check_complete()
        boxes = {name: payload for name in self.layout.boxes if (payload := self.box(name)) is not None}
        return Container(self.header, boxes, list(self.tiles))

    def close(self) -> None:
        """Close the file that was opened for a path; a file object of the caller's stays open."""
        self._bytes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def opened(source: Source | Reader, *, limits: Limits = DEFAULT_LIMITS) -> Iterator[Reader]:
    """A Reader of a source, closed at the end; or the Reader itself, which stays open and whose limits are checked.

    Raises:
        FormatError, InputError, OSError: as ``Reader``.
    """
    if isinstance(source, Reader):
        source.check_limits(limits)
        yield source
        return
    with Reader(source, limits=limits) as reader:
        yield reader


class _Tiles(Sequence[Tile]):
    """The tiles of a file; each is read anew whenever it is asked for."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __len__(self) -> int:
        return self._reader.header.tile_count

    @overload
    def __getitem__(self, number: int) -> Tile: ...
    @overload
    def __getitem__(self, number: slice) -> list[Tile]: ...
    def __getitem__(self, number: int | slice) -> Tile | list[Tile]:
        if isinstance(number, slice):
            return [self._reader.tile(i) for i in range(*number.indices(len(self)))]
        return self._reader.tile(number + len(self) if number < 0 else number)


# --- The header ----------------------------------------------------------------------------------------------


class _HeaderCursor(Cursor):
    """A position in a source's bytes, of which only as many are read as the header turns out to need.

    What has been read is at least doubled each time, so that a long header takes few reads.
    """

    def __init__(self, source: Bytes) -> None:
        super().__init__(source.read_at(0, min(_FIRST_READ, source.size)))
        self._source = source

    @property
    def size(self) -> int:
        return self._source.size

    def take(self, size: int, name: str) -> memoryview:
        self.require(size, name)
        present, end = len(self.data), self.offset + size
        if end > present:
            more = self._source.read_at(present, min(max(end, 2 * present), self.size) - present)
            self.data = memoryview(bytes(self.data) + more)
        return super().take(size, name)


def _read_header(cursor: Cursor, limits: Limits) -> tuple[Header, Layout]:
    check_signature(cursor, SIGNATURE_FIELD, SIGNATURE, "Glissando file")
    version = VERSION_FIELD.read(cursor)
    tables = FORMATS[version]
    header = Header.from_fields(version, read_record(cursor, tables.head))
    limits.check_picture(header)
    entries = _read_box_table(cursor, tables)
    limits.check_metadata(sum(length for length, _ in entries.values()))
    ids = _read_stream_ids(cursor, tables)
    lengths, checksums = _read_tile_table(cursor, tables, header.tile_count, len(ids))

    covered = cursor.offset
    if tables.header_crc.read(cursor) != crc32(cursor.data[:covered]):
        raise CorruptError(f"header_crc at byte {covered} is not the CRC of the header's {covered} bytes")

    offset = cursor.offset
    boxes = {}
    for name, (length, crc) in entries.items():
        boxes[name] = BoxSpan(offset, length, crc)
        offset += length
    offsets = array("Q", [offset])
    for length in lengths:
        offset += length
        offsets.append(offset)
    return header, Layout(cursor.offset, boxes, ids, offsets, checksums)


def _read_box_table(cursor: Cursor, tables: FieldTables) -> dict[str, tuple[int, int]]:
    """Length and CRC of each box by its type, in file order."""
    count = tables.box_count.read(cursor)
    cursor.require(count * sum(field.min_bytes for field in tables.box), "box table")
    entries: dict[str, tuple[int, int]] = {}
    for _ in range(count):
        place = f"at byte {cursor.offset}"
        box = read_record(cursor, tables.box)
        name = box["box_type"].decode("latin-1")
        if not BOX_TYPE.fullmatch(name):
            raise CorruptError(f"box_type {name!r} {place} must be a letter and three printable ASCII characters")
        if name[0].isupper() and name not in tables.critical_boxes:
            raise VersionError(f"box_type {name!r} {place} is critical, and this reader does not know it")
        if name in entries:
            raise CorruptError(f"box_type {name!r} {place} occurs twice")
        entries[name] = box["box_length"], box["box_crc"]
    return entries


def _read_stream_ids(cursor: Cursor, tables: FieldTables) -> tuple[int, ...]:
    start = cursor.offset
    count = tables.stream_count.read(cursor)
    cursor.require(count, "stream table")
    ids = [tables.stream_id.read(cursor) for _ in range(count)]
    if ids != sorted(set(ids)):
        raise CorruptError(f"stream_id after byte {start}: {ids} are not strictly ascending")
    return tuple(ids)


def _read_tile_table(
    cursor: Cursor, tables: FieldTables, tile_count: int, stream_count: int
) -> tuple[array[int], array[int]]:
    """The lengths of all streams, tile after tile, and the tiles' checksums."""
    entry = stream_count * tables.stream_length.min_bytes + tables.tile_checksum.min_bytes
    # A file of a few bytes cannot declare a million tiles.
    cursor.require(tile_count * entry + tables.header_crc.min_bytes, f"table of {tile_count} tiles")
    lengths, checksums = array("Q"), array("L")
    for _ in range(tile_count):
        for _ in range(stream_count):
            lengths.append(tables.stream_length.read(cursor))
        checksums.append(tables.tile_checksum.read(cursor))
    return lengths, checksums
