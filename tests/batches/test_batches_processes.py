"""Workers as processes: they die, they cannot begin, their driver is killed; what is there afterwards is whole."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy_conversion import Reversing

import glissando
from glissando.batches.encoding import Encoding
from glissando.batches.processes import Processes
from glissando.batches.report import Event
from glissando.batches.start import MANIFEST, Workers, run_batch
from glissando.batches.worker import Work
from glissando.errors import BatchError

TWO = Workers("local", 2)


def fill(folder: Path, number: int) -> dict[str, bytes]:
    """So many inputs, some equal to others, in folders; what is to become of each."""
    expected = {}
    for each in range(number):
        path = folder / ("x" if each % 3 else "x/y") / f"{each}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % (each // 2))
        expected[path.relative_to(folder).with_suffix(".gliss").as_posix()] = path.read_bytes()[::-1]
    return expected


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.gliss")}


def test_a_picture_whose_worker_is_killed_is_done_by_another(tmp_path: Path) -> None:
    src, dst = tmp_path / "src", tmp_path / "dst"
    expected = fill(src, 20)
    (src / "once.png").write_bytes(b"once")
    (src / "kill.png").write_bytes(b"kill")
    killed: list[str] = []

    def tell(event: Event) -> None:
        if event.done is not None and event.name.startswith("x/") and not killed:  # what kills workers is listed first
            killed.append(event.done.worker)
            os.kill(int(event.done.worker.split(":")[1]), signal.SIGKILL)

    log = str(tmp_path / "log")
    report = run_batch(str(src), str(dst), Reversing(log=log, process=True), workers=TWO, tell=tell)
    assert outputs(dst) == expected | {"once.gliss": b"ecno"}
    assert (report.made + report.copied, report.failed) == (21, 1)
    assert report.failures[0].error == "its worker died, 2 times (signal 9)"
    assert report.deaths in (3, 4)  # two of one picture, one of another, and ours unless it was idle
    assert len(report.workers) >= 3
    times = Counter((tmp_path / "log").read_text().splitlines())
    assert max(times.values()) == 2  # of those whose workers died


def test_workers_that_cannot_begin_end_the_batch(tmp_path: Path) -> None:
    fill(tmp_path / "src", 1)
    for key, message in (
        (b"no model", "cannot begin: there is nothing"),
        (b"dies", "3 workers in a row died .* code 7"),
    ):
        with pytest.raises(BatchError, match=message):
            run_batch(str(tmp_path / "src"), str(tmp_path / "dst"), Reversing(key), workers=Workers("local", 1))


def test_no_process_is_left(tmp_path: Path) -> None:
    work = Work(str(tmp_path), str(tmp_path / "dst"), Reversing())
    fill(tmp_path, 4)
    pools: list[Processes] = []

    def opened(self: Workers, work: Work) -> Processes:
        pools.append(Processes(work, 2))
        return pools[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workers, "open", opened)
        processes: list[Any] = []

        def tell(event: Event) -> None:
            processes.extend(slot.process for slot in pools[0]._slots.values())
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run_batch(work.source, work.destination, work.conversion, tell=tell)
    assert processes
    assert not any(process.is_alive() for process in processes)


SCRIPT = """
import sys
from toy_conversion import Reversing
from glissando.batches.start import Workers, run_batch
if __name__ == "__main__":
    run_batch(sys.argv[1], sys.argv[2], Reversing(log=sys.argv[3]), workers=Workers("local", 2))
"""


def test_a_driver_that_is_killed_at_any_moment(tmp_path: Path) -> None:
    """The manifest tells of whole outputs alone, and nothing that it tells of is done again."""
    src, dst, log, script = tmp_path / "src", tmp_path / "dst", tmp_path / "log", tmp_path / "run.py"
    expected = fill(src, 400)
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    command = [sys.executable, str(script), str(src), str(dst), str(log)]
    told = 0
    for moment in range(3):
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
        goal, patience = told + 20 + 37 * moment, time.monotonic() + 60
        while process.poll() is None and len(outputs(dst)) < goal and time.monotonic() < patience:
            time.sleep(0.002)
        process.kill()
        process.wait()
        with sqlite3.connect(f"file:{dst / MANIFEST}?mode=ro", uri=True) as manifest:
            rows = manifest.execute("SELECT output, bytes_out FROM pictures").fetchall()
        manifest.close()
        there = outputs(dst)
        assert all(there[name.decode()] == expected[name.decode()] for name, _ in rows)
        assert len(rows) > told
        told = len(rows)
        assert all(there[name] == expected[name] for name in there)
        time.sleep(0.2)  # a worker whose driver has gone may be at its last picture
    assert subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=True).returncode == 0
    assert outputs(dst) == expected
    times = Counter(log.read_text().splitlines())
    assert sum(times.values()) <= 200 + 3 * 2  # each content once, and again what the two workers were at
    assert not [path for path in dst.rglob(".*") if not path.name.startswith(MANIFEST)]  # no half files


def test_pictures(tmp_path: Path) -> None:
    """The codec itself, opened once by each worker."""
    src, dst = tmp_path / "src", tmp_path / "dst"
    (src / "deep").mkdir(parents=True)
    expected = {}
    for number in range(6):
        pixels = np.random.default_rng(number % 5).integers(0, 256, (16, 24, 3), dtype=np.uint8)
        name = f"deep/{number}" if number % 2 else str(number)
        Image.fromarray(pixels).save(src / f"{name}.png")
        expected[f"{name}.gliss"] = pixels
    (src / "bad.png").write_bytes((src / "0.png").read_bytes()[:100])
    with glissando.open_model(threads=1) as codec:
        encoding = Encoding.of(codec, arguments={"lossless": True})
        assert encoding.key != Encoding.of(codec, 50.0).key != Encoding.of(codec, 51.0).key
        assert encoding.key == Encoding.of(codec, arguments={"lossless": True}).key
    report = run_batch(str(src), str(dst), encoding, workers=TWO)
    assert (report.made, report.copied, report.failed, len(report.workers)) == (5, 1, 1, 2)
    assert report.failures[0].error.startswith("damaged or cut short")
    assert report.pixels == 5 * 16 * 24
    decoded = {name: glissando.decode(data) for name, data in outputs(dst).items()}
    assert decoded.keys() == expected.keys()
    assert all(np.array_equal(decoded[name], expected[name]) for name in expected)
