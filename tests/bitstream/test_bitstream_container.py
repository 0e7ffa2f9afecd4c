"""The container: round trips, the documented bytes, and every way we know of to harm a file or its reader."""

from __future__ import annotations

import dataclasses
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glissando.bitstream import (
    DEFAULT_LIMITS,
    GREY_8,
    RGB_8,
    Container,
    Header,
    Limits,
    PixelFormat,
    Reader,
    Source,
    Tile,
    container,
    fields,
)
from glissando.errors import (
    CorruptError,
    FormatError,
    InputError,
    LimitError,
    SignatureError,
    TruncatedError,
    VersionError,
)

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")

HASH = b"glissand"
EXAMPLE = Container(
    Header(width=5, height=300, quality=15360, format=GREY_8, model_hash=HASH),
    {"xmp ": b"<x/>"},
    [Tile({1: bytes.fromhex("00008004"), 2: bytes.fromhex("0000bd531bba0700")}, 0x480C3F8A)],
)
EXAMPLE_HEX = (
    "89474c530d0a1a0a0107676c697373616e6405ac023c0009"
    "01786d7020041226842b020102"
    "0408480c3f8aad2a8d15"
    "3c782f3e000080040000bd531bba0700"
)
SEVERAL = Container(
    Header(width=130, height=65, quality=0, format=RGB_8, model_hash=bytes(8), tile_log2=6),
    {"icc ": b"profile", "exif": b"", "zQ~1": b"?" * 300},
    [Tile({2: b"latents" * n, 1: b"hyper", 9: b""}, n) for n in range(6)],
)


def read(data: Source, limits: Limits = DEFAULT_LIMITS) -> Container:
    """The whole file."""
    with Reader(data, limits=limits) as reader:
        return reader.read_all()


def with_crc(header: bytes, rest: bytes = b"") -> bytes:
    """A header made by hand, sealed with the checksum that it should have."""
    return header + crc32(header).to_bytes(4, "big") + rest


def head(
    *, version: int = 1, pixels: int = 0x17, width: bytes = b"\x01", height: bytes = b"\x01", tile_log2: int = 9
) -> bytes:
    return fields.SIGNATURE + bytes([version, pixels]) + HASH + width + height + bytes([0, 0, tile_log2])


NO_BOXES = b"\x00"
ONE_EMPTY_STREAM = b"\x01\x01" + b"\x00" + bytes(4)  # count, id; length, checksum of one tile


# --- What goes in comes out --------------------------------------------------------------------------------


PIXEL_FORMATS = st.builds(
    PixelFormat, channels=st.sampled_from([1, 3]), depth=st.integers(1, 16), alpha=st.sampled_from(["none", "straight"])
)


@st.composite
def containers(draw: st.DrawFn) -> Container:
    tile_log2 = draw(st.integers(6, 10))
    side = st.one_of(st.integers(1, 4 << tile_log2), st.sampled_from([1 << tile_log2, (1 << tile_log2) + 1]))
    header = Header(
        width=draw(side),
        height=draw(side),
        quality=draw(st.integers(0, 25600)),
        format=draw(PIXEL_FORMATS),
        model_hash=draw(st.binary(min_size=8, max_size=8)),
        tile_log2=tile_log2,
    )
    names = st.from_regex(r"[a-z][ -~]{3}", fullmatch=True)
    boxes = draw(st.dictionaries(names, st.binary(max_size=200), max_size=4))
    ids = draw(st.sets(st.integers(1, 255), min_size=1, max_size=4))
    rows, columns = (-(-side // 2**tile_log2) for side in (header.height, header.width))
    tiles = [
        Tile({i: draw(st.binary(max_size=8)) for i in ids}, draw(st.integers(0, 2**32 - 1)))
        for _ in range(rows * columns)
    ]
    return Container(header, boxes, tiles)


@settings(max_examples=150, deadline=None)
@given(containers(), st.sampled_from([bytes, bytearray, memoryview]))
def test_round_trip(original: Container, buffer: Callable[[bytes], bytes]) -> None:
    data = container.write(original)
    again = read(buffer(data))
    assert again == original
    assert container.write(again) == data


@pytest.mark.parametrize("side", [(2**24 - 1, 1), (1, 2**24 - 1)])
def test_the_longest_sides(side: tuple[int, int]) -> None:
    header = Header(*side, quality=25600, format=RGB_8, model_hash=HASH, tile_log2=10)
    assert header.tile_count == 16384
    original = Container(header, {}, [Tile({1: b""}, 2**32 - 1)] * 16384)
    assert read(container.write(original)) == original


def test_golden_bytes() -> None:
    assert container.write(EXAMPLE).hex() == EXAMPLE_HEX
    assert read(bytes.fromhex(EXAMPLE_HEX)) == EXAMPLE


def test_streams_are_written_in_order_of_their_ids() -> None:
    data = container.write(SEVERAL)
    layout = Reader(data).layout
    assert layout.stream_ids == (1, 2, 9)
    assert [list(layout.tile(number).streams) for number in range(6)] == [[1, 2, 9]] * 6
    assert data.endswith(b"hyper" + b"latents" * 5)


def test_a_layout_says_where_everything_is() -> None:
    data = container.write(SEVERAL)
    reader = Reader(data)
    layout = reader.layout

    def part(span: container.Span) -> bytes:
        return data[span.offset : span.offset + span.length]

    assert reader.header == SEVERAL.header
    assert (reader.header.tile_columns, reader.header.tile_rows) == (3, 2)
    assert {name: part(span) for name, span in layout.boxes.items()} == SEVERAL.boxes
    for number, tile in enumerate(SEVERAL.tiles):
        span = layout.tile(number)
        assert span.checksum == tile.checksum
        assert {i: part(inner) for i, inner in span.streams.items()} == tile.streams
        assert part(span) == b"".join(tile.streams[i] for i in (1, 2, 9))
    assert layout.box_bytes == {"icc ": 7, "exif": 0, "zQ~1": 300}
    assert layout.stream_bytes == {1: 30, 2: 105, 9: 0}
    total = layout.header_bytes + sum(layout.box_bytes.values()) + sum(layout.stream_bytes.values())
    assert total == layout.file_bytes == reader.size == len(data)


def test_the_header_alone_is_enough_for_a_layout() -> None:
    data = container.write(SEVERAL)
    layout = Reader(data).layout
    cut = Reader(data[: layout.header_bytes])
    assert cut.layout == layout
    with pytest.raises(TruncatedError, match=rf"ends at byte {layout.boxes['icc '].offset + 7};"):
        cut.box("icc ")
    with pytest.raises(TruncatedError, match="ends at byte"):
        cut.tile(0)


# --- The page and the code say the same --------------------------------------------------------------------


V1 = fields.FORMATS[1]
FIELDS = (
    *(fields.SIGNATURE_FIELD, fields.VERSION_FIELD, *V1.head, V1.box_count, *fields.PIXEL_FORMAT.parts),
    *(*V1.box, V1.stream_count, V1.stream_id, V1.stream_length, V1.tile_checksum, V1.header_crc),
)

STREAMS = (fields.CORRECTION_STEP, fields.ALPHA_STEP)


def test_the_page_lists_every_field() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert rows == [
        (f.name, f.encoding, f.range, f.meaning)
        for f in (
            *FIELDS,
            fields.CORRECTION_STEP,
            fields.ALPHA_STEP,
            *fields.PALETTE,
            *fields.CICP,
            *fields.DENSITY,
            *fields.TEXT,
        )
    ]


def test_the_page_shows_the_golden_bytes() -> None:
    example = PAGE.partition("## Example")[2]
    lines = re.findall(r"^    ((?:[0-9A-F]{2} )*[0-9A-F]{2})(?:  |$)", example, re.MULTILINE)
    assert bytes.fromhex(" ".join(lines)).hex() == EXAMPLE_HEX


# --- Damage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("original", [EXAMPLE, SEVERAL], ids=["example", "several"])
def test_every_truncation_is_called_one(original: Container) -> None:
    data = container.write(original)
    header_bytes = Reader(data).layout.header_bytes
    for length in range(len(data)):
        with pytest.raises(TruncatedError, match=rf"\b{length} (bytes )?are present"):
            read(data[:length])
        if length < header_bytes:
            with pytest.raises(TruncatedError):
                Reader(data[:length])


@pytest.mark.parametrize("original", [EXAMPLE, SEVERAL], ids=["example", "several"])
@pytest.mark.parametrize("limits", [Limits(), Limits(2**60, 2**60, 2**60)], ids=["default", "unlimited"])
def test_every_bit_flip_before_the_streams_is_an_error(original: Container, limits: Limits) -> None:
    data = container.write(original)
    layout = Reader(data).layout
    for bit in range(8 * layout.tile(0).offset):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            read(damaged, limits=limits)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 40))
def test_noise_is_never_another_exception(noise: bytes, kept: int) -> None:
    with pytest.raises(FormatError):
        read(bytes.fromhex(EXAMPLE_HEX)[:kept] + noise + b"!")


def test_bytes_after_the_end() -> None:
    with pytest.raises(CorruptError, match=r"end at byte 63; 2 bytes follow"):
        read(bytes.fromhex(EXAMPLE_HEX) + b"\0\0")


def test_a_damaged_box_is_named() -> None:
    with pytest.raises(CorruptError, match=r"box 'xmp ' at byte 47"):
        read(container.write(EXAMPLE).replace(b"<x/>", b"<y/>"))


@pytest.mark.parametrize(
    "mangle",
    [
        lambda data: data.replace(b"\r\n", b"\n"),
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\r", b"\n"),
        lambda data: bytes(byte & 0x7F for byte in data),
        lambda data: data.decode("latin-1").encode("utf-8"),
        lambda data: data.decode("utf-8", "replace").encode("utf-8"),
        lambda data: data.decode("utf-8", "ignore").encode("utf-8"),
    ],
    ids=["crlf to lf", "lf to crlf", "cr to lf", "seven bits", "latin-1 to utf-8", "utf-8", "utf-8 ignoring"],
)
def test_text_mode_is_recognised(mangle: Callable[[bytes], bytes]) -> None:
    with pytest.raises(SignatureError, match="text mode"):
        read(mangle(container.write(EXAMPLE)))


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n....", b"\xff\xd8", b"GIF89a" * 9, bytes(100)])
def test_other_files_are_not_ours(data: bytes) -> None:
    with pytest.raises(SignatureError, match="not a Glissando file"):
        read(data)


# --- Valid checksums, impossible contents ------------------------------------------------------------------


def test_the_smallest_file() -> None:
    data = with_crc(head() + NO_BOXES + ONE_EMPTY_STREAM)
    assert read(data).tiles == [Tile({1: b""}, 0)]


@pytest.mark.parametrize(
    ("header", "error", "message"),
    [
        (head(version=2), VersionError, r"version at byte 8 is 2; this reader knows 1\.\.1"),
        (head(version=0), CorruptError, r"version at byte 8 is 0"),
        (head(pixels=0x27), VersionError, r"colour in pixel_format at byte 9 is 2; this reader knows 0\.\.1"),
        (head(pixels=0xD7), VersionError, r"alpha in pixel_format at byte 9 is 3"),
        (head(width=b"\x00"), CorruptError, r"width at byte 18 is 0"),
        (head(height=b"\x80\x80\x80\x08"), CorruptError, r"height at byte 19 is 16777216"),
        (head(width=b"\x81\x00"), CorruptError, r"width at byte 18 .* padded"),
        (head(width=b"\x80" * 5 + b"\x01"), CorruptError, r"width at byte 18 .* more than 5 bytes"),
        (head(tile_log2=5), CorruptError, r"tile_log2 at byte 22 is 5"),
        (head(tile_log2=11), CorruptError, r"tile_log2 at byte 22 is 11"),
        (head()[:-3] + b"\x64\x01\x09" + NO_BOXES, CorruptError, r"quality at byte 20 is 25601"),
        (head() + b"\x80\x02" + bytes(9999), CorruptError, r"box_count at byte 23 is 256"),
        (head() + b"\x01Icc?\x00" + bytes(4), VersionError, r"'Icc\?' at byte 24 is critical"),
        (head() + b"\x01\xe9cc \x00" + bytes(4), CorruptError, r"box_type 'écc ' at byte 24"),
        (head() + b"\x01a\ncc\x00" + bytes(4), CorruptError, r"box_type 'a\\ncc' at byte 24"),
        (head() + b"\x02" + (b"exif\x00" + bytes(4)) * 2, CorruptError, r"'exif' at byte 33 occurs twice"),
        (head() + NO_BOXES + b"\x00", CorruptError, r"stream_count at byte 24 is 0"),
        (head() + NO_BOXES + b"\x01\x00", CorruptError, r"stream_id at byte 25 is 0"),
        (
            head() + NO_BOXES + b"\x02\x01\x01" + bytes(6),
            CorruptError,
            r"\[1, 1\] are not strictly ascending",
        ),
        (
            head() + NO_BOXES + b"\x02\x02\x01" + bytes(6),
            CorruptError,
            r"\[2, 1\] are not strictly ascending",
        ),
        (head(width=b"\x81\x04") + NO_BOXES + b"\x01\x01" + bytes(5), TruncatedError, r"table of 2 tiles"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(header: bytes, error: type[FormatError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        read(with_crc(header))
    assert type(caught.value) is error


def test_an_unknown_ancillary_box_is_kept() -> None:
    assert read(container.write(SEVERAL)).boxes["zQ~1"] == b"?" * 300


def test_an_unknown_stream_is_kept() -> None:
    original = dataclasses.replace(EXAMPLE, tiles=[Tile({2: b"", 77: b"new"}, 0)])
    assert read(container.write(original)) == original


# --- Limits ------------------------------------------------------------------------------------------------


def peak_memory(data: bytes, limits: Limits, error: type[FormatError]) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(error):
            read(data, limits=limits)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


UNLIMITED = Limits(max_pixels=2**60, max_metadata_bytes=2**60, max_tiles=2**60)


@pytest.mark.parametrize(
    ("limits", "error"), [(Limits(), LimitError), (UNLIMITED, TruncatedError)], ids=["default", "unlimited"]
)
def test_a_huge_picture_allocates_nothing(limits: Limits, error: type[FormatError]) -> None:
    largest = b"\xff\xff\xff\x07"
    data = with_crc(head(width=largest, height=largest, tile_log2=6) + NO_BOXES + ONE_EMPTY_STREAM)
    assert peak_memory(data, limits, error) < 100_000


@pytest.mark.parametrize(
    "header",
    [
        head() + b"\x01exif\xff\xff\xff\xff\x0f" + bytes(4) + ONE_EMPTY_STREAM,
        head() + NO_BOXES + b"\x01\x01" + b"\xff\xff\xff\xff\x0f" + bytes(4),
        head() + b"\xff\x01" + ONE_EMPTY_STREAM,
        head() + NO_BOXES + b"\xff\x01" + ONE_EMPTY_STREAM,
    ],
    ids=["box length", "stream length", "box count", "stream count"],
)
def test_a_huge_length_allocates_nothing(header: bytes) -> None:
    assert peak_memory(with_crc(header), UNLIMITED, TruncatedError) < 100_000


def test_limits_are_inclusive_and_can_be_raised() -> None:
    data = container.write(SEVERAL)
    read(data, limits=Limits(max_pixels=130 * 65, max_metadata_bytes=307, max_tiles=6))
    for limits, message in [
        (Limits(max_pixels=130 * 65 - 1), "8450 pixels; the caller's limit is 8449"),
        (Limits(max_metadata_bytes=306), "307 bytes of metadata; the caller's limit is 306"),
        (Limits(max_tiles=5), "6 tiles; the caller's limit is 5"),
    ]:
        with pytest.raises(LimitError, match=message):
            Reader(data, limits=limits)


# --- What a writer refuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, r"width is 0; it must be in 1\.\.16777215"),
        ({"height": 2**24}, "height is 16777216"),
        ({"quality": 25601}, r"quality is 25601; it must be in 0\.\.25600"),
        ({"tile_log2": -1}, r"tile_log2 is -1"),
        ({"model_hash": b"short"}, r"model_hash has 5 bytes; it must have 8"),
        ({"version": 2}, r"version is 2"),
    ],
)
def test_a_header_out_of_range_is_not_written(change: dict[str, int], message: str) -> None:
    header = dataclasses.replace(EXAMPLE.header, **change)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        container.write(dataclasses.replace(EXAMPLE, header=header))


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ({"XMP ": b""}, "critical"),
        ({"xmp": b""}, "letter and three"),
        ({"1mp ": b""}, "letter and three"),
        ({"xmé ": b""}, "letter and three"),
        ({f"b{i:03}": b"" for i in range(256)}, "box_count is 256"),
    ],
)
def test_an_impossible_box_is_not_written(boxes: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        container.write(dataclasses.replace(EXAMPLE, boxes=boxes))


@pytest.mark.parametrize(
    ("tile", "message"),
    [
        (Tile({}, 0), "stream_count is 0"),
        (Tile({0: b""}, 0), "stream_id is 0"),
        (Tile({256: b""}, 0), "stream_id is 256"),
        (Tile({1: b""}, 2**32), "tile_checksum is 4294967296"),
        (Tile({1: b""}, -1), "tile_checksum is -1"),
    ],
)
def test_an_impossible_tile_is_not_written(tile: Tile, message: str) -> None:
    with pytest.raises(InputError, match=message):
        container.write(dataclasses.replace(EXAMPLE, tiles=[tile]))


def test_tiles_must_agree() -> None:
    header = dataclasses.replace(EXAMPLE.header, height=1024)
    tiles = [Tile({1: b"", 2: b""}, 0), Tile({1: b""}, 0)]
    with pytest.raises(InputError, match=r"tile 1 has streams \[1\]; tile 0 has \[1, 2\]"):
        container.write(dataclasses.replace(EXAMPLE, header=header, tiles=tiles))
    with pytest.raises(InputError, match="2 tiles, not 1"):
        container.write(dataclasses.replace(EXAMPLE, header=header, tiles=tiles[:1]))
