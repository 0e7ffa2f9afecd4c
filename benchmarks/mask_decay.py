"""Small networks out of a large one: every row of the comparison of docs/mask-decay.md, and its tables.

    python -m benchmarks.mask_decay run benchmarks/mask-decay.toml OUT [--pictures N] [--only TEXT] [--data DIR]
    python -m benchmarks.mask_decay report benchmarks/mask-decay.toml OUT [docs/mask-decay.md]

``run`` trains the rows of the TOML file as ``benchmarks.experiments`` does, one after the other, then
exports each network and times how long it decodes a Kodak picture. It leaves alone what OUT holds already, and a row
that was stopped goes on from its last checkpoint: the same command begins, goes on, and does nothing once all is done.
``--pictures`` sets how many crops a row sees; each size needs a folder of its own. DIR holds ``train/`` and ``kodak/``
($GLISSANDO_DATA unless given). ``report`` writes what is there so far into the document's blocks:

- **mask-decay**: BD-rates (PSNR, held-out pictures) against the teacher, and the share of the gap between teacher and
  student from scratch that a row closes;
- **mask-decay-masks**: histograms of the masks while they sink, for each sparsity loss;
- **mask-decay-times**: BD-rate beside the measured time of decoding.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import glissando
from glissando.bench.bdrate import Curve, bd_rate
from glissando.errors import BenchmarkError
from glissando.files import atomic_write
from glissando.machine import Machine
from glissando.training.export import export

from . import experiments
from .commands import run_trainings
from .data import data_folder, load_pictures
from .documents import table, update_blocks
from .plans import Plan, Row, read_plan, take_pictures

__all__ = ["blocks", "main"]

REPEATS = 7  # of a decoding, of which the median counts
QUALITY = 45.0  # of the file whose decoding is timed
TENTHS = [f"{i / 10:.1f}" for i in range(10)]

Found = dict[str, dict[str, Any]]
"""What a row's run has written, by the row's title."""


def _time_path(row: Row, out: Path, seed: int) -> Path:
    return row.path(out, seed).with_suffix(".time.json")


def time_rows(plan: Plan, out: Path, data: Path, only: str) -> None:
    """Export every trained network that has no times yet, and measure how long one thread decodes a picture."""
    picture = load_pictures(data, 1)[0].pixels
    for row in plan.rows:
        checkpoint, path = row.checkpoint(out, row.seeds[0]), _time_path(row, out, row.seeds[0])
        if only not in row.title or path.exists() or not checkpoint.exists():
            continue
        print(f"timing {row.title}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            codec = glissando.open_model(export(checkpoint, Path(folder) / "model", data=data / "train"), threads=1)
            encoded = codec.encode(picture, quality=QUALITY)
            codec.decode(encoded)
            seconds = []
            for _ in range(REPEATS):
                started = time.perf_counter()
                codec.decode(encoded)
                seconds.append(time.perf_counter() - started)
        found = {"decode_ms": 1000 * median(seconds), "machine": Machine.this().described}
        atomic_write(path, (json.dumps(found, indent=1) + "\n").encode())


def _read(plan: Plan, out: Path) -> Found:
    """What there is of the first seed of each row. Raises BenchmarkError where the teacher is missing."""
    found: Found = {}
    for row in plan.rows:
        path, times = row.path(out, row.seeds[0]), _time_path(row, out, row.seeds[0])
        if path.exists():
            found[row.title] = json.loads(path.read_text(encoding="utf-8"))
            if times.exists():
                found[row.title] |= json.loads(times.read_text(encoding="utf-8"))
    if plan.rows[0].title not in found:
        raise BenchmarkError(f"{out} holds no run of the teacher, {plan.rows[0].title}")
    return found


def _bd_rate(teacher: dict[str, Any], result: dict[str, Any]) -> float:
    first, second = (
        Curve.of(each["name"], [(bpp, psnr) for _, bpp, psnr in each["curve"]], strict=False)
        for each in (teacher, result)
    )
    return bd_rate(first, second).percent


def blocks(plan: Plan, out: Path) -> dict[str, str]:
    """The text of each block by its name."""
    found = _read(plan, out)
    return {
        "mask-decay": _results(plan, found),
        "mask-decay-masks": _masks(plan, found),
        "mask-decay-times": _times(plan, found),
    }


def _results(plan: Plan, found: Found) -> str:
    teacher = found[plan.rows[0].title]
    rates = {title: _bd_rate(teacher, result) for title, result in found.items()}
    scratch = {row.group: rates[row.title] for row in plan.rows if row.shape and row.title in rates}
    body = []
    for row in plan.rows:
        if row.title not in found:
            continue
        result, gap = found[row.title], scratch.get(row.group)
        closed = f"{100 * (1 - rates[row.title] / gap):.0f} %" if gap and not row.shape else "—"
        body.append(
            [
                f"{row.group}: {row.name}",
                f"{int(plan.pictures * row.times):,}",
                f"{result['kmac']['decode']:.1f}",
                f"{result['kmac']['encode']:.1f}",
                f"{rates[row.title]:+.1f} %",
                closed,
            ]
        )
    head = ["row", "pictures of its own", "decode, kMAC/pixel", "encode", "BD-rate to L", "gap closed"]
    machines = "; ".join(dict.fromkeys(result["machine"] for result in found.values()))
    return f"{table(head, body)}\n\n{len(body)} of {len(plan.rows)} rows; {machines}."


def _masks(plan: Plan, found: Found) -> str:
    """Histograms after a half and at the end of the drive, for each row whose masks sank."""
    body = []
    for row in plan.rows:
        drawn = found.get(row.title, {}).get("masks", [])
        for when, place in (("half-way", len(drawn) // 2), ("before the cut", len(drawn) - 1)):
            for path in ("decode", "encode"):
                if drawn and f"masks/{path}@0.0" in drawn[place]:
                    shares = [f"{100 * drawn[place][f'masks/{path}@{low}']:.0f}" for low in TENTHS]
                    body.append([f"{row.group}: {row.name}, {path}, {when}", *shares])
    head = ["percent of the masks from … on", *TENTHS]
    return table(head, body) if body else "No masks have sunk yet."


def _times(plan: Plan, found: Found) -> str:
    teacher = found[plan.rows[0].title]
    timed = [row for row in plan.rows if "decode_ms" in found.get(row.title, {})]
    body = [
        [
            f"{row.group}: {row.name}",
            f"{found[row.title]['kmac']['decode']:.1f}",
            f"{found[row.title]['decode_ms']:.0f}",
            f"{_bd_rate(teacher, found[row.title]):+.1f} %",
        ]
        for row in sorted(timed, key=lambda row: -float(found[row.title]["decode_ms"]))
    ]
    head = ["row", "decode, kMAC/pixel", "ms, 768×512, one thread", "BD-rate to L"]
    return table(head, body) if body else "No row has been timed yet."


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and time what is missing, or report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mask_decay",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def plan_of(given: argparse.Namespace) -> Plan:
        return read_plan(given.plan, given.pictures)

    def run(given: argparse.Namespace) -> None:
        plan, data = plan_of(given), data_folder(given.data)
        experiments.run(plan, given.out, data / "train", given.only, given.threads)
        time_rows(plan, given.out, data, given.only)

    return run_trainings(
        parser,
        arguments,
        run=run,
        markdown=lambda given: "\n\n".join(blocks(plan_of(given), given.out).values()),
        report=lambda given: update_blocks([given.document], blocks(plan_of(given), given.out)),
        options=take_pictures,
    )


if __name__ == "__main__":
    sys.exit(main())
