"""Every figure that the project claims, measured on the Kodak pictures: one command.

    python -m benchmarks.kodak --data DIR --json results.json
    python -m benchmarks.kodak --parts rd --pictures 4        # a quick look

Files are weighed as they are, header included; PSNR is that of the decoded 8-bit RGB picture, in dB, averaged
over the pictures, as in the published curves. Progress goes to standard error, tables to standard output.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from glissando.bench.bdrate import METHOD, Curve, bd_rate
from glissando.bench.machine import Machine, default_threads, package_versions
from glissando.errors import BackendError, GlissandoError

from . import determinism, footprint, measures, rd
from .api import Api, BenchmarkError, Codec, load_api
from .data import Picture, data_folder, load_pictures, load_reference, reference_file
from .measures import METHOD_WORDS, Measure
from .peers import AVIF, PEERS
from .report import print_report
from .speed import speed_in_fresh_process

__all__ = ["PARTS", "main", "run"]

PARTS = ("rd", "continuity", "speed", "cold", "size", "determinism")
_ALONE = ("peers",)  # part of rd; by itself only when asked for

Ticker = Callable[[str, int], Callable[[], None]]


def main(arguments: Sequence[str] | None = None, api: Api | None = None) -> int:
    """Command line; 0 where everything that was asked for could be measured, whatever the figures say."""
    given = _parser().parse_args(arguments)
    try:
        results = run(given, api)
    except BenchmarkError as error:
        print(f"python -m benchmarks.kodak: {error}", file=sys.stderr)
        return 1
    if given.json is not None:
        given.json.write_text(json.dumps(_finite(results), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    console = Console()
    print_report(results, console if console.is_terminal else Console(width=200))
    for part, reason in results["failed"].items():
        print(f"python -m benchmarks.kodak: {part} was not measured: {reason}", file=sys.stderr)
    return 1 if results["failed"] else 0


def run(given: argparse.Namespace, api: Api | None = None) -> dict[str, Any]:
    """Measure the parts asked for. A part that fails is named in ``failed``; the others go on.

    Raises BenchmarkError where the pictures or the published curves are missing.
    """
    parts = _parts(given.parts)
    data = data_folder(given.data) if parts != ["size"] else Path()
    pictures = load_pictures(data, given.pictures) if parts != ["size"] else []
    published: dict[str, Curve] = {}
    if {"rd", "peers"} & set(parts):
        published = load_reference(reference_file(given.reference, data))
    threads = given.threads or default_threads()
    machine = Machine.this()
    results: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine.to_json(),
        "versions": package_versions(),
        "threads": threads,
        "method": METHOD_WORDS,
        "pictures": len(pictures),
        "parts": parts,
        "failed": {},
    }
    opened: dict[str, Codec] = {}

    def the_api() -> Api:
        return api or load_api()

    def codec() -> Codec:
        if "codec" not in opened:
            opened["codec"] = the_api().open_model(
                given.model, backend=given.backend, precision=given.precision, threads=threads
            )
            results["model"] = _card(opened["codec"])
        return opened["codec"]

    def spread(count: int) -> list[Picture]:
        count = min(count, len(pictures))
        return [pictures[i * len(pictures) // count] for i in range(count)]

    def rates(part: str) -> list[Measure]:
        ours = codec() if part == "rd" else None
        return _rates(the_api() if ours else None, ours, pictures, published, results, ticker)

    def continuity(_: str) -> list[Measure]:
        chosen = spread(3)
        tick = ticker("continuity", len(chosen) * len(rd.CONTINUITY_STEPS))
        outcome = rd.measure_continuity(codec(), chosen, tick)
        results["continuity"] = [asdict(c) for c in outcome]
        return measures.continuity_measures(outcome)

    def speed(_: str) -> list[Measure]:
        outcome = speed_in_fresh_process(
            data, given.model, given.backend, given.precision, threads, min(4, len(pictures)), given.rounds
        )
        results["speed"] = asdict(outcome)
        return measures.speed_measures(outcome, machine)

    def cold(_: str) -> list[Measure]:
        picture, quality = pictures[-1], 50.0
        outcome = footprint.measure_cold(codec().encode(picture.pixels, quality), picture.name, quality)
        results["cold"] = asdict(outcome)
        return measures.cold_measures(outcome)

    def size(_: str) -> list[Measure]:
        outcome = footprint.measure_size(footprint.package_folder())
        results["size"] = asdict(outcome)
        return measures.size_measures(outcome)

    def sameness(_: str) -> list[Measure]:
        tick = ticker("determinism", len(determinism.COMPARISONS))
        outcome = determinism.measure_determinism(the_api(), given.model, spread(6), (BackendError, ImportError), tick)
        results["determinism"] = [asdict(c) for c in outcome]
        return measures.determinism_measures(outcome)

    # Speed and the cold start first, before this process holds a model or keeps the cores warm.
    steps: dict[str, Callable[[str], list[Measure]]] = {
        "speed": speed,
        "cold": cold,
        "rd": rates,
        "peers": rates,
        "continuity": continuity,
        "determinism": sameness,
        "size": size,
    }
    by_part: dict[str, list[Measure]] = {}
    with _progress() as ticker:
        for part, step in steps.items():
            if part not in parts:
                continue
            try:
                by_part[part] = step(part)
            except (BenchmarkError, GlissandoError, ImportError) as error:
                results["failed"][part] = str(error)
                by_part[part] = [measures.not_measured(part, str(error))]
    order = (*_ALONE, *PARTS)
    results["measures"] = [m.to_json() for part in order for m in by_part.get(part, [])]
    return results


def _rates(
    api: Api | None,
    codec: Codec | None,
    pictures: Sequence[Picture],
    published: dict[str, Curve],
    results: dict[str, Any],
    ticker: Ticker,
) -> list[Measure]:
    """Curves of ours (where a codec is given) and of Pillow's codecs, and every BD-rate between them."""
    points: dict[str, list[rd.Point]] = {}
    if api is not None and codec is not None:
        tick = ticker(codec.card.name, len(pictures) * len(rd.QUALITIES))
        points[codec.card.name] = rd.measure_codec(api, codec, pictures, rd.QUALITIES, tick)
    for peer in PEERS:
        if peer.available():
            tick = ticker(peer.label, len(pictures) * len(peer.qualities))
            points[peer.name] = rd.measure_peer(peer, pictures, tick)
    peers = {p.name: rd.curve_of(p.label, points[p.name]) for p in PEERS if p.name in points}
    means = {name: rd.means(group) for name, group in points.items()}
    results["rd"] = {
        "means": {name: [asdict(m) for m in group] for name, group in means.items()},
        "points": {name: [asdict(p) for p in group] for name, group in points.items()},
    }
    found: list[Measure] = []
    curves = dict(peers)
    if codec is not None:
        name, problem, ours = codec.card.name, "", None
        try:
            ours = curves[name] = rd.curve_of(name, points[name])
        except BenchmarkError as error:
            problem = str(error)
        overhead = rd.overhead(points[name])
        results["rd"]["overhead"] = asdict(overhead) if overhead else None
        found += measures.rate_measures(ours, problem, peers, published, means[name], overhead, len(pictures))
    results["rd"]["bd_rate"] = _all_bd_rates(curves, published)
    return [*found, *measures.peer_measures(peers, published, len(pictures))]


def _all_bd_rates(curves: dict[str, Curve], published: dict[str, Curve]) -> dict[str, dict[str, Any]]:
    """Every measured curve against every published one and AVIF, with both interpolations; percent."""
    anchors = {f"published {name}": curve for name, curve in published.items()}
    if AVIF.name in curves:
        anchors[AVIF.name] = curves[AVIF.name]
    result: dict[str, dict[str, Any]] = {}
    for name, curve in curves.items():
        for anchor_name, anchor in anchors.items():
            try:
                result.setdefault(name, {})[anchor_name] = {
                    METHOD: asdict(bd_rate(anchor, curve)),
                    "akima": asdict(bd_rate(anchor, curve, "akima")),
                }
            except BenchmarkError as error:
                result.setdefault(name, {})[anchor_name] = str(error)
    return result


def _parts(text: str) -> list[str]:
    asked = [part.strip() for part in text.split(",") if part.strip()]
    if unknown := [part for part in asked if part not in (*PARTS, *_ALONE, "all")]:
        known = ", ".join((*PARTS, *_ALONE, "all"))
        raise BenchmarkError(f"--parts {','.join(unknown)}: unknown; there are {known}")
    if not asked:
        raise BenchmarkError("--parts names nothing to measure")
    if "all" in asked:
        return list(PARTS)
    return [p for p in (*PARTS, *_ALONE) if p in asked and not (p == "peers" and "rd" in asked)]


def _card(codec: Codec) -> dict[str, Any]:
    card = codec.card
    return {
        "name": card.name,
        "hash": str(card.hash),
        "parameters": int(card.parameters),
        "encode_kmac_per_pixel": float(card.encode_kmac_per_pixel),
        "decode_kmac_per_pixel": float(card.decode_kmac_per_pixel),
    }


def _finite(value: Any) -> Any:
    """JSON has no infinity and no NaN: null stands for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def _progress() -> Iterator[Ticker]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def ticker(what: str, total: int) -> Callable[[], None]:
            task = progress.add_task(what, total=total)
            return lambda: progress.advance(task)

        yield ticker


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kodak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, help="folder that holds kodak/ (default: $GLISSANDO_DATA)")
    add("--reference", type=Path, help="published curves (default: $GLISSANDO_REFERENCE, or "
        "reference/kodak-published.json beside the data folder)")  # fmt: skip
    add("--json", type=Path, metavar="OUT", help="write everything, raw points too, to this file")
    add("--parts", default="all", help=f"some of {', '.join(PARTS)}, peers (Pillow's codecs alone), or all")
    add("--pictures", type=int, metavar="N", help="only N pictures, spread over the set")
    add("--model", default="medium", help="name of the model (default: medium)")
    add("--backend", default="auto", help="inference engine (default: auto)")
    add("--precision", default="auto", help="auto, f32 or bf16 (default: auto)")
    add("--threads", type=int, help="threads for everything timed (default: all cores)")
    add("--rounds", type=int, default=7, help="rounds of the speed measurement (default: 7)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
