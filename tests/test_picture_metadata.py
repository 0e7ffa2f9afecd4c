"""Metadata come through whole, cost a note where they cannot, and never the picture."""

from __future__ import annotations

import io
import struct
import sys
import time
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from glissando.codec.metadata import boxes_of, edit_metadata, metadata_in
from glissando.errors import InputError, PictureError
from glissando.picture import Cicp, Density, Metadata, Picture, as_picture, of_part, read_picture, write_picture
from glissando.picture import exif as exif_blocks
from glissando.picture.metadata import within_limit
from glissando.picture.xmp import merge_extension, without_claims

RGB = np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8)
IPTC = b"\x1c\x02\x78\x00\x05Hello"
RDF = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r">%s</rdf:RDF></x:xmpmeta>'
EXIF = b"II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x03\0\0\0Me\0\0\0\0\0\0"


def chunk(kind: bytes, data: bytes, crc: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ crc)


def png(*chunks: bytes) -> io.BytesIO:
    """A PNG with more chunks behind its header."""
    data = saved("PNG").getvalue()
    return io.BytesIO(data[:33] + b"".join(chunks) + data[33:])


def saved(format: str, image: Image.Image | None = None, **options: object) -> io.BytesIO:
    stream = io.BytesIO()
    (Image.fromarray(RGB) if image is None else image).save(stream, format, **options)
    stream.seek(0)
    return stream


def through(picture: Picture, format: str, notes: int = 0) -> Picture:
    """A picture written and read."""
    stream = io.BytesIO()
    assert len(write_picture(picture, stream, format=format)) == notes
    stream.seek(0)
    return read_picture(stream)


# --------------------------------------------------------------------------------------- large and damaged


def test_large_profiles_and_texts_in_png():
    icc = b"\0\0\0\0" + np.random.default_rng(2).bytes(2 * 2**20)
    text = (("Comment", "a" * 3 * 2**20), ("Title", "Köln ☃"))
    back = through(Picture(RGB, icc=icc, text=text), "png")
    assert back.icc == icc
    assert back.text == text
    assert back.notes == ()
    iccp = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(2**25)))
    picture = read_picture(png(iccp))
    assert picture.icc is None
    assert "16,777,216 bytes" in picture.notes[0]


def test_many_compressed_chunks_unpack_to_no_more_than_a_file_carries():
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10 * 2**20)))
    picture = read_picture(png(*[bomb] * 50))
    assert sum(len(content) for _, content in picture.text) == 10 * 2**20
    assert len(picture.notes) == 49


def raw_profile(kind: str, data: bytes, tail: str = "") -> bytes:
    digits = data.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    text = f"\n{kind}\n{len(data):8}\n{lines}\n{tail}"
    return chunk(b"zTXt", f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(text.encode()))


def test_raw_profiles_of_imagemagick():
    xmp = RDF % b"<a/>"
    for kind in ("exif", "APP1"):
        for tail in ("", "junk behind it", "00ff"):
            picture = read_picture(png(raw_profile(kind, b"Exif\0\0" + EXIF, tail)))
            assert (picture.exif, picture.notes) == (EXIF, ())
    assert read_picture(png(raw_profile("xmp", xmp))).xmp == xmp
    assert read_picture(png(raw_profile("APP1", b"http://ns.adobe.com/xap/1.0/\0" + xmp))).xmp == xmp
    assert read_picture(png(raw_profile("icc", b"profile"))).icc == b"profile"
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC
    for data in (IPTC, resource, b"Photoshop 3.0\0" + b"8BIM\x04\x25\0\0\0\0\0\x01x\0" + resource):
        assert read_picture(png(raw_profile("iptc", data))).iptc == IPTC
    for bad in (b"tEXtRaw profile type exif\0\nexif\n  100\nzz", b"tEXtRaw profile type exif\0junk"):
        picture = read_picture(png(chunk(bad[:4], bad[4:])))
        np.testing.assert_array_equal(picture.pixels, RGB)
        assert picture.exif is None
        assert "left out" in picture.notes[0]


def test_a_bad_crc_of_an_ancillary_chunk_is_a_note_and_of_another_an_error():
    for kind, data in ((b"gAMA", bytes(4)), (b"tEXt", b"a\0b"), (b"abCd", b"x"), (b"tRNS", bytes(6)), (b"eXIf", EXIF)):
        picture = read_picture(png(chunk(kind, data, crc=1)))
        np.testing.assert_array_equal(picture.pixels, RGB)
        assert picture.notes == (f"chunk {kind.decode()} is damaged (its CRC does not agree); left out",)
        assert (picture.exif, picture.text) == (None, ())
    data = bytearray(saved("PNG").getvalue())
    data[29] ^= 1  # IHDR's
    with pytest.raises(PictureError, match="damaged"):
        read_picture(io.BytesIO(data))


def test_chunks_that_are_not_carried_are_named():
    (note,) = read_picture(png(chunk(b"caBX", b"x"), chunk(b"tIME", bytes(7)))).notes
    assert note == "chunk caBX is not carried; left out"


@pytest.mark.parametrize(
    "bad",
    [
        chunk(b"iCCP", b"p\0\0not deflate"),
        chunk(b"iCCP", b"no zero"),
        chunk(b"zTXt", b"Comment\0\0not deflate"),
        chunk(b"iTXt", b"Comment\0\1\0\0\0not deflate"),
        chunk(b"iTXt", b"Comment\0\0\0\0\0\xff\xff"),
        chunk(b"tEXt", b"no zero"),
        chunk(b"pHYs", b"short"),
    ],
)
def test_an_unreadable_chunk_costs_a_note(bad):
    picture = read_picture(png(bad))
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert len(picture.notes) == 1
    assert "left out" in picture.notes[0]
    assert (picture.icc, picture.text, picture.density) == (None, (), None)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_exif_that_cannot_be_read_never_costs_the_picture(format):
    for junk in (b"junk", b"II*\0\xff\xff\xff\xff", EXIF[:15], b"MM\0*\0\0\0\x08\xff\xff" + bytes(range(200))):
        if format in ("TIFF", "AVIF"):  # written by Pillow from EXIF that it could read, so it is damaged afterwards
            data = saved(format, exif=Image.Exif() if format == "TIFF" else b"Exif\0\0" + EXIF).getvalue()
            data = data.replace(EXIF[8:], (junk + bytes(40))[: len(EXIF) - 8])
            picture = read_picture(io.BytesIO(data))
        else:
            picture = read_picture(saved(format, exif=b"Exif\0\0" + junk))
        assert picture.pixels.shape == RGB.shape
        if format in ("PNG", "JPEG", "WEBP"):
            assert picture.exif == junk
        image = Image.fromarray(RGB)
        image.info["exif"] = junk
        np.testing.assert_array_equal(as_picture(image).pixels, RGB)
    for start in (b"junk", b"II*\xff", bytes(4)):  # libavif refuses the whole file
        data = saved("AVIF", exif=b"Exif\0\0" + EXIF).getvalue().replace(b"II*\0", start)
        picture = read_picture(io.BytesIO(data))
        assert (picture.exif, picture.notes) == (None, ("EXIF is damaged; left out",))
    (note,) = read_picture(saved("PNG", exif=b"Exif\0\0junk")).notes
    assert "does not begin as it should" in note


def test_metadata_that_are_too_many_are_left_out_from_the_largest():
    metadata, notes = within_limit(Metadata(icc=bytes(60), xmp=bytes(50), text=(("a", "b" * 30),)), 100)
    assert (metadata.icc, metadata.xmp, metadata.text) == (None, bytes(50), (("a", "b" * 30),))
    assert notes == ["ICC of 60 bytes is more than a file carries; left out"]


# ------------------------------------------------------------------------------------------------- getexif


def photo_with_gps() -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Maker"
    exif[0x8825] = {1: "N", 2: (50.0, 56.0, 28.0)}
    return Image.open(saved("JPEG", exif=exif, quality=95))


def loaded(exif: bytes | None) -> Image.Exif:
    assert exif is not None
    found = Image.Exif()
    found.load(exif)
    return found


def test_what_the_caller_changed_through_getexif_wins():
    untouched = as_picture(photo_with_gps())
    assert untouched.pixels.shape == (24, 16, 3)
    assert loaded(untouched.exif).get_ifd(0x8825)[1] == "N"

    image = photo_with_gps()
    del image.getexif()[0x8825]
    picture = as_picture(image)
    assert picture.pixels.shape == (24, 16, 3)
    assert 0x8825 not in loaded(picture.exif)
    assert loaded(picture.exif)[0x010F] == "Maker"

    image = photo_with_gps()
    image.getexif()[0x0112] = 1
    assert as_picture(image).pixels.shape == (16, 24, 3)

    image = photo_with_gps()
    image.getexif().clear()
    assert as_picture(image).exif is None

    image = Image.fromarray(RGB)
    image.getexif()[0x010F] = "New"
    assert loaded(as_picture(image).exif)[0x010F] == "New"


def test_exif_that_was_only_looked_at_stays_as_it_is():
    image = Image.open(saved("JPEG", exif=b"Exif\0\0" + EXIF))
    assert image.getexif()[0x010F].rstrip("\0") == "Me"
    assert as_picture(image).exif == EXIF


# ----------------------------------------------------------------------------- EXIF of the upright picture


def exif_with_thumbnail(orientation: int, thumbnail: bytes, order: str = "<") -> bytes:
    """Directory 0 (orientation, Exif directory), the Exif directory (sizes), directory 1 (a thumbnail)."""

    def entry(tag: int, kind: int, value: int) -> bytes:
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
        return struct.pack(f"{order}HHI", tag, kind, 1) + packed

    at_exif, at_first = 8 + 2 + 24 + 4, 8 + 2 + 24 + 4 + 2 + 24 + 4
    at_data = at_first + 2 + 36 + 4
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    zeroth = struct.pack(f"{order}H", 2) + entry(0x0112, 3, orientation) + entry(0x8769, 4, at_exif)
    zeroth += struct.pack(f"{order}I", at_first)
    inner = struct.pack(f"{order}H", 2) + entry(0xA002, 3, 24) + entry(0xA003, 4, 16) + bytes(4)
    first = struct.pack(f"{order}H", 3) + entry(0x0112, 3, orientation) + entry(0x0201, 4, at_data)
    first += entry(0x0202, 4, len(thumbnail)) + bytes(4)
    return head + zeroth + inner + first + thumbnail


THUMBNAIL = np.zeros((16, 24, 3), np.uint8)
THUMBNAIL[:8, :12] = 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_thumbnail_and_sizes_agree_with_the_upright_picture(orientation, order):
    small = saved("JPEG", Image.fromarray(THUMBNAIL), quality=95).getvalue()
    exif = exif_with_thumbnail(orientation, small, order)
    image = Image.fromarray(THUMBNAIL)
    picture = read_picture(saved("PNG", image, exif=exif))
    assert picture.notes == ()
    assert picture.exif is not None
    assert len(picture.exif) == len(exif)
    found = loaded(picture.exif)
    assert found.get(0x0112) == 1
    sizes = found.get_ifd(0x8769)
    assert (sizes[0xA002], sizes[0xA003]) == (picture.width, picture.height)
    directory = found.get_ifd(ExifTags.IFD.IFD1)
    assert directory[0x0112] == 1
    start, length = directory[0x0201], directory[0x0202]
    turned = np.asarray(Image.open(io.BytesIO(picture.exif[start : start + length])))
    assert turned.shape == picture.pixels.shape
    assert np.abs(turned.astype(int) - picture.pixels).mean() < 6
    if orientation == 1:
        assert picture.exif == exif


def test_a_part_of_a_picture_has_its_own_sizes_and_no_thumbnail_of_all():
    exif = exif_with_thumbnail(1, saved("JPEG").getvalue())
    part = of_part(Metadata(exif=exif, xmp=RDF % b'<a exif:PixelXDimension="24"/>', icc=b"icc"), 7, 5)
    assert part.xmp == RDF % b'<a exif:PixelXDimension="7"/>'
    assert part.icc == b"icc"
    found = loaded(part.exif)
    assert (found.get_ifd(0x8769)[0xA002], found.get_ifd(0x8769)[0xA003]) == (7, 5)
    assert not found.get_ifd(ExifTags.IFD.IFD1)
    assert part.exif is not None
    assert b"\xff\xd8" not in part.exif
    assert of_part(Metadata(exif=b"MM rubbish"), 7, 5).exif == b"MM rubbish"


def test_a_thumbnail_that_cannot_be_turned_is_left_out():
    exif = exif_with_thumbnail(6, b"\xff\xd8no JPEG at all")
    picture = read_picture(saved("PNG", exif=exif))
    assert picture.notes == ("the EXIF thumbnail cannot be turned with the picture; left out",)
    assert picture.exif is not None
    assert b"JPEG" not in picture.exif
    assert not loaded(picture.exif).get_ifd(ExifTags.IFD.IFD1)
    assert b"no JPEG" not in exif_blocks.without_thumbnail(exif)


@given(st.binary(max_size=120), st.integers(0, 200))
def test_any_exif_can_be_set_upright(junk, at):
    exif = exif_with_thumbnail(6, b"\xff\xd8")
    block, _ = exif_blocks.set_upright(exif[:at] + junk, 70000, 3)
    assert len(block) >= len(exif[:at] + junk) or at < 8


# ---------------------------------------------------------------------------------------------------- XMP


def test_long_xmp_goes_through_jpeg_as_an_extension():
    xmp = RDF % (b'<rdf:Description rdf:about="" a="' + b"x" * 200_000 + b'"/>')
    back = through(Picture(RGB, xmp=xmp), "jpg")
    assert back.notes == ()
    assert back.xmp is not None
    assert b"x" * 200_000 in back.xmp
    assert b"HasExtendedXMP" not in back.xmp
    stream = io.BytesIO()
    write_picture(Picture(RGB, xmp=xmp), stream, format="jpg")
    data = stream.getvalue().replace(b"xxxxxxxx", b"xxxxyxxx", 1)
    picture = read_picture(io.BytesIO(data))
    assert picture.notes == ("the extended part of the XMP is damaged or missing; left out",)
    assert merge_extension(b"<a/>", RDF % b"") is None
    assert merge_extension(RDF % b"1", RDF % b"2") == RDF % b"12"


ULTRA_HDR = (
    b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" dc:title="x" hdrgm:Version="1.0" '
    b'hdrgm:GainMapMax = \'2\'><Container:Directory><rdf:Seq><rdf:li Item:Semantic="GainMap" Item:Length="9"/>'
    b"</rdf:Seq></Container:Directory><hdrgm:Gamma>1</hdrgm:Gamma><keep/></rdf:Description>"
)


def test_a_gain_map_is_left_out_with_a_note_and_not_claimed():
    picture = read_picture(saved("JPEG", xmp=RDF % ULTRA_HDR))
    assert picture.notes == ("the gain map that belongs to the picture is not carried; left out",)
    assert picture.xmp == RDF % b'<rdf:Description dc:title="x"><keep/></rdf:Description>'
    segment = b"\xff\xe2" + struct.pack(">H", 2 + 34) + b"urn:iso:std:iso:ts:21496:-1\0" + bytes(6)
    data = saved("JPEG").getvalue()
    picture = read_picture(io.BytesIO(data[:2] + segment + data[2:]))
    assert picture.notes == ("the gain map that belongs to the picture is not carried; left out",)
    stream = saved("MPO", xmp=RDF % ULTRA_HDR, save_all=True, append_images=[Image.new("L", (3, 2))])
    picture = read_picture(stream)  # as telephones write them: the gain map is the second picture
    assert picture.xmp is not None
    assert b"hdrgm" not in picture.xmp
    assert picture.notes == ("the gain map that belongs to the picture is not carried; left out",)
    motion = RDF % b'<rdf:Description GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="5"/>'
    assert without_claims(motion) == (RDF % b"<rdf:Description/>", ["video"])
    assert without_claims(RDF % b"<a/>") == (RDF % b"<a/>", [])


def test_gain_and_depth_maps_of_other_formats_cost_a_note():
    note = ("the gain map that belongs to the picture is not carried; left out",)
    alpha = Image.fromarray(np.dstack([RGB, RGB[..., :1]]))
    data = saved("AVIF", alpha, xmp=b"<x/>").getvalue()
    kind = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
    apple = b"urn:com:apple:photo:2020:aux:hdrgainmap"
    assert data.count(kind) == data.count(b"mime") == 1
    assert read_picture(io.BytesIO(data)).notes == ()
    assert read_picture(io.BytesIO(data.replace(kind, apple.ljust(len(kind), b"\0")))).notes == note
    assert read_picture(io.BytesIO(data.replace(b"mime", b"tmap"))).notes == note  # ISO 21496-1
    image = Image.fromarray(RGB)
    image.info["depth_images"] = ["as pillow-heif has it"]
    assert as_picture(image).notes == ("the depth map of the picture is not carried; left out",)


def test_hostile_xmp_takes_no_longer_than_its_length():
    start = time.monotonic()
    for part in (b"<hdrgm:a ", b"<hdrgm:a>", b" hdrgm:a=", b' hdrgm:a="', b"tiff:Orientation  ", b"<rdf:RDF "):
        without_claims(part * 100_000)
        merge_extension(part * 100_000, part * 100_000)
        read_picture(saved("PNG", pnginfo=_info(part * 20_000)))
    assert time.monotonic() - start < 10


def _info(xmp: bytes) -> PngInfo:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return info


def test_xmp_tells_the_size_of_the_upright_picture():
    xmp = RDF % b'<a exif:PixelXDimension="24" tiff:ImageLength=\'16\' tiff:Orientation="6"/>'
    exif = exif_with_thumbnail(6, saved("JPEG").getvalue())
    back = read_picture(saved("WEBP", exif=exif, xmp=xmp)).xmp
    assert back == RDF % b'<a exif:PixelXDimension="16" tiff:ImageLength=\'24\' tiff:Orientation="1"/>'


# ------------------------------------------------------------------------------------- IPTC, density, text


def test_iptc_goes_through_the_formats_that_have_it():
    for format in ("jpg", "png", "tiff"):
        back = through(Picture(RGB, iptc=IPTC), format)
        assert (back.iptc, back.notes) == (IPTC, ())
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[33723] = tuple(struct.unpack("<2I", IPTC[:8]))
    tags.tagtype[33723] = 4
    data = saved("TIFF", tiffinfo=tags).getvalue()
    assert len(tags) == 1
    at = data.index(struct.pack("<HHI", 33723, 4, 1)) + 4
    place = len(data)
    data = data[:at] + struct.pack("<II", 2, place) + data[at + 8 :]
    for records in (IPTC[:8], IPTC[3::-1] + IPTC[7:3:-1]):
        assert read_picture(io.BytesIO(data + records)).iptc == IPTC[:8]
    for format in ("webp", "avif", "bmp"):
        assert through(Picture(RGB, iptc=IPTC), format, notes=1).iptc is None


def test_density_goes_through_the_formats_that_have_it():
    for format in ("jpg", "png", "tiff"):
        for dpi in ((300, 300), (72, 150)):
            back = through(Picture(RGB, density=Density.of_dpi(*dpi)), format)
            assert back.density == Density.of_dpi(*dpi)
    assert Density.of_dpi(300, 72).dpi == (300, 72)
    assert Density.of_dpi(0, 72) is None
    assert Density.of_dpi(float("nan"), 72) is None
    assert read_picture(saved("JPEG", dpi=(300, 300))).density == Density(11811, 11811)
    assert read_picture(saved("JPEG")).density is None
    assert read_picture(saved("PNG")).density is None
    assert read_picture(saved("TIFF")).density is None
    assert through(Picture(RGB, density=Density(2, 1, metric=False)), "png").density == Density(2, 1, metric=False)
    assert through(Picture(RGB, density=Density(2, 1)), "webp", notes=1).density is None
    assert through(Picture(RGB, density=Density.of_dpi(300, 72)), "bmp").density == Density.of_dpi(300, 72)
    exif = exif_with_thumbnail(6, saved("JPEG").getvalue())
    assert read_picture(saved("PNG", exif=exif, dpi=(72, 300))).density == Density.of_dpi(300, 72)


def test_text_goes_through_the_formats_that_have_it():
    text = (("Comment", "Hallo Köln"), ("Author", "☃"))
    back = through(Picture(RGB, text=text), "png")
    assert (back.text, back.notes) == (text, ())
    assert through(Picture(RGB, text=text), "jpg", notes=1).text == text[:1]
    assert through(Picture(RGB, text=text), "webp", notes=1).text == ()
    assert read_picture(saved("GIF", comment=b"made by me")).text == (("Comment", "made by me"),)


# ------------------------------------------------------------------------------------------ kinds, boxes


FULL = Picture(
    RGB, icc=b"icc", exif=EXIF, xmp=b"<x/>", iptc=IPTC, density=Density(300, 200), text=(("Comment", "é"), ("", ""))
)


def test_keeping_some_kinds():
    assert FULL.keeping(()).as_arguments() == Metadata().as_arguments()
    kept = FULL.keeping(("exif", "dpi"))
    assert (kept.exif, kept.density, kept.icc, kept.xmp, kept.iptc, kept.text) == (
        EXIF,
        FULL.density,
        None,
        None,
        None,
        (),
    )
    assert kept.pixels is FULL.pixels
    with pytest.raises(InputError, match="'gps'; known: icc, exif, xmp, iptc, dpi, text"):
        FULL.keeping(("gps",))


@given(
    st.builds(
        Metadata,
        icc=st.none() | st.binary(),
        iptc=st.none() | st.binary(),
        density=st.none() | st.builds(Density, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1), st.booleans()),
        text=st.lists(st.tuples(st.text(), st.text())).map(tuple),
    )
)
def test_boxes_give_metadata_back(metadata):
    assert metadata_in(boxes_of(metadata)) == (metadata, ())


def test_the_bytes_of_the_boxes_are_those_of_the_formats_page():
    full = Metadata(
        icc=b"1",
        exif=b"2",
        xmp=b"3",
        iptc=b"4",
        cicp=Cicp(9, 16),
        density=Density(11811, 300),
        text=(("A", "é"), ("", "")),
    )
    assert boxes_of(full) == {
        "icc ": b"1",
        "exif": b"2",
        "xmp ": b"3",
        "iptc": b"4",
        "cicp": bytes.fromhex("09 10"),
        "dens": bytes.fromhex("01 a3 5c ac 02"),
        "text": bytes.fromhex("01 41 02 c3 a9 00 00"),
    }


@given(st.sampled_from(["dens", "text", "cicp"]), st.binary(max_size=30))
def test_any_box_is_read_or_costs_a_note(box, payload):
    metadata, notes = metadata_in({box: payload})
    assert len(notes) <= 1
    if notes:
        assert metadata == Metadata()
    else:
        assert list(boxes_of(metadata).values()) in ([payload], [])


# ----------------------------------------------------------------------------------- what is not supported


def bmp(header_size: int = 40, compression: int = 0, bits: int = 24) -> io.BytesIO:
    head = struct.pack("<IiiHHIIiiII", header_size, 4, 4, 1, bits, compression, 0, 0, 0, 0, 0)
    return io.BytesIO(b"BM" + struct.pack("<IHHI", 200, 0, 0, 54) + head + bytes(200))


def test_kinds_that_are_not_supported_are_not_called_damaged():
    for stream in (bmp(compression=4), bmp(header_size=99), bmp(bits=7)):
        with pytest.raises(PictureError, match=r"a kind of file that is not supported \(Unsupported BMP"):
            read_picture(stream)
    data = saved("TIFF", compression="raw").getvalue()
    tag = data.index(struct.pack("<HHI", 262, 3, 1))
    with pytest.raises(PictureError, match=r"not supported \(unknown pixel mode"):
        read_picture(io.BytesIO(data[: tag + 8] + b"\x63\0" + data[tag + 10 :]))
    tag = data.index(struct.pack("<HHI", 259, 3, 1))
    with pytest.raises(PictureError, match=r"not supported \(unknown compression 34661"):
        read_picture(io.BytesIO(data[: tag + 8] + struct.pack("<H", 34661) + data[tag + 10 :]))


def test_kinds_of_heic_that_are_not_supported_are_not_called_damaged():
    pillow_heif = pytest.importorskip("pillow_heif", reason="writes and reads HEIC")
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(smooth())).save(stream)
    data = stream.getvalue()
    for kind in (b"jpeg", b"unci", b"vvc1", b"j2k1"):
        with pytest.raises(PictureError, match=rf"not supported \(unsupported kind of coding, '{kind.decode()}'\)"):
            read_picture(io.BytesIO(data.replace(b"hvc1", kind)))
    with pytest.raises(PictureError, match="damaged or cut short"):
        read_picture(io.BytesIO(data.replace(b"hvcC", b"xxxC")))


@pytest.mark.parametrize(
    ("package", "module", "head"),
    [
        ("pillow-heif", "pillow_heif", b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"),
        ("pillow-heif", "pillow_heif", b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf"),
        ("pillow-jxl-plugin", "pillow_jxl", b"\xff\x0a\xcb\x06"),
        ("pillow-jxl-plugin", "pillow_jxl", b"\0\0\0\x0cJXL \r\n\x87\n"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, package, module, head):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PictureError, match=f"picture: .* need the package {package}, which is not installed"):
        read_picture(io.BytesIO(head + bytes(100)))


def smooth() -> np.ndarray:
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 4, y * 5, x + y], axis=2).astype(np.uint8)


def test_heic():
    pillow_heif = pytest.importorskip("pillow_heif", reason="reads HEIC")
    exif = exif_with_thumbnail(6, saved("JPEG").getvalue())
    stream = io.BytesIO()
    heif = pillow_heif.from_pillow(Image.fromarray(smooth()))
    heif.info["exif"], heif.info["xmp"] = exif, b"<x/>"
    heif.save(stream, quality=95, chroma=444)
    stream.seek(0)
    picture = read_picture(stream)
    assert np.abs(picture.pixels.astype(int) - np.rot90(smooth(), -1)).mean() < 2
    assert picture.exif is not None
    assert exif_blocks.orientation_of(picture.exif) == 1
    assert picture.xmp == b"<x/>"
    data = stream.getvalue()
    with pytest.raises(PictureError, match=r"limit of 10 pixels"):
        read_picture(io.BytesIO(data), max_pixels=10)
    with pytest.raises(PictureError):
        read_picture(io.BytesIO(data[: len(data) // 2]))


def test_jpeg_xl():
    pytest.importorskip("pillow_jxl", reason="reads JPEG XL")
    for container in (False, True):
        for size in ((48, 64), (40, 8), (300, 7), (256, 256)):
            pixels = np.resize(smooth(), (*size, 3))
            stream = saved("JXL", Image.fromarray(pixels), lossless=True, use_container=container)
            np.testing.assert_array_equal(read_picture(stream).pixels, pixels)
            with pytest.raises(PictureError, match=f"{size[1]}x{size[0]}: more than the limit of 10"):
                read_picture(io.BytesIO(stream.getvalue()), max_pixels=10)
    data = stream.getvalue()
    xml = struct.pack(">I4s", 12, b"xml ") + b"<x/>"
    assert read_picture(io.BytesIO(data[:32] + xml + data[32:])).xmp == b"<x/>"
    stream = saved("JXL", Image.fromarray(smooth()), lossless=True, exif=exif_with_thumbnail(6, b""))
    picture = read_picture(stream)  # in JPEG XL it is not EXIF that turns pictures
    np.testing.assert_array_equal(picture.pixels, smooth())
    assert picture.exif is not None
    assert exif_blocks.orientation_of(picture.exif) == 1
    for cut in (3, 20, 45):
        with pytest.raises(PictureError):
            read_picture(io.BytesIO(data[:cut]))


def test_a_cut_off_jpeg_is_an_error_unless_it_is_allowed():
    big = Image.fromarray(RGB.repeat(8, 0).repeat(8, 1))
    for progressive in (False, True):
        data = saved("JPEG", big, progressive=progressive).getvalue()
        whole = read_picture(io.BytesIO(data), allow_truncated=True)
        assert whole.notes == ()
        for cut in (len(data) * 2 // 3, len(data) - 40, len(data) - 2, len(data) - 1):
            with pytest.raises(PictureError, match=r"cut short .*--allow-truncated"):
                read_picture(io.BytesIO(data[:cut]))
            part = read_picture(io.BytesIO(data[:cut]), allow_truncated=True)
            assert part.notes == ("the file is cut short; what is missing is grey",)
            assert part.pixels.shape == whole.pixels.shape
            if not progressive:
                np.testing.assert_array_equal(part.pixels[:32], whole.pixels[:32])
        with pytest.raises(PictureError):
            read_picture(io.BytesIO(data[:30]), allow_truncated=True)


def test_odd_modes_and_arrays():
    premultiplied = Image.fromarray(np.dstack([RGB[:, :, 0] // 2, np.full(RGB.shape[:2], 255, np.uint8)]), "LA")
    picture = as_picture(premultiplied.convert("La"))
    np.testing.assert_array_equal(picture.pixels, RGB[:, :, 0] // 2)
    matrix = np.asmatrix(RGB[:, :, 0])
    picture = as_picture(matrix)
    assert type(picture.pixels) is np.ndarray
    np.testing.assert_array_equal(picture.pixels, RGB[:, :, 0])
    with pytest.raises(InputError, match="float64"):
        as_picture(np.asmatrix(np.zeros((3, 3))))


def test_edit_metadata_refuses_unknown_names():
    with pytest.raises(InputError, match="'gps'; known: icc, exif"):
        edit_metadata(b"", remove=["gps"])
