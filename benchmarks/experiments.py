"""Short, controlled trainings: what does each key of a recipe decide?

    python -m benchmarks.experiments run benchmarks/experiments.toml OUT [--only TEXT] [--threads N]
    python -m benchmarks.experiments report benchmarks/experiments.toml OUT [docs/training.md]

The TOML file names a recipe, keys that all runs change, and rows; a row changes some keys more. Every row is trained
from the start, or from the checkpoint or model folder that ``resume`` names, with the same seeds, the same pictures in
the same order and for the same number of pictures, with learning rates that decay to zero. Its averaged weights then
code the held-out pictures (held out by picture, see docs/training.md). Rates there are the cross-entropy of the rounded
symbols under the integer scale network, which files exceed by 0.2 %; distortion is that of 8-bit pixels. BD-rates are
against the first row at the same seed.

``run`` writes one JSON file for each row and seed into OUT and leaves alone what is there already, so that it can be
stopped and started again, or run on several cores beside each other; a row that was stopped goes on from its last
checkpoint. ``--pictures`` trains all rows at another size; each size needs a folder of its own. Needs
``glissando[train]``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from glissando.bench.bdrate import Curve, bd_rate
from glissando.errors import BenchmarkError, GlissandoError
from glissando.families.gains.cost import kmac_per_pixel
from glissando.families.gains.network import GainsNetwork
from glissando.families.gains.recipe import GainsRecipe
from glissando.files import atomic_write
from glissando.machine import Machine
from glissando.training.data import Tiles, load_tiles, training_folder
from glissando.training.hardware import choose_device
from glissando.training.loop import Trainer, flushed_denormals, learning_factor, load_checkpoint
from glissando.training.trainer import begun

from .commands import run_trainings
from .documents import update_blocks
from .plans import Plan, Row, read_plan, runs_of, take_pictures

QUALITIES = (0.0, 10.0, 20.0, 35.0, 50.0, 65.0, 80.0, 90.0, 100.0)
LOW = 5  # so many of them are the low rates, whose BD-rate is a column of its own
SAVED = 250  # steps between two checkpoints of a run
DRAWN = 40  # histograms of a decay's masks that a run records at most
TIMED = 16  # steps of the reference during each run: processors differ, and others share them


def faster_precision(recipe: GainsRecipe, tiles: Tiles) -> bool:
    """Whether training steps are faster in bfloat16 here; all runs then are as the first."""
    trainer = Trainer(recipe, tiles, choose_device(), Path(), fresh=False)
    trainer.choose_precision()
    return trainer.autocast


@flushed_denormals()
def train(plan: Plan, row: Row, seed: int, tiles: Tiles, out: Path, *, bfloat16: bool) -> dict[str, Any]:
    """Train one row and measure it; ``out`` is the folder of all rows' results.

    A run that was stopped goes on from its last checkpoint; what it has measured of times is then measured anew.
    """
    reference = Trainer(plan.recipe_of(plan.rows[0], seed), tiles, choose_device(), Path(), fresh=False)
    reference.use_bfloat16(bfloat16)
    recipe, start = plan.recipe_of(row, seed, out), plan.start_of(row, seed, out)
    part, drawn_path = _parts(row, seed, out)
    before = load_checkpoint(start)["progress"]["samples"] if start else 0
    trainer = begun(recipe, tiles, choose_device(), out, resume=part if part.exists() else start)
    trainer.use_bfloat16(bfloat16)
    trainer.objective.qualities = QUALITIES
    steps = plan.steps_of(row)
    seconds: list[float] = []
    reference_seconds: list[float] = []
    drawn: list[dict[str, float]] = json.loads(drawn_path.read_text()) if part.exists() else []
    started = time.monotonic()
    for step in range((trainer.progress.samples - before) // recipe.data.batch, steps):
        if step % max(1, steps // TIMED) == 0 or not reference_seconds:
            with torch.random.fork_rng():  # the row's noise is as it would be without
                reference_seconds.append(_timed_step(reference, 1.0))
        trainer.share = step / steps
        warm = min(step, trainer.progress.step - trainer.warm_from)
        seconds.append(_timed_step(trainer, learning_factor(warm, trainer.share, plan.warmup, recipe.schedule.decay)))
        masks = trainer.family.reshaping.figures(trainer.network)
        if masks and (step + 1) % max(1, steps // DRAWN) == 0:
            drawn.append({"step": step + 1, **masks})
        if (step + 1) % SAVED == 0:
            atomic_write(drawn_path, json.dumps(drawn).encode())
            trainer.save(part)
            print(f"  step {step + 1} of {steps}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    curve = [[r["quality"], r["bpp"], r["psnr"]] for r in trainer.validate()]
    if plan.keeps(row):
        trainer.save(row.checkpoint(out, seed))
    network = trainer.ema
    assert isinstance(network, GainsNetwork)
    network.cpu()  # where multiply-adds are counted, after the curve was measured
    return {
        "group": row.group,
        "name": row.name,
        "seed": seed,
        "recipe": trainer.recipe.to_dict(),
        "hash": recipe.hash(),
        "resumed": before,
        "steps": steps,
        "skipped": int(trainer.progress.skipped),
        "processor_ms_per_picture": 1000 * median(seconds or [0.0]) / recipe.data.batch,
        "reference_ms_per_picture": 1000 * median(reference_seconds or [0.0]) / reference.recipe.data.batch,
        "bfloat16": bfloat16,
        "kmac": {path: kmac_per_pixel(network, path)["total"] for path in ("encode", "decode")},
        "curve": curve,
        "masks": drawn,
        "machine": Machine.this().described,
    }


def _parts(row: Row, seed: int, out: Path) -> tuple[Path, Path]:
    """Where a run that may be stopped keeps its last checkpoint, and the histograms of masks until then."""
    path = row.path(out, seed)
    return path.with_suffix(".part.pt"), path.with_suffix(".part.json")


def _timed_step(trainer: Trainer, factor: float) -> float:
    """One step's seconds of this process alone: others may share the core."""
    before = time.process_time()
    trainer.step(factor)
    return time.process_time() - before


def run(plan: Plan, out: Path, data: Path, only: str, threads: int) -> None:
    """Train what is not yet in ``out``."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    missing = [(row, seed) for row, seed in runs_of(plan.rows, only) if not row.path(out, seed).exists()]
    if not missing:
        return
    tiles = load_tiles(data)
    bfloat16 = faster_precision(plan.recipe_of(plan.rows[0], 1), tiles)
    for number, (row, seed) in enumerate(missing):
        path = row.path(out, seed)
        if path.exists():  # another process was faster
            continue
        print(f"{number + 1} of {len(missing)}: {row.group} / {row.name}, seed {seed}", file=sys.stderr, flush=True)
        try:
            result = train(plan, row, seed, tiles, out, bfloat16=bfloat16)
        except GlissandoError as error:
            print(f"  {error}", file=sys.stderr)
            continue
        atomic_write(path, (json.dumps(result, indent=1) + "\n").encode())
        for part in _parts(row, seed, out):
            part.unlink(missing_ok=True)
        points = "  ".join(f"{bpp:.3f}/{psnr:.2f}" for _, bpp, psnr in result["curve"])
        print(f"  {points}", file=sys.stderr, flush=True)


def _curve(result: dict[str, Any], points: int | None = None) -> Curve:
    return Curve.of(result["name"], [(bpp, psnr) for _, bpp, psnr in result["curve"][:points]], strict=False)


def _against(reference: dict[str, Any], result: dict[str, Any], points: int | None = None) -> float:
    return bd_rate(_curve(reference, points), _curve(result, points)).percent


def _time_ratio(reference: dict[str, Any], result: dict[str, Any]) -> float:
    """Of a picture's training step. Runs that did not time the reference were made where its own run was."""
    alike: float = result.get("reference_ms_per_picture", reference["processor_ms_per_picture"])
    return float(result["processor_ms_per_picture"] / alike)


def _mean_and_range(values: list[float]) -> str:
    """Mean of the seeds, and their distance from it."""
    text = f"{fmean(values):+.1f} %"
    return f"{text} ± {(max(values) - min(values)) / 2:.1f}" if len(values) > 1 else text


def markdown(plan: Plan, out: Path) -> str:
    """The tables, one for each group. Rows not yet trained are left out; BenchmarkError without the reference."""
    found = {
        (row.group, row.name, seed): json.loads(row.path(out, seed).read_text(encoding="utf-8"))
        for row, seed in runs_of(plan.rows)
        if row.path(out, seed).exists()
    }
    first = plan.rows[0]
    reference = {
        seed: found[first.group, first.name, seed] for seed in first.seeds if (first.group, first.name, seed) in found
    }
    if not reference:
        raise BenchmarkError(f"{out} holds no run of the reference, {first.group} / {first.name}")
    lines: list[str] = []
    for group in dict.fromkeys(row.group for row in plan.rows):
        body = [line for row in plan.rows if row.group == group and (line := _line(row, found, reference))]
        if body:
            head = [
                f"**{group}**",
                "",
                "| keys | BD-rate | at the lower rates | seeds | decode, kMAC/pixel | encode | processor time |",
                "|---|---:|---:|---:|---:|---:|---:|",
            ]
            lines += [*head, *body, ""]
    one = next(iter(reference.values()))
    machines = "; ".join(dict.fromkeys(result["machine"] for result in found.values()))
    kind = "bfloat16" if one["bfloat16"] else "float32"
    start = f"from a model that has seen {one['resumed']:,}, " if one.get("resumed") else ""
    method = (
        f"Each run: {start}{plan.pictures:,} crops, {one['steps']:,} steps of the reference, {kind}; {machines}. "
        f"BD-rate (PSNR) over the qualities {', '.join(f'{q:g}' for q in QUALITIES)}, “lower rates” over the first "
        f"{LOW}, against the first row with the same seed; ± is half the range over seeds. Processor time of a "
        f"training step for each picture, against the reference's on the same machine."
    )
    return "\n".join([*lines, method])


def _line(row: Row, found: dict[Any, dict[str, Any]], reference: dict[int, dict[str, Any]]) -> str:
    pairs = [
        (reference[seed], found[row.group, row.name, seed])
        for seed in row.seeds
        if seed in reference and (row.group, row.name, seed) in found
    ]
    if not pairs:
        return ""
    changed = ", ".join(f"`{key} = {value}`" for key, value in _flat(row.changes))
    name = f"{row.name} ({changed})" if changed else row.name
    own = pairs[0][1]
    time_ratio = fmean(_time_ratio(a, r) for a, r in pairs)
    cells = [
        name,
        _mean_and_range([_against(a, r) for a, r in pairs]),
        _mean_and_range([_against(a, r, LOW) for a, r in pairs]),
        str(len(pairs)),
        f"{own['kmac']['decode']:.1f}",
        f"{own['kmac']['encode']:.1f}",
        f"{time_ratio:.2f} ×",
    ]
    return "| " + " | ".join(cells) + " |"


def _flat(changes: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in changes.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", f'"{value}"' if isinstance(value, str) else json.dumps(value)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def plan_of(given: argparse.Namespace) -> Plan:
        return read_plan(given.plan, given.pictures)

    def report(given: argparse.Namespace) -> None:
        plan = plan_of(given)
        update_blocks([given.document], {plan.section: markdown(plan, given.out)})

    return run_trainings(
        parser,
        arguments,
        run=lambda given: run(
            plan_of(given), given.out, training_folder(given.data and given.data / "train"), given.only, given.threads
        ),
        markdown=lambda given: markdown(plan_of(given), given.out),
        report=report,
        options=take_pictures,
    )


if __name__ == "__main__":
    sys.exit(main())
