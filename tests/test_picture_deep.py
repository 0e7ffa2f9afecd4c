"""Pictures of more than 8 bits in formats that Pillow does not read as such, and what stands beside their colours."""

from __future__ import annotations

import io
import struct
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from glissando.errors import PictureError
from glissando.picture import Cicp, Picture, as_picture, read_picture, scaled, write_picture
from glissando.picture.alpha import divided_by_opacity
from glissando.picture.deep_avif import encode_deep_avif
from glissando.picture.icc import of_cicp
from glissando.picture.jxl import read_jxl

Samples = NDArray[np.uint16]
EXIF = b"II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x03\0\0\0Me\0\0\0\0\0\0"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = of_cicp(Cicp(1, 4), grey=True)


def ramps(channels: int, depth: int = 16) -> Samples:
    """Smooth ramps of 40 rows and 56 columns, the last channel in both directions."""
    y, x = np.mgrid[:40, :56]
    wide = np.stack([x * 1170, y * 1600, 65535 - x * 1000, 20000 + x * 400 + y * 500], axis=2)[:, :, 4 - channels :]
    return scaled(wide.astype(np.uint16), 16, depth).squeeze()


# JPEG XL -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def imagecodecs() -> object:
    pytest.importorskip("pillow_jxl", reason="reads JPEG XL")
    return pytest.importorskip("imagecodecs", reason="writes JPEG XL of more than 8 bits, and reads it")


@pytest.mark.parametrize("depth", [10, 12, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_jpeg_xl(imagecodecs, monkeypatch, depth, channels):
    pixels = ramps(channels, depth)
    data = imagecodecs.jpegxl_encode(pixels, lossless=True, bitspersample=depth)
    assert read_jxl(io.BytesIO(data)).depth == depth
    picture = read_picture(io.BytesIO(data))
    assert (picture.depth, picture.notes) == (depth, ())
    np.testing.assert_array_equal(picture.pixels, pixels)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    if channels == 1:  # which the plugin reads as 16 bits
        np.testing.assert_array_equal(scaled(read_picture(io.BytesIO(data)).pixels, 16, depth), pixels)
        return
    with pytest.raises(PictureError, match=f"{depth} bits per sample .with the package imagecodecs they are kept"):
        read_picture(io.BytesIO(data))
    converted = read_picture(io.BytesIO(data), convert=True)
    assert (converted.depth, converted.notes) == (8, (f"{depth} bits per sample are scaled to 8",))


def test_jpeg_xl_of_eight_bits_and_of_real_numbers(imagecodecs):
    for channels in (1, 3):
        data = imagecodecs.jpegxl_encode(ramps(channels, 8), lossless=True)
        assert read_jxl(io.BytesIO(data)).depth == 8
        assert read_picture(io.BytesIO(data)).depth == 8
        real = imagecodecs.jpegxl_encode((ramps(channels) / 65535).astype(np.float32))
        with pytest.raises(PictureError, match=("32 bits per sample" if channels > 1 else "no agreed white")):
            read_picture(io.BytesIO(real))


def test_an_animated_jpeg_xl_is_told(imagecodecs):
    frames = np.stack([np.full((40, 56, 3), value, np.uint8) for value in (10, 200, 90)])
    data = imagecodecs.jpegxl_encode(frames, lossless=True)
    with pytest.raises(PictureError, match=r"picture: several frames \(an animated JPEG XL\): .* use --convert"):
        read_picture(io.BytesIO(data))
    picture = read_picture(io.BytesIO(data), convert=True)
    assert picture.notes == ("of several frames the last is kept, which is what the decoder shows",)
    np.testing.assert_array_equal(picture.pixels, frames[2])


def in_parts(codestream: bytes, *lengths: int) -> bytes:
    """A container with a codestream in several boxes."""
    parts, at = [], 0
    for number, length in enumerate([*lengths, len(codestream)]):
        part = codestream[at : at + length]
        at += length
        number |= (at >= len(codestream)) << 31
        parts.append(struct.pack(">I4sI", 12 + len(part), b"jxlp", number) + part)
    head = bytes.fromhex("0000000c 4a584c20 0d0a870a 00000014 66747970 6a786c20 00000000 6a786c20")
    return head + b"".join(parts)


def test_the_size_of_a_jpeg_xl_in_parts_is_not_guessed(imagecodecs):
    """The decoder decodes whatever size there is, so that a wrong one would leave pixels without a limit."""
    codestream = imagecodecs.jpegxl_encode(np.zeros((1311, 777, 3), np.uint8), lossless=True)
    assert codestream.startswith(b"\xff\x0a")
    for lengths in ((2, 1, 1), (3,), (0, 4, 2), (60,)):
        data = in_parts(codestream, *lengths)
        found = read_jxl(io.BytesIO(data))
        assert (found.width, found.height) == (777, 1311)
        with pytest.raises(PictureError, match="777x1311: more than the limit of 10"):
            read_picture(io.BytesIO(data), max_pixels=10)
        assert read_picture(io.BytesIO(data)).width == 777
    for cut in range(2, 6):
        with pytest.raises(PictureError, match="cut short"):
            read_jxl(io.BytesIO(codestream[:cut]))


def test_compressed_metadata_of_jpeg_xl(imagecodecs, monkeypatch):
    image, stream, xmp = Image.fromarray(ramps(3, 8)), io.BytesIO(), b"<x>" + b"a" * 300 + b"</x>"
    image.save(stream, "JXL", lossless=True, use_container=True, exif=EXIF, xmp=xmp, compress_metadata=True)
    data = stream.getvalue()
    assert data.count(b"brob") == 2
    picture = read_picture(io.BytesIO(data))
    assert (picture.exif, picture.xmp, picture.notes) == (EXIF, xmp, ())
    with_offset = imagecodecs.brotli_encode(bytes(4) + EXIF)
    box = struct.pack(">I8s", 12 + len(with_offset), b"brobExif") + with_offset
    assert read_picture(io.BytesIO(data[:32] + box + data[32:])).exif == EXIF
    for content, note in (
        (b"Exifjunk", "compressed EXIF is damaged or too long; left out"),
        (b"xml " + imagecodecs.brotli_encode(bytes(2**24 + 1)), "compressed XMP is damaged or too long; left out"),
        (b"jumbjunk", "compressed metadata of the type 'jumb' are not carried; left out"),
    ):
        box = struct.pack(">I4s", 8 + len(content), b"brob") + content
        found = read_picture(io.BytesIO(data[:32] + box + data[32:]))
        assert found.notes == (note,)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    picture = read_picture(io.BytesIO(data))
    assert (picture.exif, picture.xmp) == (None, None)
    assert picture.notes == tuple(
        f"compressed {name} needs the package imagecodecs, which is not installed; left out" for name in ("EXIF", "XMP")
    )


# AVIF --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "written"), [(9, 10), (10, 10), (12, 12), (16, 12)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_deep_avif_is_written_with_its_metadata(depth, written, channels):
    pytest.importorskip("imagecodecs", reason="codes the samples")
    picture = Picture(ramps(channels, depth), depth=depth, icc=GREY if channels < 3 else SRGB, exif=EXIF, xmp=b"<x/>")
    stream = io.BytesIO()
    notes = write_picture(picture, stream, format="avif")
    assert notes == (("AVIF carries 12 bits per sample; 16 bits are rounded",) if depth == 16 else ())
    back = read_picture(io.BytesIO(stream.getvalue()))
    assert (back.depth, back.notes) == (written, ())
    assert (back.icc, back.exif, back.xmp) == (picture.icc, EXIF, b"<x/>")
    assert back.pixels.shape == picture.pixels.shape
    difference = back.pixels.astype(int) - scaled(picture.pixels, depth, written)
    assert np.abs(difference).max() <= 5 * 2 ** (written - 8)
    with Image.open(io.BytesIO(stream.getvalue())) as image:  # by Pillow alone
        image.load()
        shown = np.asarray(image).reshape(40, 56, -1)[..., -1]
    of_eight = scaled(picture.pixels, depth, 8).reshape(40, 56, -1)[..., -1]
    assert np.abs(shown.astype(int) - of_eight).max() <= 5
    coloured = io.BytesIO()
    write_picture(Picture(picture.pixels, depth=depth, cicp=Cicp(9, 16)), coloured, format="avif")
    assert read_picture(io.BytesIO(coloured.getvalue())).cicp == Cicp(9, 16)


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_deep_avif_is_turned_once(orientation):
    """Pillow tells the turn of the boxes "irot" and "imir" as EXIF; imagecodecs leaves pixels as they are coded."""
    pytest.importorskip("imagecodecs", reason="codes the samples")
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "speed": 6, "subsampling": "4:4:4", "exif": exif.tobytes()}
    data = encode_deep_avif(ramps(3, 10), 10, options)
    assert b"irot" in data
    turned = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.abs(read_picture(io.BytesIO(data)).pixels.astype(int) // 4 - turned).max() <= 3


def test_without_its_package_avif_has_eight_bits(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    stream = io.BytesIO()
    notes = write_picture(Picture(ramps(3)), stream, format="avif")
    assert notes == ("AVIF carries 8 bits per sample (12 with the package imagecodecs); 16 bits are rounded",)
    assert read_picture(io.BytesIO(stream.getvalue())).depth == 8


def test_avif_files_that_are_not_alike_are_refused(monkeypatch):
    imagecodecs = pytest.importorskip("imagecodecs", reason="codes the samples")
    encode = imagecodecs.avif_encode
    for change in (
        lambda data: data.replace(b"iprp", b"xxxx"),
        lambda data: data.replace(b"av1C", b"xxxx"),
        lambda data: data.replace(b"iloc" + bytes(4) + b"\x44", b"iloc" + bytes(4) + b"\x88"),
        lambda data: data.replace(b"\x44\0\0\1\0\1", b"\x44\0\0\1\0\7"),
    ):
        monkeypatch.setattr(imagecodecs, "avif_encode", lambda *a, change=change, **o: change(encode(*a, **o)))
        with pytest.raises(PictureError, match=r"AVIF cannot hold this picture \(libavif"):
            write_picture(Picture(ramps(3)), io.BytesIO(), format="avif")


# HEIC --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [10, 12])
@pytest.mark.parametrize(("mode", "channels"), [("I;16", 1), ("RGB;16", 3), ("RGBA;16", 4), ("RGBa;16", 4)])
def test_deep_heic(monkeypatch, depth, mode, channels):
    heif = pytest.importorskip("pillow_heif", reason="writes and reads HEIC")
    monkeypatch.setattr(heif.options, "SAVE_HDR_TO_12_BIT", depth == 12)
    straight = ramps(channels)
    stored = straight
    if mode == "RGBa;16":
        stored = np.rint(straight * (straight[..., 3:] / 65535)).astype(np.uint16)
        stored[..., 3] = straight[..., 3]
    stream = io.BytesIO()
    heif.from_bytes(mode, (56, 40), stored.tobytes()).save(stream, quality=-1, chroma=444)
    stream.seek(0)
    picture = read_picture(stream)
    assert (picture.depth, picture.notes) == (depth, ())
    assert picture.pixels.shape == straight.shape
    allowed = (2 if mode != "RGBa;16" else 6) * 2 ** (depth - 10)  # its colours are not coded as red, green and blue
    assert np.abs(picture.pixels.astype(int) - scaled(straight, 16, depth)).max() <= allowed


def test_division_by_opacity():
    samples = np.array([[[0, 0, 0, 0], [50, 7, 0, 100], [900, 5, 1, 3]]], np.uint16)
    found = divided_by_opacity(samples, 10)
    assert found.tolist() == [[[0, 0, 0, 0], [512, 72, 0, 100], [1023, 1023, 341, 3]]]


# TIFF --------------------------------------------------------------------------------------------------------------


def tiff(samples: NDArray[np.unsignedinteger], extra: tuple[int, ...], order: str = "<") -> bytes:
    """An uncompressed RGB TIFF whose channels beyond the third are of these kinds (ExtraSamples)."""
    height, width, channels = samples.shape
    size = samples.dtype.itemsize
    tags = [(256, 3, [width]), (257, 3, [height]), (258, 3, [8 * size] * channels), (259, 3, [1]), (262, 3, [2]),
            (273, 4, [0]), (277, 3, [channels]), (278, 3, [height]), (279, 4, [samples.nbytes])]  # fmt: skip
    tags += [(338, 3, list(extra))] if extra else []
    at, entries, heap = 8 + 2 + 12 * len(tags) + 4, b"", b""
    total = sum(2 * len(values) for _, kind, values in tags if kind == 3 and len(values) > 2)
    for tag, kind, values in tags:
        numbers = [at + total] if tag == 273 else values
        packed = struct.pack(f"{order}{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
        if len(packed) > 4:
            heap += packed
            packed = struct.pack(f"{order}I", at + len(heap) - len(packed))
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return head + entries + bytes(4) + heap + samples.astype(samples.dtype.newbyteorder(order)).tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("depth", [8, 16])
def test_channels_of_tiff_beyond_colours(order, depth):
    samples = ramps(4, depth)
    straight = read_picture(io.BytesIO(tiff(samples, (2,), order)))
    np.testing.assert_array_equal(straight.pixels, samples)
    assert straight.notes == ()

    other = read_picture(io.BytesIO(tiff(samples, (0,), order)))
    np.testing.assert_array_equal(other.pixels, samples[..., :3])
    assert other.notes == ("the last 1 of 4 channels are neither colour nor opacity; left out",)

    multiplied = np.rint(samples * (samples[..., 3:] / (2**depth - 1))).astype(samples.dtype)
    multiplied[..., 3] = samples[..., 3]
    divided = read_picture(io.BytesIO(tiff(multiplied, (1,), order)))
    assert divided.depth == depth
    np.testing.assert_array_equal(divided.alpha, samples[..., 3])
    assert np.abs(divided.colour.astype(int) - samples[..., :3]).max() <= 3
    assert divided.notes == ()


# Damage and arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_a_cut_file_of_sixteen_bits_is_called_damaged(format, channels):
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 65536, (40, 56, channels), dtype=np.uint16)
    write_picture(Picture(pixels), stream, format=format)
    data = stream.getvalue()
    for convert in (False, True):
        with pytest.raises(PictureError, match="damaged or cut short"):
            read_picture(io.BytesIO(data[: len(data) * 2 // 3]), convert=convert)


def test_pixels_of_a_png_may_be_in_several_chunks(monkeypatch):
    monkeypatch.setattr("glissando.picture.sixteen._LONGEST_CHUNK", 500)
    pixels = np.random.default_rng(0).integers(0, 65536, (40, 56, 3), dtype=np.uint16)
    stream = io.BytesIO()
    write_picture(Picture(pixels, icc=b"profile" * 200), stream, format="png")
    assert stream.getvalue().count(b"IDAT") > 20
    assert stream.getvalue().count(b"iCCP") == 1
    np.testing.assert_array_equal(read_picture(io.BytesIO(stream.getvalue())).pixels, pixels)


def test_a_depth_may_be_a_number_of_numpy():
    picture = as_picture(ramps(3, 10), depth=np.int64(10))
    assert (picture.depth, type(picture.depth)) == (10, int)
