"""Importance: what a map does to a picture, what is no map, what it costs, and the automatic one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import glissando
from glissando.bitstream import Container, Reader, Tile, container
from glissando.codec import Codec, Quality, QualityField, engine
from glissando.codec.automatic import automatic_field
from glissando.codec.geometry import Grid
from glissando.codec.importance import _on_grid, field_of_importance
from glissando.codec.quality import LocalQuality
from glissando.codec.size import same_size
from glissando.errors import CorruptError, FormatError, InputError

Pixels = NDArray[np.uint8]
HALF = np.repeat([[0, 255]], 4, axis=0).astype(np.uint8)  # black at the left, white at the right


@pytest.fixture(scope="module")
def picture(natural: Callable[..., Pixels]) -> Pixels:
    return natural(150, 280)


@pytest.fixture(scope="module")
def mapped(codec: Codec, picture: Pixels) -> bytes:
    return codec.encode(picture, 50, importance=HALF)


# --- What it does --------------------------------------------------------------------------------------------


def test_white_is_kept_better_than_black(
    codec: Codec, picture: Pixels, mapped: bytes, psnr: Callable[..., float]
) -> None:
    plain, found = (codec.decode(data) for data in (codec.encode(picture, 50), mapped))
    left, right = np.s_[:, :120], np.s_[:, 160:]
    assert psnr(found[right], picture[right]) > psnr(plain[right], picture[right]) + 2
    assert psnr(found[left], picture[left]) < psnr(plain[left], picture[left]) - 2


def test_places_are_coded_as_files_of_their_quality_are(
    codec: Codec, picture: Pixels, mapped: bytes, psnr: Callable[..., float]
) -> None:
    found = codec.decode(mapped)
    for quality, side in ((26, np.s_[:, :100]), (74, np.s_[:, 180:])):
        whole = codec.decode(codec.encode(picture, quality))
        assert psnr(found[side], picture[side]) == pytest.approx(psnr(whole[side], picture[side]), abs=0.5)


@pytest.mark.parametrize("neutral", [np.full((3, 4), 0.5), np.full((9, 9), 127, np.uint8), np.array([[128]], np.uint8)])
def test_a_neutral_map_changes_nothing_but_its_own_bytes(codec: Codec, picture: Pixels, neutral: Any) -> None:
    plain, found = codec.encode(picture, 42.5), codec.encode(picture, 42.5, importance=neutral)
    assert 0 < len(found) - len(plain) <= 14
    before, after = Reader(plain), Reader(found)
    assert [t.streams[1] + t.streams[2] for t in before.tiles] == [t.streams[1] + t.streams[2] for t in after.tiles]
    assert {t.streams[3] for t in after.tiles} == {b""}
    np.testing.assert_array_equal(codec.decode(plain), codec.decode(found))
    assert not glissando.read_importance(found).any()


def test_a_flat_map_is_another_quality(codec: Codec, picture: Pixels) -> None:
    """Latents only: hyper-latents stay at the file's own quality."""
    found = codec.encode(picture, 40, importance=np.ones((1, 1)), strength=20)
    assert glissando.probe(found).importance == (20,)
    assert len(found) == pytest.approx(len(codec.encode(picture, 60)), rel=0.05)


def test_a_file_without_a_map_has_no_byte_for_one(codec: Codec, picture: Pixels) -> None:
    layout = Reader(codec.encode(picture, 50)).layout
    assert set(layout.stream_bytes) == {1, 2}
    assert not layout.boxes
    assert glissando.probe(codec.encode(picture, 50)).importance is None


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(st.integers(1, 140), st.integers(1, 140)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 31.7, 100.0]),
)
def test_any_map_on_any_picture(
    codec: Codec, size: tuple[int, int], map_size: tuple[int, int], seed: int, quality: float
) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    data = codec.encode(pixels, quality, importance=random.random(map_size), strength=60)
    assert codec.decode(data).shape == pixels.shape
    field = codec.decode_symbols(data).quality.field
    assert field is not None
    np.testing.assert_array_equal(glissando.read_importance(data), field.offsets)


def test_tiles_decode_alone_and_in_any_order(codec: Codec, natural: Callable[..., Pixels]) -> None:
    pixels = natural(560, 1100)
    shades = np.add.outer(np.arange(35), np.arange(69)) % 23 / 22
    data = codec.encode(pixels, 30, importance=shades)
    assert len(Reader(data).tiles) == 6
    forwards, backwards = (codec.decode_symbols(data, order) for order in (None, (5, 0, 3, 1, 4, 2)))
    for name, symbols in vars(forwards.latents).items():
        np.testing.assert_array_equal(symbols, vars(backwards.latents)[name])
    one, other = (found.quality.field for found in (forwards, backwards))
    assert one.palette == other.palette
    np.testing.assert_array_equal(one.index, other.index)


def test_windows_do_not_matter(codec: Codec, natural: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, shades = natural(400, 600), np.add.outer(np.arange(25), np.arange(38)) % 23 / 22
    whole = codec.encode(pixels, 40, importance=shades)
    expected = codec.decode(whole)
    monkeypatch.setattr(engine, "WINDOW", 2)
    windowed = codec.encode(pixels, 40, importance=shades)
    for a, b in zip(*(vars(codec.decode_symbols(data).latents).values() for data in (whole, windowed)), strict=True):
        assert (a != b).mean() < 1e-3  # ties may round either way
    assert np.abs(codec.decode(whole).astype(int) - expected).max() <= 1


def test_the_same_everywhere(codec: Codec, onnx_codec: Codec, picture: Pixels, mapped: bytes) -> None:
    assert np.abs(codec.decode(mapped).astype(int) - onnx_codec.decode(mapped)).max() <= 1
    other = onnx_codec.encode(picture, 50, importance=HALF)
    assert np.abs(codec.decode(other).astype(int) - onnx_codec.decode(other)).max() <= 1
    assert len(other) == pytest.approx(len(mapped), rel=0.002)


def test_grey_pictures_too(codec: Codec, natural: Callable[..., Pixels]) -> None:
    pixels = natural(70, 100)[..., 1]
    assert codec.decode(codec.encode(pixels, 50, importance=HALF)).shape == pixels.shape


# --- The size ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [25, 50, 70])
def test_the_size_is_kept(codec: Codec, picture: Pixels, quality: float) -> None:
    plain = codec.encode(picture, quality)
    found = codec.encode(picture, quality, importance=HALF, keep_size=True)
    assert len(found) == pytest.approx(len(plain), rel=0.01)
    assert len(found) != len(codec.encode(picture, quality, importance=HALF))


def test_a_size_that_cannot_be_kept_is_an_error(codec: Codec, picture: Pixels) -> None:
    with pytest.raises(InputError, match="at quality 100 already"):
        codec.encode(picture, 95, importance=np.zeros((1, 1)), keep_size=True)
    with pytest.raises(InputError, match="at quality 0 already"):
        codec.encode(picture, 5, importance=np.ones((1, 1)), keep_size=True)


@given(st.floats(1.5, 8), st.integers(300, 30000), st.integers(0, 25600), st.floats(0, 400))
def test_the_search_finds_a_size(octaves: float, least: int, start: int, offset: float) -> None:
    calls = []

    def encode(quality: Quality) -> bytes:
        calls.append(quality)
        return bytes(round(least * 2 ** (octaves * quality.units / 25600) + offset))

    target = len(encode(Quality(12345)))
    calls.clear()
    assert len(same_size(encode, target, Quality(start))) == pytest.approx(target, rel=0.01)
    assert len(calls) <= 24


# --- From a picture to a map ---------------------------------------------------------------------------------


def offsets(found: QualityField) -> NDArray[np.float64]:
    return np.array(found.palette)[found.index] / 256


def grid(width: int, height: int) -> Grid:
    return Grid(width, height, 9, 4)


@pytest.mark.parametrize(
    "image",
    [
        HALF,
        HALF > 0,
        HALF.astype(np.uint16) * 257,
        HALF / 255,
        (HALF / 255).astype(np.float32),
        HALF[..., None].repeat(3, axis=2),
        Image.fromarray(HALF),
        Image.fromarray(HALF).convert("1"),
        Image.fromarray(HALF).convert("RGB"),
        Image.fromarray(HALF).convert("RGBA"),
        Image.fromarray(HALF).convert("P"),
        Image.fromarray(HALF.astype(np.uint16) * 257),
        glissando.Picture(HALF),
    ],
    ids=lambda v: f"{type(v).__name__} {getattr(v, 'dtype', getattr(v, 'mode', ''))}",
)
def test_kinds_of_pictures(image: Any) -> None:
    found = offsets(field_of_importance(image, grid(64, 48), 10))
    np.testing.assert_array_equal(found, [[-10, -10, 10, 10]] * 3)


def test_shades_are_offsets() -> None:
    ramp = np.linspace(0, 1, 9).repeat(5)[None]  # gentle: 5 positions a level
    found = offsets(field_of_importance(ramp, grid(16 * 45, 16), 24))
    np.testing.assert_array_equal(found[0], np.linspace(-24, 24, 9).repeat(5))


def test_areas_are_averaged_over_the_picture() -> None:
    image = np.random.default_rng(0).random((15, 7))
    # Two rows of 7.5 and three columns of 7/3 pixels of the map.
    whole = image.repeat(2, axis=0).repeat(3, axis=1).reshape(2, 15, 3, 7).mean(axis=(1, 3))
    np.testing.assert_allclose(_on_grid(image, grid(48, 32)), whole)
    # A last column of 8 pixels: of the map's five, four are of the two whole positions.
    row = np.arange(5.0)[None] / 4
    np.testing.assert_allclose(_on_grid(row, grid(40, 16)), [[0.125, 0.625, 1]])


def test_a_hard_edge_lies_between_positions() -> None:
    """A quarter of a position is enough to be kept."""
    for white, expected in ((29, -24), (27, 24)):
        mask = np.zeros((48, 64), np.uint8)
        mask[:, white:] = 255
        found = offsets(field_of_importance(mask, grid(64, 48)))
        np.testing.assert_array_equal(found, [[-24, expected, 24, 24]] * 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.array([[0.5, np.nan]]), "nan at row 0, column 1"),
        (np.array([[0.5], [np.inf]]), "inf at row 1, column 0"),
        (np.array([[0.5, 1.5]]), r"\[0, 1\]; it is 0.5..1.5"),
        (np.array([[-0.1]]), r"\[0, 1\]"),
        (np.zeros((0, 5)), "no pixels"),
        (np.zeros(5), r"\(rows, columns\), not 5"),
        (np.zeros((2, 2, 2)), "not 2x2x2"),
        (np.zeros((2, 2), np.int64), "int64"),
        (np.zeros((2, 2), complex), "complex"),
        (np.eye(3, dtype=np.uint8)[None] * 255, "colours"),
        (Image.new("RGB", (4, 4), (255, 0, 0)), "colours"),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 9)), "transparent"),
        (Image.new("F", (4, 4), 7.0), r"\[0, 1\]"),
        (Image.new("L", (0, 4)), "no pixels"),
        ("mask.png", "not 'mask.png'"),
        ([[0.5]], "not list"),
        (7, "not int"),
    ],
)
def test_what_is_no_map(codec: Codec, image: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        codec.encode(np.zeros((8, 8, 3), np.uint8), 50, importance=image)


@pytest.mark.parametrize("strength", [-1, 101, float("nan"), "much"])
def test_what_is_no_strength(codec: Codec, strength: Any) -> None:
    for importance in (HALF, "auto"):
        with pytest.raises(InputError, match="strength must be"):
            codec.encode(np.zeros((8, 8, 3), np.uint8), 50, importance=importance, strength=strength)


def test_options_of_a_map_need_one(codec: Codec) -> None:
    for options in ({"strength": 3.0}, {"keep_size": True}):
        with pytest.raises(InputError, match="need a map"):
            codec.encode(np.zeros((8, 8, 3), np.uint8), 50, **options)


def test_a_map_of_another_picture_is_refused(codec: Codec) -> None:
    analysed = codec.analyse(np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(InputError, match=r"\(2, 2\) places, the picture \(3, 3\)"):
        codec.encode_analysed(analysed, 50, quality_field=field_of_importance(HALF, grid(32, 32)))


def test_local_qualities_stay_in_range_and_padding_repeats() -> None:
    index = np.array([[0, 1], [1, 2]], np.int16)
    local = LocalQuality(Quality(25000), QualityField((-30000, 0, 2000), index))
    assert [quality.units for quality in local.palette] == [0, 25000, 25600]
    assert local.highest.number == 100
    np.testing.assert_array_equal(local.over((slice(0, 4), slice(1, 4))), [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]])
    assert LocalQuality(Quality(100)).over((slice(0, 4), slice(0, 4))) is None


def test_the_synthesis_is_told_one_quality_nearer_to_the_highest() -> None:
    index = np.arange(3, dtype=np.int16)[None]
    base = Quality(10000)
    assert LocalQuality(base, QualityField((-4000, 0, 4000), index)).synthesis == Quality(12000)
    assert LocalQuality(base).synthesis == base
    assert LocalQuality(base, QualityField((500,), 0 * index)).synthesis == Quality(10500)


# --- The automatic map ---------------------------------------------------------------------------------------


def test_the_automatic_map_spends_less_on_what_is_busy(codec: Codec) -> None:
    random = np.random.default_rng(0)
    pixels = np.full((160, 160, 3), 128, np.uint8)
    pixels[:, 80:] = random.integers(0, 256, (160, 80, 3))
    found = offsets(automatic_field(pixels, grid(160, 160)))
    assert found[:, :4].min() > 0 > found[:, 6:].max()
    data = codec.encode(pixels, 40, importance="auto")
    np.testing.assert_array_equal(glissando.read_importance(data), found)
    assert codec.encode(pixels, 40, importance="auto", strength=6) != data


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 70), (33, 2, 3), (16, 16)])
def test_the_automatic_map_of_a_flat_picture_is_neutral(shape: tuple[int, ...]) -> None:
    flat, places = np.full(shape, 77, np.uint8), grid(shape[1], shape[0])
    assert automatic_field(flat, places).palette == (0,)
    assert automatic_field(flat, places, 0).palette == (0,)


# --- Bits per place ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("importance", [None, HALF, "auto"], ids=["none", "painted", "auto"])
def test_bits_per_place_add_up_to_the_streams(codec: Codec, picture: Pixels, importance: Any) -> None:
    data, bits = codec.encode_with_bits(picture, 60, importance=importance)
    assert data == codec.encode(picture, 60, importance=importance)
    assert bits.shape == (10, 18)
    streams = 8 * sum(Reader(data).layout.stream_bytes.values())
    assert streams - 3 * 64 <= bits.sum() <= streams


def test_the_bits_go_where_the_map_says(codec: Codec, picture: Pixels) -> None:
    _, bits = codec.encode_with_bits(picture, 50, importance=HALF, keep_size=True)
    assert bits[:, 10:].sum() > 4 * bits[:, :8].sum()


# --- Models that take none, and damage -----------------------------------------------------------------------


def test_a_model_that_takes_no_map_says_so(
    codec: Codec, picture: Pixels, mapped: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec.engine, "family", replace(codec.family, takes_quality_field=False))
    analysed = codec.analyse(picture)
    with pytest.raises(InputError, match=r"model medium .* takes no map"):
        codec.encode(picture, 50, importance=HALF)
    with pytest.raises(InputError, match=r"model medium .* takes no map"):
        codec.encode_analysed(analysed, 50, quality_field=field_of_importance(HALF, grid(280, 150)))
    with pytest.raises(CorruptError, match="model medium takes no map"):
        codec.decode(mapped)


def rewritten(data: bytes, boxes: dict[str, bytes], stream: bytes | None) -> bytes:
    file = Reader(data)
    streams = [{k: v for k, v in {**t.streams, 3: stream}.items() if v is not None} for t in file.tiles]
    tiles = [Tile(found, tile.checksum) for found, tile in zip(streams, file.tiles, strict=True)]
    return container.write(Container(file.header, boxes, tiles))


def test_a_map_that_is_not_whole_is_corrupt(codec: Codec, mapped: bytes) -> None:
    file = Reader(mapped).read_all()
    (tile,) = file.tiles
    box = dict(file.boxes)
    for boxes, stream, message in (
        ({}, tile.streams[3], "needs streams 1 and 2"),
        (box, None, "no stream 3"),
        (box, b"", "values"),
        (box, tile.streams[3][4:], "values|checksum|left over"),
        ({"Qfld": b"\x01\x64\x00"}, tile.streams[3], "left over"),
        ({"Qfld": b"\x02\x64\x00"}, tile.streams[3], "offset_step"),
    ):
        with pytest.raises(FormatError, match=message):
            codec.decode(rewritten(mapped, boxes, stream))


def test_another_palette_is_noticed(codec: Codec, mapped: bytes) -> None:
    """Other qualities mean other tables: the checksum of the symbols catches it."""
    stream = Reader(mapped).tiles[0].streams[3]
    with pytest.raises(CorruptError):
        codec.decode(rewritten(mapped, {"Qfld": b"\x02\x50\x00\x80\x60"}, stream))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80).map(lambda b: b[: len(b) // 4 * 4]), st.sampled_from([0, 12800, 25600]))
def test_streams_of_rubbish_are_an_error(codec: Codec, mapped: bytes, rubbish: bytes, quality: int) -> None:
    file = Reader(mapped).read_all()
    (tile,) = file.tiles
    if rubbish == tile.streams[3] and quality == file.header.quality:
        return
    forged = Tile({**tile.streams, 3: rubbish}, tile.checksum)
    data = container.write(Container(replace(file.header, quality=quality), file.boxes, [forged]))
    with pytest.raises(CorruptError):
        codec.decode(data)


def test_every_flipped_bit_is_an_error(codec: Codec, natural: Callable[..., Pixels]) -> None:
    data = codec.encode(natural(40, 90), 20, importance=HALF)
    layout = Reader(data).layout
    first = layout.boxes["Qfld"].offset
    map_stream = layout.tile(0).streams[3]
    places = {*range(first, first + layout.box_bytes["Qfld"])}
    places |= {*range(map_stream.offset, map_stream.offset + map_stream.length)}
    assert len(places) >= 9
    for place in places:
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            with pytest.raises(FormatError):
                codec.decode(bytes(damaged))


def test_reading_a_map_alone(mapped: bytes, codec: Codec, picture: Pixels) -> None:
    found = glissando.read_importance(mapped)
    np.testing.assert_array_equal(found, offsets(field_of_importance(HALF, grid(280, 150))))
    with pytest.raises(InputError, match="no map"):
        glissando.read_importance(codec.encode(picture, 30))
    with pytest.raises(FormatError):
        glissando.read_importance(mapped, max_pixels=1000)


# --- The painted masks of the benchmark ----------------------------------------------------------------------

MASKS = sorted((Path(__file__).parents[1] / "masks").glob("kodim*.png"))


def test_masks_cover_a_tenth_to_a_third() -> None:
    assert len(MASKS) == 10
    for path in MASKS:
        with Image.open(path) as image:
            assert 0.1 <= np.asarray(image.convert("L")).mean() / 255 <= 0.3, path.name


def test_the_parrots_gain_two_decibels_for_half_a_per_cent(codec: Codec, psnr: Callable[..., float]) -> None:
    """The bar of the benchmark (benchmarks/importance.py) on the one Kodak picture that comes with the package."""
    pixels = np.asarray(Image.open(Path(__file__).parents[2] / "samples" / "kodim23.png").convert("RGB"))
    mask = np.asarray(Image.open(MASKS[-1]).convert("L"))
    inside = np.asarray(Image.fromarray(mask).resize((768, 512), Image.Resampling.NEAREST)) > 127
    plain, found = codec.encode(pixels), codec.encode(pixels, importance=mask, keep_size=True)
    assert len(found) == pytest.approx(len(plain), rel=0.01)
    assert glissando.probe(found).parts["map"] + 12 <= 0.005 * len(found)
    assert psnr(codec.decode(found)[inside], pixels[inside]) > psnr(codec.decode(plain)[inside], pixels[inside]) + 2
