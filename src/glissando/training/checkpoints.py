"""Checkpoints of trainings, weights of shipped models, both of all versions; and what a training counts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glissando.errors import ModelError, ModelMismatchError, TrainingError
from glissando.files import atomic_file
from glissando.zoo.arrays import Stepped, read_arrays, values_of
from glissando.zoo.model import DECODER, ENCODER, INTEGERS

from .family import training_of

__all__ = ["Progress", "compact", "load_checkpoint"]

NOT_RECORDED = "not recorded"
LARGE = 512  # values from which on a matrix is stored in float16


@dataclass
class Progress:
    """What a checkpoint counts, since the model's start."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    skipped: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    # A training in pieces, and for each: samples, seconds, device, and the recipe's hash.
    pieces: list[dict[str, Any]] = field(default_factory=list)

    def begin_piece(self, device: str, recipe: str) -> None:
        """Count pictures and time for this device from here on."""
        self.pieces.append({"samples": 0, "seconds": 0.0, "device": device, "recipe": recipe})

    def count(self, samples: int) -> None:
        """Count one step of ``samples`` pictures."""
        self.step += 1
        self.samples += samples
        if self.pieces:
            self.pieces[-1]["samples"] += samples

    def spend(self, seconds: float) -> None:
        self.seconds += seconds
        if self.pieces:
            self.pieces[-1]["seconds"] += seconds


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, or a shipped model's folder (weights and counts, no optimiser).

    Raises TrainingError where it is neither.
    """
    if path.is_dir():
        return _load_shipped(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(f"cannot read checkpoint {path}: {error}") from error
    if not isinstance(state, dict) or "ema" not in state:
        raise TrainingError(f"{path} is not a checkpoint of this trainer")
    try:
        # The hash is that of the recipe as it was written then, not of its translation.
        text = repr(state["recipe"])
        return _translated(state, hashlib.sha256(text.encode()).hexdigest()[:12])
    except (KeyError, TypeError, ValueError, ModelMismatchError) as error:
        raise TrainingError(f"{path} is not a checkpoint of this trainer: {error!r}") from error


def compact(checkpoint: Path, out: Path) -> None:
    """Write a checkpoint a sixth as large, from which a training can go on: averaged weights, large matrices in
    float16, and counts.

    Momenta are left out; the warm-up of the training that goes on rebuilds them. Raises TrainingError where
    ``checkpoint`` is none, or a weight does not fit into float16.
    """
    state = load_checkpoint(checkpoint)
    weights: dict[str, Tensor] = {}
    for name, value in state["ema"].items():
        large = value.ndim > 1 and value.numel() >= LARGE and not name.endswith(".table")
        weights[name] = value.half() if large else value
        if not torch.isfinite(weights[name]).all():
            raise TrainingError(f"{checkpoint}: {name} does not fit into float16")
    small: dict[str, Any] = {key: state[key] for key in ("recipe", "progress", "data") if key in state}
    with atomic_file(out, sync=True) as file:
        torch.save(small | {"ema": weights}, file)


def _translated(state: dict[str, Any], recipe_hash: str) -> dict[str, Any]:
    """A checkpoint of an older trainer in today's form. It had a schedule of steps, and counts without pieces."""
    recipe, progress = state["recipe"], state["progress"]
    schedule = recipe.get("schedule", {})
    if "steps" in schedule:
        rest = {key: value for key, value in schedule.items() if key != "steps"}
        samples = schedule["steps"] * recipe["data"]["batch"]
        recipe = {**recipe, "schedule": {"samples": samples, **rest}}
    if "pieces" not in progress:
        counted = {"samples": progress["samples"], "seconds": progress["seconds"]}
        pieces = [{**counted, "device": NOT_RECORDED, "recipe": recipe_hash}] if progress["samples"] else []
        progress = {**progress, "pieces": pieces}
    recipe = training_of(recipe["family"]).written_before(recipe)
    return {**state, "recipe": recipe, "progress": progress}


def _load_shipped(folder: Path) -> dict[str, Any]:
    """The weights that a model folder holds, as a checkpoint without the optimisers' state."""
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        encoder = folder / "encoders" / card["encoder"]
        stored = {**read_arrays(folder / DECODER), **read_arrays(encoder / ENCODER)}
        weights: dict[str, Tensor] = {name: torch.from_numpy(values_of(array)) for name, array in stored.items()}
        integers = {name: values_of(array) for name, array in read_arrays(folder / INTEGERS).items()}
        counts = card["training"]
        recipe = counts["recipe"]
        weights |= training_of(recipe["family"]).integer_weights(recipe["network"], integers)
        progress = {
            "step": counts["steps"],
            "samples": counts["samples"],
            "seconds": 3600.0 * counts["hours"],
            "history": [counts["validation"]] if counts["validation"] else [],
        }
        if "pieces" in counts:
            progress["pieces"] = counts["pieces"]
        state = {
            "recipe": recipe,
            "ema": {name: value for name, value in weights.items() if "." in name},  # the codec has the others
            "stored": {name: array for name, array in stored.items() if isinstance(array, Stepped)},
            "progress": progress,
            "data": counts["data"],
        }
        return _translated(state, counts["recipe_hash"])
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, ImportError, ModelError) as error:
        raise TrainingError(f"{folder} is not a shipped model: {error}") from error
