"""Samples of 10 to 16 bits through the codec: nothing between the levels of 8 bits is lost on the way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

import glissando
from glissando import Picture, zoo
from glissando.bitstream import CORRECTIONS, Reader
from glissando.codec import Codec
from glissando.codec.pixels import padded
from glissando.errors import ModelMismatchError
from glissando.onnx_graph import OnnxGraph, with_real_input
from glissando.picture import scaled
from glissando.runtime import open_graph

Pixels = NDArray[np.uint8]
Wide = NDArray[np.uint16]


@pytest.fixture(scope="module")
def codec() -> Codec:
    return glissando.open_model("medium", precision="f32", threads=1)


def decibels(a: NDArray[np.integer], b: NDArray[np.integer], top: int) -> float:
    return float(10 * np.log10(top**2 / max(np.square(a.astype(float) - b).mean(), 1e-9)))


def wide(natural: Callable[..., Pixels], height: int, width: int) -> Wide:
    """A photograph of 16 bits: means of four 8-bit samples."""
    large = natural(2 * height, 2 * width).astype(np.float64)
    return np.rint(large.reshape(height, 2, width, 2, 3).mean(axis=(1, 3)) * 257).astype(np.uint16)


def gradient(depth: int = 16) -> Wide:
    """A sky: it rises by a few levels of 8 bits over 512 columns, in all directions."""
    y, x = np.mgrid[:128, :512]
    sky = (0.4 + (x + 0.5 * y) * 8 / 255 / 512)[..., None] + np.array([0.0, 0.08, 0.2])
    return np.rint(sky * (2**depth - 1)).astype(np.uint16)


@pytest.mark.parametrize("name", ["medium", "content-weighted", "vae"])
def test_the_analysis_takes_real_numbers(name: str) -> None:
    """Whole ones give what bytes give, exactly; those between give something between."""
    graph = zoo.find(name).graph("analysis")
    real = OnnxGraph(graph.name, with_real_input(graph.content, "pixels"))
    assert len(real.content) == len(graph.content)
    pixels = np.random.default_rng(0).integers(0, 255, (1, 64, 128, 3), dtype=np.uint8)
    for backend in ("openvino", "onnxruntime"):
        if backend == "onnxruntime":
            pytest.importorskip("onnxruntime", reason="the other backend, ONNX Runtime, is not installed")
        by_bytes, by_numbers = (open_graph(each, backend=backend, precision="f32", threads=1) for each in (graph, real))
        low, high = by_bytes(pixels=pixels), by_bytes(pixels=pixels + 1)
        found = by_numbers(pixels=pixels.astype(np.float32))
        for one, other in zip(low, found, strict=True):
            np.testing.assert_array_equal(one, other)
        between = by_numbers(pixels=pixels + np.float32(0.5))[-1]
        near = np.abs(between - (low[-1] + high[-1]) / 2).max()
        assert near <= 0.1 * np.abs(high[-1] - low[-1]).max() + 1e-6
    with pytest.raises(ValueError, match="no input 'pixels' of uint8"):
        with_real_input(real.content, "pixels")
    with pytest.raises(ValueError, match="no input 'code'"):
        with_real_input(graph.content, "code")
    for cut in (b"", graph.content[:7], graph.content[:100]):
        with pytest.raises(ValueError, match=r"cut short|no input"):
            with_real_input(cut, "pixels")


def test_windows_of_deep_samples_are_real_numbers() -> None:
    samples = np.array([[0, 512], [1023, 1]], np.uint16)
    found = padded(samples, slice(0, 3), slice(0, 2), depth=10)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, :, :, 1], np.array([[0, 512], [1023, 1], [1023, 1]]) * (255 / 1023), rtol=1e-6)


@pytest.mark.parametrize("depth", [10, 12, 16])
def test_smooth_gradients_have_no_bands(codec: Codec, depth: int) -> None:
    """A band is a run of equal samples with a step at its end: neighbouring columns differ a little instead."""
    sky, level = gradient(depth), (2**depth - 1) / 255
    of_eight = scaled(sky, depth, 8)
    for quality in (60, 90):
        decoded = codec.decode(codec.encode(sky, quality, depth=depth))
        banded = codec.decode(codec.encode(of_eight, quality))
        assert _longest_run(decoded) <= 3 + 2 * 512 / (8 * level)
        assert _longest_run(banded) > 30
        steps = np.abs(np.diff(decoded.astype(int), axis=1)) / level
        assert np.quantile(steps, 0.95) < 0.5
    # Below half a level of 8 bits, most samples of those would be the right ones.
    assert np.sqrt(np.square((decoded.astype(float) - sky) / level).mean()) < 0.5


def _longest_run(pixels: NDArray[np.integer]) -> int:
    """The longest run of equal samples in the middle row."""
    row = pixels[len(pixels) // 2, :, 0]
    return max(map(len, np.split(row, np.flatnonzero(np.diff(row)) + 1)))


def test_sixteen_bits_are_at_least_as_good_as_eight(codec: Codec, natural: Callable[..., Pixels]) -> None:
    deep = wide(natural, 200, 300)
    flat = scaled(deep, 16, 8)
    for quality in (30, 90):
        data, of_eight = codec.encode(deep, quality), codec.encode(flat, quality)
        decoded = codec.decode(data)
        assert decoded.dtype == np.uint16
        assert decibels(deep, decoded, 65535) >= decibels(flat, codec.decode(of_eight), 255)
        assert decibels(deep, decoded, 65535) > decibels(deep, codec.decode(of_eight).astype(int) * 257, 65535)
        assert len(data) == pytest.approx(len(of_eight), rel=0.01)


@pytest.mark.parametrize("depth", [9, 10, 12, 16])
@pytest.mark.parametrize("shape", [(70, 90, 3), (70, 90), (1, 1), (3, 2, 3)])
def test_lossless_of_any_depth(
    codec: Codec, depth: int, shape: tuple[int, ...], natural: Callable[..., Pixels]
) -> None:
    pixels = scaled(wide(natural, *shape[:2]), 16, depth)
    pixels = pixels if len(shape) == 3 else pixels[:, :, 1]
    data = codec.encode(pixels, lossless=True, depth=depth)
    picture = codec.decode_picture(data)
    assert picture.depth == depth
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert glissando.probe(data).format == picture.format


def test_grey_pictures_metadata_and_regions(codec: Codec, natural: Callable[..., Pixels]) -> None:
    deep = scaled(wide(natural, 130, 600), 16, 12)[:, :, 1]
    data = codec.encode(Picture(deep, depth=12, xmp=b"<x/>"), 80)
    picture = codec.decode_picture(data)
    assert (picture.depth, picture.xmp, picture.pixels.dtype) == (12, b"<x/>", np.uint16)
    assert str(picture.format) == "12-bit grey"
    assert decibels(deep, picture.pixels, 4095) > 30
    part = codec.decode(data, region=(500, 20, 60, 50))
    np.testing.assert_array_equal(part, picture.pixels[20:70, 500:560])
    assert glissando.decode(data).dtype == np.uint16


def test_drawings_of_sixteen_bits_come_back_exactly(codec: Codec) -> None:
    y, x = np.mgrid[:96, :128]
    drawing = np.where(((x // 4 + y // 4) % 2)[..., None], [60001, 513, 40000], [7, 65535, 258]).astype(np.uint16)
    np.testing.assert_array_equal(codec.decode(codec.encode(drawing, 60)), drawing)


def test_eight_bits_in_sixteen_take_what_eight_take(codec: Codec, natural: Callable[..., Pixels]) -> None:
    """Exact tiles of screens and lossless files: a program that saves 16 bits has often had 8."""
    y, x = np.mgrid[:200, :200]
    checkerboard = np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, 2)
    for eight, options in (
        (checkerboard, {}),
        (checkerboard, {"lossless": True}),
        (natural(80, 90), {"lossless": True}),
    ):
        deep = eight.astype(np.uint16) * 257
        data = codec.encode(deep, 60, **options)
        assert len(data) <= len(codec.encode(eight, 60, **options)) + 40
        np.testing.assert_array_equal(codec.decode(data), deep)


def test_no_sample_is_far_off_at_the_top(codec: Codec, natural: Callable[..., Pixels]) -> None:
    deep = wide(natural, 150, 200)
    deep[..., 0] = np.where(np.random.default_rng(0).random(deep.shape[:2]) < 0.5, 65535, deep[..., 0])
    data = codec.encode(deep, 100)
    assert CORRECTIONS in Reader(data).layout.stream_ids
    assert np.abs(codec.decode(data).astype(int) - deep).max() <= 2.5 * 257
    of_eight = codec.encode(scaled(deep, 16, 8), 100)
    assert len(data) < 1.05 * len(of_eight)


def test_every_way_to_encode_knows_the_depth(codec: Codec, natural: Callable[..., Pixels]) -> None:
    ten = scaled(wide(natural, 64, 80), 16, 10)
    data = codec.encode(ten, 60, depth=10)
    assert codec.encode(Picture(ten, depth=10), 60) == data
    assert codec.encode_analysed(codec.analyse(ten, 60, depth=10), 60) == data
    assert codec.encode_with_bits(ten, 60, depth=10)[0] == data
    field = codec.quality_field(ten, "auto", depth=10)
    np.testing.assert_array_equal(field.offsets, codec.quality_field(Picture(ten, depth=10), "auto").offsets)


def test_a_model_whose_analysis_takes_other_pixels_is_named(
    codec: Codec, natural: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = with_real_input(zoo.find("medium").graph("analysis").content, "pixels")
    monkeypatch.setattr(type(codec.engine.model), "graph", lambda self, name, encoder: OnnxGraph(name, content))
    with (
        glissando.open_model("medium", threads=1) as fresh,
        pytest.raises(ModelMismatchError, match="model medium: analysis takes 8-bit pixels alone"),
    ):
        fresh.encode(wide(natural, 64, 64), 60)


def test_importance_of_and_for_deep_pictures(codec: Codec, natural: Callable[..., Pixels]) -> None:
    deep = wide(natural, 128, 192)
    fields = [codec.quality_field(each, "auto").offsets for each in (deep, scaled(deep, 16, 8))]
    np.testing.assert_array_equal(*fields)
    ramp = np.tile(np.linspace(0, 1023, 192).astype(np.uint16), (128, 1))
    by_picture = codec.quality_field(deep, Picture(ramp, depth=10)).offsets
    by_floats = codec.quality_field(deep, ramp / 1023).offsets
    assert np.abs(by_picture - by_floats).max() <= 1


def test_bfloat16_is_not_for_deep_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has 8 bits itself."""
    from glissando.codec.quality import Quality

    with glissando.open_model("medium") as codec:
        monkeypatch.setattr(type(codec.engine), "_fast_precision", "bf16")
        low = Quality.of(0)
        assert codec.engine.decoder_precision(low) == codec.engine.encoder_precision(low) == "bf16"
        assert codec.engine.decoder_precision(low, 10) == codec.engine.encoder_precision(low, 10) == "f32"


def test_eight_bit_integers_where_they_are_fast_and_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the analysis alone, up to the encoder's own quality, and not for deep samples."""
    from dataclasses import replace

    from glissando import zoo
    from glissando.codec.engine import Engine
    from glissando.codec.options import BackendOptions
    from glissando.codec.quality import Quality

    model = zoo.find("medium")
    own = replace(
        model.card.encoders[model.card.encoder],
        int8_quality=40.0,
        files={**model.card.encoders[model.card.encoder].files, "analysis-int8.onnx.gz": ""},
    )
    model = replace(model, card=replace(model.card, encoders={model.card.encoder: own}))
    low, high = Quality.of(40), Quality.of(41)
    for wanted, fast, expected in (
        ("auto", True, ["int8", "f32", "f32", "f32"]),
        ("auto", False, ["f32", "f32", "f32", "f32"]),
        ("int8", False, ["int8", "int8", "f32", "f32"]),
        ("f32", True, ["f32", "f32", "f32", "f32"]),
    ):
        with Engine(model, BackendOptions(precision=wanted)) as engine:
            monkeypatch.setattr(Engine, "_fast_int8", fast)
            monkeypatch.setattr(Engine, "_fast_precision", "f32")
            found = [
                engine.analysis_precision(low),
                engine.analysis_precision(high),
                engine.analysis_precision(low, 10),
            ]
            assert [*found, engine.decoder_precision(low)] == expected
