"""What refinement wins, by what stands in for rounding and by its schedule: the tables of docs/effort.md.

    python -m benchmarks.effort measure --data DIR --json effort.json      # DIR holds train/
    python -m benchmarks.effort report effort.json docs/effort.md

Judged on held-out tiles of the training pictures, never on Kodak, by the cost J = bits + λ·D that refinement lowers: of
files in bytes and of decoded 8-bit pixels. "Methods" compares

- **relaxed rounding** (SGA+): up with the probability of the fraction, as a sigmoid of temperature τ, through which the
  gradient is taken;
- **dither**: real rounding behind a draw of falling amplitude, the gradient passed through unchanged, once with
  independent draws and once with the even ones of ``glissando.codec.refinement.EvenDraws``.

"Schedules" moves one number of each effort's schedule at a time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glissando
from glissando.codec import Codec
from glissando.codec.effort import SCHEDULES, Schedule
from glissando.codec.quality import LocalQuality, Quality
from glissando.codec.refinement import EvenDraws, Floats, Method, Refiner, Rounded, Rounding, Target, dithered
from glissando.graphs import Builder
from glissando.machine import Machine
from glissando.training.data import load_tiles, training_folder

from .commands import run_study
from .documents import table, update_blocks
from .tiles import evenly_chosen_tiles

__all__ = ["main", "markdown"]

MODELS = ("medium", "medium-psnr")
QUALITIES = (25.0, 60.0)
SIDE = 256
MOVES = {"rate": (0.7, 1.4), "falling": (0.7, 1.4), "last": (0.5, 2.0)}
STUDIED = (6, 8)  # efforts
LIMIT = 1e-4  # no probability is nearer to 0 or 1


class IndependentDraws(EvenDraws):
    """Draws of ±½ that have nothing to do with each other."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(shapes)
        self._draws = np.random.default_rng(0)

    def draw(self) -> dict[str, Floats]:
        """The next draws by name."""
        return {
            name: self._draws.random(zeros.shape, np.float32) - np.float32(0.5) for name, zeros in self.none.items()
        }


def relaxed(graph: Builder, temperature: str) -> Rounding:
    """SGA+ (Perugachi-Diaz et al. 2024): ⌊x⌋ + sigmoid((logit of the fraction + logit of a draw) / τ)."""

    def logit(share: str) -> str:
        share = graph.clip(share, LIMIT, 1 - LIMIT)
        return graph.subtract(graph.add_node("Log", share), graph.add_node("Log", graph.subtract(1.0, share)))

    def rounding(x: str, draw: str) -> Rounded:
        floor = graph.add_node("Floor", x)
        drawn = graph.add(logit(graph.subtract(x, floor)), logit(graph.add(draw, 0.5)))
        value = graph.add(floor, graph.add_node("Sigmoid", graph.divide(drawn, temperature)))
        return Rounded(value, value)

    return rounding


METHODS: dict[str, tuple[Method, type[EvenDraws], dict[str, Any]]] = {
    "relaxed rounding, τ 0.5 → 0.05": (relaxed, IndependentDraws, {"rate": 0.01, "first": 0.5, "last": 0.05}),
    "relaxed rounding, τ 1 → 0.15": (relaxed, IndependentDraws, {"rate": 0.01, "first": 1.0, "last": 0.15}),
    "dither, independent draws": (dithered, IndependentDraws, {}),
    "dither, even draws": (dithered, EvenDraws, {}),
}


class _Tiles:
    """Tiles analysed by one model, and what refining them wins."""

    def __init__(self, codec: Codec, tiles: Sequence[NDArray[np.uint8]], quality: float) -> None:
        self._codec, self._quality = codec, LocalQuality(Quality.of(quality))
        self._analysed = [codec.analyse(tile, quality) for tile in tiles]
        self._pictures = [Target(of.source.pixels, 8, of.grid) for of in self._analysed]
        judge = self.refiner(dithered, EvenDraws)
        self._before = [self._cost(judge, number, of.latents) for number, of in enumerate(self._analysed)]
        self._judge = judge

    def refiner(self, method: Method, draws: type[EvenDraws]) -> Refiner:
        """A refiner of the tiles."""
        refinement = self._codec.family.refinement(self._codec.engine.model, self._codec.coding)
        return Refiner(self._codec.engine, refinement, method=method, draws=draws)

    def _cost(self, refiner: Refiner, number: int, latents: Any) -> float:
        quality = self._quality
        data = self._codec.encode_analysed(replace(self._analysed[number], latents=latents), quality.base.number)
        return 8 * len(data) + refiner.loss(self._codec.decode(data), self._pictures[number], quality)

    def won(self, refiner: Refiner, schedule: Schedule) -> float:
        """The mean change of the cost in per cent. A tile that would become worse counts with no change."""
        changes = []
        for number, of in enumerate(self._analysed):
            latents = refiner.refine(of.latents, self._pictures[number], self._quality, schedule)
            changes.append(min(0.0, self._cost(self._judge, number, latents) / self._before[number] - 1))
        return 100 * float(np.mean(changes))


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Both tables' numbers."""
    held_out = load_tiles(training_folder(given.data and given.data / "train")).validation
    tiles = evenly_chosen_tiles(held_out, given.pictures or 6, SIDE)
    started = time.process_time()
    methods: dict[str, list[float]] = {}
    schedules: dict[str, list[float]] = {}
    heads: list[str] = []
    for name in MODELS:
        with glissando.open_model(name, precision="f32", threads=given.threads) as codec:
            sets = [_Tiles(codec, tiles, quality) for quality in QUALITIES]
            for effort in STUDIED:
                heads.append(f"{name}, {SCHEDULES[effort].steps} steps")
                for label, (method, draws, moved) in METHODS.items():
                    refiner = sets[0].refiner(method, draws)
                    schedule = replace(SCHEDULES[effort], **moved)
                    won = float(np.mean([of.won(refiner, schedule) for of in sets]))
                    methods.setdefault(label, []).append(won)
                    print(heads[-1], label, f"{won:.2f} %", flush=True)
                refiner = sets[0].refiner(dithered, EvenDraws)
                for key, factors in MOVES.items():
                    for factor in factors:
                        label = f"{key} × {factor:g}"
                        moved_schedule = replace(SCHEDULES[effort], **{key: getattr(SCHEDULES[effort], key) * factor})
                        won = float(np.mean([of.won(refiner, moved_schedule) for of in sets]))
                        schedules.setdefault(label, []).append(won)
                        print(heads[-1], label, f"{won:.2f} %", flush=True)
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": Machine.this().described,
        "processor_seconds": round(time.process_time() - started),
        "tiles": len(tiles),
        "heads": heads,
        "methods": methods,
        "schedules": schedules,
    }


def markdown(results: dict[str, Any]) -> str:
    """Both tables."""
    return "\n\n".join(_blocks(results).values())


def _blocks(results: dict[str, Any]) -> dict[str, str]:
    def rows(group: dict[str, list[float]]) -> list[list[str]]:
        return [[label, *(f"{value:.2f} %" for value in values)] for label, values in group.items()]

    as_is = {"as it is": results["methods"]["dither, even draws"]}
    note = (
        f"The mean change of J over {results['tiles']} held-out tiles of {SIDE}×{SIDE} pixels at the qualities "
        f"{' and '.join(f'{quality:g}' for quality in QUALITIES)}; {results['measured'][:10]}, {results['machine']}."
    )
    return {
        "methods": table(["instead of rounding", *results["heads"]], rows(results["methods"])) + "\n\n" + note,
        "schedules": table(["schedule", *results["heads"]], rows({**as_is, **results["schedules"]})),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where it did what was asked, 1 after one line about what went wrong."""
    parser = argparse.ArgumentParser("benchmarks.effort", description=(__doc__ or "").split("\n\n")[0])

    def options(one: argparse.ArgumentParser) -> None:
        one.add_argument("--data", type=Path, metavar="DIR", help="holds train/; $GLISSANDO_DATA unless given")
        one.add_argument("--threads", type=int, default=1)

    return run_study(
        parser,
        arguments,
        options=options,
        measure=measure,
        markdown=markdown,
        report=lambda results, documents: update_blocks(documents, _blocks(results)),
        documents={"nargs": 1},
    )


if __name__ == "__main__":
    sys.exit(main())
