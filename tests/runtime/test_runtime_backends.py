"""Inference engines: chosen by name, loaded when needed, and their failures told in our words."""

from __future__ import annotations

import gzip
import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glissando
from glissando.errors import BackendError, InputError
from glissando.onnx_graph import OnnxGraph, with_weights
from glissando.runtime import choose_engine, fast_precision, open_graph
from glissando.zoo import find

EVEN = np.ones((1, 4, 4, 1), np.float32)


def analysis() -> OnnxGraph:
    return find("medium").graph("analysis")


def pixels(height: int = 64, width: int = 128) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)


def needs_onnxruntime(backend: str = "onnxruntime") -> None:
    """OpenVINO is always installed; the other backend need not be."""
    if backend == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="the other backend, ONNX Runtime, is not installed")


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "auto"])
def test_every_backend_runs_a_graph(backend: str) -> None:
    needs_onnxruntime(backend)
    y, z = open_graph(analysis(), backend=backend, precision="f32", threads=1)(pixels=pixels())
    assert y.shape[:3] == (1, 4, 8)
    assert z.shape[:3] == (1, 1, 2)
    assert y.dtype == z.dtype == np.float32
    assert np.isfinite(y).all()


def test_backends_agree() -> None:
    needs_onnxruntime()
    one, other = (
        open_graph(analysis(), backend=name, precision="f32", threads=1)(pixels=pixels())
        for name in ("openvino", "onnxruntime")
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * np.abs(a).max())


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_graph_serves_several_threads_and_keeps_its_results(backend: str) -> None:
    """A result is the caller's own: the next call does not write over it."""
    needs_onnxruntime(backend)
    graph = open_graph(analysis(), backend=backend, precision="f32", threads=1)
    inputs = [pixels(64 * (1 + i % 2), 64 * (1 + i % 3)) // (i + 1) for i in range(6)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda x: graph(pixels=x), inputs * 2))
    for found, value in zip(together, inputs * 2, strict=True):
        for a, b in zip(found, graph(pixels=value), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "tensorrt"}, "'tensorrt' is unknown; choose one of auto, openvino, onnxruntime"),
        ({"backend": ""}, "'' is unknown"),
        ({"precision": "f16"}, "'f16' is unknown; choose one of auto, f32, bf16"),
        ({"threads": 0}, "at least 1, not 0"),
    ],
)
def test_unknown_names_are_input_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_graph(analysis(), **options)
    with pytest.raises(InputError, match=message):
        glissando.open_model("medium", **options)


def test_the_environment_can_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_onnxruntime()
    monkeypatch.setenv("GLISSANDO_BACKEND", "onnxruntime")
    assert choose_engine("auto", "auto", None) == "onnxruntime"
    assert choose_engine("openvino", "auto", None) == "openvino"
    monkeypatch.setenv("GLISSANDO_BACKEND", "abacus")
    with pytest.raises(InputError, match="abacus"):
        choose_engine("auto", "auto", None)


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.delenv("GLISSANDO_BACKEND", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in names else real(name, *a))


def test_a_missing_backend_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "openvino", "onnxruntime")
    for backend in ("openvino", "onnxruntime"):
        with pytest.raises(BackendError, match=f"pip install {backend}$"):
            open_graph(analysis(), backend=backend)
    with pytest.raises(BackendError, match="pip install openvino or onnxruntime"):
        glissando.open_model("medium")


def test_auto_takes_the_one_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_onnxruntime()
    hide(monkeypatch, "openvino")
    assert choose_engine("auto", "auto", None) == "onnxruntime"
    hide(monkeypatch)
    monkeypatch.undo()
    monkeypatch.delenv("GLISSANDO_BACKEND", raising=False)
    assert choose_engine("auto", "auto", None) == "openvino"


def test_onnxruntime_has_no_bf16() -> None:
    needs_onnxruntime()
    with pytest.raises(BackendError, match="f32 only"):
        open_graph(analysis(), backend="onnxruntime", precision="bf16")


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("damage", ["empty", "rubbish", "cut", "no weights"])
def test_a_damaged_graph_is_a_backend_error(backend: str, damage: str) -> None:
    needs_onnxruntime(backend)
    content = analysis().content
    encoder = find("medium").encoder()
    bare = gzip.decompress((encoder.folder / "analysis.onnx.gz").read_bytes())
    assert content.startswith(bare)
    damaged = {"empty": b"", "rubbish": b"\xff" * 1000, "cut": content[: len(content) // 2], "no weights": bare}[damage]
    with pytest.raises(BackendError, match=f"{backend} cannot open analysis"):
        open_graph(OnnxGraph("analysis", damaged), backend=backend, threads=1)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_weights_are_joined_to_a_graph_in_any_number(backend: str) -> None:
    """A graph's bytes and those of several messages of weights, in any order of the names, are one model."""
    needs_onnxruntime(backend)
    model = find("medium")
    encoder = model.encoder()
    bare = gzip.decompress((encoder.folder / "analysis.onnx.gz").read_bytes())
    names = [name for name in encoder._arrays if name.startswith(("analysis.", "hyper_analysis."))]
    joined = bare
    for name in reversed(names):
        joined = with_weights(joined, {name: encoder._arrays[name]})
    found = open_graph(OnnxGraph("analysis", joined), backend=backend, precision="f32", threads=1)(pixels=pixels())
    expected = open_graph(analysis(), backend=backend, precision="f32", threads=1)(pixels=pixels())
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_fast_precision_is_one_that_the_engine_takes() -> None:
    assert fast_precision("onnxruntime") == "f32"
    found = fast_precision("openvino")
    assert found in ("f32", "bf16")
    open_graph(analysis(), backend="openvino", precision=found, threads=1)(pixels=pixels())


def test_openvino_reports_nothing_to_its_makers(tmp_path: Path) -> None:
    """Its telemetry would leave an identifier in the home folder, and start a thread that sends it."""
    code = """
import sys, threading
from glissando.runtime.backends import _OpenVino
_OpenVino.core()
assert "openvino" in sys.modules
assert "openvino_telemetry" not in sys.modules
assert threading.active_count() == 1
"""
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "CI": ""}  # a variable CI would switch it off
    ran = subprocess.run([sys.executable, "-c", code], env=os.environ | home, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads what Linux says of the process")
def test_memory_is_bounded_over_many_sizes() -> None:
    """For each new size an engine prepares its kernels; it must not keep those of all sizes."""

    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    graph = open_graph(analysis(), backend="openvino", precision="f32", threads=1)
    for width in (10, *range(1, 6)):
        for height in (5,) if width == 10 else range(1, 5):
            graph(pixels=pixels(64 * height, 64 * width))
    before = resident()
    for width in range(6, 10):
        for height in range(1, 5):
            graph(pixels=pixels(64 * height, 64 * width))
    assert resident() - before < 25  # 33 MB with the engine's usual cache


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the memory of a process")
def test_an_engine_without_memory_says_so(backend: str) -> None:
    """It never returns what it returned before, as OpenVINO does, and the codec works again with what is smaller."""
    needs_onnxruntime(backend)
    code = f"""
import resource
from pathlib import Path
import numpy as np
import glissando
from glissando.errors import BackendError

small, large = np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 1536, 1536, 3), np.uint8)
engine = glissando.open_model("medium", backend="{backend}", precision="f32", threads=1).engine
graph = engine.graph("analysis", "f32")
expected = graph(pixels=small)[0]
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 50 * 2**20, -1))
try:
    graph(pixels=large)
except BackendError as error:
    assert "{backend}: not enough memory for this picture" in str(error), error
else:
    raise AssertionError("nothing was said")
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
np.testing.assert_array_equal(engine.graph("analysis", "f32")(pixels=small)[0], expected)
try:
    graph(pixels=small)
except BackendError as error:
    assert "open the model again" in str(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
