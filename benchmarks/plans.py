"""Plans of controlled trainings: a recipe, and rows that each change some of its keys."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glissando.errors import BenchmarkError, RecipeError
from glissando.families.gains.recipe import GainsRecipe
from glissando.families.gains.reshaping import config_of
from glissando.training.checkpoints import load_checkpoint
from glissando.training.recipe import from_dict
from glissando.training.tables import merged, read_tables

__all__ = ["Plan", "Row", "read_plan", "read_rows", "runs_of", "take_pictures"]

LOOKS = 100  # steps of a decay in which worth is measured, or a tenth of the row's where they are fewer


@dataclass(frozen=True)
class Row:
    """One line of the table: keys of the recipe that it changes, and the seeds that it is trained with.

    ``start``, ``shape`` and ``teacher`` name other rows, as "group / name": whose network this one goes on from,
    whose trained network's shape it has, and whose trained network teaches it.
    """

    group: str
    name: str
    seeds: tuple[int, ...]
    changes: dict[str, Any]
    start: str = ""
    shape: str = ""
    teacher: str = ""
    times: float = 1.0  # how many times the plan's pictures it sees
    drive: float = 0.4  # share of its steps in which the masks of a decay sink

    @property
    def title(self) -> str:
        return f"{self.group} / {self.name}"

    def path(self, out: Path, seed: int) -> Path:
        words = re.sub(r"[^a-z0-9.]+", "-", self.title.lower()).strip("-")
        return out / f"{words}.{seed}.json"

    def checkpoint(self, out: Path, seed: int) -> Path:
        """Where its trained network lies, if the plan keeps it."""
        return self.path(out, seed).with_suffix(".pt")


@dataclass(frozen=True)
class Plan:
    """What an experiments file says. The first row is the reference."""

    recipe: dict[str, Any]
    pictures: int
    warmup: int
    resume: Path | None = None  # what every run goes on from; None: the recipe's start
    section: str = "experiments"  # of the document, between the comments NAME:begin and NAME:end
    rows: list[Row] = field(default_factory=list)
    keep: bool = False  # whether trained networks stay beside their figures; rows that others name always do

    def steps_of(self, row: Row) -> int:
        batch: int = merged(self.recipe, row.changes).get("data", {}).get("batch", GainsRecipe().data.batch)
        return int(self.pictures * row.times) // batch

    def recipe_of(self, row: Row, seed: int, out: Path | None = None) -> GainsRecipe:
        """A row's recipe; without ``out``, the folder of all results, what comes of other rows is left out.

        Raises RecipeError where a key is wrong, BenchmarkError where another row has to be trained first.
        """
        changes = merged(row.changes, {"run": {"seed": seed}})
        if "decay" in row.changes:
            steps = self.steps_of(row)
            looks = max(1, min(LOOKS, steps // 10))
            changes = merged(changes, {"decay": {"looks": looks, "steps": round(row.drive * steps)}})
        if row.teacher and out is not None:
            changes = merged(changes, {"distil": {"teacher": str(self.trained(row.teacher, seed, out))}})
        recipe = from_dict(merged(self.recipe, changes))
        if not isinstance(recipe, GainsRecipe):
            raise RecipeError(f"{row.name}: experiments are about the main family, not {recipe.family}")
        if row.shape and out is not None:
            network = load_checkpoint(self.trained(row.shape, seed, out))["recipe"]["network"]
            recipe = dataclasses.replace(recipe, network=config_of(network))
        return recipe

    def start_of(self, row: Row, seed: int, out: Path) -> Path | None:
        """The checkpoint that a row goes on from; those that have the shape of another begin anew."""
        if row.shape:
            return None
        return self.trained(row.start, seed, out) if row.start else self.resume

    def trained(self, title: str, seed: int, out: Path) -> Path:
        """The trained network of another row. Raises BenchmarkError where it is not there yet."""
        path = next(row for row in self.rows if row.title == title).checkpoint(out, seed)
        if not path.exists():
            raise BenchmarkError(f"{title}, seed {seed}, has to be trained first: {path} is not there")
        return path

    def keeps(self, row: Row) -> bool:
        """Whether a row's trained network stays beside its figures."""
        return self.keep or any(row.title in (other.start, other.shape, other.teacher) for other in self.rows)


def take_pictures(action: argparse.ArgumentParser) -> None:
    """Let a command say how many pictures each row sees."""
    action.add_argument("--pictures", type=int, help="of each row; the plan's unless given")


def read_plan(path: Path, pictures: int | None = None) -> Plan:
    """Read and check an experiments file. ``pictures`` of each row, the file's unless given.

    Raises RecipeError that names the row.
    """
    values = read_tables(path)
    rows = read_rows(path, values)
    try:
        recipe = merged(read_tables(path.parent / values["recipe"]), values.get("all", {}))
        plan = Plan(
            recipe,
            int(values["pictures"]) if pictures is None else pictures,
            int(values["warmup"]),
            path.parent / values["resume"] if "resume" in values else None,
            str(values.get("section", Plan.section)),
            rows,
            bool(values.get("keep", False)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"{path} is not an experiments file: {error!r}") from error
    before: list[str] = []
    for row in plan.rows:
        try:
            plan.recipe_of(row, 1)
        except RecipeError as error:
            raise RecipeError(f"{path}, row {row.title}: {error}") from error
        for other in filter(None, (row.start, row.shape, row.teacher)):
            if other not in before:
                raise RecipeError(f"{path}, row {row.title}: no row before it is {other}")
        before.append(row.title)
    return plan


def read_rows(path: Path, values: dict[str, Any]) -> list[Row]:
    """The rows of an experiments file with these ``values``. Raises RecipeError."""
    try:
        return [_row(dict(row), values.get("seeds", [1])) for row in values["row"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"{path} is not an experiments file: {error!r}") from error


def runs_of(rows: Sequence[Row], only: str = "") -> Iterator[tuple[Row, int]]:
    """Rows whose title holds ``only``, with their seeds, first seeds first: so a table soon has all rows."""
    chosen = [row for row in rows if only in row.title]
    for turn in range(max((len(row.seeds) for row in chosen), default=0)):
        yield from ((row, row.seeds[turn]) for row in chosen if turn < len(row.seeds))


def _row(values: dict[str, Any], seeds: list[int]) -> Row:
    """A row as the file has it; what is left of its keys changes the recipe."""
    group, name, own = values.pop("group"), values.pop("name"), tuple(values.pop("seeds", seeds))
    others = {key: str(values.pop(key, "")) for key in ("start", "shape", "teacher")}
    times, drive = float(values.pop("times", Row.times)), float(values.pop("drive", Row.drive))
    return Row(group, name, own, values, others["start"], others["shape"], others["teacher"], times, drive)
