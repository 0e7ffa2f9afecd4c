"""What the export of a VAE adds: steps, context model and tables fitted to training pictures, inputs of its graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glissando.models import VaeNetwork
from glissando.models.graphs import VAE_GRAPHS, ExportedGraph

from .calibration import calibrate
from .data import Crops, load_tiles, training_folder
from .graph_export import Examples, compare_graph
from .recipe import VaeRecipe

__all__ = ["VaeExport", "training_posteriors"]

CROPS, BATCH = 160, 16  # of 256×256 pixels: 40,960 positions


class VaeExport:
    """A VAE on its way into a folder; see ``export.Exported``."""

    encoder_parts: tuple[str, ...] = ("analysis.", "spread.", "prior.")
    integer_parts: tuple[str, ...] = ()

    def __init__(self, recipe: VaeRecipe, weights: dict[str, Tensor], data: Path | None) -> None:
        self.network = VaeNetwork(recipe.network)
        self.network.load_state_dict(weights)
        self.network.eval().requires_grad_(False)
        fitted = calibrate(*training_posteriors(self.network, recipe, training_folder(data)))
        self.integers: dict[str, NDArray[Any]] = {
            "frequencies": fitted.fit.frequencies,
            "radii": fitted.fit.radii,
            **{f"context.{name}": array for name, array in fitted.fit.arrays.items()},
        }
        self.arrays: dict[str, dict[str, NDArray[Any]]] = {
            "decoder.npz": {"deviation": fitted.deviation, "log2_step": fitted.log2_step},
            "encoder.npz": {"log2_rate_weight": fitted.log2_rate_weight},
        }

    def graphs(self) -> dict[str, ExportedGraph]:
        return {name: kind(self.network) for name, kind in VAE_GRAPHS.items()}

    def examples(self) -> Examples:
        a, b = torch.export.Dim("a", min=1, max=4096), torch.export.Dim("b", min=1, max=4096)
        return {
            "pixels": (torch.zeros(1, 128, 192, 3, dtype=torch.uint8), {1: 64 * a, 2: 64 * b}),
            "latents": (torch.zeros(1, 8, 12, self.network.config.latents), {1: 4 * a, 2: 4 * b}),
        }

    def verify(self, folder: Path) -> dict[str, float]:
        """Largest difference of each graph from torch. Raises TrainingError where one is too large."""
        random = np.random.default_rng(0)
        spread = self.network.deviations.numpy().reshape(-1)
        values = {
            "pixels": random.integers(0, 256, (1, 192, 128, 3), dtype=np.uint8),
            "latents": (random.normal(size=(1, 12, 8, spread.size)) * spread).astype(np.float32),
        }
        return {name: compare_graph(name, graph, values, folder) for name, graph in self.graphs().items()}


@torch.no_grad()
def training_posteriors(
    network: VaeNetwork, recipe: VaeRecipe, data: Path
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and deviations of the latents of some crops of training pictures, (crops, rows, columns, latents) each."""
    tiles = load_tiles(data, limit_gb=recipe.data.limit_gb).training
    crops = Crops(tiles, 256, BATCH, torch.Generator().manual_seed(0), halved=recipe.data.halved)
    means: list[NDArray[np.float32]] = []
    deviations: list[NDArray[np.float32]] = []
    for _ in range(CROPS // BATCH):
        mean = network.analysis(crops.next()).float()
        for rows, part in ((means, mean), (deviations, network.deviation(mean))):
            rows.append(part.permute(0, 2, 3, 1).numpy())
    return np.concatenate(means), np.concatenate(deviations)
