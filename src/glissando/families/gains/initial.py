"""The start of a training from the best linear codec: PCA of patches, optimal steps, Gaussian scales.

The transforms become PCA or fixed bases (``training.linear_start``), the scales those of the components, and the gains
the high-rate optimal steps. Before any training the network is a working transform codec.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from glissando.networks.layers import Pointwise
from glissando.training.linear_start import (
    balance_trunks,
    channel_factors,
    dct_bases,
    divide_outputs,
    fill_transforms,
    multiply_inputs,
    rescale_blocks,
    watch_features,
)

from .network import GainsNetwork

__all__ = ["balance", "initialise", "step_of"]


def step_of(lambdas: Tensor) -> Tensor:
    """High-rate optimal step of orthonormal coefficients of 16×16×3 patches, for pixels in [0, 1].

    Minimises bpp + λ·255²·MSE with MSE = Δ²·latents/(12·768) and d(bpp)/dΔ = −latents/(256·Δ·ln 2): the
    number of latents cancels.
    """
    return torch.sqrt(12 * 768 / (2 * 256 * math.log(2) * 255**2 * lambdas))


@torch.no_grad()
def initialise(network: GainsNetwork, pictures: Tensor, lambdas: Tensor, kind: str = "pca") -> None:
    """Initialise in place from ``pictures`` (N, 3, S, S) in [0, 1] and the λ of each level (levels,).

    ``kind`` "dct" has fixed bases in place of principal components.
    """

    def deal(components: Tensor) -> Tensor:
        """Deal components to the parts of the channels in turn, so that all steps code equal energy at a position."""
        parts = network.config.context_steps
        return torch.cat([components[part::parts] for part in range(parts)])

    bases = dct_bases() if kind == "dct" else None
    deviation = fill_transforms(network.config, network.analysis, network.synthesis, pictures, deal, bases)
    hyper = network.hyper_analysis
    hyper.enter.weight.div_(deviation[None, :, None, None])
    # Hyper-latents start with a deviation of 2 steps, so that they are not all rounded to zero before they are of use.
    y = network.analysis(pictures[:64])
    last = hyper.to_64[1]
    assert isinstance(last, Pointwise)
    assert last.bias is not None
    last.bias.zero_()
    last.weight.mul_((2 / hyper(y).std((0, 2, 3)))[:, None, None, None])
    last.bias.sub_(hyper(y).mean((0, 2, 3)))
    network.hyper_scale.table.fill_(1.0)
    step = torch.log2(step_of(lambdas))
    network.gain.table.copy_((-step)[:, None].expand_as(network.gain.table))
    network.inverse_gain.table.copy_(step[:, None].expand_as(network.inverse_gain.table))
    network.scale_offset.table.copy_((-step)[:, None].expand_as(network.scale_offset.table))
    assert network.scales.first_out.bias is not None
    network.scales.first_out.bias.copy_(torch.log2(deviation))


@torch.no_grad()
def balance(network: GainsNetwork, pictures: Tensor, trunk: float, latents: float) -> None:
    """Give a network's channels more equal deviations, in place, without changing what it computes.

    PCA leaves the trunk's channels with deviations that differ by a factor of 200, so that blocks see little but the
    mean of each patch. Every channel is divided by its deviation to the power ``trunk`` or ``latents`` (0 leaves it, 1
    whitens), and the layers that read it are multiplied by as much. ``pictures`` (N, 3, S, S) in [0, 1], S a multiple
    of 64.
    """
    n = network
    watched = {"analysis": n.analysis.blocks, "latents": n.analysis, "synthesis": n.synthesis.up}
    quality = torch.linspace(5, 95, len(pictures), device=pictures.device)
    features = watch_features(watched, lambda x: n(x, quality, noise=False), pictures)
    s = balance_trunks(n.analysis, n.synthesis, features, trunk)
    n.synthesis_offset.table.div_(s)
    y = channel_factors(features["latents"], latents)
    divide_outputs(n.analysis.down[1], y)
    rescale_blocks(n.analysis.latent_blocks, y)
    multiply_inputs(n.hyper_analysis.enter, y)
    n.gain.table.add_(y.log2())
    n.inverse_gain.table.sub_(y.log2())
    divide_outputs(n.first_means, y)
    for context in n.contexts:
        divide_outputs(context.out, y)
        assert context.near.bias is not None
        context.near.bias.div_(y)
        multiply_inputs(context.mix, y)
    rescale_blocks(n.synthesis.latent_blocks, y)
    multiply_inputs(n.synthesis.up[0], y)
