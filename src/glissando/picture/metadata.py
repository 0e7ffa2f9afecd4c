"""ICC, EXIF and XMP: out of Pillow's images, and into the options of its writers."""

from __future__ import annotations

from typing import Any

from PIL import Image

__all__ = ["blocks", "exif_of_tiff", "options"]

_EXIF_PREFIX = b"Exif\0\0"

# Of a TIFF's own directory, only what describes the picture and not how the file stores it.
_DESCRIBING_TAGS = (270, 271, 272, 305, 306, 315, 316, 33432)  # description, make, model ... copyright
_RESOLUTION_TAGS = (282, 283, 296)
_EXIF_DIRECTORIES = (0x8769, 0x8825)  # Exif, GPS
_XMP_TAG = 700
_ORIENTATION_TAG = 0x0112


def blocks(image: Image.Image, tiff_exif: bytes | None) -> tuple[bytes | None, bytes | None, bytes | None]:
    """The ICC profile, EXIF without its prefix and XMP of a loaded image; of a TIFF, EXIF is given."""
    info = image.info
    if image.format == "TIFF":
        exif = tiff_exif
    elif "exif" in info:
        exif = _bytes_or_none(info["exif"])
    elif "Raw profile type exif" in info:  # how ImageMagick kept EXIF in PNG before PNG could
        exif = image.getexif().tobytes()
    else:
        exif = None
    while exif is not None and exif.startswith(_EXIF_PREFIX):
        exif = exif.removeprefix(_EXIF_PREFIX)
    return _bytes_or_none(info.get("icc_profile")), exif or None, _bytes_or_none(info.get("xmp"))


def _bytes_or_none(value: object) -> bytes | None:
    if isinstance(value, str):
        value = value.encode()
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) and len(value) else None


def exif_of_tiff(image: Image.Image) -> bytes | None:
    """EXIF of a TIFF that is not loaded yet: loading applies the orientation and drops it."""
    source = image.getexif()
    kept = Image.Exif()
    for tag in _DESCRIBING_TAGS:
        if tag in source:
            kept[tag] = source[tag]
    for directory in _EXIF_DIRECTORIES:
        if entries := source.get_ifd(directory):
            kept[directory] = dict(entries)
    if not len(kept):
        return None
    for tag in _RESOLUTION_TAGS:
        if tag in source:
            kept[tag] = source[tag]
    return kept.tobytes()


def options(format: str, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> tuple[dict[str, Any], list[str]]:
    """What makes Pillow write these into a file of this format, and a note for each that it cannot."""
    chosen: dict[str, Any] = {} if icc is None else {"icc_profile": icc}
    if format == "TIFF":
        more, notes = _tiff_options(exif, xmp)
        return chosen | more, notes
    if exif is not None:
        chosen["exif"] = _EXIF_PREFIX + exif
    if xmp is not None and format == "PNG":
        from PIL.PngImagePlugin import PngInfo

        chosen["pnginfo"] = text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    elif xmp is not None:
        chosen["xmp"] = xmp
    return chosen, []


def _tiff_options(exif: bytes | None, xmp: bytes | None) -> tuple[dict[str, Any], list[str]]:
    """EXIF and XMP are entries of a TIFF's own directory."""
    notes: list[str] = []
    directory = Image.Exif()
    if exif is not None:
        try:
            directory.load(exif)
            dict(directory)  # parses every entry
        except Exception:  # damaged EXIF came with the picture; other formats carry it as it is
            directory = Image.Exif()
            notes.append("EXIF is damaged, so TIFF cannot carry it; left out")
    if xmp is not None:
        directory[_XMP_TAG] = xmp
    if not len(directory):
        return {}, notes
    directory[_ORIENTATION_TAG] = 1
    options: dict[str, Any] = {"exif": directory}
    if any(tag in directory for tag in _EXIF_DIRECTORIES):
        options["compression"] = "raw"  # Pillow fails to write these directories through libtiff
    return options, notes
