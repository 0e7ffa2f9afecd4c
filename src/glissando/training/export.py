"""From a checkpoint to a shipped model: integers, float16 weights, graphs, card; checked against torch."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glissando.errors import TrainingError
from glissando.models.cost import PictureNetwork, halo, kmac_per_pixel
from glissando.models.graphs import ExportedGraph
from glissando.zoo.model import ENCODER, hash_files

from .export_content import ContentExport
from .export_gains import GainsExport
from .export_vae import VaeExport
from .graph_export import WEIGHTS, Examples, write_graph
from .loop import load_checkpoint
from .recipe import ContentRecipe, PictureRecipe, VaeRecipe, from_dict

__all__ = ["export"]


class Exported(Protocol):
    """What a family adds to an export."""

    encoder_parts: tuple[str, ...]  # beginnings of the parameters' names that only an encoder needs
    integer_parts: tuple[str, ...]  # ... and of those that integers.npz holds, and no other file
    integers: dict[str, NDArray[Any]]  # of integers.npz
    arrays: dict[str, dict[str, NDArray[Any]]]  # what goes into decoder.npz and encoder.npz beside the weights

    @property
    def network(self) -> PictureNetwork: ...

    def graphs(self) -> dict[str, ExportedGraph]:
        """What is written as NAME.onnx."""

    def round_weights(self, weights: dict[str, Tensor]) -> None:
        """Take the shipped, rounded weights over into the network."""

    def examples(self) -> Examples:
        """Inputs of its graphs."""

    def verify(self, folder: Path) -> dict[str, float]:
        """Check what was written against torch; the largest difference of each graph. Raises TrainingError."""


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


def _of_family(recipe: PictureRecipe, weights: dict[str, Tensor], data: Path | None) -> Exported:
    if isinstance(recipe, VaeRecipe):
        return VaeExport(recipe, weights, data)
    if isinstance(recipe, ContentRecipe):
        return ContentExport(recipe, weights, data)
    return GainsExport(recipe, weights)


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
    ours = _of_family(recipe, state["ema"], data)
    files = half_weights(ours.network, ours.encoder_parts, ours.integer_parts)
    shipped = {name: array for arrays in files.values() for name, array in arrays.items()}
    ours.round_weights({name: torch.from_numpy(array.astype(np.float32)) for name, array in shipped.items()})

    out_dir.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}-", dir=out_dir.parent))
    try:
        np.savez_compressed(work / "integers.npz", **ours.integers)  # type: ignore[arg-type]
        for name, arrays in files.items():
            np.savez(work / name, **arrays, **ours.arrays.get(name, {}))  # type: ignore[arg-type]
        for name, graph in ours.graphs().items():
            write_graph(name, graph, ours.examples(), work)
        differences = ours.verify(work)
        progress = state["progress"]
        card = {
            "name": recipe.name,
            "family": recipe.family,
            "summary": recipe.summary,
            "licence": "MIT",
            "hash": hash_files(work).hex(),
            "encoder_hash": hash_files(work, ENCODER[recipe.family]).hex(),
            "parameters": sum(p.numel() for p in ours.network.parameters()),
            "width": recipe.network.width,
            "halo": halo(ours.network),
            "decode_kmac_per_pixel": round(kmac_per_pixel(ours.network, "decode")["total"], 3),
            "encode_kmac_per_pixel": round(kmac_per_pixel(ours.network, "encode")["total"], 3),
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
        os.chmod(work, 0o755)
        if out_dir.exists():
            old = out_dir.with_name(f".{out_dir.name}-old")
            shutil.rmtree(old, ignore_errors=True)
            os.replace(out_dir, old)
            os.replace(work, out_dir)
            shutil.rmtree(old)
        else:
            os.replace(work, out_dir)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return out_dir
