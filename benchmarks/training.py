"""Speed of training on this machine's processor or GPU: where a step's time goes, and what bounds it.

    python -m benchmarks.training [RECIPE] [--data DIR] [--steps N] [--batch N] [--crop N] [--compile] [--json FILE]

Two measurements of the trainer's own steps. One runs as a training does; its speed is what a training reaches. The
other waits for the GPU after each part of a step, which tells the parts apart and costs a little itself. Beside them,
in the same minute: matrix products and a copy, the most that the machine does of either.

RECIPE is recipes/medium-psnr.toml unless given. Without ``--data`` and $GLISSANDO_DATA the tiles are random bytes,
which take as long. Needs ``glissando[train]``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from glissando.errors import GlissandoError
from glissando.files import atomic_write
from glissando.machine import Machine
from glissando.training.data import Tiles, load_tiles
from glissando.training.hardware import choose_device, describe_device, operations_per_picture
from glissando.training.loop import flushed_denormals
from glissando.training.recipe import PictureRecipe, read_recipe
from glissando.training.trainer import Trainer

__all__ = ["TrainingSpeed", "measure"]

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "medium-psnr.toml"
WARM_UP = 3  # steps that are not counted; a compiled step is made in the first
PRODUCT_SIDE, COPY_BYTES = 1536, 1 << 28  # of the matrix product and the copy on a processor
GPU_PRODUCT_SIDE, GPU_COPY_BYTES = 8192, 1 << 30
FORWARD_SHARE = 1 / 3  # of a training step's operations: the way back needs each product twice
# Bytes moved for a parameter, at least: AdamW reads weight, gradient and two moments and writes all but the gradient;
# the average reads two and writes one.
ADAMW_BYTES, AVERAGE_BYTES = 7 * 4, 3 * 4


@dataclass(frozen=True)
class Part:
    """One part of a step; shares are of the measured matrix product or copy, None where they cannot be counted."""

    name: str
    seconds: float
    share: float
    operations: float | None
    of_product: float | None
    of_copy: float | None


@dataclass(frozen=True)
class TrainingSpeed:
    """Speed of one recipe on one device."""

    recipe: str
    device: str
    gpu: bool
    extensions: tuple[str, ...]
    precision: str
    compiled: bool
    batch: int
    crop: int
    steps: int
    pictures_per_second: float
    host_share: float
    """Of the time of the undisturbed steps, until the last was asked for; on a CPU it is 1."""
    operations_per_picture: float
    tflops: float
    product_tflops: dict[str, float]
    copy_gb_per_s: float
    of_product: float
    """Of the matrix product in the precision of the training."""
    parts: list[Part]

    @property
    def bound(self) -> str:
        """What more speed would have to come from, in a sentence."""
        by_name = {part.name: part.share for part in self.parts}
        networks = by_name.get("forward", 0.0) + by_name.get("backward", 0.0)
        rest = {name: share for name, share in by_name.items() if name not in ("forward", "backward")}
        largest = max(rest, key=lambda name: rest[name])
        if networks < 0.5:
            remedy = "the data bound it" if largest == "crops" else "its time is that of any batch: a larger one is due"
            return (
                f"{100 * (1 - networks):.0f} % of a step is not spent in the networks; {largest} takes "
                f"{100 * rest[largest]:.0f} %: {remedy}."
            )
        if self.gpu and self.host_share > 0.9:
            why = "asking for kernels bounds it: a larger batch or --compile would use the GPU better"
        elif self.of_product > 0.5:
            why = "arithmetic bounds it"
        else:
            why = "moving activations between memory and arithmetic bounds it, not the arithmetic itself"
        return (
            f"{100 * networks:.0f} % of a step is spent in the networks, at {100 * self._networks():.0f} % of the "
            f"matrix product's speed: {why}."
        )

    def _networks(self) -> float:
        """Share of the matrix product's speed that forward and backward pass together reach."""
        own = [part for part in self.parts if part.name in ("forward", "backward")]
        speed = sum(part.operations or 0.0 for part in own) / sum(part.seconds for part in own)
        return speed / 1e12 / self.product_tflops[self.precision]


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _best(work: Callable[[], object], device: torch.device, rounds: int = 7) -> float:
    """Seconds of the fastest of several rounds: a machine's limit is what it does undisturbed."""
    times = []
    for _ in range(rounds + 1):
        synchronise(device)
        started = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])


def limits(device: torch.device) -> tuple[dict[str, float], float]:
    """10¹² operations per second of large matrix products by precision, and 10⁹ bytes read and written by a copy."""
    gpu = device.type == "cuda"
    size = GPU_PRODUCT_SIDE if gpu else PRODUCT_SIDE
    products = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        left = torch.randn(size, size, device=device).to(dtype)
        out = torch.empty_like(left)
        products[name] = 2 * size**3 / _best(lambda a=left, o=out: torch.mm(a, a, out=o), device) / 1e12  # type: ignore[misc]
    source = torch.zeros(GPU_COPY_BYTES if gpu else COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    return products, 2 * source.numel() / _best(lambda: target.copy_(source), device) / 1e9


class Stopwatch:
    """Seconds of each part of each step; to be told when one is over."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.times: dict[str, list[float]] = defaultdict(list)
        self.latest = 0.0

    def start(self) -> None:
        synchronise(self.device)
        self.latest = time.perf_counter()

    def __call__(self, part: str) -> None:
        synchronise(self.device)
        now = time.perf_counter()
        self.times[part].append(now - self.latest)
        self.latest = now


def _muon_operations(matrix: Tensor, iterations: int = 5) -> float:
    """Of a Newton–Schulz iteration: x·xᵀ, its square, and their sum times x."""
    short, long = sorted(matrix.shape[:2])
    return iterations * 2.0 * short * short * (2 * long + short)


def _parts(watch: Stopwatch, trainer: Trainer, operations: float, product: float, copy: float) -> list[Part]:
    seconds = {name: median(times) for name, times in watch.times.items()}
    total = sum(seconds.values())
    weights = {
        "AdamW": sum(p.numel() for g in trainer.optimisers[0].param_groups for p in g["params"]) * ADAMW_BYTES,
        "averaging": sum(p.numel() for p in trainer.network.parameters()) * AVERAGE_BYTES,
    }
    work = {"forward": operations * FORWARD_SHARE, "backward": operations * (1 - FORWARD_SHARE)}
    if "Muon" in seconds:
        work["Muon"] = sum(_muon_operations(p) for o in trainer.optimisers[1:] for p in o.param_groups[0]["params"])
    return [
        Part(
            name,
            spent,
            spent / total,
            work.get(name),
            work[name] / spent / 1e12 / product if name in work else None,
            weights[name] / spent / 1e9 / copy if name in weights else None,
        )
        for name, spent in seconds.items()
    ]


@flushed_denormals()
def measure(recipe: PictureRecipe, tiles: Tiles, device: torch.device, steps: int, compiled: bool) -> TrainingSpeed:
    """Train for twice ``steps`` steps, and a few before, from the recipe's start."""
    trainer = Trainer(recipe, tiles, device, Path())
    trainer.choose_precision()
    operations = operations_per_picture(trainer.objective, trainer.ema, recipe.data.crop)
    if compiled:
        trainer.compile()
    for _ in range(WARM_UP):
        trainer.advance(0.1)
    synchronise(device)
    started = time.perf_counter()
    for _ in range(steps):
        trainer.advance(0.1)
    asked = time.perf_counter() - started
    synchronise(device)
    elapsed = time.perf_counter() - started
    watch = trainer.watch = Stopwatch(device)
    for _ in range(steps):
        watch.start()
        trainer.advance(0.1)
    products, copy = limits(device)
    speed = steps * recipe.data.batch / elapsed
    precision = "bfloat16" if trainer.autocast else "float32"
    return TrainingSpeed(
        recipe=recipe.name,
        device=describe_device(device),
        gpu=device.type != "cpu",
        extensions=() if device.type == "cuda" else Machine.this().extensions,
        precision=precision,
        compiled=compiled,
        batch=recipe.data.batch,
        crop=recipe.data.crop,
        steps=steps,
        pictures_per_second=speed,
        host_share=asked / elapsed,
        operations_per_picture=operations,
        tflops=speed * operations / 1e12,
        product_tflops=products,
        copy_gb_per_s=copy,
        of_product=speed * operations / 1e12 / products[precision],
        parts=_parts(watch, trainer, operations * recipe.data.batch, products[precision], copy),
    )


def random_tiles(side: int, count: int = 256) -> Tiles:
    """Tiles of random bytes, none held out."""
    pixels: Tensor = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
    return Tiles(pixels, torch.zeros(count, dtype=torch.bool))


def table(found: TrainingSpeed) -> str:
    """For the terminal, and for Markdown."""
    products = ", ".join(f"{value:.3g} TFLOP/s in {name}" for name, value in found.product_tflops.items())
    extensions = f" [{', '.join(found.extensions)}]" if found.extensions else ""
    lines = [
        f"{found.recipe} on {found.device}{extensions}:",
        f"{found.pictures_per_second:.1f} pictures/s of {found.crop}x{found.crop} in batches of {found.batch}, "
        f"{found.precision}{', compiled' * found.compiled}; {found.tflops:.3g} TFLOP/s, "
        f"{100 * found.of_product:.0f} % of a matrix product ({products}; a copy {found.copy_gb_per_s:.0f} GB/s).",
        "",
        "| part of a step | ms | share | of a matrix product | of a copy |",
        "|---|---|---|---|---|",
    ]
    for part in found.parts:
        shares = ("" if x is None else f"{100 * x:.0f} %" for x in (part.of_product, part.of_copy))
        lines.append(f"| {part.name} | {1e3 * part.seconds:.1f} | {100 * part.share:.0f} % | {' | '.join(shares)} |")
    return "\n".join([*lines, "", found.bound])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path, nargs="?", default=RECIPE)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder that holds train/ (default: $GLISSANDO_DATA)")
    parser.add_argument("--steps", type=int, default=10, metavar="N", help="of each measurement")
    parser.add_argument("--batch", type=int, metavar="N", help="pictures in a batch, instead of the recipe's")
    parser.add_argument("--crop", type=int, metavar="N", help="pixels, instead of the recipe's")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("--compile", action="store_true", help="compiled passes, as a training on a GPU has them")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    if given.steps < 1 or min(x for x in (given.batch, given.crop, given.threads, 1) if x is not None) < 1:
        parser.error("--steps, --batch, --crop and --threads must be positive")
    if given.threads:
        torch.set_num_threads(given.threads)
    device = choose_device()
    try:
        recipe = read_recipe(given.recipe)
        changes = {key: value for key in ("batch", "crop") if (value := getattr(given, key)) is not None}
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **changes))
        folder = given.data or (Path(os.environ["GLISSANDO_DATA"]) if "GLISSANDO_DATA" in os.environ else None)
        if folder is not None:
            tiles = load_tiles(folder / "train", limit_gb=recipe.data.limit_gb)
        else:
            tiles = random_tiles(max(512, 2 * recipe.data.crop))
        found = measure(recipe, tiles, device, given.steps, given.compile)
        print(table(found))
        if given.json:
            atomic_write(given.json, (json.dumps({**asdict(found), "bound": found.bound}, indent=1) + "\n").encode())
    except (OSError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
