"""Tables and plot of the word-embedding study, for the two markers of a Markdown file."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from glissando.errors import BenchmarkError
from glissando.files import atomic_write

from .documents import replace_between

__all__ = ["BEGIN", "CURVES", "END", "bits_at", "levels_of", "markdown", "plot", "write"]

BEGIN = "<!-- words:begin -->"
END = "<!-- words:end -->"

OURS = "bayes-bands"

# Label, colour of Okabe and Ito's palette, dashes, marker.
CURVES: dict[str, tuple[str, str, str, str]] = {
    "bayes-bands": ("Bayesian, by bands", "#D55E00", "-", "o"),
    "bayes": ("Bayesian", "#000000", "--", "*"),
    "bayes-same-std": ("Bayesian, one σ for all", "#E69F00", "--", "v"),
    "uniform-arithmetic": ("uniform + arithmetic", "#0072B2", "-", "s"),
    "uniform-arithmetic-bands": ("uniform + arithmetic, by bands", "#56B4E9", ":", "D"),
    "kmeans-arithmetic": ("k-means + arithmetic", "#009E73", "-.", "^"),
    "uniform-lzma": ("uniform + lzma", "#CC79A7", "-", "P"),
    "uniform-zstd": ("uniform + zstd", "#444444", ":", "x"),
    "uniform-bzip2": ("uniform + bzip2", "#666666", "--", "+"),
    "uniform-gzip": ("uniform + gzip", "#999999", "-", "1"),
}

# The Hits@10 levels of the paper's stored results, 0.20 .. 0.57, as shares of its uncompressed 0.574.
SHARES = (0.35, 0.70, 0.78, 0.87, 0.96, 0.99)
SOURCE = {
    0.35: (0.44, 1.91),
    0.70: (1.05, 2.64),
    0.78: (1.34, 2.87),
    0.87: (1.78, 3.24),
    0.96: (2.83, 4.07),
    0.99: (4.62, 5.55),
}
"""Bits per value that the source needed there: its method, uniform + ideal arithmetic coding."""


def bits_at(rows: list[dict[str, float]], level: float, score: str = "hits10") -> float | None:
    """Bits per value with which a curve first reaches a score, on straight lines between its points.

    None where no point lies below the level, or none reaches it: nothing is said beyond what was measured.
    """
    ordered = sorted(rows, key=lambda row: row["bits_per_value"])
    for before, after in pairwise(ordered):
        if before[score] < level <= after[score]:
            share = (level - before[score]) / (after[score] - before[score])
            return before["bits_per_value"] + share * (after["bits_per_value"] - before["bits_per_value"])
    return None


def levels_of(results: dict[str, Any]) -> list[tuple[float, float]]:
    """(share of the uncompressed Hits@10, level) of each row of the table."""
    return [(share, share * results["uncompressed"]["hits10"]) for share in SHARES]


def markdown(results: dict[str, Any], picture: str) -> str:
    """All that stands between the markers; ``picture``: the plot's file name."""
    curves = {name: results["curves"][name] for name in CURVES if name in results["curves"]}
    if OURS not in curves:
        raise BenchmarkError("the results hold no point of the Bayesian coder yet")
    return "\n\n".join(
        [
            _setting(results),
            f"![Hits@10 against bits per value]({picture})",
            "Bits per value with which a Hits@10 is reached; in brackets what ours needs less than that:",
            _table(
                ["Hits@10", "of uncompressed", *(CURVES[name][0] for name in curves)],
                [[f"{level:.3f}", _percent(share), *_cells(curves, level)] for share, level in levels_of(results)],
            ),
            "The source, on its own corpus and model, with ideal code lengths instead of files:",
            _table(
                ["of uncompressed", "Bayesian", "uniform + arithmetic"],
                [[_percent(s), f"{a:.2f}", f"{b:.2f} ({_less(a, b)})"] for s, (a, b) in SOURCE.items()],
            ),
            "Some files of ours:",
            _table(
                ["λ", "bytes", "bits per value", "Hits@10", "MRR", "top-1"],
                [
                    [f"{row['setting']:.3g}", f"{row['bytes']:,}", f"{row['bits_per_value']:.3f}", *_scores(row)]
                    for row in sorted(curves[OURS], key=lambda row: row["setting"])[::3]
                ],
            ),
            "The posterior by frequency, most frequent tenth of the words first:",
            _table(
                ["rarest word occurs", "means' RMS", "median σ"],
                [
                    [f"{t['rarest']} times", f"{t['mean_rms']:.3f}", f"{t['std_median']:.3f}"]
                    for t in results["embeddings"]["tenths"]
                ],
            ),
        ]
    )


def _setting(results: dict[str, Any]) -> str:
    found, asked, scores = results["embeddings"], results["questions"], results["uncompressed"]
    training, machine = found["training"], results["machine"]
    trained = ""
    if training:
        trained = (
            f" Trained by recipe {training['recipe']} in {training['sweeps']} sweeps, {training['seconds'] / 60:.0f} "
            f"minutes on {training['threads']} thread{'s' * (training['threads'] != 1)}."
        )
    return (
        f"{found['words']:,} words (the rarest occurs {found['rarest']} times) with {found['dimensions']} values each; "
        f"bands are {found['words'] // found['bands']:,} words of like frequency with a prior and tables of their own. "
        f"{asked['used']:,} of {asked['total']:,} questions.{trained} Uncompressed, 32 bits per value: Hits@10 "
        f"{scores['hits10']:.3f}, MRR {scores['mrr']:.3f}, top-1 {scores['top1']:.3f}. Measured {results['date']}, "
        f"{machine['processor']}, {', '.join(f'{k} {v}' for k, v in results['versions'].items() if k in _NAMED)}."
    )


_NAMED = ("glissando", "numpy", "constriction")


def _scores(row: dict[str, float]) -> list[str]:
    return [f"{row[key]:.3f}" for key in ("hits10", "mrr", "top1")]


def _cells(curves: dict[str, list[dict[str, float]]], level: float) -> list[str]:
    ours = bits_at(curves[OURS], level)
    cells = []
    for name, rows in curves.items():
        bits = bits_at(rows, level)
        saving = "" if name == OURS or ours is None or bits is None else f" ({_less(ours, bits)})"
        cells.append("n/a" if bits is None else f"{bits:.2f}{saving}")
    return cells


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _less(ours: float, theirs: float) -> str:
    return f"{100 * (ours / theirs - 1):+.0f} %".replace("-", "−")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(results: dict[str, Any]) -> bytes:
    """Hits@10 against bits per value, as SVG, the same bytes on every machine."""
    settings = {"font.family": ["DejaVu Sans"], "font.size": 11, "svg.hashsalt": "glissando", "svg.fonttype": "path"}
    with rc_context(settings):  # type: ignore[arg-type]
        figure = Figure(figsize=(9.0, 5.4), layout="constrained")
        axes = figure.subplots()
        for name, (label, colour, dashes, marker) in CURVES.items():
            rows = sorted(results["curves"].get(name, []), key=lambda row: row["bits_per_value"])
            if not rows:
                continue
            axes.plot(
                [row["bits_per_value"] for row in rows],
                [row["hits10"] for row in rows],
                label=label,
                color=colour,
                linestyle=dashes,
                marker=marker,
                markersize=4.5,
                linewidth=2.6 if name == OURS else 1.4,
                zorder=3 if name == OURS else 2,
            )
        top = results["uncompressed"]["hits10"]
        axes.axhline(top, color="#777777", linewidth=0.9, linestyle=(0, (6, 3)), label="uncompressed (32 bits)")
        axes.set_xlim(0, _widest(results, top))
        axes.set_ylim(0, 1.06 * top)
        axes.set_xlabel("file size, bits per value")
        axes.set_ylabel("Hits@10, share of questions")
        axes.grid(True, color="#dddddd", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="lower right", frameon=False, fontsize=9.5)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    data = stream.getvalue()
    return data[data.index(b"<svg") :]  # without the doctype, which names an address


def _widest(results: dict[str, Any], top: float) -> float:
    """Where the slowest curve has all but reached the top, so that the plot's right half is not empty."""
    ends = [bits_at(rows, 0.995 * top) for rows in results["curves"].values()]
    known = [end for end in ends if end is not None]
    measured = [row["bits_per_value"] for rows in results["curves"].values() for row in rows]
    return float(np.ceil(max(known) if known else max(measured)))


def write(results: Path, target: Path) -> None:
    """Rewrite what stands between the markers of ``target``, and the plot beside it.

    Raises BenchmarkError where the results are none, or the target lacks the markers.
    """
    picture = target.with_suffix(".svg")
    try:
        content = json.loads(results.read_text(encoding="utf-8"))
        text = replace_between(target.read_text(encoding="utf-8"), BEGIN, END, markdown(content, picture.name))
        drawn = plot(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"{results}: {error!r}") from error
    atomic_write(picture, drawn)
    atomic_write(target, text.encode())
