"""Inference engines behind one call: arrays in by name, arrays out.

Only transforms, means and context run here, in floats, at whatever precision the engine chooses: nothing
of it reaches the entropy coder, so no file depends on it (docs/format.md).
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import queue
import re
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glissando.errors import BackendError, InputError
from glissando.machine import Machine
from glissando.onnx_graph import OnnxGraph

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "Graph",
    "abandon",
    "choose_engine",
    "fast_int8",
    "fast_precision",
    "is_broken",
    "open_graph",
    "release",
]

Array = NDArray[Any]
BACKENDS = ("auto", "openvino", "onnxruntime")
PRECISIONS = ("auto", "f32", "bf16", "int8")


class Graph(Protocol):
    """A compiled network, safe to call from several threads at once.

    Raises BackendError where it fails; ``is_broken`` then says whether it has to be compiled anew.
    """

    def __call__(self, **inputs: Array) -> tuple[Array, ...]: ...


def is_broken(graph: Graph) -> bool:
    """Whether a graph has failed in such a way that it cannot be called again."""
    return getattr(graph, "broken", False)


def release(graph: Graph) -> None:
    """Let go of the memory that a graph keeps between calls for what it computes, if its engine can.

    What the process has freed goes back to the system. By itself glibc keeps what lies between blocks that are in use,
    which for large pictures becomes as much again as they take.
    """
    if isinstance(graph, _OpenVino):
        graph.release()
    if _MALLOC_TRIM is not None:
        _MALLOC_TRIM(0)


def _malloc_trim() -> Callable[[int], int] | None:
    """The function of glibc; None on other systems."""
    if sys.platform != "linux":
        return None
    try:
        function: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    return function


_MALLOC_TRIM = _malloc_trim()


def abandon(inherited: object) -> None:
    """Keep what a forked child inherited from ever being destroyed, the end of the program included.

    Engines wait for their threads when they are destroyed, and in a child those threads do not exist.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


_TELEMETRY = "openvino_telemetry"


def _import_openvino() -> Any:
    """OpenVINO without its telemetry.

    When it is first imported, OpenVINO leaves an identifier in the user's home folder, and a child process reports the
    import to a server on the internet. Where the package of its telemetry is missing, it does neither; so that package
    is hidden while OpenVINO is imported.
    """
    hidden = _TELEMETRY not in sys.modules
    if hidden:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # an import of this name raises ImportError
    try:
        return importlib.import_module("openvino")
    finally:
        if hidden:
            del sys.modules[_TELEMETRY]


class _OpenVino:
    """One compiled model; each running call borrows an inference request of its own."""

    _core: Any = None
    _lock = threading.Lock()

    @classmethod
    def forget_core(cls) -> None:
        """In a forked child: the core's threads are gone, and the lock may have been held by another thread."""
        abandon(cls._core)
        cls._core, cls._lock = None, threading.Lock()

    @classmethod
    def core(cls) -> Any:
        with cls._lock:
            if cls._core is None:
                cls._core = _import_openvino().Core()
            return cls._core

    def __init__(self, content: bytes, precision: str, threads: int | None) -> None:
        core = self.core()
        # What is prepared for one size of pictures stays with the request, for the next of the same size. A cache for
        # other sizes, of up to 5,000 entries, would add some 4 MB for each, and saves no time that can be measured.
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "CPU_RUNTIME_CACHE_CAPACITY": "0"}
        if precision != "auto":
            options["INFERENCE_PRECISION_HINT"] = "f32" if precision == "int8" else precision
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        self._model = core.compile_model(core.read_model(content), "CPU", options)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._turn = threading.Lock()  # the engine runs one request after the other as well
        self.broken = False

    def __call__(self, **inputs: Array) -> tuple[Array, ...]:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._model.create_infer_request()
        with self._turn:
            if self.broken:
                raise BackendError("openvino: this network has failed before; open the model again")
            # ``request.infer`` keeps errors to itself: where memory ends, it leaves the results of the call before.
            # Once a call has failed, later ones, of other requests too, may return results of other inputs.
            try:
                request.start_async(inputs, share_inputs=True)
                request.wait()
            except (RuntimeError, MemoryError) as error:
                self.broken = True
                raise _failed("openvino", error) from error
        try:
            return tuple(np.array(output.data) for output in request.output_tensors)
        finally:
            self._idle.put(request)

    def release(self) -> None:
        """Free what the model's layers are computed in; the next call takes it anew."""
        with self._turn:
            self._model.release_memory()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_OpenVino.forget_core)


def _failed(engine: str, error: Exception) -> BackendError:
    """The error of a network that did not run; what engines say of it fills a page."""
    text = " ".join(str(error).split())
    memory = isinstance(error, MemoryError) or re.search(r"bad_?alloc|alloc|memory|Check 'ptr' failed", text)
    return BackendError(f"{engine}: {'not enough memory for this picture' if memory else 'failed'} ({text[:300]})")


class _OnnxRuntime:
    """An ONNX Runtime session on the CPU, always in float32."""

    def __init__(self, content: bytes, precision: str, threads: int | None) -> None:
        import onnxruntime

        if precision == "bf16":
            raise BackendError("backend onnxruntime computes in f32 only; use backend openvino for bf16")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def __call__(self, **inputs: Array) -> tuple[Array, ...]:
        try:
            return tuple(self._session.run(None, inputs))
        except Exception as error:  # engines raise their own kinds
            raise _failed("onnxruntime", error) from error


_ENGINES: dict[str, Callable[[bytes, str, int | None], Graph]] = {"openvino": _OpenVino, "onnxruntime": _OnnxRuntime}


def choose_engine(backend: str, precision: str, threads: int | None) -> str:
    """The engine that ``open_graph`` will use with these options; raises as it does, and imports nothing."""
    if backend == "auto":
        backend = os.environ.get("GLISSANDO_BACKEND", "auto")
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r} is unknown; choose one of {', '.join(PRECISIONS)}")
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, not {threads}")
    wanted = [name for name in _ENGINES if backend in ("auto", name)]
    found = next((name for name in wanted if importlib.util.find_spec(name)), None)
    if found is None:
        raise BackendError(f"no inference engine is installed; pip install {' or '.join(wanted)}")
    return found


def fast_precision(engine: str) -> str:
    """ "bf16" where ``engine``, as ``choose_engine`` names it, is faster in it on this machine, else "f32".

    It is "f32" as well where the system does not tell what the processor can do.
    """
    if engine != "openvino" or not Machine.this().fast_bf16:
        return "f32"
    try:
        return "bf16" if "BF16" in _OpenVino.core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
    except Exception as error:  # engines raise their own kinds
        raise BackendError(f"{engine} does not start: {error}") from error


def fast_int8(engine: str) -> bool:
    """Whether ``engine``, as ``choose_engine`` names it, is faster in 8-bit integers than in float32 here."""
    return engine == "openvino" and Machine.this().fast_int8


def open_graph(
    graph: OnnxGraph, *, backend: str = "auto", precision: str = "auto", threads: int | None = None
) -> Graph:
    """Compile a graph, which holds its weights.

    ``backend``: "openvino", "onnxruntime", or "auto", the first of them that is installed (the environment variable
    GLISSANDO_BACKEND overrides "auto"). ``precision``: "f32", "bf16", or "auto", the engine's own choice; "int8" is for
    graphs that are in 8-bit integers themselves, and in float32 otherwise. ``threads``: at most so many, or None for
    the engine's choice.

    Raises InputError for an unknown name, BackendError where the engine is missing or fails.
    """
    found = choose_engine(backend, precision, threads)
    try:
        return _ENGINES[found](graph.content, precision, threads)
    except BackendError:
        raise
    except Exception as error:  # engines raise their own kinds
        raise BackendError(f"{found} cannot open {graph.name}: {error}") from error
