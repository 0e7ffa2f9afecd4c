"""The trainer of word embeddings: a recipe and a folder of text in, a Gaussian posterior per word out."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glissando.errors import TrainingError
from glissando.files import atomic_file

from ..logs import Log, clock
from .corpus import Text, count_pairs, read_text
from .initial import random_start, svd_start
from .model import Side, Update, both_sides, evidence, update_side
from .recipe import WordsRecipe, read_words_recipe, words_from_dict

__all__ = ["WordsTrainer", "run_words"]

POSTERIOR = "posterior.npz"


@dataclass
class Progress:
    """What a checkpoint counts."""

    sweep: int = 0
    seconds: float = 0.0
    history: list[list[float]] = field(default_factory=list)  # [sweep, evidence bound in nats per pair]


class WordsTrainer:
    """State of one training.

    Args:
        recipe: what to train.
        text: the corpus; its words are rearranged, see ``deal_words``.
    """

    def __init__(self, recipe: WordsRecipe, text: Text) -> None:
        self.recipe = recipe
        model, run = recipe.model, recipe.run
        self.text, self.ranks = deal_words(text, run.block)
        self.generator = torch.Generator().manual_seed(run.seed)
        counts = count_pairs(self.text, recipe.corpus, np.random.default_rng(run.seed))
        self.pairs, self.turned = both_sides(counts, run.block, model.negatives, model.exponent)
        start = svd_start if run.initial == "svd" else random_start
        u, v = start(counts, self.pairs, model.dimensions, self.generator)
        self.inputs, self.contexts = Side.around(u, model.prior), Side.around(v, model.prior)
        self.progress = Progress()

    def sweep(self, progress: float) -> None:
        """Update every input vector, then every context vector. ``progress``: share of the training done."""
        plan, number = self.recipe.schedule, self.progress.sweep
        fall = min(1.0, (1 - progress) / plan.decay) if plan.decay else 1.0
        first = number == 0  # the first sweep only measures the precisions
        update = Update(
            step=0.0 if first else plan.last + (plan.step - plan.last) * fall,
            momentum=0.0 if first else plan.momentum,
            precision=1.0 if first else plan.precision * (number % plan.precision_every == 0),
            limit=plan.limit,
            prior=self.recipe.model.prior,
            dtype=torch.bfloat16 if self.recipe.run.bfloat16 else torch.float32,
        )
        for side, other, pairs in (
            (self.inputs, self.contexts, self.pairs),
            (self.contexts, self.inputs, self.turned),
        ):
            update_side(side, other.sample(self.generator), pairs, update, self.generator)
        if first:
            for side in (self.inputs, self.contexts):
                side.velocity.zero_()
        self.progress.sweep += 1

    def evidence(self) -> float:
        """The evidence lower bound in nats per positive pair. It draws nothing from the training's random numbers."""
        noise = torch.Generator().manual_seed(0)
        return evidence(self.inputs, self.contexts, self.pairs, self.recipe.model.prior, noise)

    def posterior(self) -> dict[str, Any]:
        """The input vectors, most frequent word first.

        words: str [V]; counts: int64 [V]; mean, std: float32 [V, d]; training: a JSON text that describes
        the training.
        """
        order = np.argsort(self.ranks)
        return {
            "words": np.array(self.text.words)[order],
            "counts": self.text.counts[order],
            "mean": self.inputs.mean.numpy()[order],
            "std": self.inputs.std.numpy()[order],
            "training": np.array(json.dumps(self.describe())),
        }

    def describe(self) -> dict[str, Any]:
        """Recipe, length and outcome of the training."""
        progress = self.progress
        return {
            "recipe": f"{self.recipe.name} [{self.recipe.hash()}]",
            "sweeps": progress.sweep,
            "seconds": round(progress.seconds, 1),
            "threads": torch.get_num_threads(),
            "evidence": progress.history[-1][1] if progress.history else None,
            "corpus_words": self.text.total,
        }

    # Checkpoints ------------------------------------------------------------------------------------

    def save(self, out: Path) -> Path:
        """Write ``last.pt``, with all that a resumed training needs, and ``posterior.npz``; returns the latter."""
        state = {
            "family": self.recipe.family,
            "recipe": self.recipe.to_dict(),
            "words": self.text.words,
            "inputs": self.inputs.__dict__,
            "contexts": self.contexts.__dict__,
            "generator": self.generator.get_state(),
            "progress": dataclasses.asdict(self.progress),
        }
        with atomic_file(out / "last.pt", sync=True) as checkpoint:
            torch.save(state, checkpoint)
        with atomic_file(out / POSTERIOR, sync=True) as posterior:
            np.savez(posterior, **self.posterior())
        return out / POSTERIOR

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same text and dimensions. Raises TrainingError where it is none."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            words_from_dict(state["recipe"])
            inputs, contexts = Side(**state["inputs"]), Side(**state["contexts"])
            progress = Progress(**state["progress"])
            generator: Tensor = state["generator"]
            words = state["words"]
        except Exception as error:
            raise TrainingError(f"{path} is not a checkpoint of the words' trainer: {error}") from error
        arrays = [array.shape for side in (inputs, contexts) for array in side.__dict__.values()]
        if words != self.text.words or set(arrays) != {self.inputs.mean.shape}:
            raise TrainingError(f"{path} was trained on other words or dimensions than this recipe and text have")
        self.inputs, self.contexts, self.progress = inputs, contexts, progress
        self.generator.set_state(generator)


def deal_words(text: Text, block: int) -> tuple[Text, NDArray[np.intp]]:
    """The same corpus with its words dealt out, so that every block of words holds frequent and rare ones.

    Also each word's rank before, [V].
    """
    size = len(text.words)
    order = np.argsort(np.arange(size) % -(-size // block), kind="stable")
    place = np.empty(size, np.int32)
    place[order] = np.arange(size, dtype=np.int32)
    words = [text.words[i] for i in order]
    return dataclasses.replace(text, words=words, counts=text.counts[order], tokens=place[text.tokens]), order


def run_words(
    recipe_path: Path,
    data: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    minutes: float | None = None,
    threads: int | None = None,
    settings: Sequence[str] = (),
) -> Path:
    """Train ``recipe_path`` and return the path of the posterior.

    ``data``: folder of the text (default: ``$GLISSANDO_DATA/text``). ``minutes`` plans the training to end
    sooner than the recipe's sweeps would.
    """
    recipe = read_words_recipe(recipe_path, settings)
    if threads:
        torch.set_num_threads(threads)
    if data is None:
        if "GLISSANDO_DATA" not in os.environ:
            raise TrainingError("no text: give --data, or set GLISSANDO_DATA to the folder that holds text/")
        data = Path(os.environ["GLISSANDO_DATA"]) / "text"
    out = out or Path("runs") / recipe.name
    started = time.monotonic()
    trainer = WordsTrainer(recipe, read_text(data, recipe.corpus.vocabulary))
    if resume is not None:
        trainer.resume(resume)
    log = Log(out)
    text, plan, progress = trainer.text, recipe.schedule, trainer.progress
    print(
        f"{recipe.name} [{recipe.hash()}]: {text.total} words, the {len(text.words)} most frequent kept, the rarest "
        f"{text.counts.min()} times; {float(trainer.pairs.row_rate.sum()):.4g} pairs; {recipe.run.initial} start in "
        f"{clock(time.monotonic() - started)}",
        file=sys.stderr,
        flush=True,
    )
    began, carried = time.monotonic(), progress.seconds
    while True:
        elapsed = time.monotonic() - began
        done = max(progress.sweep / plan.sweeps, elapsed / (60 * minutes) if minutes else 0.0)
        if done >= 1:
            break
        trainer.sweep(done)
        progress.seconds = carried + time.monotonic() - began
        if progress.sweep % recipe.run.evidence_every == 0:
            report(trainer, log)
        if progress.sweep % recipe.run.save_every == 0:
            trainer.save(out)
    report(trainer, log)
    return trainer.save(out)


def report(trainer: WordsTrainer, log: Log) -> None:
    """Log the evidence bound and the spread of the posterior's standard deviations."""
    progress, std = trainer.progress, trainer.inputs.std
    bound = trainer.evidence()
    if not math.isfinite(bound):
        raise TrainingError(f"training diverged by sweep {progress.sweep}: lower schedule.step or schedule.limit")
    progress.history.append([progress.sweep, bound])
    low, middle, high = np.percentile(std.numpy(), [5, 50, 95]).tolist()
    scale = float(trainer.inputs.mean.square().mean().sqrt())
    record = {"evidence": bound, "std_5": low, "std_50": middle, "std_95": high, "mean_rms": scale}
    text = (
        f"evidence {bound:.5f} nats/pair  std 5 % {low:.3f}, 50 % {middle:.3f}, 95 % {high:.3f}  means' rms {scale:.3f}"
    )
    log(progress.sweep, record, f"sweep {progress.sweep:4d}  {text}  {clock(progress.seconds)}")
