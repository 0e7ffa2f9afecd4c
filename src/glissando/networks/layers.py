"""Building blocks of every network: pointwise layers, the depth-conv block, level tables.

All feature maps are NCHW tensors; in memory they are channels-last, so that a 1×1 convolution is one
matrix product over the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "BlockSequence",
    "DepthConvBlock",
    "Downshuffle",
    "LevelTable",
    "Pointwise",
    "Upshuffle",
    "between_levels",
    "first_pass_mask",
    "gated_width",
    "hidden_width",
    "rectified",
    "ste_floor",
    "ste_round",
]

_GATE_SLOPE = 0.1


def ste_round(x: Tensor) -> Tensor:
    """Round to the nearest integer (ties to even), with the gradient of the identity."""
    return x + (x.round() - x).detach()


def ste_floor(x: Tensor) -> Tensor:
    """Round down, with the gradient of the identity."""
    return x + (x.floor() - x).detach()


def first_pass_mask(channels: int, height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Which elements the first of two passes codes: (1, channels, height, width) bool.

    The first half of the channels on the even squares of a checkerboard, the second half on the odd ones, as
    ``glissando.entropy.checkerboard`` has them.
    """
    rows = torch.arange(height, device=device)[:, None]
    columns = torch.arange(width, device=device)[None, :]
    even = ((rows + columns) % 2 == 0)[None]
    half = channels // 2
    return torch.cat([even.expand(half, -1, -1), ~even.expand(channels - half, -1, -1)])[None]


class Pointwise(nn.Conv2d):
    """A 1×1 convolution, computed as a matrix product where that is faster.

    On a CPU the convolution's backward pass is about a fifth slower than the same matrix product on the
    channels-last view; an exported graph keeps the convolution, which inference engines fuse better.

    ``exact`` keeps it in float32 under autocast: where a sum that has to be exact is written (pixels,
    latents), bfloat16's 8 bits would add noise that the trained model then expects.
    """

    def __init__(self, inputs: int, outputs: int, *, exact: bool = False) -> None:
        super().__init__(inputs, outputs, 1)
        self.exact = exact

    def forward(self, input: Tensor) -> Tensor:
        if self.exact and torch.is_autocast_enabled(input.device.type):
            with torch.autocast(input.device.type, enabled=False):
                return self._forward(input.float())
        return self._forward(input)

    def _forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu" or torch.compiler.is_exporting():
            return super().forward(input)
        out: Tensor = F.linear(input.permute(0, 2, 3, 1), self.weight[:, :, 0, 0], self.bias).permute(0, 3, 1, 2)
        return out


def gated_width(channels: int, ratio: int) -> int:
    """Channels that a gated feed-forward pair hands on, at about the multiply-adds of a plain one of ``ratio``.

    The gated pair takes 3·h·C of them, the plain one 2·ratio·C²; h is rounded to a multiple of 16, for the engines.
    """
    return max(16, 16 * round(2 * ratio * channels / (3 * 16)))


def hidden_width(channels: int, ratio: int, *, gated: bool) -> int:
    """Channels between a feed-forward pair of this ``ratio``."""
    return gated_width(channels, ratio) if gated else ratio * channels


def rectified(x: Tensor, leak: float) -> Tensor:
    """ReLU, or leaky ReLU of slope ``leak`` below zero if that is not 0."""
    return F.leaky_relu(x, leak) if leak else F.relu(x)


class DepthConvBlock(nn.Module):
    """Depth-conv block: a depthwise mixer, then a pointwise feed-forward pair, both residual.

    Source: EVC (arXiv 2302.05071), ``DepthConvBlock``; here with a feed-forward ratio of 2 instead of 4, and
    activations that engines fuse: ReLU, leaky with slope ``leak`` below zero if that is not 0. ``scale`` shrinks
    the initial weights of both residual branches' last layers, so that a stack of blocks starts as almost the
    identity. ``gated`` multiplies the halves of the widened features, one of them through a leaky ReLU, as DCVC-DC
    does (arXiv 2302.14402, ``ConvFFN2``).

    ``inner`` is the width behind the depthwise layer, ``channels`` if 0; ``hidden`` that between the feed-forward pair,
    which follows from ``ratio`` if 0.
    """

    def __init__(
        self,
        channels: int,
        ratio: int = 2,
        scale: float = 0.0,
        *,
        gated: bool = False,
        leak: float = 0.0,
        inner: int = 0,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        self.gated, self.leak = gated, leak
        inner = inner or channels
        hidden = hidden or hidden_width(channels, ratio, gated=gated)
        self.enter = Pointwise(channels, inner)
        self.depthwise = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.leave = Pointwise(inner, channels)
        self.widen = Pointwise(channels, 2 * hidden if gated else hidden)
        self.narrow = Pointwise(hidden, channels)
        for last in (self.leave, self.narrow):
            with torch.no_grad():
                last.weight.mul_(scale)
                assert last.bias is not None
                last.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.leave(self.depthwise(rectified(self.enter(x), self.leak)))
        wide = self.widen(x)
        if self.gated:
            value, gate = wide.chunk(2, 1)
            wide = value * F.leaky_relu(gate, _GATE_SLOPE)
        else:
            wide = rectified(wide, self.leak)
        out: Tensor = x + self.narrow(wide)
        return out


class BlockSequence(nn.Sequential):
    """So many blocks after each other, perhaps none; a training may change their number.

    ``widths``: two for each block, its ``inner`` and ``hidden``, or none where they follow from the others.
    """

    def __init__(
        self,
        number: int,
        channels: int,
        ratio: int,
        *,
        gated: bool = False,
        leak: float = 0.0,
        widths: Sequence[int] = (),
    ) -> None:
        each = zip(widths[::2], widths[1::2], strict=True) if widths else [(0, 0)] * number
        super().__init__(
            *(
                DepthConvBlock(channels, ratio, gated=gated, leak=leak, inner=inner, hidden=hidden)
                for inner, hidden in each
            )
        )


class Downshuffle(nn.Sequential):
    """Halve both sides: space to depth, then a pointwise layer. (B, inputs, H, W) → (B, outputs, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.PixelUnshuffle(2), Pointwise(4 * inputs, outputs))


class Upshuffle(nn.Sequential):
    """Double both sides: a pointwise layer, then depth to space. (B, inputs, H, W) → (B, outputs, 2H, 2W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(Pointwise(inputs, 4 * outputs), nn.PixelShuffle(2))


def between_levels(table: Tensor, position: Tensor) -> Tensor:
    """Rows (B, channels) of a table (levels, channels) at ``position`` (B,), on straight lines between its levels.

    Positions are in [0, levels − 1]; beyond them the first and the last line go on.
    """
    low = position.floor().clamp(0, table.shape[0] - 2)
    fraction = (position - low)[:, None]
    index = low.long()
    return table[index] * (1 - fraction) + table[index + 1] * fraction


class LevelTable(nn.Module):
    """One vector per rate level, interpolated between neighbouring levels.

    With entries in octaves (log2), linear interpolation is the exponential interpolation of gain units:
    m_v = m_r^l · m_t^(1−l) (AG-VAE, arXiv 2003.02012, section on continuous rate).
    """

    def __init__(self, levels: int, channels: int, fill: float = 0.0) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.full((levels, channels), fill))

    def forward(self, position: Tensor) -> Tensor:
        """``position`` (B,) in [0, levels − 1] → (B, channels, 1, 1)."""
        return between_levels(self.table, position)[:, :, None, None]
