"""A content-weighted codec's start: PCA, whose components are written in ternary digits, two bits each.

A digit of step D says whether what is left of a component, r, is below −D/2, above D/2 or between. It is two bits with
the thresholds −D/2 and D/2, and its value is D·(t1 + t2)/2. The component's next digit has the step D/3 and sees what
is left then, for which the feedback exists. With logits in units of D, the clipped identity has the slope one from −D
to D, as a straight-through quantiser has. The digits are coded with the largest step first, so that cutting the code
after any level leaves a coarser quantiser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from glissando.networks.transforms import Analysis, Synthesis
from glissando.training.linear_start import fill_transforms

from .bit_context import bit_costs
from .network import FLAT, BitCode, ContentNetwork

__all__ = ["Digits", "deal_digits", "initialise"]

# A component still gets a digit if its deviation is this share of a step. The digit is nearly always zero and costs
# little, but without it textures lose much (2 dB on Kodak's hardest pictures, with the whole code).
WEAKEST = 0.3
MEASURED = 48  # pictures that everything but the components is measured on
SURE = 8.0  # octaves that the odds of a bit may differ from even at first


@dataclass(frozen=True)
class Digits:
    """Which digit each pair of bits is: component and step, in the order they are coded; −1 and 1.0 for none."""

    component: list[int]
    step: list[float]


def _steps(deviation: float, finest: float) -> int:
    """How many digits a component has, down to the step ``finest``: the first reaches three deviations."""
    if deviation < WEAKEST * finest:
        return 0
    return max(1, 1 + math.ceil(math.log(2 * deviation / finest, 3)))


def deal_digits(deviation: list[float], pairs: int, levels: int) -> Digits:
    """Digits for components of these deviations (largest first), ``pairs`` in all, pairs / levels for each level.

    The finest step is as small as the number of pairs allows. A level takes the next digits whose component's
    previous digit lies in an earlier level.
    """
    low, high = 1e-6 * max(deviation), 4 * max(deviation)
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if sum(_steps(d, middle) for d in deviation) > pairs else (low, middle)
    finest = high
    most = max(_steps(d, finest) for d in deviation)
    waiting = [
        (k, plane) for plane in range(most - 1, -1, -1) for k, d in enumerate(deviation) if plane < _steps(d, finest)
    ]
    component, step = [], []
    for _ in range(levels):
        level: list[tuple[int, int]] = []
        for digit in waiting:
            if len(level) == pairs // levels:
                break
            if digit[0] not in [k for k, _ in level]:
                level.append(digit)
        waiting = [digit for digit in waiting if digit not in level]
        level += [(-1, 0)] * (pairs // levels - len(level))
        component += [k for k, _ in level]
        step += [finest * 3.0**plane if k >= 0 else 1.0 for k, plane in level]
    return Digits(component, step)


def _set_digits(network: ContentNetwork, digits: Digits, mean: Tensor) -> None:
    """Write the digits into the code's layers; ``mean`` (latents,) of the components."""
    c, code = network.config, network.code
    assert isinstance(code, BitCode)
    group = c.bits // c.importance_levels
    enter, leave = code.enter, code.leave
    assert enter.bias is not None
    assert leave.bias is not None
    for values in (enter.weight, enter.bias, leave.weight, code.feedback):
        values.zero_()
    leave.bias.copy_(mean)
    earlier: dict[int, list[tuple[int, float]]] = {}
    for number, (k, step) in enumerate(zip(digits.component, digits.step, strict=True)):
        level, place = divmod(number, group // 2)
        low = level * group + place
        for bit, offset in ((low, 0.5), (low + group // 2, -0.5)):
            enter.bias[bit] = offset
            if k >= 0:
                enter.bias[bit] -= mean[k] / step
                enter.weight[bit, k] = 1 / step
                leave.weight[k, bit] = step / 2
                for before, value in earlier.get(k, []):
                    code.feedback[bit, before] = value / step
        earlier.setdefault(k, []).extend([(low, step / 2), (low + group // 2, step / 2)])


@torch.no_grad()
def initialise(network: ContentNetwork, pictures: Tensor, lambdas: Tensor) -> None:
    """Initialise in place from ``pictures`` (N, 3, S, S) in [0, 1] and the λ of each quality level (levels,).

    Bits begin with the odds they have on these pictures, and each quality with the cut that is best for it then.
    """
    c = network.config
    assert isinstance(network.analysis, Analysis)
    assert isinstance(network.synthesis, Synthesis)
    deviation = fill_transforms(c, network.analysis, network.synthesis, pictures)
    some = pictures[:MEASURED]
    y = network.analysis(some)
    _set_digits(network, deal_digits(deviation.tolist(), c.bits // 2, c.importance_levels), y.mean((0, 2, 3)))
    # Features differ much in size, and all of them may tell what matters.
    network.importance.mix.weight.div_(deviation.clamp_min(1e-3)[None, :, None, None])

    code = network.code.encode(y)
    share = (0.5 * code.mean((0, 2, 3)) + 0.5).clamp(1e-6, 1 - 1e-6)
    odds = torch.log2(share / (1 - share)).clamp(-SURE, SURE)
    context = network.bits
    for bias in (context.out_first_bias, context.out_second_bias):
        bias.copy_(odds.view_as(bias))

    cost = bit_costs(odds[None, :, None, None], code).mean((0, 2, 3)).view(c.importance_levels, -1).sum(1)
    rate = torch.cat([cost.new_zeros(1), cost.cumsum(0)]) / (network.pitch**2)
    level = torch.arange(c.bits) // (c.bits // c.importance_levels)
    error = []
    for kept in range(c.importance_levels + 1):
        out = network.synthesis(network.code.decode(code * (level < kept)[None, :, None, None]))
        error.append((out - some).square().mean())
    best = (rate + lambdas[:, None] * 255**2 * torch.stack(error)).argmin(1).clamp_min(1)
    # Half a level above the cut, so that the first steps change the map nowhere.
    network.map_scale.table.copy_(((best + 0.5) / (c.importance_levels * FLAT)).log2().cummax(0).values[:, None])
