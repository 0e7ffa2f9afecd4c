"""What stands in for rounding while a network is trained.

Rounding has no gradient. What is coded pays its bits, and what is handed on to synthesis and contexts is seen by the
decoder; each can be rounded, with the gradient of the identity (straight-through, Theis et al., arXiv 1703.00395), or
carry additive uniform noise (Ballé et al., arXiv 1611.01704).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .layers import ste_round

__all__ = ["HARD", "MIXED", "NOISE", "STRAIGHT_THROUGH", "Rounding"]


@dataclass(frozen=True)
class Rounding:
    """Whether the values that are coded, and those that are handed on, are noisy or rounded; and whether the encoder
    still learns.
    """

    noisy_bits: bool
    noisy_values: bool
    frozen: bool = False
    """No gradient goes back into analysis and hyper-analysis."""

    def draw(self, like: Tensor) -> Tensor | None:
        """Noise in [0, 1) of one tensor, one draw for its bits and its values; None where neither is noisy."""
        return torch.rand_like(like) if self.noisy_bits or self.noisy_values else None

    def values(self, residual: Tensor, noise: Tensor | None) -> Tensor:
        """What is handed on of a residual in units of the quantiser's step."""
        return _shaken(residual, noise) if self.noisy_values else ste_round(residual)

    def coded(self, residual: Tensor, noise: Tensor | None) -> Tensor:
        """What the rate is computed of."""
        return _shaken(residual, noise) if self.noisy_bits else ste_round(residual)

    def encoder(self, out: Tensor) -> Tensor:
        """An analysis' output, cut off from it where the encoder is frozen."""
        return out.detach() if self.frozen else out


def _shaken(residual: Tensor, noise: Tensor | None) -> Tensor:
    assert noise is not None
    return residual + noise - 0.5


MIXED = Rounding(noisy_bits=True, noisy_values=False)
"""Noisy bits, rounded values (as Minnen and Singh have it, arXiv 2007.08739)."""
NOISE = Rounding(noisy_bits=True, noisy_values=True)
STRAIGHT_THROUGH = Rounding(noisy_bits=False, noisy_values=False)
"""What a file holds, in the forward pass."""
HARD = Rounding(noisy_bits=False, noisy_values=False, frozen=True)
"""The second stage of soft-then-hard (Guo et al., arXiv 2104.05168): decoder and entropy model learn on what a file
holds, for latents that stay. Means and gains, which an encoder shares with them, go on learning.
"""
