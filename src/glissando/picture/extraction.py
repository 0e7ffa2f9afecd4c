"""Metadata out of images that Pillow opened. What cannot be read costs a note, and never the picture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from PIL import Image

from . import av1, jpeg, xmp
from . import exif as exif_blocks
from . import icc as profiles
from .colour_tags import Chromaticities, Cicp, cicp_of
from .embedded_icc import embedded_icc
from .isobmff import HeifBoxes, read_boxes
from .metadata import MAX_METADATA, Density, FileMetadata, Metadata

__all__ = ["BeforeLoading", "before_loading", "metadata_of"]

_EXIF_PREFIX = b"Exif\0\0"

# Of a TIFF's own directory, only what describes the picture and not how the file stores it.
_DESCRIBING_TAGS = (270, 271, 272, 305, 306, 315, 316, 33432)  # description, make, model ... copyright
_RESOLUTION_TAGS = (282, 283, 296)
_EXIF_DIRECTORIES = (0x8769, 0x8825)  # Exif, GPS
_IPTC_TAG = 33723
_WHITE_POINT_TAG, _PRIMARIES_TAG = 318, 319
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")


@dataclass(frozen=True, slots=True)
class BeforeLoading:
    """What is read of an image's file before its pixels are loaded: Pillow forgets it then, or closes the file.

    Attributes:
        exif: of a TIFF, its EXIF.
        icc: a profile that the plugin passes over.
        boxes: what the boxes of an AVIF or HEIF tell.
        notes: a sentence for what cannot be read.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    boxes: HeifBoxes = field(default_factory=HeifBoxes)
    notes: tuple[str, ...] = ()


def before_loading(image: Image.Image, file: IO[bytes] | None) -> BeforeLoading:
    """What is to be read before an image is loaded. ``file``: the one that it comes from, where there is one."""
    format = image.format or ""
    icc = None if file is None else embedded_icc(file, format)
    boxes = read_boxes(file) if file is not None and format in ("AVIF", "HEIF") else HeifBoxes()
    if format != "TIFF":
        return BeforeLoading(None, icc, boxes)
    try:
        return BeforeLoading(_exif_of_tiff(image), icc, boxes)
    except Exception:  # what Pillow raises on EXIF that it cannot read depends on where it is damaged
        return BeforeLoading(None, icc, boxes, ("EXIF cannot be read; left out",))


def metadata_of(
    image: Image.Image, *, before: BeforeLoading, beside: FileMetadata | None, ours: bool
) -> tuple[Metadata, list[str]]:
    """The metadata of a loaded image, and a note for each that is left out.

    Args:
        image: loaded.
        before: what was read before that.
        beside: what the file tells and Pillow does not; of a PNG that is all metadata.
        ours: the image was opened here, and no caller has had it.
    """
    notes = list(before.notes)
    if image.format == "PNG" and beside is not None:
        found = beside
    else:
        found = _of_info(image.info)
        _read_exif(image, before.exif, found, notes, ours=ours)
        if beside is not None:
            found.exif = found.exif or beside.exif
            found.xmp = found.xmp or beside.xmp
            found.notes += beside.notes
    found.icc = found.icc or before.icc
    notes += found.notes
    if image.info.get("depth_images"):
        notes.append("the depth map of the picture is not carried; left out")
    segments = getattr(image, "applist", [])
    if segments and found.xmp is not None:
        found.xmp, more = jpeg.extended_xmp(found.xmp, segments, MAX_METADATA)
        notes += more
    heif = before.boxes
    found.cicp = heif.cicp or found.cicp
    if image.format == "HEIF":
        found.cicp = found.cicp or _heif_cicp(image.info)
    elif image.format == "AVIF" and found.icc is None:
        found.cicp = found.cicp or av1.cicp_in(heif.coded)
    if found.exif is not None and image.format == "JXL" and not getattr(image, "jpeg", False):
        # Its codestream says how the picture is turned, which the decoder obeys, and EXIF does not count.
        found.exif, more = exif_blocks.set_upright(found.exif, image.width, image.height)
        notes += more
    if found.exif is not None and not exif_blocks.readable(found.exif):
        notes.append("EXIF does not begin as it should, and cannot be read; it is kept as it is")
    claims: list[str] = []
    if found.xmp is not None:
        found.xmp, claims = xmp.without_claims(found.xmp)
    if (heif.gain_map or jpeg.names_gain_map(segments)) and "gain map" not in claims:
        claims.append("gain map")
    notes += [f"the {claim} that belongs to the picture is not carried; left out" for claim in claims]
    icc, cicp, note = _colours(found, grey=image.mode in _GREY_MODES or image.mode.startswith("I;"))
    notes += note
    metadata = Metadata(
        icc=icc,
        exif=found.exif,
        xmp=found.xmp,
        iptc=found.iptc,
        cicp=cicp,
        density=found.density,
        text=tuple(found.text),
    )
    return metadata, notes


def _exif_of_tiff(image: Image.Image) -> bytes | None:
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
    return kept.tobytes().removeprefix(b"Exif\0\0")


# Colours -----------------------------------------------------------------------------------------------


def _colours(found: FileMetadata, *, grey: bool) -> tuple[bytes | None, Cicp | None, list[str]]:
    """The profile and the code points that say what colours mean, both None for sRGB; and notes.

    Code points win over a profile, which is kept beside them, and this over sRGB, gAMA and cHRM, as in PNG.
    """
    cicp = found.cicp.specified if found.cicp is not None and found.cicp.tells_something else None
    if found.icc is not None or found.cicp is not None or found.srgb:
        return found.icc, cicp, []
    if found.gamma is None and found.chromaticities is None:
        return None, None, []
    cicp = cicp_of(found.chromaticities, found.gamma)
    if cicp is not None:
        return None, cicp if cicp.tells_something else None, []
    icc = profiles.of_chromaticities(found.chromaticities, found.gamma, grey=grey)
    if icc is None:
        return None, None, ["gamma and chromaticities are those of no colours; left out"]
    return icc, None, []


def _heif_cicp(info: dict[Any, Any]) -> Cicp | None:
    profile = info.get("nclx_profile")
    if not isinstance(profile, dict):
        return None
    return Cicp(int(profile["color_primaries"]), int(profile["transfer_characteristics"]))


# What Pillow read --------------------------------------------------------------------------------------


def _of_info(info: dict[Any, Any]) -> FileMetadata:
    """What Pillow keeps in ``Image.info``, EXIF excepted."""
    found = FileMetadata(icc=_bytes_or_none(info.get("icc_profile")), xmp=_bytes_or_none(info.get("xmp")))
    gamma, chromaticities = info.get("gamma"), info.get("chromaticity")
    if isinstance(gamma, int | float) and 0.01 <= gamma <= 100:
        found.gamma = 1 / gamma
    if isinstance(chromaticities, tuple) and len(chromaticities) == 8:
        a, b, c, d, e, f, g, h = map(float, chromaticities)
        found.chromaticities = (a, b, c, d, e, f, g, h)
    found.srgb = "srgb" in info
    found.density = _density(info)
    resources = info.get("photoshop")
    if isinstance(resources, dict):
        found.iptc = _bytes_or_none(resources.get(0x0404))
    comment = info.get("comment")
    if isinstance(comment, bytes):
        comment = _decoded(comment)
    if isinstance(comment, str) and comment.strip("\0 "):
        found.text.append(("Comment", comment.rstrip("\0")))
    return found


def _iptc_of_tiff(tags: Mapping[int, Any]) -> bytes | None:
    """The bytes of the tag, which many programs call long numbers; Pillow keeps the first of these alone."""
    raw = getattr(tags, "_tagdata", {}).get(_IPTC_TAG) or tags.get(_IPTC_TAG)
    data = _bytes_or_none(raw)
    if data is not None and data[:1] != b"\x1c" and data[3:4] == b"\x1c" and len(data) % 4 == 0:
        data = b"".join(data[i : i + 4][::-1] for i in range(0, len(data), 4))  # numbers, turned to the file's order
    return data


def _chromaticities_of_tiff(tags: Mapping[int, Any]) -> Chromaticities | None:
    """White point and primaries of a TIFF (TIFF 6.0, section 20), where it has both."""
    white, primaries = tags.get(_WHITE_POINT_TAG), tags.get(_PRIMARIES_TAG)
    if not (isinstance(white, tuple) and isinstance(primaries, tuple) and len(white) == 2 and len(primaries) == 6):
        return None
    try:
        a, b, c, d, e, f, g, h = (float(value) for value in (*white, *primaries))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (a, b, c, d, e, f, g, h)


def _density(info: dict[Any, Any]) -> Density | None:
    """JFIF's own numbers where there are some: what Pillow calls dpi may stem from EXIF, or from nowhere."""
    if "jfif_density" in info:
        x, y = info["jfif_density"]
        unit = info.get("jfif_unit")
        if unit == 1:
            return Density.of_dpi(x, y)
        if unit == 2:
            return Density(100 * x, 100 * y) if x and y else None
        return Density(x, y, metric=False) if x and y and x != y else None
    dpi = info.get("dpi")
    if not isinstance(dpi, tuple) or len(dpi) != 2 or dpi == (1, 1):
        return None
    if "exif" in info and (dpi == (72, 72) or _tells_density(info["exif"])):
        return None
    try:
        return Density.of_dpi(float(dpi[0]), float(dpi[1]))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None


def _tells_density(exif: object) -> bool:
    """Whether EXIF says how densely pixels are printed, which then counts; also where it cannot be read."""
    block = Image.Exif()
    try:
        block.load(_bytes_or_none(exif) or b"")
        return _RESOLUTION_TAGS[0] in block
    except Exception:  # what Pillow raises on EXIF that it cannot read depends on where it is damaged
        return True


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _bytes_or_none(value: object) -> bytes | None:
    if isinstance(value, str):
        value = value.encode()
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) and len(value) else None


def _read_exif(
    image: Image.Image, tiff_exif: bytes | None, found: FileMetadata, notes: list[str], *, ours: bool
) -> None:
    """EXIF as the file has it, or as the caller changed it through ``Image.getexif``.

    ``ours``: the image was opened here, and no caller has had it.
    """
    if image.format == "TIFF":
        found.exif = tiff_exif
        tags = getattr(image, "tag_v2", {})
        found.iptc = _iptc_of_tiff(tags)
        found.chromaticities = _chromaticities_of_tiff(tags)
        return
    info = image.info
    exif = _bytes_or_none(info.get("exif"))
    raw: dict[str | tuple[int, int], Any] = {
        key: info[key] for key in ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp") if key in info
    }
    try:
        if not ours:
            bare = Image.new("1", (1, 1))
            bare.info.update(raw)
            changed = image.getexif().tobytes()
            if changed != bare.getexif().tobytes():
                exif = changed if len(image.getexif()) else None
            elif exif is None and "Raw profile type exif" in info:
                exif = changed
    except Exception:  # what Pillow raises on EXIF that it cannot read depends on where it is damaged
        if exif is None:
            notes.append("EXIF cannot be read; left out")
    while exif is not None and exif.startswith(_EXIF_PREFIX):
        exif = exif.removeprefix(_EXIF_PREFIX)
    found.exif = exif or None
    xmp_profile = info.get("Raw profile type xmp")
    if found.xmp is None and isinstance(xmp_profile, str):
        digits = re.sub(r"\s", "", xmp_profile.split("\n", 3)[-1])
        try:
            found.xmp = bytes.fromhex(digits)
        except ValueError:
            notes.append("XMP cannot be read; left out")
