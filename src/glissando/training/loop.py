"""The trainer: a recipe and a folder of shards in, a checkpoint out. CPU or one CUDA GPU."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glissando.errors import TrainingError
from glissando.models.bits import BitContext

from .data import Crops, Tiles, load_tiles, training_folder
from .objective import objective_for
from .optimiser import Muon, build_optimisers
from .recipe import PictureRecipe, read_recipe

__all__ = ["Trainer", "run"]

VALIDATION_TILES = 48
SHOWN = {"loss": 4, "bpp": 4, "psnr": 2, "norm": 2, "data": 3, "pictures_per_second": 1}  # and their digits


def learning_factor(step: int, progress: float, warmup: int, decay: float) -> float:
    """Warm-up by steps, decay by progress (the larger share of steps or minutes used up), in [0, 1]."""
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    fall = min(1.0, (1 - progress) / decay) if decay else 1.0
    return max(0.0, rise * fall)


@dataclass
class Progress:
    """What a checkpoint counts."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    skipped: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Network, optimisers and state of one training.

    Parameters: ``recipe``; ``tiles`` decoded; ``device``; ``out``, the folder for ``last.pt`` and logs.
    """

    def __init__(self, recipe: PictureRecipe, tiles: Tiles, device: torch.device, out: Path) -> None:
        self.recipe, self.device, self.out = recipe, device, out
        self.objective = objective_for(recipe)
        torch.manual_seed(recipe.run.seed)
        self.generator = torch.Generator().manual_seed(recipe.run.seed)
        pca = recipe.run.initial == "pca"
        sample = Crops(tiles.training, 256, 256, torch.Generator().manual_seed(0)).next() if pca else None
        self.network = self.objective.build(sample)
        self.network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = copy.deepcopy(self.network).requires_grad_(False)
        self.crops = Crops(
            tiles.training.to(device),
            recipe.data.crop,
            recipe.data.batch,
            self.generator,
            halved=recipe.data.halved,
            choices=recipe.data.choices,
        )
        size = min(256, tiles.validation.shape[-1])
        self.validation = tiles.validation[:VALIDATION_TILES, :, :size, :size].to(device)
        self.optimisers = build_optimisers(self.network, recipe.optimiser)
        self.progress = Progress()
        self.data = tiles.describe()
        self.autocast = False
        self.share = 0.0  # of the schedule, by steps or by minutes, that is done
        self.warm_from = 0  # the step that the warm-up of the learning rates counts from

    # One step ---------------------------------------------------------------------------------------

    def loss(self, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss (scalar), bpp (B,) and MSE of pixels in [0, 1] (B,)."""
        context = torch.autocast(self.device.type, torch.bfloat16) if self.autocast else contextlib.nullcontext()
        with context:
            each, bpp, mse = self.objective.loss(self.network, picture, quality)
        return each.mean(), bpp.detach(), mse.detach()

    def draw(self) -> tuple[Tensor, Tensor]:
        """A batch of crops and a quality for each, spread evenly over [0, 100] with a random offset."""
        batch = self.recipe.data.batch
        offset = torch.rand((), generator=self.generator)
        quality = 100 * ((torch.arange(batch) + offset) / batch)
        return self.crops.next(), quality.to(self.device)

    def step(self, factor: float) -> dict[str, float]:
        """One optimiser step at ``factor`` times the recipe's learning rates. A non-finite step is skipped."""
        factor *= self.objective.begin(self.progress.step, self.share)
        started = time.perf_counter()
        picture, quality = self.draw()
        waited = time.perf_counter() - started
        loss, bpp, mse = self.loss(picture, quality)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.optimiser.clip)
        if torch.isfinite(loss) and torch.isfinite(norm):
            for optimiser in self.optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = group["peak"] * factor
                optimiser.step()
            self.objective.constrain(self.network)
            self._average()
        else:
            self.progress.skipped += 1
        self.progress.step += 1
        self.progress.samples += len(picture)
        return {
            "loss": float(loss.detach()),
            "bpp": float(bpp.mean()),
            "psnr": float((-10 * torch.log10(mse)).mean()),
            "norm": float(norm),
            "data": waited / (time.perf_counter() - started),  # share of the step spent cutting crops
        }

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights towards the current ones; early on the average is short."""
        decay = min(self.recipe.optimiser.ema, (1 + self.progress.step) / (10 + self.progress.step))
        average: list[Tensor] = list(self.ema.parameters())
        current: list[Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(average, current, 1 - decay)

    # Measuring --------------------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self) -> list[dict[str, float]]:
        """Averaged weights on held-out pictures, 8-bit pixels; bits are the model's own estimate."""
        rows: list[dict[str, float]] = []
        if not len(self.validation):
            return rows  # a small data set may hold out no picture
        for q in self.objective.qualities:
            bpp, psnr = 0.0, 0.0
            for tile in self.validation.split(8):  # type: ignore[no-untyped-call]
                picture = tile.float().div(255).contiguous(memory_format=torch.channels_last)
                quality = torch.full((len(tile),), q, device=self.device)
                bits, reconstruction = self.objective.measure(self.ema, picture, quality)
                levels = (reconstruction.clamp(0, 1) * 255).round() / 255
                mse = (levels - picture).square().mean((1, 2, 3)).clamp_min(1e-10)
                bpp += float(bits.sum()) / picture[0, 0].numel()
                psnr += float((-10 * torch.log10(mse)).sum())
            count = len(self.validation)
            rows.append({"quality": q, "bpp": bpp / count, "psnr": psnr / count})
        return rows

    def choose_precision(self) -> float:
        """Time two steps' work in float32 and in bfloat16 autocast, keep the faster; returns its seconds.

        Many processors only emulate bfloat16, thirty times slower than float32. Draws nothing from the
        training's random numbers.
        """
        before = self.generator.get_state(), self._noise_state()
        times = {}
        for autocast in (False, True):
            self.autocast = autocast
            for turn in range(2):
                started = time.perf_counter()
                picture, quality = self.draw()
                self.loss(picture, quality)[0].backward()  # type: ignore[no-untyped-call]
                if self.device.type == "cuda":
                    torch.cuda.synchronize()
                if turn:
                    times[autocast] = time.perf_counter() - started
            if autocast is False and times[False] > 20:
                break  # a machine this slow is not asked twice
        self.network.zero_grad(set_to_none=True)
        self.generator.set_state(before[0])
        self._set_noise_state(before[1])
        self.use_bfloat16(min(times, key=lambda key: times[key]))
        return times[self.autocast]

    def use_bfloat16(self, wanted: bool) -> None:
        """Matrix products of the networks and of Muon in bfloat16 or in float32; weights stay float32."""
        self.autocast = wanted
        for optimiser in self.optimisers:
            if isinstance(optimiser, Muon):
                optimiser.precision = torch.bfloat16 if wanted else torch.float32

    # Checkpoints ------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything that a resumed training needs; the file appears whole or not at all."""
        state = {
            "recipe": self.recipe.to_dict(),
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimisers": [o.state_dict() for o in self.optimisers],
            "generator": self.generator.get_state(),
            "noise": {self.device.type: self._noise_state()},
            "progress": self.progress.__dict__,
            "data": self.data,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".part")
        torch.save(state, temporary)
        os.replace(temporary, path)

    def _noise_state(self) -> Tensor:
        """State of the generator that the additive noise is drawn from."""
        return torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else torch.get_rng_state()

    def _set_noise_state(self, state: Tensor) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state, self.device)
        else:
            torch.set_rng_state(state)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint, or from a shipped model's weights (a short warm-up rebuilds the rest)."""
        state = load_checkpoint(path)
        try:
            self.network.load_state_dict(state["network"] if "network" in state else state["ema"])
            self.ema.load_state_dict(state["ema"])
        except RuntimeError as error:
            raise TrainingError(f"{path} does not fit this recipe's network: {error}") from error
        self.progress = Progress(**state["progress"])
        peaks = [[group["peak"] for group in o.param_groups] for o in self.optimisers]
        try:
            for optimiser, saved, rates in zip(self.optimisers, state["optimisers"], peaks, strict=True):
                optimiser.load_state_dict(saved)
                for group, peak in zip(optimiser.param_groups, rates, strict=True):
                    group["peak"] = peak  # the rates are this recipe's, not the checkpoint's
            self.generator.set_state(state["generator"])
            if self.device.type in state.get("noise", {}):
                self._set_noise_state(state["noise"][self.device.type])
        except (KeyError, ValueError):
            # Shipped weights carry no optimiser state, another recipe's does not fit: the warm-up rebuilds it.
            self.optimisers = build_optimisers(self.network, self.recipe.optimiser)
            self.warm_from = self.progress.step


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
    return state


def _load_shipped(folder: Path) -> dict[str, Any]:
    """The weights that a model folder holds, as a checkpoint without the optimisers' state."""
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        weights: dict[str, Tensor] = {}
        for name in ("decoder.npz", "encoder.npz"):
            with np.load(folder / name, allow_pickle=False) as arrays:
                # Parameters are shipped in float16; what else lies there belongs to the codec.
                halves = {key: array for key, array in arrays.items() if array.dtype == np.float16}
                weights |= {key: torch.from_numpy(array.astype(np.float32)) for key, array in halves.items()}
        weights |= _context_weights(folder, card["training"]["recipe"])
        training = card["training"]
        progress = {
            "step": training["steps"],
            "samples": training["samples"],
            "seconds": 3600.0 * training["hours"],
            "history": [training["validation"]] if training["validation"] else [],
        }
        return {"recipe": training["recipe"], "ema": weights, "progress": progress}
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"{folder} is not a shipped model: {error}") from error


def _context_weights(folder: Path, recipe: dict[str, Any]) -> dict[str, Tensor]:
    """A content-weighted model's context model, which is shipped in integers alone."""
    if recipe["family"] != "content":
        return {}
    shape = recipe["network"]
    context = BitContext(shape["bits"], shape["importance_levels"], shape["hidden"])
    with np.load(folder / "integers.npz", allow_pickle=False) as arrays:
        own = {key.removeprefix("bits."): array for key, array in arrays.items() if key.startswith("bits.")}
    context.take_integers({key: torch.from_numpy(array) for key, array in own.items()})
    return {f"bits.{key}": value for key, value in context.state_dict().items()}


class Log:
    """One line in the terminal, one record in ``log.jsonl``, and TensorBoard where it is installed."""

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.file = (out / "log.jsonl").open("a", encoding="utf-8")
        self.board: Any = None
        with contextlib.suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(out))

    def __call__(self, step: int, record: dict[str, float], text: str) -> None:
        print(text, file=sys.stderr, flush=True)
        self.file.write(json.dumps({"step": step, **record}) + "\n")
        self.file.flush()
        if self.board is not None:
            for key, value in record.items():
                self.board.add_scalar(key, value, step)


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02d}" if minutes >= 60 else f"{minutes}m{rest:02d}"


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Denormal numbers count as zero: momenta of layers with little to do decay into them, which made a step four times
    slower.
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
) -> Path:
    """Train ``recipe_path`` and return the last checkpoint's path.

    ``data``: folder of the tar shards (default: ``$GLISSANDO_DATA/train``). ``minutes`` ends the training
    sooner than the recipe's steps would; the learning rate then decays towards that end instead.
    """
    recipe = read_recipe(recipe_path)
    if threads:
        torch.set_num_threads(threads)
    data = training_folder(data)
    out = out or Path("runs") / recipe.name
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True

    started = time.monotonic()
    tiles = load_tiles(data, limit_gb=recipe.data.limit_gb)
    log = Log(out)
    trainer = Trainer(recipe, tiles, device, out)
    if resume is not None:
        trainer.resume(resume)
    first = trainer.progress.step
    seconds = trainer.choose_precision()
    log(
        first,
        {"step_seconds": seconds},
        f"{recipe.name} [{recipe.hash()}]: {tiles.describe()}, {len(tiles.validation)} held out, loaded in "
        f"{clock(time.monotonic() - started)}; {device.type}, {torch.get_num_threads()} threads, "
        f"{'bfloat16' if trainer.autocast else 'float32'}, {seconds:.2f} s a step without the optimiser",
    )
    if device.type == "cuda":
        trainer.network.compile()

    plan, run_ = recipe.schedule, recipe.run
    began, carried = time.monotonic(), trainer.progress.seconds
    recent: list[dict[str, float]] = []
    while True:
        elapsed = time.monotonic() - began
        p = trainer.progress
        by_steps = p.step / plan.steps
        by_time = elapsed / (60 * minutes) if minutes else 0.0
        progress = max(by_steps, by_time)
        if progress >= 1:
            break
        trainer.share = progress
        warm = p.step - trainer.warm_from
        recent.append(trainer.step(learning_factor(warm, progress, plan.warmup, plan.decay)))
        p.seconds = carried + time.monotonic() - began
        if p.step % run_.log_every == 0:
            mean = {key: sum(r[key] for r in recent) / len(recent) for key in recent[0]}
            speed = (p.step - first) / (time.monotonic() - began)
            mean["pictures_per_second"] = speed * recipe.data.batch
            left = (plan.steps - p.step) / speed
            if minutes:
                left = min(left, 60 * minutes - (time.monotonic() - began))
            text = "  ".join(f"{key} {mean[key]:.{digits}f}" for key, digits in SHOWN.items())
            log(p.step, mean, f"step {p.step:6d}  {text}  {clock(left)} left")
            recent = []
        if p.step % run_.save_every == 0:
            trainer.save(out / "last.pt")
        if p.step % run_.validate_every == 0:
            report(trainer, log)
    report(trainer, log)
    trainer.save(out / "last.pt")
    return out / "last.pt"


def report(trainer: Trainer, log: Log) -> None:
    """Validate, log, and remember the curve in the checkpoint."""
    step = trainer.progress.step
    rows = trainer.validate()
    trainer.progress.history.append({"step": step, "curve": [[r["quality"], r["bpp"], r["psnr"]] for r in rows]})
    record = {f"validation/{key}@{row['quality']:.0f}": row[key] for row in rows for key in ("bpp", "psnr")}
    points = "  ".join(f"{row['bpp']:.3f}/{row['psnr']:.2f}" for row in rows)
    log(step, record, f"step {step:6d}  validation (bpp/dB)  {points}")
