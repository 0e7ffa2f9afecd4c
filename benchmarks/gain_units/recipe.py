"""What a row of the study says: base model, way to vary the rate, training and measurements."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glissando.errors import RecipeError
from glissando.training.recipe import Data, Optimisation, Rate
from glissando.training.tables import build_tables, merged, read_tables

from ..plans import Row, read_rows
from .bases import BaseConfig
from .rates import RateConfig

__all__ = ["GainRecipe", "Measuring", "Plan", "read_plan"]


@dataclass(frozen=True)
class Measuring:
    """What is measured of a trained row, on Kodak pictures with real files."""

    pictures: int = 24
    qualities: tuple[float, ...] = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0)
    between: int = 0  # so many rates, evenly spread over 0 … 100, of ``few`` pictures
    beyond: bool = False  # qualities outside 0 … 100
    few: int = 2


@dataclass(frozen=True)
class GainRecipe:
    """Everything that decides a row but the random numbers."""

    base: BaseConfig = field(default_factory=BaseConfig)
    method: RateConfig = field(default_factory=RateConfig)
    rate: Rate = field(default_factory=Rate)  # of which λ and the balance count
    data: Data = field(default_factory=Data)
    optimiser: Optimisation = field(default_factory=lambda: Optimisation(kind="adamw"))
    pictures: int = 24_000
    warmup: int = 100  # steps
    decay: float = 0.5  # share of the steps in which learning rates fall to zero
    measure: Measuring = field(default_factory=Measuring)

    def __post_init__(self) -> None:
        rules = {**self.base.checks(), **self.method.checks(), **self.rate.checks()}
        rules["data.batch must be positive, and the pictures one batch at least"] = 0 < self.data.batch <= self.pictures
        rules["measure.few and pictures must be positive"] = min(self.measure.few, self.measure.pictures) > 0
        for message, kept in rules.items():
            if not kept:
                raise RecipeError(message)

    def hash(self) -> str:
        """A short name of the recipe, by which a result tells that it is of this one."""
        values = dataclasses.asdict(self)
        if not self.data.drawn:  # a key that came when there were results; without it theirs stay what they are
            del values["data"]["drawn"]
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Plan:
    """What the study's file says: keys that all rows share, and the rows."""

    common: dict[str, Any]
    rows: list[Row]

    @property
    def common_rate(self) -> Rate:
        """The range of λ that the models for all rates are trained for."""
        recipe = build_tables(GainRecipe, self.common, "")
        assert isinstance(recipe, GainRecipe)
        return recipe.rate

    def recipe_of(self, row: Row) -> GainRecipe:
        """Raises RecipeError."""
        recipe = build_tables(GainRecipe, merged(self.common, row.changes), "")
        assert isinstance(recipe, GainRecipe)
        return recipe


def read_plan(path: Path) -> Plan:
    """Read and check the study's file. Raises RecipeError that names the row."""
    values = read_tables(path)
    plan = Plan(values.get("all", {}), read_rows(path, values))
    for row in plan.rows:
        try:
            plan.recipe_of(row)
        except RecipeError as error:
            raise RecipeError(f"{path}, row {row.group} / {row.name}: {error}") from error
    return plan
