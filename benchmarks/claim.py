"""A figure that the project set itself a limit for: the bar, which it must reach, and the aim, which it wants to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from .documents import table

__all__ = ["Claim", "claims_table", "not_measured"]


@dataclass(frozen=True)
class Claim:
    """One figure beside its bar and its aim; all three in `unit`."""

    what: str
    value: float | None
    unit: str = "%"
    bar: float | None = None
    aim: float | None = None
    higher_is_better: bool = False
    digits: int = 1
    signed: bool = False
    note: str = ""
    expected: float | None = None
    """Where the figure only checks the measurement itself: what it is known to be."""

    def text(self, value: float | None) -> str:
        """The value with its unit, or "n/a"."""
        if value is None:
            return "n/a"
        sign = "+" if self.signed else ""
        number = f"{value:{sign}.{self.digits}f}"
        return f"{number} {self.unit}".rstrip()

    @property
    def verdict(self) -> str:
        """ "meets aim", "meets bar", "short", "stated" or "not measured"."""
        if self.value is None:
            return "not measured"
        if self.expected is not None:
            return f"expected about {self.text(self.expected)}"
        if self.aim is not None and self._reaches(self.aim):
            return "meets aim"
        if self.bar is not None:
            return "meets bar" if self._reaches(self.bar) else "short"
        return "stated" if self.aim is None else "short of the aim"

    def _reaches(self, limit: float) -> bool:
        assert self.value is not None
        return self.value >= limit if self.higher_is_better else self.value <= limit

    def row(self) -> tuple[str, str, str, str, str, str]:
        """What, measured, bar, aim, verdict, note: as printed."""
        return (
            self.what,
            self.text(self.value),
            self.text(self.bar),
            self.text(self.aim),
            self.verdict,
            self.note,
        )

    def to_json(self) -> dict[str, object]:
        """The figures, and the verdict for whoever reads the file."""
        return {**asdict(self), "verdict": self.verdict}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Claim:
        """The inverse of ``to_json``. Raises TypeError where the values are not those of a claim."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})


def not_measured(what: str, reason: str) -> Claim:
    """A figure that could not be had, and why."""
    return Claim(what, None, note=reason)


def claims_table(claims: Sequence[Claim]) -> str:
    """One row for each claim, in Markdown."""
    return table(["what", "measured", "bar", "aim", "verdict", ""], [claim.row() for claim in claims])
