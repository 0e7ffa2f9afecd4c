"""Nothing but the file decides the symbols: not threads, nor backend, precision, order of tiles, or windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import glissando
from glissando.bitstream import Container, Reader, Tile, container
from glissando.codec import Codec, engine
from glissando.codec.geometry import Grid, windows
from glissando.errors import CorruptError
from glissando.families.gains.symbols import TileCoder, octaves
from glissando.onnx_graph import OnnxGraph
from glissando.runtime import Graph

Pixels = NDArray[np.uint8]


def symbols_of(codec: Codec, data: bytes, order: Sequence[int] | None = None) -> dict[str, NDArray[Any]]:
    """All symbols of a file, by what they are of."""
    return vars(codec.decode_symbols(data, order).latents)


def assert_same_symbols(one: Codec, other: Codec, data: bytes) -> None:
    for a, b in zip(symbols_of(one, data).values(), symbols_of(other, data).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def in_tiles_of_64(codec: Codec, pixels: Pixels, quality: float) -> bytes:
    """A file of many small tiles."""
    analysed = codec.analyse(pixels)
    return codec.encode_analysed(replace(analysed, grid=replace(analysed.grid, tile_log2=6)), quality)


@pytest.fixture(scope="module")
def picture(natural: Callable[..., Pixels]) -> Pixels:
    return natural(200, 300, seed=5)


def test_encoding_twice_gives_the_same_bytes(codec: Codec, picture: Pixels) -> None:
    assert codec.encode(picture, 66) == codec.encode(picture.copy(), 66)
    again = glissando.open_model("medium", backend="openvino", precision="f32", threads=1)
    assert again.encode(picture, 66) == codec.encode(picture, 66)


def test_threads_do_not_matter(codec: Codec, natural: Callable[..., Pixels]) -> None:
    two = glissando.open_model("medium", backend="openvino", precision="f32", threads=2)
    pixels = natural(600, 530)  # four tiles
    data = codec.encode(pixels, 60)
    assert_same_symbols(codec, two, data)
    assert np.abs(codec.decode(data).astype(int) - two.decode(data)).max() <= 1
    # With two threads an engine may add in another order, so a tie may round the other way when encoding;
    # the file is then another one, no less decodable.
    other = two.encode(pixels, 60)
    assert_same_symbols(codec, two, other)
    assert abs(len(other) - len(data)) <= 0.01 * len(data)


@pytest.mark.parametrize("quality", [5, 60, 100])
def test_backends_decode_each_others_files(codec: Codec, onnx_codec: Codec, picture: Pixels, quality: float) -> None:
    for encoder in (codec, onnx_codec):
        data = encoder.encode(picture, quality)
        assert_same_symbols(codec, onnx_codec, data)
        gap = np.abs(codec.decode(data).astype(int) - onnx_codec.decode(data))
        assert gap.max() <= 1
        assert (gap > 0).mean() < 0.005


@pytest.fixture(scope="module")
def bf16_codec() -> Codec:
    return glissando.open_model("medium", backend="openvino", precision="bf16", threads=1)


@pytest.mark.parametrize("quality", [10, 60, 95])
def test_bf16_synthesis_changes_no_symbol(
    codec: Codec, bf16_codec: Codec, picture: Pixels, psnr: Callable[..., float], quality: float
) -> None:
    """Where a processor has no bf16 the engine may emulate it or stay in f32: the hint alone is tested there."""
    for encoder in (codec, bf16_codec):
        data = encoder.encode(picture, quality)
        assert_same_symbols(codec, bf16_codec, data)
        exact, rough = codec.decode(data), bf16_codec.decode(data)
        assert np.abs(exact.astype(int) - rough).max() <= 12
        assert psnr(rough, picture) > psnr(exact, picture) - 0.1


# --- Tiles -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiled(codec: Codec, natural: Callable[..., Pixels]) -> bytes:
    data = in_tiles_of_64(codec, natural(150, 250, seed=6), 55)
    assert glissando.probe(data).tiles == 12
    return data


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(12)))
def test_tiles_decode_in_any_order(codec: Codec, tiled: bytes, order: list[int]) -> None:
    for a, b in zip(symbols_of(codec, tiled).values(), symbols_of(codec, tiled, order).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_small_tiles_decode_to_the_same_picture(
    codec: Codec, tiled: bytes, natural: Callable[..., Pixels], psnr: Callable[..., float]
) -> None:
    """Tiles cut the entropy coding only: no seam, no loss."""
    pixels = natural(150, 250, seed=6)
    one, many = codec.decode(codec.encode(pixels, 55)), codec.decode(tiled)
    assert abs(psnr(one, pixels) - psnr(many, pixels)) < 0.3


@pytest.mark.parametrize("number", [0, 5, 11])
def test_a_tile_decodes_alone(codec: Codec, tiled: bytes, number: int) -> None:
    file = Reader(tiled)
    z, y = (symbols_of(codec, tiled)[name] for name in "zy")
    rubbish = [tile if i == number else Tile({1: b"\1\2\3\4", 2: b""}, 0) for i, tile in enumerate(file.tiles)]
    alone = container.write(Container(file.header, {}, rubbish))
    area = Grid(file.header.width, file.header.height, 6, 4).tiles[number]
    one_z, one_y = (symbols_of(codec, alone, [number])[name] for name in "zy")
    np.testing.assert_array_equal(one_z[area.cells()], z[area.cells()])
    np.testing.assert_array_equal(one_y[area.latents()], y[area.latents()])
    with pytest.raises(CorruptError, match=r"tile \d+ of 12"):
        codec.decode_symbols(alone)


def test_swapped_tiles_are_noticed(codec: Codec, tiled: bytes) -> None:
    file = Reader(tiled)
    first, second, *rest = file.tiles
    streams = [Tile(second.streams, first.checksum), Tile(first.streams, second.checksum), *rest]
    with pytest.raises(CorruptError):
        codec.decode(container.write(Container(file.header, {}, streams)))


def test_missing_and_unknown_streams_are_noticed(codec: Codec, tiled: bytes) -> None:
    file = Reader(tiled)
    for change in ({2: b""}, {1: b""}, {1: b"", 2: b"", 3: b""}):
        tiles = [Tile({i: tile.streams.get(i, b"") for i in change}, tile.checksum) for tile in file.tiles]
        with pytest.raises(CorruptError, match="needs streams 1 and 2"):
            codec.decode(container.write(Container(file.header, {}, tiles)))


def test_symbols_beyond_the_edge_are_zero(codec: Codec) -> None:
    random = np.random.default_rng(0).integers(0, 256, (70, 35, 3), dtype=np.uint8)
    symbols = symbols_of(codec, codec.encode(random, 100))
    z, y = symbols["z"], symbols["y"]
    assert z.shape[:2] == (2, 1)
    assert y.shape[:2] == (8, 4)
    assert not y[5:].any()
    assert not y[:, 3:].any()
    assert y[4].any()
    assert y[:, 2].any()


# --- Windows -----------------------------------------------------------------------------------------------


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(engine, "WINDOW", 2)


@pytest.mark.parametrize("quality", [20, 85])
def test_windows_leave_no_seam(
    codec: Codec, natural: Callable[..., Pixels], small_windows: Callable[[], None], quality: float
) -> None:
    """Transforms over windows of 2×2 cells and their halo equal those over the whole picture."""
    pixels = natural(530, 600, seed=8)
    whole = codec.encode(pixels, quality)
    decoded = codec.decode(whole)
    before = codec.analyse(pixels)
    small_windows()
    for halo in (codec.engine.halo, codec.engine.encoder_halo()):
        assert len(list(windows((9, 10), 2, halo))) == 5 * 5
    after = codec.analyse(pixels)
    for one, two in zip(vars(after.latents).values(), vars(before.latents).values(), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-4 * np.abs(two).max())

    windowed = codec.encode(pixels, quality)
    for a, b in zip(*(symbols_of(codec, data).values() for data in (whole, windowed)), strict=True):
        assert (a != b).mean() < 1e-3  # ties may round either way
        assert np.abs(a.astype(int) - b).max() <= 1

    gap = np.abs(codec.decode(whole).astype(int) - decoded)
    assert gap.max() <= 1
    assert (gap > 0).mean() < 0.005


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 4))
def test_windows_cover_the_grid_once(rows: int, columns: int, core: int, halo: int) -> None:
    count = np.zeros((rows, columns), int)
    for window in windows((rows, columns), core, halo):
        inner, outer = window.inner(1), window.outer(1)
        count[inner] += 1
        index = np.indices((rows, columns))
        assert (index[:, *outer][:, *window.inner_of_result(1)] == index[:, *inner]).all()
        for a, b, size in zip(inner, outer, (rows, columns), strict=True):
            assert a.stop - a.start <= max(core, min(size, core + 2 * halo))
            # The halo is whole, but where the picture ends.
            assert b.start == max(0, a.start - halo)
            assert b.stop == min(size, a.stop + halo)
    assert (count == 1).all()


# --- Threads -----------------------------------------------------------------------------------------------


def test_one_codec_serves_many_threads(natural: Callable[..., Pixels]) -> None:
    """Its graphs are compiled by whichever thread is first; all give the bytes of a thread alone."""
    fresh = glissando.open_model("medium", backend="openvino", precision="f32", threads=1)
    jobs = [(natural(70 + 64 * (i % 3), 90 + 30 * i, seed=i), 10.0 * i) for i in range(8)]

    def work(job: tuple[Pixels, float]) -> tuple[bytes, Pixels]:
        data = fresh.encode(*job)
        return data, fresh.decode(data)

    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(work, jobs + jobs))
    alone = [work(job) for job in jobs]
    for (data, pixels), (expected, expected_pixels) in zip(together, alone + alone, strict=True):
        assert data == expected
        np.testing.assert_array_equal(pixels, expected_pixels)


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_is_no_number_of_threads(threads: int) -> None:
    with pytest.raises(glissando.errors.InputError, match="threads"):
        glissando.open_model("medium", threads=threads)


# --- The two passes ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coder(codec: Codec) -> TileCoder:
    return TileCoder(codec.coding.integers, codec.coding.integers.at(12800), Grid(100, 70, 9, 4).tiles[0])


def test_split_and_joined_are_inverse(coder: TileCoder) -> None:
    latents = coder.model.latents
    y = np.arange(8 * 8 * latents, dtype=np.int32).reshape(8, 8, latents)
    first, second = coder.split(y)
    np.testing.assert_array_equal(coder.joined(first, second), y)
    half = latents // 2
    np.testing.assert_array_equal(first[0, 0], y[0, 0, :half])
    np.testing.assert_array_equal(first[0, 1], y[0, 1, half:])
    np.testing.assert_array_equal(first[1, 0], y[1, 0, half:])
    np.testing.assert_array_equal(second[1, 1], y[1, 1, half:])


def test_the_second_pass_reads_the_first_alone(coder: TileCoder) -> None:
    """Scales of the second pass may depend on nothing that the decoder does not have yet."""
    random = np.random.default_rng(1)
    z = random.integers(-3, 4, (2, 2, coder.model.hyper)).astype(np.int16)
    scales = coder.first_scales(z)
    first = random.integers(-9, 10, (8, 8, coder.model.latents // 2)).astype(np.int16)
    found = coder.second_scales(first, scales)
    assert found is not scales
    np.testing.assert_array_equal(found, coder.second_scales(first.copy(), coder.first_scales(z)))
    np.testing.assert_array_equal(found, coder.second_scales(-first, scales))  # magnitudes alone


def test_float_gains_are_powers_of_two() -> None:
    row = np.array([-256, 0, 128, 512], np.int32)
    np.testing.assert_allclose(octaves(row), [0.5, 1, 2**0.5, 4], rtol=1e-7)


@pytest.mark.parametrize(("fast", "wanted"), [("bf16", "auto"), ("f32", "auto"), ("bf16", "f32"), ("bf16", "bf16")])
def test_bfloat16_only_where_it_is_fast_and_not_seen(
    monkeypatch: pytest.MonkeyPatch, picture: Pixels, fast: str, wanted: str
) -> None:
    used: set[tuple[str, str]] = set()
    really_open = engine.open_graph

    def open_graph(graph: OnnxGraph, *, precision: str, **options: Any) -> Graph:
        used.add((graph.name.split(": ")[-1], precision))
        return really_open(graph, precision="f32", **options)

    monkeypatch.setattr(engine, "open_graph", open_graph)
    monkeypatch.setattr(engine, "fast_precision", lambda engine: fast)
    card = glissando.open_model("medium").card
    tops = {
        "analysis": card.bf16_encode_quality,
        "quantise": card.bf16_encode_quality,
        "decode-8bit": card.bf16_quality,
    }
    for name, top in tops.items():
        for quality, low in ((top, True), (top + 1, False)):
            if not 0 <= quality <= 100:  # −1: nowhere
                continue
            used.clear()
            codec = glissando.open_model("medium", precision=wanted, threads=1)
            codec.decode(codec.encode(picture, quality))
            expected = wanted if wanted != "auto" else fast if low else "f32"
            assert {precision for graph, precision in used if graph == name} == {expected}
