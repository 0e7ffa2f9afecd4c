"""The content-weighted family: a code of bits, and a map that says how many of them each position keeps.

Source: Li, Zuo, Gu, Zhao, Zhang, "Learning Convolutional Networks for Content-Weighted Image Compression" (CVPR 2018;
journal version TPAMI 2021): encoder, binariser, importance network, decoder. Here with this project's transforms at
1/16, bits that are decided level by level, each seeing what the earlier ones have said, a quality that scales the map
before it is quantised, and a context model that is trained along.

At each position of the grid: n bits t in {−1, +1} in L levels of n/L; the first k = min(L, ⌊L·p·s(q)⌋) levels are
kept. The level map p in (0, 1) comes from a network that the source calls the importance network, and s(q) depends on
the quality. A bit that is not kept is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glissando.networks.config import NetworkConfig
from glissando.networks.layers import LevelTable, Pointwise
from glissando.networks.transforms import Analysis, Synthesis

from .bit_context import BitContext, bit_costs, inward_clip
from .source_shape import FEATURES, PITCH, SourceAnalysis, SourceCode, SourceSynthesis

__all__ = [
    "FLAT",
    "BitCode",
    "ContentConfig",
    "ContentForward",
    "ContentNetwork",
    "correct_slope",
    "map_costs",
    "mask_levels",
]

FLAT = 0.5  # p everywhere as long as no level map is learnt


@dataclass(frozen=True)
class ContentConfig(NetworkConfig):
    """What shapes a network. Every field is a key of a recipe's ``[network]`` table."""

    shape: str = "fast"  # the project's blocks at 1/16, or "source": the source's layers at 1/8
    width: int = 192
    latents: int = 256  # of the fast shape; the source has 256 features before its bits
    bits: int = 768  # n, at each position
    importance_levels: int = 32  # L
    levels: int = 8  # of quality
    hidden: int = 32  # the context model's units for each level of the map
    analysis_blocks: int = 2
    analysis_latent_blocks: int = 1
    synthesis_blocks: int = 2
    synthesis_latent_blocks: int = 1
    ratio: int = 2


class _Refine(torch.autograd.Function):
    """Bits decided one level after the other: logit_l = given_l − feedback_l · t of all earlier levels.

    One function, not a graph of levels: its backward pass is the same recursion, from the last level to the first.
    """

    @staticmethod
    def forward(ctx: Any, given: Tensor, feedback: Tensor, levels: int) -> Tensor:
        """``given`` (positions, n), ``feedback`` (n, n) → t in {−1, +1}, (positions, n)."""
        group = given.shape[1] // levels
        logits, code = given.clone(), torch.empty_like(given)
        for start in range(0, given.shape[1], group):
            stop = start + group
            logits[:, start:stop] -= code[:, :start] @ feedback[start:stop, :start].T
            code[:, start:stop] = 2 * (logits[:, start:stop] + 0.5 > 0.5).to(given.dtype) - 1
        ctx.save_for_backward(logits, code, feedback)
        ctx.group = group
        return code

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        logits, code, feedback = ctx.saved_tensors
        group = ctx.group
        slope = 2 * ((logits >= -0.5) & (logits <= 0.5)).to(logits.dtype)
        bits = grads[0].clone()  # the gradient of each bit, including its effect on later levels
        given = torch.empty_like(bits)
        for start in range(bits.shape[1] - group, -1, -group):
            stop = start + group
            given[:, start:stop] = bits[:, start:stop] * slope[:, start:stop]
            bits[:, :start] -= given[:, start:stop] @ feedback[start:stop, :start]
        level = torch.arange(bits.shape[1], device=bits.device) // group
        return given, -(given.T @ code) * (level < level[:, None]), None


class _Mask(torch.autograd.Function):
    """Kept levels of a fraction, with the source's LOCAL gradient."""

    @staticmethod
    def forward(ctx: Any, fraction: Tensor, dither: Tensor, levels: int) -> Tensor:
        number = torch.arange(1, levels + 1, device=fraction.device, dtype=fraction.dtype)[None, :, None, None]
        ctx.save_for_backward(fraction, number)
        return (number <= torch.floor(levels * fraction + dither)).to(fraction.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        fraction, number = ctx.saved_tensors
        levels = number.numel()
        near = (levels * fraction - 1 <= number) & (number < levels * fraction + 1)
        return levels * (grads[0] * near).sum(1, keepdim=True), None, None


def mask_levels(fraction: Tensor, levels: int, dither: Tensor | None = None) -> Tensor:
    """Fraction (B, 1, h, w) → mask (B, levels, h, w), 1 for the first ⌊levels·fraction + dither⌋ levels.

    The gradient is the source's LOCAL one: ∂m_j/∂fraction = levels where levels·fraction − 1 ≤ j < levels·fraction + 1,
    with j from 1, else 0. So it comes from the last level that is kept and the first that is not, times ``levels``.

    ``dither``, levels in [−1/2, 1/2), broadcastable, is for training. A level that is worth its price pulls the
    fraction up while it is dropped, but says little once it is kept, and the next one, not worth it, pushes down:
    without dither the fraction ends on the edge between them, half of the time below. With it the edges blur, and the
    fraction ends inside the level.
    """
    out: Tensor = _Mask.apply(  # type: ignore[no-untyped-call]
        fraction, torch.zeros(()) if dither is None else dither, levels
    )
    return out


class BitCode(nn.Module):
    """Latents to bits and back: a layer into logits, the feedback between levels, a layer back into latents."""

    def __init__(self, latents: int, bits: int, levels: int) -> None:
        super().__init__()
        self.levels = levels
        self.enter = Pointwise(latents, bits, exact=True)
        self.feedback = nn.Parameter(torch.zeros(bits, bits))
        self.leave = Pointwise(bits, latents, exact=True)

    def encode(self, y: Tensor) -> Tensor:
        """Latents (B, latents, h, w) → bits of −1 and +1, (B, bits, h, w)."""
        with torch.autocast(y.device.type, enabled=False):
            given = self.enter(y.float())
            batch, bits, height, width = given.shape
            flat = given.permute(0, 2, 3, 1).reshape(-1, bits)
            code: Tensor = _Refine.apply(flat, self.feedback, self.levels)  # type: ignore[no-untyped-call]
        return code.view(batch, height, width, bits).permute(0, 3, 1, 2)

    def decode(self, code: Tensor) -> Tensor:
        out: Tensor = self.leave(code)
        return out

    @torch.no_grad()
    def energies(self, code: Tensor) -> Tensor:
        """Squared norm of what each level adds to the latents: (B, bits, h, w) → (B, levels, h, w)."""
        batch, _, height, width = code.shape
        weight = self.leave.weight[:, :, 0, 0].view(self.leave.out_channels, self.levels, -1).transpose(0, 1)
        bits = code.permute(0, 2, 3, 1).reshape(batch * height * width, self.levels, -1).transpose(0, 1)
        energy = ((bits @ (weight.transpose(1, 2) @ weight)) * bits).sum(2)
        return energy.T.reshape(batch, height, width, self.levels).permute(0, 3, 1, 2)


class Importance(nn.Module):
    """Features (B, inputs, h, w) → logits of the level map p, (B, 1, h, w); at first p = 1/2 everywhere."""

    def __init__(self, inputs: int, width: int = 128) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inputs, width, 3, padding=1)
        self.out = nn.Conv2d(width, 1, 1)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(F.relu(self.mix(x)))
        return out.float()


@dataclass
class ContentForward:
    """What one pass yields; bits are per picture, shape (B,)."""

    reconstruction: Tensor
    bits: Tensor  # cross-entropy of the kept bits
    map_bits: Tensor  # an estimate of what the map costs
    kept: Tensor  # (B, 1, h, w): min(1, p·s(q)); times L and rounded down it is the map that files carry
    # (B,), always zero; only its gradient matters, see ``correct_slope``. It is added to the loss, times what a squared
    # error of one sample costs. It makes the slope that the mask sees, at a kept and at a dropped level alike, the real
    # difference between keeping and dropping. Without it the slope at a kept level is about zero, however much that
    # level is worth, and the map would drift below it.
    slope_correction: Tensor


class ContentNetwork(nn.Module):
    """All networks and tables of one model of the content-weighted family."""

    analysis: nn.Module
    code: BitCode | SourceCode
    synthesis: nn.Module

    def __init__(self, config: ContentConfig) -> None:
        super().__init__()
        c = self.config = config
        source = c.shape == "source"
        self.pitch = PITCH if source else 16  # pixels between two positions of the grid
        self.analysis = SourceAnalysis() if source else Analysis(c)
        self.code = SourceCode(c.bits) if source else BitCode(c.latents, c.bits, c.importance_levels)
        self.importance = Importance(FEATURES if source else c.latents)
        self.map_scale = LevelTable(c.levels, 1)  # log2 s
        self.synthesis = SourceSynthesis(c.bits) if source else Synthesis(c)
        self.bits = BitContext(c.bits, c.importance_levels, c.hidden)
        with torch.no_grad():
            self.map_scale.table.copy_(torch.linspace(-2.0, 0.5, c.levels)[:, None])

    @torch.no_grad()
    def constrain(self) -> None:
        """In place: sums of the context model stay exact, and a higher quality never keeps less."""
        self.bits.keep_exact()
        self.map_scale.table.copy_(self.map_scale.table.cummax(0).values)

    def importance_of(self, y: Tensor) -> Tensor:
        """Features → p in (0, 1), (B, 1, h, w)."""
        out: Tensor = torch.sigmoid(self.importance(y))
        return out

    def forward(
        self,
        picture: Tensor,
        quality: Tensor,
        *,
        flat: bool = False,
        dither: Tensor | None = None,
        map_is_fixed: bool = False,
        budgeted: bool = False,
    ) -> ContentForward:
        """Code ``picture`` (B, 3, H, W), sides multiples of 64, at ``quality`` (B,) in [0, 100].

        ``flat``: without a level map, p = FLAT everywhere. ``dither`` (B, 1, 1, 1): see ``mask_levels``.
        ``map_is_fixed``: no gradient reaches the map. ``budgeted``: only the context model learns from the
        cost of the bits, as in the source, where the loss counts the kept bits instead.
        """
        c = self.config
        y = self.analysis(picture).float()
        code = self.code.encode(y)
        scale = torch.exp2(self.map_scale(quality * ((c.levels - 1) / 100)))
        level_map = torch.full_like(y[:, :1], FLAT) if flat else self.importance_of(y)
        fraction = inward_clip(level_map * scale, 1.0)
        if map_is_fixed:
            fraction = fraction.detach()
        mask = mask_levels(fraction, c.importance_levels, dither)
        kept = mask.sum(1, keepdim=True)
        slope_correction = correct_slope(self.code, code, mask)
        mask = mask.repeat_interleave(c.bits // c.importance_levels, 1)
        masked = code * mask
        target, coded = (code.detach(), mask.detach()) if budgeted else (code, mask)
        bits = (bit_costs(self.bits(masked, kept), target) * coded).sum((1, 2, 3))
        out = self.synthesis(self.code.decode(masked))
        return ContentForward(out.float(), bits, map_costs(fraction * c.importance_levels), fraction, slope_correction)


def correct_slope(layers: BitCode | SourceCode, code: Tensor, mask: Tensor) -> Tensor:
    """``ContentForward.slope_correction`` of bits (B, bits, h, w) under a mask (B, levels, h, w).

    With E what a level adds to the picture, squared and summed, the error is a parabola in its mask m with the second
    derivative 2·E; between m and 1/2 its slope changes by E·(1 − 2·m), the derivative of E·m·(1 − m), which is zero at
    both ends. Energies are those of the latents: principal components keep them, trained layers nearly. The source's
    shape has no such measure, and goes without.
    """
    if not isinstance(layers, BitCode):
        return mask.new_zeros(len(mask))
    return (layers.energies(code) * mask * (1 - mask)).sum((1, 2, 3))


def map_costs(levels: Tensor) -> Tensor:
    """An estimate, which has a gradient, of the bits that a map costs, (B,), from its unrounded values (B, 1, h, w):
    half the sum of log2(1 + difference) over all differences to the right and below. Where the map is rough, the coder
    takes a little more.
    """
    right = (levels[:, :, :, 1:] - levels[:, :, :, :-1]).abs()
    below = (levels[:, :, 1:] - levels[:, :, :-1]).abs()
    return 0.5 * (torch.log2(1 + right).sum((1, 2, 3)) + torch.log2(1 + below).sum((1, 2, 3)))
