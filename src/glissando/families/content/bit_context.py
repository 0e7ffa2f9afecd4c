"""The context model of a code's bits, as it is trained: exactly what the integer arithmetic computes.

Source: the 5×5×4 context cube of content-weighted compression (Li et al., CVPR 2018), here level by level instead of
bit by bit. A level's bits are coded in two passes over a checkerboard, all bits of a pass at once. Their context is all
earlier levels at the same position, the four levels before and the level map around it, and, in the second pass, the
first pass's bits of the same level.

As in the scale network of the gains family: inputs are plain integers, weights multiples of 2^−7, activations multiples
of 2^−5 and clipped to [0, 1023/32], sums rounded half up after each layer; the gradient passes through the rounding.
The result is the log2 of the odds of a bit in quarter octaves, within ±12. Each such value has a probability table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glissando.entropy.fixed_point import ACTIVATION_BITS, ACTIVATION_MAX, WEIGHT_BITS
from glissando.networks.layers import first_pass_mask, ste_floor, ste_round

__all__ = ["MAP_UNIT", "ODDS_LIMIT", "ODDS_STEPS", "BitContext", "bit_costs", "inward_clip"]

ODDS_STEPS = 4  # probability tables per octave of the odds
ODDS_LIMIT = 12  # octaves, either way
MAP_UNIT = 16  # weights of the map's values (up to 32) learn in units of 1/16; steps would move them too far otherwise
_EXACT = 2**24  # float32 holds every integer below
_HALO = 2  # of the 5×5 convolution


class _InwardClip(torch.autograd.Function):
    """Clip to ±limit. Outside, the gradient passes where it leads back inside: too certain bits can still learn."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, limit: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.limit = limit
        return x.clamp(-limit, limit)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,), (grad,) = ctx.saved_tensors, grads
        back = torch.where(x > ctx.limit, grad > 0, torch.where(x < -ctx.limit, grad < 0, True))
        return grad * back, None


def inward_clip(x: Tensor, limit: float) -> Tensor:
    """Clip to ±``limit``. Outside of it the gradient passes where it leads back inside."""
    out: Tensor = _InwardClip.apply(x, limit)  # type: ignore[no-untyped-call]
    return out


def bit_costs(odds: Tensor, bits: Tensor) -> Tensor:
    """−log2 P of bits t in [−1, 1] under log2 odds of +1; between −1 and +1 it is linear in t, for the gradient."""
    nats = odds * 0.6931471805599453
    out: Tensor = (F.softplus(nats) - nats * (0.5 * bits + 0.5)) / 0.6931471805599453
    return out


class BitContext(nn.Module):
    """Log2 odds of every bit of a code (B, bits, h, w), its channels in ``levels`` levels of bits / levels.

    ``hidden`` units a level; ``reach`` levels before its own are seen with their surroundings.
    """

    past_mask: Tensor

    def __init__(self, bits: int, levels: int, hidden: int = 32, reach: int = 4) -> None:
        super().__init__()
        self.bits, self.levels, self.hidden, self.reach = bits, levels, hidden, reach
        group = self.group = bits // levels
        units = levels * hidden
        self.past = nn.Parameter(torch.randn(units, bits) * 0.03)
        self.near = nn.Parameter(torch.randn(units, reach * group, 3, 3) * 0.03)
        self.map = nn.Parameter(torch.randn(units, 1, 3, 3) * 0.03)
        self.current = nn.Parameter(torch.randn(units, group, 5, 5) * 0.03)
        self.bias = nn.Parameter(torch.randn(units) * 0.5)
        self.out_first = nn.Parameter(torch.zeros(levels, group, hidden))
        self.out_first_bias = nn.Parameter(torch.zeros(levels, group))
        self.out_second = nn.Parameter(torch.zeros(levels, group, hidden))
        self.out_second_bias = nn.Parameter(torch.zeros(levels, group))
        level_of_unit = torch.arange(units) // hidden
        level_of_bit = torch.arange(bits) // group
        with torch.no_grad():  # there are no levels before the first
            for level in range(min(reach, levels)):
                self.near[level * hidden : (level + 1) * hidden, : (reach - level) * group] = 0
        self.register_buffer("past_mask", (level_of_bit < level_of_unit[:, None]).float(), persistent=False)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds at each position, as if every bit were kept."""
        outputs = self.out_first.numel() + self.out_second.numel()
        own = self.near.numel() + self.map.numel() + self.current.numel()
        return int(self.past_mask.sum()) + own + outputs // 2

    @property
    def _shipped(self) -> dict[str, tuple[nn.Parameter, float]]:
        """What each array of integers holds, and in which units: weights and the hidden units' biases in 1/128, the
        odds' biases in 1/4096.
        """
        one = 1 << WEIGHT_BITS
        return {
            "past.weight": (self.past, one),
            "near.weight": (self.near, one),
            "map.weight": (self.map, one / MAP_UNIT),
            "current.weight": (self.current, one),
            "bias": (self.bias, one),
            "out_first.weight": (self.out_first, one),
            "out_first.bias": (self.out_first_bias, one << ACTIVATION_BITS),
            "out_second.weight": (self.out_second, one),
            "out_second.bias": (self.out_second_bias, one << ACTIVATION_BITS),
        }

    def integers(self) -> dict[str, Tensor]:
        """All weights as integers, the outputs' with their levels one after the other."""
        found = {}
        for name, (value, unit) in self._shipped.items():
            shown = value.detach() * self.past_mask if value is self.past else value.detach()
            whole = torch.round(shown * unit).long()
            found[name] = whole.flatten(0, 1) if name.startswith("out_") else whole
        return found

    @torch.no_grad()
    def take_integers(self, integers: Mapping[str, Tensor]) -> None:
        """Become the model that ``integers`` describe. Raises KeyError or RuntimeError where they do not fit."""
        for name, (value, unit) in self._shipped.items():
            value.copy_(integers[name].float().view_as(value) / unit)

    @torch.no_grad()
    def keep_exact(self) -> None:
        """Scale down weights, in place, until every sum stays below 2^24, whatever the order of its terms.

        To be called after each step. The bound is Σ |weight|·max |input| + |bias| in units of the sums, after rounding.
        """
        one = 1 << WEIGHT_BITS
        past = (self.past.abs() * self.past_mask).sum(1)
        near = self.near.abs().sum((1, 2, 3))
        current = self.current.abs().sum((1, 2, 3))
        kept = self.map.abs().sum((1, 2, 3)) * (self.levels / MAP_UNIT)
        sums = one * (past + near + current + kept + self.bias.abs())
        count = self.bits + self.near[0].numel() + self.current[0].numel() + 9 * self.levels + 1
        factor = ((_EXACT - 0.5 * count - one) / sums.clamp_min(1.0)).clamp_max(1.0)
        for weight in (self.past, self.near, self.map, self.current, self.bias):
            weight.mul_(factor.view(-1, *(1,) * (weight.ndim - 1)))
        for weight, bias in ((self.out_first, self.out_first_bias), (self.out_second, self.out_second_bias)):
            sums = one * (ACTIVATION_MAX * weight.abs().sum(2) + (1 << ACTIVATION_BITS) * bias.abs())
            room = _EXACT - 0.5 * (ACTIVATION_MAX * self.hidden + 1) - one
            factor = (room / sums.clamp_min(1.0)).clamp_max(1.0)
            weight.mul_(factor[:, :, None])
            bias.mul_(factor)

    def first_pass(self, height: int, width: int) -> Tensor:
        """Which bits a level's first pass codes, (1, bits, height, width) of 1.0 and 0.0: the low half of each
        level's channels on the even squares of a checkerboard, the high half on the odd ones.
        """
        return first_pass_mask(self.group, height, width, self.past.device).float().repeat(1, self.levels, 1, 1)

    def forward(self, code: Tensor, kept: Tensor) -> Tensor:
        """``code`` (B, bits, h, w) of −1, 0 (not kept) and 1, ``kept`` (B, 1, h, w) levels → log2 odds of +1.

        No gradient goes back to either, because a bit's context is fixed when the bit is coded.
        """
        with torch.autocast(code.device.type, enabled=False):  # bfloat16 holds 8 bits, these sums need 24
            return self._forward(code.detach().float(), kept.detach().float())

    def _forward(self, code: Tensor, kept: Tensor) -> Tensor:
        batch, _, height, width = code.shape
        one = 1 << WEIGHT_BITS

        def whole(weight: Tensor, unit: int = one) -> Tensor:
            return ste_round(weight * unit) / unit

        def rows(planes: Tensor) -> Tensor:
            """(B, levels·k, h, w) → (levels, positions, k)"""
            out = planes.permute(0, 2, 3, 1).reshape(batch * height * width, self.levels, -1)
            return out.transpose(0, 1)

        def activate(sums: Tensor) -> Tensor:
            steps = 1 << ACTIVATION_BITS
            return (ste_floor(sums * steps + 0.5) / steps).clamp(0.0, ACTIVATION_MAX / steps)

        def out(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            steps = 1 << ACTIVATION_BITS
            x = torch.baddbmm(whole(bias, one * steps)[:, None], hidden, whole(weight).transpose(1, 2))
            return ste_floor(x * steps + 0.5) / steps

        group, levels = self.group, self.levels
        positions = code.permute(0, 2, 3, 1).reshape(-1, self.bits)
        past = F.linear(positions, whole(self.past) * self.past_mask, whole(self.bias))
        around = F.pad(code, (0, 0, 0, 0, self.reach * group, 0)).unfold(1, self.reach * group, group)[:, :levels]
        around = around.permute(0, 1, 4, 2, 3).reshape(batch, -1, height, width)
        near = F.conv2d(around, whole(self.near), padding=1, groups=levels)
        near = near + F.conv2d(kept, whole(self.map / MAP_UNIT), padding=1)
        current = F.conv2d(code * self.first_pass(height, width), whole(self.current), padding=_HALO, groups=levels)
        first = past.view(-1, levels, self.hidden).transpose(0, 1) + rows(near)
        second = first + rows(current)
        odds_first = out(activate(first), self.out_first, self.out_first_bias)
        odds_second = out(activate(second), self.out_second, self.out_second_bias)
        early = rows(self.first_pass(height, width).expand(batch, -1, -1, -1)).bool()
        odds = torch.where(early, odds_first, odds_second)
        odds = ste_floor(odds * ODDS_STEPS + 0.5) / ODDS_STEPS
        odds = odds.transpose(0, 1).reshape(batch, height, width, self.bits).permute(0, 3, 1, 2)
        return inward_clip(odds, float(ODDS_LIMIT))
