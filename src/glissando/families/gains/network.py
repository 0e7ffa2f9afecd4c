"""The gains family, one model for all rates: one trunk at 1/8 resolution, latents at 1/16, hyper-latents at 1/64.

Sources: trunk and blocks after EVC and its successors (arXiv 2302.05071, DCVC-RT); dual spatial prior of
EVC for the means; gain units of AG-VAE (arXiv 2003.02012) for the rate; scales from symbols in integers,
so that files decode everywhere (docs/format.md).

Quantities, per latent element: the coded symbol is r = round((y − μ)·m), the decoder's value
ŷ = μ + r·m′, with m the gain and m′ the free inverse gain of the quality's level, and the symbol's scale
σ = 2^(s + o) with s from the scale network and o of the level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glissando.networks.layers import (
    DepthConvBlock,
    Downshuffle,
    LevelTable,
    Pointwise,
    Upshuffle,
    first_pass_mask,
    rectified,
)
from glissando.networks.likelihood import Likelihood
from glissando.networks.quantisation import MIXED, STRAIGHT_THROUGH, Rounding
from glissando.networks.transforms import Analysis, Synthesis

from .config import GainsConfig
from .scale_network import ScaleNetwork

__all__ = ["LEVEL_TABLES", "Forward", "GainsNetwork", "scale_network", "step_masks"]


@dataclass
class Forward:
    """What one training pass yields; bits are per picture, shape (B,)."""

    reconstruction: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor


@dataclass
class Coded:
    """Latents as a decoder has them, (B, latents, h, w); bits per picture, shape (B,)."""

    values: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor


def step_masks(steps: int, channels: int, height: int, width: int, device: torch.device | None = None) -> list[Tensor]:
    """Which elements each step codes: ``steps`` masks (1, channels, height, width) bool that partition the latents.

    1: all at once. 2: ``first_pass_mask`` and the rest. 4: the quadtree partition of DCVC-DC (arXiv 2302.14402, section
    3.3): of each 2×2 cell every step codes one place in each quarter of the channels, all four places in all; the
    second step takes the place diagonal to the first one's.
    """
    if steps == 1:
        return [torch.ones(1, channels, height, width, dtype=torch.bool, device=device)]
    if steps == 2:
        first = first_pass_mask(channels, height, width, device)
        return [first, ~first]
    rows = torch.arange(height, device=device)[:, None]
    columns = torch.arange(width, device=device)[None, :]
    place = (2 * (rows % 2) + columns % 2)[None]
    quarter = (torch.arange(channels, device=device) * 4 // channels)[:, None, None]
    return [(place == (quarter ^ turn))[None] for turn in (0, 3, 2, 1)]


def _chosen(parts: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
    """Each element out of the part of the step that codes it."""
    out = parts[-1]
    for part, mask in zip(parts[-2::-1], masks[-2::-1], strict=True):
        out = torch.where(mask, part, out)
    return out


class HyperAnalysis(nn.Module):
    """Latents (B, latents, h, w), sides multiples of 4 → hyper-latents (B, hyper, h/4, w/4)."""

    def __init__(self, c: GainsConfig) -> None:
        super().__init__()
        self.leak = c.leak
        first, width, inner, hidden = c.hyper_analysis_widths
        self.enter = Pointwise(c.latents, first)
        self.to_32 = Downshuffle(first, width)
        self.block = DepthConvBlock(width, gated=c.gated, leak=c.leak, inner=inner, hidden=hidden)
        self.to_64 = Downshuffle(width, c.hyper)
        for module in self.modules():
            # The block's last layers stay zero: it starts as the identity.
            if isinstance(module, Pointwise) and module.weight.any():
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, y: Tensor) -> Tensor:
        x = rectified(self.to_32(rectified(self.enter(y), self.leak)), self.leak)
        out: Tensor = self.to_64(self.block(x))
        return out


class HyperSynthesis(nn.Module):
    """Hyper-latents (B, hyper, h/4, w/4) → features for the means (B, means_width, h, w)."""

    def __init__(self, c: GainsConfig) -> None:
        super().__init__()
        width, inner, hidden = c.hyper_synthesis_widths
        self.to_32 = Upshuffle(c.hyper, width)
        self.block = DepthConvBlock(width, gated=c.gated, leak=c.leak, inner=inner, hidden=hidden)
        self.to_16 = Upshuffle(width, c.means_width)

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.to_16(self.block(self.to_32(z)))
        return out


class SpatialContext(nn.Module):
    """Features and the values of all earlier steps (zero elsewhere) → means of the next one."""

    def __init__(self, c: GainsConfig) -> None:
        super().__init__()
        self.leak = c.leak
        self.near = nn.Conv2d(c.latents, c.latents, 5, padding=2, groups=c.latents)
        self.mix = Pointwise(c.latents + c.means_width, c.context_width)
        self.depthwise = nn.Conv2d(c.context_width, c.context_width, 3, padding=1, groups=c.context_width)
        self.out = Pointwise(c.context_width, c.latents, exact=True)

    def forward(self, features: Tensor, values: Tensor) -> Tensor:
        x = rectified(self.mix(torch.cat([self.near(values), features], 1)), self.leak)
        out: Tensor = self.out(rectified(self.depthwise(x), self.leak))
        return out


def scale_network(c: GainsConfig) -> ScaleNetwork:
    """The scale network of a model of this shape."""
    return ScaleNetwork(
        c.latents,
        c.hyper,
        c.scale_first_widths,
        c.scale_width,
        kernel=c.scale_kernel,
        layers=c.scale_layers,
        sees=c.scale_sees,
        steps=c.context_steps,
    )


LEVEL_TABLES = ("gain", "inverse_gain", "scale_offset", "hyper_gain", "hyper_scale")
"""Tables in octaves, which a model ships as integers in steps of 2^-GAIN_BITS."""


class GainsNetwork(nn.Module):
    """All networks and tables of one model of the gains family."""

    def __init__(self, config: GainsConfig) -> None:
        super().__init__()
        c = self.config = config
        self.analysis = Analysis(
            c,
            ratio=c.analysis_ratio,
            gated=c.gated,
            leak=c.leak,
            width=c.analysis_width,
            widths=c.analysis_widths,
            stages=c.analysis_stages,
        )
        self.synthesis = Synthesis(c, gated=c.gated, leak=c.leak, widths=c.synthesis_widths)
        self.hyper_analysis = HyperAnalysis(c)
        self.hyper_synthesis = HyperSynthesis(c)
        self.first_means = Pointwise(c.means_width, c.latents, exact=True)
        two = c.context_steps == 2
        self.context = SpatialContext(c) if two else nn.ModuleList(SpatialContext(c) for _ in range(1, c.context_steps))
        self.scales = scale_network(c)
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
            for last in (self.first_means, *(context.out for context in self.contexts)):
                last.weight.zero_()
                assert last.bias is not None
                last.bias.zero_()

    @property
    def contexts(self) -> list[SpatialContext]:
        """What gives the means of each step after the first."""
        return [module for module in self.context.modules() if isinstance(module, SpatialContext)]

    def means(self, z: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Features for the context, and the means of the first pass."""
        features = self.hyper_synthesis(z) + self.means_offset(position)
        return features, self.first_means(features)

    def forward(self, picture: Tensor, quality: Tensor, *, noise: bool = True, rounding: Rounding = MIXED) -> Forward:
        """Code ``picture`` (B, 3, H, W), sides multiples of 64, at ``quality`` (B,) in [0, 100].

        ``rounding``: what training uses instead of rounding. Without ``noise`` symbols are rounded, as in a file.
        """
        if not noise:
            rounding = STRAIGHT_THROUGH
        position = self.position(quality)
        # Under autocast the networks return bfloat16; symbols and everything made of them are computed in float32.
        y = rounding.encoder(self.analysis(picture).float())
        coded = self.code(y, position, rounding)
        picture_out = self.synthesis(coded.values, self.synthesis_factor(position), self.synthesis_offset(position))
        return Forward(picture_out, coded.latent_bits, coded.hyper_bits)

    def position(self, quality: Tensor) -> Tensor:
        """Qualities in [0, 100] as positions among the levels of the tables, 0 to levels − 1."""
        return quality * ((self.config.levels - 1) / 100)

    def code(self, y: Tensor, position: Tensor, rounding: Rounding) -> Coded:
        """All between analysis and synthesis: latents (B, latents, h, w), float32, at ``position`` (B,)."""

        def bits(coded: Tensor, scale: Tensor, late: Tensor | None = None) -> Tensor:
            return self.likelihood.bits(coded.float(), scale.float(), late).sum((1, 2, 3))

        hyper_gain = self.hyper_gain(position)
        z_residual = rounding.encoder(self.hyper_analysis(y).float()) * torch.exp2(hyper_gain)
        z_noise = rounding.draw(z_residual)
        hyper_bits = bits(rounding.coded(z_residual, z_noise), self.hyper_scale(position))
        z = rounding.values(z_residual, z_noise) * torch.exp2(-hyper_gain)

        gain = torch.exp2(self.gain(position))
        inverse = torch.exp2(self.inverse_gain(position))
        features, first_means = self.means(z, position)
        masks = step_masks(self.config.context_steps, y.shape[1], y.shape[2], y.shape[3], y.device)

        first_scale = self.scales.first(z) + self.scale_offset(position)
        means, scale = first_means.float(), first_scale
        y_noise = rounding.draw(y.new_empty(y.shape))  # not y, whose layout in memory draws would follow
        residuals, scales, values = [], [], []
        known_values, known_symbols = torch.zeros_like(y), torch.zeros_like(y)
        for step, mask in enumerate(masks):
            if step:
                scale = first_scale + self.scales.second(known_symbols, first_scale.detach(), step)
                means = self.contexts[step - 1](features, known_values).float()
            residual = (y - means) * gain
            residuals.append(residual)
            scales.append(scale)
            values.append(means + rounding.values(residual, y_noise) * inverse)
            known_values = known_values + values[-1] * mask
            # Scales depend on rounded symbols alone: no gradient goes back through them.
            known_symbols = known_symbols + residual.detach().round() * mask

        late = ~masks[0] if len(masks) > 1 else None
        latent_bits = bits(rounding.coded(_chosen(residuals, masks), y_noise), _chosen(scales, masks), late)
        return Coded(_chosen(values, masks), latent_bits, hyper_bits)
