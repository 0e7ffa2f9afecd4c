"""Whether a decoder gains by knowing refined latents: trained on them, against trained as long on the encoder's own.

    python -m benchmarks.refined_decoder measure --data DIR --work FOLDER --json refined.json     # DIR holds train/
    python -m benchmarks.refined_decoder report refined.json docs/effort.md

Crops of the training pictures are analysed, and refined at effort 6, each at a quality of its own. Then all that a
decoder computes with (synthesis, means, scale network, gains) is trained on by the recipe's own loss, for latents that
stay: once for those of the encoder, once for the refined ones, by the same steps. Both models are exported, and judged
on held-out tiles, at the default effort and at effort 6, by J = bits + λ·D of files and of what they decode to.

``--work`` keeps latents and models, by what they were made of, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import glissando
from glissando import zoo
from glissando.codec import Codec
from glissando.codec.effort import DEFAULT_EFFORT
from glissando.codec.quality import LocalQuality, Quality
from glissando.codec.refinement import Refiner, Target
from glissando.families.gains.objective import GainsObjective
from glissando.families.gains.recipe import GainsRecipe
from glissando.files import atomic_file
from glissando.machine import Machine
from glissando.training.checkpoints import load_checkpoint
from glissando.training.crops import Crops
from glissando.training.data import Tiles, load_tiles, training_folder
from glissando.training.export import export
from glissando.training.optimiser import build_optimisers, learning_factor, set_rates
from glissando.training.recipe import from_dict

from .commands import run_study
from .documents import table, update_blocks
from .tiles import evenly_chosen_tiles

__all__ = ["main", "markdown"]

SIDE = 256
QUALITIES = (25.0, 60.0)
EFFORT = 6
KINDS = {"own": DEFAULT_EFFORT, "refined": EFFORT}
"""The latents that a decoder is trained on, and the effort that makes them."""
BATCH = 8


def _latents(codec: Codec, tiles: Tiles, count: int, work: Path) -> dict[str, Any]:
    """Crops (N, 3, SIDE, SIDE) uint8, their qualities (N,), and for each kind y and z, (N, h, w, channels) float32."""
    path = work / f"latents-{codec.card.hash}-{count}.pt"
    if path.exists():
        found: dict[str, Any] = torch.load(path, weights_only=True)
        return found
    crops = Crops(tiles.training, SIDE, count, torch.Generator().manual_seed(7), halved=0.5, choices=2).next()
    pictures = (255 * crops).round().to(torch.uint8)
    quality = 100 * (torch.arange(count) + 0.5) / count
    kept: dict[str, list[NDArray[np.float32]]] = {f"{kind}.{name}": [] for kind in KINDS for name in ("y", "z")}
    for number, picture in enumerate(pictures):
        own = codec.analyse(picture.permute(1, 2, 0).numpy().copy())
        refined = codec.refine(own, float(quality[number]), EFFORT)
        for kind, of in (("own", own), ("refined", refined)):
            kept[f"{kind}.y"].append(of.latents.y)
            kept[f"{kind}.z"].append(of.latents.z)
        if number % 20 == 19:
            print(f"refined {number + 1} of {count} crops", file=sys.stderr, flush=True)
    found = {"pictures": pictures, "quality": quality}
    found |= {name: torch.from_numpy(np.stack(arrays)) for name, arrays in kept.items()}
    with atomic_file(path) as file:
        torch.save(found, file)
    return found


class _Given(nn.Module):
    """In the place of a network that makes latents: answers with those that it was given."""

    value: Tensor

    def forward(self, _: Tensor) -> Tensor:
        return self.value


def _trained(model: Path, latents: dict[str, Any], kind: str, steps: int, work: Path) -> Path:
    """The folder of the model whose decoder was trained on for latents of a kind."""
    card = zoo.find(model).card
    folder = work / f"{kind}-{card.hash}-{len(latents['quality'])}-{steps}" / card.name
    if folder.exists():
        return folder
    state = load_checkpoint(model)
    recipe = from_dict(state["recipe"])
    assert isinstance(recipe, GainsRecipe)
    objective = GainsObjective(replace(recipe, quantisation=replace(recipe.quantisation, mode="straight-through")))
    network = objective.build(None)
    network.load_state_dict(state["ema"])
    network.train()
    torch.manual_seed(1)
    encoder = {name: network.get_submodule(name) for name in ("analysis", "hyper_analysis")}
    y, z = _Given(), _Given()
    network.analysis, network.hyper_analysis = y, z
    optimisers = build_optimisers(network, recipe.optimiser)
    average = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(steps):
        chosen = torch.randperm(len(latents["quality"]))[:BATCH]
        y.value, z.value = (latents[f"{kind}.{name}"][chosen].float().permute(0, 3, 1, 2) for name in ("y", "z"))
        picture = (latents["pictures"][chosen].float() / 255).contiguous(memory_format=torch.channels_last)
        loss = objective.loss(network, picture, latents["quality"][chosen])[0]
        known = loss.detach()
        if most := recipe.optimiser.outlier:
            loss = loss * (most * known.median() / known).clamp_max(1)
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.mean().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), recipe.optimiser.clip)
        for optimiser in optimisers:
            set_rates(optimiser, learning_factor(step, step / steps, 50, 1.0))
            optimiser.step()
        objective.constrain(network)
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1 / min(step + 1, 200))
        if step % 50 == 49:
            print(f"{kind}: step {step + 1} of {steps}, loss {float(known.mean()):.4f}", file=sys.stderr, flush=True)
    for name, module in encoder.items():
        average |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
    checkpoint = folder.parent.with_suffix(".pt")
    with atomic_file(checkpoint) as file:
        torch.save({**{key: state[key] for key in ("recipe", "progress", "data")}, "ema": average}, file)
    return export(checkpoint, folder)


def _costs(model: Path, tiles: Sequence[NDArray[np.uint8]], threads: int) -> dict[int, NDArray[np.float64]]:
    """J of each tile at each quality, by effort."""
    found: dict[int, list[float]] = {effort: [] for effort in KINDS.values()}
    with glissando.open_model(model, precision="f32", threads=threads) as codec:
        judge = Refiner(codec.engine, codec.family.refinement(codec.engine.model, codec.coding))
        for quality in QUALITIES:
            local = LocalQuality(Quality.of(quality))
            for tile in tiles:
                target = Target(tile, 8, codec.analyse(tile).grid)
                for effort, costs in found.items():
                    data = codec.encode(tile, quality, effort=effort)
                    costs.append(8 * len(data) + judge.loss(codec.decode(data), target, local))
    return {effort: np.array(costs) for effort, costs in found.items()}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """The table's numbers: the change of J against the model as it is, at the default effort, in per cent."""
    given.work.mkdir(parents=True, exist_ok=True)
    tiles = load_tiles(training_folder(given.data and given.data / "train"))
    model = zoo.find(given.model).folder
    with glissando.open_model(model, precision="f32", threads=given.threads) as codec:
        latents = _latents(codec, tiles, given.crops, given.work)
    torch.set_num_threads(given.threads)
    models = {"as it is": model}
    for kind in KINDS:
        models[kind] = _trained(model, latents, kind, given.steps, given.work)
    held_out = tiles.validation
    shown = evenly_chosen_tiles(held_out, given.pictures or 12, SIDE)
    costs = {label: _costs(folder, shown, given.threads) for label, folder in models.items()}
    base = costs["as it is"][DEFAULT_EFFORT]
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": Machine.this().described,
        "model": {"name": zoo.find(model).card.name, "hash": zoo.find(model).card.hash},
        "crops": given.crops,
        "steps": given.steps,
        "tiles": len(shown),
        "changes": {
            label: {str(effort): float(100 * np.mean(of / base - 1)) for effort, of in by_effort.items()}
            for label, by_effort in costs.items()
        },
    }


LABELS = {
    "as it is": "as it is",
    "own": "trained on for its encoder's latents",
    "refined": "trained on for refined latents",
}


def markdown(results: dict[str, Any]) -> str:
    """The table, and what it is of."""
    efforts = [str(effort) for effort in KINDS.values()]
    rows = [
        [LABELS[label], *(f"{changes[effort]:+.2f} %" for effort in efforts)]
        for label, changes in results["changes"].items()
    ]
    note = (
        f"The mean change of J over {results['tiles']} held-out tiles of {SIDE}×{SIDE} pixels at the qualities "
        f"{' and '.join(f'{quality:g}' for quality in QUALITIES)}; model {results['model']['name']} "
        f"({results['model']['hash']}), {results['steps']} steps of {BATCH} of {results['crops']} crops; "
        f"{results['measured'][:10]}, {results['machine']}."
    )
    return table(["the decoder", *(f"effort {effort}" for effort in efforts)], rows) + "\n\n" + note


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where it did what was asked, 1 after one line about what went wrong."""
    parser = argparse.ArgumentParser("benchmarks.refined_decoder", description=(__doc__ or "").split("\n\n")[0])

    def options(one: argparse.ArgumentParser) -> None:
        one.add_argument("--data", type=Path, metavar="DIR", help="holds train/; $GLISSANDO_DATA unless given")
        one.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="keeps latents and models")
        one.add_argument("--model", default="medium")
        one.add_argument("--crops", type=int, default=640)
        one.add_argument("--steps", type=int, default=1000)
        one.add_argument("--threads", type=int, default=1)

    return run_study(
        parser,
        arguments,
        options=options,
        measure=measure,
        markdown=markdown,
        report=lambda results, documents: update_blocks(documents, {"refined-decoder": markdown(results)}),
        documents={"nargs": 1},
    )


if __name__ == "__main__":
    sys.exit(main())
