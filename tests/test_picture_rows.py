"""Picture files that are read and written some rows at a time: the same pixels and metadata as of the whole."""

from __future__ import annotations

import importlib.util
import io
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glissando.errors import CorruptError, InputError, PictureError
from glissando.picture import Density, Metadata, Picture, PixelFormat, Pixels, encode_picture, read_picture
from glissando.picture.raw_rows import RawLayout
from glissando.picture.row_reading import open_rows, rows_of
from glissando.picture.row_writing import row_formats, write_rows


class Coming(Iterator[Pixels]):
    """A picture that comes in bands of uneven heights."""

    def __init__(self, picture: Picture) -> None:
        self.width, self.height, self.format = picture.width, picture.height, picture.format
        self.metadata: Metadata = picture
        self._bands = iter(np.split(picture.pixels, [70, 71, 200]))

    def __next__(self) -> Pixels:
        return next(self._bands)


def exif() -> bytes:
    block = Image.Exif()
    block[271] = "Maker"
    block.get_ifd(0x8769)[0x829A] = 0.5
    return block.tobytes()[6:]


METADATA: dict[str, Any] = {
    "exif": exif(),
    "density": Density(3000, 4000),
    "xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
}


def noise(channels: int, depth: int, height: int = 230, width: int = 2000) -> Pixels:
    dtype = np.uint8 if depth == 8 else np.uint16
    samples = np.random.default_rng(channels).integers(0, 2**depth, (height, width, channels), dtype=dtype)
    return samples[..., 0] if channels == 1 else samples


def written(picture: Picture, format: str) -> tuple[bytes, tuple[str, ...]]:
    out = io.BytesIO(b"before")
    out.seek(6)
    notes, size = write_rows(Coming(picture), out, format)
    data = out.getvalue()[6:]
    assert len(data) == size
    return data, notes


# --- TIFF -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tiff_by_rows_is_what_the_whole_would_be(
    channels: int, depth: int, big: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tifffile", reason="reads TIFF by rows")
    if big:
        monkeypatch.setattr("glissando.picture.row_writing._CLASSIC", 0)
    picture = Picture(noise(channels, depth), depth=depth, **METADATA)
    data, notes = written(picture, "tif")
    assert data[2] == (43 if big else 42)
    whole, expected_notes = encode_picture(picture, "tif")
    expected, found = read_picture(io.BytesIO(whole)), read_picture(io.BytesIO(data))
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert Metadata(**found.as_arguments()) == Metadata(**expected.as_arguments())
    assert notes == expected_notes
    rows = rows_of(io.BytesIO(data), "it")
    assert rows is not None
    assert (rows.width, rows.height, rows.format) == (2000, 230, found.format)
    assert (rows.metadata, rows.notes) == (Metadata(**found.as_arguments()), found.notes)
    np.testing.assert_array_equal(rows.rows(0, 230), found.pixels)
    np.testing.assert_array_equal(rows.rows(120, 131), found.pixels[120:131])


@pytest.mark.parametrize("tile", [None, (64, 128)])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiffs_of_others(tile: tuple[int, int] | None, compression: str | None, order: Any) -> None:
    tifffile = pytest.importorskip("tifffile", reason="reads TIFF by rows")
    if compression == "lzw":
        pytest.importorskip("imagecodecs", reason="packs by LZW")
    picture = noise(3, 16, 150, 200)
    file = io.BytesIO()
    options = {"rowsperstrip": 40} if tile is None else {"tile": tile}
    predictor = compression is not None
    tifffile.imwrite(
        file,
        picture,
        photometric="rgb",
        compression=compression,
        predictor=predictor,
        byteorder=order,
        metadata=None,
        **options,
    )
    rows = rows_of(file, "it")
    assert rows is not None
    np.testing.assert_array_equal(rows.rows(0, 150), picture)
    np.testing.assert_array_equal(rows.rows(39, 65), picture[39:65])


def pillow_tiff(**options: Any) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(noise(3, 8, 60, 50)).save(file, "TIFF", **options)
    return file


def test_tiffs_that_are_read_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="reads TIFF by rows")
    turned = Image.Exif()
    turned[0x0112] = 6
    floats, planes = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(floats, np.zeros((8, 8), np.float32))
    tifffile.imwrite(planes, noise(3, 8, 30, 40).transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    pages = pillow_tiff(save_all=True, append_images=[Image.new("RGB", (50, 60))])
    jpeg = pillow_tiff(compression="jpeg")
    for file in (pillow_tiff(exif=turned), floats, planes, pages, jpeg):
        assert rows_of(file, "it") is None
    path = tmp_path / "turned.tif"
    path.write_bytes(pillow_tiff(exif=turned).getvalue())
    with pytest.raises(PictureError, match=r"turned\.tif: cannot be read by rows"), open_rows(path):
        pass
    # One strip of the whole picture has to be unpacked whole.
    monkeypatch.setattr("glissando.picture.tiff_rows._LARGEST", 1000)
    assert rows_of(pillow_tiff(compression="tiff_adobe_deflate"), "it") is None


@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate"])
def test_a_tiff_that_is_cut_short_or_damaged(compression: str | None) -> None:
    tifffile = pytest.importorskip("tifffile", reason="reads TIFF by rows")
    file = io.BytesIO()
    tifffile.imwrite(file, noise(3, 8, 200, 90), photometric="rgb", rowsperstrip=50, compression=compression and 8)
    data = file.getvalue()
    file.seek(0)
    offsets = tifffile.TiffFile(file).pages[0].dataoffsets
    assert rows_of(io.BytesIO(data[:40]), "it") is None  # without its tags; reading by Pillow tells what is wrong
    for end in (offsets[2], offsets[3] + 10):
        with pytest.raises(PictureError, match="it: damaged or cut short"):
            rows_of(io.BytesIO(data[:end]), "it")
    if compression is not None:
        damaged = data[: offsets[2]] + bytes(40) + data[offsets[2] + 40 :]
        rows = rows_of(io.BytesIO(damaged), "it")
        assert rows is not None
        rows.rows(0, 100)
        with pytest.raises(PictureError, match="it: damaged or cut short"):
            rows.rows(90, 101)


def tiff(tags: dict[int, tuple[int, ...]], following: int = 0, rest: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory, whose tags have LONG values; ``rest`` follows from byte 4096 on."""
    directory, values, place = b"", b"", 8 + 2 + 12 * len(tags) + 4
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        directory += struct.pack("<HHI", tag, 4, len(numbers))
        directory += packed if len(packed) == 4 else struct.pack("<I", place + len(values))
        values += b"" if len(packed) == 4 else packed
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + directory + struct.pack("<I", following) + values
    return head.ljust(4096, b"\0") + rest


GREY = {256: (64,), 257: (512,), 258: (8,), 259: (8,), 262: (1,), 277: (1,), 278: (1,)}
STRIPS = {273: (4096,) * 512, 279: (20,) * 512}


@pytest.mark.parametrize(
    ("tags", "following"),
    [
        (GREY | STRIPS, 8),  # a directory that follows itself
        (GREY | {273: (4096,), 279: (20,)}, 0),  # one strip for 512
        (GREY | STRIPS | {278: (0,)}, 0),
        (GREY | {273: (4096,), 279: (20, 20)}, 0),
        (GREY, 0),
        (GREY | {322: (64,), 323: (0,), 324: (4096,), 325: (20,)}, 0),  # tiles without height
        (GREY | {322: (2**31,), 323: (512,), 324: (4096,), 325: (20,)}, 0),  # and of two gigabytes' width
    ],
)
def test_tiffs_whose_tags_do_not_fit_are_left_to_pillow(tags: dict[int, tuple[int, ...]], following: int) -> None:
    pytest.importorskip("tifffile", reason="reads TIFF by rows")
    data = tiff(tags, following, bytes(200))
    assert rows_of(io.BytesIO(data), "it") is None
    with pytest.raises(PictureError):
        read_picture(io.BytesIO(data), name="it").pixels.sum()


def test_a_strip_of_more_than_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tifffile", reason="reads TIFF by rows")
    packed = zlib.compress(bytes(50_000_000), 9)
    data = tiff(GREY | {278: (512,), 273: (4096,), 279: (len(packed),)}, 0, packed)
    rows = rows_of(io.BytesIO(data), "it")
    assert rows is not None
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name == "imagecodecs" else found(name))
    tracemalloc.start()
    try:
        with pytest.raises(PictureError, match="more than its pixels"):
            rows.rows(0, 8)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("format", ["tif", "ppm", "rgb"])
def test_what_is_wrong_with_the_source_is_no_fault_of_the_output(format: str) -> None:
    class Damaged:
        width, height, format, metadata = 8, 8, PixelFormat(3, 8, "none"), Metadata()

        def __iter__(self) -> Iterator[Pixels]:
            raise CorruptError("tile 3: damaged")
            yield

    with pytest.raises(CorruptError, match=r"^tile 3: damaged"):
        write_rows(Damaged(), io.BytesIO(), format)


def test_a_tiff_of_too_many_pixels() -> None:
    pytest.importorskip("tifffile", reason="reads TIFF by rows")
    with pytest.raises(PictureError, match="it: 50x60: more than the limit of 100 pixels"):
        rows_of(pillow_tiff(), "it", max_pixels=100)


# --- PPM and PGM ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 12])
def test_ppm_by_rows_is_that_of_the_whole(channels: int, depth: int) -> None:
    picture = Picture(noise(channels, depth), depth=depth, **METADATA)
    data, notes = written(picture, "ppm")
    assert (data, notes) == encode_picture(picture, "ppm")
    rows = rows_of(io.BytesIO(data), "it")
    assert rows is not None
    np.testing.assert_array_equal(rows.rows(3, 230), read_picture(io.BytesIO(data)).pixels[3:])


def test_ppm_of_16_bits() -> None:
    picture = noise(3, 16, 20, 30)
    data = b"P6 # a comment\n30 20\n65535\n" + picture.astype(">u2").tobytes()
    rows = rows_of(io.BytesIO(data + b"more"), "it")
    assert rows is not None
    assert rows.format == PixelFormat(3, 16, "none")
    assert rows.notes == ("4 bytes behind the picture are left out",)
    np.testing.assert_array_equal(rows.rows(1, 20), picture[1:])
    with pytest.raises(PictureError, match="it: damaged or cut short"):
        rows_of(io.BytesIO(data[:-1]), "it")


@pytest.mark.parametrize("head", [b"P3\n1 1\n255\n1 2 3", b"P6\n1 1\n100\nabc", b"P4\n8 1\na", b"\x89PNG\r\n\x1a\n"])
def test_what_is_not_read_by_rows(head: bytes) -> None:
    assert rows_of(io.BytesIO(head), "it") is None


# --- Raw ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "depth", "text"), [(1, 8, "x1"), (3, 8, ""), (4, 16, "x4u16"), (2, 16, "x2u16")])
def test_raw_there_and_back(channels: int, depth: int, text: str, tmp_path: Path) -> None:
    picture = Picture(noise(channels, depth), depth=depth, **METADATA)
    data, notes = written(picture, "raw")
    assert data == picture.pixels.astype(picture.pixels.dtype.newbyteorder("<")).tobytes()
    assert notes == tuple(f"a raw file carries no {title}; left out" for title in ("EXIF", "XMP", "density of pixels"))
    path = tmp_path / "pixels"
    path.write_bytes(data)
    with open_rows(path, raw=f"2000x230{text}") as rows:
        assert rows.format == picture.format
        np.testing.assert_array_equal(rows.rows(5, 17), picture.pixels[5:17])


def test_raw_of_high_bytes_first(tmp_path: Path) -> None:
    path = tmp_path / "pixels"
    path.write_bytes(np.arange(6, dtype=">u2").tobytes())
    with open_rows(path, raw="3x2x1u16be") as rows:
        np.testing.assert_array_equal(rows.rows(0, 2), [[0, 1, 2], [3, 4, 5]])
    path.write_bytes(bytes(13))
    with pytest.raises(PictureError, match="3x2 pixels of 2 bytes are 12 bytes; the file has 13"):
        open_rows(path, raw="3x2x1u16be").__enter__()
    path.write_bytes(bytes(12))
    with open_rows(path, raw="3x2x1u16be") as rows:
        path.write_bytes(bytes(8))
        with pytest.raises(PictureError, match="cut short: it ends in row 1"):
            rows.rows(0, 2)


@pytest.mark.parametrize("text", ["", "3", "3x", "3x4x5", "3x4x0", "-3x4", "3x4u32", "3x4xu8", "9999999999x1"])
def test_layouts_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="is not WIDTHxHEIGHT"):
        RawLayout.of(text)


def test_sizes_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "pixels"
    path.write_bytes(b"")
    with pytest.raises(PictureError, match="a picture without pixels"), open_rows(path, raw="0x3"):
        pass
    with pytest.raises(PictureError, match="longer than"), open_rows(path, raw="99999999x1"):
        pass


def test_other_formats_are_not_written_by_rows() -> None:
    picture = Picture(noise(3, 8))
    for format in ("png", "nothing"):
        with pytest.raises(PictureError, match=f"out: no picture format '{format}' to write by rows"):
            write_rows(Coming(picture), io.BytesIO(), format, name="out")
    assert "png" not in row_formats()
