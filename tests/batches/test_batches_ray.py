"""A Ray cluster of several processes on this machine, of which some are killed in the middle."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy_conversion import Reversing

import glissando
from glissando.batches.encoding import Encoding
from glissando.batches.report import Event
from glissando.batches.start import Workers, run_batch
from glissando.errors import BatchError

ray = pytest.importorskip("ray", reason="batches on a cluster; pip install 'glissando[ray]'")

WORKERS = Workers("ray", 3)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster of three cores, whose processes find the modules of the tests. Nothing of it is reported to anybody."""
    from glissando.batches.actors import _connect

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))
        _connect(ray, 3, None)
        yield
        ray.shutdown()


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.gliss")}


def test_every_picture_is_there_once_and_whole_although_workers_are_killed(cluster: Any, tmp_path: Path) -> None:
    src, dst, log = tmp_path / "src", tmp_path / "dst", tmp_path / "log"
    expected: dict[str, bytes] = {}
    killed: list[str] = []
    for number in range(60):
        path = src / f"{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
        expected[f"{number % 3}/{number}.gliss"] = path.read_bytes()[::-1]
    (src / "once.png").write_bytes(b"once")  # kills its worker in the middle of its work, the first time
    (src / "bad.png").write_bytes(b"bad")

    events: list[Event] = []

    def tell(event: Event) -> None:
        events.append(event)
        if event.done is not None and len(events) > 20 and not killed:  # what kills workers is listed first
            killed.append(event.done.worker)
            os.kill(int(event.done.worker.split(":")[1]), signal.SIGKILL)

    conversion = Reversing(log=str(log), process=True, seconds=0.03)
    report = run_batch(str(src), str(dst), conversion, workers=WORKERS, tell=tell)
    assert outputs(dst) == expected | {"once.gliss": b"ecno"}
    assert (report.made, report.failed, report.deaths) == (61, 1, 2)
    assert killed[0] in report.workers
    assert [failure.name for failure in report.failures] == ["bad.png"]
    assert len(report.workers) > 1
    times = Counter(log.read_text().splitlines())
    assert {name for name, often in times.items() if often > 1} <= {"once.png"}
    again = run_batch(str(src), str(dst), conversion, workers=WORKERS)
    assert (again.known, again.failed_before, again.made) == (61, 1, 0)


def test_pictures_by_the_codec(cluster: Any, tmp_path: Path) -> None:
    src, dst = tmp_path / "src", tmp_path / "dst"
    src.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    for number in range(3):
        Image.fromarray(pixels + np.uint8(number)).save(src / f"{number}.png")
    with glissando.open_model(threads=1) as codec:
        encoding = Encoding.of(codec, arguments={"lossless": True})
    assert run_batch(str(src), str(dst), encoding, workers=Workers("ray", 1)).made == 3
    assert all(np.array_equal(glissando.decode(outputs(dst)[f"{n}.gliss"]), pixels + np.uint8(n)) for n in range(3))


def test_workers_that_cannot_begin_end_the_batch(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.png").write_bytes(b"a")
    with pytest.raises(BatchError, match=r"cannot begin: .*there is nothing to begin with"):
        run_batch(str(tmp_path / "src"), str(tmp_path / "dst"), Reversing(b"no model"), workers=Workers("ray", 1))
