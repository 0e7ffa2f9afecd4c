"""Pictures per second, from pixels to bytes and back, beside AVIF and JPEG XL at about the same bytes; alone and
together.

    python -m benchmarks.real_time measure --data DIR --json real-time.json      # DIR holds kodak/
    python -m benchmarks.real_time report real-time.json docs/real-time.md

Each codec is opened once, with the machine's threads. They take turns, picture by picture and round by round, so that
noise on the machine disturbs all alike; figures are medians over rounds. Eight pictures "at once" are given to one
codec by eight threads, against the same eight one after the other.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

import glissando
from glissando.bench.codecs import Codec, open_codec
from glissando.bench.speed import resized
from glissando.errors import BenchmarkError, GlissandoError
from glissando.files import atomic_write
from glissando.machine import Machine, default_threads

from .api import Pixels
from .data import data_folder, load_pictures
from .documents import table, update_blocks

__all__ = ["at_once", "main", "markdown", "measured", "nearest_setting"]

PEERS = ("avif", "jxl-fast")
QUALITY = 45.0
PICTURES = 8
SIZES = {"768×512": (512, 768), "1920×1080": (1080, 1920)}


def nearest_setting(codec: Codec, pixels: Pixels, size: int) -> float:
    """The codec's setting, of whole numbers from 1 to 100, whose file is nearest to ``size`` bytes."""
    low, high = 1, 100
    while high - low > 1:
        middle = (low + high) // 2
        if len(codec.encode(pixels, middle)) < size:
            low = middle
        else:
            high = middle
    return float(min((low, high), key=lambda setting: abs(len(codec.encode(pixels, setting)) - size)))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def measured(
    codecs: Mapping[str, Codec], settings: Mapping[str, float], pictures: Sequence[Pixels], rounds: int
) -> dict[str, dict[str, float]]:
    """Of each codec: median seconds to encode and to decode a picture, and mean bytes of a file.

    Every codec has coded every picture once before it is timed.
    """
    found: dict[str, dict[str, list[float]]] = {name: {"encode": [], "decode": [], "bytes": []} for name in codecs}
    for name, codec in codecs.items():
        for pixels in pictures:
            codec.decode(codec.encode(pixels, settings[name]))
    for _ in range(rounds):
        for pixels in pictures:
            for name, codec in codecs.items():
                encode, data = timed(partial(codec.encode, pixels, settings[name]))
                decode, _ = timed(partial(codec.decode, data))
                for key, value in (("encode", encode), ("decode", decode), ("bytes", float(len(data)))):
                    found[name][key].append(value)
    return {
        name: {"encode": median(row["encode"]), "decode": median(row["decode"]), "bytes": mean(row["bytes"])}
        for name, row in found.items()
    }


def at_once(work: Callable[[Any], Any], items: Sequence[Any], rounds: int) -> float:
    """How many times as fast ``work`` is on all items in as many threads as on one after the other; medians."""

    def run(mapped: Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]) -> float:
        return timed(lambda: list(mapped(work, items)))[0]

    with ThreadPoolExecutor(len(items)) as pool:
        run(pool.map)
        pairs = [(run(map), run(pool.map)) for _ in range(rounds)]
    return median(apart for apart, _ in pairs) / median(together for _, together in pairs)


def _measure(model: str, data: Path, threads: int, rounds: int) -> dict[str, Any]:
    codecs = {model: open_codec(model, threads), **{name: open_codec(name, threads) for name in PEERS}}
    kodak = [picture.pixels for picture in load_pictures(data, PICTURES)]
    wide = [pixels if pixels.shape[1] > pixels.shape[0] else np.rot90(pixels).copy() for pixels in kodak]
    results: dict[str, Any] = {"model": model, "quality": QUALITY, "sizes": {}}
    for label, (height, width) in SIZES.items():
        pictures = [resized(pixels, width * width / 1.5 / 1e6)[:height, :width].copy() for pixels in wide]
        size = len(codecs[model].encode(pictures[0], QUALITY))
        settings = {name: nearest_setting(codecs[name], pictures[0], size) for name in PEERS} | {model: QUALITY}
        results["sizes"][label] = measured(codecs, settings, pictures, rounds)
    own = codecs[model]
    small = [pixels[:512, :768].copy() for pixels in wide]
    files = [own.encode(pixels, QUALITY) for pixels in small]
    results["at once"] = {
        "encode": at_once(lambda pixels: own.encode(pixels, QUALITY), small, rounds),
        "decode": at_once(own.decode, files, rounds),
    }
    results["versions"] = {name: codec.version for name, codec in codecs.items()}
    results["machine"] = Machine.this().described
    results["threads"], results["rounds"], results["pictures"] = threads, rounds, PICTURES
    return results


def markdown(results: Mapping[str, Any]) -> str:
    """The table of pictures per second, and the lines below it."""
    body = []
    for label, rows in results["sizes"].items():
        avif = rows["avif"]
        for name, row in rows.items():
            ratios = [f"{avif[key] / row[key]:.2f}" for key in ("encode", "decode")]
            speeds = [f"{1 / row[key]:.1f}" for key in ("encode", "decode")]
            body.append([f"{label}, {name}", speeds[0], ratios[0], speeds[1], ratios[1], f"{row['bytes'] / 1000:.1f}"])
    head = ["", "encodes, per second", "× AVIF", "decodes, per second", "× AVIF", "kB a file"]
    together = results["at once"]
    versions = "; ".join(f"{name}: {version}" for name, version in results["versions"].items())
    return "\n".join(
        [
            table(head, body),
            "",
            f"Eight pictures at once, against one after the other: encoded {together['encode']:.2f} times as fast, "
            f"decoded {together['decode']:.2f} times.",
            "",
            f"Quality {results['quality']:g}; medians of {results['rounds']} rounds over {results['pictures']} "
            f"pictures; threads: {results['threads']}; {results['machine']}; {results['date']}. {versions}.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the results, or the document, were written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_time", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("measure", help="time it")
    measure.add_argument("--model", default="glissando:medium", help="as glissando bench names it")
    measure.add_argument("--data", type=Path, help="folder that holds kodak/; $GLISSANDO_DATA unless given")
    measure.add_argument("--threads", type=int, default=default_threads())
    measure.add_argument("--rounds", type=int, default=7)
    measure.add_argument("--json", type=Path, required=True, help="where the results go")
    report = commands.add_parser("report", help="write the table into a document")
    report.add_argument("results", type=Path)
    report.add_argument("document", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.command == "report":
            results = json.loads(given.results.read_text(encoding="utf-8"))
            update_blocks([given.document], {"real-time": markdown(results)})
            return 0
        if given.rounds < 1 or given.threads < 1:
            raise BenchmarkError("--rounds and --threads must be at least 1")
        results = _measure(given.model, data_folder(given.data), given.threads, given.rounds)
        results |= {"date": datetime.now(UTC).date().isoformat(), "glissando": glissando.__version__}
        atomic_write(given.json, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    except (OSError, ValueError, KeyError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(markdown(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
