"""The parts that a codec is composed of, each by itself: places, qualities, pixels, options, the engine."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import glissando
from glissando import zoo
from glissando.codec import BackendOptions, Codec, EncodeOptions, Quality, QualityField, open_codec
from glissando.codec.engine import Engine
from glissando.codec.geometry import CELL, Grid, Region, windows
from glissando.codec.pixels import grey_of, padded, to_levels
from glissando.codec.quality import LocalQuality
from glissando.codec.workers import Workers
from glissando.errors import BackendError, InputError, ModelMismatchError, UnknownModelError

Pixels = NDArray[np.uint8]

grids = st.builds(Grid, st.integers(1, 700), st.integers(1, 700), st.integers(6, 9), st.sampled_from([1, 2, 4, 8, 16]))


# --- Places ------------------------------------------------------------------------------------------------


@given(grids)
def test_tiles_and_latents_cover_the_picture_once(grid: Grid) -> None:
    cells, coded = np.zeros(grid.cells, int), np.zeros(grid.whole.latents_shape, int)
    for area in grid.tiles:
        cells[area.cells()] += 1
        coded[area.coded()] += 1
        assert cells[area.cells()].shape == area.shape
        assert coded[area.latents()].shape == area.latents_shape
        assert coded[area.coded()].shape == area.coded_shape
    assert (cells == 1).all()
    rows, columns = grid.coded
    assert (coded[:rows, :columns] == 1).all()
    assert coded.sum() == rows * columns
    assert grid.whole.coded_shape == grid.coded
    assert grid.pixels_per_latent * grid.latents_per_cell == CELL


@given(grids)
def test_edges_are_where_latents_begin(grid: Grid) -> None:
    for edges, length, count in zip(grid.edges(), (grid.height, grid.width), grid.coded, strict=True):
        assert len(edges) == count + 1
        assert (np.diff(edges) > 0).all()
        assert (edges[0], edges[-1]) == (0, length)
        assert (edges[:-1] % grid.pixels_per_latent == 0).all()
    over = grid.over_pixels(np.arange(np.prod(grid.coded)).reshape(grid.coded))
    assert over.shape == (grid.height, grid.width)
    down, right = grid.edges()
    np.testing.assert_array_equal(over[np.ix_(down[:-1], right[:-1])].ravel(), np.arange(np.prod(grid.coded)))


@given(grids, st.data())
def test_what_a_region_needs(grid: Grid, data: st.DataObject) -> None:
    """Its windows cover it, they see what the whole picture's would, and their tiles hold all that they see."""
    x, y = data.draw(st.integers(0, grid.width - 1)), data.draw(st.integers(0, grid.height - 1))
    size = data.draw(st.integers(1, grid.width - x)), data.draw(st.integers(1, grid.height - y))
    region, core, halo = Region.of((x, y, *size), grid.width, grid.height), data.draw(st.integers(1, 5)), 2
    covered = grid.area_over(region)
    numbers, area = grid.tiles_over(grid.around(covered, halo))
    assert numbers == sorted(set(numbers))
    here = np.zeros(grid.cells, int)
    for number in numbers:
        here[grid.tiles[number].cells()] += 1
    whole = np.zeros(grid.cells, int)
    whole[area.cells()] = 1
    np.testing.assert_array_equal(here, whole)

    out = np.zeros((region.height, region.width), int)
    picture = np.arange(grid.cells[0] * CELL * grid.cells[1] * CELL).reshape(grid.cells[0] * CELL, -1)
    for window in windows(grid.cells, core, halo, covered):
        assert whole[window.outer(1)].all()
        local = window.within(area)
        assert whole[area.cells()][local.outer(1)].shape == whole[window.outer(1)].shape
        source, target = window.pixels(region)
        out[target] += picture[window.outer(CELL)][source]
    np.testing.assert_array_equal(out, picture[y : y + region.height, x : x + region.width])


# --- Qualities ---------------------------------------------------------------------------------------------


@given(st.floats(0, 100))
def test_qualities_are_stored_in_steps(number: float) -> None:
    quality = Quality.of(number)
    assert abs(quality.number - number) <= 1 / 512
    assert Quality.of(quality.number) == quality
    assert Quality(0) <= quality <= Quality.highest()


@pytest.mark.parametrize("number", [-0.001, 100.001, float("nan"), "high", None, [50]])
def test_what_is_no_quality(number: Any) -> None:
    with pytest.raises(InputError, match="quality must be"):
        Quality.of(number)


def test_qualities_move_within_their_range_and_have_an_order() -> None:
    assert Quality(25000).moved(1000) == Quality.highest() == Quality.of(100)
    assert Quality(100).moved(-1000) == Quality(0) < Quality(1)
    assert Quality(100).moved(28).number == 0.5
    with pytest.raises(FrozenInstanceError):
        Quality(1).units = 2  # type: ignore[misc]


def test_fields_hold_offsets() -> None:
    offsets = np.array([[-512, 0], [0, 256]])
    field = QualityField.of_offsets(offsets)
    assert field.palette == (-512, 0, 256)
    assert field.index.dtype == np.int16
    np.testing.assert_array_equal(field.offsets, offsets / 256)
    local = LocalQuality(Quality(10000), field)
    assert local.palette == (Quality(9488), Quality(10000), Quality(10256))
    np.testing.assert_array_equal(local.over((slice(1, 3), slice(0, 2))), [[1, 2], [1, 2]])


# --- Pixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "kind"), [(8, np.uint8), (10, np.uint16), (16, np.uint16), (1, np.uint8)])
def test_real_numbers_become_levels(depth: int, kind: type) -> None:
    top = 2**depth - 1
    values = np.array([-1.0, -0.0, 0.3 / top, 0.7 / top, 1 - 0.3 / top, 1.0, 7.0], np.float32)
    levels = to_levels(values, depth)
    assert levels.dtype == kind
    np.testing.assert_array_equal(levels, [0, 0, 0, 1, top, top, top])
    every = np.arange(top + 1)
    np.testing.assert_array_equal(to_levels((every / top).astype(np.float32), depth), every)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_is_the_mean(kind: type) -> None:
    top = np.iinfo(kind).max
    pixels = np.array([[[1, 1, 2], [1, 2, 2], [top, top, top], [0, 0, 1]]], kind)
    grey = grey_of(pixels)
    assert grey.dtype == kind
    np.testing.assert_array_equal(grey, [[1, 2, top, 0]])


def test_windows_repeat_the_last_pixels() -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    (found,) = padded(pixels, slice(1, 4), slice(0, 5))
    assert found.shape == (3, 5, 3)
    np.testing.assert_array_equal(found[..., 1], [[3, 4, 5, 5, 5]] * 3)


# --- Options -----------------------------------------------------------------------------------------------


def test_options_are_frozen_and_checked() -> None:
    with pytest.raises(FrozenInstanceError):
        BackendOptions().threads = 3  # type: ignore[misc]
    for options in ({"strength": 3.0}, {"keep_size": True}):
        with pytest.raises(InputError, match="need a map"):
            EncodeOptions(**options)
    model = zoo.find("medium")
    with pytest.raises(InputError, match="backend 'abacus'"):
        open_codec(model, BackendOptions(backend="abacus"))
    with pytest.raises(InputError, match="threads"):
        open_codec(model, BackendOptions(threads=0))


# --- The engine --------------------------------------------------------------------------------------------


def test_a_closed_codec_says_so(natural: Callable[..., Pixels]) -> None:
    pixels = natural(40, 50)
    with glissando.open_model("medium", backend="openvino", precision="f32", threads=1) as codec:
        data = codec.encode(pixels, 50)
    for work in (lambda: codec.encode(pixels, 50), lambda: codec.decode(data), lambda: codec.decode_symbols(data)):
        with pytest.raises(InputError, match="model medium has been closed"):
            work()
    codec.close()  # again does no harm


def test_graphs_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr("glissando.codec.engine.open_graph", lambda source, **options: opened.append(source) or len)
    with Engine(zoo.find("medium"), BackendOptions(threads=2)) as engine:
        futures = [engine.prepare("decode", precision) for precision in ("f32", "f32", "bf16")]
        assert [future.result() for future in futures] == [len] * 3
        assert engine.graph("decode", "f32") is len
        assert engine.each(lambda x: x * x, range(5)) == [0, 1, 4, 9, 16]
        assert engine.each(str, []) == []
    assert len(opened) == 2


def test_an_engine_that_fails_says_so_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(source: Any, **options: Any) -> Any:
        raise BackendError("out of order")

    monkeypatch.setattr("glissando.codec.engine.open_graph", fails)
    with Engine(zoo.find("medium")) as engine:
        for _ in range(2):
            with pytest.raises(BackendError, match="out of order"):
                engine.graph("decode", "f32")


def test_a_model_of_an_unknown_family_is_named() -> None:
    model = zoo.find("medium")
    stranger = replace(model, card=replace(model.card, family="quantum"))
    with pytest.raises(ModelMismatchError, match=r"model medium: the family 'quantum' is not known; there are gains"):
        open_codec(stranger)


def test_a_pickled_codec_is_opened_anew(natural: Callable[..., Pixels], tmp_path: Path) -> None:
    pixels = natural(40, 50)
    with glissando.open_model("medium", backend="openvino", precision="f32", threads=1, encoder="default") as codec:
        content = pickle.dumps(codec)
        data = codec.encode(pixels, 50)
    assert len(content) < 1000  # names, no weights
    with pickle.loads(content) as again:
        assert again.engine.options == codec.engine.options
        assert again.engine.model.only == "default"
        assert again.encode(pixels, 50) == data
    model_hash = codec.card.hash
    other = content.replace(model_hash.encode(), b"0123456789abcdef")
    with pytest.raises(
        ModelMismatchError, match=f"medium was 0123456789abcdef where it was .* here it is {model_hash}"
    ):
        pickle.loads(other)
    assert zoo.find_same("medium", model_hash, tmp_path).card.hash == model_hash  # wherever it lies
    with pytest.raises(UnknownModelError, match="neither installed here nor in"):
        zoo.find_same("none", "0123456789abcdef", tmp_path)
    engine = codec.engine
    with pytest.raises(pickle.PicklingError, match="one's own"):
        pickle.dumps(Codec(engine, engine.family.coding(engine.model, engine)))


PROCESSES = """
import multiprocessing, os, signal, threading, time
import numpy as np
import glissando

pixels = np.tile(np.arange(520, dtype=np.uint16).astype(np.uint8), (530, 3, 1)).transpose(0, 2, 1)  # four tiles
codec = glissando.open_model("medium", backend="openvino", precision="f32", threads=2)
data = codec.encode(pixels, 50)
decoded = codec.decode(data)

child = os.fork()
if child == 0:
    signal.alarm(50)
    same = codec.encode(pixels, 50) == data and (codec.decode(data) == decoded).all()
    codec.close()
    os._exit(7 if same else 8)  # as children of multiprocessing end
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert (codec.decode(data) == decoded).all()

with multiprocessing.get_context("spawn").Pool(1) as pool:
    exact = pool.apply_async(codec.encode, (pixels,), {"lossless": True}).get(timeout=50)
assert (codec.decode(exact) == pixels).all()

def late():
    threading.main_thread().join()
    if (codec.decode(data) == decoded).all():
        print("late but right", flush=True)

threading.Thread(target=late).start()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_a_spawned_worker_and_a_thread_that_outlives_the_main_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROCESSES], capture_output=True, check=False, text=True, timeout=100
    )
    assert (done.returncode, done.stdout) == (0, "late but right\n"), done.stderr


def test_work_is_done_by_the_caller_where_no_thread_may_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers(2)
    assert workers.map(str, [1, 2]) == ["1", "2"]
    workers.shutdown()
    assert workers.map(str, [1, 2]) == ["1", "2"]
    with pytest.raises(ZeroDivisionError):
        workers.map(lambda x: 1 / x, [1, 0])
    monkeypatch.setattr("concurrent.futures.__getattr__", lambda name: _refuse())  # Python's pools, loaded too late
    monkeypatch.delattr("concurrent.futures.ThreadPoolExecutor", raising=False)
    alone = Workers(2)
    assert alone.submit(threading.current_thread).result() is threading.current_thread()
    alone.shutdown()


def _refuse() -> None:
    raise RuntimeError("can't register atexit after shutdown")
