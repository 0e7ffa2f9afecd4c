"""Opacity through the codec: exact or in steps, what it hides, soft edges, files that have none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

import glissando
from glissando import Picture, PixelFormat, probe
from glissando.bitstream import ALPHA, NO_MODEL, PIXELS, Reader, container
from glissando.bitstream.tiles import encode_tile, with_planes
from glissando.codec import Codec
from glissando.codec.alpha import carried_along, coded_alpha, paste_alpha, shown_alpha, step_of
from glissando.codec.geometry import Region
from glissando.errors import CorruptError, InputError

Pixels = NDArray[np.uint8]
GROUNDS = {"black": (0, 0, 0), "white": (255, 255, 255), "magenta": (255, 0, 255)}


@pytest.fixture(scope="module")
def codec() -> Codec:
    return glissando.open_model("medium", precision="f32", threads=1)


def ellipse(height: int, width: int, softness: float) -> Pixels:
    """A disc that fills most of the picture, its edge as soft as so many pixels."""
    image = Image.new("L", (width, height), 0)
    ImageDraw.Draw(image).ellipse((width * 0.2, height * 0.2, width * 0.8, height * 0.8), fill=255)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(softness)) if softness else image)


def over(pixels: Pixels, ground: tuple[int, int, int]) -> NDArray[np.float64]:
    share = pixels[..., 3:] / 255
    return pixels[..., :3] * share + np.array(ground) * (1 - share)


def decibels(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(10 * np.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9)))


@pytest.mark.parametrize("softness", [0, 1.5, 6])
@pytest.mark.parametrize("ground", list(GROUNDS))
def test_edges_have_no_halo(codec: Codec, natural: Callable[..., Pixels], softness: float, ground: str) -> None:
    """Composited, the pixels at the edge are as good as those inside, whatever was hidden beside them."""
    photo, alpha = natural(256, 320), ellipse(256, 320, softness)
    photo[alpha == 0] = np.random.default_rng(0).integers(0, 256, (int((alpha == 0).sum()), 3))
    pixels = np.dstack([photo, alpha])
    decoded = codec.decode(codec.encode(pixels, 60))
    np.testing.assert_array_equal(decoded[..., 3], alpha)
    errors = np.abs(over(decoded, GROUNDS[ground]) - over(pixels, GROUNDS[ground])).mean(axis=2)
    inside = np.asarray(
        Image.fromarray(np.where(alpha == 255, 255, 0).astype(np.uint8)).filter(ImageFilter.MinFilter(9))
    )
    edge = (inside == 0) & (alpha > 0)
    assert errors[edge].mean() <= 1.2 * errors[inside == 255].mean()
    assert (errors[alpha == 0] == 0).all()


def test_hidden_colours_cost_next_to_nothing(codec: Codec, natural: Callable[..., Pixels]) -> None:
    photo, alpha = natural(300, 400), ellipse(300, 400, 2)
    hidden = np.random.default_rng(0).integers(0, 256, photo.shape, dtype=np.uint8)
    noisy = np.dstack([np.where(alpha[..., None] == 0, hidden, photo), alpha])
    clean = np.dstack([np.where(alpha[..., None] == 0, 0, photo), alpha])
    data = codec.encode(noisy, 60)
    assert codec.encode(clean, 60) == data
    decoded = codec.decode(data)
    assert (decoded[alpha == 0] == 0).all()
    opaque = codec.encode(photo, 60)
    assert len(data) - probe(data).parts["alpha"] < 0.7 * len(opaque)
    nothing = np.dstack([hidden, np.zeros_like(alpha)])
    empty = codec.encode(nothing, 60)
    assert len(empty) < 250
    assert (codec.decode(empty) == 0).all()
    kept = codec.decode(codec.encode(noisy, 60, exact=True))
    assert kept[alpha == 0].any()
    np.testing.assert_array_equal(kept[..., 3], alpha)
    smooth = np.dstack([photo, alpha])
    kept = codec.decode(codec.encode(smooth, 60, exact=True))
    assert decibels(kept[..., :3], photo) > 28


def test_what_is_opaque_has_no_byte_for_opacity(codec: Codec, natural: Callable[..., Pixels]) -> None:
    photo = natural(100, 120)
    data = codec.encode(photo, 60)
    assert ALPHA not in Reader(data).layout.stream_ids
    assert "alpha" not in probe(data).parts
    opaque = np.full(photo.shape[:2], 255, np.uint8)
    assert codec.encode(np.dstack([photo, opaque]), 60) == data
    assert codec.encode(np.dstack([photo, opaque]), lossless=True) == codec.encode(photo, lossless=True)
    deep = photo.astype(np.uint16) * 257
    assert codec.encode(np.dstack([deep, opaque.astype(np.uint16) * 257]), 60) == codec.encode(deep, 60)
    almost = opaque.copy()
    almost[0, 0] = 254
    assert codec.decode(codec.encode(np.dstack([photo, almost]), 60)).shape == (100, 120, 4)
    # Of several tiles, those that are opaque have empty streams.
    wide = np.tile(photo, (1, 6, 1))
    alpha = np.full(wide.shape[:2], 255, np.uint8)
    alpha[:, :10] = 7
    file = Reader(codec.encode(np.dstack([wide, alpha]), 60))
    assert [bool(tile.streams[ALPHA]) for tile in file.tiles] == [True, False]


@pytest.mark.parametrize("kind", ["uint8", "10 bits", "16 bits"])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("size", [(70, 100), (1, 1), (600, 30), (5, 3)])
def test_any_kind_and_size(
    codec: Codec, natural: Callable[..., Pixels], kind: str, grey: bool, size: tuple[int, int]
) -> None:
    depth = {"uint8": 8, "10 bits": 10, "16 bits": 16}[kind]
    rng, top = np.random.default_rng(3), (1 << depth) - 1
    photo = np.rint(natural(*size) * (top / 255)).astype(np.uint8 if depth == 8 else np.uint16)
    alpha = rng.choice([0, 0, 1, top // 3, top - 1, top], size).astype(photo.dtype)
    alpha[0, 0] = 0
    pixels = np.dstack([photo[:, :, 1] if grey else photo, alpha])
    picture = codec.decode_picture(codec.encode(Picture(pixels, depth=depth), 60))
    assert picture.format == PixelFormat(1 if grey else 3, depth, "straight")
    np.testing.assert_array_equal(picture.alpha, alpha)
    assert (picture.colour[alpha == 0] == 0).all()
    exact = codec.decode_picture(codec.encode(Picture(pixels, depth=depth), lossless=True))
    np.testing.assert_array_equal(exact.pixels, pixels)


def test_regions_and_top_quality(codec: Codec, natural: Callable[..., Pixels]) -> None:
    photo, alpha = natural(200, 700), ellipse(200, 700, 5)
    photo[..., 0] = np.where(np.random.default_rng(0).random(alpha.shape) < 0.5, 255, photo[..., 0])
    pixels = np.dstack([photo, alpha])
    for options in ({"quality": 60}, {"quality": 100}, {"lossless": True}, {"quality": 60, "importance": "auto"}):
        data = codec.encode(pixels, **options)
        decoded = codec.decode(data)
        np.testing.assert_array_equal(codec.decode(data, region=(480, 30, 70, 99)), decoded[30:129, 480:550])
        np.testing.assert_array_equal(decoded[..., 3], alpha)
        if options == {"quality": 100}:
            seen = alpha > 0
            assert np.abs(decoded.astype(int) - pixels)[seen].max() <= 2


def test_logos_come_back_exactly(codec: Codec) -> None:
    image = Image.new("RGBA", (200, 120), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 90, 90), fill=(200, 30, 40, 255))
    draw.ellipse((80, 30, 160, 100), fill=(20, 60, 200, 160))
    draw.text((30, 95), "a logo with words", fill=(0, 0, 0, 255))
    many = Image.new("RGBA", (480, 320), (0, 0, 0, 0))
    rng = np.random.default_rng(0)
    for _ in range(12):  # what a network is given below transparent pixels, the tile's coder is not
        x, y = int(rng.integers(20, 400)), int(rng.integers(20, 260))
        ImageDraw.Draw(many).ellipse((x, y, x + 60, y + 50), fill=(*map(int, rng.integers(0, 256, 3)), 255))
    for logo in (image, many):
        data = codec.encode(logo, 60)
        np.testing.assert_array_equal(codec.decode(data), np.asarray(logo))
        assert probe(data).parts["latents"] == 0


@pytest.mark.parametrize("quality", [0, 30, 60, 90, 99, 100])
@pytest.mark.parametrize("depth", [8, 12, 16])
def test_steps_of_opacity(quality: float, depth: int) -> None:
    top = (1 << depth) - 1
    alpha = np.arange(top + 1, dtype=np.uint8 if depth == 8 else np.uint16).reshape(256, -1)
    alpha = np.concatenate([alpha, np.full((256, 3), top, alpha.dtype)], axis=1)
    step = step_of(quality, depth)
    shown = shown_alpha(alpha, step, depth)
    assert np.abs(shown.astype(int) - alpha).max() <= (step + 1) // 2
    assert (shown[alpha == 0] == 0).all()
    assert (shown[alpha == top] == top).all()
    assert step == 1 if quality == 100 else step >= 1
    found = np.full(alpha.shape, top, alpha.dtype)
    place = Region(0, 0, alpha.shape[1], alpha.shape[0])
    paste_alpha(found, place, place, coded_alpha(alpha, step, depth), depth)
    np.testing.assert_array_equal(found, shown)


def test_opacity_of_eight_bits_spread_over_sixteen_takes_no_more_than_before(codec: Codec) -> None:
    alpha = ellipse(200, 200, 4)
    spread = alpha * np.uint16(257)
    data = coded_alpha(spread, 1, 16)
    assert len(data) < len(coded_alpha(alpha, 1, 8)) + 20  # a list of values
    place = Region(0, 0, 200, 200)
    found = np.zeros_like(spread)
    paste_alpha(found, place, place, data, 16)
    np.testing.assert_array_equal(found, spread)


def test_a_quality_for_opacity(codec: Codec, natural: Callable[..., Pixels]) -> None:
    pixels = np.dstack([natural(200, 300), ellipse(200, 300, 12)])
    sizes = []
    for quality, error in ((100, 0), (80, 2), (50, 6), (0, 65)):
        data = codec.encode(pixels, 60, alpha_quality=quality)
        decoded = codec.decode(data)
        assert np.abs(decoded[..., 3].astype(int) - pixels[..., 3]).max() <= error
        assert (decoded[..., 3][pixels[..., 3] == 255] == 255).all()
        assert (decoded[decoded[..., 3] == 0] == 0).all()
        sizes.append(probe(data).parts["alpha"])
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 4
    analysed = codec.analyse(pixels, alpha_quality=50)
    assert codec.encode_analysed(analysed, 60) == codec.encode(pixels, 60, alpha_quality=50)
    assert codec.encode_with_bits(pixels, 60, alpha_quality=50)[0] == codec.encode(pixels, 60, alpha_quality=50)
    again = glissando.encode(pixels, 60, alpha_quality=50)
    np.testing.assert_array_equal(
        glissando.decode(again)[..., 3], codec.decode(codec.encode_analysed(analysed, 60))[..., 3]
    )


@pytest.mark.parametrize("quality", [-1, 101, float("nan"), "x", None])
def test_what_is_no_quality_for_opacity(codec: Codec, quality: Any) -> None:
    with pytest.raises(InputError, match="alpha_quality"):
        codec.encode(np.zeros((8, 8, 4), np.uint8), 60, alpha_quality=quality)
    with pytest.raises(InputError, match="lossless loses nothing"):
        codec.encode(np.zeros((8, 8, 4), np.uint8), lossless=True, alpha_quality=50)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.integers(0, 99))
def test_what_is_hidden_repeats_what_is_seen(height: int, width: int, share: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 256, (height, width, 3), dtype=np.uint8)
    hidden = rng.random((height, width)) < share / 3
    found = carried_along(pixels, hidden)
    np.testing.assert_array_equal(found[~hidden], pixels[~hidden])
    if hidden.all():
        assert (found == 0).all()
        return
    for row in np.flatnonzero((~hidden).any(axis=1)):
        for column in np.flatnonzero(hidden[row]):
            before = np.flatnonzero(~hidden[row, :column])
            source = before[-1] if len(before) else np.flatnonzero(~hidden[row])[0]
            assert (found[row, column] == pixels[row, source]).all()
    seen = {tuple(pixel) for pixel in pixels[~hidden]}
    assert {tuple(pixel) for pixel in found.reshape(-1, 3)} <= seen


# Damage -----------------------------------------------------------------------------------------------------------


def lossless_file(planes: bytes, format: PixelFormat | None = None) -> bytes:
    """An 8-bit grey picture of 4 by 4 with these bytes for its opacity."""
    tables = glissando.open_model("medium").coding.tables
    grey = glissando.encode(np.arange(16, dtype=np.uint8).reshape(4, 4), lossless=True)
    file = Reader(grey).read_all()
    tile = encode_tile({}, tables, {PIXELS: file.tiles[0].streams[PIXELS]})
    header = replace(file.header, format=format or PixelFormat(1, 8, "straight"), model_hash=NO_MODEL)
    return container.write(replace(file, header=header, tiles=[with_planes(tile, {ALPHA: planes})]))


def test_damaged_opacity_is_told(codec: Codec, natural: Callable[..., Pixels]) -> None:
    good = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert (glissando.decode(lossless_file(coded_alpha(good, 1, 8)))[..., 1] == good).all()
    assert (glissando.decode(lossless_file(b""))[..., 1] == 255).all()
    beyond = coded_alpha(np.full((4, 4), 250, np.uint8), 1, 8)
    for planes, message in (
        (b"\x00", "alpha_step at byte 0 is 0"),
        (b"\x80\x02" + beyond[1:], "opacity of 8 bits has steps of 256"),
        (b"\x01", "no byte"),
        (b"\x80", "alpha_step at byte 1 ends at byte 2; 1 bytes are present"),
        (b"\x01\x00", "header_length at byte 0 ends at byte 1; 0 bytes are present"),
        (b"\x02" + beyond[1:], "an opacity is 250 steps of 2, which is beyond opaque"),
        (b"\x01" + beyond[1:-1], "take 16 bytes, not 15"),
        (b"\x01\x04", "method 4"),
        (b"\x01\x03", "value_count at byte 0"),
    ):
        with pytest.raises(CorruptError, match=f"tile 0 of 1: .*{message}"):
            glissando.decode(lossless_file(planes))
    with pytest.raises(CorruptError, match="8-bit grey pixels has a stream of opacity"):
        glissando.decode(lossless_file(b"", PixelFormat(1, 8)))
    file = Reader(codec.encode(natural(70, 80), 60)).read_all()
    header = replace(file.header, format=PixelFormat(3, 8, "straight"))
    with pytest.raises(CorruptError, match=r"tile 0 of 1: .* 8-bit RGB with alpha pixels has no stream of opacity"):
        codec.decode(container.write(replace(file, header=header)))
    data = bytearray(codec.encode(np.dstack([natural(70, 80), ellipse(70, 80, 3)]), 60))
    place = Reader(bytes(data)).layout.tile(0).streams[ALPHA]
    data[place.offset + place.length // 2] ^= 1
    with pytest.raises(CorruptError, match=r"tile 0 of 1: .*checksum"):
        codec.decode(bytes(data))
