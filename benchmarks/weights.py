"""How small weights can be stored, and what that costs: the table of docs/weights.md.

    python -m benchmarks.weights CHECKPOINT [--data DIR] [--tiles 8]

CHECKPOINT is what training saved: a shipped model's weights are rounded already. Judged on held-out tiles of the
training pictures, never on Kodak, by the trained network itself: PSNR of unrounded pixels, and the cross-entropy of the
symbols.
"""

from __future__ import annotations

import argparse
import copy
import lzma
import math
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glissando import bayes
from glissando.errors import GlissandoError
from glissando.training.checkpoints import load_checkpoint
from glissando.training.data import load_tiles, training_folder
from glissando.training.family import Objective, training_of
from glissando.training.recipe import from_dict
from glissando.training.steps import STEP, round_to_steps, sensitivities
from glissando.zoo.arrays import read_arrays, values_of, write_arrays

__all__ = ["Stored", "main", "stored_ways"]

QUALITIES = (0.0, 30.0, 60.0, 100.0)

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Stored:
    """One way of storing weights."""

    label: str
    size: int  # bytes
    read_s: float
    weights: Weights


def per_channel(weights: Weights, bits: int) -> tuple[dict[str, NDArray[np.int32]], Weights]:
    """Whole numbers of steps, the same along each row, and what they stand for."""
    symbols, values = {}, {}
    for name, weight in weights.items():
        rows = weight.reshape(len(weight), -1)
        step = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-12) / (2 ** (bits - 1) - 1)
        symbols[name] = np.rint(rows / step).astype(np.int32)
        values[name] = (symbols[name] * step).astype(np.float32).reshape(weight.shape)
    return symbols, values


def timed(read: Callable[[], Any]) -> float:
    """Seconds of the processor, the least of three."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        read()
        seconds.append(time.process_time() - started)
    return min(seconds)


def _packed(label: str, data: bytes, unpack: Callable[[bytes], bytes], weights: Weights, extra: int = 0) -> Stored:
    return Stored(label, len(data) + extra, timed(lambda: unpack(data)), weights)


def stored_ways(weights: Weights, sensitivity: Mapping[str, Tensor]) -> list[Stored]:
    """Weights in each way of the table. ``sensitivity`` as ``training.steps`` measures it."""
    halves = {name: weight.astype(np.float16) for name, weight in weights.items()}
    as_halves = {name: half.astype(np.float32) for name, half in halves.items()}
    raw = b"".join(half.tobytes() for half in halves.values())
    planes = raw[::2] + raw[1::2]
    found = [
        Stored("float16", len(raw), 0.0, as_halves),
        _packed("float16, bytes split, deflated", zlib.compress(planes, 9), zlib.decompress, as_halves),
    ]
    symbols, values = per_channel(weights, 8)
    small, rows = b"".join(s.astype(np.int8).tobytes() for s in symbols.values()), 2 * sum(map(len, symbols.values()))
    found += [
        _packed("8 bits a channel, deflated", zlib.compress(small, 9), zlib.decompress, values, rows),
        _packed("8 bits a channel, LZMA", lzma.compress(small), lzma.decompress, values, rows),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.npz")

        def ours(label: str, arrays: Mapping[str, Any], values: Weights) -> None:
            write_arrays(path, arrays)
            found.append(Stored(label, path.stat().st_size, timed(lambda: read_arrays(path)), values))

        for bits in (10, 12):
            symbols, values = per_channel(weights, bits)
            ours(
                f"{bits} bits a channel, sorted, deflated", {k: s.astype(np.int16) for k, s in symbols.items()}, values
            )
        steps = {name: round_to_steps(torch.from_numpy(w), sensitivity[name]) for name, w in weights.items()}
        ours("steps by sensitivity, sorted, deflated", steps, {name: values_of(array) for name, array in steps.items()})

    scales, posteriors = {}, {}
    for name, weight in weights.items():
        size = np.abs(weight.reshape(len(weight), -1)) + 1e-12
        in_rows = size.mean(axis=1, keepdims=True)
        scales[name] = (in_rows * (size / in_rows).mean(axis=0)).reshape(weight.shape)
        h = np.maximum(sensitivity[name].numpy(), 0.03 * float(sensitivity[name].mean()))
        deviation = np.minimum(1 / np.sqrt(2 * h), 1 / (8 * STEP) * np.sqrt(np.square(weight).mean()))
        posteriors[name] = tuple((part / scales[name]).astype(np.float32) for part in (weight, deviation))
    data = bayes.compress_arrays(posteriors, rate_weight=2 * math.log(2) * STEP**2 / 12, max_bits=13)
    values = {name: (array * scales[name]).astype(np.float32) for name, array in bayes.decompress_arrays(data).items()}
    seconds = timed(lambda: bayes.decompress_arrays(data))
    return [*found, Stored("glissando.bayes, deviations by sensitivity", len(data), seconds, values)]


@torch.no_grad()
def measure(objective: Objective, network: nn.Module, tiles: Tensor) -> list[tuple[float, float]]:
    """Mean PSNR and bits at each quality."""
    rows = []
    for quality in QUALITIES:
        psnr, total = 0.0, 0.0
        for tile in tiles:
            picture = tile[None].float() / 255
            torch.manual_seed(0)  # for families that draw
            bits, out = objective.measure(network, picture, torch.tensor([quality]))
            psnr += -10 * math.log10(float((out.clamp(0, 1) - picture).square().mean()))
            total += float(bits.sum())
        rows.append((psnr / len(tiles), total))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the table was printed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.weights", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="what training saved")
    parser.add_argument("--data", type=Path, help="folder of the training's shards; $GLISSANDO_DATA/train unless given")
    parser.add_argument("--tiles", type=int, default=8, help="held-out tiles to judge by")
    given = parser.parse_args(arguments)
    try:
        state = load_checkpoint(given.checkpoint)
        recipe = from_dict(state["recipe"])
        tiles = load_tiles(training_folder(given.data), limit_gb=recipe.data.limit_gb)
    except GlissandoError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    objective = training_of(recipe.family).objective(recipe)
    network = objective.build(None)
    network.load_state_dict(state["ema"])
    network.eval()
    sensitivity = sensitivities(objective, network, tiles.training)
    network.requires_grad_(False)
    parts = ("scales.", "bits.")  # in integers
    weights = {
        name: value.numpy()
        for name, value in network.named_parameters()
        if value.ndim > 1 and not name.startswith(parts) and not name.endswith(".table")
    }
    chosen = tiles.validation[:: max(1, len(tiles.validation) // given.tiles)][: given.tiles]
    before = measure(objective, network, chosen)
    count = sum(weight.size for weight in weights.values())
    print(f"{count:,} weights of {recipe.name}; {len(chosen)} held-out tiles\n")
    heads = [f"q {quality:g}: dB, bits" for quality in QUALITIES]
    print(f"| stored as | MB | bits a weight | to read, s | {' | '.join(heads)} |")
    print("|---" * (4 + len(heads)) + "|")
    for way in stored_ways(weights, sensitivity):
        changed = copy.deepcopy(network)
        changed.load_state_dict({**network.state_dict(), **{k: torch.from_numpy(v) for k, v in way.weights.items()}})
        cells = [
            f"{after[0] - at[0]:+.4f}, {100 * (after[1] / at[1] - 1):+.3f} %"
            for at, after in zip(before, measure(objective, changed, chosen), strict=True)
        ]
        first = f"| {way.label} | {way.size / 1e6:.3f} | {8 * way.size / count:.2f} | {way.read_s:.3f} |"
        print(first, " | ".join(cells), "|", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
