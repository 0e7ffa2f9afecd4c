"""The start from the best linear codec, for all families that are built of the transforms of ``networks``.

The analysis becomes two orthonormal PCA steps (8×8×3 patches, then 2×2 groups of them), or the fixed bases of older
codecs in their place (``dct_bases``), the synthesis their transpose, all residual branches near zero. Then channels are
given more equal deviations without changing what is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glissando.networks.layers import DepthConvBlock, Pointwise
from glissando.networks.transforms import Analysis, Synthesis, TransformConfig

__all__ = [
    "balance_trunks",
    "channel_factors",
    "dct_bases",
    "divide_outputs",
    "fill_transforms",
    "multiply_inputs",
    "rescale_blocks",
    "watch_features",
]


SPARE = 0.1
"""The size of latents that no component is left for: they begin as small mixtures, since zero would not learn."""


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
    """As ``_components``, but out of the directions in ``basis`` (K, D): those along which ``vectors`` vary most."""
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
    widths = analysis.enter.out_channels, synthesis.leave.in_channels
    patches = F.pixel_unshuffle(pictures - 0.5, 8)
    if bases is None:
        first, _ = _components(patches.permute(0, 2, 3, 1).reshape(-1, 192), min(192, *widths))
    else:
        first = bases[0]
    trunk = torch.einsum("oc,nchw->nohw", first, patches)
    groups = F.pixel_unshuffle(trunk, 2)
    vectors = groups.permute(0, 2, 3, 1).reshape(-1, groups.shape[1])
    second, deviation = _components(vectors, c.latents) if bases is None else _largest(vectors, bases[1], c.latents)
    if missing := c.latents - len(second):  # narrow trunks have fewer components than there are latents
        spare = F.normalize(torch.randn(missing, second.shape[1]), dim=1)
        second = torch.cat([second, SPARE * spare])
        deviation = torch.cat([deviation, SPARE * deviation[-1:].expand(missing)])
    second, deviation = order(second), order(deviation)

    # Columns of four unshuffled places of each trunk channel, the first of both transforms' channels.
    _fill(analysis.enter, first)
    _fill(analysis.down[1], second)
    _fill(synthesis.up[0], second.T)
    _fill(synthesis.leave, first.T)
    return deviation


def watch_features(
    watched: Mapping[str, nn.Module], run: Callable[[Tensor], object], pictures: Tensor
) -> dict[str, Tensor]:
    """The outputs of some modules while ``run`` works on the pictures."""
    features: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, inputs, output: features.__setitem__(name, output)

    hooks = [module.register_forward_hook(keep(name)) for name, module in watched.items()]
    run(pictures)
    for hook in hooks:
        hook.remove()
    return features


def channel_factors(features: Tensor, power: float) -> Tensor:
    """What to divide each channel by: its deviation, relative to the largest, to a power.

    No factor is above 1, so that no channel is made smaller. Muon moves all weights that write into channels by the
    same amount, and what reads a channel multiplies that by its factor: with deviations relative to their mean, a step
    would count 25 times as much in the channels that hold a patch's mean.
    """
    deviation = features.float().std((0, 2, 3)).clamp_min(1e-4).log()
    return torch.exp(power * (deviation - deviation.max()))


def divide_outputs(layer: nn.Module, factor: Tensor) -> None:
    """Divide a layer's output channels by ``factor``, in place."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    layer.weight.div_(factor[:, None, None, None])
    layer.bias.div_(factor)


def multiply_inputs(layer: nn.Module, factor: Tensor) -> None:
    """Multiply a layer's input channels by ``factor``, in place."""
    assert isinstance(layer, nn.Conv2d)
    layer.weight[:, : len(factor)].mul_(factor[None, :, None, None])


def rescale_blocks(stack: nn.Sequential, factor: Tensor) -> None:
    """Adapt a stack of residual blocks, in place, to channels that are divided by ``factor``."""
    for block in stack:
        assert isinstance(block, DepthConvBlock)
        multiply_inputs(block.enter, factor)
        multiply_inputs(block.widen, factor)
        divide_outputs(block.leave, factor)
        divide_outputs(block.narrow, factor)


def balance_trunks(analysis: Analysis, synthesis: Synthesis, features: dict[str, Tensor], power: float) -> Tensor:
    """Balance the channels at 1/8 of both transforms; returns the synthesis' factors.

    ``features``: outputs of ``analysis.blocks`` as "analysis", and of ``synthesis.up`` as "synthesis"; ``power`` as in
    ``channel_factors``.
    """
    a, s = channel_factors(features["analysis"], power), channel_factors(features["synthesis"], power)
    divide_outputs(analysis.enter, a)
    rescale_blocks(analysis.blocks, a)
    multiply_inputs(analysis.down[1], a.repeat_interleave(4))
    divide_outputs(synthesis.up[0], s.repeat_interleave(4))
    rescale_blocks(synthesis.blocks, s)
    multiply_inputs(synthesis.leave, s)
    return s
