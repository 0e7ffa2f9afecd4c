"""From a checkpoint to a shipped model: integers, float16 weights, graphs, card; checked against torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from glissando.errors import TrainingError
from glissando.families import family
from glissando.files import atomic_folder
from glissando.zoo.model import hash_files

from .checkpoints import load_checkpoint
from .family import training_of
from .graph_export import WEIGHTS, write_graph
from .recipe import from_dict

__all__ = ["export"]


def half_weights(
    network: nn.Module, encoder_parts: tuple[str, ...], integer_parts: tuple[str, ...] = ()
) -> dict[str, dict[str, NDArray[np.float16]]]:
    """Float16 parameters by file: the decoder's, with everything that training needs to resume, and the encoder's."""
    files: dict[str, dict[str, NDArray[np.float16]]] = {name: {} for name in WEIGHTS}
    for name, value in network.state_dict().items():
        if name.startswith(integer_parts):
            continue
        array = value.detach().cpu().numpy().astype(np.float16)
        if not np.isfinite(array).all():
            raise TrainingError(f"{name} does not fit into float16")
        files["encoder.npz" if name.startswith(encoder_parts) else "decoder.npz"][name] = array
    return files


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
        return [*before, {"hash": card["hash"], **counted, "devices": devices, "scores": card["scores"]}]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # no folder yet, or none of ours


def export(checkpoint: Path, out_dir: Path, scores: dict[str, Any] | None = None, data: Path | None = None) -> Path:
    """Turn a checkpoint into a model folder that ``glissando.open_model`` opens; returns ``out_dir``.

    ``data``: the training's shards, for families whose tables are fitted to pictures (default:
    ``$GLISSANDO_DATA/train``). The folder appears whole: it is built beside its place and moved there. Of a scored
    version of the model that was there before, the new card keeps a line. Raises TrainingError where the checkpoint is
    none, or the exported files do not compute what torch computes.
    """
    state = load_checkpoint(checkpoint)
    recipe = from_dict(state["recipe"])
    announced, training = family(recipe.family), training_of(recipe.family)
    ours = training.export(recipe, state["ema"], data)
    files = half_weights(ours.network, ours.encoder_parts, ours.integer_parts)
    shipped = {name: array for arrays in files.values() for name, array in arrays.items()}
    ours.round_weights({name: torch.from_numpy(array.astype(np.float32)) for name, array in shipped.items()})

    with atomic_folder(out_dir) as work:
        np.savez_compressed(work / "integers.npz", **ours.integers)  # type: ignore[arg-type]
        for name, arrays in files.items():
            np.savez(work / name, **arrays, **ours.arrays.get(name, {}))  # type: ignore[arg-type]
        for name, graph in ours.graphs().items():
            write_graph(name, graph, ours.examples(), work)
        differences = ours.verify(work)
        progress, shape = state["progress"], recipe.to_dict()["network"]
        card = {
            "name": recipe.name,
            "family": recipe.family,
            "summary": recipe.summary,
            "licence": "MIT",
            "hash": hash_files(work).hex(),
            "encoder_hash": hash_files(work, announced.encoder_files).hex(),
            "parameters": sum(p.numel() for p in ours.network.parameters()),
            "halo": max(announced.decoder_halo(shape), announced.encoder_halo(shape)),
            "decode_kmac_per_pixel": round(training.cost(ours.network, "decode")["total"], 3),
            "encode_kmac_per_pixel": round(training.cost(ours.network, "encode")["total"], 3),
            "training": {
                "recipe": recipe.to_dict(),
                "recipe_hash": recipe.hash(),
                "steps": progress["step"],
                "samples": progress["samples"],
                "hours": round(progress["seconds"] / 3600, 2),
                "pieces": [{**p, "seconds": round(p["seconds"])} for p in progress["pieces"] if p["samples"]],
                "data": state.get("data", ""),
                "validation": progress["history"][-1] if progress["history"] else None,
                "differences_from_torch": differences,
            },
            "scores": scores or {},
            "versions": earlier_versions(out_dir, recipe.name),
        }
        (work / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return out_dir
