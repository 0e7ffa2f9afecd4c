"""The metadata of a picture as boxes of a file, and back; and other metadata for a file that there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glissando.bitstream import DEFAULT_LIMITS, Limits, Reader, Source, container, opened
from glissando.bitstream.fields import CICP, DENSITY, TEXT, Cursor, Field, read_record, write_record
from glissando.errors import CorruptError, FormatError, InputError
from glissando.picture import Cicp, Density, Metadata, of_part

__all__ = ["BOXES", "arguments_in", "boxes_of", "edit_metadata", "metadata_in", "metadata_of_part"]


def _bytes_of(value: Any) -> bytes:
    return bytes(value)


def _pack_cicp(cicp: Cicp) -> bytes:
    return write_record(CICP, {"primaries": cicp.primaries, "transfer": cicp.transfer})


def _unpack_cicp(payload: bytes) -> Cicp:
    values = _only_record(CICP, payload)
    return Cicp(values["primaries"], values["transfer"])


def _pack_density(density: Density) -> bytes:
    values = {"density_unit": int(density.metric), "density_x": density.x, "density_y": density.y}
    return write_record(DENSITY, values)


def _unpack_density(payload: bytes) -> Density:
    values = _only_record(DENSITY, payload)
    return Density(values["density_x"], values["density_y"], values["density_unit"] == 1)


def _pack_text(text: Sequence[tuple[str, str]]) -> bytes:
    return b"".join(write_record(TEXT, {"keyword": keyword, "content": content}) for keyword, content in text)


def _unpack_text(payload: bytes) -> tuple[tuple[str, str], ...]:
    cursor, text = Cursor(payload), []
    while cursor.offset < cursor.size:
        values = read_record(cursor, TEXT)
        text.append((values["keyword"], values["content"]))
    return tuple(text)


def _only_record(fields: Sequence[Field], payload: bytes) -> dict[str, Any]:
    cursor = Cursor(payload)
    values = read_record(cursor, fields)
    if cursor.offset < cursor.size:
        raise CorruptError(f"{cursor.size - cursor.offset} bytes follow the last field")
    return values


@dataclass(frozen=True, slots=True)
class _Box:
    """The type of a box, and how its payload is made and read."""

    type: str
    pack: Callable[[Any], bytes] = _bytes_of
    unpack: Callable[[bytes], Any] = _bytes_of


_BOXES = {
    "icc": _Box("icc "),
    "exif": _Box("exif"),
    "xmp": _Box("xmp "),
    "iptc": _Box("iptc"),
    "cicp": _Box("cicp", _pack_cicp, _unpack_cicp),
    "density": _Box("dens", _pack_density, _unpack_density),
    "text": _Box("text", _pack_text, _unpack_text),
}

BOXES = {name: box.type for name, box in _BOXES.items()}
"""The type of the box of each attribute of ``Metadata``."""


def boxes_of(metadata: Metadata) -> dict[str, bytes]:
    """Metadata by the type of their box. Raises InputError where they are more than a reader accepts."""
    values = {box: getattr(metadata, name) for name, box in _BOXES.items()}
    boxes = {box.type: box.pack(value) for box, value in values.items() if value is not None and value != ()}
    if (size := sum(map(len, boxes.values()))) > DEFAULT_LIMITS.max_metadata_bytes:
        raise InputError(f"{size:,} bytes of metadata; a file carries {DEFAULT_LIMITS.max_metadata_bytes:,} at most")
    return boxes


def metadata_in(boxes: Mapping[str, bytes | None]) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata in a file's boxes, and a note for each box that cannot be read."""
    found: dict[str, Any] = {}
    notes = []
    for name, box in _BOXES.items():
        payload = boxes.get(box.type)
        if payload is None:
            continue
        try:
            found[name] = box.unpack(payload)
        except FormatError as error:
            notes.append(f"box {box.type!r} cannot be read ({error}); left out")
    return Metadata(**found), tuple(notes)


def metadata_of_part(
    boxes: Mapping[str, bytes | None], part: tuple[int, int] | None
) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata in a file's boxes, and a note for each box that cannot be read.

    ``part``: width and height where only a part of the picture is shown. EXIF and XMP then tell this size, and the
    thumbnail, which shows the whole picture, is left out.
    """
    metadata, notes = metadata_in(boxes)
    return metadata if part is None else of_part(metadata, *part), notes


def arguments_in(boxes: Mapping[str, bytes | None], part: tuple[int, int] | None = None) -> dict[str, Any]:
    """The same as arguments that a ``Picture`` takes beside its pixels."""
    metadata, notes = metadata_of_part(boxes, part)
    return {**metadata.as_arguments(), "notes": notes}


def edit_metadata(
    source: Source | Reader,
    *,
    set: Metadata | None = None,
    remove: Sequence[str] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """A file with other metadata. No model is needed: the streams of its pixels are copied as they are.

    Args:
        source: as for ``glissando.decode``.
        set: metadata that replace the file's; where one is None or empty, the file's stays.
        remove: names of attributes of ``Metadata`` to leave out.
        limits: how large a file is accepted.

    Raises:
        InputError: an unknown name, or more metadata than a file carries.
        FormatError: the file is damaged.
        OSError: it cannot be read.
    """
    if unknown := sorted({*remove} - BOXES.keys()):
        raise InputError(f"no metadata {unknown[0]!r}; known: {', '.join(BOXES)}")
    with opened(source, limits=limits) as file:
        whole = file.read_all()
    dropped = {BOXES[name] for name in remove}
    boxes = {name: payload for name, payload in whole.boxes.items() if name not in dropped}
    boxes |= {} if set is None else boxes_of(set)
    if sum(map(len, boxes.values())) > DEFAULT_LIMITS.max_metadata_bytes:
        raise InputError(f"a file carries {DEFAULT_LIMITS.max_metadata_bytes:,} bytes of metadata at most")
    return container.write(replace(whole, boxes=boxes))
