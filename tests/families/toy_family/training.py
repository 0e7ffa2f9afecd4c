"""The trainer's half: recipe, network, objective, graphs and export."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from glissando.frequencies import from_probabilities
from glissando.networks.config import NetworkConfig
from glissando.networks.cost import kmac_per_pixel
from glissando.networks.graphs import ExportedGraph, PixelGraph, channels_first
from glissando.networks.layers import LevelTable, Pointwise
from glissando.training.distortion import mse as mse_of
from glissando.training.family import FamilyExport, TrainingFamily
from glissando.training.graph_export import Examples, compare_graph
from glissando.training.linear_start import dct_bases
from glissando.training.recipe import PictureRecipe, Rate, Run

from . import TABLES, log2_step

__all__ = ["TRAINING"]

SIDE = 8  # pixels of a patch
COEFFICIENTS = 3 * SIDE**2


@dataclass(frozen=True)
class ToyConfig(NetworkConfig):
    channels: int = 64  # coefficients that are kept, those of the lowest frequencies first


@dataclass(frozen=True)
class ToyRecipe(PictureRecipe):
    family: str = "toy"
    name: str = "toy"
    network: ToyConfig = field(default_factory=ToyConfig)
    run: Run = field(default_factory=lambda: Run(initial="dct"))
    rate: Rate = field(default_factory=Rate)

    starts: ClassVar[tuple[str, ...]] = ("dct", "random")

    def checks(self) -> dict[str, bool]:
        few = f"network.channels must be in 1..{COEFFICIENTS}"
        return {few: 0 < self.network.channels <= COEFFICIENTS, **self.rate.checks(), **super().checks()}


class ToyNetwork(nn.Module):
    """Pictures to coefficients (B, channels, H/8, W/8) and back."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.analysis = Pointwise(COEFFICIENTS, config.channels)
        self.synthesis = Pointwise(config.channels, COEFFICIENTS)
        self.scale = LevelTable(1, config.channels)  # log2 of each coefficient's mean magnitude

    @torch.no_grad()
    def begin_as_dct(self, pictures: Tensor) -> None:
        basis, _ = dct_bases()
        row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        frequency = (row + column).flatten().float()
        order = torch.argsort(torch.cat([frequency, frequency + 3, frequency + 3]), stable=True)
        kept = basis[order[: self.analysis.out_channels]]
        for layer, matrix in ((self.analysis, kept), (self.synthesis, kept.T)):
            assert layer.bias is not None
            layer.weight.copy_(matrix[:, :, None, None])
            layer.bias.zero_()
        self.scale.table.copy_(self.coefficients(pictures).abs().mean((0, 2, 3)).log2()[None])

    def coefficients(self, picture: Tensor) -> Tensor:
        out: Tensor = self.analysis(F.pixel_unshuffle(picture - 0.5, SIDE))
        return out

    def forward(self, picture: Tensor, quality: Tensor, noise: bool = True) -> tuple[Tensor, Tensor]:
        """The picture as decoded, and its bits (B,); with ``noise`` in place of rounding."""
        octaves = torch.tensor([log2_step(int(256 * q)) for q in quality.tolist()]) / 256
        step = torch.exp2(octaves)[:, None, None, None]
        y = self.coefficients(picture).float() / step
        symbols = y + torch.rand_like(y) - 0.5 if noise else y.round()
        scale = torch.exp2(self.scale.table[:, :, None, None]) / step
        far = (symbols.abs() - 0.5).clamp_min(0) / scale
        none = -torch.log1p(-torch.exp(-0.5 / scale))
        some = far - torch.log1p(-torch.exp(-1 / scale)) + np.log(2)
        bits = torch.where(symbols.abs() < 0.5, none, some).sum((1, 2, 3)) / np.log(2)
        return F.pixel_shuffle(self.synthesis(symbols * step), SIDE) + 0.5, bits


class ToyObjective:
    qualities: tuple[float, ...] = (0.0, 50.0, 100.0)

    def __init__(self, recipe: ToyRecipe) -> None:
        self.recipe = recipe

    def build(self, sample: Tensor | None) -> nn.Module:
        network = ToyNetwork(self.recipe.network)
        if sample is not None:
            network.begin_as_dct(sample)
        return network

    def begin(self, step: int, share: float) -> float:
        return 1.0

    def loss(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rate = self.recipe.rate
        out, bits = network(picture, quality)
        bpp, mse = bits / picture[0, 0].numel(), mse_of(out, picture)
        return rate.weight_of(quality) * (bpp + rate.lambda_of(quality) * 255**2 * mse), bpp, mse

    def constrain(self, network: nn.Module) -> None:
        pass

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        out, bits = network(picture, quality, noise=False)
        return bits, out

    def scores(self, levels: Tensor, picture: Tensor) -> dict[str, Tensor]:
        return {}


class AnalysisGraph(ExportedGraph):
    inputs = ("pixels",)
    outputs = ("latents",)

    def __init__(self, network: ToyNetwork) -> None:
        super().__init__()
        self.analysis = network.analysis

    def forward(self, pixels: Tensor) -> Tensor:
        patches = F.pixel_unshuffle(channels_first(pixels).float() / 255 - 0.5, SIDE)
        out: Tensor = self.analysis(patches)
        return out.permute(0, 2, 3, 1)


class DecodeGraph(PixelGraph):
    inputs = ("latents",)

    def __init__(self, network: ToyNetwork, *, eight_bits: bool = False) -> None:
        super().__init__(eight_bits=eight_bits)
        self.synthesis = network.synthesis

    def forward(self, latents: Tensor) -> Tensor:
        return self.pixels(self.synthesis(channels_first(latents)) + 0.5, SIDE)


class ToyExport(FamilyExport):
    network: ToyNetwork

    encoder_parts = ("analysis.",)

    def __init__(self, recipe: ToyRecipe, weights: dict[str, Tensor], data: Path | None) -> None:
        self.network = ToyNetwork(recipe.network)
        self.network.load_state_dict(weights)
        self.network.eval().requires_grad_(False)
        frequencies, radii = laplacian_tables()
        log2_scale = torch.round(self.network.scale.table[0] * 256).numpy().astype(np.int16)
        self.integers = {"frequencies": frequencies, "radii": radii, "log2_scale": log2_scale}

    def graphs(self) -> dict[str, ExportedGraph]:
        return {
            "analysis": AnalysisGraph(self.network),
            "decode": DecodeGraph(self.network),
            "decode-8bit": DecodeGraph(self.network, eight_bits=True),
        }

    def examples(self) -> Examples:
        a, b = torch.export.Dim("a", min=1, max=4096), torch.export.Dim("b", min=1, max=4096)
        latents = torch.zeros(1, 16, 24, self.network.analysis.out_channels)
        return {
            "pixels": (torch.zeros(1, 128, 192, 3, dtype=torch.uint8), {1: 64 * a, 2: 64 * b}),
            "latents": (latents, {1: 8 * a, 2: 8 * b}),
        }

    def verify(self, folder: Path) -> dict[str, float]:
        random = np.random.default_rng(0)
        values = {
            "pixels": random.integers(0, 256, (1, 192, 128, 3), dtype=np.uint8),
            "latents": random.normal(size=(1, 24, 16, self.network.analysis.out_channels)).astype(np.float32),
        }
        return {name: compare_graph(name, graph, values, folder) for name, graph in self.graphs().items()}


def laplacian_tables() -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Frequencies and radii of the tables: the symbols −K … K, and what lies beyond."""
    rows, radii = [], []
    for scale in 2.0 ** (np.arange(TABLES) / 8 - 4):
        radius = int(np.ceil(12 * scale))
        k = np.abs(np.arange(-radius, radius + 1))
        inside = np.where(
            k == 0, -np.expm1(-0.5 / scale), 0.5 * np.exp(-np.maximum(k - 0.5, 0) / scale) * -np.expm1(-1 / scale)
        )
        rows.append(from_probabilities(np.append(inside, np.exp(-(radius + 0.5) / scale))))
        radii.append(radius)
    return np.concatenate(rows), np.array(radii, np.int32)


def _cost(network: nn.Module, path: str) -> dict[str, float]:
    part = {"encode": "analysis", "decode": "synthesis"}[path]
    return kmac_per_pixel(network, (part,), lambda n, picture: n(picture, torch.tensor([50.0])))


TRAINING = TrainingFamily(
    recipe=ToyRecipe,
    objective=ToyObjective,
    export=ToyExport,
    cost=_cost,
)
