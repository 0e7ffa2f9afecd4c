"""The main family: one trunk at 1/8 resolution, latents at 1/16, hyper-latents at 1/64.

Sources: trunk and blocks after EVC and its successors (arXiv 2302.05071, DCVC-RT); dual spatial prior of
EVC for the means; gain units of AG-VAE (arXiv 2003.02012) for the rate; scales from symbols in integers,
so that files decode everywhere (docs/format.md).

Quantities, per latent element: the coded symbol is r = round((y − μ)·m), the decoder's value
ŷ = μ + r·m′, with m the gain and m′ the free inverse gain of the quality's level, and the symbol's scale
σ = 2^(s + o) with s from the scale network and o of the level.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import DepthConvBlock, Downshuffle, LevelTable, Pointwise, Upshuffle, ste_round
from .likelihood import Likelihood
from .scales import ScaleNetwork

__all__ = ["CodecNetwork", "Forward", "NetworkConfig", "first_pass_mask"]


@dataclass(frozen=True)
class NetworkConfig:
    """What shapes a network. Every field is a key of a recipe's ``[network]`` table."""

    width: int = 192
    latents: int = 256
    hyper: int = 128
    levels: int = 11
    analysis_blocks: int = 2
    analysis_latent_blocks: int = 1
    synthesis_blocks: int = 2
    synthesis_latent_blocks: int = 1
    ratio: int = 2
    means_width: int = 192
    context_width: int = 288

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class TransformConfig(Protocol):
    """What shapes analysis and synthesis, whatever the family."""

    @property
    def width(self) -> int: ...
    @property
    def latents(self) -> int: ...
    @property
    def analysis_blocks(self) -> int: ...
    @property
    def analysis_latent_blocks(self) -> int: ...
    @property
    def synthesis_blocks(self) -> int: ...
    @property
    def synthesis_latent_blocks(self) -> int: ...
    @property
    def ratio(self) -> int: ...


@dataclass
class Forward:
    """What one training pass yields; bits are per picture, shape (B,)."""

    reconstruction: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor


def first_pass_mask(channels: int, height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Which elements the first pass codes: (1, channels, height, width) bool.

    The first half of the channels on the even squares of a checkerboard, the second half on the odd ones.
    """
    rows = torch.arange(height, device=device)[:, None]
    columns = torch.arange(width, device=device)[None, :]
    even = ((rows + columns) % 2 == 0)[None]
    half = channels // 2
    return torch.cat([even.expand(half, -1, -1), ~even.expand(channels - half, -1, -1)])[None]


class Analysis(nn.Module):
    """Picture (B, 3, H, W) in [0, 1], sides multiples of 16 → latents (B, latents, H/16, W/16)."""

    def __init__(self, c: TransformConfig) -> None:
        super().__init__()
        self.patch = nn.PixelUnshuffle(8)
        self.enter = Pointwise(192, c.width)
        self.blocks = nn.Sequential(*(DepthConvBlock(c.width, c.ratio) for _ in range(c.analysis_blocks)))
        self.down = Downshuffle(c.width, c.latents)
        self.latent_blocks = nn.Sequential(
            *(DepthConvBlock(c.latents, c.ratio) for _ in range(c.analysis_latent_blocks))
        )

    def forward(self, x: Tensor) -> Tensor:
        # Under autocast the blocks' products are bfloat16; the sum that they add to stays float32.
        x = self.blocks(self.enter(self.patch(x - 0.5)).float())
        out: Tensor = self.latent_blocks(self.down(x).float())
        return out


class Synthesis(nn.Module):
    """Latents (B, latents, h, w), and two level vectors (B, width, 1, 1) if any → picture (B, 3, 16h, 16w)."""

    def __init__(self, c: TransformConfig) -> None:
        super().__init__()
        self.latent_blocks = nn.Sequential(
            *(DepthConvBlock(c.latents, c.ratio) for _ in range(c.synthesis_latent_blocks))
        )
        self.up = Upshuffle(c.latents, c.width)
        self.blocks = nn.Sequential(*(DepthConvBlock(c.width, c.ratio) for _ in range(c.synthesis_blocks)))
        self.leave = Pointwise(c.width, 192, exact=True)
        self.patch = nn.PixelShuffle(8)

    def forward(self, y: Tensor, factor: Tensor | None = None, offset: Tensor | None = None) -> Tensor:
        x = self.up(self.latent_blocks(y)).float()
        if factor is not None and offset is not None:
            x = x * factor + offset
        out: Tensor = self.patch(self.leave(self.blocks(x))) + 0.5
        return out


class HyperAnalysis(nn.Module):
    """Latents (B, latents, h, w), sides multiples of 4 → hyper-latents (B, hyper, h/4, w/4)."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.enter = Pointwise(c.latents, c.latents)
        self.to_32 = Downshuffle(c.latents, c.hyper)
        self.block = DepthConvBlock(c.hyper, c.ratio)
        self.to_64 = Downshuffle(c.hyper, c.hyper)
        for module in self.modules():
            # The block's last layers stay zero: it starts as the identity.
            if isinstance(module, Pointwise) and module.weight.any():
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, y: Tensor) -> Tensor:
        out: Tensor = self.to_64(self.block(F.relu(self.to_32(F.relu(self.enter(y))))))
        return out


class HyperSynthesis(nn.Module):
    """Hyper-latents (B, hyper, h/4, w/4) → features for the means (B, means_width, h, w)."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.to_32 = Upshuffle(c.hyper, c.hyper)
        self.block = DepthConvBlock(c.hyper, c.ratio)
        self.to_16 = Upshuffle(c.hyper, c.means_width)

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.to_16(self.block(self.to_32(z)))
        return out


class SpatialContext(nn.Module):
    """Features and the first pass's values (zero elsewhere) → means of the second pass."""

    def __init__(self, c: NetworkConfig) -> None:
        super().__init__()
        self.near = nn.Conv2d(c.latents, c.latents, 5, padding=2, groups=c.latents)
        self.mix = Pointwise(c.latents + c.means_width, c.context_width)
        self.depthwise = nn.Conv2d(c.context_width, c.context_width, 3, padding=1, groups=c.context_width)
        self.out = Pointwise(c.context_width, c.latents, exact=True)

    def forward(self, features: Tensor, values: Tensor) -> Tensor:
        x = F.relu(self.mix(torch.cat([self.near(values), features], 1)))
        out: Tensor = self.out(F.relu(self.depthwise(x)))
        return out


class CodecNetwork(nn.Module):
    """All networks and tables of one model of the main family."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        c = self.config = config
        self.analysis = Analysis(c)
        self.synthesis = Synthesis(c)
        self.hyper_analysis = HyperAnalysis(c)
        self.hyper_synthesis = HyperSynthesis(c)
        self.first_means = Pointwise(c.means_width, c.latents, exact=True)
        self.context = SpatialContext(c)
        self.scales = ScaleNetwork(c.latents, c.hyper)
        self.likelihood = Likelihood()
        # Rate: tables over quality levels. Gains and scales in octaves, the rest plain vectors.
        self.gain = LevelTable(c.levels, c.latents)
        self.inverse_gain = LevelTable(c.levels, c.latents)
        self.scale_offset = LevelTable(c.levels, c.latents)
        self.hyper_gain = LevelTable(c.levels, c.hyper)
        self.hyper_scale = LevelTable(c.levels, c.hyper)
        self.means_offset = LevelTable(c.levels, c.means_width)
        self.synthesis_factor = LevelTable(c.levels, c.width, 1.0)
        self.synthesis_offset = LevelTable(c.levels, c.width)
        with torch.no_grad():
            for last in (self.first_means, self.context.out):
                last.weight.zero_()
                assert last.bias is not None
                last.bias.zero_()

    def means(self, z: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Features for the context, and the means of the first pass."""
        features = self.hyper_synthesis(z) + self.means_offset(position)
        return features, self.first_means(features)

    def forward(self, picture: Tensor, quality: Tensor, *, noise: bool = True) -> Forward:
        """Code ``picture`` (B, 3, H, W), sides multiples of 64, at ``quality`` (B,) in [0, 100].

        With ``noise`` the rate is that of additive uniform noise (training), else of the rounded symbols.
        The values handed on are rounded either way, with a straight-through gradient.
        """
        position = quality * ((self.config.levels - 1) / 100)

        def bits(residual: Tensor, symbols: Tensor, scale: Tensor, late: Tensor | None = None) -> Tensor:
            coded = residual + torch.rand_like(residual) - 0.5 if noise else symbols
            return self.likelihood.bits(coded.float(), scale.float(), late).sum((1, 2, 3))

        # Under autocast the networks answer in bfloat16; symbols and what they become are computed in float32.
        y = self.analysis(picture).float()
        hyper_gain = self.hyper_gain(position)
        z_residual = self.hyper_analysis(y).float() * torch.exp2(hyper_gain)
        z_symbols = ste_round(z_residual)
        hyper_bits = bits(z_residual, z_symbols, self.hyper_scale(position))
        z = z_symbols * torch.exp2(-hyper_gain)

        gain = torch.exp2(self.gain(position))
        inverse = torch.exp2(self.inverse_gain(position))
        features, first_means = self.means(z, position)
        mask = first_pass_mask(y.shape[1], y.shape[2], y.shape[3], y.device)

        first_scale = self.scales.first(z) + self.scale_offset(position)
        first_means = first_means.float()
        first_residual = (y - first_means) * gain
        first_symbols = ste_round(first_residual)
        first_values = (first_means + first_symbols * inverse) * mask

        # What the second pass reads of the first is fixed by then: no gradient goes back through it.
        magnitudes = (first_symbols.abs() * mask).detach()
        second_scale = first_scale + self.scales.second(magnitudes, first_scale.detach())
        second_means = self.context(features, first_values).float()
        second_residual = (y - second_means) * gain
        second_symbols = ste_round(second_residual)

        values = torch.where(mask, first_values, second_means + second_symbols * inverse)
        latent_bits = bits(
            torch.where(mask, first_residual, second_residual),
            torch.where(mask, first_symbols, second_symbols),
            torch.where(mask, first_scale, second_scale),
            ~mask,
        )
        picture_out = self.synthesis(values, self.synthesis_factor(position), self.synthesis_offset(position))
        return Forward(picture_out, latent_bits, hyper_bits)
