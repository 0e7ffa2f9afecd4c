"""Word embeddings: analogy score against bits per value, for the Bayesian coder and for coders without uncertainty.

    glissando train recipes/words.toml --data DIR/text --out RUN
    python -m benchmarks.words measure RUN/posterior.npz --questions DIR/text/questions-words.txt --json words.json
    python -m benchmarks.words report words.json docs/words.md          # tables and plot; also before it is complete

The study of Yang, Bamler and Mandt (ICML 2020), section on word embeddings, with real files: every rate is the
length of the bytes that ``compress`` or ``quantisers.pack`` returned, headers and tables included, and every score
is that of the array decoded from them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando import bayes
from glissando.bench.packages import package_versions
from glissando.errors import BenchmarkError, GlissandoError
from glissando.files import atomic_write
from glissando.machine import Machine

from . import words_report
from .analogies import Analogies, evaluate, read_questions
from .quantisers import CODERS, Quantised, kmeans, pack, uniform, unpack

__all__ = ["Posterior", "load_posterior", "main", "measure"]

Array = NDArray[Any]

RATE_WEIGHTS = np.geomspace(0.003, 3, 19)
PASSES = 30  # the more, the more the choice of points and the cost of depths agree
STEPS = np.geomspace(4, 0.1, 14)  # in units of the RMS of the means
LEVELS = (2, 3, 4, 6, 8, 12, 16, 32)
BAND = 1000  # words of like frequency that share a prior and tables, in the curves named "bands"


@dataclass(frozen=True)
class Posterior:
    """What a training of words left.

    Attributes:
        words: V different words, most frequent first.
        counts: int64 [V], occurrences in the corpus.
        mean, std: float32 [V, d] of the input vectors.
        training: what the trainer says of itself.
    """

    words: list[str]
    counts: NDArray[np.int64]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    training: dict[str, Any]

    @property
    def bands(self) -> int:
        """How many bands of equally many words there are, about 1000 each; 1 where the vocabulary cannot be parted."""
        words = len(self.words)
        return next((n for n in range(max(1, words // BAND), 0, -1) if words % n == 0), 1)


def load_posterior(path: Path) -> Posterior:
    """Read ``posterior.npz`` of a training. Raises BenchmarkError where it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = Posterior(
                words=file["words"].tolist(),
                counts=file["counts"],
                mean=file["mean"].astype(np.float32),
                std=file["std"].astype(np.float32),
                training=json.loads(str(file["training"])) if "training" in file else {},
            )
    except (OSError, ValueError, KeyError) as error:
        raise BenchmarkError(f"{path} is not the posterior of a training of words: {error}") from error
    if found.mean.ndim != 2 or found.mean.shape != found.std.shape or len(found.words) != len(found.mean):
        raise BenchmarkError(f"{path}: {len(found.words)} words, means {found.mean.shape}, stds {found.std.shape}")
    if not (np.isfinite(found.mean).all() and np.isfinite(found.std).all() and (found.std > 0).all()):
        raise BenchmarkError(f"{path}: means and stds must be finite, and stds positive")
    return found


# --- Curves --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """One file: the setting that made it, its size, and the array that it decodes to."""

    curve: str
    setting: float
    size: int
    values: Array


def our_files(posterior: Posterior, rate_weights: Sequence[float]) -> Iterator[Point]:
    """The Bayesian coder: as it is, by bands, and with the root mean square of all std for every value."""
    mean, std = posterior.mean, posterior.std
    same = np.full_like(std, _rms(std))
    for weight in rate_weights:
        for name, uncertainty, bands in (
            ("bayes", std, 1),
            ("bayes-bands", std, posterior.bands),
            ("bayes-same-std", same, 1),
        ):
            shape = (bands, -1, mean.shape[1])
            data = bayes.compress(
                mean.reshape(shape), uncertainty.reshape(shape), rate_weight=weight, groups=0, passes=PASSES
            )
            yield Point(name, weight, len(data), bayes.decompress(data).reshape(mean.shape))


def uniform_files(posterior: Posterior, steps: Sequence[float]) -> Iterator[Point]:
    """Uniform quantisation: one table or a table per band, and the general-purpose compressors."""
    mean, rms = posterior.mean, _rms(posterior.mean)
    for step in steps:
        whole = uniform(mean, step * rms)
        for coder in CODERS:
            yield _packed(f"uniform-{coder}", step, whole, coder)
        bands = uniform(mean.reshape(posterior.bands, -1, mean.shape[1]), step * rms, axis=0)
        data = pack(bands, "arithmetic")
        yield Point("uniform-arithmetic-bands", step, len(data), unpack(data).reshape(mean.shape))


def kmeans_files(posterior: Posterior, levels: Sequence[int]) -> Iterator[Point]:
    for count in levels:
        yield _packed("kmeans-arithmetic", count, kmeans(posterior.mean, count), "arithmetic")


def _packed(curve: str, setting: float, quantised: Quantised, coder: str) -> Point:
    data = pack(quantised, coder)
    return Point(curve, setting, len(data), unpack(data))


def measure(
    posterior: Posterior,
    analogies: Analogies,
    *,
    rate_weights: Sequence[float] = tuple(RATE_WEIGHTS),
    steps: Sequence[float] = tuple(STEPS),
    levels: Sequence[int] = LEVELS,
    progress: Callable[[dict[str, Any], str], None] = lambda results, curve: None,
) -> dict[str, Any]:
    """All curves, as JSON-ready results; ``progress`` is given them after each point, and the name of its curve."""
    results: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": Machine.this().to_json(),
        "versions": package_versions(),
        "embeddings": describe(posterior),
        "questions": {"total": analogies.total, "used": len(analogies.rows)},
        "uncompressed": asdict(evaluate(posterior.mean, analogies)),
        "curves": {},
    }
    scored: tuple[Array, dict[str, float]] | None = None
    for files in (
        our_files(posterior, rate_weights),
        uniform_files(posterior, steps),
        kmeans_files(posterior, levels),
    ):
        for point in files:
            # Coders of the same symbols decode to the same array, whose score need not be found again.
            if scored is None or not np.array_equal(scored[0], point.values):
                scored = point.values, asdict(evaluate(point.values, analogies))
            bits = 8 * point.size / posterior.mean.size
            row = {"setting": point.setting, "bytes": point.size, "bits_per_value": bits, **scored[1]}
            results["curves"].setdefault(point.curve, []).append(row)
            progress(results, point.curve)
    return results


def describe(posterior: Posterior) -> dict[str, Any]:
    """Size and spread of the posterior; by frequency, most frequent tenth of the words first."""
    std, mean, counts = posterior.std, posterior.mean, posterior.counts
    tenths = np.array_split(np.arange(len(mean)), min(10, len(mean)))
    return {
        "words": len(mean),
        "bands": posterior.bands,
        "dimensions": mean.shape[1],
        "rarest": int(counts.min()),
        "mean_rms": _rms(mean),
        "std_percentiles": {str(p): float(np.percentile(std, p)) for p in (5, 50, 95)},
        "tenths": [
            {
                "rarest": int(counts[t].min()),
                "mean_rms": _rms(mean[t]),
                "std_median": float(np.median(std[t])),
            }
            for t in tenths
        ],
        "training": posterior.training,
    }


def _rms(values: Array) -> float:
    return float(np.sqrt(np.square(values, dtype=np.float64).mean()))


# --- Command line --------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where all went well."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.words", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("measure", help="compress, decode, answer the questions; writes JSON after each point")
    one.add_argument("posterior", type=Path, help="posterior.npz of a training")
    one.add_argument("--questions", type=Path, required=True, help="questions-words.txt of word2vec")
    one.add_argument("--json", type=Path, required=True, help="where the results go")
    one.add_argument("--limit", type=int, metavar="N", help="a random subset of N questions, for a quick look")
    one.add_argument("--every", type=int, default=1, metavar="K", help="only every K-th setting of each curve")
    two = commands.add_parser("report", help="write tables and plot between the markers of a Markdown file")
    two.add_argument("results", type=Path, help="what `measure` wrote")
    two.add_argument("markdown", type=Path, help="the plot is written beside it, with the ending .svg")
    given = parser.parse_args(arguments)
    try:
        _measure(given) if given.command == "measure" else words_report.write(given.results, given.markdown)
    except (GlissandoError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(given: argparse.Namespace) -> None:
    if given.every < 1 or (given.limit is not None and given.limit < 1):
        raise BenchmarkError("--every and --limit must be at least 1")
    posterior = load_posterior(given.posterior)
    analogies = read_questions(given.questions, posterior.words).subset(given.limit)
    started = time.monotonic()

    def progress(results: dict[str, Any], curve: str) -> None:
        atomic_write(given.json, (json.dumps(results, indent=1) + "\n").encode())
        row = results["curves"][curve][-1]
        text = f"{row['bits_per_value']:6.3f} bits/value  Hits@10 {row['hits10']:.4f}  MRR {row['mrr']:.4f}"
        print(f"{time.monotonic() - started:6.0f} s  {curve} {row['setting']:g}  {text}", file=sys.stderr, flush=True)

    measure(
        posterior,
        analogies,
        rate_weights=RATE_WEIGHTS[:: given.every].tolist(),
        steps=STEPS[:: given.every].tolist(),
        levels=LEVELS[:: given.every],
        progress=progress,
    )


if __name__ == "__main__":
    sys.exit(main())
