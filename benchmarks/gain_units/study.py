"""One row of the study: train it, measure it, and write down what came out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from glissando.errors import GlissandoError
from glissando.files import atomic_write
from glissando.machine import Machine
from glissando.training.crops import Crops
from glissando.training.data import Tiles, load_tiles
from glissando.training.distortion import mse
from glissando.training.loop import flushed_denormals
from glissando.training.optimiser import build_optimisers, learning_factor, set_rates

from ..data import Picture, data_folder, evenly_chosen, load_pictures
from ..plans import Row, runs_of
from .measuring import curve, overhead, points_beyond
from .rates import Rated
from .recipe import GainRecipe, Plan
from .start import begin

__all__ = ["run", "train"]

SAMPLE = 256  # crops that a model begins from


@flushed_denormals()
def train(recipe: GainRecipe, tiles: Tiles, seed: int) -> tuple[Rated, dict[str, Any]]:
    """A trained model, and figures of its training. The same seed cuts the same crops for all rows."""
    data = recipe.data
    sample = Crops(tiles.training, 256, SAMPLE, torch.Generator().manual_seed(0)).next()
    rated = begin(recipe, sample, seed)
    generator = torch.Generator().manual_seed(seed)
    drawing = torch.Generator().manual_seed(seed)  # of qualities, apart, so that crops do not depend on the method
    crops = Crops(
        tiles.training, data.crop, data.batch, generator, halved=data.halved, choices=data.choices,
        procedural=data.procedural,
        drawn=data.drawn,
    )  # fmt: skip
    parameters = [parameter for parameter in rated.parameters() if parameter.requires_grad]
    optimisers = build_optimisers(rated, recipe.optimiser)
    torch.manual_seed(seed)
    steps, skipped, started = recipe.pictures // data.batch, 0, time.process_time()
    losses = []
    for step in range(steps):
        picture, quality = crops.next(), rated.draw(data.batch, drawing)
        decoded, bits = rated(picture, quality)
        bpp = bits / picture[0, 0].numel()
        each = bpp + recipe.rate.lambda_of(quality) * 255**2 * mse(decoded, picture)
        loss = (recipe.rate.weight_of(quality) * each).mean()
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, recipe.optimiser.clip)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            skipped += 1
            continue
        factor = learning_factor(step, step / steps, recipe.warmup, recipe.decay)
        for optimiser in optimisers:
            set_rates(optimiser, factor)
            optimiser.step()
        losses.append(float(loss.detach()))
        if (step + 1) % 200 == 0:
            seconds = time.process_time() - started
            print(f"  step {step + 1} of {steps}, {seconds:.0f} s, loss {np.mean(losses[-200:]):.3f}", file=sys.stderr)
    figures = {
        "steps": steps,
        "skipped": skipped,
        "ms_per_step": 1000 * (time.process_time() - started) / steps,
        "final_loss": float(np.mean(losses[-200:])) if losses else None,
    }
    return rated.eval(), figures


def measured(rated: Rated, recipe: GainRecipe, pictures: Sequence[Picture]) -> dict[str, Any]:
    """The curves of a trained model, and what its way to vary the rate costs."""
    wanted, method = recipe.measure, recipe.method
    qualities = (method.quality,) if method.kind == "dedicated" else wanted.qualities
    chosen, few = evenly_chosen(pictures, wanted.pictures), evenly_chosen(pictures, wanted.few)
    started = time.process_time()
    result: dict[str, Any] = {"curve": curve(rated, chosen, qualities), "overhead": overhead(rated)}
    if wanted.between:
        result["levels"] = curve(rated, few, torch.linspace(0, 100, method.levels).tolist())
        result["between"] = curve(rated, few, torch.linspace(0, 100, wanted.between).tolist())
    if wanted.beyond:
        result["beyond"] = points_beyond(rated, chosen)
    result["measuring_seconds"] = time.process_time() - started
    return result


def run(plan: Plan, out: Path, data: Path | None, only: str, threads: int) -> None:
    """Train and measure the rows whose result is not yet in ``out``, or is of another recipe."""
    torch.set_num_threads(threads)
    missing = [(row, seed) for row, seed in runs_of(plan.rows, only) if not _done(plan, row, seed, out)]
    if not missing:
        return
    folder = data_folder(data)
    pictures = load_pictures(folder)
    tiles = load_tiles(folder / "train")
    out.mkdir(parents=True, exist_ok=True)
    for number, (row, seed) in enumerate(missing):
        if _done(plan, row, seed, out):  # another process was faster
            continue
        print(f"{number + 1} of {len(missing)}: {row.group} / {row.name}, seed {seed}", file=sys.stderr, flush=True)
        recipe = plan.recipe_of(row)
        try:
            rated, figures = train(recipe, tiles, seed)
            result = measured(rated, recipe, pictures)
        except GlissandoError as error:
            print(f"  {error}", file=sys.stderr)
            continue
        head = {"group": row.group, "name": row.name, "seed": seed, "hash": recipe.hash()}
        foot = {"machine": Machine.this().described}
        text = json.dumps({**head, **figures, **result, **foot}, indent=1)
        atomic_write(row.path(out, seed), f"{text}\n".encode())
        print("  " + "  ".join(f"{bpp:.3f}/{psnr:.2f}" for _, bpp, psnr in result["curve"]), file=sys.stderr)


def _done(plan: Plan, row: Row, seed: int, out: Path) -> bool:
    """Whether a row's result is there, and of the recipe as it is now."""
    path = row.path(out, seed)
    if not path.exists():
        return False
    found: str = json.loads(path.read_text(encoding="utf-8")).get("hash", "")
    return found == plan.recipe_of(row).hash()
