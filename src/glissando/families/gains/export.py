"""What the export of the gains family adds: integer tables, the scale network, example inputs of its graphs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glissando.entropy import dequantise
from glissando.entropy.checkerboard import even_squares
from glissando.entropy.fixed_point import (
    FAMILIES,
    GAIN_BITS,
    LATE,
    SCALE_LOW,
    STEPS_PER_OCTAVE,
    TABLES,
    WEIGHT_BITS,
)
from glissando.errors import TrainingError
from glissando.families.gains.scales import ScaleNetwork
from glissando.frequencies import from_probabilities
from glissando.networks.graphs import ExportedGraph
from glissando.networks.integer import IntegerConv, whole_numbers
from glissando.networks.likelihood import Likelihood
from glissando.training.family import FamilyExport
from glissando.training.graph_export import Examples, compare_graph

from .config import GainsConfig
from .graphs import GRAPHS
from .network import LEVEL_TABLES, GainsNetwork, scale_network
from .recipe import GainsRecipe

__all__ = ["GainsExport", "integer_arrays", "probability_tables", "scale_weights"]

TAIL = 2.0**-17  # probability left to the escape
LARGEST_RADIUS = 2047
LARGEST_GAIN = 16  # octaves, up or down
SURE = 0.002  # a symbol that differs from zero less often than this is not coded
FLOAT_TABLES = ("means_offset", "synthesis_factor", "synthesis_offset")


@torch.no_grad()
def probability_tables(likelihood: Likelihood) -> tuple[NDArray[np.uint32], NDArray[np.int32], NDArray[np.int32]]:
    """Integrate the learnt shapes over unit bins: flat frequencies, radii, and each family's first table in use.

    Tables before that belong to symbols which differ from zero too seldom to be coded.

    Table t of a family has σ = 2^(t/8 − 4); its entries are −K … K and the escape, each at least 1, with sum 2^24.
    """
    edges = torch.arange(LARGEST_RADIUS + 1, dtype=torch.float64) + 0.5
    tables, radii, firsts = [], [], []
    for family in range(FAMILIES):
        weight, ratio = (shape.double() for shape in likelihood.shape(torch.tensor(family == LATE)))
        unsure = []
        for t in range(TABLES):
            sigma = torch.tensor(2.0 ** (t / STEPS_PER_OCTAVE + SCALE_LOW), dtype=torch.float64)
            below = likelihood.cdf(-edges, sigma, weight, ratio)  # below[k]: mass left of −(k + ½)
            beyond = 2 * below
            unsure.append(float(beyond[0]) > SURE)
            radius = int((beyond > TAIL).sum().clamp(max=LARGEST_RADIUS))
            side = (below[:-1] - below[1:])[:radius]  # side[k − 1]: mass of symbol k
            mass = torch.cat([side.flip(0), (1 - beyond[0])[None], side, beyond[radius][None]])
            tables.append(from_probabilities(mass.numpy(), symbol=radius))  # tables stay symmetric around zero
            radii.append(radius)
        firsts.append(unsure.index(True))
    return np.concatenate(tables), np.array(radii, dtype=np.int32), np.array(firsts, dtype=np.int32)


@torch.no_grad()
def integer_arrays(network: GainsNetwork) -> dict[str, NDArray[Any]]:
    """Everything that the entropy coder depends on, as integers. Raises TrainingError where one overflows."""
    arrays: dict[str, NDArray[Any]] = {}
    for name in LEVEL_TABLES:
        arrays[name] = whole_numbers(getattr(network, name).table, 1 << GAIN_BITS, np.int16, name)
        if np.abs(arrays[name]).max() > LARGEST_GAIN << GAIN_BITS:
            raise TrainingError(f"{name} reaches beyond ±{LARGEST_GAIN} octaves")
    for name, layer in network.scales.named_children():
        assert isinstance(layer, IntegerConv)
        assert layer.bias is not None
        arrays[f"scales.{name}.weight"] = whole_numbers(layer.weight, 1 << WEIGHT_BITS, np.int16, name)
        arrays[f"scales.{name}.bias"] = whole_numbers(layer.bias, layer.bias_one, np.int32, name)
    frequencies, radii, first = probability_tables(network.likelihood)
    return {
        **arrays,
        "frequencies": frequencies,
        "radii": radii,
        "first_table": np.array(first, dtype=np.int32),
    }


def scale_weights(configuration: Mapping[str, Any], integers: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Scale network and level tables from a shipped model's integers; see ``TrainingFamily.integer_weights``."""
    scales = scale_network(GainsConfig(**configuration))
    own = {key.removeprefix("scales."): array for key, array in integers.items() if key.startswith("scales.")}
    scales.take_integers({key: torch.from_numpy(array) for key, array in own.items()})
    tables = {f"{key}.table": torch.from_numpy(integers[key]).float() / (1 << GAIN_BITS) for key in LEVEL_TABLES}
    return {**tables, **{f"scales.{key}": value for key, value in scales.state_dict().items()}}


def _check_format(network: GainsConfig) -> None:
    """Raises TrainingError where the file format cannot describe the network, as with some recipes for experiments."""
    known = {"context_steps": (2, "codes two passes"), "scale_layers": (2, "has two layers for the second scales")}
    for key, (value, says) in known.items():
        if (found := getattr(network, key)) != value:
            raise TrainingError(f"network.{key} = {found}: the file format {says}; a recipe for experiments")
    if network.scale_sees == "signed":
        raise TrainingError(
            "network.scale_sees = 'signed': the file format's scales see magnitudes alone; a recipe for experiments"
        )


class GainsExport(FamilyExport):
    """A model of the gains family on its way into a folder."""

    network: GainsNetwork

    analysis = "analysis"
    encoder_parts = ("analysis.", "hyper_analysis.", "likelihood.")
    integer_parts = ("scales.", *(f"{name}.table" for name in LEVEL_TABLES))

    def __init__(self, recipe: GainsRecipe, weights: dict[str, Tensor], data: Path | None = None) -> None:
        _check_format(recipe.network)
        self.network = GainsNetwork(recipe.network)
        self.network.load_state_dict(weights)
        self.network.eval().requires_grad_(False)
        self.network.scales.keep_exact()  # for weights of trainings that did not do this after each step
        self.integers = integer_arrays(self.network)

    def graphs(self) -> dict[str, ExportedGraph]:
        return {name: kind(self.network) for name, kind in GRAPHS.items()}

    def examples(self) -> Examples:
        c = self.network.config
        a, b = torch.export.Dim("a", min=1, max=4096), torch.export.Dim("b", min=1, max=4096)
        # Examples are not square, so that the export cannot mistake one dimension for another.
        rows, columns = 2, 3
        grid = {1: 4 * a, 2: 4 * b}
        return {
            "pixels": (torch.zeros(1, 64 * rows, 64 * columns, 3, dtype=torch.uint8), {1: 64 * a, 2: 64 * b}),
            "y": (torch.zeros(1, 4 * rows, 4 * columns, c.latents), grid),
            "gain": (torch.zeros(1, 4 * rows, 4 * columns, c.latents), grid),
            "residual": (torch.zeros(1, 4 * rows, 4 * columns, c.latents), grid),
            "even": (torch.zeros(1, 4 * rows, 4 * columns, 1), grid),
            "z": (torch.zeros(1, rows, columns, c.hyper), {1: a, 2: b}),
            "inverse_gain": (torch.ones(1, 1, 1, c.latents), None),
            "means_offset": (torch.zeros(c.means_width), None),
            "synthesis_factor": (torch.ones(c.width), None),
            "synthesis_offset": (torch.zeros(c.width), None),
        }

    @torch.no_grad()
    def verify(self, folder: Path) -> dict[str, float]:
        """Check the written model against torch: scale network to the last bit, graphs to a pixel level.

        Returns the largest difference of each graph. Raises TrainingError where one is too large.
        """
        network, integers = self.network, self.integers
        random = np.random.default_rng(0)
        c = network.config
        scales = ScaleNetwork({k.removeprefix("scales."): v for k, v in integers.items() if k.startswith("scales.")})
        symbols = random.integers(-40, 41, (4, 6, c.hyper)).astype(np.int16)
        fixed = dequantise(symbols, random.integers(-512, 512, c.hyper).astype(np.int32))
        network.scales.set_exact(True)

        def planes(array: NDArray[Any], one: int) -> Tensor:
            return torch.from_numpy(array / one).float().permute(2, 0, 1)[None]

        def same(found: NDArray[np.int32], expected: Tensor, which: str) -> None:
            if not np.array_equal(found, (expected[0].permute(1, 2, 0) * 256).round().int().numpy()):
                raise TrainingError(f"the integer scale network ({which} pass) differs from the trained one")

        first = scales.first(fixed)
        same(first, network.scales.first(planes(fixed, 32)), "first")
        magnitudes = random.integers(0, 20, first.shape).astype(np.int16)
        same(
            scales.second(magnitudes, first),
            network.scales.second(planes(magnitudes, 1), planes(first, 256)),
            "second",
        )

        rows, columns = 3, 2
        shape = (1, 4 * rows, 4 * columns)
        step = float(torch.exp2(network.inverse_gain.table[-1]).mean())
        even = even_squares(shape[1], shape[2]).astype(np.float32)[None, :, :, None]
        values = {
            "pixels": random.integers(0, 256, (1, 64 * rows, 64 * columns, 3), dtype=np.uint8),
            "y": random.normal(size=(*shape, c.latents)).astype(np.float32),
            "z": random.integers(-3, 4, (1, rows, columns, c.hyper)).astype(np.float32),
            "gain": np.ones((*shape, c.latents), np.float32),
            "residual": (step * random.integers(-2, 3, (*shape, c.latents))).astype(np.float32),
            "even": even,
            **{name: getattr(network, name).table[-1].numpy() for name in FLOAT_TABLES},
        }
        # The quality may be one for all places, or differ from place to place.
        table = np.exp2(network.inverse_gain.table.numpy())
        gains = (table[-1:, None, None], table[random.integers(0, c.levels, shape)])
        return {
            name: max(compare_graph(name, graph, {**values, "inverse_gain": gain}, folder) for gain in gains)
            for name, graph in self.graphs().items()
        }
