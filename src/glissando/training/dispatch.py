"""One command trains whatever a recipe describes: its key ``kind`` says what; a picture model's has none."""

from __future__ import annotations

from pathlib import Path

from glissando.errors import RecipeError

from .loop import run as run_pictures
from .recipe import read_toml
from .words import KIND as WORDS
from .words import run_words

__all__ = ["run"]

_TRAINERS = {None: run_pictures, WORDS: run_words}


def run(
    recipe_path: Path,
    data: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    minutes: float | None = None,
    threads: int | None = None,
) -> Path:
    """Train ``recipe_path`` and return what to use next: a picture model's checkpoint, or the words' posterior."""
    kind = read_toml(recipe_path).get("kind")
    trainer = _TRAINERS.get(kind) if kind is None or isinstance(kind, str) else None
    if trainer is None:
        raise RecipeError(f"{recipe_path}: kind must be {WORDS!r}, or left out for pictures, not {kind!r}")
    return trainer(recipe_path, data=data, out=out, resume=resume, minutes=minutes, threads=threads)
