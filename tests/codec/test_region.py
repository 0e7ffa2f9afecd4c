"""A region of a picture is the crop of the whole to the last pixel, made from the tiles and windows that it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from content_model import PlaneEngine, content_integers, plane_codec, write_model
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import glissando
from glissando.bitstream import Reader, Tile
from glissando.codec import Codec, engine
from glissando.errors import CorruptError, InputError, LimitError

Pixels = NDArray[np.uint8]
RectangleOf = tuple[int, int, int, int]


def crop(pixels: Pixels, region: RectangleOf) -> Pixels:
    x, y, width, height = region
    return pixels[y : y + height, x : x + width]


def in_small_tiles(codec: Codec, pixels: Pixels, quality: float, **options: Any) -> bytes:
    """A file whose tiles are 64 pixels wide."""
    analysed = codec.analyse(pixels)
    return codec.encode_analysed(replace(analysed, grid=replace(analysed.grid, tile_log2=6)), quality, **options)


@st.composite
def regions(draw: st.DrawFn, width: int, height: int) -> RectangleOf:
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))


# --- Equal to the crop -------------------------------------------------------------------------------------


class Blurring(PlaneEngine):
    """Pixels that depend on all latents within one cell, so that a window without its halo would be found out."""

    def _decode(self, code: NDArray[np.float32]) -> tuple[Pixels]:
        (pixels,) = super()._decode(code)
        wide = np.pad(pixels[0].astype(np.int64), ((64, 64), (64, 64), (0, 0)))
        sums = np.pad(wide.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0), (0, 0)))
        box = sums[129:, 129:] - sums[:-129, 129:] - sums[129:, :-129] + sums[:-129, :-129]
        return ((box % 256).astype(np.uint8)[None],)


@pytest.fixture(scope="module", params=[4, 8], ids=["1/16", "1/8"])
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    folder = tmp_path_factory.mktemp("content") / "model"
    return plane_codec(write_model(folder, content_integers(request.param)), threads=1, engine=Blurring)


@pytest.fixture(scope="module")
def tiled(plane: Codec, natural: Callable[..., Pixels]) -> tuple[bytes, Pixels]:
    """7 by 6 tiles of one cell each, cut at both edges, and the whole picture from them."""
    data = in_small_tiles(plane, natural(340, 430, seed=3), 80)
    return data, plane.decode(data)


@settings(max_examples=60, deadline=None)
@given(regions(430, 340), st.integers(1, 4))
def test_any_region_and_any_windows(
    plane: Codec, tiled: tuple[bytes, Pixels], region: RectangleOf, window: int
) -> None:
    data, whole = tiled
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "WINDOW", window)
        found = plane.decode(data, region=region)
    np.testing.assert_array_equal(found, crop(whole, region))


@pytest.mark.parametrize("name", ["medium", "vae", "content-weighted"])
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_shipped_models_give_the_crop(name: str, backend: str, natural: Callable[..., Pixels]) -> None:
    if backend == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="the other backend, ONNX Runtime, is not installed")
    with glissando.open_model(name, backend=backend, precision="f32", threads=1) as codec:
        data = in_small_tiles(codec, natural(450, 590, seed=1), 60)
        whole = codec.decode(data)
        for region in [(0, 0, 1, 1), (589, 449, 1, 1), (200, 130, 180, 250), (64, 64, 64, 64), (1, 300, 588, 150)]:
            np.testing.assert_array_equal(codec.decode(data, region=region), crop(whole, region))


def test_large_windows_too(codec: Codec, natural: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the whole picture is cut into windows, a region is cut into others."""
    data = codec.encode(natural(530, 600, seed=8), 50)
    monkeypatch.setattr(engine, "WINDOW", 2)
    whole = codec.decode(data)
    for region in [(100, 90, 333, 222), (300, 0, 300, 530)]:
        np.testing.assert_array_equal(codec.decode(data, region=region), crop(whole, region))


def test_a_quality_field_and_grey(codec: Codec, natural: Callable[..., Pixels]) -> None:
    pixels = natural(300, 420, seed=2)[..., 1]
    field = codec.quality_field(pixels, np.add.outer(np.arange(9), np.arange(13)) % 7 / 6)
    data = in_small_tiles(codec, pixels, 50, quality_field=field)
    whole, region = codec.decode(data), (170, 60, 150, 200)
    found = codec.decode(data, region=region)
    assert found.shape == (200, 150)
    np.testing.assert_array_equal(found, crop(whole, region))


def test_the_whole_picture_is_a_region(codec: Codec, natural: Callable[..., Pixels]) -> None:
    data = codec.encode(glissando.Picture(natural(70, 90), icc=b"profile"), 60)
    picture = codec.decode_picture(data, region=(0, 0, 90, 70))
    assert picture.icc == b"profile"
    np.testing.assert_array_equal(picture.pixels, codec.decode(data))
    np.testing.assert_array_equal(glissando.decode(data, region=(10, 20, 30, 40)).shape, (40, 30, 3))


# --- From nothing but what it needs ------------------------------------------------------------------------


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the tiles that are read."""
    numbers: list[int] = []
    really = Reader.tile

    def watched(reader: Reader, number: int) -> Tile:
        numbers.append(number)
        return really(reader, number)

    monkeypatch.setattr(Reader, "tile", watched)
    return numbers


def test_only_the_tiles_within_the_halo_are_read(plane: Codec, tiled: tuple[bytes, Pixels], read: list[int]) -> None:
    data, _ = tiled
    plane.decode(data, region=(3 * 64, 2 * 64, 64, 64))
    assert sorted(read) == [7 * row + column for row in (1, 2, 3) for column in (2, 3, 4)]
    read.clear()
    plane.decode(data, region=(0, 0, 10, 65))
    assert sorted(read) == [7 * row + column for row in (0, 1, 2) for column in (0, 1)]


def test_only_their_bytes_are_read(plane: Codec, tiled: tuple[bytes, Pixels]) -> None:
    data, whole = tiled
    reads: list[tuple[int, int]] = []

    class Ranges:
        size = len(data)

        def read_at(self, offset: int, size: int) -> bytes:
            reads.append((offset, size))
            return data[offset : offset + size]

    reader = Reader(Ranges())
    reads.clear()
    region = (3 * 64, 2 * 64, 64, 64)
    np.testing.assert_array_equal(plane.decode(reader, region=region), crop(whole, region))
    tiles = [reader.layout.tile(7 * row + column) for row in (1, 2, 3) for column in (2, 3, 4)]
    assert sorted(reads) == [(tile.offset, tile.length) for tile in tiles]


def test_damage_elsewhere_is_not_met(plane: Codec, tiled: tuple[bytes, Pixels]) -> None:
    data, whole = tiled
    last = Reader(data).layout.tile(41).streams[2]
    damaged = bytearray(data)
    damaged[last.offset + 2] ^= 1
    np.testing.assert_array_equal(plane.decode(damaged, region=(5, 5, 90, 90)), crop(whole, (5, 5, 90, 90)))
    with pytest.raises(CorruptError, match="tile 41 of 42"):
        plane.decode(damaged, region=(420, 330, 1, 1))


def test_only_the_windows_are_computed(
    plane: Codec, tiled: tuple[bytes, Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    really = plane.engine._decode

    def watched(code: NDArray[np.float32]) -> tuple[Pixels]:
        shapes.append(code.shape[1:3])
        return really(code)

    data, _ = tiled
    n = plane.coding.latents_per_cell
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plane.engine, "_decode", watched)
        patch.setattr(plane.engine, "_graphs", {})
        plane.decode(data, region=(130, 70, 60, 50))
    assert shapes == [(3 * n, 3 * n)]  # its one cell, and the halo around it


def test_a_damaged_end_of_the_file_is_still_noticed(plane: Codec, tiled: tuple[bytes, Pixels]) -> None:
    data, _ = tiled
    for wrong in (data[:-1], data + b"\0"):
        with pytest.raises(glissando.errors.FormatError):
            plane.decode(wrong, region=(0, 0, 8, 8))
    with pytest.raises(LimitError):
        plane.decode(data, region=(0, 0, 8, 8), max_pixels=1000)


# --- What is no region -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((0, 0, 431, 1), r"columns 0\.\.431 must be one or more of 0\.\.430"),
        ((0, 300, 1, 41), r"rows 300\.\.341 .* 0\.\.340, inside the picture of 430x340"),
        ((-1, 0, 5, 5), r"columns -1\.\.4"),
        ((0, 0, 0, 5), r"columns 0\.\.0"),
        ((0, 0, 5, -5), r"rows 0\.\.-5"),
        ((430, 0, 1, 1), r"columns 430\.\.431"),
        ((0, 0, 5), r"\(x, y, width, height\), not \(0, 0, 5\)"),
        ((0, 0, 5, 5, 5), r"\(x, y, width, height\)"),
        (7, r"\(x, y, width, height\), not 7"),
        ((0, 0, 5.0, 5), r"5\.0 is none"),
        ((0, 0, "5", 5), "'5' is none"),
        ((0, 0, True, 5), "True is none"),
        ((0, 0, None, 5), "None is none"),
    ],
)
def test_what_is_no_region(plane: Codec, tiled: tuple[bytes, Pixels], region: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plane.decode(tiled[0], region=region)


def test_integers_of_numpy_will_do(plane: Codec, tiled: tuple[bytes, Pixels]) -> None:
    data, whole = tiled
    np.testing.assert_array_equal(plane.decode(data, region=np.array([1, 2, 30, 40])), crop(whole, (1, 2, 30, 40)))


# --- Real numbers from the decoder -------------------------------------------------------------------------


class RealNumbers(PlaneEngine):
    """A decoder that answers real numbers, somewhat beyond black and white at places."""

    def _open(self, name: str, precision: str, real_pixels: bool, encoder: str | None) -> Any:
        assert name != "decode-8bit"
        return self._real if name == "decode" else super()._open(name, precision, real_pixels, encoder)

    def _real(self, code: NDArray[np.float32]) -> tuple[NDArray[np.float32]]:
        (pixels,) = self._decode(code)
        return ((pixels.astype(np.float32) + 0.4) / 255 + np.where(pixels == 255, 0.5, 0).astype(np.float32),)


def test_a_decoder_of_real_numbers_is_rounded(tmp_path: Path, natural: Callable[..., Pixels]) -> None:
    model = write_model(tmp_path / "model", content_integers())
    eight_bits, real = plane_codec(model), plane_codec(model, engine=RealNumbers)
    real.engine.family = replace(real.family, decoder_graph_8bit=None)
    data = eight_bits.encode(natural(90, 150), 90)
    np.testing.assert_array_equal(real.decode(data), eight_bits.decode(data))
    assert real.decode(data, region=(3, 4, 50, 60)).dtype == np.uint8
    assert Reader(data).header.format.depth == 8
