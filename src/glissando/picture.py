"""Pixels and metadata, to and from picture files.

A :class:`Picture` is what the codec carries: 8-bit grey or RGB pixels, upright, with the colour profile, EXIF
and XMP that came with them. Reading never loses anything silently: what cannot be carried yet (transparency,
more than 8 bits, CMYK, animation) is a :class:`~glissando.errors.PictureError`, or, with ``convert=True``, a
conversion that :attr:`Picture.notes` announces.

Carried metadata are the ICC profile, EXIF and XMP; comments and text chunks are not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import math
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from glissando.errors import InputError, PictureError
from glissando.files import atomic_write

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "MAX_PIXELS",
    "MAX_SIDE",
    "Picture",
    "as_picture",
    "read_picture",
    "writable_formats",
    "write_picture",
]

Pixels: TypeAlias = NDArray[np.uint8]

MAX_PIXELS = 2**28
"""Pictures with more pixels are refused unless the caller raises the limit."""

MAX_SIDE = 2**24 - 1
"""The longest side that the file format can express."""

_HINT = "use --convert (convert=True in Python)"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An upright 8-bit picture and the metadata that travel with it.

    Attributes:
        pixels: uint8, shape (height, width, 3) for RGB or (height, width) for grey.
        icc: the ICC colour profile, as in the file, or None: sRGB.
        exif: the EXIF block, beginning with its TIFF header (``II`` or ``MM``), orientation 1; or None.
        xmp: the XMP packet, or None.
        notes: one sentence for each conversion that reading made.

    Raises:
        InputError: the pixels are of another type or shape, empty, or longer than ``MAX_SIDE`` on a side.
    """

    pixels: Pixels
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_array(self.pixels)
        if self.pixels.ndim == 3 and self.pixels.shape[2] == 1:
            object.__setattr__(self, "pixels", self.pixels[:, :, 0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def grey(self) -> bool:
        return self.pixels.ndim == 2


def as_picture(source: Pixels | Image.Image | Picture, *, convert: bool = False) -> Picture:
    """Take an array, a Pillow image or a picture as a picture.

    Args:
        source: uint8 array (H, W, 3), (H, W, 1) or (H, W); a Pillow image, whose EXIF orientation is applied
            as it is for files; or a :class:`Picture`, returned as it is.
        convert: for a Pillow image, as in :func:`read_picture`.

    Raises:
        InputError: an array of another type or shape, or some other object.
        PictureError: a Pillow image that cannot be carried without a conversion.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, np.ndarray):
        return Picture(source)
    from PIL import Image

    if isinstance(source, Image.Image):
        _check_size(source.width, source.height, None, "image")
        return _from_pillow(source, convert=convert, name="image", depth=8)
    raise InputError(f"a picture must be a NumPy array of uint8, a PIL.Image or a Picture, not {type(source).__name__}")


def read_picture(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    convert: bool = False,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Picture:
    """Read a picture file: PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF, JPEG 2000, PPM or QOI.

    The EXIF orientation is applied to the pixels and the tag reset, so the picture is upright everywhere.
    Fully opaque transparency is dropped and palettes are expanded: nothing is lost by either.

    Args:
        source: a path, or a file opened for reading bytes (it need not be seekable).
        convert: convert what cannot be carried (transparency over white; 16 bits scaled to 8; CMYK to RGB;
            the first frame of several) and say so in the picture's notes, instead of raising.
        max_pixels: refuse more pixels than this, before any is decoded.
        name: what messages call the file, instead of its own name.

    Raises:
        PictureError: not a picture, damaged, too large, or not to be carried without ``convert``; the message
            begins with the file's name.
        OSError: the file cannot be opened or read.
    """
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as stream:
            return _read(stream, name or os.fspath(source), convert, max_pixels)
    if name is None:
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else "picture"
    if not _seekable(source):
        source = io.BytesIO(source.read())
    return _read(source, name, convert, max_pixels)


def write_picture(
    picture: Picture, dest: str | os.PathLike[str] | IO[bytes], *, format: str | None = None
) -> tuple[str, ...]:
    """Write a picture file, with the metadata that its format carries.

    PNG, TIFF, BMP, PPM and WebP are written without loss; JPEG at quality 95 and AVIF at 90, both without
    chroma subsampling. A path is replaced only when the new file is complete.

    Args:
        dest: a path, whose extension names the format, or a file opened for writing bytes.
        format: an extension such as ``"png"``, which wins over the path's; needed when ``dest`` is a file.

    Returns:
        One sentence for each piece of metadata that the format could not carry.

    Raises:
        PictureError: an unknown format, or a picture too large for it.
        OSError: the file cannot be written; what was there before is untouched.
    """
    is_path = isinstance(dest, str | os.PathLike)
    name = os.fspath(dest) if isinstance(dest, str | os.PathLike) else "output"
    if format is None and is_path:
        format = Path(name).suffix
        if not format:
            raise PictureError(f"{name}: no extension says which format to write ({_known_formats()})")
    key = (format or "").lower().lstrip(".")
    if key not in _WRITERS:
        raise PictureError(f"{name}: no picture format {key!r} to write ({_known_formats()})")
    writer = _WRITERS[key]
    data, notes = _encode(picture, writer, name)
    if isinstance(dest, str | os.PathLike):
        atomic_write(dest, data)
    else:
        dest.write(data)
    return notes


def writable_formats() -> tuple[str, ...]:
    """The extensions, without dot, that :func:`write_picture` knows."""
    return tuple(_WRITERS)


# ---------------------------------------------------------------------------------------------- checks


def _check_array(pixels: object) -> None:
    wanted = "a picture must be uint8 of shape (height, width, 3) for RGB, or (height, width) for grey"
    if not isinstance(pixels, np.ndarray):
        raise InputError(f"{wanted}; this is {type(pixels).__name__}")
    shape = "x".join(map(str, pixels.shape)) or "no"
    if pixels.dtype != np.uint8:
        advice = ""
        if pixels.dtype.kind == "f":
            advice = "; scale, round and clip it to 0..255, then use .astype(np.uint8)"
        elif pixels.dtype == np.uint16:
            advice = "; 16 bits are not carried yet"
        raise InputError(f"{wanted}; this is {pixels.dtype} of shape {shape}{advice}")
    channels = pixels.shape[2] if pixels.ndim == 3 else None
    if pixels.ndim not in (2, 3) or channels not in (None, 1, 3):
        advice = ""
        if channels in (2, 4):
            advice = "; transparency is not carried yet: drop the last channel, or blend it over a background"
        elif pixels.ndim == 4:
            advice = "; pictures are coded one at a time"
        elif pixels.ndim == 3 and pixels.shape[0] in (1, 3):
            advice = "; channels come last: use np.moveaxis(a, 0, -1)"
        raise InputError(f"{wanted}; this has shape {shape}{advice}")
    if 0 in pixels.shape:
        raise InputError(f"a picture needs at least one pixel; this has shape {shape}")
    if max(pixels.shape[:2]) > MAX_SIDE:
        raise InputError(f"a picture may be {MAX_SIDE:,} pixels long on a side; this has shape {shape}")


def _check_size(width: int, height: int, max_pixels: int | None, name: str) -> None:
    if width < 1 or height < 1:
        raise PictureError(f"{name}: {width}x{height}: a picture without pixels")
    if max(width, height) > MAX_SIDE:
        raise PictureError(f"{name}: {width}x{height}: longer than {MAX_SIDE:,} pixels on a side")
    if max_pixels is not None and width * height > max_pixels:
        raise PictureError(
            f"{name}: {width}x{height}: more than the limit of {max_pixels:,} pixels "
            "(raise it with --max-pixels, max_pixels= in Python)"
        )


def _seekable(stream: IO[bytes]) -> bool:
    try:
        return stream.seekable()
    except AttributeError:
        return False


# --------------------------------------------------------------------------------------------- reading

# Only formats whose pixel depth and transparency are checked here; Pillow's others would be read blindly,
# and some of them run other programs.
_SIGNATURES: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n", re.S), "PNG", "PngImagePlugin"),
    (re.compile(rb"\xff\xd8\xff", re.S), "JPEG", "JpegImagePlugin"),
    (re.compile(rb"RIFF....WEBP", re.S), "WEBP", "WebPImagePlugin"),
    (re.compile(rb"....ftyp(avif|avis|mif1|msf1)", re.S), "AVIF", "AvifImagePlugin"),
    (re.compile(rb"II[*+]\0|MM\0[*+]", re.S), "TIFF", "TiffImagePlugin"),
    (re.compile(rb"BM", re.S), "BMP", "BmpImagePlugin"),
    (re.compile(rb"GIF8[79]a", re.S), "GIF", "GifImagePlugin"),
    (re.compile(rb"P[1-6f]\s|P[1-6]#", re.S), "PPM", "PpmImagePlugin"),
    (re.compile(rb"qoif", re.S), "QOI", "QoiImagePlugin"),
    (re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n", re.S), "JPEG2000", "Jpeg2KImagePlugin"),
)

_PILLOW_LIMIT = threading.Lock()


def _read(stream: IO[bytes], name: str, convert: bool, max_pixels: int) -> Picture:
    start = stream.tell()
    head = stream.read(32)
    stream.seek(start)
    if not head:
        raise PictureError(f"{name}: an empty file")
    found = next(((f, m) for pattern, f, m in _SIGNATURES if pattern.match(head)), None)
    if found is None:
        from glissando.bitstream.fields import SIGNATURE

        if head.startswith(SIGNATURE):
            raise PictureError(f"{name}: a compressed file already; use `glissando decode`")
        raise PictureError(f"{name}: not a picture in a format that can be read")
    if start:  # Pillow reads from the beginning of a file
        stream = io.BytesIO(stream.read())
    format, module = found
    try:
        with _pillow_without_its_limit():
            from PIL import Image

            importlib.import_module(f"PIL.{module}")
            with _damage(name):
                image: Image.Image = Image.open(stream, formats=(format,))
        with image:
            _check_size(image.width, image.height, max_pixels, name)
            depth = _depth(stream, image, format)
            return _from_pillow(image, convert=convert, name=name, depth=depth, stream=stream)
    except MemoryError:
        raise PictureError(f"{name}: too large for the memory of this machine") from None


@contextlib.contextmanager
def _pillow_without_its_limit() -> Iterator[None]:
    """Our own limit is checked instead, and the caller can raise it; Pillow's is one per process."""
    from PIL import Image

    with _PILLOW_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def _damage(name: str) -> Iterator[None]:
    """Whatever a decoder raises on bytes that it does not like, as an error of ours."""
    try:
        yield
    except (PictureError, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:  # the disk's fault, not the file's
            raise
        raise PictureError(f"{name}: {_reason(error)}") from error
    except Exception as error:  # struct.error, SyntaxError, IndexError, zlib.error...: depends on the plugin
        raise PictureError(f"{name}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if text.startswith("cannot identify image file"):
        text = "the header makes no sense"
    return f"damaged or cut short ({text})"


def _load(image: Image.Image, name: str) -> None:
    small = image.width * image.height <= 2**25
    with _damage(name), contextlib.nullcontext() if small else _pillow_without_its_limit():
        image.load()


def _from_pillow(
    image: Image.Image, *, convert: bool, name: str, depth: int, stream: IO[bytes] | None = None
) -> Picture:
    """Pixels, metadata and notes of a Pillow image whose header has been read."""
    notes: list[str] = []
    obstacles: list[str] = []
    with _damage(name):
        frames = int(getattr(image, "n_frames", 1))
    if frames > 1 and image.format == "MPO":
        # A photograph with a preview, a depth or gain map behind it, as many cameras and telephones write.
        notes.append(f"the first of the {frames} pictures in the file is kept (a multi-picture JPEG)")
    elif frames > 1:
        kind = "pages" if image.format == "TIFF" else "frames"
        obstacles.append(f"{frames} {kind} ({_article(image)})")
        notes.append(f"the first of {frames} {kind} is kept")
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        what = "floating-point" if image.mode == "F" else "32-bit"
        raise PictureError(f"{name}: {what} samples, which have no agreed white; scale them to 8 bits first")
    depth = max(depth, 16 if (image.mode.startswith("I") and depth == 8) or ";16" in _raw_mode(image) else 1)
    if depth > 8:
        obstacles.append(f"{depth} bits per sample")
        notes.append(f"{depth} bits per sample are scaled to 8")
        if "transparency" in image.info:
            raise PictureError(f"{name}: {depth} bits per sample with one transparent colour: not carried")
    if image.mode == "CMYK":
        obstacles.append("CMYK colours")
    elif image.mode in ("LAB", "HSV", "YCbCr"):
        obstacles.append(f"{image.mode} colours")
        notes.append(f"{image.mode} colours are converted to RGB")
    if obstacles and not convert:
        raise PictureError(f"{name}: {' and '.join(obstacles)}: not carried yet; to convert, {_HINT}")

    tiff_exif = None
    if image.format == "TIFF":  # whose orientation Pillow applies by itself while it loads the pixels
        with _damage(name):
            tiff_exif = _exif_of_tiff(image)
    low = _low_bytes(image, stream) if depth > 8 and stream is not None else None
    grey_alpha_16 = _is_grey_alpha_16(image)
    _load(image, name)

    info = image.info
    icc = _bytes_or_none(info.get("icc_profile"))
    xmp = _bytes_or_none(info.get("xmp"))
    if image.format == "TIFF":
        exif = tiff_exif
    elif "exif" in info:
        exif = _bytes_or_none(info["exif"])
    elif "Raw profile type exif" in info:  # how ImageMagick kept EXIF in PNG before PNG could
        exif = image.getexif().tobytes()
    else:
        exif = None
    exif = _without_prefix(exif)

    with _damage(name):
        if low is not None:
            image = _merge_low_bytes(image, low)
        elif image.mode.startswith("I"):
            image = _eight_bits(image, depth)
        if image.mode == "CMYK":
            image, note = _rgb_of_cmyk(image, icc)
            icc = None
            notes.append(note)
        image, blended = _opaque(image, grey_alpha_16)
        if blended and not convert:
            raise PictureError(f"{name}: transparency: not carried yet; to blend it over white, {_HINT}")
        if blended:
            notes.append("transparency is blended over white")
        if image.mode != "L":
            image = image.convert("L" if image.mode == "1" else "RGB")
        pixels = np.asarray(image)

    orientation, at = _orientation(exif)
    if orientation != 1 and exif is not None:
        pixels = _TURNS[orientation](pixels)
        exif = _with_orientation_1(exif, at)
    if xmp is not None:  # EXIF alone decides, as in browsers; XMP must not turn the picture once more
        xmp = re.sub(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[1-8]", rb"\g<1>1", xmp)
    if not pixels.flags.c_contiguous:
        pixels = np.ascontiguousarray(pixels)
    return Picture(pixels, icc=icc, exif=exif, xmp=xmp, notes=tuple(notes))


def _article(image: Image.Image) -> str:
    return {"TIFF": "a multi-page TIFF"}.get(image.format or "", f"an animated {image.format or 'picture'}")


def _bytes_or_none(value: object) -> bytes | None:
    if isinstance(value, str):
        value = value.encode()
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) and len(value) else None


# ------------------------------------------------------------------------------------- bits per sample


def _depth(stream: IO[bytes], image: Image.Image, format: str) -> int:
    """Bits per sample of the file; Pillow hands out 8 of 16 without a word for several formats."""
    if format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (1,))
        return max(bits) if isinstance(bits, tuple) else int(bits)
    if format not in ("PNG", "PPM", "AVIF", "JPEG2000"):
        return 8
    position = stream.tell()
    stream.seek(0)
    head = stream.read(2**20)
    stream.seek(position)
    if format == "PNG":
        return head[24]
    if format == "PPM":
        # magic, width, height, largest value; a comment runs from # to the end of its line
        fields = re.sub(rb"#[^\r\n]*", b" ", head[:4096]).split(maxsplit=4)
        largest = int(fields[3]) if head[1:2] in b"2356" and len(fields) > 3 and fields[3].isdigit() else 1
        return max(1, math.ceil(math.log2(largest + 1)))
    if format == "AVIF":  # AV1 codec configuration boxes: high_bitdepth and twelve_bit (AV1-ISOBMFF, 2.3.3)
        flags = [head[at + 6] for at in _all(head, b"av1C") if at + 6 < len(head)]
        return max((8 if not f & 0x40 else 12 if f & 0x20 else 10 for f in flags), default=8)
    at = head.find(b"\xff\x4f\xff\x51")  # JPEG 2000: SIZ marker segment (T.800, A.5.1)
    count = int.from_bytes(head[at + 40 : at + 42], "big")
    depths = head[at + 42 : at + 42 + 3 * count : 3]
    return max(((d & 0x7F) + 1 for d in depths), default=8) if at >= 0 else 8


def _all(data: bytes, what: bytes) -> Iterator[int]:
    at = data.find(what)
    while at >= 0:
        yield at
        at = data.find(what, at + 1)


def _raw_mode(image: Image.Image) -> str:
    """Pillow's name for the layout of the samples in the file; empty when they are in memory already."""
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else ""
    raw = raw[0] if isinstance(raw, tuple) and raw else raw
    return raw if isinstance(raw, str) else ""


def _eight_bits(image: Image.Image, depth: int) -> Image.Image:
    """Deep grey to 8 bits, rounded to nearest: v·255/65535 when samples have 16."""
    from PIL import Image

    # Pillow spreads samples over 16 bits by itself, except those of a TIFF.
    largest = 2**depth - 1 if image.format == "TIFF" and 8 < depth < 16 else 65535
    wide = np.clip(np.asarray(image).astype(np.int64), 0, largest)
    return Image.fromarray(((wide * 255 + largest // 2) // largest).astype(np.uint8))


def _low_bytes(image: Image.Image, stream: IO[bytes]) -> Image.Image | None:
    """The low bytes of 16-bit colour samples: Pillow keeps the high ones, so read once more, swapped."""
    from PIL import Image

    rawmode = _raw_mode(image)
    if not rawmode.endswith((";16B", ";16L")) or image.mode.startswith("I"):
        return None
    swapped = rawmode[:-1] + ("L" if rawmode.endswith("B") else "B")
    position = stream.tell()
    try:
        again: Any = Image.open(stream, formats=(image.format or "",))
        again.tile = [
            tile._replace(args=(swapped, *tile.args[1:]) if isinstance(tile.args, tuple) else swapped)
            for tile in again.tile
        ]
        with _pillow_without_its_limit():
            again.load()
        return again.copy()  # type: ignore[no-any-return]
    except Exception:  # no such unpacker (grey with alpha): the high bytes alone must do, within one level
        return None
    finally:
        stream.seek(position)


def _merge_low_bytes(high: Image.Image, low: Image.Image) -> Image.Image:
    from PIL import Image

    wide = np.asarray(high).astype(np.int32) * 256 + np.asarray(low)
    return Image.frombytes(high.mode, high.size, ((wide + 128) // 257).astype(np.uint8).tobytes())


def _is_grey_alpha_16(image: Image.Image) -> bool:
    """Pillow opens a PNG of 16-bit grey with alpha as RGBA, for want of a mode."""
    return image.mode == "RGBA" and _raw_mode(image) == "LA;16B"


# ---------------------------------------------------------------------------------- colour, transparency


def _opaque(image: Image.Image, grey_in_rgba: bool) -> tuple[Image.Image, bool]:
    """The image without alpha, blended over white, and whether that changed anything."""
    from PIL import Image

    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        grey = grey_in_rgba or image.mode in ("L", "1", "LA", "La")
        with_alpha = image if image.mode == "RGBA" else image.convert("RGBA")
        lowest, _ = with_alpha.getchannel("A").getextrema()
        blended = lowest != 255
        if blended:
            white = Image.new("RGBA", with_alpha.size, "white")
            with_alpha = Image.alpha_composite(white, with_alpha)
        return (with_alpha.getchannel("R") if grey else with_alpha.convert("RGB")), blended
    return image, False


def _rgb_of_cmyk(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, str]:
    if icc is not None:
        from PIL import ImageCms

        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            rgb = ImageCms.profileToProfile(
                image, profile, ImageCms.createProfile("sRGB"), ImageCms.Intent.PERCEPTUAL, "RGB"
            )
            if rgb is not None:
                rgb.info.clear()
                return rgb, "CMYK is converted to sRGB by the picture's own profile"
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB"), "CMYK is converted to RGB without a profile; colours are approximate"


# ------------------------------------------------------------------------------------------------ EXIF

_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
"""How to set upright the pixels of a picture with this EXIF orientation (Exif 2.32, 4.6.4, tag 0x0112)."""


def _without_prefix(exif: bytes | None) -> bytes | None:
    if exif is not None:
        while exif.startswith(b"Exif\0\0"):
            exif = exif[6:]
    return exif or None


def _orientation(exif: bytes | None) -> tuple[int, int]:
    """The orientation, 1 when there is none that makes sense, and where its entry begins."""
    if exif is None or exif[:4] not in (b"II*\0", b"MM\0*"):
        return 1, 0
    order: Any = "little" if exif[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(exif[at : at + size], order)

    start = number(4, 4)
    for at in range(start + 2, start + 2 + 12 * number(start, 2), 12):
        if at + 12 > len(exif):
            break
        if number(at, 2) == 0x0112:
            value = number(at + 8, 4 if number(at + 2, 2) == 4 else 2)
            return (value, at) if 1 <= value <= 8 else (1, at)
    return 1, 0


def _with_orientation_1(exif: bytes, at: int) -> bytes:
    """The same block with one number changed: maker notes hold offsets that no rewriting survives."""
    order: Any = "little" if exif[:2] == b"II" else "big"
    size = 4 if int.from_bytes(exif[at + 2 : at + 4], order) == 4 else 2
    return exif[: at + 8] + (1).to_bytes(size, order) + exif[at + 8 + size :]


# Of a TIFF's own directory, only what describes the picture and not how the file stores it.
_DESCRIBING_TAGS = (270, 271, 272, 305, 306, 315, 316, 33432)  # description, make, model ... copyright
_RESOLUTION_TAGS = (282, 283, 296)
_EXIF_DIRECTORIES = (0x8769, 0x8825)  # Exif, GPS


def _exif_of_tiff(image: Image.Image) -> bytes | None:
    from PIL import Image

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


# --------------------------------------------------------------------------------------------- writing


@dataclasses.dataclass(frozen=True, slots=True)
class _Writer:
    """How one format is written: Pillow's name for it, its options, and whether it carries metadata."""

    format: str
    module: str
    options: tuple[tuple[str, Any], ...] = ()
    metadata: bool = False
    longest: int | None = None
    largest_block: int | None = None


def _make_writers() -> dict[str, _Writer]:
    # zlib level 2: photographs grow by a tenth against the usual 6 and are written 2.7 times sooner.
    png = _Writer("PNG", "PngImagePlugin", (("compress_level", 2),), True)
    jpeg_options = (("quality", 95), ("subsampling", 0), ("optimize", True))
    jpeg = _Writer("JPEG", "JpegImagePlugin", jpeg_options, True, 65500, 65500)
    webp = _Writer("WEBP", "WebPImagePlugin", (("lossless", True), ("method", 4)), True, 16383)
    avif_options = (("quality", 90), ("subsampling", "4:4:4"), ("speed", 6))
    avif = _Writer("AVIF", "AvifImagePlugin", avif_options, True, 65536)
    tiff = _Writer("TIFF", "TiffImagePlugin", (("compression", "tiff_adobe_deflate"),), True)
    ppm = _Writer("PPM", "PpmImagePlugin")
    return {
        "png": png,
        "jpg": jpeg,
        "jpeg": jpeg,
        "webp": webp,
        "avif": avif,
        "tif": tiff,
        "tiff": tiff,
        "bmp": _Writer("BMP", "BmpImagePlugin"),
        "ppm": ppm,
        "pgm": ppm,
        "pnm": ppm,
    }


_WRITERS = _make_writers()


def _known_formats() -> str:
    return "known: " + ", ".join(_WRITERS)


def _encode(picture: Picture, writer: _Writer, name: str) -> tuple[bytes, tuple[str, ...]]:
    from PIL import Image

    importlib.import_module(f"PIL.{writer.module}")
    if writer.longest is not None and max(picture.width, picture.height) > writer.longest:
        raise PictureError(
            f"{name}: {picture.width}x{picture.height}: {writer.format} allows {writer.longest:,} on a side"
        )
    options, notes = _metadata(picture, writer)
    image = Image.fromarray(picture.pixels)
    out = io.BytesIO()
    try:
        image.save(out, writer.format, **{**dict(writer.options), **options})
    except (OSError, ValueError, OverflowError, SyntaxError, RuntimeError) as error:
        raise PictureError(f"{name}: {writer.format} cannot hold this picture ({error})") from error
    return out.getvalue(), tuple(notes)


def _metadata(picture: Picture, writer: _Writer) -> tuple[dict[str, Any], list[str]]:
    """Pillow's options for the metadata that the format carries, and a note for each that it does not."""
    from PIL import Image, PngImagePlugin

    blocks: dict[str, bytes] = {}
    notes: list[str] = []
    for key, title in (("icc", "ICC profile"), ("exif", "EXIF"), ("xmp", "XMP")):
        value: bytes | None = getattr(picture, key)
        if value is None:
            continue
        if not writer.metadata:
            notes.append(f"{writer.format} carries no {title}; left out")
        elif writer.largest_block is not None and key != "icc" and len(value) > writer.largest_block:
            notes.append(f"{title} of {len(value):,} bytes is too long for {writer.format}; left out")
        else:
            blocks[key] = value

    options: dict[str, Any] = {}
    if "icc" in blocks:
        options["icc_profile"] = blocks["icc"]
    if writer.format == "TIFF":  # EXIF and XMP are entries of its own directory
        directory = Image.Exif()
        if "exif" in blocks:
            try:
                directory.load(blocks["exif"])
                dict(directory)  # parses every entry
            except Exception:  # damaged EXIF came with the picture; other formats carry it as it is
                directory = Image.Exif()
                notes.append("EXIF is damaged, so TIFF cannot carry it; left out")
        if "xmp" in blocks:
            directory[700] = blocks["xmp"]
        if len(directory):
            directory[0x0112] = 1
            if any(tag in directory for tag in _EXIF_DIRECTORIES):
                options["compression"] = "raw"  # Pillow fails to write these directories through libtiff
            options["exif"] = directory
        return options, notes
    if "exif" in blocks:
        options["exif"] = b"Exif\0\0" + blocks["exif"]
    if "xmp" in blocks and writer.format == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", blocks["xmp"].decode("utf-8", "replace"))
        options["pnginfo"] = text
    elif "xmp" in blocks:
        options["xmp"] = blocks["xmp"]
    return options, notes
