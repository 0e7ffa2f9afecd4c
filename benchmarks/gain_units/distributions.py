"""How latents are distributed, as functions for training and as integer tables for files.

The symmetric distribution is the project's own, a table for each of 96 scales. The asymmetric one is the source's
(AG-VAE, arXiv 2003.02012, the asymmetric Gaussian): two scales, one to the left of the mode and one to the right.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from glissando.bitstream import SymbolTables
from glissando.entropy.fixed_point import FAMILIES, SCALE_LOW, STEPS_PER_OCTAVE, TABLES
from glissando.families.gains.export import LARGEST_RADIUS, TAIL, probability_tables
from glissando.frequencies import from_probabilities
from glissando.networks.layers import ste_round
from glissando.networks.likelihood import FLOOR, SCALE_HIGH, Likelihood

__all__ = ["Asymmetric", "Distribution", "Symmetric"]

SKEW = 2.0  # octaves that the right scale may be above the left one, or below it
SKEWS_PER_OCTAVE = 4
SKEWS = round(2 * SKEW * SKEWS_PER_OCTAVE) + 1


class Distribution(Protocol):
    """What latents cost, given ``numbers`` parameters for each, (B, numbers·channels, h, w); those of scale are log2.

    ``late`` tells latents that are coded in a second pass, (B or 1, channels, h, w) bool; None: none are.
    """

    numbers: int

    def bits(self, residuals: Tensor, parameters: Tensor, late: Tensor | None) -> Tensor:
        """−log2 P of residuals, real (noisy) or integers."""

    def index(self, parameters: Tensor, late: Tensor | None) -> Tensor:
        """The table of each latent, int64 (B, channels, h, w)."""

    def tables(self) -> SymbolTables:
        """The tables, as integers."""


class Symmetric(nn.Module):
    """The project's own: a mixture of two Gaussians around zero, chosen by log2 of its scale."""

    numbers = 1

    def __init__(self) -> None:
        super().__init__()
        self.likelihood = Likelihood()

    def bits(self, residuals: Tensor, parameters: Tensor, late: Tensor | None) -> Tensor:
        return self.likelihood.bits(residuals, parameters, late)

    def index(self, parameters: Tensor, late: Tensor | None) -> Tensor:
        found = _steps(parameters).long()
        return found if late is None else found + TABLES * late

    def tables(self) -> SymbolTables:
        frequencies, radii, _ = probability_tables(self.likelihood)
        return SymbolTables(frequencies, radii)


class Asymmetric(nn.Module):
    """A mixture of two-piece Gaussians: log2 of the mean scale, and by how many octaves the right one is larger.

    Both are rounded, and the two integers choose the table.
    """

    numbers = 2

    def __init__(self) -> None:
        super().__init__()
        self.likelihood = Likelihood()

    def bits(self, residuals: Tensor, parameters: Tensor, late: Tensor | None) -> Tensor:
        scale, skew = parameters.chunk(2, 1)
        scale = ste_round((scale.clamp(SCALE_LOW, SCALE_HIGH) - SCALE_LOW) * STEPS_PER_OCTAVE)
        scale = scale / STEPS_PER_OCTAVE + SCALE_LOW
        skew = ste_round(skew.clamp(-SKEW, SKEW) * SKEWS_PER_OCTAVE) / SKEWS_PER_OCTAVE
        # Right of the mode everything is mirrored, so that the CDF is evaluated where it keeps its digits.
        skew = torch.where(residuals > 0, -skew, skew)
        near, far = (torch.exp2(scale + sign * skew / 2) for sign in (-1, 1))
        away = residuals.abs()
        shape = self.likelihood.shape(late)
        mass = self._below(0.5 - away, near, far, shape) - self._below(-0.5 - away, near, far, shape)
        return -torch.log2(mass.clamp_min(FLOOR))

    @staticmethod
    def _below(x: Tensor, left: Tensor, right: Tensor, shape: tuple[Tensor, Tensor]) -> Tensor:
        """CDF at ``x`` of the two-piece distribution with these scales left and right of zero."""
        whole = left + right
        below = 2 * left / whole * Likelihood.cdf(x.clamp_max(0), left, *shape)
        above = 2 * right / whole * (Likelihood.cdf(x.clamp_min(0), right, *shape) - 0.5)
        return below + above

    def index(self, parameters: Tensor, late: Tensor | None) -> Tensor:
        scale, skew = parameters.chunk(2, 1)
        turns = ((skew.clamp(-SKEW, SKEW) + SKEW) * SKEWS_PER_OCTAVE).round().long()
        found = _steps(scale).long() * SKEWS + turns
        return found if late is None else found + TABLES * SKEWS * late

    @torch.no_grad()
    def tables(self) -> SymbolTables:
        rows, radii = [], []
        for family in range(FAMILIES):
            shape = self.likelihood.shape(torch.tensor(bool(family)))
            weight, ratio = (value.double() for value in shape)
            for step in range(TABLES):
                scale = torch.tensor(step / STEPS_PER_OCTAVE + SCALE_LOW, dtype=torch.float64)
                for turn in range(SKEWS):
                    skew = turn / SKEWS_PER_OCTAVE - SKEW
                    left, right = torch.exp2(scale - skew / 2), torch.exp2(scale + skew / 2)
                    rows.append(_table(left, right, (weight, ratio)))
                    radii.append((len(rows[-1]) - 2) // 2)
        return SymbolTables(np.concatenate(rows), np.array(radii, np.int32))


def _steps(scale: Tensor) -> Tensor:
    return ((scale.clamp(SCALE_LOW, SCALE_HIGH) - SCALE_LOW) * STEPS_PER_OCTAVE).round()


def _table(
    left: Tensor, right: Tensor, shape: tuple[Tensor, Tensor]
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint32]]:
    """Frequencies of −K … K and of the escape, which stands for what lies further away on either side."""
    edges = torch.arange(LARGEST_RADIUS + 1, dtype=torch.float64) + 0.5
    beyond = [2 * side / (left + right) * Likelihood.cdf(-edges, side, *shape) for side in (left, right)]
    radius = int((beyond[0] + beyond[1] > TAIL).sum().clamp(max=LARGEST_RADIUS))
    low, high = ((side[:-1] - side[1:])[:radius] for side in beyond)
    middle = 1 - beyond[0][0] - beyond[1][0]
    escape = beyond[0][radius] + beyond[1][radius]
    mass = torch.cat([low.flip(0), middle[None], high, escape[None]])
    return from_probabilities(mass.numpy(), symbol=radius)
