"""What `glissando bench` does not measure of a model, on the Kodak pictures, each part a study of its own:

    file-sizes      where the bytes of files go, and how many there are beyond the model's cross-entropy
    monotony        whether files grow at every step of the quality
    cold            how long `glissando decode` takes in a new process
    size            bytes of the installed package
    determinism     how far pixels differ between engines, precisions and numbers of threads

    python -m benchmarks.checks --data DIR --json checks.json
    python -m benchmarks.checks --parts file-sizes --pictures 4        # a quick look

`python -m benchmarks.readme` puts the figures into the README, beside those of the comparison of the same weights.
Progress goes to standard error, tables to standard output.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import glissando
from glissando.bench.packages import package_versions
from glissando.bench.progress import Progress, open_progress
from glissando.errors import BackendError, BenchmarkError, GlissandoError
from glissando.files import atomic_write
from glissando.machine import Machine, default_threads

from . import determinism, file_sizes, footprint
from .api import Api, Codec
from .claim import Claim, claims_table, not_measured
from .data import Picture, data_folder, evenly_chosen, load_pictures
from .points import QUALITIES

__all__ = ["PARTS", "main", "run"]

PARTS = ("file-sizes", "monotony", "cold", "size", "determinism")
COLD_QUALITY = 50.0


def main(arguments: Sequence[str] | None = None, api: Api | None = None) -> int:
    """Command line; 0 where everything that was asked for could be measured, whatever the figures say."""
    given = _parser().parse_args(arguments)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    try:
        with open_progress(say) as progress:
            results = run(given, api or cast(Api, glissando), progress)
        if given.json is not None:
            content = json.dumps(_finite(results), indent=1, ensure_ascii=False) + "\n"
            atomic_write(given.json, content.encode())
    except (OSError, BenchmarkError) as error:
        say(f"python -m benchmarks.checks: {error}")
        return 1
    if sizes := results.get("file_sizes"):
        print(file_sizes.parts_table([file_sizes.FileSize(**size) for size in sizes]) + "\n")
    print(claims_table([Claim.from_json(claim) for claim in results["claims"]]))
    for part, reason in results["failed"].items():
        say(f"python -m benchmarks.checks: {part} was not measured: {reason}")
    return 1 if results["failed"] else 0


def run(given: argparse.Namespace, api: Api, progress: Progress) -> dict[str, Any]:
    """Measure the parts asked for. A part that fails is named in ``failed``; the others go on.

    Raises BenchmarkError where the pictures are missing.
    """
    parts = _parts(given.parts)
    pictures = load_pictures(data_folder(given.data), given.pictures) if parts != ["size"] else []
    threads = given.threads or default_threads()
    results: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": Machine.this().to_json(),
        "versions": package_versions(),
        "threads": threads,
        "pictures": len(pictures),
        "parts": parts,
        "failed": {},
    }
    opened: dict[str, Codec] = {}

    def codec() -> Codec:
        """The model, opened when the first part needs it."""
        if "codec" not in opened:
            opened["codec"] = api.open_model(
                given.model, backend=given.backend, precision=given.precision, threads=threads
            )
            card = opened["codec"].card
            results["model"] = {"name": card.name, "hash": str(card.hash)}
        return opened["codec"]

    def measure_cold() -> list[Claim]:
        picture = pictures[-1]
        data = codec().encode(picture.pixels, COLD_QUALITY)
        outcome = footprint.measure_cold(data, picture.name, COLD_QUALITY)
        results["cold"] = asdict(outcome)
        return footprint.cold_claims(outcome)

    def measure_file_sizes() -> list[Claim]:
        progress.stage("file sizes", len(pictures) * len(QUALITIES))
        sizes = file_sizes.measure_file_sizes(api, codec(), pictures, QUALITIES, progress.advance)
        results["file_sizes"] = [asdict(size) for size in sizes]
        return file_sizes.overhead_claims(file_sizes.overhead(sizes))

    def measure_monotony() -> list[Claim]:
        chosen: list[Picture] = evenly_chosen(pictures, 3)
        progress.stage("monotony", len(chosen) * len(file_sizes.MONOTONY_QUALITIES))
        outcome = file_sizes.measure_monotony(codec(), chosen, progress.advance)
        results["monotony"] = [asdict(one) for one in outcome]
        return file_sizes.monotony_claims(outcome)

    def measure_determinism() -> list[Claim]:
        progress.stage("determinism", len(determinism.COMPARISONS))
        outcome = determinism.measure_determinism(
            api, given.model, evenly_chosen(pictures, 6), (BackendError, ImportError), progress.advance
        )
        results["determinism"] = [asdict(one) for one in outcome]
        return determinism.determinism_claims(outcome)

    def measure_size() -> list[Claim]:
        outcome = footprint.measure_size(footprint.package_folder())
        results["size"] = asdict(outcome)
        return footprint.size_claims(outcome)

    # The cold start first, before this process keeps the cores warm.
    steps: dict[str, Callable[[], list[Claim]]] = {
        "cold": measure_cold,
        "file-sizes": measure_file_sizes,
        "monotony": measure_monotony,
        "determinism": measure_determinism,
        "size": measure_size,
    }
    claims: dict[str, list[Claim]] = {}
    for part, step in steps.items():
        if part not in parts:
            continue
        try:
            claims[part] = step()
        except (BenchmarkError, GlissandoError, ImportError) as error:
            results["failed"][part] = str(error)
            claims[part] = [not_measured(part, str(error))]
    results["claims"] = [claim.to_json() for part in PARTS for claim in claims.get(part, [])]
    return results


def _parts(text: str) -> list[str]:
    asked = [part.strip() for part in text.split(",") if part.strip()]
    if unknown := [part for part in asked if part not in (*PARTS, "all")]:
        raise BenchmarkError(f"--parts {','.join(unknown)}: unknown; there are {', '.join((*PARTS, 'all'))}")
    if not asked:
        raise BenchmarkError("--parts names nothing to measure")
    return list(PARTS) if "all" in asked else [part for part in PARTS if part in asked]


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: null stands for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.checks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, help="folder that holds kodak/ (default: $GLISSANDO_DATA)")
    add("--json", type=Path, metavar="OUT", help="write everything, each file's size too, to this file")
    add("--parts", default="all", help=f"some of {', '.join(PARTS)}, or all")
    add("--pictures", type=int, metavar="N", help="only N pictures, spread over the set")
    add("--model", default="medium", help="name of the model (default: medium)")
    add("--backend", default="auto", help="inference engine (default: auto)")
    add("--precision", default="auto", help="auto, f32 or bf16 (default: auto)")
    add("--threads", type=int, help="threads of the model (default: all cores)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
