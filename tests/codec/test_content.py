"""The content-weighted family from pictures to files and back, with a model that needs no network."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from content_model import (
    BITS,
    GROUP,
    LEVELS,
    QUALITIES,
    PlaneEngine,
    content_integers,
    map_tables,
    plane_codec,
    write_model,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glissando import zoo
from glissando.bitstream import LATENTS, MAP, RGB_8, Container, Header, Reader, Tile, ans, container
from glissando.bitstream.tiles import check_tile, encode_tile
from glissando.codec import Codec, Quality, open_codec
from glissando.codec.geometry import Grid
from glissando.errors import CorruptError, FormatError, ModelMismatchError
from glissando.families.content.bits import ODDS_TABLES
from glissando.families.content.coding import BitModel, ContentCoding, TileBits

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module", params=[4, 8], ids=["1/16", "1/8"])
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    folder = tmp_path_factory.mktemp("content") / "model"
    return plane_codec(write_model(folder, content_integers(request.param)), threads=2)


@pytest.fixture(scope="module")
def model() -> BitModel:
    return BitModel(content_integers())


def code_and_kept(seed: int, rows: int, columns: int, most: int = LEVELS) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    kept = random.integers(0, most + 1, (rows, columns)).astype(np.int16)
    code = random.choice([-1, 1], (rows, columns, BITS)).astype(np.int16)
    return code * (np.arange(BITS) // GROUP < kept[..., None]), kept


# --- Files -------------------------------------------------------------------------------------------------


def test_the_quality_scales_the_map(plane: Codec, natural: Callable[..., Pixels], psnr: Any) -> None:
    picture = natural(150, 700, seed=2)  # two tiles
    found = []
    for quality in (0, 30, 47.3, 70, 95):
        data = plane.encode(picture, quality)
        decoded = plane.decode(data)
        assert decoded.shape == picture.shape
        assert len(data) <= 1.01 * plane.ideal_bits(picture, quality) / 8 + 100
        found.append((len(data), psnr(decoded, picture)))
    assert found == sorted(found)
    assert found[-1][0] > 10 * found[0][0]
    assert found[-1][1] > found[0][1] + 5


def test_the_file_carries_what_the_encoder_kept(plane: Codec, natural: Callable[..., Pixels]) -> None:
    picture = natural(140, 600, seed=3)
    data = plane.encode(picture, 60)
    file = Reader(data)
    symbols = plane.decode_symbols(data, order=reversed(range(len(file.tiles)))).latents
    analysed = plane.analyse(picture)
    rows, columns = -(-140 // plane.pixels_per_latent), -(-600 // plane.pixels_per_latent)
    kept = plane.coding.kept_levels(analysed.latents.level_map[..., 0], Quality.of(60))[:rows, :columns]
    assert len(np.unique(kept)) > 3
    np.testing.assert_array_equal(symbols.kept[:rows, :columns, 0], kept)
    level = np.arange(BITS) // GROUP
    expected = analysed.latents.code[:rows, :columns] * (level < kept[..., None])
    np.testing.assert_array_equal(symbols.code[:rows, :columns], expected)
    for name in ("code", "kept"):  # beyond the picture's edge
        assert not getattr(symbols, name)[rows:].any()
        assert not getattr(symbols, name)[:, columns:].any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (17, 600, 3), (65, 33), (8, 9, 1)])
def test_any_size(plane: Codec, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    decoded = plane.decode(plane.encode(pixels, 60))
    assert decoded.shape == (shape if shape[-1] == 3 else shape[:2])
    assert decoded.dtype == np.uint8


def test_nothing_kept_is_legal(plane: Codec) -> None:
    flat = np.full((300, 300, 3), 128, np.uint8)
    data = plane.encode(flat, 0)
    symbols = plane.decode_symbols(data).latents
    assert not symbols.kept.any()
    assert Reader(data).tiles[0].streams[LATENTS] == b""
    assert len(data) < 160
    assert (plane.decode(data) == plane.decode(data)[0, 0]).all()


def test_kept_levels_are_within_their_range(plane: Codec) -> None:
    level_map = np.array([[0.0, 1e-9, 0.5, 1.0]], np.float32)
    assert plane.coding.kept_levels(level_map, Quality(0)).tolist() == [[0, 0, 0, 0]]  # s = 2^-6
    assert plane.coding.kept_levels(level_map, Quality(25600)).tolist() == [[0, 0, LEVELS, LEVELS]]  # s = 2^3
    assert plane.coding.kept_levels(level_map, Quality(17067)).tolist() == [[0, 0, 4, 8]]  # s = 2^0 and a little
    assert plane.coding.levels == LEVELS


def test_only_kept_bits_cost_anything(model: BitModel) -> None:
    code, kept = code_and_kept(0, 6, 7)
    passes = TileBits(model, 12800).passes(code, kept)
    assert list(passes) == [LATENTS, MAP]
    assert len(passes[LATENTS]) == 2 * LEVELS
    coded = [index >= 0 for _, index in passes[LATENTS]]
    assert sum(int(part.sum()) for part in coded) == GROUP * int(kept.sum())
    assert all(part.size == kept.size * GROUP // 2 for part in coded)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9), st.integers(0, LEVELS), st.integers(0, 25600))
def test_a_tile_comes_back(model: BitModel, seed: int, rows: int, columns: int, most: int, units: int) -> None:
    code, kept = code_and_kept(seed, rows, columns, most)
    coder = TileBits(model, units)
    tile = encode_tile(coder.passes(code, kept), model.tables)
    found, levels, in_order = coder.decode(tile.streams, rows, columns)
    check_tile(tile, in_order)
    np.testing.assert_array_equal(found, code)
    np.testing.assert_array_equal(levels, kept)


def test_the_map_has_the_tables_of_its_quality(model: BitModel) -> None:
    for units, level in ((0, 0), (6399, 0), (6400, 1), (19199, 1), (19200, 2), (25600, 2)):
        assert (model.map_index(units) == ODDS_TABLES + level).all()


def test_the_family_is_known(plane: Codec) -> None:
    codec = open_codec(zoo.find(plane.engine.model.folder))
    assert type(codec.coding) is ContentCoding
    assert (codec.name, codec.family.name) == ("tiny-content", "content")
    assert codec.pixels_per_latent == plane.pixels_per_latent


def test_a_finer_grid_has_tiles_of_more_positions() -> None:
    (one, two) = Grid(600, 100, 9, 8).tiles
    assert (one.rows, one.columns, two.rows, two.columns) == (13, 64, 13, 11)
    assert Grid(600, 100, 9, 8).whole.latents_shape == (16, 80)
    assert two.latents() == (slice(0, 16), slice(64, 80))
    assert two.coded() == (slice(0, 13), slice(64, 75))


# --- Damage ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(plane: Codec, natural: Callable[..., Pixels]) -> bytes:
    data = plane.encode(natural(40, 50), 60)
    assert len(data) < 500
    return data


def test_every_flipped_bit_is_an_error(plane: Codec, small: bytes) -> None:
    for place in range(8 * len(small)):
        damaged = bytearray(small)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FormatError):
            plane.decode(bytes(damaged))


def test_every_truncation_is_an_error(plane: Codec, small: bytes) -> None:
    for length in range(len(small)):
        with pytest.raises(FormatError):
            plane.decode(small[:length])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_streams_of_rubbish_with_a_valid_header_are_an_error(plane: Codec, small: bytes, data: Any) -> None:
    """An attacker can make every CRC of the container right; the symbols' checksum is all that is left."""
    file = Reader(small)
    words = st.binary(max_size=200).map(lambda b: b[: len(b) // 4 * 4])
    true = file.tiles[0].streams
    streams = {name: data.draw(st.one_of(words, st.just(true[name]))) for name in true}
    tile = Tile(streams, data.draw(st.integers(0, 2**32 - 1)))
    quality = data.draw(st.sampled_from([0, 100, 12800, 25600]))
    forged = container.write(Container(replace(file.header, quality=quality), {}, [tile]))
    with pytest.raises(CorruptError, match="tile 0 of 1"):
        plane.decode(forged)


def test_other_streams_are_refused(plane: Codec, small: bytes) -> None:
    file = Reader(small).read_all()
    tile = file.tiles[0]
    for streams in ({1: b"", **tile.streams}, {2: tile.streams[2]}, {3: tile.streams[3]}, {9: b"", **tile.streams}):
        other = container.write(replace(file, tiles=[Tile(streams, tile.checksum)]))
        with pytest.raises(CorruptError, match=r"needs streams 2 and 3, the file has \["):
            plane.decode(other)


def forged_map(model: BitModel, symbols: list[int]) -> bytes:
    index = model.map_index(0)[:1].repeat(len(symbols))
    return ans.encode([(np.array([s], np.int32), i[None]) for s, i in zip(symbols, index, strict=True)], model.tables)


@pytest.mark.parametrize("value", [-1, LEVELS + 1, 32767])
def test_a_map_beyond_the_levels_is_refused(model: BitModel, value: int) -> None:
    tile = Tile({LATENTS: b"", MAP: forged_map(model, [value])}, 0)
    with pytest.raises(CorruptError, match=rf"{value}\.\.{value}; they must be in 0\.\.{LEVELS}"):
        TileBits(model, 0).decode(tile.streams, 1, 1)


def test_what_is_no_bit_is_refused(model: BitModel) -> None:
    """A zero or an escape where a bit was expected: neither may reach the context model."""
    code, kept = (np.arange(BITS) < GROUP).astype(np.int16)[None, None], np.ones((1, 1), np.int16)
    passes = TileBits(model, 0).passes(code, kept)
    bits = passes[LATENTS]
    for wrong in (0, 2, -900):
        symbols = bits[0][0].copy()
        symbols[0] = wrong
        stream = ans.encode([(symbols, bits[0][1]), *bits[1:]], model.tables)
        tile = encode_tile(passes, model.tables)
        with pytest.raises(CorruptError, match=r"level 0 is neither -1 nor \+1"):
            TileBits(model, 0).decode({**tile.streams, LATENTS: stream}, 1, 1)


def test_a_wrong_checksum_is_noticed(model: BitModel) -> None:
    code, kept = code_and_kept(6, 3, 4)
    coder = TileBits(model, 0)
    passes = coder.passes(code, kept)
    tile = encode_tile(passes, model.tables)
    crc = 0
    for stream in (LATENTS, MAP):  # as docs/format.md has it: streams by their ids, zeros included
        for symbols, _ in passes[stream]:
            crc = zlib.crc32(symbols.astype("<i2").tobytes(), crc)
    assert tile.checksum == crc
    *_, in_order = coder.decode(tile.streams, 3, 4)
    check_tile(tile, in_order)
    with pytest.raises(CorruptError, match="checksum"):
        check_tile(replace(tile, checksum=crc ^ 1), in_order)


def test_the_quality_of_another_file_is_noticed(plane: Codec, natural: Callable[..., Pixels]) -> None:
    """Another quality means other tables of the map."""
    file = Reader(plane.encode(natural(200, 200), 100)).read_all()
    with pytest.raises(CorruptError):
        plane.decode(container.write(replace(file, header=replace(file.header, quality=0))))


def test_a_large_forged_file_is_an_error(plane: Codec) -> None:
    header = Header(8192, 8192, 12800, RGB_8, bytes.fromhex(plane.card.hash), 9)
    tiles = [Tile({LATENTS: b"", MAP: b"\1\0\0\0"}, 0)] * header.tile_count
    with pytest.raises(FormatError):
        plane.decode(container.write(Container(header, {}, tiles)))


# --- Models that cannot be right ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["frequencies", "radii", "map_index", "per_cell", "bits.bias", "bits.near.weight"])
def test_a_missing_array_is_named(name: str) -> None:
    arrays = content_integers()
    del arrays[name]
    with pytest.raises(ModelMismatchError, match=name.removeprefix("bits.").replace(".", r"\.")):
        BitModel(arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_cell": np.array(3)}, "per_cell must divide 64"),
        ({"per_cell": np.array(0)}, "per_cell must divide 64"),
        ({"per_cell": np.array(4.0)}, "per_cell must divide 64"),
        ({"per_cell": np.array([4])}, "per_cell must divide 64"),
        ({"map_index": content_integers()["map_index"][:, 1:]}, "map_index must be"),
        ({"map_index": content_integers()["map_index"][:0]}, "map_index must be"),
        ({"map_index": content_integers()["map_index"] + 0.5}, "map_index must be"),
        ({"map_index": content_integers()["map_index"] + QUALITIES}, "map_index names tables 100..102"),
        ({"map_index": content_integers()["map_index"] - 1}, "map_index names tables 96..98"),
        (dict(zip(("frequencies", "radii"), map_tables(), strict=True)), "must code bits"),
        ({"bits.bias": np.zeros(7, np.int32)}, "context model"),
    ],
)
def test_arrays_that_do_not_agree_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelMismatchError, match=message):
        BitModel({**content_integers(), **change})


def test_an_encoder_of_other_bits_is_refused(tmp_path: Path, natural: Callable[..., Pixels]) -> None:
    class Wider(PlaneEngine):
        def _analysis(self, pixels: Pixels) -> Any:
            code, level_map = super()._analysis(pixels)
            return np.concatenate([code, code], axis=-1), level_map

    codec = plane_codec(write_model(tmp_path / "model", content_integers()), engine=Wider)
    with pytest.raises(ModelMismatchError, match="gives 64 bits, its context model codes 32"):
        codec.encode(natural(64, 64), 50)
