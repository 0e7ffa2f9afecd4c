"""The training loop: a recipe and a folder of shards in, a checkpoint out. CPU or CUDA, one process or several."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from .checkpoints import load_checkpoint
from .data import load_tiles, training_folder
from .distributed import Processes, join
from .hardware import choose_device, describe_device, operations_per_picture
from .logs import Log, Logging, clock, no_log
from .optimiser import learning_factor
from .recipe import PictureRecipe, Schedule, read_recipe
from .trainer import FIGURES, Trainer, begun

__all__ = ["Trainer", "learning_factor", "load_checkpoint", "run"]

# The figures that a line of the log shows, and their decimals.
SHOWN = {"loss": 4, "bpp": 4, "psnr": 2, "norm": 2, "data": 3, "pictures_per_second": 1, "tflops": 3}


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers as zero. Momenta of layers with small gradients decay into them, which made a step four
    times slower.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@flushed_denormals()
def run(
    recipe_path: Path,
    data: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    minutes: float | None = None,
    threads: int | None = None,
    settings: Sequence[str] = (),
) -> Path:
    """Train ``recipe_path`` and return the last checkpoint's path. Under torchrun, each process calls this.

    ``data``: folder of the tar shards (default: ``$GLISSANDO_DATA/train``). ``minutes`` (default: the recipe's) ends
    the training sooner than the recipe's pictures would; the learning rate then decays towards that end instead.
    ``settings`` change the recipe, see ``read_tables``.
    """
    recipe = read_recipe(recipe_path, settings)
    if threads:
        torch.set_num_threads(threads)
    data = training_folder(data)
    out = out or Path("runs") / recipe.name
    with join() as processes:
        log = Log(out) if processes.first else no_log
        trainer = _prepare(recipe, data, out, resume, processes, log)
        _train(trainer, recipe.schedule, minutes or recipe.schedule.minutes, log)
        if processes.first:
            report(trainer, log)
            trainer.save(out / "last.pt")
    return out / "last.pt"


def _prepare(
    recipe: PictureRecipe, data: Path, out: Path, resume: Path | None, processes: Processes, log: Logging
) -> Trainer:
    """Prepare data, network and state, and log the first line."""
    device = choose_device(processes.local)
    started = time.monotonic()
    threads = max(1, (os.cpu_count() or 1) // processes.size)
    tiles = load_tiles(data, limit_gb=recipe.data.limit_gb, threads=threads)
    loaded = clock(time.monotonic() - started)
    trainer = begun(recipe, tiles, device, out, processes, resume)
    seconds = trainer.choose_precision()
    hardware = describe_device(device, processes.size)
    trainer.progress.begin_piece(hardware, recipe.hash())
    log(
        trainer.progress.step,
        {"step_seconds": seconds},
        f"{recipe.name} [{recipe.hash()}]: {tiles.describe()}, {len(tiles.validation)} held out, loaded in "
        f"{loaded}; {hardware}, {f'{processes.size} processes, ' * (processes.size > 1)}"
        f"{'bfloat16' if trainer.autocast else 'float32'}, {seconds:.2f} s a step without the optimiser",
    )
    if device.type == "cuda" and recipe.run.compiled and (why := trainer.compile_if_possible()):
        log(trainer.progress.step, {}, f"the passes could not be compiled, and are not: {why}")
    return trainer


def _train(trainer: Trainer, plan: Schedule, minutes: float, log: Logging) -> None:
    """Train until pictures or ``minutes`` (0: no limit) are used up; log, save and draw curves at times."""
    run_, progress = trainer.recipe.run, trainer.progress
    meter = Meter(trainer)
    began = latest = time.monotonic()
    trainer.share = progress.samples / plan.samples
    while True:
        share = progress.samples / plan.samples
        if minutes:
            spent = (time.monotonic() - began) / (60 * minutes)
            share = max(share, trainer.processes.agree(spent))  # so that all processes stop at the same step
        if share >= 1:
            return
        if trainer.processes.first and trainer.share < 1 - plan.decay <= share:
            with meter.stopped():  # before the rates fall: from here a later training goes on
                trainer.save(trainer.out / "stable.pt")
        trainer.share = share
        warm = progress.step - trainer.warm_from
        meter.add(trainer.advance(learning_factor(warm, share, plan.warmup, plan.decay)))
        if progress.step % run_.log_every == 0:
            figures = meter.read() | trainer.family.reshaping.figures(trainer.network)
            speed = figures["pictures_per_second"]
            left = (plan.samples - progress.samples) / speed
            if minutes:
                left = min(left, 60 * minutes - (time.monotonic() - began))
            text = "  ".join(f"{key} {figures[key]:.{digits}f}" for key, digits in SHOWN.items())
            skipped = f"  {progress.skipped} skipped" if progress.skipped else ""
            log(progress.step, figures, f"step {progress.step:6d}  {text}{skipped}  {clock(left)} left")
        now = time.monotonic()
        progress.spend(now - latest)
        latest = now
        if trainer.processes.first:
            with meter.stopped():
                if progress.step % run_.save_every == 0:
                    trainer.save(trainer.out / "last.pt")
                if progress.step % run_.validate_every == 0:
                    report(trainer, log)


class Meter:
    """Means of the steps' figures, and speed, since the last reading. Until then figures stay on the device."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.counted: nn.Module | None = None  # the network whose operations are known
        self._restart()

    def _restart(self) -> None:
        trainer = self.trainer
        if trainer.ema is not self.counted:  # another network may take its place
            self.counted = trainer.ema
            self.operations = operations_per_picture(trainer.objective, trainer.ema, trainer.recipe.data.crop)
        self.figures: list[Tensor] = []
        self.began, self.cutting = time.monotonic(), self.trainer.cutting

    def add(self, figures: Tensor) -> None:
        self.figures.append(figures)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the clock while the ``with`` block runs, as its work is no part of a step."""
        began = time.monotonic()
        yield
        self.began += time.monotonic() - began

    def read(self) -> dict[str, float]:
        """Figures of finite steps; "data", the share of the time that was spent asking for crops; and in a second,
        pictures and 10¹² operations of the networks.
        """
        stacked = torch.stack(self.figures)
        means = torch.where(stacked.isfinite(), stacked, torch.nan).nanmean(0).tolist()  # this waits for the GPU
        self.trainer.count_skipped()
        elapsed = time.monotonic() - self.began
        speed = len(self.figures) * self.trainer.recipe.data.batch / elapsed
        found = dict(zip(FIGURES, means, strict=True))
        found["data"] = (self.trainer.cutting - self.cutting) / elapsed
        found["pictures_per_second"] = speed
        found["tflops"] = speed * self.operations / 1e12
        self._restart()
        return found


def report(trainer: Trainer, log: Logging) -> None:
    """Validate, log, and remember the curve in the checkpoint."""
    step = trainer.progress.step
    rows = trainer.validate()
    trainer.progress.history.append({"step": step, "curve": [[r["quality"], r["bpp"], r["psnr"]] for r in rows]})
    record = {f"validation/{key}@{row['quality']:.0f}": row[key] for row in rows for key in row if key != "quality"}
    others = [key for key in (rows[0] if rows else {}) if key not in ("quality", "bpp", "psnr")]
    points = "  ".join(
        "/".join([f"{r['bpp']:.3f}", f"{r['psnr']:.2f}", *(f"{r[k]:.4f}" for k in others)]) for r in rows
    )
    log(step, record, f"step {step:6d}  validation ({'/'.join(['bpp', 'dB', *others])})  {points}")
