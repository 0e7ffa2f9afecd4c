"""What each family of models trains for: its network, how it begins, its loss, its points of validation."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from glissando.models import CodecNetwork, ContentNetwork, VaeNetwork
from glissando.models.scales import IntegerConv

from .initial import balance, initialise_pca, initialise_vae
from .initial_content import initialise_content
from .recipe import ContentRecipe, PictureRecipe, Recipe, VaeRecipe

__all__ = ["ContentObjective", "GainsObjective", "Objective", "VaeObjective", "objective_for"]


class Objective(Protocol):
    """A family's part in a training; the trainer does all that is common."""

    qualities: tuple[float, ...]  # that validation measures

    def build(self, sample: Tensor | None) -> nn.Module:
        """The network, initialised from ``sample`` (N, 3, 256, 256) in [0, 1] if the recipe wants that."""

    def begin(self, step: int, share: float) -> float:
        """Called before each step, with the share of the schedule that is done; a factor on the learning rates."""

    def loss(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What each picture adds to the loss, its bpp, its MSE of pixels in [0, 1]; all (B,)."""

    def constrain(self, network: nn.Module) -> None:
        """Called after each step: bring weights back to where they are allowed to be, in place."""

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Bits (B,) and the reconstruction (B, 3, H, W), as near to what a file would give as this stage can tell."""


def _mse(out: Tensor, picture: Tensor) -> Tensor:
    return (out.float() - picture).square().mean((1, 2, 3))


class GainsObjective:
    """The main family: bpp + λ·255²·MSE at every quality."""

    qualities: tuple[float, ...] = (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.step = 0

    def build(self, sample: Tensor | None) -> nn.Module:
        network, levels = CodecNetwork(self.recipe.network), self.recipe.network.levels
        if sample is not None:
            run = self.recipe.run
            lambdas = torch.tensor([self.recipe.rate.lambda_of(100 * i / (levels - 1)) for i in range(levels)])
            initialise_pca(network, sample, lambdas)
            balance(network, sample[:32], run.balance_trunk, run.balance_latents)
        return network

    def begin(self, step: int, share: float) -> float:
        self.step = step
        IntegerConv.exact = step >= self.recipe.integers.from_step
        return 1.0

    def loss(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rate = self.recipe.rate
        out = network(picture, quality)
        hyper_weight = min(1.0, 0.05 + self.step / max(1, rate.hyper_warmup))
        bpp = (out.latent_bits + hyper_weight * out.hyper_bits) / (picture.shape[2] * picture.shape[3])
        mse = _mse(out.reconstruction, picture)
        lambdas = rate.lambda_of(quality)
        weight = (lambdas / math.sqrt(rate.lambda_low * rate.lambda_high)) ** -rate.balance
        return weight * (bpp + lambdas * 255**2 * mse), bpp, mse

    def constrain(self, network: nn.Module) -> None:
        assert isinstance(network, CodecNetwork)
        network.scales.keep_exact()

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Rounded symbols; bits by cross-entropy."""
        out = network(picture, quality, noise=False)
        return out.latent_bits + out.hyper_bits, out.reconstruction


class VaeObjective:
    """The plain VAE: the negative ELBO in bits per pixel. It knows no quality."""

    qualities: tuple[float, ...] = (50.0,)

    def __init__(self, recipe: VaeRecipe) -> None:
        self.recipe = recipe

    def build(self, sample: Tensor | None) -> nn.Module:
        network = VaeNetwork(self.recipe.network)
        if sample is not None:
            initialise_vae(network, sample, self.recipe.run.balance_trunk)
        return network

    def begin(self, step: int, share: float) -> float:
        return 1.0

    def loss(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out, bits = network(picture)
        bpp, mse = bits / (picture.shape[2] * picture.shape[3]), _mse(out, picture)
        # −log N(x | g(z), s²) of a pixel's three samples, less what does not depend on the network.
        return bpp + 3 * mse / (2 * self.recipe.network.variance * math.log(2)), bpp, mse

    def constrain(self, network: nn.Module) -> None:
        pass

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """A sample of the posterior, and its divergence from the prior."""
        out, bits = network(picture)
        return bits, out


class ContentObjective:
    """The content-weighted family: bpp + λ·255²·MSE at every quality, in three stages."""

    qualities: tuple[float, ...] = (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)

    def __init__(self, recipe: ContentRecipe) -> None:
        self.recipe = recipe
        self.flat = not recipe.stages.importance
        self.settled = False
        if recipe.rate.single:
            self.qualities = (recipe.rate.quality,)

    def build(self, sample: Tensor | None) -> nn.Module:
        network, levels = ContentNetwork(self.recipe.network), self.recipe.network.levels
        if sample is not None:
            lambdas = torch.tensor([self.recipe.rate.lambda_of(100 * i / (levels - 1)) for i in range(levels)])
            initialise_content(network, sample, lambdas)
        return network

    def begin(self, step: int, share: float) -> float:
        stages = self.recipe.stages
        self.flat = not stages.importance or share < stages.without_map
        self.settled = share >= stages.without_map + stages.with_map
        return stages.tuning_rate if self.settled else 1.0

    def loss(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rate = self.recipe.rate
        if rate.single:
            quality = torch.full_like(quality, rate.quality)
        # One offset for each picture: maps stay as smooth as those that the context model will see.
        dither = None if self.settled else torch.rand(len(picture), 1, 1, 1, device=picture.device) - 0.5
        out = network(picture, quality, flat=self.flat, dither=dither, settled=self.settled, budgeted=rate.hinge > 0)
        pixels = picture.shape[2] * picture.shape[3]
        bpp, map_bpp = out.bits / pixels, out.map_bits / pixels
        mse = _mse(out.reconstruction, picture) + out.bend / (3 * pixels)
        lambdas = rate.lambda_of(quality)
        weight = (lambdas / math.sqrt(rate.lambda_low * rate.lambda_high)) ** -rate.balance
        price = bpp + rate.map_weight * map_bpp
        if rate.hinge:
            # The context model learns from the bits; the batch as a whole keeps to its budget, and is free within it.
            price = bpp + rate.hinge * torch.relu(out.kept.mean() - rate.budget)
        each = weight * (price + lambdas * 255**2 * mse)
        return each, bpp + map_bpp, mse

    def constrain(self, network: nn.Module) -> None:
        assert isinstance(network, ContentNetwork)
        network.constrain()

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """The bits that a file holds, by their cross-entropy, and an estimate of the map's."""
        out = network(picture, quality, flat=self.flat)
        return out.bits + out.map_bits, out.reconstruction


def objective_for(recipe: PictureRecipe) -> Objective:
    """What this recipe's family trains for."""
    if isinstance(recipe, ContentRecipe):
        return ContentObjective(recipe)
    return VaeObjective(recipe) if isinstance(recipe, VaeRecipe) else GainsObjective(recipe)
