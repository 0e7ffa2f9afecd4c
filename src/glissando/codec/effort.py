"""How much time an encoder may take: a number from 0 to 10, and the steps of refinement that it stands for."""

from __future__ import annotations

from dataclasses import dataclass

from glissando.errors import InputError
from glissando.zoo.model import HIGHEST_EFFORT

__all__ = ["DEFAULT_EFFORT", "HIGHEST_EFFORT", "HIGHEST_QUICK", "Schedule", "check_effort", "schedule_of"]

DEFAULT_EFFORT = 4


@dataclass(frozen=True)
class Schedule:
    """How latents are moved: in ``steps`` of Adam, whose size falls towards the end, while the dither fades.

    Attributes:
        rate: the size of the first steps, in steps of the quantisation.
        falling: the share of the steps over which their size falls to a tenth.
        first, last: the amplitude of the dither at the beginning and at the end.
    """

    steps: int
    rate: float
    falling: float
    first: float = 1.0
    last: float = 0.05

    def rate_at(self, step: int) -> float:
        """The size of a step, 0 to ``steps`` − 1."""
        left = (1 - step / self.steps) / self.falling
        return self.rate * float(0.1 ** max(0.0, 1 - left))

    def amplitude_at(self, step: int) -> float:
        """The amplitude of the dither at a step."""
        return float(self.first * (self.last / self.first) ** (step / max(1, self.steps - 1)))


SCHEDULES = {
    5: Schedule(10, 0.025, 0.25),
    6: Schedule(24, 0.015, 0.25),
    7: Schedule(48, 0.01, 0.4),
    8: Schedule(96, 0.007, 0.5),
    9: Schedule(160, 0.006, 0.5),
    10: Schedule(256, 0.005, 0.5, last=0.07),
}
"""Refinement by effort; ``benchmarks.effort`` compares them with their neighbours (docs/effort.md)."""
HIGHEST_QUICK = min(SCHEDULES) - 1
"""The highest effort at which the encoder's networks work alone."""


def check_effort(effort: object) -> int:
    """``effort`` as an integer. Raises InputError unless it is one from 0 to 10."""
    if isinstance(effort, bool) or not hasattr(effort, "__index__") or not 0 <= effort.__index__() <= HIGHEST_EFFORT:
        raise InputError(f"effort must be a whole number from 0 to {HIGHEST_EFFORT}, not {effort!r}")
    return int(effort.__index__())


def schedule_of(effort: object) -> Schedule | None:
    """How latents are refined at an effort; None where they are not. Raises InputError as ``check_effort``."""
    return SCHEDULES.get(check_effort(effort))
