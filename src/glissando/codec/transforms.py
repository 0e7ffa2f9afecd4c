"""A model's networks, compiled when they are first needed, and what they run over."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from glissando.runtime import Graph, choose_engine, fast_precision, open_graph
from glissando.zoo import Card, Model

from .geometry import CELL, Grid, Window, windows

__all__ = ["Transforms"]

WINDOW = 24  # cells (1,536 pixels): the side of what a transform runs over at once, without its halo

T = TypeVar("T")
R = TypeVar("R")


class Transforms:
    """One model's graphs, the precision that each is run in, and threads; safe to use from several threads.

    ``backend`` and ``precision`` as in :func:`glissando.open_model`.
    """

    encoder_graphs: ClassVar[tuple[str, ...]] = ("analysis",)

    def __init__(
        self, model: Model, *, backend: str = "auto", precision: str = "auto", threads: int | None = None
    ) -> None:
        # What is wrong with the options shows now, not at the first picture.
        self._engine = choose_engine(backend, precision, threads)
        self._model = model
        self._wanted_precision = precision
        self._options: dict[str, Any] = {"backend": self._engine, "threads": threads}
        self._graphs: dict[tuple[str, str], Future[Graph]] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="glissando")

    @property
    def name(self) -> str:
        return self._model.card.name

    @property
    def card(self) -> Card:
        return self._model.card

    @cached_property
    def _fast_precision(self) -> str:
        return fast_precision(self._engine)

    def _encoder_precision(self, quality: float) -> str:
        """What the encoder's transforms compute in: bfloat16 only where it is fast and its rounding is not seen."""
        return self._precision(quality <= self._model.card.bf16_encode_quality)

    def _decoder_precision(self, quality: float) -> str:
        """The same for the decoder's."""
        return self._precision(quality <= self._model.card.bf16_quality)

    def _precision(self, unseen: bool) -> str:
        if self._wanted_precision != "auto":
            return self._wanted_precision
        return self._fast_precision if unseen else "f32"

    def _prepare(self, name: str, precision: str) -> Future[Graph]:
        """Compile a graph in the background, once; its future is kept."""
        with self._lock:
            if (name, precision) not in self._graphs:
                self._graphs[name, precision] = self._pool.submit(self._open, name, precision)
            return self._graphs[name, precision]

    def _open(self, name: str, precision: str) -> Graph:
        if name in self.encoder_graphs:
            self._model.check_encoder()
        return open_graph(self._model.graph(name), precision=precision, **self._options)

    def _each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """``work`` over all items, side by side where there are several."""
        listed = list(items)
        return [work(listed[0])] if len(listed) == 1 else list(self._pool.map(work, listed))

    def _windows(self, grid: Grid, *, encoding: bool) -> Iterator[Window]:
        """What the transforms of one direction run over, one after the other."""
        halo = self._model.encoder().halo if encoding else self._model.halo
        return windows(grid.cells, WINDOW, halo // CELL)
