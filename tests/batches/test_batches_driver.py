"""What the driver of a batch decides: each picture once, on from where it stopped, whatever fails on the way."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_conversion import Here, Reversing

from glissando.batches.driver import MOST_IN_A_ROW
from glissando.batches.folder import Folder
from glissando.batches.manifest import Manifest
from glissando.batches.messages import Request
from glissando.batches.naming import Naming
from glissando.batches.report import MOST_LISTED, Event, Report
from glissando.batches.start import MANIFEST, Workers, run_batch
from glissando.batches.worker import Work
from glissando.errors import BatchError, InputError


class Run:
    """Batches from ``src`` to ``dst`` with workers in this process."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.src, self.dst, self.log = folder / "src", folder / "dst", folder / "log"
        self.src.mkdir()
        self.events: list[Event] = []
        self.pools: list[Here] = []
        patch.setattr(Workers, "open", self._open)

    def _open(self, work: Work) -> Here:
        self.pools.append(Here(work, 3))
        return self.pools[-1]

    def write(self, **contents: bytes) -> None:
        for name, content in contents.items():
            path = self.src / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def __call__(self, key: bytes = b"reverse", **options: Any) -> Report:
        self.events.clear()
        self.log.write_bytes(b"")
        conversion = Reversing(key, str(self.log))
        return run_batch(str(self.src), str(self.dst), conversion, tell=self.events.append, **options)

    def made(self) -> list[str]:
        """The inputs that were converted in the last run."""
        return sorted(self.log.read_text().splitlines())

    def kinds(self) -> dict[str, str]:
        return {event.name: event.kind for event in self.events}

    def outputs(self) -> dict[str, bytes]:
        files = (path for path in self.dst.rglob("*") if path.is_file() and not path.name.startswith(MANIFEST))
        return {path.relative_to(self.dst).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, monkeypatch)


def test_each_picture_is_done_once(batch: Run) -> None:
    batch.write(a_png=b"abc", b__c_JPG=b"def", b__d__e_webp=b"ghi", b__list_txt=b"none", f_gliss=b"none")
    report = batch()
    assert batch.outputs() == {"a.gliss": b"cba", "b/c.gliss": b"fed", "b/d/e.gliss": b"ihg"}
    assert (report.made, report.passed_over, report.bytes_in, report.bytes_out) == (3, 2, 9, 9)
    assert report.whole
    assert sum(report.workers.values()) == 3
    again = batch()
    assert batch.made() == []
    assert (again.made, again.known, again.whole) == (0, 3, True)
    assert batch.pools[-1].most == 0  # no worker was even asked


def test_what_changed_is_done_again_and_what_was_touched_is_not(batch: Run) -> None:
    batch.write(a_png=b"abc", b_png=b"def", c_png=b"ghi")
    batch()
    batch.write(a_png=b"new", d_png=b"jkl")
    os.utime(batch.src / "b.png", ns=(1, 1))
    report = batch()
    assert batch.made() == ["a.png", "d.png"]
    assert batch.kinds() == {"a.png": "made", "b.png": "kept", "c.png": "known", "d.png": "made"}
    assert batch.outputs()["a.gliss"] == b"wen"
    assert (report.made, report.kept, report.known) == (2, 1, 1)
    assert batch().known == 4


def test_what_is_gone_or_cut_short_is_done_again(batch: Run) -> None:
    batch.write(a_png=b"abc", b_png=b"def", c_png=b"ghi", d_png=b"jkl")
    batch()
    (batch.dst / "a.gliss").unlink()
    (batch.dst / "b.gliss").write_bytes(b"f")
    (batch.dst / "c.gliss").write_bytes(b"IHG")  # of the right size, which only reading it tells
    assert batch().made == 2
    assert batch.made() == ["a.png", "b.png"]
    assert batch.outputs()["c.gliss"] == b"IHG"
    report = batch(verify=True)
    assert batch.made() == ["c.png"]
    assert (report.made, report.kept) == (1, 3)
    assert batch.outputs()["c.gliss"] == b"ihg"


def test_verify_sees_inputs_that_changed_without_their_time(batch: Run) -> None:
    batch.write(a_png=b"abc")
    batch()
    before = (batch.src / "a.png").stat()
    batch.write(a_png=b"new")
    os.utime(batch.src / "a.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert batch().known == 1
    assert batch(verify=True).made == 1
    assert batch.outputs() == {"a.gliss": b"wen"}


def test_other_options_make_all_anew(batch: Run) -> None:
    batch.write(a_png=b"abc", b_png=b"bad")
    batch()
    report = batch(key=b"another quality")
    assert batch.made() == ["a.png", "b.png"]
    assert (report.made, report.failed) == (1, 1)


def test_equal_contents_are_converted_once(batch: Run) -> None:
    batch.write(**{f"x__{number}_png": b"same" for number in range(20)}, other_png=b"other")
    report = batch()
    assert len(batch.made()) == 2
    assert (report.made, report.copied) == (2, 19)
    assert set(batch.outputs().values()) == {b"emas", b"rehto"}
    assert len(batch.outputs()) == 21
    batch.write(x__late_png=b"same")
    assert batch().copied == 1
    # An output that is to be copied, and is not whole any more, is no source.
    for path in batch.dst.rglob("*.gliss"):
        path.write_bytes(path.read_bytes().upper())
    batch.write(x__later_png=b"same")
    assert batch().made == 1
    assert batch.outputs()["x/later.gliss"] == b"emas"


def test_bad_pictures_are_told_and_not_tried_for_ever(batch: Run) -> None:
    batch.write(a_png=b"bad one", b_png=b"fine", c_png=b"bug", d_png=b"bad one")
    report = batch()
    assert not report.whole
    assert (report.made, report.failed, report.failed_before) == (1, 2, 1)
    told = {failure.name: failure.error for failure in report.failures}
    assert told["a.png"] == told["d.png"] == "not a picture"
    assert told["c.png"] == "unexpected ZeroDivisionError: of our own making (please report it)"
    assert batch.made().count("b.png") == 1
    again = batch()
    assert batch.made() == []
    assert (again.known, again.failed, again.failed_before, again.whole) == (1, 0, 3, False)
    assert all(failure.before for failure in again.failures)
    batch.write(a_png=b"mended")
    assert batch(retry=True).made == 1
    assert set(batch.made()) == {"a.png", "c.png", "d.png"}


def test_a_copy_of_a_bad_picture_is_not_tried(batch: Run) -> None:
    batch.write(a_png=b"bad")
    batch()
    batch.write(b_png=b"bad")
    assert batch().failed_before == 2
    assert batch.made() == []


def test_a_worker_that_dies_costs_one_attempt(batch: Run) -> None:
    batch.write(a_png=b"once", b_png=b"fine")
    report = batch()
    assert (report.made, report.deaths, report.retries, report.failed) == (2, 1, 1, 0)
    assert batch.outputs() == {"a.gliss": b"ecno", "b.gliss": b"enif"}


def test_a_picture_that_kills_workers_is_given_up(batch: Run) -> None:
    batch.write(a_png=b"kill", b_png=b"fine", c_png=b"kill")
    report = batch()
    assert (report.made, report.failed, report.failed_before) == (1, 1, 1)
    assert report.deaths == 2  # a copy of what kills workers kills no others
    assert report.failures[0].error == "its worker died, 2 times (signal 9)"
    assert batch().failed_before == 2


def test_reasons_outside_of_a_picture_are_tried_again_in_the_next_run(batch: Run) -> None:
    batch.write(a_png=b"disk", b_png=b"fine")
    report = batch()
    assert (report.made, report.failed, report.retries) == (1, 1, 1)
    assert report.failures[0].error == "No space left on device"
    assert batch.made() == ["a.png", "a.png", "b.png"]
    batch.write(a_png=b"room")
    assert batch().made == 1


def test_a_batch_ends_where_all_fail_for_a_reason_outside_of_them(batch: Run) -> None:
    batch.write(**{f"{number}_png": b"disk %d" % number for number in range(MOST_IN_A_ROW + 5)})
    with pytest.raises(BatchError, match=r"20 pictures in a row failed .*: No space left on device"):
        batch()
    assert len(batch.events) == MOST_IN_A_ROW


def test_two_inputs_of_one_output(batch: Run) -> None:
    batch.write(a_png=b"png", b_png=b"png")
    batch()
    batch.write(a_jpg=b"jpg")
    report = batch()
    assert batch.outputs()["a.gliss"] == b"gnp"
    assert report.failures[0].error == "a.png becomes a.gliss as well; --name tells them apart"
    os.remove(batch.src / "a.png")  # which takes its claim with it
    assert batch().made == 1
    assert batch.outputs()["a.gliss"] == b"gpj"
    batch.write(c_png=b"one", c_jpg=b"two")
    assert batch().failed == 1
    assert batch(naming=Naming("{stem}-{ext}.gliss")).whole
    assert batch.outputs()["c-jpg.gliss"] == b"owt"
    for template in ("{stem}.png", "{stem}.{ext}", "{stem}"):
        with pytest.raises(InputError, match="named like pictures"):
            batch(naming=Naming(template))


def test_no_output_takes_the_place_of_a_picture(batch: Run) -> None:
    """Also where only some inputs would be named so."""

    class Names(Naming):
        def __call__(self, name: str) -> str:
            return name.replace(".x.png", ".jpg") if ".x." in name else f"{name}.gliss"

    batch.dst = batch.src
    batch.write(a_png=b"one", b_x_png=b"two", b_jpg=b"own")
    report = batch(naming=Names("{stem}"))
    assert (report.made, report.failed) == (2, 1)
    assert "named like a picture" in str(report.failures[0].error)
    assert (batch.src / "b.jpg").read_bytes() == b"own"


def test_a_stop_ends_what_is_begun_and_begins_nothing(batch: Run) -> None:
    batch.write(**{f"{number}_png": b"%d" % number for number in range(50)})
    stop = threading.Event()
    events: list[Event] = []

    def tell(event: Event) -> None:
        events.append(event)
        if len(events) == 5:
            stop.set()

    report = run_batch(str(batch.src), str(batch.dst), Reversing(), stop=stop, tell=tell)
    assert report.interrupted
    assert not report.whole
    assert 5 <= report.made <= 5 + 2  # the other two workers had begun
    assert len(batch.outputs()) == report.made
    rest = batch()
    assert (rest.known, rest.made, rest.interrupted) == (report.made, 50 - report.made, False)


def test_no_more_than_the_workers_pictures_are_in_memory(batch: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    batch.write(**{f"{number}_png": b"%d" % number for number in range(30)})
    begun = ended = 0
    ahead = []
    walk = Folder.walk

    def counting(self: Folder, wanted: Any) -> Iterator[Any]:
        nonlocal begun
        for entry in walk(self, wanted):
            begun += 1
            ahead.append(begun - ended)
            yield entry

    def tell(event: Event) -> None:
        nonlocal ended
        ended += 1

    monkeypatch.setattr(Folder, "walk", counting)
    assert run_batch(str(batch.src), str(batch.dst), Reversing(), tell=tell).made == 30
    assert max(ahead) == 3  # of which each is at one of the three workers


def test_a_folder_that_cannot_be_listed_is_a_failure(batch: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    batch.write(a_png=b"abc", b__c_png=b"def")
    scan = os.scandir

    def refused(path: Any) -> Any:
        if os.path.basename(path) == "b":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    report = batch()
    assert (report.made, report.failed) == (1, 1)
    assert report.failures[0].error == "Permission denied"
    with pytest.raises(FileNotFoundError):
        run_batch(str(batch.src / "none"), str(batch.dst), Reversing())


def test_files_that_are_no_pictures_to_read(batch: Run) -> None:
    os.mkfifo(batch.src / "pipe.png")
    os.symlink("nowhere", batch.src / "link.png")
    os.symlink(".", batch.src / "loop")
    batch.write(a_png=b"abc", **{"none_png": b""})
    report = batch()
    assert (report.made, report.failed) == (2, 2)
    assert {failure.error for failure in report.failures} == {"no file that can be read from its beginning to its end"}


def test_names_need_not_be_text(batch: Run) -> None:
    name = os.fsdecode(b"\xff\xfe.png")
    (batch.src / name).write_bytes(b"abc")
    assert batch().made == 1
    assert batch().known == 1
    assert batch.outputs() == {os.fsdecode(b"\xff\xfe.gliss"): b"cba"}


def test_messages_need_not_be_text(batch: Run) -> None:
    name = os.fsdecode(b"a  \xff.png")
    (batch.src / name).write_bytes(b"bad")
    assert batch().failed == 1
    assert batch().failed_before == 1


def test_a_lack_of_memory_is_not_the_pictures_fault(batch: Run) -> None:
    batch.write(a_png=b"memory", b_png=b"fine")
    assert batch().failed == 1
    report = batch()
    assert (report.failed, report.failed_before) == (1, 0)


def test_one_batch_at_a_time(batch: Run) -> None:
    batch.write(a_png=b"abc")
    batch.dst.mkdir()
    manifest = Manifest(batch.dst / MANIFEST)
    try:
        with pytest.raises(BatchError, match="another batch is writing this manifest"):
            batch()
    finally:
        manifest.close()
    assert batch().made == 1


def test_a_report_names_so_many_failures_and_counts_all() -> None:
    report = Report()
    for number in range(MOST_LISTED + 3):
        report.add(Event(f"{number}.png", "failed", error="bad"))
    assert report.failed == MOST_LISTED + 3
    assert len(report.failures) == len(report.as_json()["failures"]) == MOST_LISTED
    assert report.lines() == ["1,003 failed"]


class StoppedError(Exception):
    """What stands for the death of the driver."""


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["a.png", "a.jpg", "b.png", "x/c.png", "x/d.png"]),
        st.sampled_from([b"one", b"two", b"bad", b"disk", b"kill", None]),
        st.integers(0, 12),
    ),
    max_size=8,
)


@settings(max_examples=30, deadline=None)
@given(actions=ACTIONS)
def test_in_the_end_every_picture_is_there(tmp_path_factory: pytest.TempPathFactory, actions: list[Any]) -> None:
    """Inputs come, change and go between runs that die at any request; a last run brings all to their right state."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        batch = Run(folder, patch)
        for number, (name, content, requests) in enumerate(actions):
            path = batch.src / name
            path.parent.mkdir(exist_ok=True)
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content)
                os.utime(path, (number, number))
            left = requests

            def dying(self: Here, slot: int, request: Request, send: Any = Here.send) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise StoppedError
                send(self, slot, request)

            with pytest.MonkeyPatch.context() as inner:
                inner.setattr(Here, "send", dying)
                with contextlib.suppress(StoppedError):
                    batch()
        batch()
        kinds, outputs = batch.kinds(), batch.outputs()
        inputs = {path.relative_to(batch.src).as_posix(): path.read_bytes() for path in batch.src.rglob("*.*")}
        assert set(kinds) == set(inputs)
        claims = Counter(name.rsplit(".", 1)[0] for name in inputs)
        for name, content in inputs.items():
            stem = name.rsplit(".", 1)[0]
            if claims[stem] == 1 and content in (b"one", b"two"):
                assert kinds[name] in ("made", "copied", "kept", "known")
                assert outputs[f"{stem}.gliss"] == content[::-1]
            if content in (b"bad", b"disk", b"kill"):
                assert kinds[name].startswith("failed")
