"""The header of a ``.gliss`` file as data: each field's name, encoding, range and meaning.

The reader and the writer both walk the tables in ``FORMATS``, one for each version of the format, so that they cannot
disagree; ``docs/format.md`` prints the same tables, and a test compares them. All fixed-size numbers are big-endian.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from glissando.errors import CorruptError, FormatError, InputError, SignatureError, TruncatedError, VersionError

VERSION = 1
SIGNATURE = b"\x89GLS\r\n\x1a\n"

FIXED_SIZES = {"u8": 1, "u16": 2, "u32": 4}
MAX_VARINT_BYTES = 5  # 35 bits: enough for every range below, and still exact in a JavaScript number


class Cursor:
    """A position in the bytes of a file, or of a part of it, that never runs past their end."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.data = memoryview(data).cast("B")
        self.offset = 0

    @property
    def size(self) -> int:
        """Bytes that are present."""
        return len(self.data)

    def require(self, size: int, name: str) -> None:
        """Raise TruncatedError unless ``size`` more bytes are present for the part called ``name``."""
        if self.offset + size > self.size:
            end = self.offset + size
            raise TruncatedError(f"{name} at byte {self.offset} ends at byte {end}; {self.size} bytes are present")

    def take(self, size: int, name: str) -> memoryview:
        """The next ``size`` bytes; TruncatedError, naming the part ``name``, if they are not there."""
        self.require(size, name)
        self.offset += size
        return self.data[self.offset - size : self.offset]


@dataclass(frozen=True, slots=True)
class Number:
    """An unsigned integer field with values in ``low..high``.

    ``beyond`` is the error for a value above the range: VersionError where a later version may define it.
    """

    name: str
    encoding: Literal["u8", "u16", "u32", "varint"]
    low: int
    high: int
    meaning: str
    beyond: type[FormatError] = CorruptError

    @property
    def range(self) -> str:
        return f"{self.low}..{self.high}"

    @property
    def min_bytes(self) -> int:
        return FIXED_SIZES.get(self.encoding, 1)

    def read(self, cursor: Cursor) -> int:
        start = cursor.offset
        if self.encoding == "varint":
            value = self._read_varint(cursor)
        else:
            value = int.from_bytes(cursor.take(FIXED_SIZES[self.encoding], self.name), "big")
        if not self.low <= value <= self.high:
            message = f"{self.name} at byte {start} is {value}; this reader knows {self.range}"
            raise (self.beyond if value > self.high else CorruptError)(message)
        return value

    def _read_varint(self, cursor: Cursor) -> int:
        start, value = cursor.offset, 0
        for shift in range(0, 7 * MAX_VARINT_BYTES, 7):
            byte = cursor.take(1, self.name)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:  # one value, one spelling: files stay canonical
                    raise CorruptError(f"{self.name} at byte {start} is a varint padded with a zero byte")
                return value
        raise CorruptError(f"{self.name} at byte {start} is a varint of more than {MAX_VARINT_BYTES} bytes")

    def write(self, value: int) -> bytes:
        value = operator.index(value)  # numpy's integers too, but nothing that would be rounded
        if not self.low <= value <= self.high:
            raise InputError(f"{self.name} is {value}; it must be in {self.range}")
        if self.encoding != "varint":
            return value.to_bytes(FIXED_SIZES[self.encoding], "big")
        out = bytearray()
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
        return bytes(out)


@dataclass(frozen=True, slots=True)
class Octets:
    """A field of a fixed number of bytes."""

    name: str
    size: int
    meaning: str
    range: str = "any"

    @property
    def encoding(self) -> str:
        return f"bytes[{self.size}]"

    @property
    def min_bytes(self) -> int:
        return self.size

    def read(self, cursor: Cursor) -> bytes:
        return bytes(cursor.take(self.size, self.name))

    def write(self, value: bytes) -> bytes:
        if len(value) != self.size:
            raise InputError(f"{self.name} has {len(value)} bytes; it must have {self.size}")
        return bytes(value)


@dataclass(frozen=True, slots=True)
class Text:
    """A field of UTF-8 text, after its length in bytes as a varint."""

    name: str
    max_bytes: int
    meaning: str
    encoding: str = "text"

    @property
    def range(self) -> str:
        return f"0..{self.max_bytes} bytes"

    @property
    def min_bytes(self) -> int:
        return 1

    @property
    def _length(self) -> Number:
        return Number(self.name, "varint", 0, self.max_bytes, "length in bytes")

    def read(self, cursor: Cursor) -> str:
        start = cursor.offset
        data = bytes(cursor.take(self._length.read(cursor), self.name))
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CorruptError(f"{self.name} at byte {start} is not UTF-8: {error.reason}") from None

    def write(self, value: str) -> bytes:
        data = value.encode("utf-8")
        if len(data) > self.max_bytes:
            raise InputError(f"{self.name} {value[:20]!r}… has {len(data)} bytes; at most {self.max_bytes} are allowed")
        return self._length.write(len(data)) + data


@dataclass(frozen=True, slots=True)
class Bits:
    """An unsigned integer in some bits of a byte, ``first`` the lowest of them, with values in 0..``high``.

    A value above the range may be defined by a later version, and is a VersionError.
    """

    name: str
    first: int
    count: int
    high: int
    meaning: str

    @property
    def encoding(self) -> str:
        return f"bits {self.first} to {self.first + self.count - 1}"

    @property
    def range(self) -> str:
        return f"0..{self.high}"

    def extract(self, byte: int, place: str) -> int:
        """The value in a byte; ``place`` says where the byte lies."""
        value = byte >> self.first & (1 << self.count) - 1
        if value > self.high:
            raise VersionError(f"{self.name} in {place} is {value}; this reader knows {self.range}")
        return value

    def shifted(self, value: int) -> int:
        """The value at its place in the byte."""
        if not 0 <= value <= self.high:
            raise InputError(f"{self.name} is {value}; it must be in {self.range}")
        return value << self.first


@dataclass(frozen=True, slots=True)
class Packed:
    """A byte that several small numbers share; its value is a dictionary of theirs by name."""

    name: str
    parts: tuple[Bits, ...]
    meaning: str
    encoding: str = "u8"
    range: str = "see below"

    @property
    def min_bytes(self) -> int:
        return 1

    def read(self, cursor: Cursor) -> dict[str, int]:
        place = f"{self.name} at byte {cursor.offset}"
        byte = cursor.take(1, self.name)[0]
        return {part.name: part.extract(byte, place) for part in self.parts}

    def write(self, value: Mapping[str, int]) -> bytes:
        return bytes([sum(part.shifted(value[part.name]) for part in self.parts)])


Field = Number | Octets | Text | Packed


def check_signature(cursor: Cursor, field: Octets, signature: bytes, kind: str) -> None:
    """Step over a file's signature. Raises SignatureError unless it is there: what lies there is no ``kind``."""
    found = bytes(cursor.data[: len(signature)])
    if len(found) < len(signature) and signature.startswith(found):
        cursor.require(len(signature), field.name)
    if found == signature:
        cursor.offset = len(signature)
        return
    # The signature's bytes are chosen to be damaged by what programs do to text; see docs/format.md.
    if signature[1:4] in found:
        raise SignatureError(
            f"signature at byte 0 is {found.hex(' ')}, not {signature.hex(' ')}: the file was changed by a "
            f"transfer in text mode (line endings or characters converted); transfer it in binary mode"
        )
    raise SignatureError(f"signature at byte 0 is {found.hex(' ')}: not a {kind}")


def read_record(cursor: Cursor, fields: Sequence[Field]) -> dict[str, Any]:
    """Read ``fields`` one after the other: name -> value."""
    return {field.name: field.read(cursor) for field in fields}


def write_record(fields: Sequence[Field], values: Mapping[str, Any]) -> bytes:
    """The bytes of ``fields`` one after the other; the inverse of read_record."""
    return b"".join(field.write(values[field.name]) for field in fields)


# --- The fields of each version, in file order -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldTables:
    """Everything that follows the version byte of a file's header, in file order.

    Attributes:
        head: what a file says of itself.
        box_count: how often ``box`` follows.
        box: an entry of the table of boxes.
        stream_count: how often ``stream_id`` follows.
        stream_id: a kind of stream that every tile has.
        stream_length: for each tile, once for each kind of stream.
        tile_checksum: for each tile, after the lengths of its streams.
        header_crc: the last field.
        critical_boxes: the critical boxes that the version defines.
    """

    head: tuple[Field, ...]
    box_count: Number
    box: tuple[Field, ...]
    stream_count: Number
    stream_id: Number
    stream_length: Number
    tile_checksum: Number
    header_crc: Number
    critical_boxes: frozenset[str]


SIGNATURE_FIELD = Octets("signature", 8, "what makes this a Glissando file", SIGNATURE.hex(" ").upper())
HEADER_CRC = Number("header_crc", "u32", 0, 2**32 - 1, "CRC-32 of every byte from the signature to here")
VERSION_FIELD = Number("version", "u8", 1, VERSION, "version of the format", VersionError)

PIXEL_FORMAT = Packed(
    "pixel_format",
    (
        Bits("depth", 0, 4, 15, "bits of a sample, less one: 7 is 8 bits"),
        Bits("colour", 4, 2, 1, "0 grey, one channel; 1 red, green and blue"),
        Bits("alpha", 6, 2, 2, "0 opaque; 1 opacity, and black where it is 0; 2 opacity, and colours there, too"),
    ),
    "what a pixel is made of",
)

QUALITY_FIELD_BOX = "Qfld"
"""The box that holds the palette of a quality field (module ``quality_field``)."""

VERSION_1 = FieldTables(
    head=(
        PIXEL_FORMAT,
        Octets("model_hash", 8, "the model that codes this file: the first 8 bytes of its hash"),
        Number("width", "varint", 1, 2**24 - 1, "width of the picture in pixels"),
        Number("height", "varint", 1, 2**24 - 1, "height of the picture in pixels"),
        Number("quality", "u16", 0, 100 * 256, "quality in units of 1/256: 15360 is quality 60"),
        Number("tile_log2", "u8", 6, 10, "tiles are 2^tile_log2 pixels wide and high"),
    ),
    box_count=Number("box_count", "varint", 0, 255, "number of boxes"),
    box=(
        Octets("box_type", 4, "what the box holds; an upper-case first letter makes it critical", "see Boxes"),
        Number("box_length", "varint", 0, 2**32 - 1, "length of the box's payload in bytes"),
        Number("box_crc", "u32", 0, 2**32 - 1, "CRC-32 of the box's payload"),
    ),
    stream_count=Number("stream_count", "varint", 1, 255, "number of stream kinds that every tile has"),
    stream_id=Number(
        "stream_id",
        "u8",
        1,
        255,
        "a stream kind, 1 hyper-latents, 2 latents, 3 a map, 4 pixels, 5 corrections, 6 opacity; strictly ascending",
    ),
    stream_length=Number("stream_length", "varint", 0, 2**32 - 1, "length of this tile's stream in bytes"),
    tile_checksum=Number(
        "tile_checksum", "u32", 0, 2**32 - 1, "CRC-32 of the tile's decoded symbols and of its streams 4 to 6"
    ),
    header_crc=HEADER_CRC,
    critical_boxes=frozenset({QUALITY_FIELD_BOX}),
)

FORMATS: Mapping[int, FieldTables] = {1: VERSION_1}
"""The tables of every version that can be read and written. Those of a released version never change."""

# The payload of the box of a quality field.
PALETTE_SIZE = Number("palette_size", "varint", 1, 64, "number of different offsets in the map")
PALETTE_FIRST = Number("first_offset", "u16", 0, 2 * 100 * 256, "the least offset in 1/256 of quality, plus 25600")
PALETTE_STEP = Number("offset_step", "varint", 1, 2 * 100 * 256, "by how much the next offset is larger")
PALETTE: tuple[Field, ...] = (PALETTE_SIZE, PALETTE_FIRST, PALETTE_STEP)

# How a stream of corrections begins.
CORRECTION_STEP = Number("correction_step", "varint", 1, 2**15 - 1, "what a correction by 1 adds, in levels")

# How a stream of opacity begins.
ALPHA_STEP = Number("alpha_step", "varint", 1, 2**16 - 1, "by how much an opacity is more than the next lower one")

# The payloads of the boxes of metadata that are not blocks of another format.
CICP: tuple[Field, ...] = (
    Number("primaries", "u8", 0, 255, "colour primaries, a code point of ITU-T H.273"),
    Number("transfer", "u8", 0, 255, "transfer characteristics, a code point of ITU-T H.273"),
)
DENSITY: tuple[Field, ...] = (
    Number("density_unit", "u8", 0, 1, "0 none, only the ratio counts; 1 pixels per metre"),
    Number("density_x", "varint", 1, 2**32 - 1, "pixels from left to right"),
    Number("density_y", "varint", 1, 2**32 - 1, "pixels from top to bottom"),
)
TEXT: tuple[Field, ...] = (
    Text("keyword", 2**24, "what the text is, such as Comment or Author"),
    Text("content", 2**24, "the text"),
)
