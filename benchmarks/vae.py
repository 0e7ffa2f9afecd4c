"""The plain VAE on Kodak: its one model at all rates, against JPEG, and against the same latents quantised otherwise.

    python -m benchmarks.vae measure src/glissando/zoo/vae --data DIR --json vae.json     # DIR holds kodak/ and train/
    python -m benchmarks.vae report vae.json docs/vae.md

All variants are files of the same format, decoded by the same network to the same 8-bit pixels; each has tables of its
own, fitted to the same training pictures:

- **uncertainty**: the model as it is;
- **one σ**: the same search, but told that each channel's latents are all as uncertain as their mean;
- **uniform**: posterior means rounded to multiples of one step, which is swept;
- **k-means**: posterior means rounded to so many points for each channel, placed by Lloyd's algorithm.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando import zoo
from glissando.bayes.grid import points_between
from glissando.bayes.search import search
from glissando.bench.bdrate import Curve, bd_rate
from glissando.bench.machine import Machine, package_versions
from glissando.bench.metrics import score
from glissando.codec.codec import Analysed
from glissando.codec.vae import PointModel, VaeCodec
from glissando.errors import GlissandoError
from glissando.files import atomic_write
from glissando.models import VaeNetwork
from glissando.training.calibration import MAX_BITS, Tables, calibrate, fit_tables
from glissando.training.export_vae import training_posteriors
from glissando.training.loop import load_checkpoint
from glissando.training.recipe import VaeRecipe, from_dict
from glissando.zoo import Model

from .data import Picture, data_folder, load_pictures
from .peers import JPEG
from .quantisers import kmeans
from .readme import replace_between

__all__ = ["main", "markdown"]

BEGIN, END = "<!-- vae:begin -->", "<!-- vae:end -->"
METRICS = ("psnr", "ms-ssim")
QUALITIES = tuple(float(q) for q in range(0, 101, 10))
STEPS = tuple(2.0**k for k in np.arange(-2, 5.5, 0.75))  # of the likelihood's deviation
CENTRES = tuple((2 << n) - 1 for n in range(1, 8))  # 3, 7, … 255 points a channel
JPEG_QUALITIES = (3, 6, 10, 15, 22, 30, 40, 50, 62, 75, 85, 92)
LABELS = {"uncertainty": "VAE", "one σ": "one σ for all", "uniform": "uniform", "k-means": "k-means", "jpeg": "JPEG"}

Floats = NDArray[np.float32]


class Variant(VaeCodec):
    """The model with other points and tables; with one level where the points themselves set the rate."""

    def __init__(
        self, model: Model, points: NDArray[np.float64], tables: Tables, max_bits: int, deviation: Floats | None = None
    ) -> None:
        super().__init__(model, backend="auto", precision="f32", threads=None)
        largest = (1 << max_bits) - 1
        knots = {"knots": points.astype(np.float32), "knot_symbols": np.arange(-largest, largest + 1, dtype=np.float32)}
        self._points = PointModel({"max_bits": np.array(max_bits), **vars(tables)}, knots)
        self.tables = self._points.tables
        self._deviation = deviation

    def analyse(self, picture: Any, quality: float = 100.0) -> Analysed:
        analysed = super().analyse(picture, quality)
        if self._deviation is not None:
            assert isinstance(analysed.arrays, dict)
            analysed.arrays["deviation"][...] = self._deviation
        return analysed


class Nearest(Variant):
    """Each mean takes the nearest point: quantisation without uncertainty."""

    def rate_weight(self, units: int) -> float:
        return 0.0


class Weighted(Variant):
    """Bayesian coding with prices of its own."""

    log2_rate_weight: Floats

    def rate_weight(self, units: int) -> float:
        levels = self.log2_rate_weight
        return float(np.exp2(np.interp(units / 25600, np.linspace(0, 1, len(levels)), levels)))


def uniform_variant(model: Model, mean: Floats, step: float) -> Variant:
    """Multiples of ``step`` for all channels."""
    largest = (1 << MAX_BITS) - 1
    points = np.broadcast_to(step * np.arange(-largest, largest + 1.0), (mean.shape[1], 2 * largest + 1))
    return _nearest(model, mean, points, MAX_BITS)


def kmeans_variant(model: Model, mean: Floats, levels: int) -> Variant:
    """``levels`` (2^n − 1) points for each channel."""
    max_bits = (levels + 1).bit_length() - 2
    return _nearest(model, mean, np.sort(kmeans(mean, levels, axis=-1).points, axis=1).astype(np.float64), max_bits)


def _nearest(model: Model, mean: Floats, points: NDArray[np.float64], max_bits: int) -> Variant:
    points = points.astype(np.float32).astype(np.float64)  # as PointModel keeps them
    symbols = search(mean, 1.0, points, np.zeros(max_bits + 1), 0.0, group=-1)
    return Nearest(model, points, fit_tables([symbols], max_bits, sure=0.0), max_bits)


def one_deviation_variant(model: Model, mean: Floats, deviation: Floats) -> Variant:
    """The model's own search, told the mean deviation of each channel; refitted to that."""
    typical = deviation.mean(axis=0)
    fitted = calibrate(mean, np.broadcast_to(typical, mean.shape))
    points = points_between(fitted.knot_symbols, fitted.knots, MAX_BITS)
    variant = Weighted(model, points, fitted.tables, MAX_BITS, typical)
    variant.log2_rate_weight = fitted.log2_rate_weight
    return variant


def posteriors(folder: Path, data: Path) -> tuple[Floats, Floats]:
    """Means and deviations of training pictures' latents: what the export fitted its tables to."""
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


def curves(model: Model, mean: Floats, deviation: Floats) -> Iterator[tuple[str, Coder]]:
    """Every point of every curve: its name and what makes it."""
    spread = model.card.training["recipe"]["network"]["variance"] ** 0.5
    ours = VaeCodec(model, backend="auto", precision="f32", threads=None)
    yield from (("uncertainty", _coder(ours, q)) for q in QUALITIES)
    blind = one_deviation_variant(model, mean, deviation)
    yield from (("one σ", _coder(blind, q)) for q in QUALITIES)
    yield from (("uniform", _coder(uniform_variant(model, mean, spread * step), 0.0)) for step in STEPS)
    yield from (("k-means", _coder(kmeans_variant(model, mean, levels), 0.0)) for levels in CENTRES)
    yield from (("jpeg", _jpeg(q)) for q in JPEG_QUALITIES)


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

    def at(points: Sequence[dict[str, float]]) -> NDArray[np.float64]:
        ordered = sorted(points, key=lambda p: p["bpp"])
        rates, scores = ([p[key] for p in ordered] for key in ("bpp", metric))
        return np.interp(np.log(grid), np.log(rates), scores)

    better = at(ours) > at(theirs)
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
    for name in ("jpeg", "uniform", "k-means", "one σ"):
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where it did what was asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.vae", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("measure", help="all curves, into a JSON file")
    one.add_argument("model", type=Path, help="the model's folder")
    one.add_argument("--data", type=Path, help="folder that holds kodak/ and train/; $GLISSANDO_DATA unless given")
    one.add_argument("--pictures", type=int, help="only so many, spread over the set")
    one.add_argument("--json", type=Path, required=True)
    two = actions.add_parser("report", help="the tables, between a Markdown file's markers")
    two.add_argument("results", type=Path)
    two.add_argument("document", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.action == "measure":
            results = measure(given.model, data_folder(given.data), given.pictures)
            atomic_write(given.json, (json.dumps(results, indent=1) + "\n").encode())
            print(markdown(results))
        else:
            results = json.loads(given.results.read_text(encoding="utf-8"))
            text = given.document.read_text(encoding="utf-8")
            atomic_write(given.document, replace_between(text, BEGIN, END, markdown(results)).encode())
    except (OSError, ValueError, KeyError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
