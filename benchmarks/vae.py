"""The plain VAE on Kodak: its one model at all rates, against JPEG, and against the same latents quantised otherwise.

    python -m benchmarks.vae measure src/glissando/zoo/vae --data DIR --json vae.json     # DIR holds kodak/ and train/
    python -m benchmarks.vae report vae.json docs/vae.md

All variants are files of the same format, decoded by the same network to the same 8-bit pixels. Each has tables and a
context model of its own, fitted to what it makes of the same training pictures:

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
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando import zoo
from glissando.bench.bdrate import Curve, bd_rate
from glissando.bench.machine import Machine, package_versions
from glissando.bench.metrics import score
from glissando.codec import Codec, open_codec
from glissando.errors import GlissandoError
from glissando.families.vae.export import training_posteriors
from glissando.families.vae.network import VaeNetwork
from glissando.families.vae.recipe import VaeRecipe
from glissando.training.loop import load_checkpoint
from glissando.training.recipe import from_dict
from glissando.zoo import Model

from .commands import run_study
from .data import Picture, data_folder, load_pictures
from .peers import JPEG
from .rd import scores_at
from .readme import update
from .vae_variants import F32, FITTED, LEVELS, own_variants

__all__ = ["main", "markdown"]

BEGIN, END = "<!-- vae:begin -->", "<!-- vae:end -->"
METRICS = ("psnr", "ms-ssim")
QUALITIES = tuple(float(q) for q in range(0, 101, 10))
JPEG_QUALITIES = (3, 6, 10, 15, 22, 30, 40, 50, 62, 75, 85, 92)
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


Coder = Callable[[NDArray[np.uint8]], tuple[bytes, NDArray[np.uint8]]]


def _point(coder: Coder, pictures: Sequence[Picture]) -> dict[str, float]:
    """Means over the pictures: bpp, scores."""
    rows = []
    for picture in pictures:
        data, decoded = coder(picture.pixels)
        height, width = picture.pixels.shape[:2]
        rows.append({"bpp": 8 * len(data) / (height * width), **score(METRICS, picture.pixels, decoded)})
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _coder(codec: Any, quality: float) -> Coder:
    def code(pixels: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.uint8]]:
        data = codec.encode(pixels, quality)
        return data, codec.decode(data)

    return code


def _jpeg(quality: int) -> Coder:
    def code(pixels: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.uint8]]:
        data = JPEG.encode(pixels, quality)
        return data, JPEG.decode(data)

    return code


def curves(model: Model, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> Iterator[tuple[str, Coder]]:
    """Every point of every curve: its name and what makes it."""
    yield from (("uncertainty", _coder(open_codec(model, F32), q)) for q in QUALITIES)
    levels = np.linspace(0, 100, LEVELS).tolist()
    for name, own in own_variants(model).items():
        yield from ((name, _coder(Codec(own.engine, own), q)) for q in levels)
    yield from (("jpeg", _jpeg(q)) for q in JPEG_QUALITIES)
    for name, make in FITTED.items():
        variant = make(model, mean, deviation)
        yield from ((name, _coder(Codec(variant.engine, variant), q)) for q in levels)


def measure(folder: Path, data: Path, count: int | None) -> dict[str, Any]:
    """All curves. Raises GlissandoError."""
    model, pictures = zoo.find(folder), load_pictures(data, count)
    found: dict[str, list[dict[str, float]]] = {}
    for name, coder in curves(model, *posteriors(folder, data)):
        point = _point(coder, pictures)
        found.setdefault(name, []).append(point)
        print(f"{name}: " + "  ".join(f"{k} {v:.3f}" for k, v in point.items()), file=sys.stderr, flush=True)
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
    better = scores_at(ours, metric, grid) > scores_at(theirs, metric, grid)
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
    lines += [
        f"| {q:g} | {p['bpp']:.3f} | {p['psnr']:.2f} | {p['ms-ssim']:.2f} |"
        for q, p in zip(QUALITIES, ours, strict=True)
    ]
    model, machine = results["model"], results["machine"]
    what = f"model {model['name']} ({model['hash']}); {machine['processor']} ({', '.join(machine['extensions'])})"
    lines += ["", f"Measured {results['date']}; {results['pictures']} Kodak pictures; {what}."]
    return "\n".join(lines)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("--data", type=Path, help="folder that holds kodak/ and train/; $GLISSANDO_DATA unless given")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where it did what was asked."""
    return run_study(
        argparse.ArgumentParser(
            prog="python -m benchmarks.vae", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        ),
        arguments,
        options=_options,
        measure=lambda given: measure(given.model, data_folder(given.data), given.pictures),
        markdown=markdown,
        report=lambda results, documents: update(documents[0], BEGIN, END, markdown(results)),
        documents={"nargs": 1, "metavar": "document"},
    )


if __name__ == "__main__":
    sys.exit(main())
