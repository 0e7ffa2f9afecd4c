"""What the export of a content-weighted model adds: tables of bits and of the map, the context model's integers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glissando.bitstream.maps import CONTEXTS, map_passes
from glissando.errors import TrainingError
from glissando.families.content.bits import ODDS_TABLES
from glissando.families.content.bits import BitContext as IntegerContext
from glissando.frequencies import WHOLE, from_probabilities
from glissando.networks.graphs import ExportedGraph
from glissando.training.data import load_tiles, training_folder
from glissando.training.family import FamilyExport
from glissando.training.graph_export import Examples, compare_graph, run_graph

from .bit_context import ODDS_LIMIT, ODDS_STEPS, BitContext
from .graphs import GRAPHS
from .network import ContentNetwork
from .recipe import ContentRecipe

__all__ = ["ContentExport", "bit_tables", "context_weights", "fit_map_tables", "training_maps"]

PICTURES = 160  # whole training tiles, to whose level maps the tables of the map are fitted
SHARED = 50.0  # symbols that are added to those of a context at a quality, as it has them at all qualities together
EVEN = 0.02  # share of a two-sided geometric distribution in every table, so that no symbol is impossible
LOWER = 0.44  # octaves by which quality 0 keeps less than in training, so that files can be smaller
FLIPPED = 0.01  # share of the bits that may differ between graph and torch, as sums differ in the last digits

Maps = NDArray[np.int64]


def bit_tables() -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Tables 0 … 96 of docs/format.md: frequencies of −1, 0, +1 and the escape, and radii."""
    odds = np.exp2(np.arange(ODDS_TABLES) / ODDS_STEPS - ODDS_LIMIT)
    never = np.full_like(odds, 1 / WHOLE)  # zero and the escape never occur, and have the least that a symbol can have
    plus = odds / (1 + odds) * (1 - 2 / WHOLE)
    table = from_probabilities(np.stack([1 - 2 / WHOLE - plus, never, plus, never], axis=1))
    return table.reshape(-1), np.ones(ODDS_TABLES, np.int32)


@torch.no_grad()
def training_maps(network: ContentNetwork, tiles: Tensor) -> Iterator[list[Maps]]:
    """For each quality level, the maps (rows, columns) of some ``tiles`` (N, 3, S, S) uint8."""
    some = tiles[:: max(1, len(tiles) // PICTURES)][:PICTURES]
    level_maps = [network.importance_of(network.analysis(t[None].float() / 255).float())[0, 0] for t in some]
    levels = network.config.importance_levels
    for scale in torch.exp2(network.map_scale.table[:, 0]):
        yield [torch.floor(levels * (p * scale).clamp(max=1)).long().numpy() for p in level_maps]


def fit_map_tables(qualities: Iterator[list[Maps]], levels: int) -> tuple[NDArray[np.uint32], NDArray[np.int16]]:
    """Frequencies (T, 2·levels + 2), and which table each context has at each quality level, (Q, CONTEXTS).

    A table counts a context's symbols at one quality, and adds ``SHARED`` symbols, distributed as those of all
    qualities together. These in turn begin with a two-sided geometric distribution.
    """
    size = 2 * levels + 1
    counts = np.stack([_histograms(maps, levels, size) for maps in qualities])
    contexts = counts.shape[1]
    # The corner is not predicted, so that its value may be any. Other predictions are seldom far off.
    far = np.abs(np.arange(size) - levels)
    fallback = np.tile(0.5**far, (contexts, 1))
    fallback[0] = far == np.arange(size) - levels
    fallback += 1e-3
    fallback /= fallback.sum(axis=1, keepdims=True)
    pooled = counts.sum(axis=0) + fallback
    pooled /= pooled.sum(axis=1, keepdims=True)
    found = counts + SHARED * pooled
    found = (1 - EVEN) * found / found.sum(axis=2, keepdims=True) + EVEN * fallback
    rows = found.reshape(-1, size)
    never = np.zeros((len(rows), 1))  # the escape, which never occurs, as the table has all values of a map
    frequencies = from_probabilities(np.concatenate([rows, never], axis=1))
    index = np.arange(len(rows), dtype=np.int16).reshape(len(counts), contexts)
    return frequencies, index


def _histograms(maps: list[Maps], levels: int, size: int) -> NDArray[np.float64]:
    """How often each context of a map's coder has each symbol, (CONTEXTS, size)."""
    found = np.zeros(CONTEXTS * size)
    for values in maps:
        for symbols, context in map_passes(values, np.arange(CONTEXTS)):
            found += np.bincount(context * size + symbols + levels, minlength=found.size)
    return found.reshape(CONTEXTS, size)


def _smallest(name: str, values: Tensor) -> NDArray[Any]:
    array = values.numpy()
    for dtype in (np.int8, np.int16, np.int32):
        if np.abs(array).max(initial=0) <= np.iinfo(dtype).max:
            return array.astype(dtype)
    raise TrainingError(f"{name} reaches {np.abs(array).max()}, more than an int32 holds")


def context_weights(configuration: Mapping[str, Any], integers: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """The context model's parameters from a shipped model's integers; see ``TrainingFamily.integer_weights``."""
    context = BitContext(configuration["bits"], configuration["importance_levels"], configuration["hidden"])
    own = {key.removeprefix("bits."): array for key, array in integers.items() if key.startswith("bits.")}
    context.take_integers({key: torch.from_numpy(array) for key, array in own.items()})
    return {f"bits.{key}": value for key, value in context.state_dict().items()}


class ContentExport(FamilyExport):
    """A content-weighted model on its way into a folder."""

    network: ContentNetwork

    encoder_parts = ("analysis.", "code.enter.", "code.feedback", "importance.", "map_scale.")
    integer_parts = ("bits.",)

    def __init__(self, recipe: ContentRecipe, weights: dict[str, Tensor], data: Path | None) -> None:
        network = self.network = ContentNetwork(recipe.network)
        network.load_state_dict(weights)
        network.eval().requires_grad_(False)
        network.constrain()  # averaged weights may break the bounds, though those of each step keep them
        bits, radii = bit_tables()
        tiles = load_tiles(training_folder(data), limit_gb=recipe.data.limit_gb).training
        levels = recipe.network.importance_levels
        maps, index = fit_map_tables(training_maps(network, tiles), levels)
        self.integers = {
            "per_cell": np.array(64 // network.pitch, np.int32),
            **{f"bits.{name}": _smallest(name, values) for name, values in network.bits.integers().items()},
            "frequencies": np.concatenate([bits, maps.reshape(-1)]),
            "radii": np.concatenate([radii, np.full(len(maps), levels, np.int32)]),
            "map_index": (ODDS_TABLES + index).astype(np.int16),
        }
        scale = network.map_scale.table[:, 0].numpy().astype(np.float32, copy=True)
        scale[0] -= LOWER
        self.arrays = {"encoder.npz": {"log2_map_scale": scale}}

    def graphs(self) -> dict[str, ExportedGraph]:
        return {name: kind(self.network) for name, kind in GRAPHS.items()}

    def examples(self) -> Examples:
        a, b = torch.export.Dim("a", min=1, max=4096), torch.export.Dim("b", min=1, max=4096)
        cell = 64 // self.network.pitch
        code = torch.zeros(1, 2 * cell, 3 * cell, self.network.config.bits)
        return {
            "pixels": (torch.zeros(1, 128, 192, 3, dtype=torch.uint8), {1: 64 * a, 2: 64 * b}),
            "code": (code, {1: cell * a, 2: cell * b}),
        }

    def verify(self, folder: Path) -> dict[str, float]:
        """Largest difference of each graph from torch, and the share of bits that differ. Raises TrainingError.

        The context model must agree exactly. A bit may differ where its logit is within a rounding of zero, and then
        those of later levels at the same position with it: at most ``FLIPPED`` of all, and importance by 1 %.
        """
        random = np.random.default_rng(0)
        rows, columns, c = 12, 8, self.network.config
        kept = random.integers(0, c.importance_levels + 1, (rows, columns)).astype(np.int16)
        code = random.choice(np.array([-1, 1], np.int16), (rows, columns, c.bits))
        code *= np.arange(c.bits) // (c.bits // c.importance_levels) < kept[..., None]
        self._check_context(code, kept)

        pixels = random.integers(0, 256, (1, 192, 128, 3), dtype=np.uint8)
        pixels = pixels // 4 + np.linspace(0, 190, 128, dtype=np.uint8)[:, None]  # on a ramp: all kinds of bits occur
        graphs = self.graphs()
        with torch.no_grad():
            expected = [x.numpy() for x in graphs["analysis"].eval()(torch.from_numpy(pixels))]
        found = run_graph("analysis", folder, {"pixels": pixels})
        flipped = float((found[0] != expected[0]).mean())
        gap = float(np.abs(found[1] - expected[1]).max())
        if flipped > FLIPPED or gap > 0.01 or (np.abs(found[0]) != 1).any():
            raise TrainingError(f"graph analysis: {flipped:.2%} of the bits differ from torch, importance by {gap:.3g}")
        values = {"code": code[None].astype(np.float32)}
        decoded = {n: compare_graph(n, graph, values, folder) for n, graph in graphs.items() if n != "analysis"}
        return {"flipped_bits": flipped, "importance": gap, **decoded}

    def _check_context(self, code: NDArray[np.int16], kept: NDArray[np.int16]) -> None:
        """Compare every table that the integers choose with the trained model's odds."""
        context = self.network.bits
        levels, group = context.levels, context.group
        model = IntegerContext(
            {key.removeprefix("bits."): array for key, array in self.integers.items() if key.startswith("bits.")}
        )
        planes = (torch.from_numpy(x).float() for x in (code.transpose(2, 0, 1)[None], kept[None, None]))
        odds = context(*planes)[0].permute(1, 2, 0).reshape(-1, levels, group)
        expected = ((odds + ODDS_LIMIT) * ODDS_STEPS).numpy()
        rows, columns = kept.shape
        early = context.first_pass(rows, columns)[0].permute(1, 2, 0).reshape(-1, levels, group).bool().numpy()
        by_level = code.reshape(-1, levels, group)
        bits = np.zeros((levels, 2, rows * columns, group // 2), np.int16)
        for level in range(levels):
            for half, chosen in enumerate((early[:, level], ~early[:, level])):
                bits[level, half] = by_level[:, level][chosen].reshape(rows * columns, -1)
        for turn in model.walk(kept, bits):
            chosen = early[turn.rows, turn.level] == (turn.half == 0)
            if not np.array_equal(expected[turn.rows, turn.level][chosen].reshape(turn.index.shape), turn.index):
                raise TrainingError(f"the integer context model differs from the trained one in level {turn.level}")
