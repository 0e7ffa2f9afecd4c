"""One gain unit: a gain and an inverse gain for each level and channel, in octaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from glissando.entropy.fixed_point import GAIN_BITS
from glissando.errors import InputError
from glissando.networks.integer import whole_numbers
from glissando.networks.layers import LevelTable

from .fixed import FixedGains, units_of_quality

__all__ = ["Factors", "GainUnit"]


@dataclass(frozen=True)
class Factors:
    """What latents (B, channels, h, w) are multiplied by before rounding and after: (B or 1, channels, 1, 1) each."""

    gain: Tensor
    inverse: Tensor


class GainUnit(nn.Module):
    """Gains for ``levels`` rates of latents with ``channels`` channels; one channel stands for all.

    Level 0 has the lowest rate. Tables are in octaves, so that gains are always positive and straight lines between
    levels are the exponential interpolation of the source. A new unit multiplies by 1.

    The inverse gain is a table of its own, which learns to undo the bias of rounding. A ``tied`` unit has none, and
    takes the reciprocal of the gain.
    """

    def __init__(self, levels: int, channels: int, *, tied: bool = False) -> None:
        super().__init__()
        if levels < 2 or channels < 1:
            raise InputError(f"a gain unit has 2 levels and 1 channel at least, not {levels} and {channels}")
        self.gain = LevelTable(levels, channels)
        self.inverse_gain = None if tied else LevelTable(levels, channels)

    @classmethod
    def of_tables(cls, gain: LevelTable, inverse_gain: LevelTable | None) -> GainUnit:
        """A unit of two tables that a network already has, which it shares with that network; None ties it."""
        unit = cls(*gain.table.shape, tied=inverse_gain is None)
        unit.gain, unit.inverse_gain = gain, inverse_gain
        return unit

    @property
    def levels(self) -> int:
        """How many rates the tables have."""
        return self.gain.table.shape[0]

    @torch.no_grad()
    def start(self, log2_gains: Sequence[float] | Tensor) -> None:
        """Begin with one gain for all channels of a level, log2 (levels,), and its reciprocal as inverse gain."""
        column = torch.as_tensor(log2_gains, dtype=torch.float32)
        if column.shape != (self.levels,):
            raise InputError(f"{self.levels} levels start from as many gains, not from {tuple(column.shape)}")
        self.gain.table.copy_(column[:, None].expand_as(self.gain.table))
        if self.inverse_gain is not None:
            self.inverse_gain.table.copy_(-self.gain.table)

    def position(self, quality: Tensor) -> Tensor:
        """Qualities from 0 to 100 as positions among the levels, 0 to levels − 1."""
        return quality * ((self.levels - 1) / 100)

    def learning(self, quality: Tensor) -> Factors:
        """The factors at qualities (B,), in real numbers and with gradients: what a training multiplies by."""
        position = self.position(quality)
        octaves = self.gain(position)
        inverse = -octaves if self.inverse_gain is None else self.inverse_gain(position)
        return Factors(torch.exp2(octaves), torch.exp2(inverse))

    def at(self, quality: float, *, extrapolate: bool = False) -> Factors:
        """The factors at one quality from 0 to 100, from integers: the same bits wherever they are computed.

        ``extrapolate`` allows other qualities. Raises InputError, and as ``fixed``.
        """
        gain, inverse = self.fixed().factors(units_of_quality(quality, extrapolate=extrapolate))
        device = self.gain.table.device
        return Factors(*(torch.from_numpy(row)[None, :, None, None].to(device) for row in (gain, inverse)))

    @torch.no_grad()
    def fixed(self) -> FixedGains:
        """The tables as integers in 1/256 octave.

        Raises TrainingError where a table is not finite or does not fit.
        """
        gain = whole_numbers(self.gain.table, 1 << GAIN_BITS, np.int16, "gain")
        if self.inverse_gain is None:
            return FixedGains(gain, -gain)
        inverse = whole_numbers(self.inverse_gain.table, 1 << GAIN_BITS, np.int16, "inverse_gain")
        return FixedGains(gain, inverse)
