"""Exact tiles: when an encoder takes them, what they do to their neighbours, lossless files, damage, regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import glissando
from glissando import Picture, probe
from glissando.bitstream import CORRECTIONS, NO_MODEL, PIXELS, Reader, container
from glissando.codec import Codec
from glissando.codec.exact import choose, correct, corrections, is_candidate, largest_error, seen_cells
from glissando.codec.filling import filled
from glissando.codec.geometry import Grid, Region
from glissando.codec.quality import Quality
from glissando.errors import CorruptError, InputError

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def codec() -> Codec:
    return glissando.open_model("medium", precision="f32")


def text(width: int, height: int, ground: tuple[int, int, int] = (255, 255, 255), ink: object = (20, 20, 60)) -> Pixels:
    image = Image.new("RGB", (width, height), ground)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    for line in range(height // 18):
        draw.text((6, 2 + 18 * line), f"line {line}: the quick brown fox jumps over the lazy dog", fill=ink, font=font)
    return np.asarray(image)


def psnr(a: Pixels, b: Pixels) -> float:
    error = float(np.square(a.astype(float) - b).mean())
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def drawings() -> dict[str, Pixels]:
    y, x = np.mgrid[:200, :200]
    rng = np.random.default_rng(3)
    colours = rng.integers(0, 256, (8, 3), dtype=np.uint8)
    return {
        "checkerboard": np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, 2),
        "stripes": np.repeat(((x % 2) * 255).astype(np.uint8)[..., None], 3, 2),
        "blue text on red": text(200, 200, (230, 20, 20), (0, 0, 255)),
        "pixel art": np.kron(colours[rng.integers(0, 8, (25, 25))], np.ones((8, 8, 1), np.uint8)),
        "magenta": np.full((200, 200, 3), (255, 0, 255), np.uint8),
        "grey checkerboard": (((x + y) % 2) * 255).astype(np.uint8),
    }


@pytest.mark.parametrize("name", list(drawings()))
@pytest.mark.parametrize("quality", [20, 60, 100])
def test_drawings_come_back_exactly_at_any_quality(codec: Codec, name: str, quality: float) -> None:
    drawing = drawings()[name]
    data = codec.encode(drawing, quality)
    assert np.array_equal(codec.decode(data), drawing)
    assert len(data) < 3000


def test_photographs_have_no_exact_tile(codec: Codec, natural: Callable[..., Pixels]) -> None:
    photo = natural(300, 280)
    assert not is_candidate(photo)
    assert PIXELS not in Reader(codec.encode(photo, 90)).layout.stream_ids


def test_bytes_and_scores_never_fall_as_quality_rises(codec: Codec) -> None:
    """At low qualities latents are enough, from some quality on the pixels are exact."""
    y, x = np.mgrid[:256, :256]
    rings = (127.5 + 120 * np.sin((x - 90) ** 2 / 900 + (y - 70) ** 2 / 900)).astype(np.uint8) // 32 * 32
    sizes, scores = [], []
    for quality in range(0, 101, 10):
        data = codec.encode(rings, quality)
        sizes.append(len(data))
        scores.append(psnr(rings, codec.decode(data)))
    assert sizes == sorted(sizes)
    assert scores == sorted(scores)
    assert scores[0] < 40
    assert scores[-1] == 99.0


def test_a_page_with_a_photograph(codec: Codec, natural: Callable[..., Pixels]) -> None:
    """Tiles of text are exact; those of the photograph look as they would without exact neighbours."""
    page = text(1024, 512)
    page = page.copy()
    page[:, 512:] = natural(512, 512)
    data = codec.encode(page, 70)
    tiles = Reader(data).tiles
    assert [bool(tile.streams[PIXELS]) for tile in tiles] == [True, False]
    decoded = codec.decode(data)
    assert np.array_equal(decoded[:, :512], page[:, :512])
    alone = codec.decode(_without_exact_tiles(codec, page, 70))
    strip = slice(512, 560)
    assert psnr(decoded[:, strip], page[:, strip]) > psnr(alone[:, strip], page[:, strip]) - 0.05
    # The text's latents are coded no farther than its neighbour looks.
    latents = [len(tile.streams[2]) for tile in Reader(_without_exact_tiles(codec, page, 70)).tiles]
    assert len(tiles[0].streams[2]) < 0.5 * latents[0]


def _without_exact_tiles(codec: Codec, picture: Pixels, quality: float) -> bytes:
    return codec.encode_analysed(replace(codec.analyse(picture), exact={}), quality)


def test_a_region_of_exact_and_other_tiles(codec: Codec, natural: Callable[..., Pixels]) -> None:
    page = text(700, 600).copy()
    page[:, 512:] = natural(600, 188)
    for data in (codec.encode(page, 70), codec.encode(page, lossless=True)):
        whole = codec.decode(data)
        for x, y, width, height in ((0, 0, 700, 600), (500, 500, 100, 50), (10, 20, 5, 1), (600, 520, 100, 80)):
            part = codec.decode(data, region=(x, y, width, height))
            assert np.array_equal(part, whole[y : y + height, x : x + width])


def test_importance_goes_with_exact_tiles(codec: Codec, natural: Callable[..., Pixels]) -> None:
    page = text(640, 512).copy()
    page[:, 512:] = natural(512, 128)
    mask = np.zeros((512, 640), np.uint8)
    mask[100:300, 400:] = 255
    data = codec.encode(page, 70, importance=mask)
    assert np.array_equal(codec.decode(data)[:, :512], page[:, :512])
    everywhere = codec.encode(page[:, :512], 70, importance=mask[:, :512])
    assert np.array_equal(codec.decode(everywhere), page[:, :512])


@pytest.mark.parametrize("model", ["medium-msssim", "vae", "content-weighted"])
def test_every_model_has_exact_tiles(model: str) -> None:
    drawing = drawings()["checkerboard"]
    with glissando.open_model(model) as codec:
        assert np.array_equal(codec.decode(codec.encode(drawing, 60)), drawing)


# Lossless ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 700, 3), (130, 90), (520, 515, 3)])
def test_lossless(shape: tuple[int, ...], natural: Callable[..., Pixels]) -> None:
    photo = natural(*shape[:2])
    photo = photo if len(shape) == 3 else photo[..., 1]
    data = glissando.encode(Picture(photo, icc=b"profile"), lossless=True)
    assert np.array_equal(glissando.decode(data), photo)
    info = probe(data)
    assert info.lossless
    assert info.model is None
    assert info.model_hash == NO_MODEL.hex()
    assert sum(info.parts.values()) == len(data)
    assert info.boxes == {"icc": 7}
    for other in ("vae", "medium"):  # any model's codec reads it
        assert np.array_equal(glissando.open_model(other).decode(data), photo)


def test_lossless_is_smaller_than_plain(natural: Callable[..., Pixels]) -> None:
    photo = natural(256, 256)
    assert len(glissando.encode(photo, lossless=True)) < 0.9 * photo.size


def test_lossless_takes_no_importance(natural: Callable[..., Pixels]) -> None:
    with pytest.raises(InputError, match="loses nothing"):
        glissando.encode(natural(64, 64), lossless=True, importance="auto")


def test_damage_in_exact_tiles_is_told(codec: Codec) -> None:
    page = text(600, 100)
    for data in (codec.encode(page, 90), codec.encode(page, lossless=True)):
        file = Reader(data)
        where = file.layout.tile(1).streams[PIXELS]
        damaged = bytearray(data)
        damaged[where.offset + where.length // 2] ^= 4
        with pytest.raises(CorruptError, match=r"tile 1 of 2: .*checksum"):
            codec.decode(bytes(damaged))


def test_a_file_without_a_model_has_pixels_alone(codec: Codec) -> None:
    file = Reader(codec.encode(text(200, 100), 90)).read_all()
    header = replace(file.header, model_hash=NO_MODEL)
    with pytest.raises(CorruptError, match="has stream 4 alone"):
        codec.decode(container.write(replace(file, header=header)))


# Corrections ------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 300), st.sampled_from([8, 12, 16]), st.booleans(), st.integers(0, 5))
def test_corrections_bring_every_sample_near(error: int, depth: int, grey: bool, seed: int) -> None:
    rng, top = np.random.default_rng(seed), (1 << depth) - 1
    kind = np.uint8 if depth == 8 else np.uint16
    shape = (20, 30) if grey else (20, 30, 3)
    pixels = rng.integers(0, top + 1, shape).astype(kind)
    shown = np.clip(pixels + rng.normal(0, 0.1 * top, shape), 0, top).astype(kind)
    data = corrections(pixels, shown, error, depth)
    corrected, place = shown.copy(), Region(100, 60, 30, 20)
    if data:
        correct(corrected, place, place, data, depth)
    assert np.abs(corrected.astype(int) - pixels).max() <= error
    part, region = shown[5:15, 10:20].copy(), Region(110, 65, 10, 10)
    if data:
        correct(part, region, place, data, depth)
    assert np.array_equal(part, corrected[5:15, 10:20])


def test_the_largest_error_falls_with_quality() -> None:
    assert [largest_error(Quality.of(q)) for q in (0, 60, 95.9)] == [None] * 3
    assert [largest_error(Quality.of(q)) for q in (96, 97, 98, 99, 100)] == [8, 6, 4, 3, 2]


def test_no_sample_is_far_off_at_the_top(codec: Codec, natural: Callable[..., Pixels]) -> None:
    """Whatever the picture shows: here grain in saturated colours, which no network that saw photographs paints."""
    photo = natural(150, 600)
    grain = photo.copy()
    grain[..., 0] = np.where(np.random.default_rng(0).random(photo.shape[:2]) < 0.5, 255, photo[..., 0])
    sizes = {}
    for name, pixels in (("photo", photo), ("grain", grain), ("grey", photo[..., 1])):
        for quality, error in ((95, None), (96, 8), (98, 4), (100, 2)):
            data = codec.encode(pixels, quality)
            sizes[name, quality] = len(data)
            if error is None:
                assert CORRECTIONS not in Reader(data).layout.stream_ids
                continue
            decoded = codec.decode(data)
            assert np.abs(decoded.astype(int) - pixels).max() <= error
            part = codec.decode(data, region=(500, 20, 60, 50))
            assert np.array_equal(part, decoded[20:70, 500:560])
        assert sizes[name, 95] < sizes[name, 96] < sizes[name, 98] < sizes[name, 100]
    assert probe(data).parts["corrections"] > 0
    damaged = bytearray(data)
    where = Reader(data).layout.tile(0).streams[CORRECTIONS]
    damaged[where.offset + where.length // 2] ^= 1
    with pytest.raises(CorruptError, match=r"tile 0 of 2: .*checksum"):
        codec.decode(bytes(damaged))


def test_a_step_of_zero_is_refused() -> None:
    pixels = np.zeros((4, 4), np.uint8)
    with pytest.raises(CorruptError, match="correction_step at byte 0 is 0"):
        correct(pixels, Region(0, 0, 4, 4), Region(0, 0, 4, 4), b"\0\2", 8)


# What encoders decide by ------------------------------------------------------------------------------------------


def test_neighbours_are_counted() -> None:
    grid = Grid(3 * 512, 512, 9, 4)
    sizes = [100, 100, 100]
    assert choose(grid, {}, sizes, {}, 1) == []
    assert choose(grid, {0: 100, 1: 100, 2: 101}, sizes, {}, 1) == []  # 1 would pay for what 2 sees of it, and 0 then
    assert choose(grid, {0: 100, 1: 80, 2: 101}, sizes, {}, 1) == [0, 1]
    assert choose(grid, {0: 1, 1: 1, 2: 1}, sizes, {}, 1) == [0, 1, 2]
    assert choose(grid, {0: 100, 1: 80, 2: 150}, sizes, {2: 60}, 1) == [0, 1, 2]  # worth it for the error of 2
    seen = seen_cells(grid, [0, 1], 1)
    assert seen[:, :15].sum() == 0
    assert seen[:, 15:].all()


def test_what_is_not_seen_continues_what_is() -> None:
    y, x = np.mgrid[:40, :50]
    pixels = np.stack([2 * x, 3 * y, x + y], axis=2).astype(np.uint8)
    seen = np.ones((40, 50), np.bool_)
    seen[10:30, 15:40] = False
    painted = pixels.copy()
    painted[~seen] = 255
    result = filled(painted, seen)
    assert np.array_equal(result[seen], pixels[seen])
    assert np.abs(result.astype(int) - pixels).max() < 40
    assert filled(painted[..., 0], seen).shape == (40, 50)
    assert not filled(painted, np.zeros_like(seen)).any()
