"""The family of probability tables, as continuous functions for training.

A table is chosen by one number, t = log2 σ, in steps of 1/8 octave; its shape is a mixture of two
zero-mean Gaussians with standard deviations σ and ρσ, since residuals have heavier tails than one
Gaussian. ρ and the mixture's weight are learnt once for all tables. ``export`` integrates the same
function over unit bins and stores the integers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from glissando.entropy.fixed_point import SCALE_LOW, STEPS_PER_OCTAVE, TABLES

from .layers import ste_round

__all__ = ["SCALE_HIGH", "Likelihood"]

SCALE_HIGH = SCALE_LOW + (TABLES - 1) / STEPS_PER_OCTAVE
FLOOR = 1e-6  # smallest probability in the training loss; real tables have an escape


class Likelihood(nn.Module):
    """Bits of integer symbols under the table family."""

    def __init__(self) -> None:
        super().__init__()
        self.tail_weight = nn.Parameter(torch.tensor(-2.0))  # logit of the wide component's weight
        self.tail_ratio = nn.Parameter(torch.tensor(1.0))  # log2 ρ

    def cdf(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Mixture CDF at ``x`` for scale ``sigma``, any broadcastable shapes."""
        weight = self.tail_weight.sigmoid()
        u = x / (sigma * math.sqrt(2))
        return 0.5 + 0.5 * ((1 - weight) * torch.erf(u) + weight * torch.erf(u * torch.exp2(-self.tail_ratio)))

    def bits(self, symbols: Tensor, scale: Tensor) -> Tensor:
        """−log2 P per element. ``symbols`` real (noisy) or integer, ``scale`` log2 σ in octaves."""
        table = ste_round((scale.clamp(SCALE_LOW, SCALE_HIGH) - SCALE_LOW) * STEPS_PER_OCTAVE)
        sigma = torch.exp2(table / STEPS_PER_OCTAVE + SCALE_LOW)
        # By symmetry both bin edges are evaluated on the negative side, where the CDF keeps its digits.
        away = symbols.abs()
        mass = self.cdf(0.5 - away, sigma) - self.cdf(-0.5 - away, sigma)
        return -torch.log2(mass.clamp_min(FLOOR))
