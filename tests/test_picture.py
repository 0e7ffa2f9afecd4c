from __future__ import annotations

import importlib.util
import io
import locale
import os
import struct
import sys
import threading
import types
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile, ImageOps

from glissando.errors import InputError, PictureError
from glissando.picture import (
    Picture,
    as_picture,
    encode_picture,
    read_picture,
    scaled,
    writable_formats,
    write_picture,
)

RGB = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RGB[:, :, 0].copy()
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:D tiff:Orientation="6" dc:title="K\xc3\xb6ln"/></x:xmpmeta>'
UPRIGHT_XMP = XMP.replace(b'Orientation="6"', b'Orientation="1"')


def exif_block(orientation: int | None = 1, order: str = "<", long: bool = False) -> bytes:
    """A TIFF header, one directory: Make, and an orientation."""
    make = b"Glissando\0"
    entries = []
    count = 1 + (orientation is not None)
    heap = 8 + 2 + 12 * count + 4
    entries.append(struct.pack(f"{order}HHII", 0x010F, 2, len(make), heap))
    if orientation is not None:
        value = struct.pack(f"{order}I", orientation) if long else struct.pack(f"{order}HH", orientation, 0)
        entries.append(struct.pack(f"{order}HHI", 0x0112, 4 if long else 3, 1) + value)
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}I", 8) + struct.pack(f"{order}H", count) + b"".join(entries) + bytes(4) + make


def saved(image: Image.Image, format: str, **options: object) -> io.BytesIO:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    stream.seek(0)
    return stream


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples: np.ndarray, colour_type: int, extra: bytes = b"") -> io.BytesIO:
    """A PNG with 16 bits per sample, which Pillow cannot write."""
    height, width = samples.shape[:2]
    raw = samples.astype(">u2").reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in raw)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return io.BytesIO(
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


# ------------------------------------------------------------------------------------------ round trips


@pytest.mark.parametrize("pixels", [RGB, GREY], ids=["rgb", "grey"])
@pytest.mark.parametrize("format", ["png", "webp", "tif", "tiff", "bmp", "ppm", "pgm", "pnm"])
def test_lossless_formats_give_the_pixels_back(tmp_path, pixels, format):
    path = tmp_path / f"a.{format}"
    assert write_picture(Picture(pixels), path) == ()
    back = read_picture(path)
    if format == "webp":  # WebP has no grey: equal channels come back
        wanted = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    else:
        wanted = pixels
        assert back.format.grey == (pixels.ndim == 2)
    np.testing.assert_array_equal(back.pixels, wanted)
    assert (back.width, back.height, back.icc, back.exif, back.xmp, back.notes) == (
        7,
        5,
        None,
        None,
        None,
        (),
    )


@pytest.mark.parametrize("format", ["jpg", "jpeg", "avif"])
@pytest.mark.parametrize("grey", [False, True])
def test_lossy_formats_come_close(tmp_path, format, grey):
    y, x = np.mgrid[0:40, 0:60]
    pixels = np.stack([x * 4, y * 5, x + y], axis=2).astype(np.uint8)
    pixels = pixels[:, :, 0].copy() if grey else pixels
    write_picture(Picture(pixels), tmp_path / f"a.{format}")
    back = read_picture(tmp_path / f"a.{format}")
    assert back.pixels.shape == pixels.shape or format == "avif"
    assert np.abs(back.pixels[..., :].reshape(40, 60, -1) - pixels.reshape(40, 60, -1).astype(int)).mean() < 2


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "avif", "tiff"])
def test_metadata_survive(tmp_path, format):
    exif = exif_block()
    path = tmp_path / f"a.{format}"
    assert write_picture(Picture(RGB, icc=ICC, exif=exif, xmp=UPRIGHT_XMP), path) == ()
    back = read_picture(path)
    assert back.icc == ICC
    assert back.xmp == UPRIGHT_XMP
    if format in ("tiff", "avif"):  # rewritten by Pillow
        assert back.exif is not None
        assert Image.open(path).getexif()[0x010F].rstrip("\0") == "Glissando"
    else:
        assert back.exif == exif
    np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(Image.open(path))).shape, RGB.shape)


def test_metadata_of_a_tiff_describe_the_picture_and_not_the_file():
    exif = Image.Exif()
    exif[0x010F] = "Glissando"
    exif.get_ifd(0x8769)[0x829A] = 0.01
    exif = exif.tobytes()
    stream = saved(Image.fromarray(RGB), "TIFF", exif=exif)
    block = read_picture(stream).exif
    assert block is not None
    kept = Image.Exif()
    kept.load(block)
    assert kept[0x010F] == "Glissando"
    assert float(kept.get_ifd(0x8769)[0x829A]) == pytest.approx(0.01)
    assert not {256, 257, 258, 259, 273, 279} & set(kept)
    for format in ("tiff", "png", "jpg", "webp", "avif"):
        again = io.BytesIO()
        assert write_picture(Picture(RGB, exif=block), again, format=format) == ()
        again.seek(0)
        found = Image.open(again).getexif()
        assert float(found.get_ifd(0x8769)[0x829A]) == pytest.approx(0.01)
    assert read_picture(saved(Image.fromarray(RGB), "TIFF", dpi=(72, 72))).exif is None


def test_what_a_format_cannot_carry_is_announced(tmp_path):
    picture = Picture(RGB, icc=ICC, exif=exif_block(), xmp=XMP)
    notes = write_picture(picture, tmp_path / "a.ppm")
    assert [note.split(" carries no ")[1] for note in notes] == [
        f"{k}; left out" for k in ("ICC profile", "EXIF", "XMP")
    ]
    notes = write_picture(Picture(RGB, exif=exif_block() + bytes(70_000), iptc=bytes(70_000)), tmp_path / "a.jpg")
    assert len(notes) == 2
    assert "too long for JPEG" in notes[0]
    assert "too long for JPEG" in notes[1]
    assert write_picture(Picture(RGB, exif=b"MM rubbish"), tmp_path / "a.png") == ()
    assert "damaged" in " ".join(write_picture(Picture(RGB, exif=b"MM rubbish"), tmp_path / "a.tif"))


# ------------------------------------------------------------------------------------------ orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp", "avif"])
def test_all_orientations_come_out_upright(orientation, format):
    shape = (24, 40, 3) if orientation < 5 else (40, 24, 3)
    pixels = np.zeros(shape, np.uint8)
    pixels[: shape[0] // 2, :, 0] = 250
    pixels[:, : shape[1] // 2, 1] = 250
    options: dict[str, object] = {"exif": b"Exif\0\0" + exif_block(orientation)}
    options |= {"webp": {"lossless": True}, "jpeg": {"quality": 100, "subsampling": 0}}.get(format, {})
    options |= {"avif": {"quality": 100, "subsampling": "4:4:4"}}.get(format, {})
    stream = saved(Image.fromarray(pixels), format, **options)
    picture = read_picture(stream)
    expected = ImageOps.exif_transpose(Image.open(stream)).convert("RGB")
    np.testing.assert_array_equal(picture.pixels, np.asarray(expected))
    assert picture.pixels.shape == (24, 40, 3)
    assert picture.pixels.flags.c_contiguous
    if picture.exif is not None:
        kept = Image.Exif()
        kept.load(picture.exif)
        assert kept.get(0x0112, 1) == 1
        assert kept[0x010F] == "Glissando"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("long", [False, True])
def test_resetting_the_orientation_changes_one_number(order, long):
    stream = saved(Image.fromarray(RGB), "PNG", exif=exif_block(6, order, long))
    picture = read_picture(stream)
    assert picture.pixels.shape == (7, 5, 3)
    assert picture.exif == exif_block(1, order, long)


def test_orientation_in_xmp_follows():
    def read(value):
        exif = exif_block(value)
        return read_picture(saved(Image.fromarray(RGB), "WEBP", lossless=True, exif=exif, xmp=XMP)).xmp

    assert read(6) == read(1) == UPRIGHT_XMP


def test_no_orientation_and_nonsense_orientation():
    for value in (None, 0, 9, 65535):
        picture = read_picture(saved(Image.fromarray(RGB), "PNG", exif=exif_block(value)))
        np.testing.assert_array_equal(picture.pixels, RGB)
        assert picture.exif == exif_block(value)


@given(st.binary(max_size=60))
def test_damaged_exif_is_carried_and_never_fatal(tail):
    for head in (b"II*\0", b"MM\0*\0\0\0\x08\0\x01", b""):
        exif = head + tail
        image = Image.fromarray(RGB)
        image.info["exif"] = exif
        picture = as_picture(image)
        assert picture.exif is None or len(picture.exif) <= len(exif)


# -------------------------------------------------------------------------------------------- conversions


def test_lossless_conversions_need_no_permission():
    palette = Image.fromarray(RGB).quantize(16)
    np.testing.assert_array_equal(read_picture(saved(palette, "PNG")).pixels, np.asarray(palette.convert("RGB")))
    np.testing.assert_array_equal(read_picture(saved(palette, "GIF")).pixels, np.asarray(palette.convert("RGB")))
    bits = Image.fromarray(GREY).convert("1")
    for format in ("PNG", "BMP", "PPM", "TIFF"):
        picture = read_picture(saved(bits, format))
        np.testing.assert_array_equal(picture.pixels, np.asarray(bits.convert("L")))
        assert picture.notes == ()
    opaque = np.dstack([RGB, np.full(GREY.shape, 255, np.uint8)])
    for format in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True, "exact": True} if format == "WEBP" else {}
        picture = read_picture(saved(Image.fromarray(opaque), format, **options))
        np.testing.assert_array_equal(picture.pixels, RGB)
        assert picture.notes == ()
    grey = Image.merge("LA", [Image.fromarray(GREY), Image.new("L", (7, 5), 255)])
    np.testing.assert_array_equal(read_picture(saved(grey, "PNG")).pixels, GREY)


def _refused_then_converted(stream: io.BytesIO, what: str) -> Picture:
    with pytest.raises(PictureError, match=what) as caught:
        read_picture(stream)
    assert "--convert" in str(caught.value)
    assert "convert=True" in str(caught.value)
    stream.seek(0)
    picture = read_picture(stream, convert=True)
    assert picture.notes
    return picture


def test_transparency_is_read_from_whatever_has_it():
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[0, 0], alpha[1, 1] = 0, 128
    rgba, grey = np.dstack([RGB, alpha]), np.dstack([GREY, alpha])
    for pixels in (rgba, grey):
        for format in ("PNG", "TIFF"):
            picture = read_picture(saved(Image.fromarray(pixels), format))
            np.testing.assert_array_equal(picture.pixels, pixels)
            assert picture.notes == ()
            assert picture.format.alpha == "straight"
            np.testing.assert_array_equal(picture.alpha, alpha)
            np.testing.assert_array_equal(picture.colour, RGB if picture.pixels.shape[2] == 4 else GREY)
        np.testing.assert_array_equal(as_picture(Image.fromarray(pixels)).pixels, pixels)
        assert as_picture(pixels).pixels is pixels
    webp = read_picture(saved(Image.fromarray(rgba), "WEBP", lossless=True, exact=True))
    np.testing.assert_array_equal(webp.pixels, rgba)
    avif = read_picture(saved(Image.fromarray(rgba.repeat(8, 0).repeat(8, 1)), "AVIF", quality=100))
    assert np.abs(avif.alpha.astype(int) - alpha.repeat(8, 0).repeat(8, 1)).max() <= 2

    palette = Image.fromarray(RGB).quantize(8)
    for format in ("PNG", "GIF"):
        picture = read_picture(saved(palette, format, transparency=palette.getpixel((0, 0))))
        hidden = np.asarray(palette) == palette.getpixel((0, 0))
        np.testing.assert_array_equal(picture.alpha, np.where(hidden, 0, 255))
        np.testing.assert_array_equal(picture.colour[~hidden], np.asarray(palette.convert("RGB"))[~hidden])
    each = read_picture(saved(palette, "PNG", transparency=bytes(range(0, 256, 36))))
    np.testing.assert_array_equal(each.alpha, np.asarray(palette) * 36)
    keyed = read_picture(saved(Image.fromarray(RGB), "PNG", transparency=tuple(int(v) for v in RGB[2, 2])))
    np.testing.assert_array_equal(keyed.alpha, np.where((RGB[2, 2] == RGB).all(axis=2), 0, 255))
    keyed = read_picture(saved(Image.fromarray(GREY), "PNG", transparency=int(GREY[2, 2])))
    np.testing.assert_array_equal(keyed.pixels, np.dstack([GREY, np.where(GREY[2, 2] == GREY, 0, 255)]))
    never = saved(Image.fromarray(np.full((3, 3, 3), 9, np.uint8)), "PNG", transparency=(1, 2, 3))
    assert read_picture(never).format.alpha == "none"


def test_colours_multiplied_by_their_opacity_are_divided():
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[0, 0], alpha[1] = 0, 128
    for mode, pixels in (("RGBA", np.dstack([RGB, alpha])), ("LA", np.dstack([GREY, alpha]))):
        multiplied = Image.fromarray(pixels).convert(mode.replace("A", "a"))
        picture = as_picture(multiplied)
        assert picture.pixels.shape == pixels.shape
        seen = alpha > 0
        assert np.abs(picture.pixels[seen].astype(int) - pixels[seen]).max() <= 2
        np.testing.assert_array_equal(picture.alpha, alpha)


@pytest.mark.parametrize("format", ["png", "tiff", "webp", "avif", "jpg", "bmp", "ppm"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_format_has_what_it_can_of_depth_and_opacity(format, kind, channels):
    top = np.iinfo(kind).max
    pixels = np.random.default_rng(4).integers(0, top + 1, (40, 33, channels), dtype=kind).squeeze()
    stream = io.BytesIO()
    notes = write_picture(Picture(pixels), stream, format=format)
    stream.seek(0)
    back = read_picture(stream)
    deep, opaque = format in ("png", "tiff"), format in ("jpg", "bmp", "ppm")
    most = 16 if deep else 12 if format == "avif" and importlib.util.find_spec("imagecodecs") else 8
    assert back.depth == (most if kind is np.uint16 else 8)
    assert (back.format.alpha == "none") == (channels in (1, 3) or opaque)
    assert any(f"{most} bits per sample" in note for note in notes) == (kind is np.uint16 and not deep)
    assert any("over white" in note for note in notes) == (channels in (2, 4) and opaque)
    if deep:
        wanted = pixels
        if format == "tiff" and kind is np.uint16 and channels == 2:  # nobody reads such grey
            wanted = pixels[:, :, [0, 0, 0, 1]]
        np.testing.assert_array_equal(back.pixels, wanted)
    if format == "webp" and kind is np.uint8 and channels == 4:
        np.testing.assert_array_equal(back.pixels, pixels)
    if format == "ppm" and channels == 4:
        share = pixels[..., 3:] / top
        blend = (pixels[..., :3] * share + top * (1 - share)) * 255 / top
        assert np.abs(back.pixels - blend).max() <= 1


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_files_of_sixteen_bits_carry_metadata_as_others_do(format):
    exif, pixels = exif_block(), (RGB.astype(np.uint16) * 257)
    stream = io.BytesIO()
    assert write_picture(Picture(pixels, icc=ICC, exif=exif, xmp=UPRIGHT_XMP), stream, format=format) == ()
    stream.seek(0)
    back = read_picture(stream)
    np.testing.assert_array_equal(back.pixels, pixels)
    assert (back.icc, back.xmp, back.notes) == (ICC, UPRIGHT_XMP, ())
    assert back.exif is not None


@given(st.integers(1, 140), st.integers(1, 9), st.integers(1, 4), st.integers(0, 9))
def test_sixteen_bits_of_any_size(height, width, channels, smooth):
    imagecodecs = pytest.importorskip("imagecodecs", reason="reads what we write, independently of Pillow")
    pixels = np.random.default_rng(height).integers(0, 65536, (height, width, channels), dtype=np.uint16) >> smooth
    stream = io.BytesIO()
    write_picture(Picture(pixels), stream, format="png")
    np.testing.assert_array_equal(imagecodecs.png_decode(stream.getvalue()).reshape(pixels.shape), pixels)
    for format in ("png", "tiff"):
        stream = io.BytesIO()
        write_picture(Picture(pixels), stream, format=format)
        stream.seek(0)
        back = read_picture(stream).pixels.reshape(height, width, -1)
        grey = format == "tiff" and channels == 2
        np.testing.assert_array_equal(back, pixels[:, :, [0, 0, 0, 1]] if grey else pixels)


@pytest.mark.parametrize("depth", [9, 10, 12, 15, 16])
def test_depths_between_are_scaled_to_sixteen_and_come_back(depth):
    top = 2**depth - 1
    pixels = np.random.default_rng(5).integers(0, top + 1, (9, 8, 3)).astype(np.uint16)
    pixels[0, 0], pixels[0, 1] = 0, top
    stream = io.BytesIO()
    assert write_picture(Picture(pixels, depth=depth), stream, format="png") == ()
    stream.seek(0)
    wide = read_picture(stream).pixels
    assert (wide[0, 0] == 0).all()
    assert (wide[0, 1] == 65535).all()
    np.testing.assert_array_equal(scaled(wide, 16, depth), pixels)


WIDE = np.random.default_rng(2).integers(0, 65536, (5, 7, 4), dtype=np.uint16)
WIDE[1, 0], WIDE[1, 1], WIDE[1, 2] = 65535, 65407, 128


def _same(stream: io.BytesIO, wanted: np.ndarray, depth: int = 16) -> None:
    data = stream.getvalue()
    for picture in (read_picture(io.BytesIO(data)), as_picture(Image.open(io.BytesIO(data)))):
        assert (picture.depth, picture.notes, picture.pixels.dtype) == (depth, (), np.uint16)
        np.testing.assert_array_equal(picture.pixels, wanted)


def test_sixteen_bits():
    opaque = WIDE.copy()
    opaque[:, :, 3] = 65535
    _same(png(WIDE[:, :, :3], 2), WIDE[:, :, :3])
    _same(png(WIDE[:, :, 0], 0), WIDE[:, :, 0])
    _same(png(WIDE, 6), WIDE)
    _same(png(opaque, 6), WIDE[:, :, :3])
    _same(png(WIDE[:, :, 2:], 4), WIDE[:, :, 2:])
    _same(png(opaque[:, :, 2:], 4), WIDE[:, :, 2])
    _same(io.BytesIO(b"P5\n# a comment\n7 5\n65535\n" + WIDE[:, :, 0].astype(">u2").tobytes()), WIDE[:, :, 0])
    ten = WIDE[:, :, 0] >> 6
    _same(io.BytesIO(b"P5 7 5 1023 " + ten.astype(">u2").tobytes()), scaled(ten, 10, 16))
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate"):
        stream = saved(Image.fromarray(WIDE[:, :, 0].copy()), "TIFF", compression=compression)
        _same(stream, WIDE[:, :, 0])


@pytest.mark.parametrize(("channels", "kind"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_interlaced_sixteen_bits(channels, kind):
    pixels = WIDE[:, :, :channels].squeeze()
    rows = b""
    for y, x, down, right in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)):
        rows += b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels[y::down, x::right])
    rows += b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels[1::2])
    header = struct.pack(">IIBBBBB", 7, 5, 16, kind, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    _same(io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)), pixels)


def test_one_transparent_colour_of_sixteen_bits():
    near = WIDE.copy()
    near[0, :2] = near[2, 2] ^ 1  # the same high bytes
    key = near[2, 2]
    for pixels, kind, chunk in (
        (near[:, :, 0], 0, struct.pack(">H", int(key[0]))),
        (near[:, :, :3], 2, struct.pack(">3H", *map(int, key[:3]))),
    ):
        picture = read_picture(png(pixels, kind, extra=png_chunk(b"tRNS", chunk)))
        np.testing.assert_array_equal(picture.colour, pixels)
        assert np.argwhere(picture.alpha == 0).tolist() == [[2, 2]]
        assert np.count_nonzero(picture.alpha == 65535) == picture.alpha.size - 1


def test_deep_samples_that_nobody_reads_need_a_permission():
    stream = io.BytesIO(b"P6 7 5 65535 " + WIDE[:, :, :3].astype(">u2").tobytes())
    picture = _refused_then_converted(stream, "16 bits per sample")
    assert picture.depth == 8
    assert np.abs(picture.pixels.astype(int) - WIDE[:, :, :3] / 257).max() <= 1


def tiff16(order: str, samples: np.ndarray) -> io.BytesIO:
    """An uncompressed RGB TIFF with 16 bits per sample."""
    height, width, channels = samples.shape
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, 0), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, 0), (277, 3, 1, channels), (278, 3, 1, height), (279, 4, 1, samples.size * 2)]
    heap = 8 + 2 + 12 * len(tags) + 4
    body = b""
    for tag, kind, count, value in tags:
        value = heap if tag == 258 else heap + 2 * channels if tag == 273 else value
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
        body += struct.pack(f"{order}HHI", tag, kind, count) + packed
    bits = struct.pack(f"{order}{channels}H", *[16] * channels)
    head = b"II*\0" if order == "<" else b"MM\0*"
    head += struct.pack(f"{order}IH", 8, len(tags))
    return io.BytesIO(head + body + bytes(4) + bits + samples.astype(f"{order}u2").tobytes())


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_colour_tiff(order):
    _same(tiff16(order, WIDE[:, :, :3]), WIDE[:, :, :3])


def test_grey_tiff_whose_zero_is_white():
    stream = saved(Image.fromarray(WIDE[:, :, 0].copy()), "TIFF", tiffinfo={262: 0})
    _same(stream, WIDE[:, :, 0] if Image.open(stream).tag_v2[262] == 1 else 65535 - WIDE[:, :, 0])


def test_deep_avif_heic_and_jpeg_2000(monkeypatch):
    imagecodecs = pytest.importorskip("imagecodecs", reason="writes the deep test pictures")
    deep = (WIDE >> 6).repeat(8, axis=0).repeat(8, axis=1)
    for channels in (1, 3, 4):
        pixels = np.ascontiguousarray(deep[:, :, :channels]).squeeze()
        data = imagecodecs.avif_encode(pixels, level=100, bitspersample=10)
        picture = read_picture(io.BytesIO(data))
        assert (picture.depth, picture.notes) == (10, ())
        np.testing.assert_array_equal(picture.pixels, pixels)
    grey = np.ascontiguousarray(deep[:, :, 0])
    picture = read_picture(io.BytesIO(imagecodecs.jpeg2k_encode(grey, bitspersample=10, reversible=True)))
    assert picture.depth == 10
    np.testing.assert_array_equal(picture.pixels, grey)
    rgb = imagecodecs.jpeg2k_encode(np.ascontiguousarray(deep[:, :, :3]), bitspersample=10)
    assert _refused_then_converted(io.BytesIO(rgb), "10 bits per sample").depth == 8
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert _refused_then_converted(io.BytesIO(data), "10 bits per sample .with the package imagecodecs").depth == 8


def test_samples_without_a_white_are_refused():
    for array in (GREY.astype(np.float32), GREY.astype(np.int32)):
        with pytest.raises(PictureError, match="no agreed white"):
            read_picture(saved(Image.fromarray(array), "TIFF"), convert=True)


def test_cmyk():
    cmyk = Image.fromarray(np.full((8, 8, 3), (200, 30, 60), np.uint8)).convert("CMYK")
    picture = _refused_then_converted(saved(cmyk, "JPEG", quality=100), "CMYK")
    assert np.abs(picture.pixels.astype(int) - (200, 30, 60)).max() < 12
    assert "without a profile" in picture.notes[0]
    stream = saved(cmyk, "TIFF", icc_profile=b"not a profile")
    assert read_picture(stream, convert=True).icc is None
    with pytest.raises(PictureError, match="LAB"):
        read_picture(saved(Image.new("LAB", (3, 3)), "TIFF"))


def test_animation():
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "green", "blue")]
    for format in ("GIF", "PNG", "WEBP", "AVIF"):
        stream = saved(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
        picture = _refused_then_converted(stream, "3 frames")
        assert np.abs(picture.pixels[0, 0].astype(int) - (255, 0, 0)).max() < 6
        assert "the first of 3 frames is kept" in picture.notes
    stream = saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    _refused_then_converted(stream, "3 pages")


def test_a_multi_picture_jpeg_is_its_first_picture():
    stream = saved(Image.new("RGB", (6, 4), "red"), "MPO", save_all=True, append_images=[Image.new("RGB", (3, 2))])
    picture = read_picture(stream)
    assert picture.pixels.shape == (4, 6, 3)
    assert "the first of the 2 pictures" in picture.notes[0]


# ----------------------------------------------------------------------------------------------- bad files


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bad_files(tmp_path):
    def message(data: bytes, name: str = "bad.png", **options: int) -> str:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(PictureError) as caught:
            read_picture(tmp_path / name, **options)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert isinstance(caught.value, ValueError)
        return str(caught.value)[len(f"{tmp_path / name}: ") :]

    assert message(b"") == "an empty file"
    assert message(b"hello, this is text, not a picture") == "not a picture in a format that can be read"
    assert message(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n") == "not a picture in a format that can be read"
    assert message(b"\x89GLS\r\n\x1a\n....") == "a compressed file already; use `glissando decode`"
    good = saved(Image.fromarray(RGB.repeat(9, axis=0).repeat(9, axis=1)), "PNG").getvalue()
    for cut in (20, 40, len(good) // 2, len(good) - 30):
        assert message(good[:cut]).startswith("damaged or cut short (")
    assert message(good[:60] + bytes(20) + good[80:]).startswith("damaged or cut short (")
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    bomb += png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    assert message(bomb).startswith("60000x60000: more than the limit of 268,435,456 pixels (raise it")
    assert "limit of 314" in message(saved(Image.new("L", (45, 7)), "PNG").getvalue(), max_pixels=314)
    for format in ("JPEG", "WEBP", "TIFF", "AVIF", "BMP", "GIF", "PPM", "JPEG2000"):
        data = saved(Image.fromarray(RGB.repeat(9, axis=0).repeat(9, axis=1)), format).getvalue()
        assert message(data[: len(data) * 2 // 3]).startswith("damaged or cut short (")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_flipped_bits_raise_picture_errors_or_nothing():
    random = np.random.default_rng(3)
    for format in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000"):
        data = np.frombuffer(saved(Image.fromarray(RGB), format).getvalue(), np.uint8)
        for _ in range(60):
            bad = data.copy()
            bad[random.integers(0, len(bad), 3)] ^= random.integers(1, 256, 3, dtype=np.uint8)
            try:
                picture = read_picture(io.BytesIO(bad.tobytes()), convert=True, max_pixels=10**6)
            except PictureError:
                continue
            assert picture.pixels.dtype == np.uint8


def test_missing_and_unreadable(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError):
        read_picture(tmp_path)
    with pytest.raises(FileNotFoundError):
        write_picture(Picture(RGB), tmp_path / "none" / "a.png")


def test_the_limit_is_ours_and_pillows_stays(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for format in ("PNG", "JPEG", "TIFF", "BMP", "PPM", "AVIF", "GIF", "JPEG2000"):
        assert read_picture(saved(Image.fromarray(RGB), format)).width == 7
    wide = saved(Image.fromarray(np.full((9, 9), 40_000, np.uint16)), "PNG")
    assert read_picture(wide).format.depth == 16
    np.testing.assert_array_equal(read_picture(saved(Image.fromarray(RGB), "TIFF", compression="tiff_lzw")).pixels, RGB)
    with pytest.raises(PictureError, match=r"x: larger than Pillow allows .* PIL.Image.MAX_IMAGE_PIXELS"):
        read_picture(saved(Image.fromarray(RGB), "WEBP"), name="x")  # its plugin looks at the limit itself


def test_no_switch_of_the_process_is_touched(monkeypatch):
    """Not even for an instant, in which another thread may see it."""

    class Sealed(types.ModuleType):
        def __setattr__(self, name, value):
            raise AssertionError(f"{name} is set")

    deep = io.BytesIO(encode_picture(Picture(np.full((9, 9, 3), 40_000, np.uint16)), "png")[0])
    files = [deep, *(saved(Image.fromarray(RGB), format) for format in ("PNG", "JPEG", "WEBP", "TIFF", "GIF"))]
    before = warnings.filters[:], dict(os.environ), locale.setlocale(locale.LC_ALL)
    for module in (Image, ImageFile):
        monkeypatch.setattr(module, "__class__", Sealed)
    try:
        for file in files:
            assert read_picture(file, convert=True).pixels.size
    finally:
        for module in (Image, ImageFile):
            types.ModuleType.__setattr__(module, "__class__", types.ModuleType)
    assert (warnings.filters[:], dict(os.environ), locale.setlocale(locale.LC_ALL)) == before


class _Endless(io.RawIOBase):
    """A pipe whose writer does not stop, as that of ``yes``."""

    def __init__(self, start=b""):
        self.start, self.given = start, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        data = (self.start + b"y" * len(buffer))[: len(buffer)]
        self.start = self.start[len(data) :]
        buffer[:] = data
        self.given += len(data)
        return len(data)


def test_a_pipe_without_end_is_left(monkeypatch):
    endless = _Endless()
    with pytest.raises(PictureError, match="x: not a picture"):
        read_picture(endless, name="x")
    assert endless.given == 64
    monkeypatch.setattr("glissando.files.pipes.MOST", 2**22)
    with pytest.raises(InputError, match="x: more than 4,194,304 bytes come from a pipe"):
        read_picture(_Endless(b"\x89PNG\r\n\x1a\n"), name="x")


def test_streams_that_cannot_seek(tmp_path):
    data = saved(Image.fromarray(RGB), "PNG").getvalue()
    read, write = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(write, data), os.close(write)))
    writer.start()
    with open(read, "rb") as stream:
        np.testing.assert_array_equal(read_picture(stream).pixels, RGB)
    writer.join()
    stream = io.BytesIO(b"before" + data)
    stream.seek(6)
    np.testing.assert_array_equal(read_picture(stream, name="x").pixels, RGB)


def test_writing_streams_and_formats(tmp_path):
    stream = io.BytesIO()
    write_picture(Picture(RGB), stream, format=".PNG")
    stream.seek(0)
    np.testing.assert_array_equal(read_picture(stream).pixels, RGB)
    write_picture(Picture(RGB), tmp_path / "odd.name", format="bmp")
    assert (tmp_path / "odd.name").read_bytes()[:2] == b"BM"
    for name in ("a", "a.gif", "a.xyz"):
        with pytest.raises(PictureError, match=r"png, jpg"):
            write_picture(Picture(RGB), tmp_path / name)
    with pytest.raises(PictureError, match="16,383 on a side"):
        write_picture(Picture(np.zeros((1, 16384), np.uint8)), tmp_path / "a.webp")
    assert os.listdir(tmp_path) == ["odd.name"]
    assert {"png", "jpg", "webp", "tiff", "bmp", "ppm", "avif"} <= set(writable_formats())


# --------------------------------------------------------------------------------------------------- arrays


def test_arrays():
    assert as_picture(RGB).pixels is RGB
    assert as_picture(GREY).format.grey
    assert as_picture(GREY[:, :, None]).pixels.shape == (5, 7)
    picture = Picture(RGB)
    assert as_picture(picture) is picture
    np.testing.assert_array_equal(as_picture(Image.fromarray(RGB)).pixels, RGB)
    image = Image.open(saved(Image.fromarray(RGB), "PNG", exif=exif_block(6), icc_profile=ICC))
    picture = as_picture(image)
    assert picture.pixels.shape == (7, 5, 3)
    assert picture.icc == ICC
    assert as_picture(WIDE).depth == 16
    assert as_picture(WIDE >> 6, depth=10).depth == 10
    big_endian = as_picture(WIDE.astype(">u2"))
    assert big_endian.pixels.dtype == np.uint16
    np.testing.assert_array_equal(big_endian.pixels, WIDE)
    assert as_picture(WIDE[:, :, :1] >> 4, depth=12).pixels.shape == (5, 7)


@pytest.mark.parametrize(
    ("source", "depth", "message"),
    [
        (WIDE, 10, "which has more than 10 bits"),
        (WIDE, 8, "samples of 8 bits are uint8, not uint16"),
        (RGB, 10, "samples of 10 bits are uint16, not uint8"),
        (RGB, 7, "depth is 8 to 16"),
        (WIDE, 17, "depth is 8 to 16"),
        (WIDE, "10", "depth is 8 to 16"),
        (Image.fromarray(RGB), 8, "depth is for arrays"),
        (Picture(RGB), 8, "depth is for arrays"),
    ],
)
def test_depths_that_do_not_fit(source, depth, message):
    with pytest.raises(InputError, match=message):
        as_picture(source, depth=depth)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (RGB.astype(np.float32), "float32 of shape 5x7x3; scale"),
        (RGB.astype(np.uint32), "uint32 of shape 5x7x3"),
        (GREY.astype(np.int64), "int64 of shape 5x7"),
        (GREY > 3, "bool of shape 5x7"),
        (np.zeros((4, 5, 7), np.uint16), "shape 4x5x7; channels come last"),
        (np.zeros((5, 7, 5), np.uint8), "shape 5x7x5"),
        (np.zeros((3, 5, 7), np.uint8), "shape 3x5x7; channels come last"),
        (np.zeros((1, 5, 7, 3), np.uint8), "one at a time"),
        (np.zeros(5, np.uint8), "shape 5"),
        (np.zeros((), np.uint8), "no"),
        (np.zeros((0, 7, 3), np.uint8), "at least one pixel; this has shape 0x7x3"),
        (np.zeros((5, 0), np.uint8), "at least one pixel"),
        (np.broadcast_to(np.uint8(0), (1, 2**24)), "16,777,215"),
        ([[0, 1]], "not list"),
        (None, "not NoneType"),
        ("photo.png", "not str"),
    ],
)
def test_arrays_that_are_no_pictures(array, message):
    with pytest.raises(InputError, match=message) as caught:
        as_picture(array)
    assert isinstance(caught.value, ValueError)


@given(st.integers(1, 40), st.integers(1, 40), st.booleans(), st.sampled_from(["png", "tiff", "bmp", "ppm"]))
def test_any_size(width, height, grey, format):
    shape = (height, width) if grey else (height, width, 3)
    pixels = np.random.default_rng(width).integers(0, 256, shape, dtype=np.uint8)
    stream = io.BytesIO()
    write_picture(Picture(pixels), stream, format=format)
    stream.seek(0)
    np.testing.assert_array_equal(read_picture(stream).pixels, pixels)
