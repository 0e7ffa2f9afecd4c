"""Start from the best linear codec: PCA of patches, optimal steps, Gaussian scales.

The analysis becomes two orthonormal PCA steps (8×8×3 patches, then 2×2 groups of them), or the fixed bases of older
codecs in their place (``dct_bases``), the synthesis their transpose, all residual branches near zero, the scales those
of the components, and the gains the high-rate optimal steps. Before any training the network is a working transform
codec.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glissando.models import CodecNetwork, VaeNetwork
from glissando.models.codec import Analysis, Synthesis, TransformConfig
from glissando.models.layers import DepthConvBlock, Pointwise

__all__ = ["balance", "dct_bases", "fill_transforms", "initialise_pca", "initialise_vae", "step_of"]


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


def dct_bases() -> tuple[Tensor, Tensor]:
    """Fixed orthonormal bases for both steps: colours and 8×8 DCT (192, 192), then 2×2 Hadamard (768, 768).

    Columns of the first are the unshuffled samples of a patch, those of the second its results at 2×2 places. Colours
    are Ohta's I1 I2 I3 (Computer Graphics and Image Processing 13, 1980), orthonormal: nearly YCbCr's axes.
    """
    k = torch.arange(8, dtype=torch.float64)
    dct = torch.cos(math.pi / 8 * (k + 0.5) * k[:, None]) / 2
    dct[0] /= math.sqrt(2)
    colours = torch.tensor([[1, 1, 1], [1, 0, -1], [-1, 2, -1]], dtype=torch.float64)
    colours /= colours.norm(dim=1, keepdim=True)
    haar = torch.tensor([[1, 1], [1, -1]], dtype=torch.float64) / math.sqrt(2)
    first = torch.kron(colours, torch.kron(dct, dct))
    second = torch.kron(torch.eye(192, dtype=torch.float64), torch.kron(haar, haar))
    return first.float(), second.float()


def _largest(vectors: Tensor, basis: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """As ``_components``, of the directions in ``basis`` (K, D) those along which ``vectors`` vary most."""
    deviation = (vectors @ basis.T).std(0, correction=0)
    order = torch.argsort(deviation, descending=True)[:keep]
    return basis[order], deviation[order].clamp_min(math.sqrt(1e-9))


def _fill(layer: nn.Module, matrix: Tensor) -> None:
    """Set a pointwise layer's first rows and columns, and everything else in it to zero."""
    assert isinstance(layer, Pointwise)
    assert layer.bias is not None
    layer.weight.zero_()
    layer.weight[: matrix.shape[0], : matrix.shape[1], 0, 0] = matrix
    layer.bias.zero_()


def fill_transforms(
    config: TransformConfig,
    analysis: Analysis,
    synthesis: Synthesis,
    pictures: Tensor,
    order: Callable[[Tensor], Tensor] = lambda x: x,
    bases: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Analysis and synthesis become PCA and its transpose; returns the latents' deviations (latents,).

    ``order`` rearranges the components (K, …), which come with the largest first. ``bases`` (see ``dct_bases``) take
    the place of the principal directions; of the second one those that vary most are kept.
    """
    c = config
    patches = F.pixel_unshuffle(pictures - 0.5, 8)
    if bases is None:
        first, _ = _components(patches.permute(0, 2, 3, 1).reshape(-1, 192), min(192, c.width))
    else:
        first = bases[0]
    trunk = torch.einsum("oc,nchw->nohw", first, patches)
    groups = F.pixel_unshuffle(trunk, 2)
    vectors = groups.permute(0, 2, 3, 1).reshape(-1, groups.shape[1])
    second, deviation = _components(vectors, c.latents) if bases is None else _largest(vectors, bases[1], c.latents)
    second, deviation = order(second), order(deviation)

    # Columns of 4·192 unshuffled trunk channels, placed among 4·width.
    used = second.shape[1] // 4
    widened = second.new_zeros(len(second), 4 * c.width)
    widened.view(-1, c.width, 4)[:, :used] = second.view(-1, used, 4)

    _fill(analysis.enter, first)
    _fill(analysis.down[1], widened)
    _fill(synthesis.up[0], widened.T)
    _fill(synthesis.leave, first.T)
    return deviation


@torch.no_grad()
def initialise_pca(network: CodecNetwork, pictures: Tensor, lambdas: Tensor, kind: str = "pca") -> None:
    """Initialise in place from ``pictures`` (N, 3, S, S) in [0, 1] and the λ of each level (levels,).

    ``kind`` "dct" has fixed bases in place of principal components.
    """

    def deal(components: Tensor) -> Tensor:
        """Over the parts of the channels in turn, so that what each step codes at a place carries the same energy."""
        parts = network.config.context_steps
        return torch.cat([components[part::parts] for part in range(parts)])

    bases = dct_bases() if kind == "dct" else None
    deviation = fill_transforms(network.config, network.analysis, network.synthesis, pictures, deal, bases)
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
def initialise_vae(network: VaeNetwork, pictures: Tensor, trunk: float) -> None:
    """A linear VAE: PCA, priors as wide as its components, the posterior variance that is best for them.

    With a prior of variance τ² and the likelihood's variance s², that variance is τ²·s² / (τ² + s²) (Tipping and Bishop
    1999). No prior is narrower than the likelihood: otherwise a component too weak to be worth a bit would punish
    the least noise in the weights that write it. ``trunk`` as in ``balance``.
    """
    variance = network.config.variance
    deviation = fill_transforms(network.config, network.analysis, network.synthesis, pictures)
    deviation = deviation.clamp_min(math.sqrt(variance))
    network.prior.table.copy_(deviation.log2()[None])
    last = network.spread[2]
    assert isinstance(last, Pointwise)
    assert last.bias is not None
    last.weight.zero_()
    last.bias.copy_(torch.log(variance / (deviation.square() + variance)))
    features = _features({"analysis": network.analysis.blocks, "synthesis": network.synthesis.up}, network, pictures)
    _balance_trunks(network, features, trunk)


@torch.no_grad()
def balance(network: CodecNetwork, pictures: Tensor, trunk: float, latents: float) -> None:
    """Give a network's channels more equal deviations, in place, without changing what it computes.

    PCA leaves the trunk's channels with deviations 200 times apart, so that blocks see little but the mean of
    each patch. Every channel is divided by its deviation to the power ``trunk`` or ``latents`` (0 leaves it,
    1 whitens), and all that reads it multiplies. ``pictures`` (N, 3, S, S) in [0, 1], S a multiple of 64.
    """
    n = network
    watched = {"analysis": n.analysis.blocks, "latents": n.analysis, "synthesis": n.synthesis.up}
    quality = torch.linspace(5, 95, len(pictures), device=pictures.device)
    features = _features(watched, lambda x: n(x, quality, noise=False), pictures)
    s = _balance_trunks(n, features, trunk)
    n.synthesis_offset.table.div_(s)
    y = _factors(features["latents"], latents)
    _writes(n.analysis.down[1], y)
    _rescale(n.analysis.latent_blocks, y)
    _reads(n.hyper_analysis.enter, y)
    n.gain.table.add_(y.log2())
    n.inverse_gain.table.sub_(y.log2())
    _writes(n.first_means, y)
    for context in n.contexts:
        _writes(context.out, y)
        assert context.near.bias is not None
        context.near.bias.div_(y)
        _reads(context.mix, y)
    _rescale(n.synthesis.latent_blocks, y)
    _reads(n.synthesis.up[0], y)


def _features(watched: dict[str, nn.Module], run: Callable[[Tensor], object], pictures: Tensor) -> dict[str, Tensor]:
    """What some modules answer while ``run`` works on the pictures."""
    features: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, inputs, output: features.__setitem__(name, output)

    hooks = [module.register_forward_hook(keep(name)) for name, module in watched.items()]
    run(pictures)
    for hook in hooks:
        hook.remove()
    return features


def _factors(features: Tensor, power: float) -> Tensor:
    """What to divide each channel by: its deviation, relative to the largest, to a power.

    None is made smaller: Muon moves all weights that write by the same amount, which then counts times the factor.
    Relative to the mean deviation it would count 25 times in the channels that hold a patch's mean.
    """
    deviation = features.float().std((0, 2, 3)).clamp_min(1e-4).log()
    return torch.exp(power * (deviation - deviation.max()))


def _writes(layer: nn.Module, factor: Tensor) -> None:
    """Divide what a layer writes, channel by channel."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    layer.weight.div_(factor[:, None, None, None])
    layer.bias.div_(factor)


def _reads(layer: nn.Module, factor: Tensor) -> None:
    """Multiply what a layer reads, channel by channel."""
    assert isinstance(layer, nn.Conv2d)
    layer.weight[:, : len(factor)].mul_(factor[None, :, None, None])


def _rescale(stack: nn.Sequential, factor: Tensor) -> None:
    """A stack of residual blocks whose input and output channels are divided by ``factor``."""
    for block in stack:
        assert isinstance(block, DepthConvBlock)
        _reads(block.enter, factor)
        _reads(block.widen, factor)
        _writes(block.leave, factor)
        _writes(block.narrow, factor)


def _balance_trunks(network: CodecNetwork | VaeNetwork, features: dict[str, Tensor], power: float) -> Tensor:
    """Balance the channels at 1/8 of both transforms; returns the synthesis' factors."""
    n = network
    a, s = _factors(features["analysis"], power), _factors(features["synthesis"], power)
    _writes(n.analysis.enter, a)
    _rescale(n.analysis.blocks, a)
    _reads(n.analysis.down[1], a.repeat_interleave(4))
    _writes(n.synthesis.up[0], s.repeat_interleave(4))
    _rescale(n.synthesis.blocks, s)
    _reads(n.synthesis.leave, s)
    return s
