"""Refinement: gradient steps on the latents of one picture, after which the same decoder needs fewer bits.

An encoder's network guesses the latents of all pictures alike, in one go. Here those of one picture are moved, for one
quality, down the gradient of bits + λ·D through the decoder itself, as Yang, Bamler and Mandt do ("Improving Inference
for Neural Image Compression", 2020). What matters is what stands in for rounding meanwhile. Here it is real rounding
with dither: ⌊x + ½ + a·u⌋ with u drawn evenly from ±½, where the amplitude a falls from 1, at which x is rounded up
with the probability of its fraction, to nearly nothing. Gradients pass through it unchanged, which is right on average
at a = 1. Bits are those of the mean of the draws, not of the one draw, so that they are free of its noise.
docs/effort.md compares this with the relaxed rounding of that paper and of its successors.

Files are written from refined latents as from any others, and read by the same decoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glissando.onnx_graph import OnnxGraph
from glissando.runtime import Graph

from .aim import Aim
from .effort import Schedule
from .engine import Engine
from .geometry import CELL, Grid, Window, windows
from .pixels import padded
from .quality import LocalQuality, Quality

if TYPE_CHECKING:
    from glissando.graphs import Builder

__all__ = [
    "EvenDraws",
    "Method",
    "Progress",
    "Refinement",
    "Refiner",
    "Relaxed",
    "Rounded",
    "Rounding",
    "Target",
    "dithered",
    "halves",
]

Floats = NDArray[np.float32]

Progress = Callable[[float], bool | None]
"""Told what share of a refinement is done, 0 to 1. Where it returns False, the refinement ends with what it has."""

WINDOW = 12
"""Cells of a window, each way, without its margin: what is refined at once."""
SIDES = 16
"""Sides of the pictures that distortions compare are multiples of this, since pictures are halved up to four times."""
NO_DITHER = 1e-3
"""An amplitude so small that no draw changes how a latent is rounded."""


@dataclass(frozen=True)
class Rounded:
    """Values of a graph: a latent's ``symbol`` for one draw of the dither, and the ``mean`` of the symbol."""

    symbol: str
    mean: str


Rounding = Callable[[str, str], Rounded]
"""From values of a graph, a latent and a draw of ±½ for it, to what it is rounded to."""

Method = Callable[["Builder", str], Rounding]
"""From a graph and its value of the amplitude, which falls towards 0, to the rounding."""


@dataclass(frozen=True)
class Relaxed:
    """Values of a graph: ``bits``, (1,), and ``pixels``, (1, height, width, 3), 0 black and 1 white."""

    bits: str
    pixels: str


class Refinement(Protocol):
    """What refinement asks of a family: its latents as variables, and a graph from them to bits and pixels."""

    def variables(self, latents: Any, quality: LocalQuality) -> dict[str, Floats]:
        """The latents in steps of the quantisation, arrays (rows, columns, channels) over the grid by name."""
        ...

    def latents(self, variables: Mapping[str, Floats], quality: LocalQuality) -> Any:
        """The inverse of ``variables``."""
        ...

    def per_cell(self, variable: str) -> int:
        """How many places a variable has in a cell, each way."""
        ...

    def conditions(self, window: Window, coded: tuple[int, int], quality: LocalQuality) -> dict[str, Floats]:
        """The graph's other inputs over a window of a grid, of which ``coded`` rows and columns are coded."""
        ...

    def relaxed(self, graph: Builder, inputs: Mapping[str, str], rounding: Rounding) -> Relaxed:
        """Bits and pixels of a window.

        ``inputs``: by name the variables, for each a "NAME.draw" of the same shape, and the conditions.
        """
        ...


@dataclass(frozen=True)
class Target:
    """What latents are refined for.

    Attributes:
        pixels: (height, width[, 3]), of ``depth`` bits.
        grid: where its latents lie.
        weight: (height, width), by how much more errors count at a pixel than the quality alone says; None: by none.
    """

    pixels: NDArray[np.unsignedinteger[Any]]
    depth: int
    grid: Grid
    weight: Floats | None = None

    def part(self, pixels: NDArray[np.unsignedinteger[Any]], rows: slice, columns: slice) -> Floats:
        """A part of this picture, or of what is shown of it, as distortions take it: (1, 3, height, width) in [0, 1].

        Its sides end at the picture's edge, rounded up to a multiple of ``SIDES``.
        """
        part = padded(pixels, rows, columns, self.depth)[0, : self._end(rows, 0), : self._end(columns, 1)]
        return np.ascontiguousarray(part.transpose(2, 0, 1)[None], np.float32) / np.float32(255)

    def error_scale(self, rows: slice, columns: slice) -> Floats | None:
        """By what errors in a part are multiplied before they are squared, (1, 1, height, width)."""
        if self.weight is None:
            return None
        part = np.sqrt(self.weight[rows, columns])
        missing = [
            (0, self._end(s, axis) - n) for axis, (s, n) in enumerate(zip((rows, columns), part.shape, strict=True))
        ]
        return np.pad(part, missing, mode="edge")[None, None]

    def _end(self, part: slice, axis: int) -> int:
        size: int = (self.grid.height, self.grid.width)[axis]
        end = min(int(part.stop), -(-size // SIDES) * SIDES)
        return end - int(part.start)


class Refiner:
    """Refines the latents of pictures with one model. Graphs are compiled for each size of a window.

    ``method`` and ``draws``: what stands in for rounding, and where its draws come from; studies give others.
    """

    def __init__(
        self,
        engine: Engine,
        refinement: Refinement,
        *,
        method: Method | None = None,
        draws: type[EvenDraws] | None = None,
    ) -> None:
        self._engine, self._refinement = engine, refinement
        self._method, self._draws = method or dithered, draws or EvenDraws
        self._aim = Aim.of(engine.model.card)

    def refine(
        self,
        latents: Any,
        target: Target,
        quality: LocalQuality,
        schedule: Schedule,
        progress: Progress | None = None,
    ) -> Any:
        """The latents of a picture, refined for a quality, one window after the other.

        A window whose cost does not fall keeps its latents.
        """
        variables = self._refinement.variables(latents, quality)
        todo = _by_shape(windows(target.grid.cells, WINDOW, self._engine.halo))
        sizes = [math.prod(_shape(window)) for window in todo]
        done = 0.0
        for window, size in zip(todo, sizes, strict=True):
            share = size / sum(sizes)

            def advance(step: int, before: float = done, share: float = share) -> bool:
                return progress is None or progress(before + share * step / schedule.steps) is not False

            going = self._refine_window(variables, window, target, quality, schedule, advance)
            done += share
            if not going:
                break
        return self._refinement.latents(variables, quality)

    def _refine_window(
        self,
        variables: Mapping[str, Floats],
        window: Window,
        target: Target,
        quality: LocalQuality,
        schedule: Schedule,
        advance: Callable[[int], bool],
    ) -> bool:
        """Refine the variables of a window in place; whether ``advance`` wants to go on."""
        own = self._refinement
        inner = {name: window.inner_of_result(own.per_cell(name)) for name in variables}
        values = {name: variables[name][window.outer(own.per_cell(name))][None].copy() for name in variables}
        moved = {name: value[0][inner[name]] for name, value in values.items()}  # views: their margins stay as they are
        inputs = {**own.conditions(window, target.grid.coded, quality), **self._of_target(window, target, quality)}
        graph = self._graph(values, inputs)
        dither = self._draws({name: value.shape for name, value in values.items()})
        adam = _Adam({name: value.shape for name, value in moved.items()})

        def run(amplitude: float, drawn: Mapping[str, Floats]) -> tuple[float, list[Floats]]:
            draws = {f"{name}.draw": drawn[name] for name in values}
            cost, *slopes = graph(**values, **inputs, **draws, amplitude=np.array([amplitude], np.float32))
            return float(cost[0]), [slope[0][inner[name]] for name, slope in zip(values, slopes, strict=True)]

        before, _ = run(NO_DITHER, dither.none)
        going = True
        for step in range(schedule.steps):
            _, slopes = run(schedule.amplitude_at(step), dither.draw())
            adam.move(moved, slopes, schedule.rate_at(step))
            if not (going := advance(step + 1)):
                break
        after, _ = run(NO_DITHER, dither.none)
        if after < before:
            for name, value in moved.items():
                variables[name][window.inner(own.per_cell(name))] = value
        return going

    def _of_target(self, window: Window, target: Target, quality: LocalQuality) -> dict[str, Floats]:
        place = window.outer(CELL)
        inputs = {"theirs": target.part(target.pixels, *place)}
        shape = inputs["theirs"].shape[2:]
        inputs["prices"] = np.array(self._aim.prices(quality.base, shape), np.float32)
        if (scale := target.error_scale(*place)) is not None:
            inputs["error_scale"] = scale
        return inputs

    # Graphs -------------------------------------------------------------------------------------------

    def _graph(self, values: Mapping[str, Floats], inputs: Mapping[str, Floats]) -> Graph:
        """The graph for arrays of these shapes, which are fixed in it: engines then use memory again and again."""
        shapes = {name: array.shape for name, array in {**values, **inputs}.items()}
        key = tuple(shapes.items())
        return self._engine.other_graph((self._method, key), lambda: self._built(list(values), shapes))

    def _built(self, variables: list[str], shapes: Mapping[str, tuple[int, ...]]) -> OnnxGraph:
        """The graph from variables to the cost and its slopes by each of them."""
        from glissando.graphs import Builder, gradients

        graph = Builder()
        shapes = {**shapes, **{f"{name}.draw": shapes[name] for name in variables}, "amplitude": (1,)}
        inputs = {name: graph.input(name, shape) for name, shape in shapes.items()}
        rounding = self._method(graph, inputs["amplitude"])
        relaxed = self._refinement.relaxed(graph, inputs, rounding)
        height, width = shapes["theirs"][2:]
        seen = graph.part(graph.part(relaxed.pixels, 1, 0, height), 2, 0, width)
        ours, theirs = graph.transpose(seen, 0, 3, 1, 2), inputs["theirs"]
        if "error_scale" in inputs:
            ours = graph.add(theirs, graph.multiply(graph.subtract(ours, theirs), inputs["error_scale"]))
        cost = graph.add(relaxed.bits, self._aim.loss(graph, ours, theirs, inputs["prices"], (height, width)))
        slopes = gradients(graph, cost, variables)
        named = {f"{name}.slope": slope for name, slope in zip(variables, slopes, strict=True)}
        return graph.finished({"cost": cost, **named}, "the graph that refines latents")

    # What a picture costs -----------------------------------------------------------------------------

    def loss(self, shown: NDArray[np.unsignedinteger[Any]], target: Target, quality: LocalQuality) -> float:
        """λ·D in bits of what a reader sees of a picture, the sum over its windows."""
        total = 0.0
        for window in _by_shape(windows(target.grid.cells, WINDOW, 0)):
            place = window.outer(CELL)
            inputs = self._of_target(window, target, quality)
            theirs, scale = inputs["theirs"], inputs.pop("error_scale", None)
            ours = target.part(shown, *place)
            if scale is not None:
                ours = theirs + (ours - theirs) * scale
            shape = theirs.shape
            run = self._engine.other_graph(("loss", shape), partial(self._built_loss, shape))
            (loss,) = run(ours=ours, **inputs)
            total += float(loss[0])
        return total

    def _built_loss(self, shape: tuple[int, ...]) -> OnnxGraph:
        from glissando.graphs import Builder

        graph = Builder()
        ours, theirs = graph.input("ours", shape), graph.input("theirs", shape)
        prices = graph.input("prices", (len(self._aim.prices(Quality(0), shape[2:])),))
        loss = self._aim.loss(graph, ours, theirs, prices, shape[2:])
        return graph.finished({"loss": loss}, "the graph of the distortion")


def _shape(window: Window) -> tuple[int, ...]:
    return tuple(part.stop - part.start for part in window.outer(1))


def _by_shape(found: Iterable[Window]) -> list[Window]:
    """Windows of one shape after each other, so that each shape's graph is compiled once."""
    return sorted(found, key=_shape)


def halves(progress: Progress | None) -> tuple[Progress | None, Progress | None]:
    """The progress of two refinements that are one to whoever is told."""
    if progress is None:
        return None, None
    return (lambda share: progress(share / 2)), (lambda share: progress((1 + share) / 2))


def dithered(graph: Builder, amplitude: str) -> Rounding:
    """Rounding with dither of this amplitude, whose gradient is that of its argument."""

    def straight_through(x: str, value: str) -> str:
        return graph.add(x, graph.fixed(graph.subtract(value, x)))

    def rounding(x: str, draw: str) -> Rounded:
        symbol = graph.add_node("Floor", graph.add(graph.multiply(draw, amplitude), x, 0.5))
        floor = graph.add_node("Floor", x)
        from_middle = graph.subtract(graph.subtract(x, floor), 0.5)
        up = graph.clip(graph.add(graph.divide(from_middle, amplitude), 0.5), 0, 1)  # with this probability
        return Rounded(straight_through(x, symbol), straight_through(x, graph.add(floor, up)))

    return rounding


class EvenDraws:
    """Draws of ±½ for each latent, as even as they can be within few steps.

    Every second draw is the negative of the one before, and the pairs follow the golden ratio. So the gradients of few
    steps have far less noise than those of independent draws, and few steps win much more (docs/effort.md).
    """

    GOLDEN = 0.6180339887498949

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        draws = np.random.default_rng(0)  # the same for all, so that a file depends on nothing but its picture
        self._shares = {name: draws.random(shape, np.float32) for name, shape in shapes.items()}
        self._turned = True
        self.none = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}

    def draw(self) -> dict[str, Floats]:
        """The next draws by name."""
        self._turned = not self._turned
        if self._turned:
            return {name: np.float32(0.5) - share for name, share in self._shares.items()}
        for share in self._shares.values():
            share += np.float32(self.GOLDEN)
            share -= share >= 1
        return {name: share - np.float32(0.5) for name, share in self._shares.items()}


class _Adam:
    """Adam (Kingma and Ba, 2015) over arrays by name."""

    FIRST, SECOND, SMALL = 0.9, 0.99, 1e-8

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._first = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        self._second = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        self._step = 0

    def move(self, values: Mapping[str, Floats], slopes: Sequence[Floats], rate: float) -> None:
        """Move values, in place, by about ``rate`` against their slopes."""
        self._step += 1
        size = np.float32(rate / (1 - self.FIRST**self._step))
        scale = np.float32(1 / (1 - self.SECOND**self._step))
        for (name, value), slope in zip(values.items(), slopes, strict=True):
            first, second = self._first[name], self._second[name]
            first += np.float32(1 - self.FIRST) * (slope - first)
            second += np.float32(1 - self.SECOND) * (np.square(slope) - second)
            value -= size * first / (np.sqrt(second * scale) + np.float32(self.SMALL))
