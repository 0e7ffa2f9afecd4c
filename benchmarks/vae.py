"""The plain VAE on Kodak: its one model at all rates, against JPEG, and against the same latents quantised otherwise.

    glissando bench DIR/kodak --codecs jpeg,glissando:vae --no-speed --out report         # DIR holds kodak/ and train/
    python -m benchmarks.vae measure src/glissando/zoo/vae report/results.json --data DIR --json vae.json
    python -m benchmarks.vae report vae.json docs/vae.md

The curves of the model and of JPEG are those of the comparison. All variants are files of the model's format, decoded
by the same network to the same 8-bit pixels. Each has tables and a context model of its own, fitted to what it makes of
the same training pictures:

- **uncertainty**: the model as it is;
- **rounded** and **full price**: the same grid and tables, with λ zero, and not lowered;
- **one σ a channel**: the same grid and tables, but each choice is told that all of a channel's latents are as
  uncertain as they are typically;
- **one σ**: grid and choices are told that all latents of all channels are;
- **uniform**: posterior means rounded to multiples of one step;
- **k-means**: posterior means rounded to so many points for each channel, placed by Lloyd's algorithm;
- **source**: quantiles of each channel's means at dyadic depths, chosen at the full price of a bit, as in the paper.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando import zoo
from glissando.bench.bdrate import Curve, bd_rate
from glissando.bench.curves import scores_at
from glissando.bench.measure import Coder
from glissando.bench.packages import package_versions
from glissando.bench.results import Results
from glissando.codec import Codec
from glissando.errors import GlissandoError
from glissando.families.vae.export import training_posteriors
from glissando.families.vae.network import VaeNetwork
from glissando.families.vae.recipe import VaeRecipe
from glissando.machine import Machine
from glissando.training.loop import load_checkpoint
from glissando.training.recipe import from_dict
from glissando.zoo import Model

from .commands import run_study
from .comparison import codec_of_model, curve, latents_curve, matching, read_comparison
from .data import data_folder, load_pictures
from .documents import update
from .points import mean_point
from .vae_variants import FITTED, LEVELS, own_variants

__all__ = ["main", "markdown"]

BEGIN, END = "<!-- vae:begin -->", "<!-- vae:end -->"
METRICS = ("psnr", "ms-ssim")
LABELS = {
    "uncertainty": "VAE",
    "rounded": "rounded, on its grid",
    "full price": "full price, on its grid",
    "one σ a channel": "one σ for each channel",
    "one σ": "one σ for all",
    "uniform": "uniform",
    "k-means": "k-means",
    "source": "the source's points and price",
    "jpeg": "JPEG",
}


def posteriors(folder: Path, data: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and deviations (crops, rows, columns, C) of training pictures' latents: what the export was fitted to."""
    state = load_checkpoint(folder)
    recipe = from_dict(state["recipe"])
    if not isinstance(recipe, VaeRecipe):
        raise GlissandoError(f"{folder} is of the family {recipe.family}, not a VAE")
    network = VaeNetwork(recipe.network)
    network.load_state_dict(state["ema"])
    return training_posteriors(network.eval().requires_grad_(False), recipe, data / "train")


def variants(model: Model, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> Iterator[tuple[str, Coder]]:
    """Every variant: its name and what codes with it."""
    for name, own in own_variants(model).items():
        yield name, Codec(own.engine, own)
    for name, make in FITTED.items():
        variant = make(model, mean, deviation)
        yield name, Codec(variant.engine, variant)


def measure(folder: Path, comparison: Results, data: Path, count: int | None) -> dict[str, Any]:
    """All curves. Raises GlissandoError."""
    model, pictures = zoo.find(folder), load_pictures(data, count)
    matching(comparison, pictures)
    ours = codec_of_model(comparison, str(model.card.hash))
    found = {
        "uncertainty": latents_curve(comparison, ours.name, METRICS),
        "jpeg": curve(comparison, "jpeg", METRICS),
    }
    for name, coder in variants(model, *posteriors(folder, data)):
        qualities = np.linspace(0, 100, LEVELS).tolist()
        found[name] = [mean_point(name, coder, pictures, quality, METRICS) for quality in qualities]
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": Machine.this().to_json(),
        "versions": package_versions(),
        "model": {"name": model.card.name, "hash": model.card.hash, "bytes": model.card.bytes},
        "pictures": len(pictures),
        "curves": found,
    }


def better_range(
    ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]], metric: str
) -> tuple[float, float]:
    """The longest range of rates over which our curve lies above theirs, both read as straight lines over log-rate."""
    low = max(min(p["bpp"] for p in ours), min(p["bpp"] for p in theirs))
    high = min(max(p["bpp"] for p in ours), max(p["bpp"] for p in theirs))
    grid = np.geomspace(low, high, 400)
    ours_there, theirs_there = (scores_at([(p["bpp"], p[metric]) for p in points], grid) for points in (ours, theirs))
    better = ours_there > theirs_there
    edges = np.flatnonzero(np.diff(np.concatenate([[False], better, [False]]).astype(int)))
    if not len(edges):
        return 0.0, 0.0
    runs = edges.reshape(-1, 2)
    start, stop = runs[np.argmax(grid[runs[:, 1] - 1] / grid[runs[:, 0]])]
    return float(grid[start]), float(grid[stop - 1])


def markdown(results: dict[str, Any]) -> str:
    """The tables for the documentation."""
    found = results["curves"]
    ours = found["uncertainty"]
    lines = [
        "| VAE against | BD-rate, PSNR | BD-rate, MS-SSIM | better in PSNR | better in MS-SSIM |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in LABELS:
        if name == "uncertainty":
            continue
        cells = []
        for metric in METRICS:
            anchor, curve = (
                Curve.of(n, [(p["bpp"], p[metric]) for p in points], strict=False)
                for n, points in ((name, found[name]), ("ours", ours))
            )
            cells.append(f"{bd_rate(anchor, curve).percent:+.1f} %")
        for metric in METRICS:
            low, high = better_range(ours, found[name], metric)
            cells.append(f"{low:.2f} … {high:.2f} bpp, {high / low:.1f} ×" if low else "nowhere")
        lines.append(f"| {LABELS[name]} | {' | '.join(cells)} |")
    lines += ["", "| quality | bpp | PSNR, dB | MS-SSIM, dB |", "|---:|---:|---:|---:|"]
    lines += [f"| {p['quality']:g} | {p['bpp']:.3f} | {p['psnr']:.2f} | {p['ms-ssim']:.2f} |" for p in ours]
    model, machine = results["model"], results["machine"]
    what = f"model {model['name']} ({model['hash']}); {machine['processor']} ({', '.join(machine['extensions'])})"
    lines += ["", f"Measured {results['date']}; {results['pictures']} Kodak pictures; {what}."]
    return "\n".join(lines)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("comparison", type=Path, help="results.json of `glissando bench` with this model and JPEG")
    parser.add_argument("--data", type=Path, help="folder that holds kodak/ and train/; $GLISSANDO_DATA unless given")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where it did what was asked."""
    return run_study(
        argparse.ArgumentParser(
            prog="python -m benchmarks.vae", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        ),
        arguments,
        options=_options,
        measure=lambda given: measure(
            given.model, read_comparison(given.comparison), data_folder(given.data), given.pictures
        ),
        markdown=markdown,
        report=lambda results, documents: update(documents[0], BEGIN, END, markdown(results)),
        documents={"nargs": 1, "metavar": "document"},
    )


if __name__ == "__main__":
    sys.exit(main())
