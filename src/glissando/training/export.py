"""From a checkpoint to a model's folder: integers, weights, graphs, cards; checked against torch."""

from __future__ import annotations

import functools
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
from glissando.zoo.model import DECODER, ENCODER, HIGHEST_EFFORT, INTEGERS, checksums, open_folder

from .checkpoints import load_checkpoint
from .data import load_tiles, training_folder
from .eight_bits import roundings, write_in_eight_bits
from .family import FamilyExport, training_of
from .graph_export import ENCODER_FOLDER, write_graph
from .recipe import PictureRecipe, from_dict
from .steps import plain_steps, round_to_steps, sensitivities

__all__ = ["export", "export_encoder"]

ENCODER_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SMALL = 512  # values: smaller parameters are kept in float16, as vectors are
FLOATS = ("likelihood.",)  # few parameters from which tables are computed; kept in float32

Stored = NDArray[Any] | Stepped


def store_weights(
    recipe: PictureRecipe,
    weights: Mapping[str, Tensor],
    integer_parts: tuple[str, ...],
    stored: Mapping[str, Stepped],
    pictures: Callable[[], Tensor | None],
) -> dict[str, Stored]:
    """How each parameter is stored, those in integers.npz left out. Raises TrainingError where one does not fit.

    ``stored``: parameters that are rounded already, by name. How finely the others are rounded follows from training
    pictures (``steps``); where there are none, all steps are short.
    """
    found: dict[str, Stored] = {}
    matrices = [name for name, value in weights.items() if value.ndim > 1 and value.numel() >= SMALL]
    matrices = [name for name in matrices if not name.startswith(integer_parts) and not name.endswith(".table")]
    missing = [name for name in matrices if name not in stored]
    measured = _sensitivities(recipe, weights, pictures()) if missing else None
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


def _pictures(recipe: PictureRecipe, data: Path | None) -> Tensor | None:
    """Training pictures (N, 3, S, S) uint8; None where none are at hand."""
    try:
        folder = training_folder(data)
    except TrainingError:
        return None
    return load_tiles(folder, limit_gb=recipe.data.limit_gb).training


def _sensitivities(
    recipe: PictureRecipe, weights: Mapping[str, Tensor], pictures: Tensor | None
) -> dict[str, Tensor] | None:
    """How much each parameter matters on training pictures; None where there are none."""
    if pictures is None:
        return None
    objective = training_of(recipe.family).objective(recipe)
    network = objective.build(None)
    network.load_state_dict(dict(weights))
    return sensitivities(objective, network.eval(), pictures)


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
    the decoder keeps its hash. ``data``: the training's shards, which decide how finely each weight is stored and how
    an analysis is rounded to 8-bit integers, and to which some families fit their tables (default:
    ``$GLISSANDO_DATA/train``). ``created``: the card's date and time; now unless given.

    The folder appears whole: it is built beside its place and moved there. If it replaces a version of the model that
    has scores, the new card lists that version. Raises TrainingError where the checkpoint is none, or the exported
    files do not compute what torch computes.
    """
    state = load_checkpoint(checkpoint)
    created = created or _now()
    with atomic_folder(out_dir) as work:
        written = _write(work, state, data)
        _write_json(work / ENCODER_FOLDER / "card.json", _encoder_card(work / ENCODER_FOLDER, written, created))
        _keep_encoders(out_dir, work, written.decoder_hash)
        versions = earlier_versions(out_dir, written.recipe.name)
        _write_json(work / "card.json", _model_card(work, written, created, scores or {}, versions))
    return out_dir


def export_encoder(
    checkpoint: Path, model_folder: Path, name: str, efforts: Sequence[int] = (), data: Path | None = None
) -> Path:
    """Put the encoder of a checkpoint beside those of a model, under a name of its own; returns the encoder's folder.

    ``checkpoint``: of a training in which the model's decoder stayed as it was (``run.learns``). ``efforts``: the
    lowest and the highest effort at which it takes the place of the usual encoder; without, it is used where it is
    named. ``data``: as in ``export``.

    The folder appears whole, and replaces an earlier one of that name. Raises TrainingError where the checkpoint is
    none, has another decoder than the model, or the exported files do not compute what torch computes.
    """
    if not ENCODER_NAME.fullmatch(name) or name == ENCODER_FOLDER.name:
        raise TrainingError(f"an encoder's name is of small letters, digits and '-', and not 'default'; not {name!r}")
    if efforts and not (len(efforts) == 2 and 0 <= efforts[0] <= efforts[1] <= HIGHEST_EFFORT):
        raise TrainingError(f"efforts are the lowest and the highest, 0 to {HIGHEST_EFFORT}, not {list(efforts)}")
    if not model_folder.is_dir():
        raise TrainingError(f"{model_folder} is no model's folder")
    state, model = load_checkpoint(checkpoint), load_checkpoint(model_folder)
    encoder_parts = training_of(state["recipe"]["family"]).export.encoder_parts
    _check_decoder(checkpoint, state["ema"], model_folder, model["ema"], encoder_parts)
    _check_efforts(model_folder, name, efforts)
    stored = {key: array for key, array in model["stored"].items() if not key.startswith(encoder_parts)}
    place = model_folder / ENCODER_FOLDER.parent / name
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        written = _write(work, {**state, "stored": stored}, data)
        decoder, expected = written.decoder_hash, json.loads((model_folder / "card.json").read_text("utf-8"))["hash"]
        if decoder != expected:
            raise TrainingError(f"{checkpoint} has the decoder {decoder}, {model_folder} has {expected}")
        if efforts and written.ours.arrays.get(ENCODER):
            raise TrainingError(
                f"encoders of the family {written.recipe.family} have settings of their own, "
                "so that they can be used by name alone, without efforts"
            )
        card = _encoder_card(work / ENCODER_FOLDER, written, _now()) | {
            "name": name,
            "summary": written.recipe.summary,
            "efforts": list(efforts),
            "training": written.training,
        }
        with atomic_folder(place) as new:
            for file in (work / ENCODER_FOLDER).iterdir():
                shutil.copyfile(file, new / file.name)
            _write_json(new / "card.json", card)
    return place


def _check_decoder(
    checkpoint: Path,
    weights: Mapping[str, Tensor],
    model_folder: Path,
    expected: Mapping[str, Tensor],
    encoder_parts: tuple[str, ...],
) -> None:
    """Raises TrainingError where a checkpoint's decoder is not that of the model, to the last bit."""
    for name in sorted(weights.keys() | expected.keys()):
        if name.startswith(encoder_parts):
            continue
        if name not in weights or name not in expected or not torch.equal(weights[name], expected[name]):
            raise TrainingError(f"{checkpoint} has another decoder than {model_folder}: {name} differs")


def _check_efforts(model_folder: Path, name: str, efforts: Sequence[int]) -> None:
    """Raises TrainingError where another encoder of the model is used at one of these efforts."""
    for other in open_folder(model_folder).card.encoders.values():
        taken = [effort for effort in range(efforts[0], efforts[1] + 1) if other.takes_over(effort)] if efforts else []
        if taken and other.name != name:
            raise TrainingError(f"at effort {taken[0]} the encoder {other.name!r} of {model_folder} is used already")


def _keep_encoders(before: Path, work: Path, decoder_hash: str) -> None:
    """Take over the other encoders of the model that lies where the new one goes, if its decoder is the same."""
    try:
        if json.loads((before / "card.json").read_text(encoding="utf-8"))["hash"] != decoder_hash:
            return
    except (OSError, ValueError, KeyError, TypeError):
        return  # there is no folder yet, or it holds no model
    for folder in sorted(before.glob(f"{ENCODER_FOLDER.parent}/*")):
        if folder.name != ENCODER_FOLDER.name and folder.is_dir():
            shutil.copytree(folder, work / ENCODER_FOLDER.parent / folder.name)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class _Written:
    """A model whose files, but for the cards, have been written and verified."""

    recipe: PictureRecipe
    ours: FamilyExport
    files: dict[str, dict[str, Stored]]  # the arrays of decoder.npz and encoder.npz
    training: dict[str, Any]  # what cards say of it

    def values(self, file: str) -> dict[str, NDArray[Any]]:
        """The arrays of a file, as a network computes with them."""
        return {key: values_of(array) for key, array in self.files[file].items()}

    @property
    def network(self) -> dict[str, Any]:
        shape: dict[str, Any] = self.recipe.to_dict()["network"]
        return shape

    @property
    def decoder_hash(self) -> str:
        shape = family(self.recipe.family).decoder_configuration(self.network)
        return identity(self.recipe.family, shape, self.ours.integers, self.values(DECODER))

    def kmac_per_pixel(self, path: str) -> float:
        return round(training_of(self.recipe.family).cost(self.ours.network, path)["total"], 3)


def _write(work: Path, state: dict[str, Any], data: Path | None) -> _Written:
    """Write arrays and graphs of a checkpoint into an empty folder, and verify them."""
    recipe = from_dict(state["recipe"])
    training_of(recipe.family).reshaping.check_finished(state["ema"])
    make = training_of(recipe.family).export
    pictures = functools.cache(lambda: _pictures(recipe, data))  # read when they are first needed, and once
    stored = store_weights(recipe, state["ema"], make.integer_parts, state.get("stored", {}), pictures)
    shipped = {name: torch.from_numpy(values_of(array)) for name, array in stored.items()}
    ours = make(recipe, {**state["ema"], **shipped}, data)

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
    if make.analysis is not None and (seen := pictures()) is not None:
        name = family(recipe.family).encoder_graphs[0]
        write_in_eight_bits(name, roundings(ours.network, make.analysis, seen), seen[0], work)
    training = {**_counted(recipe, state), "differences_from_torch": ours.verify(work)}
    return _Written(recipe, ours, files, training)


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


def _encoder_card(folder: Path, written: _Written, created: str) -> dict[str, Any]:
    """The card of the encoder whose files lie in ``folder``."""
    recipe = written.recipe
    own = family(recipe.family).encoder_configuration(written.network)
    return {
        "name": ENCODER_FOLDER.name,
        "hash": identity(recipe.family, own, {}, written.values(ENCODER), pixels=""),
        "created": created,
        "configuration": own,
        "kmac_per_pixel": written.kmac_per_pixel("encode"),
        "files": checksums(folder),
    }


def _model_card(
    folder: Path, written: _Written, created: str, scores: dict[str, Any], versions: list[dict[str, Any]]
) -> dict[str, Any]:
    """The card of the model whose files lie in ``folder``."""
    recipe = written.recipe
    return {
        "name": recipe.name,
        "family": recipe.family,
        "summary": recipe.summary,
        "licence": "MIT",
        "hash": written.decoder_hash,
        "created": created,
        "configuration": family(recipe.family).decoder_configuration(written.network),
        "parameters": sum(p.numel() for p in written.ours.network.parameters()),
        "decode_kmac_per_pixel": written.kmac_per_pixel("decode"),
        "encoder": ENCODER_FOLDER.name,
        "files": checksums(folder),
        "training": written.training,
        "scores": scores,
        "versions": versions,
    }
