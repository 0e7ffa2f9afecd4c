"""Colours that are not sRGB come back as what they were, whichever format they come in and go out as."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from glissando.codec.metadata import boxes_of, metadata_in
from glissando.picture import Cicp, Picture, as_picture, read_picture, write_picture
from glissando.picture.av1 import cicp_in
from glissando.picture.colour_tags import PRIMARIES, TRANSFER_NAMES, cicp_of
from glissando.picture.icc import colour_space, fitting, of_chromaticities, of_cicp
from glissando.picture.isobmff import read_boxes

RGB = np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8)
GREY = RGB[:, :, 0].copy()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = (0.3127, 0.3290, 0.15, 0.06, 0.30, 0.60, 0.64, 0.33)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray, *chunks: bytes) -> io.BytesIO:
    """A PNG with more chunks behind its header."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    data = stream.getvalue()
    return io.BytesIO(data[:33] + b"".join(chunks) + data[33:])


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 / gamma)))


def chrm(points: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * p) for p in points)))


def written(picture: Picture, format: str) -> bytes:
    stream = io.BytesIO()
    assert write_picture(picture, stream, format=format) == ()
    return stream.getvalue()


def in_srgb(pixels: np.ndarray, icc: bytes) -> np.ndarray:
    """What pixels under a profile look like, as LittleCMS converts them."""
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    mode = "L" if pixels.ndim == 2 else "RGB"
    image = Image.fromarray(pixels)
    converted = ImageCms.profileToProfile(image, source, target, ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB")
    assert image.mode == mode
    return np.asarray(converted).astype(int)


def curve_of_gamma(gamma: float, levels: np.ndarray) -> np.ndarray:
    """What samples of a pure power are in sRGB."""
    light = (levels / 255) ** gamma
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


# ------------------------------------------------------------------------------------------------------ PNG


def test_a_gamma_of_1_6_is_carried_as_a_profile_and_looks_the_same():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for pixels in (levels, np.repeat(levels[:, :, None], 3, 2)):
        picture = read_picture(png(pixels, gama(1.6)))
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.notes == ()
        assert picture.cicp is None
        assert picture.icc is not None
        assert colour_space(picture.icc) == ("GRAY" if pixels.ndim == 2 else "RGB")
        seen = in_srgb(pixels, picture.icc)
        error = np.abs(seen[..., 1] - curve_of_gamma(1.6, levels))
        assert error[levels >= 16].max() <= 1
        assert error.max() <= (1 if pixels.ndim == 3 else 3)  # LittleCMS is less exact in its darkest grey


def test_swapped_primaries_are_carried_as_a_profile_and_looks_the_same():
    picture = read_picture(png(RGB, gama(2.2), chrm(SWAPPED)))
    assert picture.icc is not None
    assert picture.notes == ()
    unswapped = read_picture(png(RGB, gama(2.2), chrm(PRIMARIES[1][1])))
    assert unswapped.cicp == Cicp(1, 4)
    profile = of_cicp(Cicp(1, 4), grey=False)
    assert profile is not None
    assert np.abs(in_srgb(RGB, picture.icc) - in_srgb(RGB[:, :, ::-1].copy(), profile)).max() <= 1


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((), None),
        ((chunk(b"sRGB", b"\0"), gama(2.2), chrm(PRIMARIES[1][1])), None),
        ((chrm(PRIMARIES[1][1]),), None),
        ((gama(2.2),), Cicp(1, 4)),
        ((gama(1.0),), Cicp(1, 8)),
        ((chrm(PRIMARIES[9][1]),), Cicp(9, 13)),
        ((gama(2.2), chrm(PRIMARIES[12][1])), Cicp(12, 4)),
        ((chunk(b"cICP", bytes([9, 16, 0, 1])),), Cicp(9, 16)),
        ((chunk(b"cICP", bytes([12, 13, 0, 1])), gama(1.6)), Cicp(12, 13)),
        ((chunk(b"cICP", bytes([1, 13, 0, 1])), gama(1.6)), None),
        ((chunk(b"cICP", bytes([2, 18, 0, 1])),), Cicp(1, 18)),
    ],
)
def test_chunks_that_code_points_say(chunks, expected):
    picture = read_picture(png(RGB, *chunks))
    assert (picture.cicp, picture.icc, picture.notes) == (expected, None, ())
    again = read_picture(io.BytesIO(written(picture, "png")))
    assert (again.cicp, again.icc) == (expected, None)


def test_an_icc_profile_wins_over_gamma_and_stands_beside_code_points():
    iccp = chunk(b"iCCP", b"p\0\0" + zlib.compress(SRGB))
    picture = read_picture(png(RGB, iccp, gama(1.6)))
    assert (picture.icc, picture.cicp) == (SRGB, None)
    picture = read_picture(png(RGB, chunk(b"cICP", bytes([9, 16, 0, 1])), iccp))
    assert (picture.icc, picture.cicp) == (SRGB, Cicp(9, 16))


def test_chunks_of_no_colours_cost_a_note():
    for bad in (
        chunk(b"gAMA", bytes(4)),
        chunk(b"gAMA", b"\0"),
        chunk(b"cHRM", bytes(32)),
        chunk(b"cHRM", b"\xff" * 32),
        chunk(b"cICP", bytes([9, 16, 9, 1])),
        chunk(b"cICP", b"\x09"),
    ):
        picture = read_picture(png(RGB, bad))
        np.testing.assert_array_equal(picture.pixels, RGB)
        assert (picture.icc, picture.cicp) == (None, None)
        assert len(picture.notes) == 1
        assert "left out" in picture.notes[0]
    narrow = read_picture(png(RGB, chunk(b"cICP", bytes([9, 16, 0, 0]))))
    np.testing.assert_array_equal(narrow.pixels, RGB)
    assert narrow.cicp == Cicp(9, 16)
    assert narrow.notes == (
        "chunk cICP says that samples have a narrow range; they are kept, and taken for the full range",
    )


def test_an_open_pillow_image_tells_its_gamma_too():
    picture = as_picture(Image.open(png(RGB, gama(1.6), chrm(SWAPPED))))
    assert picture.icc == read_picture(png(RGB, gama(1.6), chrm(SWAPPED))).icc
    assert as_picture(Image.open(png(RGB, gama(2.2)))).cicp == Cicp(1, 4)


# ------------------------------------------------------------------------------------------- AVIF and HEIF


def avif(pixels: np.ndarray, cicp: Cicp) -> bytes:
    stream = io.BytesIO()
    write_picture(Picture(pixels, cicp=cicp), stream, format="avif")
    return stream.getvalue()


@pytest.mark.parametrize("points", [Cicp(9, 16), Cicp(9, 18), Cicp(12, 13), Cicp(1, 8), Cicp(9, 14)])
def test_code_points_of_avif_are_read_and_written(points):
    data = avif(RGB, points)
    assert read_boxes(io.BytesIO(data)).cicp == points
    picture = read_picture(io.BytesIO(data))
    assert (picture.cicp, picture.icc, picture.notes) == (points, None, ())
    assert read_picture(io.BytesIO(avif(RGB, Cicp(1, 13)))).cicp is None
    plain = io.BytesIO(written(Picture(RGB), "avif"))
    np.testing.assert_array_equal(picture.pixels, read_picture(plain).pixels)  # a tag and nothing else


def test_an_open_pillow_image_tells_what_is_in_the_boxes_too(tmp_path):
    data = avif(RGB, Cicp(9, 16))
    assert as_picture(Image.open(io.BytesIO(data))).cicp == Cicp(9, 16)
    (tmp_path / "a.avif").write_bytes(data)
    image = Image.open(tmp_path / "a.avif")
    assert as_picture(image).cicp == Cicp(9, 16)
    assert as_picture(image).cicp is None  # Pillow has closed the file


def without_code_points(data: bytes) -> bytes:
    """The file with a property in their place that no reader knows."""
    assert b"colrnclx" in data
    return data.replace(b"colrnclx", b"freenclx")


@pytest.mark.parametrize("points", [Cicp(9, 16), Cicp(12, 13), Cicp(1, 13)])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_code_points_that_the_coded_data_of_avif_alone_tell(points, channels, bits):
    imagecodecs = pytest.importorskip("imagecodecs", reason="writes them there")
    pixels = np.tile(np.arange(64, dtype=np.uint8 if bits == 8 else np.uint16), (48, 1))
    pixels = pixels if channels == 1 else np.repeat(pixels[:, :, None], channels, 2)
    data = imagecodecs.avif_encode(
        pixels, level=90, bitspersample=bits, primaries=points.primaries, transfer=points.transfer, matrix=6
    )
    bare = without_code_points(data)
    assert read_boxes(io.BytesIO(bare)).cicp is None
    assert cicp_in(read_boxes(io.BytesIO(bare)).coded) == points
    picture = read_picture(io.BytesIO(bare))
    assert picture.cicp == (points if points.tells_something else None)
    assert read_picture(io.BytesIO(data)).cicp == picture.cicp
    assert picture.notes == ()


def test_a_profile_wins_over_the_coded_data_of_avif():
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, "AVIF", icc_profile=SRGB)
    picture = read_picture(io.BytesIO(stream.getvalue()))
    assert (picture.icc, picture.cicp) == (SRGB, None)


def bits(*numbers: tuple[int, int]) -> bytes:
    """Numbers of so many bits one after the other, and zeros to the end of the byte."""
    text = "".join(f"{value:0{count}b}" for value, count in numbers)
    return int(text.ljust(-len(text) % 8 + len(text), "0"), 2).to_bytes(-(-len(text) // 8), "big")


def test_all_that_may_come_before_colours_in_a_sequence_header():
    whole = [(2, 3), (0, 1), (0, 1)]
    whole += [(1, 1), (7, 32), (9, 32), (1, 1), (1, 3), (2, 2)]  # times, and a number of variable length
    whole += [(1, 1), (3, 5), (0, 32), (0, 10)]  # a model of a decoder
    whole += [(1, 1), (1, 5)]  # two operating points
    whole += [(0, 12), (8, 5), (1, 1), (1, 1), (5, 4), (6, 4), (1, 1), (1, 1), (9, 4)]
    whole += [(0, 12), (3, 5), (0, 1), (0, 1)]
    whole += [(3, 4), (4, 4), (8, 4), (17, 5), (1, 1), (0, 7), (0, 3)]
    whole += [(0, 4), (1, 1), (0, 2), (0, 1), (1, 1), (0, 1), (0, 1), (6, 3), (0, 3)]
    whole += [(1, 1), (1, 1), (0, 1), (1, 1), (9, 8), (18, 8)]
    content = bits(*whole)
    units = b"\x12\x00" + b"\x3e\x08\x81\x00x" + b"\x0a" + bytes([len(content)]) + content
    assert cicp_in(units) == Cicp(9, 18)
    assert cicp_in(b"\x08" + content) == Cicp(9, 18)  # a unit that does not tell its length ends where the data end
    reduced = bits((1, 3), (1, 1), (1, 1), (3, 5), (3, 4), (3, 4), (0, 8), (0, 6), (0, 1), (1, 1), (12, 8), (13, 8))
    assert cicp_in(b"\x0a" + bytes([len(reduced)]) + reduced) == Cicp(12, 13)
    for cut in range(len(units)):
        assert cicp_in(units[:cut]) is None
    assert cicp_in(b"\x12\x00" * 10_000 + units) is None


@given(st.binary(max_size=100))
def test_any_bytes_tell_code_points_or_none(junk):
    for data in (junk, b"\x0a\x40" + junk, b"\x08" + junk):
        found = cicp_in(data)
        assert found is None or max(found.primaries, found.transfer) < 256


def test_a_picture_in_parts_has_the_coded_data_of_its_first():
    """Item 1 is put together of the items 3 and 2; its data say how, those of item 3 begin a picture."""

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    for version, id_size in ((1, 2), (2, 4)):

        def number(value: int, size: int = id_size) -> bytes:
            return value.to_bytes(size, "big")

        def entry(item: int, method: int, start: int, length: int) -> bytes:
            return number(item) + struct.pack(">HHIHII", method, 0, 100, 1, start, length)

        wide = b"\1" if id_size == 4 else b"\0"
        iref = box(b"iref", wide + bytes(3) + box(b"dimg", number(1) + b"\0\2" + number(3) + number(2)))
        items = entry(1, 1, 0, 8) + entry(2, 0, 900, 5) + entry(3, 0, 500, 7)
        iloc = box(b"iloc", bytes([version]) + bytes(3) + b"\x44\x40" + number(3) + items)
        pitm = box(b"pitm", wide + bytes(3) + number(1))
        meta = box(b"meta", bytes(4) + pitm + iref + iloc + box(b"idat", bytes(100) + b"how it is"))
        data = meta.ljust(600, b"\0") + b"first part" + bytes(1000)
        assert read_boxes(io.BytesIO(data)).coded == b"first p"
        alone = data.replace(b"dimg", b"thmb")
        assert read_boxes(io.BytesIO(alone)).coded == b"how it i"


def test_code_points_of_heic_are_read():
    pillow_heif = pytest.importorskip("pillow_heif", reason="writes the test picture")
    heif = pillow_heif.from_pillow(Image.fromarray(RGB.repeat(4, 0).repeat(4, 1)))
    stream = io.BytesIO()
    heif.save(stream, nclx_profile={"color_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9,
                                    "full_range_flag": 1}, save_nclx_profile=True)  # fmt: skip
    assert read_boxes(stream).cicp == Cicp(9, 16)
    stream.seek(0)
    assert read_picture(stream).cicp == Cicp(9, 16)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_boxes_tell_nothing(junk, at):
    data = avif(RGB[:2, :2], Cicp(9, 16))
    found = read_boxes(io.BytesIO(data[:at] + junk + data[at + len(junk) :]))
    assert found.cicp is None or max(found.cicp.primaries, found.cicp.transfer) < 256


# ------------------------------------------------------------------------------- other formats' own ways


def test_the_profile_of_jpeg_2000():
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, "JPEG2000", irreversible=False)
    data = stream.getvalue()
    at = data.index(b"colr") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    box = struct.pack(">I", 11 + len(SRGB)) + b"colr\2\0\0" + SRGB
    header = data.index(b"jp2h") - 4
    grown = int.from_bytes(data[header : header + 4], "big") + len(box) - size
    data = data[:header] + struct.pack(">I", grown) + data[header + 4 : at] + box + data[at + size :]
    picture = read_picture(io.BytesIO(data))
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.icc == SRGB
    stream.seek(0)
    assert read_picture(stream).icc is None


def test_the_profile_of_bmp():
    plain = io.BytesIO()
    Image.fromarray(RGB).save(plain, "BMP")
    pixels = plain.getvalue()[54:]
    head = plain.getvalue()[18:54]
    head = struct.pack("<I", 124) + head + bytes(16) + b"DEBM" + bytes(48)
    head += struct.pack("<IIII", 0, 124 + len(pixels), len(SRGB), 0)
    assert len(head) == 124
    data = b"BM" + struct.pack("<IHHI", 14 + 124 + len(pixels) + len(SRGB), 0, 0, 14 + 124) + head + pixels + SRGB
    picture = read_picture(io.BytesIO(data))
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.icc == SRGB
    assert read_picture(io.BytesIO(data[:-1])).icc is None
    plain.seek(0)
    assert read_picture(plain).icc is None


def test_the_primaries_of_tiff():
    for points, expected in ((PRIMARIES[12][1], Cicp(12, 13)), (PRIMARIES[1][1], None)):
        stream = io.BytesIO()
        Image.fromarray(RGB).save(stream, "TIFF", tiffinfo={318: points[:2], 319: points[2:]})
        stream.seek(0)
        assert read_picture(stream).cicp == expected
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, "TIFF", tiffinfo={318: SWAPPED[:2], 319: SWAPPED[2:]})
    stream.seek(0)
    picture = read_picture(stream)
    assert picture.icc is not None
    assert colour_space(picture.icc) == "RGB"


# ------------------------------------------------------------------------------- formats without code points


@pytest.mark.parametrize("format", ["jpg", "webp", "tiff"])
@pytest.mark.parametrize("points", [Cicp(9, 16), Cicp(12, 13), Cicp(1, 4)])
def test_formats_without_code_points_get_a_profile_of_them(format, points):
    back = read_picture(io.BytesIO(written(Picture(RGB, cicp=points), format)))
    assert back.cicp is None
    assert back.icc == of_cicp(points, grey=False)
    assert b"cicp" + bytes(4) + bytes([points.primaries, points.transfer, 0, 1]) in back.icc


def test_a_format_without_colour_says_so():
    notes = write_picture(Picture(RGB, cicp=Cicp(9, 16)), io.BytesIO(), format="ppm")
    assert notes == ("PPM carries no colour tag; left out",)
    (note,) = write_picture(Picture(RGB, cicp=Cicp(3, 13)), io.BytesIO(), format="jpg")
    assert "no profile" in note
    (note,) = write_picture(Picture(RGB, cicp=Cicp(9, 16), icc=SRGB), io.BytesIO(), format="jpg")
    assert "BT.2020 PQ is left out" in note


def test_every_known_code_point_has_a_profile_that_littlecms_takes():
    for primaries in PRIMARIES:
        for transfer in TRANSFER_NAMES:
            profile = of_cicp(Cicp(primaries, transfer), grey=False)
            assert profile is not None
            assert in_srgb(np.full((1, 1, 3), 255, np.uint8), profile).min() >= (0 if transfer == 16 else 250)
            grey = of_cicp(Cicp(primaries, transfer), grey=True)
            assert grey is not None
            assert colour_space(grey) == "GRAY"


def test_the_profile_of_srgb_changes_nothing():
    profile = of_cicp(Cicp(1, 13), grey=False)
    assert profile is not None
    assert np.abs(in_srgb(RGB, profile) - RGB).max() <= 1
    assert len(profile) < 700


@given(st.lists(st.floats(0, 2), min_size=8, max_size=8), st.floats(0.01, 100))
def test_any_chromaticities_give_a_profile_or_none(points, gamma):
    profile = of_chromaticities(tuple(points), gamma, grey=False)
    assert profile is None or colour_space(profile) == "RGB"
    cicp = cicp_of(tuple(points), gamma)
    assert cicp is None or cicp.primaries in PRIMARIES


# ---------------------------------------------------------------------------------------------- grey pictures


def grey_profile(gamma: float = 1.8) -> bytes:
    profile = of_chromaticities(None, gamma, grey=True)
    assert profile is not None
    return profile


def test_a_grey_picture_with_a_grey_profile_stays_one_in_avif():
    data = written(Picture(GREY, icc=grey_profile()), "avif")
    image = Image.open(io.BytesIO(data))
    assert image.mode == "L"
    assert image.info["icc_profile"] == grey_profile()
    assert read_picture(io.BytesIO(data)).format.grey


def test_a_grey_picture_with_a_grey_profile_gets_one_for_rgb_in_webp():
    image = Image.open(io.BytesIO(written(Picture(GREY, icc=grey_profile()), "webp")))
    assert image.mode == "RGB"
    profile = image.info["icc_profile"]
    assert colour_space(profile) == "RGB"
    wide = np.repeat(GREY[:, :, None], 3, 2)
    assert np.abs(in_srgb(wide, profile) - in_srgb(GREY, grey_profile())).max() <= 1


def test_profiles_are_fitted_to_the_pictures_channels():
    profile = read_picture(io.BytesIO(written(Picture(GREY, icc=SRGB), "png"))).icc
    assert profile is not None
    assert colour_space(profile) == "GRAY"
    assert np.abs(in_srgb(GREY, profile)[..., 0] - GREY).max() <= 1
    assert fitting(SRGB, grey=False) is SRGB
    assert fitting(b"profile", grey=True) == b"profile"
    for cut in range(0, len(SRGB), 7):  # a damaged profile is kept or given up
        found = fitting(SRGB[:cut], grey=True)
        assert found is None or found == SRGB[:cut] or colour_space(found) == "GRAY"
    cmyk = bytearray(SRGB)
    cmyk[16:20] = b"CMYK"
    notes = write_picture(Picture(RGB, icc=bytes(cmyk)), io.BytesIO(), format="png")
    assert notes == ("the ICC profile does not fit the picture's channels; left out",)


# ------------------------------------------------------------------------------------------------- the box


@given(st.integers(0, 255), st.integers(0, 255))
def test_code_points_in_a_box(primaries, transfer):
    picture = Picture(RGB, cicp=Cicp(primaries, transfer))
    boxes = boxes_of(picture)
    assert boxes == {"cicp": bytes([primaries, transfer])}
    metadata, notes = metadata_in(boxes)
    assert metadata.cicp == picture.cicp
    assert notes == ()


def test_a_box_that_cannot_be_read_costs_a_note():
    for payload in (b"", b"\1", b"\1\2\3"):
        metadata, notes = metadata_in({"cicp": payload, "xmp ": b"<x/>"})
        assert metadata == replace(metadata, xmp=b"<x/>", cicp=None)
        assert len(notes) == 1
        assert "box 'cicp' cannot be read" in notes[0]
