"""A recipe for word embeddings: ``family = "words"`` and the tables below. Unknown keys are errors."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glissando.errors import RecipeError

from ..tables import build_tables, read_tables

__all__ = ["FAMILY", "Corpus", "Model", "Run", "Schedule", "WordsRecipe", "read_words_recipe", "words_from_dict"]

FAMILY = "words"


@dataclass(frozen=True)
class Corpus:
    """What the pairs are counted in."""

    vocabulary: int = 25_000  # the most frequent words
    window: int = 5  # words to either side; a context at distance d counts (window + 1 - d) / window
    subsample: float = 1e-4  # occurrences of a word with share f are kept with probability sqrt(subsample / f); 0: all
    draws: int = 1  # how many times the corpus is subsampled; the counts are averaged


@dataclass(frozen=True)
class Model:
    """Bayesian skip-gram with diagonal Gaussian posteriors."""

    dimensions: int = 100
    negatives: float = 5.0  # expected negative pairs for each positive one
    exponent: float = 0.75  # contexts of negative pairs are drawn by count to this power
    prior: float = 1.0  # standard deviation of every coordinate of both vectors


@dataclass(frozen=True)
class Schedule:
    """A sweep updates every word's two vectors once. The step is constant, then falls linearly to ``last``."""

    sweeps: int = 100
    step: float = 0.3  # share of a diagonal Newton step
    last: float = 0.03
    decay: float = 0.5  # share of the sweeps over which the step falls
    momentum: float = 0.8
    precision: float = 0.2  # share of the new estimate in the running posterior precision
    precision_every: int = 2  # sweeps between such estimates, which cost as much as moving the means
    limit: float = 0.1  # largest move of a coordinate in one sweep


@dataclass(frozen=True)
class Run:
    seed: int = 1
    initial: str = "svd"  # or "random"
    block: int = 256  # words updated together
    bfloat16: bool = False  # matrix products over the samples in bfloat16
    evidence_every: int = 10  # sweeps between printed evidence bounds
    save_every: int = 10


@dataclass(frozen=True)
class WordsRecipe:
    family: str = FAMILY
    name: str = "words"
    summary: str = ""
    corpus: Corpus = field(default_factory=Corpus)
    model: Model = field(default_factory=Model)
    schedule: Schedule = field(default_factory=Schedule)
    run: Run = field(default_factory=Run)

    def hash(self) -> str:
        """Twelve hex digits that name this recipe."""
        return hashlib.sha256(repr(dataclasses.asdict(self)).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def words_from_dict(values: dict[str, Any]) -> WordsRecipe:
    """Check and build a recipe from nested dictionaries. Raises RecipeError that names the key."""
    recipe: WordsRecipe = build_tables(WordsRecipe, values, "")
    corpus, model, schedule, run = recipe.corpus, recipe.model, recipe.schedule, recipe.run
    checks = {
        f"family must be {FAMILY!r}": recipe.family == FAMILY,
        "corpus.vocabulary must be in 2..65536": 2 <= corpus.vocabulary <= 65536,
        "corpus.window must be in 1..100": 1 <= corpus.window <= 100,
        "corpus.draws must be in 1..100": 1 <= corpus.draws <= 100,
        "model.dimensions must be in 1..4096": 1 <= model.dimensions <= 4096,
        "model.negatives and model.prior must be positive": min(model.negatives, model.prior) > 0,
        "schedule.sweeps and precision_every must be positive": min(schedule.sweeps, schedule.precision_every) > 0,
        "schedule.step, precision and limit must be positive": min(schedule.step, schedule.precision, schedule.limit)
        > 0,
        "schedule.decay must be in [0, 1]": schedule.decay <= 1,
        "schedule.precision must be at most 1": schedule.precision <= 1,
        "schedule.momentum must be below 1": schedule.momentum < 1,
        "run.block times corpus.vocabulary must be below 2^31": run.block * corpus.vocabulary < 1 << 31,
        "run.initial must be 'svd' or 'random'": run.initial in ("svd", "random"),
        "run.block, evidence_every and save_every must be positive": min(run.block, run.evidence_every, run.save_every)
        > 0,
    }
    for message, good in checks.items():
        if not good:
            raise RecipeError(message)
    return recipe


def read_words_recipe(path: Path, settings: Sequence[str] = ()) -> WordsRecipe:
    """Read a TOML recipe, see ``recipe.read_tables``. Raises RecipeError where it cannot be read or a key is wrong."""
    try:
        return words_from_dict(read_tables(path, settings))
    except RecipeError as error:
        raise error if str(path) in str(error) else RecipeError(f"{path}: {error}") from error
