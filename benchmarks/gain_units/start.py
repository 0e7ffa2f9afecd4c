"""How base models begin, whatever varies their rate: blocks as a PCA, Ballé's at random, and steps that fit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glissando.families.gains.initial import step_of
from glissando.networks.transforms import Analysis, Synthesis
from glissando.training.linear_start import fill_transforms

from .bases import Base
from .rates import Rated
from .recipe import GainRecipe

__all__ = ["begin", "level_qualities"]

RANDOM_DEVIATION = 4.0  # of latents in steps, at the highest rate, where the transforms begin at random


def level_qualities(recipe: GainRecipe) -> Tensor:
    """The qualities whose steps a model begins with: those of its levels, or its one quality, (levels or 1,)."""
    method = recipe.method
    return torch.tensor([method.quality]) if method.kind == "dedicated" else torch.linspace(0, 100, method.levels)


@torch.no_grad()
def begin(recipe: GainRecipe, pictures: Tensor, seed: int) -> Rated:
    """A model that has not been trained, from ``pictures`` (N, 3, S, S) in [0, 1], S a multiple of 64.

    The same seed gives the same base model, however the rate varies.
    """
    torch.manual_seed(seed)
    base = Base(recipe.base)
    lambdas = recipe.rate.lambda_of(level_qualities(recipe))
    if isinstance(base.analysis, Analysis) and isinstance(base.synthesis, Synthesis):
        fill_transforms(base.shape, base.analysis, base.synthesis, pictures)
        y = base.analysis(pictures[:64])
        log2_gains = -torch.log2(step_of(lambdas))
    else:
        y = base.analysis(pictures[:64])
        log2_gains = torch.log2(RANDOM_DEVIATION / y.std() * torch.sqrt(lambdas / recipe.rate.lambda_high))
    _fit_entropy_model(base, y * torch.exp2(log2_gains.mean()))
    if recipe.method.prior_follows(base.hyper_channels):  # a prior of latents without their gain, which comes on top
        base.prior.parameters_of_channels[:, : recipe.base.latents] -= log2_gains.mean()
    return Rated(base, recipe.method, log2_gains)


def _fit_entropy_model(base: Base, y: Tensor) -> None:
    """Scales begin at the deviations of gained latents ``y``, hyper-latents with a deviation of two steps."""
    scales = torch.log2(y.std((0, 2, 3)).clamp_min(0.05))
    if not base.hyper_channels:
        base.prior.parameters_of_channels[0, : len(scales), 0, 0] = scales
        return
    reads = base.hyper_analysis
    first = next(module for module in reads.modules() if isinstance(module, nn.Conv2d))
    first.weight.div_(torch.exp2(scales)[None, :, None, None])
    last = [module for module in reads.modules() if isinstance(module, nn.Conv2d)][-1]
    assert last.bias is not None
    seen = y.abs() if base.config.kind == "balle2018" else y
    last.bias.zero_()
    last.weight.mul_((2 / reads(seen).std((0, 2, 3)).clamp_min(1e-4))[:, None, None, None])
    last.bias.sub_(reads(seen).mean((0, 2, 3)))
    base.prior.parameters_of_channels[:, : base.hyper_channels] = 1.0
    gives = base.hyper_synthesis if base.config.kind == "balle2018" else base.to_parameters
    out = [module for module in gives.modules() if isinstance(module, nn.Conv2d)][-1]
    assert out.bias is not None
    latents = base.config.latents
    before = 0 if base.config.kind == "balle2018" else latents  # means come first
    out.bias[before : before + latents] = scales
