"""Gains as integers, for encoders and decoders that have to agree to the last bit. NumPy alone, no PyTorch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glissando.entropy import level_row, power_of_two, quality_units
from glissando.errors import InputError

__all__ = ["FixedGains", "units_of_quality"]


def units_of_quality(quality: float, *, extrapolate: bool = False) -> int:
    """A quality from 0 to 100 in units of 1/256, as a file stores it; outside that range only with ``extrapolate``.

    Raises InputError.
    """
    if not math.isfinite(quality) or not (extrapolate or 0 <= quality <= 100):
        raise InputError(f"a quality is a number from 0 to 100, not {quality}")
    return quality_units(quality)


@dataclass(frozen=True, eq=False)
class FixedGains:
    """The tables of a gain unit as integers: what a file format ships, and what both sides interpolate.

    Attributes:
        gain: int16 (levels, channels), log2 of the gains in units of 1/256 octave; levels from the lowest rate to the
            highest.
        inverse_gain: int16 of the same shape, log2 of the inverse gains.

    Raises InputError where they are not such tables.
    """

    gain: NDArray[np.int16]
    inverse_gain: NDArray[np.int16]

    def __post_init__(self) -> None:
        for name, table in ("gain", self.gain), ("inverse_gain", self.inverse_gain):
            if table.dtype != np.int16 or table.ndim != 2 or min(table.shape) < 1 or len(table) < 2:
                raise InputError(
                    f"{name} must be int16 of two levels or more and one channel or more, not {table.dtype} of shape "
                    f"{table.shape}"
                )
        if self.gain.shape != self.inverse_gain.shape:
            raise InputError(f"gain has the shape {self.gain.shape}, inverse_gain {self.inverse_gain.shape}")

    def check_order(self) -> None:
        """Raises InputError where gains of latents are smaller at the last level than at the first.

        Those of hyper-latents need not rise: at low rates they may well be the more precise part.
        """
        first, last = (float(row.mean()) / 256 for row in (self.gain[0], self.gain[-1]))
        if last < first:
            raise InputError(
                f"levels run from the lowest rate to the highest, but the mean gain falls from 2^{first:.2f} at the "
                f"first level to 2^{last:.2f} at the last: the tables are upside down"
            )

    def rows(self, units: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Log-gains and log-inverse-gains (channels,) in 1/256 octave at a quality in 1/256 units.

        Both are interpolated on straight lines in octaves, which for the factors is exponential.
        """
        return level_row(self.gain, units), level_row(self.inverse_gain, units)

    def factors(self, units: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Gains and inverse gains (channels,) at a quality in 1/256 units: the same bits on every machine.

        Raises InputError where a factor is too large or too small for a float32, as far outside the qualities.
        """
        gain, inverse = (_exact(row) for row in self.rows(units))
        return gain, inverse


def _exact(row: NDArray[np.int32]) -> NDArray[np.float32]:
    """2^(row/256), float32; a mantissa of 16 bits times a power of two, so nothing is rounded."""
    mantissa, exponent = power_of_two(row)
    if row.size and (exponent.min() < -126 or exponent.max() > 100):
        raise InputError(f"gains reach from 2^{row.min() / 256:.0f} to 2^{row.max() / 256:.0f}, which are no float32")
    result: NDArray[np.float32] = np.ldexp(mantissa.astype(np.float32), exponent.astype(np.int32))
    return result
