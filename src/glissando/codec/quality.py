"""The quality of a file, and of each latent where the quality differs over the picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.entropy import quality_units
from glissando.errors import InputError

__all__ = ["LocalQuality", "Quality", "QualityField", "from_0_to_100"]

TOP_UNITS = 25600


def from_0_to_100(number: Any, name: str, unit: str = "") -> float:
    """``number`` as a float. Raises InputError, which calls it ``name``, unless it is a number from 0 to 100."""
    try:
        value = float(number)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} must be a number from 0 to 100, not {number!r}") from None
    if not 0 <= value <= 100:
        raise InputError(f"{name} must be from 0 to 100{unit}, not {number}")
    return value


@dataclass(frozen=True, order=True)
class Quality:
    """A quality from 0 to 100 as files store it: ``units`` of 1/256, 0 .. 25600."""

    units: int

    @classmethod
    def of(cls, number: float) -> Quality:
        """The stored quality nearest to a number. Raises InputError unless that is from 0 to 100."""
        return cls(quality_units(from_0_to_100(number, "quality")))

    @property
    def number(self) -> float:
        """The quality as a real number from 0 to 100."""
        return self.units / 256

    def moved(self, offset: int) -> Quality:
        """The quality ``offset`` units of 1/256 higher, limited to 0 … 100."""
        return Quality(min(max(self.units + offset, 0), TOP_UNITS))

    @classmethod
    def highest(cls) -> Quality:
        """The highest quality, 100."""
        return cls(TOP_UNITS)


@dataclass(frozen=True, eq=False)
class QualityField:
    """Offsets of the quality over a picture, one for each coded latent.

    Attributes:
        palette: the offsets that occur, in 1/256 of quality, ascending.
        index: int16 (rows, columns), which of them each latent has.
    """

    palette: tuple[int, ...]
    index: NDArray[np.int16]

    @classmethod
    def of_offsets(cls, offsets: NDArray[np.integer[Any]]) -> QualityField:
        """From the offsets themselves, (rows, columns) in 1/256 of quality."""
        palette, index = np.unique(offsets, return_inverse=True)
        return cls(tuple(palette.tolist()), index.reshape(offsets.shape).astype(np.int16))

    @property
    def offsets(self) -> NDArray[np.float32]:
        """Float32 (rows, columns): the offsets in quality steps."""
        return np.array(self.palette, np.float32)[self.index] / np.float32(256)


@dataclass(frozen=True, eq=False)
class LocalQuality:
    """The quality at each latent of a picture: the file's own, moved by the offsets of a field where there is one.

    Attributes:
        base: the file's quality.
        field: the offsets, over the latents of the picture or of the part of it that is decoded.
    """

    base: Quality
    field: QualityField | None = None

    @cached_property
    def palette(self) -> tuple[Quality, ...]:
        """The qualities that occur, in the order of the field's offsets."""
        offsets = (0,) if self.field is None else self.field.palette
        return tuple(self.base.moved(offset) for offset in offsets)

    @property
    def highest(self) -> Quality:
        """The highest quality that occurs."""
        return max(self.palette)

    @property
    def synthesis(self) -> Quality:
        """The one quality that the synthesis is told for the whole picture.

        It is not told the quality of each place, because it would then draw the borders between two qualities into
        smooth areas, such as a sky. A quality that is too high does less harm than one that is too low, so this one
        lies three quarters of the way from the lowest to the highest.
        """
        return Quality((3 * max(self.palette).units + min(self.palette).units + 2) // 4)

    def over(self, part: tuple[slice, slice]) -> NDArray[np.int16] | None:
        """Which quality of ``palette`` each latent in a part of the grid has; None where all have the first.

        Padding beyond the coded latents repeats their last row and column.
        """
        if self.field is None or len(self.palette) == 1:
            return None
        rows, columns = (
            np.minimum(np.arange(part.start, part.stop), size - 1)
            for part, size in zip(part, self.field.index.shape, strict=True)
        )
        return self.field.index[np.ix_(rows, columns)]
