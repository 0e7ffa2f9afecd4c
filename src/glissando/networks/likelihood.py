"""The family of probability tables, as continuous functions for training.

A table is chosen by one number, t = log2 σ, in steps of 1/8 octave; its shape is a mixture of two
zero-mean Gaussians with standard deviations σ and ρσ, since residuals have heavier tails than one
Gaussian. ρ and the mixture's weight are learnt, once for each family of tables. ``export`` integrates the
same function over unit bins and stores the integers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from glissando.entropy.fixed_point import EARLY, FAMILIES, LATE, SCALE_LOW, STEPS_PER_OCTAVE, TABLES

from .layers import ste_round

__all__ = ["SCALE_HIGH", "Likelihood"]

SCALE_HIGH = SCALE_LOW + (TABLES - 1) / STEPS_PER_OCTAVE
FLOOR = 1e-6  # smallest probability in the training loss; real tables have an escape


class Likelihood(nn.Module):
    """Bits of integer symbols under the table families.

    One shape for what is coded early (hyper-latents and first pass), whose scales are guessed from afar and
    whose tails are heavy, and one for the second pass, which is nearly Gaussian.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tail_weight = nn.Parameter(torch.full((FAMILIES,), -2.0))  # logit of the wide component's weight
        self.tail_ratio = nn.Parameter(torch.full((FAMILIES,), 1.0))  # log2 ρ

    def shape(self, late: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weight and log2 ρ of the wide component where ``late`` is true and where not; None: early."""
        weight = self.tail_weight.sigmoid()
        if late is None:
            return weight[EARLY], self.tail_ratio[EARLY]
        return (
            torch.where(late, weight[LATE], weight[EARLY]),
            torch.where(late, self.tail_ratio[LATE], self.tail_ratio[EARLY]),
        )

    @staticmethod
    def cdf(x: Tensor, sigma: Tensor, weight: Tensor, ratio: Tensor) -> Tensor:
        """CDF of the mixture at ``x`` for scale ``sigma``, any broadcastable shapes."""
        u = x / (sigma * math.sqrt(2))
        return 0.5 + 0.5 * ((1 - weight) * torch.erf(u) + weight * torch.erf(u * torch.exp2(-ratio)))

    def bits(self, symbols: Tensor, scale: Tensor, late: Tensor | None = None) -> Tensor:
        """−log2 P per element: ``symbols`` real (noisy) or integer, ``scale`` log2 σ, ``late`` as in ``shape``."""
        table = ste_round((scale.clamp(SCALE_LOW, SCALE_HIGH) - SCALE_LOW) * STEPS_PER_OCTAVE)
        sigma = torch.exp2(table / STEPS_PER_OCTAVE + SCALE_LOW)
        shape = self.shape(late)
        # By symmetry both bin edges are evaluated on the negative side, where the CDF keeps its digits.
        away = symbols.abs()
        mass = self.cdf(0.5 - away, sigma, *shape) - self.cdf(-0.5 - away, sigma, *shape)
        return -torch.log2(mass.clamp_min(FLOOR))
