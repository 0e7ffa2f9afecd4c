"""Layers that compute, in training, exactly what integer arithmetic computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glissando.entropy.fixed_point import ACTIVATION_BITS, ACTIVATION_MAX, MAGNITUDE_MAX, WEIGHT_BITS
from glissando.errors import TrainingError

from .layers import ste_floor, ste_round

__all__ = ["IntegerConv", "whole_numbers"]


@torch.no_grad()
def whole_numbers(values: Tensor, one: int, dtype: type[np.integer[Any]], name: str) -> NDArray[Any]:
    """Parameters in steps of 1/``one``, rounded. Raises TrainingError where one is not finite or does not fit."""
    rounded = torch.round(values.double() * one).cpu().numpy()
    limit = np.iinfo(dtype).max
    if not np.isfinite(rounded).all() or np.abs(rounded).max() > limit:
        raise TrainingError(f"{name} reaches {np.abs(rounded).max() / one:.1f}, more than {limit / one:.1f}")
    return rounded.astype(dtype)


class IntegerConv(nn.Conv2d):
    """A convolution on fixed-point numbers: (B, inputs, H, W) → (B, outputs, H, W), zeros outside.

    ``relu`` clips the result to [0, 1023/32]; an output layer does not clip. The first ``unsigned`` inputs are never
    negative, all of them unless given. ``exact``, true at first, says whether this layer rounds.
    """

    mask: Tensor | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        groups: int = 1,
        relu: bool = True,
        input_bits: int = ACTIVATION_BITS,
        unsigned: int | None = None,
        mask: Tensor | None = None,
    ) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, groups=groups)
        self.relu, self.exact = relu, True
        self.register_buffer("mask", mask, persistent=False)  # of the network's shape, not of its weights
        self.unsigned = inputs if unsigned is None else unsigned
        # Plain integers, the magnitudes of symbols, are summed in 16 bits, all else in float32's 24.
        self.largest, self.limit = (MAGNITUDE_MAX, 2**15) if input_bits == 0 else (ACTIVATION_MAX, 2**24)
        self.bias_one = 1 << (WEIGHT_BITS + input_bits)  # a bias is added to products of weight and input

    @torch.no_grad()
    def keep_exact(self) -> None:
        """Scale down, in place, the weights of outputs whose sums could grow too large to be exact; zero masked ones.

        The bound is that of ``glissando.families.gains.scales.ScaleNetwork.check_bounds``.
        """
        assert self.bias is not None
        if self.mask is not None:
            self.weight.mul_(self.mask)
        weight = self.weight * (1 << WEIGHT_BITS)
        either = weight[:, self.unsigned :].abs().sum((1, 2, 3))
        own = weight[:, : self.unsigned]
        above, below = (part.clamp_min(0).sum((1, 2, 3)) + either for part in (own, -own))
        sums = self.largest * torch.maximum(above, below) + self.bias.abs() * self.bias_one
        # Rounding may add half a unit to each weight and to the bias; a layer adds half a unit itself.
        rounding = 0.5 * self.largest * weight[0].numel() + 2.0 * (1 << WEIGHT_BITS)
        factor = ((self.limit - rounding) / sums.clamp_min(1.0)).clamp_max(1.0)
        self.weight.mul_(factor[:, None, None, None])
        self.bias.mul_(factor)

    def forward(self, input: Tensor) -> Tensor:
        # bfloat16 holds 8 bits, float32 the 24 that the integers need (TF32 the 11 of each factor).
        with torch.autocast(input.device.type, enabled=False):
            return self._forward(input.float())

    def _forward(self, input: Tensor) -> Tensor:
        assert self.bias is not None
        one = 1 << ACTIVATION_BITS
        real = self.weight if self.mask is None else self.weight * self.mask
        if not self.exact:
            x: Tensor = self._conv_forward(input, real, self.bias)
        else:
            weight = ste_round(real * (1 << WEIGHT_BITS)) / (1 << WEIGHT_BITS)
            bias = ste_round(self.bias * self.bias_one) / self.bias_one
            x = ste_floor(self._conv_forward(input, weight, bias) * one + 0.5) / one
        return x.clamp(0.0, ACTIVATION_MAX / one) if self.relu else x
