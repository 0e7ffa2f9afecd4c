"""One command trains whatever a recipe describes: its key ``family`` says what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from glissando.errors import RecipeError, TrainingError
from glissando.families import families

from .distributed import started
from .loop import run as run_pictures
from .tables import read_tables
from .words import FAMILY as WORDS
from .words import run_words

__all__ = ["run"]


def run(
    recipe_path: Path,
    data: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    minutes: float | None = None,
    threads: int | None = None,
    settings: Sequence[str] = (),
) -> Path:
    """Train ``recipe_path`` and return what to use next: a picture model's checkpoint, or the words' posterior.

    ``settings``: keys of the recipe that this training changes, as "table.key=value".
    """
    family = read_tables(recipe_path, settings).get("family")
    known = [*(f.name for f in families()), WORDS]
    if family not in known:
        raise RecipeError(f"{recipe_path}: 'family' must be one of {', '.join(known)}, not {family!r}")
    train = run_words if family == WORDS else run_pictures
    if family == WORDS and started() > 1:
        raise TrainingError(f"{recipe_path}: word embeddings are trained in one process, without torchrun")
    return train(recipe_path, data=data, out=out, resume=resume, minutes=minutes, threads=threads, settings=settings)
