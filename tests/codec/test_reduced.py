"""Pictures decoded small: means of squares of the whole picture's pixels, then scaled to the size that is wanted."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from content_model import content_integers, plane_codec, write_model
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import glissando
from glissando.bitstream import Reader
from glissando.codec import Codec, engine
from glissando.codec.block_means import fitted, install
from glissando.codec.geometry import Region, move_up
from glissando.codec.painting import largest_factor
from glissando.codec.reduction import box_means, factor_for, fitting, resized
from glissando.errors import InputError
from glissando.onnx_graph import cut, input_names
from glissando.runtime import release
from glissando.zoo.model import BLOCK_MEANS

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def photo(natural: Callable[..., Pixels]) -> Pixels:
    return natural(336, 480, seed=5)


@pytest.fixture(scope="module")
def coded(codec: Codec, photo: Pixels) -> tuple[bytes, Pixels]:
    data = codec.encode(photo, 50)
    return data, codec.decode(data)


# --- Sizes -------------------------------------------------------------------------------------------------


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 5000), st.integers(1, 5000))
def test_sizes_fit_and_keep_proportions(width: int, height: int, wide: int, high: int) -> None:
    found = fitting(width, height, (wide, high))
    assert 1 <= found[0] <= min(width, wide)
    assert 1 <= found[1] <= min(height, high)
    assert found == (width, height) or found[0] == wide or found[1] == high
    scale = min(wide / width, high / height, 1)
    assert abs(found[0] - max(1, scale * width)) <= 0.51
    assert abs(found[1] - max(1, scale * height)) <= 0.51
    assert fitting(*found, (wide, high)) == found


def test_one_number_counts_for_the_longer_side() -> None:
    assert fitting(4000, 3000, 400) == (400, 300)
    assert fitting(3000, 4000, 400) == (300, 400)
    assert fitting(300, 200, 400) == (300, 200)


@pytest.mark.parametrize("size", [0, -3, True, 2.5, "80", (80,), (80, 0), (80, 60, 3), (80, 1.5), 0.5])
def test_sizes_that_are_none(codec: Codec, coded: tuple[bytes, Pixels], size: Any) -> None:
    with pytest.raises(InputError, match="a largest size is"):
        codec.decode(coded[0], max_size=size)


def test_factors() -> None:
    region = Region(0, 0, 1000, 500)
    assert [factor_for(region, size, 16) for size in ((501, 250), (500, 250), (63, 31), (62, 31))] == [1, 2, 8, 16]
    assert factor_for(region, (10, 5), 8) == 8


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([2, 4, 8, 16]), st.sampled_from([np.uint8, np.uint16]))
def test_means_of_squares(height: int, width: int, factor: int, kind: Any) -> None:
    samples = np.random.default_rng(height * 41 + width).integers(0, np.iinfo(kind).max + 1, (height, width, 2), kind)
    found = box_means(samples, factor)
    rows, columns = (
        np.minimum(np.arange(-(-height // factor) * factor), height - 1),
        np.minimum(np.arange(-(-width // factor) * factor), width - 1),
    )
    wide = samples[rows][:, columns].astype(np.float64)
    for row, column in itertools.product(range(found.shape[0]), range(found.shape[1])):
        square = wide[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        np.testing.assert_array_equal(found[row, column], np.floor(square.mean(axis=(0, 1)) + 0.5))
    assert found.dtype == kind


def test_hidden_colours_do_not_show_in_small_pictures_of_16_bits() -> None:
    pixels = np.full((8, 8, 4), 65535, np.uint16)
    pixels[:, 4:, :3], pixels[:, 4:, 3] = 0, 0  # black, and transparent
    small = resized(pixels, (3, 3), (0.0, 0.0, 8.0, 8.0), alpha=True)
    assert small[:, 1, :3].min() >= 65533
    assert 0 < small[1, 1, 3] < 65535


# --- Pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_equal_to_the_means_of_the_whole(codec: Codec, coded: tuple[bytes, Pixels], factor: int, psnr: Any) -> None:
    data, whole = coded
    small = codec.decode(data, max_size=(480 // factor, 336 // factor))
    means = box_means(whole, factor)
    assert small.shape == means.shape
    assert small.dtype == np.uint8
    off = np.abs(small.astype(int) - means)
    untouched = box_means(((whole == 0) | (whole == 255)).astype(np.float32), factor) == 0  # nothing was clipped
    assert untouched.mean() > 0.5
    assert off[untouched].max() <= 1
    assert psnr(small, means) > 48


def test_sixteen_times_smaller_is_near(codec: Codec, coded: tuple[bytes, Pixels], psnr: Any) -> None:
    data, whole = coded
    small = codec.decode(data, max_size=30)
    assert small.shape == (21, 30, 3)
    assert psnr(small, box_means(whole, 16)) > 35


def test_the_synthesis_does_not_run_for_the_smallest(
    codec: Codec, coded: tuple[bytes, Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec.engine, "graph", None)  # graphs of the whole decoder come from there
    assert codec.decode(coded[0], max_size=(30, 21)).shape == (21, 30, 3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 479), st.integers(0, 335), st.integers(1, 480), st.integers(1, 336), st.integers(1, 200))
def test_any_region_at_any_size(
    codec: Codec, coded: tuple[bytes, Pixels], x: int, y: int, wide: int, high: int, size: int
) -> None:
    region = x, y, min(wide, 480 - x), min(high, 336 - y)
    whole = codec.decode(coded[0], region=region)
    small = codec.decode(coded[0], region=region, max_size=size)
    expected = fitting(region[2], region[3], size)
    assert small.shape == (expected[1], expected[0], 3)
    box = (0.0, 0.0, float(region[2]), float(region[3]))
    assert np.abs(small.mean((0, 1)) - resized(whole, expected, box, alpha=False).mean((0, 1))).max() < 12


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_lossless_files_of_every_format(codec: Codec, photo: Pixels, channels: int, kind: Any) -> None:
    colours = photo[..., : 1 if channels < 3 else 3]
    opacity = np.full((336, 480, channels % 2 ^ 1), 255, np.uint8)
    opacity[:100, :200] = 90
    whole = (np.concatenate([colours, opacity], axis=2).astype(kind) * (257 if kind == np.uint16 else 1)).squeeze()
    data = codec.encode(whole, lossless=True)
    small = codec.decode(data, max_size=(60, 42))
    np.testing.assert_array_equal(small, box_means(whole, 8))
    assert codec.decode(data, max_size=50).shape[:2] == (35, 50)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_deep_and_transparent_pictures(codec: Codec, photo: Pixels, kind: Any) -> None:
    grey = photo[..., 1].astype(kind) * (257 if kind == np.uint16 else 1)
    opacity = np.full_like(grey, np.iinfo(kind).max)
    opacity[:96, :96] = 0
    data = codec.encode(np.dstack([grey, opacity]), 60)
    whole, small = codec.decode(data), codec.decode(data, max_size=(60, 42))
    means = box_means(whole, 8)
    np.testing.assert_array_equal(small[..., 1], means[..., 1])
    assert small.dtype == kind
    assert not small[:12, :12].any()
    assert np.abs(small[12:, 12:].astype(int) - means[12:, 12:]).max() <= 2 * (257 if kind == np.uint16 else 1)


def test_exact_tiles_and_corrections(codec: Codec, photo: Pixels) -> None:
    drawing = np.zeros((512, 1024, 3), np.uint8)
    drawing[100:400:8] = 200
    drawing[:336, 512:992] = photo
    data = codec.encode(drawing, 50)
    assert codec.decode_symbols(data).exact
    small, means = codec.decode(data, max_size=(128, 64)), box_means(codec.decode(data), 8)
    np.testing.assert_array_equal(small[:, :64], means[:, :64])
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    data = codec.encode(noise, 100)
    assert codec.decode_symbols(data).corrections
    small, means = codec.decode(data, max_size=(32, 32)), box_means(codec.decode(data), 4)
    assert np.abs(small.astype(int) - means).mean() < 4  # clipping, of noise at both ends, is what differs


def test_the_metadata_tell_the_small_size(codec: Codec, coded: tuple[bytes, Pixels]) -> None:
    picture = codec.decode_picture(coded[0], max_size=100)
    assert (picture.width, picture.height) == (100, 70)


def test_a_family_whose_graph_cannot_be_cut(tmp_path: Any, photo: Pixels) -> None:
    plane = plane_codec(write_model(tmp_path / "model", content_integers(4)), threads=1)
    data = plane.encode(photo, 80)
    np.testing.assert_array_equal(plane.decode(data, max_size=(60, 42)), box_means(plane.decode(data), 8))


def test_the_other_engine(onnx_codec: Codec, codec: Codec, coded: tuple[bytes, Pixels]) -> None:
    for size in (240, 60, 30):
        one, other = (each.decode(coded[0], max_size=size).astype(int) for each in (codec, onnx_codec))
        assert np.abs(one - other).max() <= 1


def test_in_one_call(coded: tuple[bytes, Pixels]) -> None:
    assert glissando.decode(coded[0], max_size=(1000, 42), threads=1).shape == (42, 60, 3)


# --- Rows of windows ---------------------------------------------------------------------------------------


def test_rows_of_windows_hold_few_latents(
    codec: Codec, natural: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tile is decoded once, a row of windows holds no more latents than it sees, and pixels are the same."""
    data = codec.encode(natural(1300, 150, seed=8), 30)
    whole = codec.decode(data)
    heights, decoded = [], []
    coding = codec.coding
    empty, tile = coding.empty_symbols, coding.decode_tile
    monkeypatch.setattr(coding, "empty_symbols", lambda area: heights.append(area.height) or empty(area))
    monkeypatch.setattr(coding, "decode_tile", lambda *given: decoded.append(1) or tile(*given))
    monkeypatch.setattr(engine, "WINDOW", 3)
    np.testing.assert_allclose(codec.decode(data).astype(int), whole, atol=1)
    assert len(decoded) == len(Reader(data).tiles) == 3
    assert len(heights) > 5
    assert max(heights) <= 16


@pytest.mark.parametrize(("quality", "importance"), [(30, False), (50, True), (98, False)])
def test_rows_of_windows_change_no_bit(
    codec: Codec, natural: Callable[..., Pixels], quality: float, importance: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and pixels are those that come of all windows at once."""
    monkeypatch.setattr(engine, "WINDOW", 3)
    picture = natural(620, 190, seed=9)
    picture[512:] = 30  # an exact tile
    given = np.linspace(0, 1, 620)[:, None] if importance else None
    data = codec.encode(picture, quality, importance=given)
    pixels = codec.decode(data)
    for module in ("families.gains.coding", "codec.decoder"):
        monkeypatch.setattr(f"glissando.{module}.rows_of_windows", lambda windows: [list(windows)])
    assert codec.encode(picture, quality, importance=given) == data
    np.testing.assert_array_equal(codec.decode(data), pixels)


@given(st.integers(1, 9), st.integers(0, 12))
def test_arrays_that_move_up(height: int, rows: int) -> None:
    values = np.arange(height * 3).reshape(height, 3) + 1
    expected = np.concatenate([values[rows:], np.zeros((min(rows, height), 3), int)])
    move_up(values, rows)
    np.testing.assert_array_equal(values, expected)


# --- Graphs ------------------------------------------------------------------------------------------------


def test_graphs_that_are_cut(codec: Codec) -> None:
    graph = codec.engine.model.graph("decode").content
    assert "synthesis_factor" in input_names(graph)
    latents = cut(graph, "synthesis.latent_blocks.0.enter.weight", behind=False)
    assert sorted(input_names(latents)) == ["even", "means_offset", "residual", "z"]
    assert len(cut(graph, "synthesis.leave.weight", behind=True)) < len(graph)
    with pytest.raises(ValueError, match="no node of the graph"):
        cut(graph, "nothing.weight", behind=True)
    with pytest.raises(ValueError, match="cut short"):
        cut(graph[:100] + b"\xff", "nothing.weight", behind=True)


# --- The matrix for the smallest pictures ------------------------------------------------------------------


def test_a_matrix_is_fitted_and_installed(
    codec: Codec, natural: Callable[..., Pixels], tmp_path: Path, psnr: Any
) -> None:
    """A model that has no matrix reduces by 8 at most; with one its hash is the same, and small pictures use it."""
    folder = tmp_path / "model"
    shutil.copytree(codec.engine.model.folder, folder)
    card = json.loads((folder / "card.json").read_text("utf-8"))
    del card["files"][BLOCK_MEANS]
    (folder / "card.json").write_text(json.dumps(card), "utf-8")
    (folder / BLOCK_MEANS).unlink()
    picture = natural(192, 256, seed=1)
    data = codec.encode(picture, 60)
    with glissando.open_model(folder, precision="f32", threads=1) as without:
        assert largest_factor(without.engine) == 8
        expected = resized(without.decode(data, max_size=32), (16, 12), (0.0, 0.0, 32.0, 24.0), alpha=False)
        np.testing.assert_array_equal(without.decode(data, max_size=16), expected)
        arrays = fitted(without, [natural(192, 200, seed=seed) for seed in range(2, 5)])
    assert (arrays["weight"].shape, arrays["bias"].shape) == ((256, 3), (3,))
    install(folder, arrays)
    with glissando.open_model(folder, precision="f32", threads=1) as model:
        model.engine.model.check_files()
        assert model.card.hash == codec.card.hash
        assert psnr(model.decode(data, max_size=16), box_means(model.decode(data), 16)) > 27


def test_a_family_without_such_latents_is_not_fitted(tmp_path: Path) -> None:
    plane = plane_codec(write_model(tmp_path / "model", content_integers(8)), threads=1)
    with pytest.raises(InputError, match="covers 8 pixels, not 16"):
        fitted(plane, [])


def test_memory_is_released_and_taken_anew(codec: Codec, coded: tuple[bytes, Pixels]) -> None:
    release(codec.engine.graph("decode-8bit", "f32"))
    np.testing.assert_array_equal(codec.decode(coded[0]), coded[1])
