"""Start from the best linear codec: PCA of patches, optimal steps, Gaussian scales.

The analysis becomes two orthonormal PCA steps (8×8×3 patches, then 2×2 groups of them), the synthesis
their transpose, all residual branches near zero, the scales those of the components, and the gains the
high-rate optimal steps. Before any training the network is a working transform codec.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glissando.models import CodecNetwork
from glissando.models.layers import DepthConvBlock, Pointwise

__all__ = ["balance", "initialise_pca", "step_of"]


def step_of(lambdas: Tensor) -> Tensor:
    """High-rate optimal step of orthonormal coefficients of 16×16×3 patches, for pixels in [0, 1].

    Minimises bpp + λ·255²·MSE with MSE = Δ²·latents/(12·768) and d(bpp)/dΔ = −latents/(256·Δ·ln 2): the
    number of latents cancels.
    """
    return torch.sqrt(12 * 768 / (2 * 256 * math.log(2) * 255**2 * lambdas))


def _components(vectors: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Principal directions (keep, D), and the standard deviations along them (keep,). ``vectors`` (N, D)."""
    centred = vectors - vectors.mean(0)
    covariance = (centred.T @ centred / len(vectors)).double()
    values, directions = torch.linalg.eigh(covariance)
    order = torch.argsort(values, descending=True)[:keep]
    return directions[:, order].T.float(), values[order].clamp_min(1e-9).sqrt().float()


@torch.no_grad()
def initialise_pca(network: CodecNetwork, pictures: Tensor, lambdas: Tensor) -> None:
    """Initialise in place from ``pictures`` (N, 3, S, S) in [0, 1] and the λ of each level (levels,)."""
    c = network.config
    patches = F.pixel_unshuffle(pictures - 0.5, 8)
    first, _ = _components(patches.permute(0, 2, 3, 1).reshape(-1, 192), min(192, c.width))
    trunk = torch.einsum("oc,nchw->nohw", first, patches)
    groups = F.pixel_unshuffle(trunk, 2)
    second, deviation = _components(groups.permute(0, 2, 3, 1).reshape(-1, groups.shape[1]), c.latents)
    # Deal the components over the two halves of the channels in turn, so that both passes of the spatial
    # prior carry the same share of the energy.
    deal = torch.cat([torch.arange(0, c.latents, 2), torch.arange(1, c.latents, 2)])
    second, deviation = second[deal], deviation[deal]

    def fill(layer: torch.nn.Module, matrix: Tensor) -> None:
        weight, bias = layer.weight, layer.bias
        assert isinstance(weight, Tensor)
        assert isinstance(bias, Tensor)
        weight.zero_()
        weight[: matrix.shape[0], : matrix.shape[1], 0, 0] = matrix
        bias.zero_()

    def widened(matrix: Tensor) -> Tensor:
        """Columns of 4·192 unshuffled trunk channels, placed among 4·width."""
        used = matrix.shape[1] // 4
        out = matrix.new_zeros(matrix.shape[0], 4 * c.width)
        out.view(-1, c.width, 4)[:, :used] = matrix.view(-1, used, 4)
        return out

    fill(network.analysis.enter, first)
    fill(network.analysis.down[1], widened(second))
    fill(network.synthesis.up[0], widened(second).T)
    fill(network.synthesis.leave, first.T)
    hyper = network.hyper_analysis
    hyper.enter.weight.div_(deviation[None, :, None, None])
    # Hyper-latents start with a deviation of 2 steps, lest they round to nothing before they are of use.
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
def balance(network: CodecNetwork, pictures: Tensor, trunk: float, latents: float) -> None:
    """Give a network's channels more equal deviations, in place, without changing what it computes.

    PCA leaves the trunk's channels with deviations 200 times apart, so that blocks see little but the mean of
    each patch. Every channel is divided by its deviation to the power ``trunk`` or ``latents`` (0 leaves it,
    1 whitens), and all that reads it multiplies. ``pictures`` (N, 3, S, S) in [0, 1], S a multiple of 64.
    """
    features: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, inputs, output: features.__setitem__(name, output)

    n = network
    watched = {"analysis": n.analysis.blocks, "latents": n.analysis, "synthesis": n.synthesis.up}
    hooks = [module.register_forward_hook(keep(name)) for name, module in watched.items()]
    n(pictures, torch.linspace(5, 95, len(pictures), device=pictures.device), noise=False)
    for hook in hooks:
        hook.remove()

    def factors(name: str, power: float) -> Tensor:
        deviation = features[name].float().std((0, 2, 3)).clamp_min(1e-4).log()
        return torch.exp(power * (deviation - deviation.mean()))

    def writes(layer: nn.Module, factor: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        layer.weight.div_(factor[:, None, None, None])
        layer.bias.div_(factor)

    def reads(layer: nn.Module, factor: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        layer.weight[:, : len(factor)].mul_(factor[None, :, None, None])

    def blocks(stack: nn.Sequential, factor: Tensor) -> None:
        for block in stack:
            assert isinstance(block, DepthConvBlock)
            reads(block.enter, factor)
            reads(block.widen, factor)
            writes(block.leave, factor)
            writes(block.narrow, factor)

    a, y, s = factors("analysis", trunk), factors("latents", latents), factors("synthesis", trunk)
    writes(n.analysis.enter, a)
    blocks(n.analysis.blocks, a)
    reads(n.analysis.down[1], a.repeat_interleave(4))
    writes(n.analysis.down[1], y)
    blocks(n.analysis.latent_blocks, y)
    reads(n.hyper_analysis.enter, y)
    n.gain.table.add_(y.log2())
    n.inverse_gain.table.sub_(y.log2())
    writes(n.first_means, y)
    writes(n.context.out, y)
    assert n.context.near.bias is not None
    n.context.near.bias.div_(y)
    reads(n.context.mix, y)
    blocks(n.synthesis.latent_blocks, y)
    reads(n.synthesis.up[0], y)
    writes(n.synthesis.up[0], s.repeat_interleave(4))
    n.synthesis_offset.table.div_(s)
    blocks(n.synthesis.blocks, s)
    reads(n.synthesis.leave, s)
