"""The header of a ``.gliss`` file as data: each field's name, encoding, range and meaning.

Reader and writer both walk the tuples below, so that they cannot disagree; ``docs/format.md`` prints the same
tables, and a test compares them. All fixed-size numbers are big-endian.
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
    """A position in the bytes of a file that never runs past their end."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.data = memoryview(data).cast("B")
        self.offset = 0

    def require(self, size: int, name: str) -> None:
        """Raise TruncatedError unless ``size`` more bytes are present for the part called ``name``."""
        if self.offset + size > len(self.data):
            raise TruncatedError(
                f"{name} at byte {self.offset} needs a file of at least {self.offset + size} bytes; "
                f"{len(self.data)} are present"
            )

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
            message = f"{self.name} at byte {start} is {value}; format version {VERSION} knows {self.range}"
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


Field = Number | Octets | Text


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


# --- The fields, in file order -----------------------------------------------------------------------------

SIGNATURE_FIELD = Octets("signature", 8, "what makes this a Glissando file", SIGNATURE.hex(" ").upper())

HEAD: tuple[Field, ...] = (
    Number("version", "u8", 1, VERSION, "version of the format", VersionError),
    Number("flags", "u8", 0, 1, "bit 0: the picture is greyscale; the other bits are 0", VersionError),
    Octets("model_hash", 8, "the model that codes this file: the first 8 bytes of its hash"),
    Number("width", "varint", 1, 2**24 - 1, "width of the picture in pixels"),
    Number("height", "varint", 1, 2**24 - 1, "height of the picture in pixels"),
    Number("quality", "u16", 0, 100 * 256, "quality in units of 1/256: 15360 is quality 60"),
    Number("tile_log2", "u8", 6, 12, "tiles are 2^tile_log2 pixels wide and high"),
)

BOX_COUNT = Number("box_count", "varint", 0, 255, "number of boxes")
BOX: tuple[Field, ...] = (
    Octets("box_type", 4, "what the box holds; an upper-case first letter makes it critical", "see Boxes"),
    Number("box_length", "varint", 0, 2**32 - 1, "length of the box's payload in bytes"),
    Number("box_crc", "u32", 0, 2**32 - 1, "CRC-32 of the box's payload"),
)

STREAM_COUNT = Number("stream_count", "varint", 1, 255, "number of stream kinds that every tile has")
STREAM_ID = Number(
    "stream_id", "u8", 1, 255, "a stream kind, 1 hyper-latents, 2 latents, 3 importance; strictly ascending"
)
STREAM_LENGTH = Number("stream_length", "varint", 0, 2**32 - 1, "length of this tile's stream in bytes")
TILE_CHECKSUM = Number("tile_checksum", "u32", 0, 2**32 - 1, "CRC-32 of the tile's decoded symbols")

HEADER_CRC = Number("header_crc", "u32", 0, 2**32 - 1, "CRC-32 of every byte from the signature to here")

# The payload of the box "Impt".
PALETTE_SIZE = Number("palette_size", "varint", 1, 64, "number of different offsets in the map")
PALETTE_FIRST = Number("first_offset", "u16", 0, 2 * 100 * 256, "the least offset in 1/256 of quality, plus 25600")
PALETTE_STEP = Number("offset_step", "varint", 1, 2 * 100 * 256, "by how much the next offset is larger")
PALETTE: tuple[Field, ...] = (PALETTE_SIZE, PALETTE_FIRST, PALETTE_STEP)

FIELDS: tuple[Field, ...] = (
    SIGNATURE_FIELD,
    *HEAD,
    BOX_COUNT,
    *BOX,
    STREAM_COUNT,
    STREAM_ID,
    STREAM_LENGTH,
    TILE_CHECKSUM,
    HEADER_CRC,
)
