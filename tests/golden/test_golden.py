"""Golden files: what any machine, and any later version of this package, must read and write exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bitstream_reference
import numpy as np
import planes_reference
import pytest
import scale_reference
from make_golden import QUALITIES, deep_grey, deep_scene, drawing, noise, opacity, scene, symbols_crc, tall_scene
from PIL import Image
from synthetic_model import PER_CELL, PICTURES, header_of, synthetic_container, synthetic_integers, synthetic_symbols

import glissando
from glissando.bitstream import ALPHA, CORRECTIONS, PIXELS, Reader, container
from glissando.bitstream.tiles import check_tile
from glissando.codec.geometry import Grid
from glissando.families.gains.symbols import SymbolModel, TileCoder
from glissando.lossless import decode_planes
from glissando.picture import scaled

HERE = Path(__file__).parent
FORMAT: list[dict[str, Any]] = json.loads((HERE / "format.json").read_text(encoding="utf-8"))
SHIPPED: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in HERE.glob("*.json") if path.stem != "format"
}

ids = [f"{w}x{h}-tile{1 << t}-q{q / 256:.1f}" for w, h, t, q, _ in PICTURES]
each_picture = pytest.mark.parametrize("number", range(len(PICTURES)), ids=ids)


@pytest.fixture(scope="module")
def model() -> SymbolModel:
    return SymbolModel(synthetic_integers())


# --- The format, with a synthetic model --------------------------------------------------------------------


def test_the_golden_pictures_are_those_of_the_script() -> None:
    assert [tuple(record["picture"]) for record in FORMAT] == list(PICTURES)


@each_picture
def test_fixed_symbols_give_exactly_these_bytes(number: int, model: SymbolModel) -> None:
    record = FORMAT[number]
    file = synthetic_container(model, header_of(PICTURES[number]))
    assert [f"{tile.checksum:08x}" for tile in file.tiles] == record["tile_checksums"]
    assert container.write(file).hex() == record["file"]


@each_picture
def test_these_bytes_give_exactly_the_symbols(number: int, model: SymbolModel) -> None:
    record = FORMAT[number]
    file = Reader(bytes.fromhex(record["file"]))
    header = file.header
    assert header == header_of(PICTURES[number])
    grid = Grid(header.width, header.height, header.tile_log2, PER_CELL)
    z = np.full((*grid.cells, model.hyper), 99, np.int16)
    y = np.full((*grid.whole.latents_shape, model.latents), 99, np.int16)
    for area, tile in zip(grid.tiles, file.tiles, strict=True):
        coder = TileCoder(model, model.at(header.quality), area)
        z[area.cells()], y[area.latents()], in_order = coder.decode(tile.streams)
        check_tile(tile, in_order)
    expected_z, expected_y, _ = synthetic_symbols(model, header)
    np.testing.assert_array_equal(z, expected_z)
    np.testing.assert_array_equal(y, expected_y)
    assert (symbols_crc(z), symbols_crc(y)) == (record["z"], record["y"])


def reference_tile(file: Any, number: int, integers: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """One tile's symbols by docs/format.md in plain integers: z and y, [row][column][channel]."""
    header = file.header
    side = (1 << header.tile_log2) // 64
    cell_rows, cell_columns = -(-header.height // 64), -(-header.width // 64)
    top, left = (side * i for i in divmod(number, -(-cell_columns // side)))
    rows, columns = min(side, cell_rows - top), min(side, cell_columns - left)
    inside = [
        (r, c)
        for r in range(4 * rows)
        for c in range(4 * columns)
        if 16 * (r + 4 * top) < header.height and 16 * (c + 4 * left) < header.width
    ]
    levels = {
        name: scale_reference.level(integers[name].tolist(), header.quality)
        for name in ("scale_offset", "hyper_gain", "hyper_scale")
    }
    first_table = integers["first_table"].tolist()
    flat = integers["frequencies"].tolist()
    tables, at = [], 0
    for radius in integers["radii"].tolist():
        tables.append((radius, flat[at : at + 2 * radius + 2]))
        at += 2 * radius + 2
    network = scale_reference.ScaleReference(
        {name.removeprefix("scales."): array for name, array in integers.items() if name.startswith("scales.")}
    )

    decoder = bitstream_reference.Decoder(file.tiles[number].streams[1])
    hyper = len(levels["hyper_gain"])
    index = [scale_reference.table(s, first_table, 0) for s in levels["hyper_scale"]]
    found = iter(decoder.decode(index * (rows * columns), tables))
    z = [[[next(found) for _ in range(hyper)] for _ in range(columns)] for _ in range(rows)]
    assert decoder.empty

    inputs = [
        [[scale_reference.dequantised(k, g) for k, g in zip(v, levels["hyper_gain"], strict=True)] for v in line]
        for line in z
    ]
    latents = len(levels["scale_offset"])
    scales = [
        [[s + o for s, o in zip(values, levels["scale_offset"], strict=True)] for values in line]
        for line in network.first(inputs)
    ]
    y = [[[0] * latents for _ in range(4 * columns)] for _ in range(4 * rows)]
    decoder = bitstream_reference.Decoder(file.tiles[number].streams[2])
    for turn in (0, 1):
        half = latents // 2
        places = [
            (r, c, channel)
            for r, c in inside
            for channel in (range(half) if (r + c + turn) % 2 == 0 else range(half, latents))
        ]
        if turn:
            more = network.second(y, scales)
            scales = [
                [[a + b for a, b in zip(p, q, strict=True)] for p, q in zip(one, two, strict=True)]
                for one, two in zip(scales, more, strict=True)
            ]
        index = [scale_reference.table(scales[r][c][channel], first_table, turn) for r, c, channel in places]
        for (r, c, channel), symbol in zip(places, decoder.decode(index, tables), strict=True):
            y[r][c][channel] = symbol
    assert decoder.empty
    return z, y


@each_picture
def test_a_decoder_written_from_the_specification_agrees(number: int, model: SymbolModel) -> None:
    """docs/format.md alone, in plain Python integers, decodes the same symbols from the golden bytes."""
    file = Reader(bytes.fromhex(FORMAT[number]["file"]))
    header = file.header
    expected_z, expected_y, _ = synthetic_symbols(model, header)
    for tile, area in enumerate(Grid(header.width, header.height, header.tile_log2, PER_CELL).tiles):
        z, y = reference_tile(file, tile, synthetic_integers())
        np.testing.assert_array_equal(z, expected_z[area.cells()])
        np.testing.assert_array_equal(y, expected_y[area.latents()])


def test_the_golden_symbols_exercise_the_format() -> None:
    """Escapes, symbols that are not coded, several tables, several tiles: else the bytes would prove little."""
    model = SymbolModel(synthetic_integers())
    skipped, escaped, used = 0, 0, set()
    for picture in PICTURES:
        for _, streams in synthetic_symbols(model, header_of(picture))[2]:
            for passes in streams.values():
                for symbols, index in passes:
                    skipped += int((index < 0).sum())
                    coded = index >= 0
                    escaped += int((np.abs(symbols[coded]) > model.tables.radii[index[coded]]).sum())
                    used |= set(index[coded].tolist())
    assert skipped > 300
    assert escaped > 100
    assert len(used) > 40


# --- The shipped models ------------------------------------------------------------------------------------

RERUN = "a shipped model's weights have changed: run python tests/golden/make_golden.py and commit what it writes"
FILES = [(name, quality) for name in sorted(SHIPPED) for quality in QUALITIES]


def golden_codec(name: str, backend: str = "openvino") -> glissando.Codec:
    codec = glissando.open_model(name, backend=backend, precision="f32", threads=1)
    if codec.card.hash != SHIPPED[name]["hash"]:
        pytest.fail(f"{RERUN} (golden {SHIPPED[name]['hash']}, installed {codec.card.hash})", pytrace=False)
    return codec


def test_every_shipped_model_is_pinned() -> None:
    assert {card.name for card in glissando.list_models()} == set(SHIPPED), RERUN


@pytest.mark.parametrize(("name", "quality"), FILES)
def test_a_shipped_file_decodes_to_the_golden_symbols(name: str, quality: int) -> None:
    codec = golden_codec(name)
    data = (HERE / f"{name}-{quality}.gliss").read_bytes()
    record = SHIPPED[name][str(quality)]
    symbols = {key: symbols_crc(array) for key, array in vars(codec.decode_symbols(data).latents).items()}
    assert symbols == record["symbols"]
    assert [f"{tile.checksum:08x}" for tile in Reader(data).tiles] == record["tile_checksums"]


@pytest.mark.parametrize(("name", "quality"), FILES)
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_shipped_file_decodes_to_the_golden_pixels(backend: str, name: str, quality: int) -> None:
    if backend == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="the other backend, ONNX Runtime, is not installed")
    pixels = golden_codec(name, backend).decode((HERE / f"{name}-{quality}.gliss").read_bytes())
    with Image.open(HERE / f"{name}-{quality}.png") as picture:
        expected = np.asarray(picture)
    assert pixels.shape == expected.shape == scene().shape
    difference = np.abs(pixels.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


# --- A quality field in many tiles -------------------------------------------------------------------------


def test_a_quality_field_is_read_as_it_was_written() -> None:
    with golden_codec("medium") as codec:
        decoded = codec.decode(HERE / "importance.gliss")
    pixels = np.asarray(Image.open(HERE / "importance.png"))
    assert decoded.shape == tall_scene().shape
    assert np.abs(decoded.astype(int) - pixels).max() <= 1
    error = np.square(decoded.astype(float) - tall_scene()).mean(axis=2)
    assert error[160:240, 30:60].mean() < error[:140].mean() / 2
    assert Reader(HERE / "importance.gliss").header.tile_count == 14


# --- Exact tiles and corrections ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lossless", "exact", "corrected"])
def test_planes_are_read_as_they_were_written(name: str) -> None:
    data = (HERE / f"{name}.gliss").read_bytes()
    pixels = np.asarray(Image.open(HERE / f"{name}.png"))
    decoded = glissando.decode(data)
    original = drawing() if name == "exact" else scene()
    if name == "corrected":  # networks round otherwise on other machines
        assert np.abs(decoded.astype(int) - pixels).max() <= 1
        assert np.abs(decoded.astype(int) - original).max() <= 3
    else:
        assert np.array_equal(decoded, pixels)
        assert np.array_equal(decoded, original)


# --- Depth and opacity -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["transparent", "transparent-steps", "deep", "deep-lossless", "deep-corrected", "noise"]
)
def test_depth_and_opacity_are_read_as_they_were_written(name: str) -> None:
    picture = glissando.open_for(HERE / f"{name}.gliss").decode_picture(HERE / f"{name}.gliss")
    decoded = picture.pixels
    expected = scaled(
        glissando.read_picture(HERE / f"{name}.png").pixels, 16 if picture.depth > 8 else 8, picture.depth
    )
    assert decoded.dtype == expected.dtype == (np.uint16 if name.startswith("deep") else np.uint8)
    difference = np.abs(decoded.astype(int) - expected)
    # Networks round otherwise on other machines.
    assert difference.max() <= {"deep": 64, "deep-lossless": 0, "deep-corrected": 16, "noise": 0}.get(name, 1)
    if name == "deep":
        return
    if name == "noise":
        assert np.array_equal(decoded, noise())
        return
    factor = {"deep-lossless": 257, "deep-corrected": 16}.get(name, 1)
    alpha = opacity() * np.uint16(factor)
    assert np.array_equal(decoded[..., -1], expected[..., -1])
    assert np.abs(decoded[..., -1].astype(int) - alpha).max() <= (4 if name == "transparent-steps" else 0)
    if name == "deep-lossless":
        assert np.array_equal(decoded[..., :3], deep_scene())
    if name == "deep-corrected":
        seen = alpha > 0
        assert np.abs(decoded.astype(int) - deep_grey().pixels)[seen].max() <= 2.5 * 16 + 16
    if name == "transparent":
        assert (decoded[alpha == 0] == 0).all()


PLANES = {
    "exact": {PIXELS: [1]},
    "lossless": {PIXELS: [0]},
    "corrected": {CORRECTIONS: [5, 3]},
    "transparent": {ALPHA: [1, 1]},
    "transparent-steps": {ALPHA: [7, 1]},
    "deep-lossless": {PIXELS: [0], ALPHA: [1, 3]},
    "deep-corrected": {CORRECTIONS: [81, 3], ALPHA: [1, 3]},
    "noise": {PIXELS: [2], ALPHA: [1, 2]},
}
"""The streams of planes in golden files; of each the step, where it has one, and the method."""


@pytest.mark.parametrize("name", sorted(PLANES))
def test_a_decoder_of_planes_written_from_the_specification_agrees(name: str) -> None:
    """docs/format.md alone decodes the same planes from the golden bytes, and puts the same picture together."""
    file = Reader(HERE / f"{name}.gliss")
    format, (tile,) = file.header.format, file.tiles
    height, width, top = file.header.height, file.header.width, 2**format.depth - 1
    decoded = glissando.decode(file).astype(int)
    found: dict[int, list[int]] = {}
    for stream in {PIXELS, CORRECTIONS, ALPHA} & set(tile.streams):
        data, found[stream], bits, count = tile.streams[stream], [], format.depth, format.channels
        if stream != PIXELS:
            step, data = planes_reference.varint(data)
            found[stream].append(step)
        if stream == CORRECTIONS:
            bits = min(bits + 1, 16)
        if stream == ALPHA:
            bits, count = (-(-top // step)).bit_length(), 1
        found[stream].append(data[0])
        planes = np.array(planes_reference.decode_planes(data, count, height, width, bits))
        np.testing.assert_array_equal(planes, decode_planes(data, count, height, width, bits))
        if stream == PIXELS:
            wanted = planes[0] if format.grey else np.moveaxis(planes[[1, 0, 2]], 0, -1)  # green comes before red
            colours = decoded if format.alpha == "none" else decoded[..., : format.channels].squeeze()
            np.testing.assert_array_equal(colours, wanted)
        if stream == ALPHA:
            np.testing.assert_array_equal(decoded[..., -1], np.minimum(planes[0] * step, top))
    assert found == PLANES[name]
