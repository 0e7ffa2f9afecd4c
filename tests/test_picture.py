from __future__ import annotations

import io
import os
import struct
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from glissando.errors import InputError, PictureError
from glissando.picture import Picture, as_picture, read_picture, writable_formats, write_picture

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


def test_transparency():
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[0, 0], alpha[1, 1] = 0, 128
    over_white = np.where(alpha[:, :, None] == 255, RGB, 0)
    blend = (RGB[1, 1] * 128.0 + 255 * 127) / 255
    picture = _refused_then_converted(saved(Image.fromarray(np.dstack([RGB, alpha])), "PNG"), "transparency")
    assert (picture.pixels[0, 0] == 255).all()
    assert np.abs(picture.pixels[1, 1] - blend).max() <= 1
    mask = alpha == 255
    np.testing.assert_array_equal(picture.pixels[mask], over_white[mask])

    grey = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])
    picture = _refused_then_converted(saved(grey, "PNG"), "transparency")
    assert picture.format.grey
    assert picture.pixels[0, 0] == 255
    np.testing.assert_array_equal(picture.pixels[mask], GREY[mask])

    palette = Image.fromarray(RGB).quantize(8)
    for format in ("PNG", "GIF"):
        _refused_then_converted(saved(palette, format, transparency=palette.getpixel((0, 0))), "transparency")
    keyed = saved(Image.fromarray(RGB), "PNG", transparency=tuple(int(v) for v in RGB[2, 2]))
    picture = _refused_then_converted(keyed, "transparency")
    assert (picture.pixels[2, 2] == 255).all()
    never = saved(Image.fromarray(np.full((3, 3, 3), 9, np.uint8)), "PNG", transparency=(1, 2, 3))
    assert read_picture(never).notes == ()


WIDE = np.random.default_rng(2).integers(0, 65536, (5, 7, 4), dtype=np.uint16)
WIDE[0, :, :] = (np.arange(7) * 257)[:, None]  # 8-bit values scaled up come back as they were
WIDE[1, 0], WIDE[1, 1], WIDE[1, 2] = 65535, 65407, 128


def _rounded(wide):
    return np.floor(wide * 255.0 / 65535 + 0.5).astype(np.uint8)


def test_sixteen_bits():
    picture = _refused_then_converted(png(WIDE[:, :, :3], 2), "16 bits per sample")
    np.testing.assert_array_equal(picture.pixels, _rounded(WIDE[:, :, :3]))
    picture = _refused_then_converted(png(WIDE[:, :, 0], 0), "16 bits per sample")
    np.testing.assert_array_equal(picture.pixels, _rounded(WIDE[:, :, 0]))
    opaque = WIDE.copy()
    opaque[:, :, 3] = 65535
    picture = _refused_then_converted(png(opaque, 6), "16 bits per sample")
    np.testing.assert_array_equal(picture.pixels, _rounded(WIDE[:, :, :3]))
    assert len(picture.notes) == 1
    assert len(_refused_then_converted(png(WIDE, 6), "16 bits").notes) == 2
    picture = _refused_then_converted(png(opaque[:, :, 2:], 4), "16 bits per sample")
    assert picture.format.grey
    assert np.abs(picture.pixels.astype(int) - _rounded(WIDE[:, :, 2])).max() <= 1

    for head, samples in ((b"P6", WIDE[:, :, :3]), (b"P5", WIDE[:, :, 0])):
        stream = io.BytesIO(head + b"\n# a comment\n7 5\n65535\n" + samples.astype(">u2").tobytes())
        picture = _refused_then_converted(stream, "16 bits per sample")
        assert np.abs(picture.pixels.astype(int) - _rounded(samples)).max() <= 1
    ten = io.BytesIO(b"P5 7 5 1023 " + (WIDE[:, :, 0] >> 6).astype(">u2").tobytes())
    picture = _refused_then_converted(ten, "10 bits per sample")
    assert np.abs(picture.pixels.astype(int) - _rounded(WIDE[:, :, 0])).max() <= 1

    for compression in ("raw", "tiff_lzw"):
        stream = saved(Image.fromarray(WIDE[:, :, 0].copy()), "TIFF", compression=compression)
        picture = _refused_then_converted(stream, "16 bits per sample")
        np.testing.assert_array_equal(picture.pixels, _rounded(WIDE[:, :, 0]))


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
    picture = _refused_then_converted(tiff16(order, WIDE[:, :, :3]), "16 bits per sample")
    np.testing.assert_array_equal(picture.pixels, _rounded(WIDE[:, :, :3]))


def test_deep_avif_and_jpeg_2000():
    imagecodecs = pytest.importorskip("imagecodecs", reason="writes the deep test pictures")
    deep = np.ascontiguousarray(WIDE[:, :, :3] >> 6).repeat(8, axis=0).repeat(8, axis=1)
    for encode in ("avif_encode", "jpeg2k_encode"):
        try:
            options = {"bitspersample": 10}
            data = getattr(imagecodecs, encode)(deep, **options)
        except Exception as error:
            pytest.skip(f"imagecodecs: {error}")
        _refused_then_converted(io.BytesIO(data), "10 bits per sample")


def test_deep_with_a_transparent_colour_is_refused():
    stream = png(WIDE[:, :, 0], 0, extra=png_chunk(b"tRNS", struct.pack(">H", 7)))
    with pytest.raises(PictureError, match="one transparent colour"):
        read_picture(stream, convert=True)


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
    picture = read_picture(saved(Image.fromarray(RGB), "PNG"))
    assert picture.width == 7
    assert Image.MAX_IMAGE_PIXELS == 10


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
    with pytest.raises(PictureError, match="16 bits"):
        as_picture(Image.open(png(WIDE[:, :, :3], 2)))
    assert as_picture(Image.open(png(WIDE[:, :, 0], 0)), convert=True).format.grey


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (RGB.astype(np.float32), "float32 of shape 5x7x3; scale"),
        (RGB.astype(np.uint16), "uint16 of shape 5x7x3"),
        (GREY.astype(np.int64), "int64 of shape 5x7"),
        (GREY > 3, "bool of shape 5x7"),
        (RGB[:, :, :2], "shape 5x7x2; transparency"),
        (np.zeros((5, 7, 4), np.uint8), "shape 5x7x4; transparency"),
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
