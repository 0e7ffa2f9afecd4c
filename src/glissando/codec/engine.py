"""A model's networks, compiled when they are first needed, and the threads that work beside them."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

from numpy.typing import NDArray

from glissando.errors import InputError, ModelMismatchError
from glissando.families import Family, family
from glissando.onnx_graph import OnnxGraph, input_names, with_real_input
from glissando.runtime import Graph, abandon, choose_engine, fast_int8, fast_precision, is_broken, open_graph
from glissando.zoo import Model
from glissando.zoo.model import PATCH, in_eight_bits

from .geometry import CELL, Area, Grid, Window, windows
from .options import BackendOptions
from .quality import Quality
from .workers import Workers

__all__ = ["Engine"]

WINDOW = 24
"""Cells (1,536 pixels): the longest side of what a network runs over at once, without the halo."""
SMALL_WINDOW = 14
"""The same where no synthesis runs, and memory counts for more than what a larger share of halo takes."""
WIDE = 256
"""Cells (16,384 pixels): pictures that are wider are encoded by lower windows, as rows of windows take memory."""
KEPT = 2
"""Graphs beside the model's own that an engine keeps: one to refine with, and one to judge by."""

T = TypeVar("T")
R = TypeVar("R")

_Key = tuple[str, str, bool, str | None]  # a graph's name, its precision, whether it takes real pixels, whose it is


class Engine:
    """Runs the graphs of one model, each in the precision that suits; safe to use from several threads.

    Graphs are compiled when they are first asked for, and kept. After ``fork`` the child has threads of its own and
    compiles anew; it should end by ``os._exit``, as children of ``multiprocessing`` do, since the inference library may
    otherwise wait at its end for threads that stayed in the parent. ``close`` releases both; an engine is its own
    context manager.

    Raises InputError or BackendError where the options cannot be met, ModelMismatchError where the model's family is
    not known.
    """

    def __init__(self, model: Model, options: BackendOptions | None = None) -> None:
        self.model = model
        self.options = options = options or BackendOptions()
        try:
            self.family: Family = family(model.card.family)
        except ModelMismatchError as error:
            raise ModelMismatchError(f"model {model.card.name}: {error}") from error
        # Unusable options raise an error now, not at the first picture.
        self._backend = choose_engine(options.backend, options.precision, options.threads)
        self._closed = False
        self._start()
        _RUNNING.add(self)

    def _start(self) -> None:
        """Begin without any graph or thread; the pool starts its threads when it is first given work."""
        self._lock = threading.Lock()
        self._graphs: dict[_Key, Future[Graph]] = {}
        self._others: OrderedDict[Hashable, Graph] = OrderedDict()
        self._pool = Workers(self.options.threads or os.cpu_count() or 1)

    def close(self) -> None:
        """Wait for what is running, then let threads and graphs go. Using the engine afterwards is an InputError."""
        with self._lock:
            self._closed = True
            self._graphs.clear()
            self._others.clear()
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Precision ----------------------------------------------------------------------------------------

    def analysis_precision(self, quality: Quality, depth: int = 8, encoder: str | None = None) -> str:
        """The precision of an encoder's first graph: 8-bit integers as well, else that of ``encoder_precision``.

        Raises ModelMismatchError where 8-bit integers were asked for, and the encoder has no such graph.
        """
        own, name = self.model.encoder(encoder), in_eight_bits(self.family.encoder_graphs[0])
        if self.options.precision == "int8" and not own.has_graph(name):
            raise ModelMismatchError(
                f"encoder {own.card.name} of model {self.model.card.name} has no graph {name}: "
                "precision int8 is not for it"
            )
        wanted = self.options.precision == "int8" or (
            self.options.precision == "auto" and quality.number <= own.card.int8_quality and self._fast_int8
        )
        return "int8" if wanted and depth <= 8 else self.encoder_precision(quality, depth, encoder)

    def encoder_precision(self, quality: Quality, depth: int = 8, encoder: str | None = None) -> str:
        """The precision of an encoder's other networks: bfloat16 only where it is fast and its rounding is not seen.

        bfloat16 has 8 bits itself, too few for samples of more bits: ``depth`` is how many they have. ``encoder``: the
        usual one unless one is named.
        """
        return self._precision(depth <= 8 and quality.number <= self.model.encoder(encoder).card.bf16_quality)

    def decoder_precision(self, quality: Quality, depth: int = 8, factor: int = 1) -> str:
        """The precision of a decoder's networks, chosen in the same way.

        ``factor``: by how much they reduce. Where that is more than ``PATCH`` the picture is near the right one at
        best, and no rounding to bfloat16 is seen.
        """
        return self._precision(depth <= 8 and (factor > PATCH or quality.number <= self.model.card.bf16_quality))

    def _precision(self, unseen: bool) -> str:
        if self.options.precision == "auto":
            return self._fast_precision if unseen else "f32"
        return "f32" if self.options.precision == "int8" else self.options.precision

    @cached_property
    def _fast_int8(self) -> bool:
        return fast_int8(self._backend)

    @cached_property
    def _fast_precision(self) -> str:
        return fast_precision(self._backend)

    # Graphs -------------------------------------------------------------------------------------------

    def prepare(
        self, name: str, precision: str, *, real_pixels: bool = False, encoder: str | None = None
    ) -> Future[Graph]:
        """Compile a graph in the background, once, or again after it broke; the future's result is the graph.

        ``real_pixels``: its input "pixels" is float32 from 0 to 255 instead of uint8, for what lies between the levels
        of 8 bits. ``encoder``: whose graph it is, if it is an encoder's; the usual one's unless one is named.
        """
        key = (name, precision, real_pixels, encoder)
        return self._once(key, self._open, *key)

    def _once(self, key: _Key, compiled: Callable[..., Graph], *arguments: Any) -> Future[Graph]:
        """The graph of this key, which ``compiled`` makes in the background, unless it is there and not broken."""
        with self._lock:
            self._check_open()
            if key not in self._graphs or _is_broken(self._graphs[key]):
                self._graphs[key] = self._pool.submit(compiled, *arguments)
            return self._graphs[key]

    def graph(self, name: str, precision: str, *, real_pixels: bool = False, encoder: str | None = None) -> Graph:
        """The compiled graph; waits until it is compiled."""
        return self.prepare(name, precision, real_pixels=real_pixels, encoder=encoder).result()

    def _open(self, name: str, precision: str, real_pixels: bool, encoder: str | None) -> Graph:
        if name in self.family.encoder_graphs:
            self.model.check_encoder(encoder)
        source = self.model.graph(in_eight_bits(name) if precision == "int8" else name, encoder)
        if real_pixels:
            try:
                source = replace(source, content=with_real_input(source.content, "pixels"))
            except ValueError as error:
                raise ModelMismatchError(
                    f"model {self.model.card.name}: {name} takes 8-bit pixels alone ({error})"
                ) from error
        return self._compiled(source, precision)

    def reduces(self, factor: int) -> bool:
        """Whether the decoder's graph can be cut so that it makes pictures that are smaller by a factor."""
        family = self.family
        if factor > PATCH:
            return self.model.block_means is not None
        rows = self.model.weights.get(f"{family.last_layer}.weight")
        return rows is not None and len(rows) == 3 * PATCH * PATCH

    def latents(self) -> Graph:
        """What the decoder's graph does before its synthesis: its output is the latents.

        Raises InputError where the family, or this network of it, has no such part.
        """
        return self.prepare_reduced(2 * PATCH, "f32").result()

    def prepare_reduced(self, factor: int, precision: str) -> Future[Graph]:
        """Compile in the background, once, what the decoder's graph becomes where it ``reduces`` by a factor.

        It takes the inputs of the whole graph. Its output is patches up to a factor of ``PATCH``, as
        ``Model.averaged_graph`` describes them, and latents beyond it.
        """
        key = (f"{self.family.decoder_graph} reduced by {factor}", precision, False, None)
        return self._once(key, self._open_reduced, factor, precision)

    def _open_reduced(self, factor: int, precision: str) -> Graph:
        family, name = self.family, self.family.decoder_graph
        if factor > PATCH:
            if family.latents_layer is None or f"{family.latents_layer}.weight" not in self.model.weights:
                raise InputError(f"the decoder of model {self.model.card.name} has no synthesis that reads its latents")
            source = self.model.latents_graph(name, family.latents_layer)
        else:
            assert family.last_layer is not None
            source = self.model.averaged_graph(name, family.last_layer, factor)
        return _Beginning(self._compiled(source, precision), input_names(source.content))

    def _compiled(self, graph: OnnxGraph, precision: str) -> Graph:
        return open_graph(graph, backend=self._backend, precision=precision, threads=self.options.threads)

    def other_graph(self, key: Hashable, build: Callable[[], OnnxGraph]) -> Graph:
        """A graph that is not the model's but built, in f32; built once for each ``key`` as long as it is kept.

        The ``KEPT`` graphs that were last asked for are kept, since each may hold hundreds of megabytes.
        """
        with self._lock:
            self._check_open()
            if key in self._others and not is_broken(self._others[key]):
                self._others.move_to_end(key)
                return self._others[key]
        graph = self._compiled(build(), "f32")
        with self._lock:
            self._check_open()
            self._others[key] = graph
            while len(self._others) > KEPT:
                self._others.popitem(last=False)
        return graph

    # What they run over -------------------------------------------------------------------------------

    @cached_property
    def halo(self) -> int:
        """Cells around a window that decoded pixels inside it depend on."""
        return self._cells(self.family.decoder_halo, self.model.card.configuration)

    def encoder_halo(self, encoder: str | None = None) -> int:
        """Cells around a window that the latents of its pixels depend on, those of the usual encoder or a named one."""
        own = self.model.encoder(encoder).card.configuration
        return self._cells(self.family.encoder_halo, {**self.model.card.configuration, **own})

    def _cells(self, halo: Callable[[Mapping[str, Any]], int], configuration: Mapping[str, Any]) -> int:
        try:
            return halo(configuration) // CELL
        except (KeyError, TypeError, ValueError) as error:
            raise ModelMismatchError(f"model {self.model.card.name}: its configuration has no {error}") from error

    def windows(self, grid: Grid, area: Area | None = None, factor: int = 1) -> Iterator[Window]:
        """The windows that a decoder's networks run over, so that the results cover an area, or the grid.

        ``factor``: by how much the decoder reduces.
        """
        return windows(grid.cells, SMALL_WINDOW if factor > PATCH else WINDOW, self.halo, area)

    def encoder_windows(self, grid: Grid, encoder: str | None = None) -> Iterator[Window]:
        """The windows that an encoder's analysis runs over, so that the latents cover the grid."""
        return windows(grid.cells, WINDOW, self.encoder_halo(encoder), low=_lower(grid))

    def quantiser_windows(self, grid: Grid) -> Iterator[Window]:
        """The windows that an encoder runs a decoder's networks over, so that the symbols cover the grid."""
        return windows(grid.cells, WINDOW, self.halo, low=_lower(grid))

    # Threads ------------------------------------------------------------------------------------------

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Apply ``work`` to all items, in parallel where there are several; the results are in the items' order."""
        listed = list(items)
        self._check_open()
        return [work(listed[0])] if len(listed) == 1 else self._pool.map(work, listed)

    def _check_open(self) -> None:
        if self._closed:
            raise InputError(f"model {self.model.card.name} has been closed; open it again")


def _lower(grid: Grid) -> int:
    """The most rows of cells of an encoder's windows."""
    return min(WINDOW, SMALL_WINDOW) if grid.cells[1] > WIDE else WINDOW


def _is_broken(compiled: Future[Graph]) -> bool:
    return compiled.done() and compiled.exception() is None and is_broken(compiled.result())


@dataclass(frozen=True)
class _Beginning:
    """The beginning of a graph, called with the inputs of the whole one, of which it takes those in ``names``."""

    run: Graph
    names: list[str]

    @property
    def broken(self) -> bool:
        """Whether it has failed once (``is_broken``)."""
        return is_broken(self.run)

    def __call__(self, **inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        return self.run(**{name: inputs[name] for name in self.names})


_RUNNING: weakref.WeakSet[Engine] = weakref.WeakSet()


def _restart_all() -> None:
    """Start all engines anew in a forked child, where their threads are gone, and locks may be held by one of them."""
    for engine in list(_RUNNING):
        abandon(engine._graphs)
        abandon(engine._others)
        engine._start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
