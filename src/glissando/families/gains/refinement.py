"""The main family's rate and pixels as a graph of its latents, whose gradient refines them (``codec.refinement``).

The latents are y times its gain and z times its own, so that 1 is the step of the quantisation. The graphs of the
model, "quantise" and "decode", are inlined as they are, except that rounding with dither takes the place of Round. The
integer scale network enters with the same weights, in real numbers, and bits are interpolated between the entries of
the probability tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.codec.geometry import Window
from glissando.codec.quality import LocalQuality
from glissando.codec.refinement import Relaxed, Rounding
from glissando.entropy.fixed_point import (
    ACTIVATION_BITS,
    ACTIVATION_MAX,
    EARLY,
    GAIN_BITS,
    LATE,
    MAGNITUDE_MAX,
    SCALE_LOW,
    STEPS_PER_OCTAVE,
    TABLES,
    WEIGHT_BITS,
)
from glissando.graphs import Builder
from glissando.zoo import Model

from .coding import VECTORS, GainsCoding, GainsLatents, checkerboard
from .symbols import SymbolModel, octaves, row_of_each_latent

__all__ = ["REFINEMENT", "GainsRefinement", "ScaleNetwork"]

Floats = NDArray[np.float32]

_FLOAT, _INT32 = 1, 6  # types of ONNX
_LARGEST = ACTIVATION_MAX / (1 << ACTIVATION_BITS)


class ScaleNetwork:
    """The scale network in real numbers, channels first."""

    def __init__(self, graph: Builder, integers: Mapping[str, NDArray[Any]]) -> None:
        self._graph, self._integers = graph, integers

    def _layer(self, name: str, x: str) -> str:
        near = name == "near"  # it reads whole magnitudes, and its bias is in their unit
        weight = self._integers[f"scales.{name}.weight"].astype(np.float64) / (1 << WEIGHT_BITS)
        one = 1 << (WEIGHT_BITS if near else WEIGHT_BITS + ACTIVATION_BITS)
        bias = self._integers[f"scales.{name}.bias"].astype(np.float64) / one
        x = self._graph.convolve(x, weight, bias, groups=len(weight) if near else 1)
        return x if name.endswith("_out") else self._graph.clip(x, 0, _LARGEST)

    def first(self, z: str) -> str:
        """Hyper-latents (1, hyper, h/4, w/4) → log2-scales of the latents without their offset, (1, latents, h, w)."""
        x = self._layer("z_mix", self._graph.clip(z, -_LARGEST, _LARGEST))
        for name in ("mid_mix", "first_out"):
            x = self._layer("z_up" if name == "mid_mix" else "mid_up", x)
            x = self._layer(name, self._graph.add_node("DepthToSpace", x, blocksize=2, mode="CRD"))
        return x

    def second(self, symbols: str, scales: str) -> str:
        """The correction of the scales that the first pass's ``symbols``, zero elsewhere, give."""
        magnitudes = self._graph.clip(self._graph.add_node("Abs", symbols), 0, MAGNITUDE_MAX)
        seen = [self._layer("near", magnitudes), self._graph.clip(scales, -_LARGEST, _LARGEST)]
        return self._layer("second_out", self._layer("second_mix", self._graph.concatenate(seen, 1)))


class _Tables:
    """Bits of relaxed symbols, by straight lines between the entries of the tables, and between tables."""

    def __init__(self, graph: Builder, integers: SymbolModel) -> None:
        self._graph, self._first = graph, integers.first_table
        tables = integers.tables
        self._width = int(tables.radii.max()) + 2
        index, symbols = np.divmod(np.arange(len(tables) * self._width), self._width)
        self._bits = graph.constant(tables.symbol_bits(symbols, index))

    def _place(self, scale: str) -> str:
        """Which table of its family a log2-scale asks for, as a real number."""
        return self._graph.multiply(self._graph.subtract(scale, SCALE_LOW), STEPS_PER_OCTAVE)

    def coded(self, scale: str, family: int) -> str:
        """1 where symbols are coded, 0 where they are certain enough to be zero."""
        below = self._graph.constant(self._first[family] - 0.5)
        return self._graph.add_node("Cast", self._graph.add_node("Greater", self._place(scale), below), to=_FLOAT)

    def bits(self, symbols: str, scale: str, family: str) -> str:
        """Bits of each symbol; ``family``: EARLY or LATE of each."""
        graph = self._graph
        magnitude, place = graph.add_node("Abs", symbols), graph.clip(self._place(scale), 0, TABLES - 1)
        table = graph.add_node("Floor", graph.clip(place, 0, TABLES - 2))
        entry = graph.add_node("Floor", graph.clip(magnitude, 0, self._width - 2))
        table_of_all = graph.add(table, graph.multiply(family, TABLES))
        first = graph.add_node("Cast", graph.add(graph.multiply(table_of_all, self._width), entry), to=_INT32)

        def at(further: int) -> str:
            return graph.add_node("Gather", self._bits, graph.add_node("Add", first, graph.constant(further, np.int32)))

        def between(a: str, b: str, share: str) -> str:
            return graph.add(a, graph.multiply(graph.subtract(b, a), share))

        of_symbol = graph.subtract(magnitude, entry)
        low, high = (between(at(start), at(start + 1), of_symbol) for start in (0, self._width))
        return between(low, high, graph.subtract(place, table))


class GainsRefinement:
    """One model's latents as variables of a refinement (``glissando.codec.refinement.Refinement``)."""

    def __init__(self, model: Model, coding: GainsCoding) -> None:
        self._model, self._coding = model, coding

    # Arrays -------------------------------------------------------------------------------------------

    def variables(self, latents: GainsLatents, quality: LocalQuality) -> dict[str, Floats]:
        """The latents in steps of the quantisation."""
        gain, hyper_gain = self._steps(latents.y.shape, quality)
        return {"y": latents.y * gain, "z": latents.z * hyper_gain}

    def latents(self, variables: Mapping[str, Floats], quality: LocalQuality) -> GainsLatents:
        """The inverse of ``variables``."""
        gain, hyper_gain = self._steps(variables["y"].shape, quality)
        return GainsLatents(y=variables["y"] / gain, z=variables["z"] / hyper_gain)

    def _steps(self, shape: tuple[int, ...], quality: LocalQuality) -> tuple[Floats, Floats]:
        rates, places = self._coding.rates(quality), quality.over((slice(0, shape[0]), slice(0, shape[1])))
        return row_of_each_latent(octaves(rates.gain), places), octaves(rates.hyper_gain)

    def per_cell(self, variable: str) -> int:
        """How many places a variable has in a cell, each way."""
        return {"y": self._coding.latents_per_cell, "z": 1}[variable]

    def conditions(self, window: Window, coded: tuple[int, int], quality: LocalQuality) -> dict[str, Floats]:
        """What the graph takes besides its variables and their draws, over a window of a grid.

        ``coded``: rows and columns of the latents that are coded; what lies beyond them is zero.
        """
        inside = window.outer(self._coding.latents_per_cell)
        rates, places = self._coding.rates(quality), quality.over(inside)

        def local(rows: NDArray[Any]) -> Floats:
            values = row_of_each_latent(rows, places)
            return values[None] if values.ndim == 3 else values[None, None, None]

        rows, columns = (np.arange(part.start, part.stop) < size for part, size in zip(inside, coded, strict=True))
        return {
            "gain": local(octaves(rates.gain)),
            "inverse_gain": local(octaves(rates.inverse_gain)),
            "scale_offset": local(rates.scale_offset.astype(np.float32) / (1 << GAIN_BITS)),
            "hyper_inverse": octaves(-rates.hyper_gain)[None, None, None],
            "hyper_scale": rates.hyper_scale.astype(np.float32)[None, None, None] / np.float32(1 << GAIN_BITS),
            "even": checkerboard(inside),
            "inside": np.logical_and(rows[:, None], columns).astype(np.float32)[None, :, :, None],
            **self._coding.vectors(quality),
        }

    # The graph ----------------------------------------------------------------------------------------

    def relaxed(self, graph: Builder, inputs: Mapping[str, str], rounding: Rounding) -> Relaxed:
        """Bits and pixels of a window; ``inputs``: its variables, their draws and ``conditions`` by name."""
        model, integers = self._model, self._coding.integers
        network, tables = ScaleNetwork(graph, model.integers), _Tables(graph, integers)

        def channels_first(name: str) -> str:
            return graph.transpose(inputs[name], 0, 3, 1, 2)

        even = channels_first("even")
        half = graph.constant(np.ones((1, integers.latents // 2, 1, 1)))
        early = graph.concatenate(
            [graph.multiply(even, half), graph.multiply(graph.subtract(1.0, even), half)], 1
        )  # 1 for what the first pass codes

        def chosen(first: str, second: str) -> str:
            """Of each latent what belongs to the pass that codes it."""
            return graph.add(second, graph.multiply(graph.subtract(first, second), early))

        z = rounding(inputs["z"], inputs["z.draw"])
        z_values = graph.multiply(z.symbol, inputs["hyper_inverse"])
        first_scale = graph.add(network.first(graph.transpose(z_values, 0, 3, 1, 2)), channels_first("scale_offset"))
        scales: list[str] = []
        symbols: list[str] = []
        means: list[str] = []
        draw = channels_first("y.draw")

        def round_pass(x: str) -> str:
            """The symbols of a pass: the graph rounds twice, first what the first pass codes."""
            family = LATE if symbols else EARLY
            scale = first_scale
            if symbols:
                scale = graph.add(scale, network.second(graph.multiply(symbols[0], early), first_scale))
            scales.append(scale)
            coded = graph.multiply(tables.coded(scale, family), channels_first("inside"))
            rounded = rounding(x, draw)
            symbols.append(graph.multiply(rounded.symbol, coded))
            means.append(graph.multiply(rounded.mean, coded))
            return symbols[-1]

        (y,) = graph.inline(
            model.graph("quantise"),
            {
                "y": graph.divide(inputs["y"], inputs["gain"]),
                "z": z_values,
                **{name: inputs[name] for name in ("gain", "inverse_gain", "means_offset", "even")},
            },
            {"Round": round_pass},
        )
        vectors = {name: inputs[name] for name in VECTORS}
        residual = graph.multiply(y, inputs["inverse_gain"])
        (pixels,) = graph.inline(
            model.graph("decode"), {"residual": residual, "z": z_values, "even": inputs["even"], **vectors}
        )
        late = graph.subtract(1.0, early)
        bits = graph.add(
            graph.total(tables.bits(chosen(*means), chosen(*scales), late)),
            graph.total(tables.bits(z.mean, inputs["hyper_scale"], graph.constant(0.0))),
        )
        return Relaxed(bits, pixels)


REFINEMENT = GainsRefinement
