"""The metadata of a picture as boxes of a file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glissando.bitstream import DEFAULT_LIMITS
from glissando.errors import InputError
from glissando.picture import Picture

__all__ = ["boxes_of", "metadata_in"]

_BOXES = {"icc": "icc ", "exif": "exif", "xmp": "xmp "}


def boxes_of(picture: Picture) -> dict[str, bytes]:
    """A picture's metadata by the type of their box. Raises InputError where they are more than a reader accepts."""
    boxes = {box: value for name, box in _BOXES.items() if (value := getattr(picture, name)) is not None}
    if (size := sum(map(len, boxes.values()))) > DEFAULT_LIMITS.max_metadata_bytes:
        raise InputError(f"{size:,} bytes of metadata; a file carries {DEFAULT_LIMITS.max_metadata_bytes:,} at most")
    return boxes


def metadata_in(boxes: Mapping[str, bytes | None]) -> dict[str, Any]:
    """The same from a file's boxes, by the names that ``Picture`` takes them under; None where one is missing."""
    return {name: boxes.get(box) for name, box in _BOXES.items()}
