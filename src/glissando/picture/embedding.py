"""Metadata into the options of Pillow's writers, and a note for each that a format does not carry."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from . import icc as profiles
from . import jpeg, png
from .colour_tags import PRIMARIES, Cicp, gamma_of
from .formats import Writing
from .isobmff import with_cicp
from .metadata import Density, Metadata

__all__ = ["TITLES", "embedded", "tagged"]

_EXIF_PREFIX = b"Exif\0\0"
TITLES = {
    "icc": "ICC profile",
    "cicp": "colour tag",
    "exif": "EXIF",
    "xmp": "XMP",
    "iptc": "IPTC",
    "density": "density of pixels",
    "text": "text",
}
_TAG_XMP, _TAG_IPTC, _TAG_ORIENTATION = 700, 33723, 0x0112
_TAG_X_RESOLUTION, _TAG_Y_RESOLUTION, _TAG_RESOLUTION_UNIT = 282, 283, 296
_EXIF_DIRECTORIES = (0x8769, 0x8825)


def embedded(metadata: Metadata, format: str, writing: Writing, *, grey: bool) -> tuple[dict[str, Any], list[str]]:
    """What makes Pillow write metadata into a file of this format, and a note for each that is left out.

    Args:
        metadata: the picture's.
        format: Pillow's name.
        writing: what the format carries.
        grey: whether the picture has one channel.
    """
    notes = []
    held: dict[str, Any] = {}
    for name, value in metadata.as_arguments().items():
        if not value:
            continue
        if name not in writing.carries and not (name == "cicp" and "icc" in writing.carries):
            notes.append(f"{format} carries no {TITLES[name]}; left out")
        elif name == "exif" and writing.largest_block is not None and len(value) > writing.largest_block:
            notes.append(f"EXIF of {len(value):,} bytes is too long for {format}; left out")
        else:
            held[name] = value
    notes += _fit_colours(held, format, writing, grey=grey)
    options: dict[str, Any] = {"icc_profile": held.pop("icc")} if "icc" in held else {}
    return options | _WRITERS.get(format, _plain_options)(held, notes), notes


def tagged(data: bytes, metadata: Metadata, format: str) -> bytes:
    """The file that Pillow wrote, with what it has no option for: code points, and the density of a PNG."""
    if format == "AVIF" and metadata.cicp is not None:
        return with_cicp(data, metadata.cicp.specified)
    if format == "PNG":
        if (density := metadata.density) is not None:
            data = png.inserted(data, b"pHYs", struct.pack(">IIB", density.x, density.y, density.metric))
        if (cicp := metadata.cicp) is not None:
            data = png.inserted(data, b"cICP", bytes([cicp.primaries, cicp.transfer, 0, 1]))
    return data


def _fit_colours(held: dict[str, Any], format: str, writing: Writing, *, grey: bool) -> list[str]:
    """Make the colours among ``held`` those that the format can say of this picture; a note where it cannot."""
    notes = []
    if "cicp" in held and "cicp" not in writing.carries:
        cicp: Cicp = held.pop("cicp")
        if "icc" not in held:
            profile = profiles.of_cicp(cicp, grey=grey and writing.has_grey)
            if profile is None:
                notes.append(f"{format} carries no colour tag, and {cicp} has no profile; left out")
            else:
                held["icc"] = profile
        elif cicp.high_dynamic_range:
            notes.append(f"{format} carries no colour tag; {cicp} is left out, the ICC profile beside it kept")
    if "icc" in held and writing.fits_profiles:
        profile = profiles.fitting(held["icc"], grey=grey and writing.has_grey)
        if profile is None:
            del held["icc"]
            notes.append("the ICC profile does not fit the picture's channels; left out")
        else:
            held["icc"] = profile
    return notes


# One function for each format that Pillow wants something special for ---------------------------------


def _plain_options(held: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "exif" in held:
        options["exif"] = _EXIF_PREFIX + held["exif"]
    if "xmp" in held:
        options["xmp"] = held["xmp"]
    if "density" in held:
        options["dpi"] = held["density"].dpi
    return options


def _png_options(held: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    chunks = PngInfo()
    if "cicp" in held:
        cicp: Cicp = held["cicp"]
        gamma = gamma_of(cicp.transfer)
        if gamma is not None and cicp.primaries in PRIMARIES:  # for readers that do not know cICP
            chunks.add(b"gAMA", struct.pack(">I", round(100_000 / gamma)))
            points = PRIMARIES[cicp.primaries][1]
            chunks.add(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in points)))
    if "xmp" in held:
        chunks.add_itxt("XML:com.adobe.xmp", held["xmp"].decode("utf-8", "replace"))
    if "iptc" in held:
        chunks.add_text("Raw profile type iptc", _raw_profile("iptc", held["iptc"]), zip=True)
    for keyword, content in held.get("text", ()):
        chunks.add_text(keyword.encode("latin-1", "replace")[:79] or b"Comment", content, zip=len(content) > 1024)
    options: dict[str, Any] = {"pnginfo": chunks} if chunks.chunks else {}
    if "exif" in held:
        options["exif"] = _EXIF_PREFIX + held["exif"]
    return options


def _raw_profile(kind: str, data: bytes) -> str:
    """ImageMagick's form of bytes as text: a name, a length, and lines of 72 hexadecimal digits."""
    digits = data.hex()
    lines = [digits[i : i + 72] for i in range(0, len(digits), 72)]
    return "\n".join(["", kind, f"{len(data):8}", *lines, ""])


def _jpeg_options(held: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    extra = b""
    if "xmp" in held and len(held["xmp"]) > jpeg.MAX_SEGMENT - 29:
        held["xmp"], extra = jpeg.xmp_segments(held["xmp"])
    if "iptc" in held:
        segment = jpeg.iptc_segment(held.pop("iptc"))
        if segment is None:
            notes.append("IPTC is too long for JPEG; left out")
        else:
            extra += segment
    options: dict[str, Any] = {"extra": extra} if extra else {}
    density: Density | None = held.get("density")
    if density is not None and (not density.metric or max(density.dpi) > 65535):
        notes.append("JPEG carries no such density of pixels; left out")
        del held["density"]
    if density is not None and "density" in held:
        held["density"] = Density(density.x, density.y)
    comments = [content.encode() for keyword, content in held.get("text", ()) if keyword == "Comment"]
    if comments and len(comments[0]) <= jpeg.MAX_SEGMENT:
        options["comment"] = comments.pop(0)
    others = len([1 for keyword, _ in held.get("text", ()) if keyword != "Comment"]) + len(comments)
    if others:
        notes.append(f"JPEG carries one comment; {others} other text{'s' if others > 1 else ''} left out")
    return options | _plain_options(held, notes)


def _tiff_options(held: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """EXIF, XMP and IPTC are entries of a TIFF's own directory."""
    directory = Image.Exif()
    if "exif" in held:
        try:
            directory.load(held["exif"])
            dict(directory)  # parses every entry
        except Exception:  # damaged EXIF came with the picture; other formats carry it as it is
            directory = Image.Exif()
            notes.append("EXIF is damaged, so TIFF cannot carry it; left out")
    if "xmp" in held:
        directory[_TAG_XMP] = held["xmp"]
    if len(directory):
        directory[_TAG_ORIENTATION] = 1
    density: Density | None = held.get("density")
    if density is not None:
        x, y = density.dpi if density.metric else (density.x, density.y)
        directory[_TAG_X_RESOLUTION], directory[_TAG_Y_RESOLUTION] = x, y
        directory[_TAG_RESOLUTION_UNIT] = 2 if density.metric else 1
    if not len(directory) and "iptc" not in held:
        return {}
    options: dict[str, Any] = {"exif": directory}
    if "iptc" in held:
        directory[_TAG_IPTC] = held["iptc"]
    if any(tag in directory for tag in _EXIF_DIRECTORIES):
        options["compression"] = "raw"  # Pillow fails to write these directories through libtiff
    return options


_WRITERS: dict[str, Callable[[dict[str, Any], list[str]], dict[str, Any]]] = {
    "PNG": _png_options,
    "JPEG": _jpeg_options,
    "TIFF": _tiff_options,
}
