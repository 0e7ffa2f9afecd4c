"""The formats of picture files, in one table: how they begin, how they are named, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "FORMATS",
    "FileFormat",
    "Writing",
    "looks_like_picture",
    "lossy_formats",
    "picture_suffixes",
    "recognise",
    "writable_formats",
    "written_as",
]


@dataclass(frozen=True, slots=True)
class Writing:
    """How a format is written, and what it carries.

    Attributes:
        options: Pillow's.
        grey_options: those that differ for grey pictures.
        lossy: those of a picture at a quality that the caller chooses, which is added to them; None for a format that
            has no such quality.
        carries: the metadata that it carries, by the names of their attributes in ``Metadata``.
        has_grey: whether it has pictures of one channel; in others grey becomes RGB.
        has_alpha: whether it has opacity; in others colours are blended over white.
        depths: bits that its samples may have, ascending. A picture is written with the fewest that hold its own, or is
            rounded to the most; to 8 where ``deep_package`` is not installed.
        deep_package: the package that writes more than 8 bits, where it is not Pillow.
        fits_profiles: whether readers refuse an ICC profile of other channels than the picture's.
        longest: its longest side in pixels; None without a limit of its own.
        largest_block: the longest EXIF in bytes; None without a limit.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    grey_options: Mapping[str, Any] = field(default_factory=dict)
    lossy: Mapping[str, Any] | None = None
    carries: frozenset[str] = frozenset()
    has_grey: bool = True
    has_alpha: bool = False
    depths: tuple[int, ...] = (8,)
    deep_package: str = ""
    fits_profiles: bool = False
    longest: int | None = None
    largest_block: int | None = None


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of picture files.

    Attributes:
        name: Pillow's name for it.
        plugin: the module that teaches Pillow to read and write it.
        signature: a regular expression that the first 64 bytes of its files match.
        suffixes: endings of its files' names, in lower case and without dot.
        writing: how it is written; None for a format that is only read.
        package: the package on the index that the module is from, where it is not Pillow itself.
        title: what messages call the format, where it is not its name.
    """

    name: str
    plugin: str
    signature: bytes
    suffixes: tuple[str, ...]
    writing: Writing | None = None
    package: str = ""
    title: str = ""


_BLOCKS = frozenset({"icc", "exif", "xmp"})
_ALL = _BLOCKS | {"cicp", "iptc", "density", "text"}

# Only formats whose pixel depth and transparency are checked; Pillow's others would be read blindly, and some of them
# run other programs.
FORMATS = (
    # zlib level 2: photographs grow by a tenth against the usual 6 and are written 2.7 times sooner.
    FileFormat(
        "PNG",
        "PIL.PngImagePlugin",
        rb"\x89PNG\r\n\x1a\n",
        ("png",),
        Writing({"compress_level": 2}, carries=_ALL, has_alpha=True, depths=(8, 16), fits_profiles=True),
    ),
    FileFormat(
        "JPEG",
        "PIL.JpegImagePlugin",
        rb"\xff\xd8\xff",
        ("jpg", "jpeg"),
        Writing(
            {"quality": 95, "subsampling": 0, "optimize": True},
            lossy={"subsampling": 0, "optimize": True},
            carries=_ALL - {"cicp"},
            longest=65500,
            largest_block=65500,
        ),
    ),
    FileFormat(
        "WEBP",
        "PIL.WebPImagePlugin",
        rb"RIFF....WEBP",
        ("webp",),
        Writing(
            {"lossless": True, "exact": True, "method": 4},
            lossy={"method": 4},
            carries=_BLOCKS,
            has_grey=False,
            has_alpha=True,
            fits_profiles=True,
            longest=16383,
        ),
    ),
    FileFormat(
        "AVIF",
        "PIL.AvifImagePlugin",
        rb"....ftyp(?:.{4})*?avi[fs]",
        ("avif",),
        Writing(
            {"quality": 90, "subsampling": "4:4:4", "speed": 6},
            grey_options={"subsampling": "4:0:0"},
            lossy={"subsampling": "4:4:4", "speed": 6},
            carries=_BLOCKS | {"cicp"},
            has_alpha=True,
            depths=(8, 10, 12),
            deep_package="imagecodecs",
            fits_profiles=True,
            longest=65536,
        ),
    ),
    FileFormat(
        "TIFF",
        "PIL.TiffImagePlugin",
        rb"II[*+]\0|MM\0[*+]",
        ("tif", "tiff"),
        Writing(
            {"compression": "tiff_adobe_deflate"}, carries=_BLOCKS | {"iptc", "density"}, has_alpha=True, depths=(8, 16)
        ),
    ),
    FileFormat("BMP", "PIL.BmpImagePlugin", rb"BM", ("bmp",), Writing(carries=frozenset({"density"}))),
    FileFormat("PPM", "PIL.PpmImagePlugin", rb"P[1-6f]\s|P[1-6]#", ("ppm", "pgm", "pnm"), Writing()),
    FileFormat("GIF", "PIL.GifImagePlugin", rb"GIF8[79]a", ("gif",)),
    FileFormat("QOI", "PIL.QoiImagePlugin", rb"qoif", ("qoi",)),
    FileFormat(
        "HEIF",
        "pillow_heif",
        rb"....ftyp(?:.{4})*?(?:hei[cxms]|hev[cxms]|mif[12]|msf1)",
        ("heic", "heif", "hif"),
        package="pillow-heif",
        title="HEIC",
    ),
    FileFormat(
        "JXL",
        "pillow_jxl",
        rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
        ("jxl",),
        package="pillow-jxl-plugin",
        title="JPEG XL",
    ),
    FileFormat("JPEG2000", "PIL.Jpeg2KImagePlugin", rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n", ("jp2", "j2k")),
)


def picture_suffixes() -> frozenset[str]:
    """The endings, in lower case and with their dot, of the names of picture files that can be read."""
    return frozenset(f".{suffix}" for format in FORMATS for suffix in format.suffixes)


def writable_formats() -> tuple[str, ...]:
    """The extensions, without dot, that :func:`~glissando.picture.write_picture` knows."""
    return tuple(suffix for format in FORMATS if format.writing is not None for suffix in format.suffixes)


def lossy_formats() -> tuple[str, ...]:
    """Those of them that may be written at a quality of the caller's choice."""
    lossy = (format for format in FORMATS if format.writing is not None and format.writing.lossy is not None)
    return tuple(suffix for format in lossy for suffix in format.suffixes)


def written_as(suffix: str) -> tuple[FileFormat, Writing] | None:
    """The format that an extension without dot stands for, and how it is written; None where it cannot be written."""
    for format in FORMATS:
        if suffix in format.suffixes and format.writing is not None:
            return format, format.writing
    return None


def looks_like_picture(head: bytes) -> bool:
    """Whether a file that begins with these bytes, 64 at least where it has as many, is in one of the formats."""
    return recognise(head) is not None


def recognise(head: bytes) -> FileFormat | None:
    """The format of a file that begins with these bytes; None where it is none of them."""
    return next((format for format in FORMATS if re.match(format.signature, head, re.S)), None)
