"""From a checkpoint to a model's folder: integers, weights, graphs, cards; checked against torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glissando.errors import TrainingError
from glissando.families import family
from glissando.files import atomic_folder
from glissando.zoo.arrays import Stepped, values_of, write_arrays
from glissando.zoo.identity import identity
from glissando.zoo.model import DECODER, ENCODER, INTEGERS, checksums

from .checkpoints import load_checkpoint
from .data import load_tiles, training_folder
from .family import FamilyExport, training_of
from .graph_export import ENCODER_FOLDER, write_graph
from .recipe import PictureRecipe, from_dict
from .steps import plain_steps, round_to_steps, sensitivities

__all__ = ["export"]


SMALL = 512  # values: smaller parameters are kept in float16, as vectors are
FLOATS = ("likelihood.",)  # few parameters from which tables are computed; kept in float32

Stored = NDArray[Any] | Stepped


def store_weights(
    recipe: PictureRecipe,
    weights: Mapping[str, Tensor],
    integer_parts: tuple[str, ...],
    stored: Mapping[str, Stepped],
    data: Path | None,
) -> dict[str, Stored]:
    """How each parameter is stored, those in integers.npz left out. Raises TrainingError where one does not fit.

    ``stored``: parameters that are rounded already, by name. How finely the others are rounded follows from training
    pictures (``steps``); where there are none, all steps are short.
    """
    found: dict[str, Stored] = {}
    matrices = [name for name, value in weights.items() if value.ndim > 1 and value.numel() >= SMALL]
    matrices = [name for name in matrices if not name.startswith(integer_parts) and not name.endswith(".table")]
    missing = [name for name in matrices if name not in stored]
    measured = _sensitivities(recipe, weights, data) if missing else None
    for name, value in weights.items():
        if name.startswith(integer_parts):
            continue
        if not torch.isfinite(value).all() or float(value.abs().max()) > np.finfo(np.float16).max:
            raise TrainingError(f"{name} does not fit into float16")
        if name in stored:
            found[name] = stored[name]
        elif name in missing:
            found[name] = plain_steps(value) if measured is None else round_to_steps(value, measured[name])
        else:
            dtype = np.float32 if name.startswith(FLOATS) else np.float16
            found[name] = value.detach().cpu().numpy().astype(dtype)
    return found


def _sensitivities(recipe: PictureRecipe, weights: Mapping[str, Tensor], data: Path | None) -> dict[str, Tensor] | None:
    """How much each parameter matters on training pictures; None where no training pictures are at hand."""
    try:
        folder = training_folder(data)
    except TrainingError:
        return None
    objective = training_of(recipe.family).objective(recipe)
    network = objective.build(None)
    network.load_state_dict(dict(weights))
    return sensitivities(objective, network.eval(), load_tiles(folder, limit_gb=recipe.data.limit_gb).training)


def earlier_versions(folder: Path, name: str) -> list[dict[str, Any]]:
    """A line for each version of this model that ``folder`` held and that was scored there, oldest first."""
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        if card["name"] != name:
            return []
        training, before = card["training"], list(card.get("versions", []))
        if not card["scores"]:
            return before
        counted = {key: training[key] for key in ("samples", "hours", "recipe_hash")}
        devices = list(dict.fromkeys(piece["device"] for piece in training.get("pieces", [])))
        own = {"name": name, "hash": card["hash"], "created": card["created"]}
        return [*before, {**own, **counted, "devices": devices, "scores": card["scores"]}]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # there is no folder yet, or it holds no model


def export(
    checkpoint: Path,
    out_dir: Path,
    scores: dict[str, Any] | None = None,
    data: Path | None = None,
    created: str | None = None,
) -> Path:
    """Turn a checkpoint into a model folder that ``glissando.open_model`` opens; returns ``out_dir``.

    ``checkpoint``: what training saved, or a model's folder; weights that are rounded there stay as they are, so that
    the decoder keeps its hash. ``data``: the training's shards, which decide how finely each weight is stored, and to
    which some families fit their tables (default: ``$GLISSANDO_DATA/train``). ``created``: the card's date and time;
    now unless given.

    The folder appears whole: it is built beside its place and moved there. If it replaces a version of the model that
    has scores, the new card lists that version. Raises TrainingError where the checkpoint is none, or the exported
    files do not compute what torch computes.
    """
    state = load_checkpoint(checkpoint)
    recipe = from_dict(state["recipe"])
    make = training_of(recipe.family).export
    stored = store_weights(recipe, state["ema"], make.integer_parts, state.get("stored", {}), data)
    shipped = {name: torch.from_numpy(values_of(array)) for name, array in stored.items()}
    ours = make(recipe, {**state["ema"], **shipped}, data)

    with atomic_folder(out_dir) as work:
        (work / ENCODER_FOLDER).mkdir(parents=True)
        write_arrays(work / INTEGERS, ours.integers)
        files: dict[str, dict[str, Stored]] = {DECODER: {}, ENCODER: {}}
        for name, array in stored.items():
            files[ENCODER if name.startswith(ours.encoder_parts) else DECODER][name] = array
        for file, arrays in files.items():
            arrays |= ours.arrays.get(file, {})
            write_arrays(work / (ENCODER_FOLDER if file == ENCODER else "") / file, arrays)
        for name, graph in ours.graphs().items():
            write_graph(name, graph, ours.examples(), work, stored)
        differences = ours.verify(work)
        created = created or datetime.now(UTC).isoformat(timespec="seconds")
        _write_cards(
            work,
            ours,
            recipe,
            files,
            created,
            scores or {},
            earlier_versions(out_dir, recipe.name),
            {**_counted(recipe, state), "differences_from_torch": differences},
        )
    return out_dir


def _counted(recipe: PictureRecipe, state: dict[str, Any]) -> dict[str, Any]:
    """What a card says of the training."""
    progress = state["progress"]
    return {
        "recipe": recipe.to_dict(),
        "recipe_hash": recipe.hash(),
        "steps": progress["step"],
        "samples": progress["samples"],
        "hours": round(progress["seconds"] / 3600, 2),
        "pieces": [{**p, "seconds": round(p["seconds"])} for p in progress["pieces"] if p["samples"]],
        "data": state.get("data", ""),
        "validation": progress["history"][-1] if progress["history"] else None,
    }


def _write_cards(
    folder: Path,
    ours: FamilyExport,
    recipe: PictureRecipe,
    files: dict[str, dict[str, Stored]],
    created: str,
    scores: dict[str, Any],
    versions: list[dict[str, Any]],
    training: dict[str, Any],
) -> None:
    """The cards of the model and of its encoder, once all their files are there."""
    network = recipe.to_dict()["network"]
    decoder, encoder = ({key: values_of(array) for key, array in files[file].items()} for file in (DECODER, ENCODER))
    announced, cost = family(recipe.family), training_of(recipe.family).cost
    own, shape = announced.encoder_configuration(network), announced.decoder_configuration(network)
    encoder_card = {
        "name": ENCODER_FOLDER.name,
        "hash": identity(recipe.family, own, {}, encoder, pixels=""),
        "created": created,
        "configuration": own,
        "kmac_per_pixel": round(cost(ours.network, "encode")["total"], 3),
        "files": checksums(folder / ENCODER_FOLDER),
    }
    card = {
        "name": recipe.name,
        "family": recipe.family,
        "summary": recipe.summary,
        "licence": "MIT",
        "hash": identity(recipe.family, shape, ours.integers, decoder),
        "created": created,
        "configuration": shape,
        "parameters": sum(p.numel() for p in ours.network.parameters()),
        "decode_kmac_per_pixel": round(cost(ours.network, "decode")["total"], 3),
        "encoder": ENCODER_FOLDER.name,
        "files": checksums(folder),
        "training": training,
        "scores": scores,
        "versions": versions,
    }
    for place, values in ((folder / ENCODER_FOLDER, encoder_card), (folder, card)):
        (place / "card.json").write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
