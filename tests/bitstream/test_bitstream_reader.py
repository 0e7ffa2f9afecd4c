"""The reader: every kind of source, only the bytes that are asked for, and files that are cut or lie."""

from __future__ import annotations

import dataclasses
import io
import mmap
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bitstream_container import HASH, SEVERAL, UNLIMITED, containers, head, with_crc

from glissando.bitstream import RGB_8, Container, Header, Limits, PixelFormat, Reader, Tile, container, opened
from glissando.bitstream.reader import _FIRST_READ
from glissando.errors import CorruptError, FormatError, InputError, LimitError, SignatureError, TruncatedError

DATA = container.write(SEVERAL)

MANY = Container(
    Header(width=64 * 40, height=64 * 30, quality=0, format=RGB_8, model_hash=HASH, tile_log2=6),
    {"exif": b"e" * 5000},
    [Tile({1: bytes([n % 256]) * 20, 2: bytes([n % 251]) * (n % 300)}, n) for n in range(1200)],
)
"""A file whose header is longer than what is read first."""


class Recorder:
    """A ranged source that remembers what was read of it."""

    def __init__(self, data: bytes, size: int | None = None) -> None:
        self.data = data
        self.size = len(data) if size is None else size
        self.reads: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def read_at(self, offset: int, size: int) -> bytes:
        with self._lock:
            self.reads.append((offset, size))
        assert offset >= 0
        assert size > 0
        assert offset + size <= self.size
        return self.data[offset : offset + size]


class Pipe(io.RawIOBase):
    """A file object that cannot seek."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._stream.read(min(len(buffer), 7))
        buffer[: len(part)] = part
        return len(part)


class Dribble(io.BytesIO):
    """A file object that gives fewer bytes than it is asked for, as unbuffered ones may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 5) if size is not None and size >= 0 else -1)


# --- Sources -------------------------------------------------------------------------------------------------


def in_memory_map(data: bytes, folder: Path) -> mmap.mmap:
    (folder / "mapped").write_bytes(data)
    with open(folder / "mapped", "rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


SOURCES: dict[str, Callable[[bytes, Path], Any]] = {
    "bytes": lambda data, _: data,
    "bytearray": lambda data, _: bytearray(data),
    "memoryview": lambda data, _: memoryview(data),
    "array": lambda data, _: np.frombuffer(data, np.uint8),
    "memory map": in_memory_map,
    "path": lambda data, folder: (folder / "file").write_bytes(data) and folder / "file",
    "text of a path": lambda data, folder: (folder / "file").write_bytes(data) and str(folder / "file"),
    "file object": lambda data, _: io.BytesIO(data),
    "unbuffered file": lambda data, _: Dribble(data),
    "pipe": lambda data, _: Pipe(data),
    "ranges": lambda data, _: Recorder(data),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_same(kind: str, tmp_path: Path) -> None:
    for original in (SEVERAL, MANY):
        data = container.write(original)
        with Reader(SOURCES[kind](data, tmp_path)) as reader:
            assert reader.size == reader.layout.file_bytes == len(data)
            assert reader.read_all() == original
            assert reader.box("none") is None


@pytest.mark.parametrize("source", [3, None, ["a"], {}, object()])
def test_what_is_no_source(source: Any) -> None:
    with pytest.raises(InputError, match="not by"):
        Reader(source)


def test_a_file_opened_for_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(DATA)
    with open(tmp_path / "x", encoding="latin-1") as stream, pytest.raises(InputError, match="reading text"):
        Reader(stream)  # type: ignore[arg-type]


def test_memory_with_gaps_is_refused() -> None:
    with pytest.raises(InputError, match="side by side"):
        Reader(np.zeros((4, 4), np.uint8)[:, ::2])  # type: ignore[arg-type]


def test_a_missing_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Reader(tmp_path / "none")


def test_a_file_object_is_read_from_its_position_and_put_back() -> None:
    stream = io.BytesIO(b"something before" + DATA)
    stream.seek(16)
    for _ in range(2):
        with Reader(stream) as reader:
            assert reader.read_all() == SEVERAL
        assert not stream.closed
        assert stream.tell() == 16


def test_a_path_is_closed_and_opened_by_no_one_else(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(DATA)
    with Reader(tmp_path / "x") as reader:
        pass
    with pytest.raises(ValueError, match="closed"):
        reader.tile(0)


@pytest.mark.filterwarnings("error::ResourceWarning")
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_path_that_is_no_file_of_ours_is_closed_too(tmp_path: Path) -> None:
    import gc

    (tmp_path / "x").write_bytes(DATA[:30])
    with pytest.raises(TruncatedError):
        Reader(tmp_path / "x")
    gc.collect()


def test_a_reader_passes_through_and_its_limits_are_checked() -> None:
    with Reader(DATA) as reader:
        with opened(reader) as same:
            assert same is reader
        assert reader.tile(0) == SEVERAL.tiles[0]  # still open
        for limits in (Limits(max_pixels=130 * 65 - 1), Limits(max_tiles=5), Limits(max_metadata_bytes=306)):
            with pytest.raises(LimitError), opened(reader, limits=limits):
                pass
    with opened(DATA) as other:
        assert other is not reader
        assert other.header == reader.header


# --- Only what is asked for ----------------------------------------------------------------------------------


@pytest.mark.parametrize("original", [SEVERAL, MANY], ids=["short header", "long header"])
def test_opening_reads_the_header_and_little_more(original: Container) -> None:
    source = Recorder(container.write(original))
    header_bytes = Reader(source).layout.header_bytes
    ends = [0]
    for offset, size in source.reads:  # one after the other, none twice
        assert offset == ends[-1]
        ends.append(offset + size)
    assert ends[-1] <= max(_FIRST_READ, 2 * header_bytes)
    assert len(source.reads) <= 1 + max(0, (header_bytes // _FIRST_READ).bit_length())


def test_a_tile_reads_its_bytes_and_no_others() -> None:
    data = container.write(MANY)
    source = Recorder(data)
    reader = Reader(source)
    for number in (0, 1199, 700, 300):
        source.reads.clear()
        assert reader.tile(number) == MANY.tiles[number]
        span = reader.layout.tile(number)
        assert source.reads == [(span.offset, span.length)]
        assert span.length == sum(map(len, MANY.tiles[number].streams.values()))


def test_a_box_reads_its_bytes_and_no_others() -> None:
    source = Recorder(container.write(MANY))
    reader = Reader(source)
    source.reads.clear()
    assert reader.box("exif") == b"e" * 5000
    assert source.reads == [(reader.layout.header_bytes, 5000)]
    source.reads.clear()
    assert reader.box("icc ") is None
    reader.check_complete()
    assert len(reader.tiles) == 1200
    assert source.reads == []


def test_empty_parts_are_not_read() -> None:
    header = Header(1, 1, 0, RGB_8, HASH)
    source = Recorder(container.write(Container(header, {"exif": b""}, [Tile({1: b""}, 0)])))
    reader = Reader(source)
    source.reads.clear()
    assert reader.tile(0) == Tile({1: b""}, 0)
    assert reader.box("exif") == b""
    assert source.reads == []


def test_tiles_are_a_sequence() -> None:
    tiles = Reader(container.write(MANY)).tiles
    assert len(tiles) == 1200
    assert tiles[-1] == MANY.tiles[1199]
    assert tiles[10:13] == MANY.tiles[10:13]
    assert list(tiles) == MANY.tiles
    for number in (1200, -1201):
        with pytest.raises(IndexError):
            tiles[number]
    with pytest.raises(IndexError):
        Reader(DATA).tile(-1)


@pytest.mark.parametrize("kind", ["path", "file object", "bytes"])
def test_threads_read_side_by_side(kind: str, tmp_path: Path) -> None:
    with Reader(SOURCES[kind](container.write(MANY), tmp_path)) as reader, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reader.tile, range(1200))) == MANY.tiles


# --- Damage --------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(containers(), st.data())
def test_a_file_cut_anywhere(original: Container, data: st.DataObject) -> None:
    """A cut within the header is noticed at once; of the rest, what is there reads, and what is not is named so."""
    whole = container.write(original)
    layout = Reader(whole).layout
    cut = data.draw(st.integers(0, len(whole) - 1))
    source = data.draw(st.sampled_from([bytes, io.BytesIO, Recorder]))(whole[:cut])
    if cut < layout.header_bytes:
        with pytest.raises(TruncatedError, match=rf"\b{cut} (bytes )?are present"):
            Reader(source)
        return
    reader = Reader(source)
    assert (reader.header, reader.layout, reader.size) == (original.header, layout, cut)
    with pytest.raises(TruncatedError, match=rf"needs {len(whole)} bytes; {cut} are present"):
        reader.check_complete()
    for name, span in layout.boxes.items():
        if span.offset + span.length <= cut:
            assert reader.box(name) == original.boxes[name]
        else:
            with pytest.raises(TruncatedError):
                reader.box(name)
    for number, tile in enumerate(original.tiles):
        part = layout.tile(number)
        if part.offset + part.length <= cut:
            assert reader.tile(number) == tile
        else:
            with pytest.raises(TruncatedError):
                reader.tile(number)


@settings(max_examples=300, deadline=None)
@given(containers(), st.data())
def test_a_damaged_header_with_a_right_checksum(original: Container, data: st.DataObject) -> None:
    """Nothing but our errors comes of it; what is accepted lies within the file, part after part."""
    whole = bytearray(container.write(original))
    header_bytes = Reader(bytes(whole)).layout.header_bytes
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(9, header_bytes - 5))] = data.draw(st.integers(0, 255))
    whole[header_bytes - 4 : header_bytes] = crc32(whole[: header_bytes - 4]).to_bytes(4, "big")
    source = Recorder(bytes(whole))
    try:
        reader = Reader(source)
        again = reader.read_all()
    except FormatError:
        return
    assert container.write(again) == whole
    assert reader.layout.file_bytes == len(whole)


def test_a_source_that_gives_less_than_it_promises() -> None:
    with pytest.raises(TruncatedError, match="of them were given"):
        Reader(Recorder(DATA[:20], size=len(DATA)))
    long = container.write(MANY)
    reader = Reader(Recorder(long[:-50], size=len(long)))
    reader.check_complete()
    with pytest.raises(TruncatedError, match="of them were given"):
        reader.tile(1199)


def test_bytes_behind_the_end_are_noticed() -> None:
    with pytest.raises(CorruptError, match="3 bytes follow"):
        Reader(DATA + b"abc").check_complete()


# --- Hostile lengths -----------------------------------------------------------------------------------------


class Endless(Recorder):
    """A source that claims to be enormous and gives zeros behind its beginning."""

    def __init__(self, start: bytes) -> None:
        super().__init__(start, size=2**60)
        self.given = 0

    def read_at(self, offset: int, size: int) -> bytes:
        self.given += size
        assert size <= 2**20, "a reader must not ask for so much at once"
        return self.data[offset : offset + size].ljust(size, b"\0")


HUGE = b"\xff\xff\xff\xff\x0f"


@pytest.mark.parametrize(
    "header",
    [
        head() + b"\xff\x01" + (b"exif" + HUGE + bytes(4)) * 255,
        head() + b"\0\xff\x01" + bytes(range(1, 256)),
        head() + b"\0\x01\x01" + HUGE,
    ],
    ids=["boxes", "streams", "length"],
)
def test_a_source_without_end_costs_little(header: bytes) -> None:
    source = Endless(header)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            Reader(source, limits=UNLIMITED)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
    assert source.given <= 2 * len(header) + 2 * _FIRST_READ


def test_lengths_beyond_the_file_allocate_nothing() -> None:
    """A header that is right in itself, whose box and stream would be four gigabytes each."""
    data = with_crc(head() + b"\x01exif" + HUGE + bytes(4) + b"\x01\x01" + HUGE + bytes(4))
    reader = Reader(data, limits=UNLIMITED)
    assert reader.layout.file_bytes == len(data) + 2 * (2**32 - 1)
    tracemalloc.start()
    try:
        for read in (lambda: reader.box("exif"), lambda: reader.tile(0), reader.read_all):
            with pytest.raises(TruncatedError):
                read()
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_table_of_many_tiles_takes_a_few_bytes_each() -> None:
    tiles = 2**16
    table = b"\x01\x01" + b"\x00\x00\x00\x00\x00" * tiles
    side = 64 * 256
    data = with_crc(head(width=varint(side), height=varint(side), tile_log2=6) + b"\0" + table)
    tracemalloc.start()
    try:
        reader = Reader(data)
        assert len(reader.tiles) == tiles
        # The header twice while it is read, and 16 bytes for each tile.
        assert tracemalloc.get_traced_memory()[1] < 6 * len(data) + 32 * tiles
    finally:
        tracemalloc.stop()


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


# --- Pixel formats -------------------------------------------------------------------------------------------


def test_every_pixel_format_is_written_and_read() -> None:
    seen = set()
    for channels in (1, 3):
        for depth in range(1, 17):
            for alpha in ("none", "straight"):
                format = PixelFormat(channels, depth, alpha)  # type: ignore[arg-type]
                header = dataclasses.replace(SEVERAL.header, format=format)
                data = container.write(dataclasses.replace(SEVERAL, header=header))
                assert Reader(data).header == header
                seen.add(data[9])
    assert len(seen) == 64
    assert {0x07, 0x17, 0x5F} <= seen


@pytest.mark.parametrize(
    ("format", "text"),
    [
        (PixelFormat(), "8-bit RGB"),
        (PixelFormat(1), "8-bit grey"),
        (PixelFormat(3, 16, "straight"), "16-bit RGB with alpha"),
    ],
)
def test_pixel_formats_in_words(format: PixelFormat, text: str) -> None:
    assert str(format) == text
    assert format.grey == (format.channels == 1)


@pytest.mark.parametrize(
    "change", [{"channels": 2}, {"channels": 4}, {"depth": 0}, {"depth": 17}, {"depth": 8.0}, {"alpha": "some"}]
)
def test_impossible_pixel_formats(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PixelFormat(**change)


def test_a_pipe_that_is_none_of_ours_is_read_no_further() -> None:
    """It may have no end."""

    class Endless(io.RawIOBase):
        given = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            assert len(buffer) < 100
            buffer[:] = b"y" * len(buffer)
            self.given += len(buffer)
            return len(buffer)

    endless = Endless()
    with pytest.raises(SignatureError):
        Reader(endless)  # type: ignore[arg-type]
    assert endless.given == 8
