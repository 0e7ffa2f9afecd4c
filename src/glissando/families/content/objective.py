"""The content family's part in a training: its loss, and how it begins."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glissando.training.distortion import mse as mse_of

from .initial import initialise
from .network import ContentNetwork
from .recipe import ContentRecipe

__all__ = ["ContentObjective"]


class ContentObjective:
    """bpp + λ·255²·MSE at every quality, in three stages."""

    qualities: tuple[float, ...] = (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)

    def __init__(self, recipe: ContentRecipe) -> None:
        self.recipe = recipe
        self.flat = not recipe.stages.importance
        self.map_is_fixed = False
        if recipe.rate.single:
            self.qualities = (recipe.rate.quality,)

    def build(self, sample: Tensor | None) -> nn.Module:
        network, levels = ContentNetwork(self.recipe.network), self.recipe.network.levels
        if sample is not None:
            lambdas = torch.tensor([self.recipe.rate.lambda_of(100 * i / (levels - 1)) for i in range(levels)])
            initialise(network, sample, lambdas)
        return network

    def begin(self, step: int, share: float) -> float:
        stages = self.recipe.stages
        self.flat = not stages.importance or share < stages.without_map
        self.map_is_fixed = share >= stages.without_map + stages.with_map
        return stages.tuning_rate if self.map_is_fixed else 1.0

    def loss(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rate = self.recipe.rate
        quality = rate.trained(quality)
        # One offset for a whole picture, so that maps stay as smooth as those that the context model will see.
        dither = None if self.map_is_fixed else torch.rand(len(picture), 1, 1, 1, device=picture.device) - 0.5
        out = network(
            picture, quality, flat=self.flat, dither=dither, map_is_fixed=self.map_is_fixed, budgeted=rate.hinge > 0
        )
        pixels = picture.shape[2] * picture.shape[3]
        bpp, map_bpp = out.bits / pixels, out.map_bits / pixels
        mse = mse_of(out.reconstruction, picture) + out.slope_correction / (3 * pixels)
        price = bpp + rate.map_weight * map_bpp
        if rate.hinge:
            # Only the context model learns from the bits. Levels cost the whole batch nothing within its budget.
            price = bpp + rate.hinge * torch.relu(out.kept.mean() - rate.budget)
        each = rate.weight_of(quality) * (price + rate.lambda_of(quality) * 255**2 * mse)
        return each, bpp + map_bpp, mse

    def constrain(self, network: nn.Module) -> None:
        assert isinstance(network, ContentNetwork)
        network.constrain()

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """The bits that a file holds, by their cross-entropy, and an estimate of the map's."""
        out = network(picture, quality, flat=self.flat)
        return out.bits + out.map_bits, out.reconstruction

    def scores(self, levels: Tensor, picture: Tensor) -> dict[str, Tensor]:
        return {}
