"""How batches scale: pictures per second over workers, and what the one driver costs for each picture (docs/batch.md).

    python -m benchmarks.batch measure --json batch.json          # with Ray too, where it is installed
    python -m benchmarks.batch report batch.json docs/batch.md

Workers are as many as there are cores at most, with one thread each. What lies beyond is computed: a batch is as fast
as its workers together until the driver's core has no time left.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import glissando
from glissando.batches.driver import Batch, Options
from glissando.batches.encoding import Encoding
from glissando.batches.folder import Folder
from glissando.batches.manifest import Manifest
from glissando.batches.messages import Done, Look, Looked, Make, Reply, Request
from glissando.batches.naming import Naming
from glissando.batches.pools import Died
from glissando.batches.start import Workers, run_batch
from glissando.batches.worker import Made
from glissando.errors import BenchmarkError, GlissandoError
from glissando.files import atomic_write
from glissando.machine import Machine, default_threads
from glissando.picture import read_picture

from .data import KODAK_COUNT, data_folder
from .documents import table, update_blocks

__all__ = ["main", "markdown", "measure"]

QUALITY = 60.0
SIZES = (0.393, 2.0, 12.0, 48.0)
"""Megapixels of pictures, for which the table tells how many workers one driver keeps busy."""
FLEET = 1000
SMALL_FILES = 20000
"""Empty files that listing, manifest and driver are timed with."""
MOVED_FILES = 4000
"""Small files that pass through real workers, to time the driver with them."""


@dataclass(frozen=True)
class _Nothing:
    """A conversion that takes no time, so that what is left is that of the driver."""

    key: bytes = b"nothing"

    def open(self) -> Callable[[bytes, str], Made]:
        return lambda data, name: Made(b"nothing", 1)


class _Instant:
    """Workers that answer at once, without reading or writing anything."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._asked: list[tuple[int, Reply | Died]] = []
        self._number = 0

    def send(self, slot: int, request: Request) -> None:
        if isinstance(request, Look):
            self._number += 1
            self._asked.append((slot, Looked(self._number.to_bytes(32, "big"), 10**6)))
        else:
            self._asked.append((slot, Done("made", 10**5, bytes(32), 10**6, 0.1, (), "machine:1")))

    def wait(self, *, block: bool) -> list[tuple[int, Reply | Died]]:
        asked, self._asked = self._asked, []
        return asked

    def recall(self) -> list[int]:
        return []

    def close(self, *, kill: bool = False) -> None:
        self._asked.clear()


def measure(
    data: Path, workers: Sequence[int], rounds: int, *, with_ray: bool, small: int, moved: int
) -> dict[str, Any]:
    """Scaling and constants.

    ``workers``: numbers of them. ``rounds``: how often each runs over the 24 Kodak pictures at once, under so many
    names. ``small``, ``moved``: numbers of files; see ``SMALL_FILES`` and ``MOVED_FILES``.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        results = {
            "constants": _constants(folder / "small", small),
            "moved": _moved(folder / "moved", moved, with_ray),
            "scaling": _scaling(folder / "kodak", data / "kodak", workers, rounds),
        }
    return results | {
        "quality": QUALITY,
        "machine": Machine.this().described,
        "date": datetime.now(UTC).date().isoformat(),
        "glissando": glissando.__version__,
    }


def _constants(folder: Path, number: int) -> dict[str, float]:
    """Seconds of a core for each picture, of what the driver does by itself; and bytes of the manifest."""
    for each in range(number):
        path = folder / "in" / f"{each % 100}" / f"a-name-as-long-as-names-are-{each}.jpg"
        if each < 100:
            path.parent.mkdir(parents=True)
        path.touch()
    source, destination = Folder(str(folder / "in")), Folder(str(folder / "out"))
    start = time.process_time()
    found = sum(1 for _ in source.walk(lambda name: True))
    listing = (time.process_time() - start) / found
    options = Options((".jpg",), Naming.with_suffix(".gliss"), b"key")
    with closing(Manifest(folder / "m.sqlite")) as manifest:
        start = time.process_time()
        Batch(source, destination, manifest, _Instant(8), options).run()
        driver = (time.process_time() - start) / number
    size = (folder / "m.sqlite").stat().st_size / number

    class Trusting(Folder):
        """A store that is not asked whether outputs are there, as those at URLs."""

        def has(self, name: str, size: int) -> bool:
            return True

    with closing(Manifest(folder / "m.sqlite")) as manifest:
        start = time.process_time()
        Batch(source, Trusting(str(folder / "out")), manifest, _Instant(8), options).run()
        again = (time.process_time() - start) / number
    messages: list[Request | Reply] = [
        Look("folder/name-of-a-picture.jpg", 10**6),
        Looked(bytes(32), 10**6),
        Make("folder/name-of-a-picture.jpg", "folder/name-of-a-picture.gliss"),
        Done("made", 10**5, bytes(32), 10**6, 0.1, (), "machine:12345"),
    ]
    return {
        "listing": listing,
        "driver": driver,
        "again": again,
        "row bytes": size,
        "message bytes": sum(len(pickle.dumps(message)) for message in messages),
    }


def _moved(folder: Path, number: int, with_ray: bool) -> dict[str, dict[str, float]]:
    """By engine, seconds of the driver's cores for each picture, and of the clock, with a conversion of nothing."""
    (folder / "in").mkdir(parents=True)
    for each in range(number):
        (folder / "in" / f"{each}.png").write_bytes(b"%d" % each)
    found = {}
    for engine in ("local", *(("ray",) if with_ray else ())):
        workers = Workers("ray" if engine == "ray" else "local", default_threads())
        times: list[tuple[float, float]] = []
        report = run_batch(
            str(folder / "in"),
            str(folder / engine),
            _Nothing(),
            workers=workers,
            tell=lambda event, times=times: times.append((time.process_time(), time.perf_counter())),  # type: ignore[misc]
        )
        if report.made != number:
            raise BenchmarkError(f"{engine}: {report.made} of {number} files were made")
        first = number // 4  # when all workers have begun
        spans = [(end - begin) / (number - 1 - first) for begin, end in zip(times[first], times[-1], strict=True)]
        found[engine] = {"driver": spans[0], "clock": spans[1]}
    return found


def _scaling(folder: Path, kodak: Path, workers: Sequence[int], rounds: int) -> dict[str, Any]:
    """Pictures per second by number of workers, beside one codec that is called directly."""
    originals = sorted(kodak.glob("kodim*.png"))
    if len(originals) != KODAK_COUNT:
        raise BenchmarkError(f"{kodak} holds {len(originals)} Kodak pictures, not {KODAK_COUNT}")
    (folder / "in").mkdir(parents=True)
    contents = [path.read_bytes() for path in originals]
    for number in range(rounds):
        for path, content in zip(originals, contents, strict=True):  # bytes behind the end make each another content
            (folder / "in" / f"{number}-{path.name}").write_bytes(content + b"%d" % number)
    with glissando.open_model(threads=1) as codec:
        encoding = Encoding.of(codec, QUALITY)
        codec.encode(read_picture(originals[0]), QUALITY)
        start, core = time.perf_counter(), time.process_time()
        for path in originals:
            codec.encode(read_picture(path), QUALITY)
        direct = (time.perf_counter() - start) / len(originals)
        core = (time.process_time() - core) / len(originals)
    rows = {}
    for number in workers:
        times: list[float] = []
        report = run_batch(
            str(folder / "in"),
            str(folder / f"out{number}"),
            encoding,
            workers=Workers("local", number),
            tell=lambda event, times=times: times.append(time.perf_counter()),  # type: ignore[misc]
        )
        if not report.whole:
            raise BenchmarkError(f"{number} workers: {report.failures}")
        first = 2 * number  # when all workers have begun, and have their networks compiled
        rows[str(number)] = {
            "per second": (len(times) - 1 - first) / (times[-1] - times[first]),
            "whole": report.seconds,
            "pictures": len(times),
            "bytes": (report.bytes_in + report.bytes_out) / len(times),
        }
    return {"direct": direct, "core": core, "workers": rows}


def markdown(results: Mapping[str, Any]) -> str:
    """The tables."""
    scaling, constants, moved = results["scaling"], results["constants"], results["moved"]
    direct = scaling["direct"]
    rows = [["the codec, called directly", f"{1 / direct:.2f}", "1.00", ""]]
    for number, row in scaling["workers"].items():
        share = row["per second"] * direct
        name = f"{number} worker{'s' if number != '1' else ''}"
        rows.append([name, f"{row['per second']:.2f}", f"{share:.2f}", f"{share / int(number):.0%}"])
    costs = [
        ["list a file of a folder", f"{1e6 * constants['listing']:.1f} µs", f"{1 / constants['listing']:,.0f}"],
        ["pass over what is done", f"{1e6 * constants['again']:.1f} µs", f"{1 / constants['again']:,.0f}"],
        ["decide, record and report", f"{1e6 * constants['driver']:.1f} µs", f"{1 / constants['driver']:,.0f}"],
    ]
    for engine, each in moved.items():
        what = f"all of that, and four messages (`{engine}`)"
        costs.append([what, f"{1e6 * each['driver']:.0f} µs", f"{1 / each['driver']:,.0f}"])
    limits = []
    moved_bytes = next(iter(scaling["workers"].values()))["bytes"]
    for size in SIZES:
        seconds = scaling["core"] * size / SIZES[0]
        fleet = FLEET / seconds
        line = [
            f"{size:.1f}",
            f"{seconds:.2f} s",
            f"{fleet:,.0f}",
            f"{fleet * moved_bytes * size / SIZES[0] / 1e9:.1f} GB",
        ]
        limits.append([*line, *(f"{seconds / each['driver']:,.0f}" for each in moved.values())])
    return "\n".join(
        [
            table(["768×512, one thread each", "pictures/s", "× direct", "of each worker"], rows),
            "",
            table(["the driver, for each picture", "time", "a second"], costs),
            "",
            f"A row of the manifest takes {constants['row bytes']:.0f} bytes, and the messages of a picture "
            f"{constants['message bytes']:.0f}.",
            "",
            table(
                [
                    "megapixels",
                    "a picture takes a core",
                    f"{FLEET:,} workers do, a second",
                    "and read and write",
                    *(f"workers that one driver keeps busy, `{engine}`" for engine in moved),
                ],
                limits,
            ),
            "",
            f"Quality {results['quality']:g}, {results['machine']}, {results['date']}.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the results, or the document, were written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("measure", help="time it")
    one.add_argument("--data", type=Path, help="folder that holds kodak/; $GLISSANDO_DATA unless given")
    one.add_argument("--workers", type=int, nargs="+", help="numbers of workers; 1 to the number of cores unless given")
    one.add_argument("--rounds", type=int, default=4, help="how often each picture is encoded")
    one.add_argument("--small", type=int, default=SMALL_FILES, help="empty files to time the driver with")
    one.add_argument("--moved", type=int, default=MOVED_FILES, help="small files that pass through workers")
    one.add_argument("--json", type=Path, required=True, help="where the results go")
    two = commands.add_parser("report", help="write the tables into a document")
    two.add_argument("results", type=Path)
    two.add_argument("document", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.command == "report":
            results = json.loads(given.results.read_text(encoding="utf-8"))
            update_blocks([given.document], {"batch": markdown(results)})
            return 0
        workers = given.workers or list(range(1, default_threads() + 1))
        if min(given.rounds, *workers, given.small // 100, given.moved // 100) < 1:
            raise BenchmarkError("--workers and --rounds must be at least 1, --small and --moved 100")
        results = measure(
            data_folder(given.data),
            workers,
            given.rounds,
            with_ray=importlib.util.find_spec("ray") is not None,
            small=given.small,
            moved=given.moved,
        )
        atomic_write(given.json, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    except (OSError, ValueError, KeyError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(markdown(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
