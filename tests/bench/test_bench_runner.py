"""The runner of `glissando bench`, with codecs that are quick and known through and through."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("bjontegaard", reason="needs glissando[bench]")

import glissando.bench.codecs
from glissando.bench import cache, comparisons, published, speed
from glissando.bench.bdrate import Curve, bd_rate
from glissando.bench.codecs import DEFAULTS, base
from glissando.bench.curves import bd_rows, mean_curve, setting_at
from glissando.bench.progress import Lines
from glissando.bench.results import PictureInfo, Point, Results
from glissando.bench.runner import Options, Outcome, run
from glissando.bench.workers import Worker, each
from glissando.errors import BenchmarkError

HERE = Path(__file__).parent
FAKES = "bench_fakes"
Compare = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The fakes can be imported, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(HERE)
    codecs, defaults = dict(base._REGISTRY), list(DEFAULTS)
    yield
    base._REGISTRY.clear()
    base._REGISTRY.update(codecs)
    DEFAULTS[:] = defaults
    sys.modules.pop(FAKES, None)


@pytest.fixture
def save(tmp_path: Path, natural: Callable[..., Any]) -> Callable[..., Path]:
    def make(name: str, height: int = 120, width: int = 200, seed: int = 0, mode: str = "RGB") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(natural(height, width, seed)).convert(mode).save(path)
        return path

    return make


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the fakes encoded, in all processes."""
    path = tmp_path / "log"
    monkeypatch.setenv("FAKE_LOG", str(path))
    return lambda: path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    def call(*pictures: Path, codecs: str | None = "fake-plain,fake-twice", **options: Any) -> Outcome:
        given: dict[str, Any] = {
            "metrics": ["psnr"],
            "anchor": "fake-twice",
            "threads": 1,
            "speed": False,
            "comparisons": 0,
            "plugins": (FAKES,),
        }
        asked = None if codecs is None else codecs.split(",")
        return run(Options(pictures, tmp_path / "out", codecs=asked, **{**given, **options}))

    return call


def rates(results: Results, picture: str = "") -> dict[str, float | None]:
    return {row.codec: row.percent for row in results.bd if row.picture == picture}


# ----------------------------------------------------------------------------------- points, BD-rates


def test_points_and_known_bd_rates(compare, save):
    outcome = compare(save("a.png"), save("b.png", 100, 100, 1))
    results = outcome.results
    assert not outcome.failed
    assert len(results.points) == 2 * 2 * 5
    assert [(p.picture, p.codec, p.setting) for p in results.points[:2]] == [
        ("a.png", "fake-plain", 0.0),
        ("a.png", "fake-plain", 4.0),
    ]
    point = results.points[0]
    assert point.bpp == pytest.approx(8 * point.bytes / (120 * 200))
    for picture in ("", "a.png", "b.png"):
        found = rates(results, picture)
        assert found["fake-twice"] == pytest.approx(0.0, abs=1e-9)
        assert found["fake-plain"] == pytest.approx(-50.0, abs=1e-6)
    assert len({p.sha256 for p in results.pictures}) == 2
    assert Results.from_json(results.to_json()) == results
    assert results.seconds > 0


def test_several_processes_measure_the_same(compare, save, log):
    pictures = [save("a.png"), save("b.png", seed=1)]
    alone = compare(*pictures).results.points
    assert compare(*pictures, threads=2).results.points == alone
    assert len(log()) == 2 * len(alone)


def test_quick_leaves_slow_codecs_out(compare, save, monkeypatch):
    picture = save("a.png")
    compare(picture)  # the fakes are registered now
    monkeypatch.setattr(base._REGISTRY["fake-plain"], "slow", True)
    DEFAULTS[:] = ["fake-plain", "fake-twice"]
    outcome = compare(picture, codecs=None, quick=True)
    assert [codec.name for codec in outcome.results.codecs] == ["fake-twice"]
    assert [(m.name, "--quick" in m.reason) for m in outcome.results.missing] == [
        ("fake-plain", True),
        ("avif-slowest", False),
    ]
    assert not outcome.failed
    assert [codec.name for codec in compare(picture, quick=True).results.codecs] == ["fake-plain", "fake-twice"]


def test_codecs_on_request_take_part_where_they_are_named(compare, save, monkeypatch):
    picture = save("a.png")
    compare(picture)  # the fakes are registered now
    monkeypatch.setattr(base._REGISTRY["fake-plain"], "on_request", True)
    DEFAULTS[:] = ["fake-twice"]
    outcome = compare(picture, codecs=None, quick=True)
    assert [codec.name for codec in outcome.results.codecs] == ["fake-twice"]
    reasons = {missing.name: missing.reason for missing in outcome.results.missing}
    assert "takes a minute for a picture; name it in --codecs" in reasons["fake-plain"]
    assert not outcome.failed
    assert "fake-plain" in [codec.name for codec in compare(picture, quick=True).results.codecs]


def test_quick_has_fewer_settings(compare, save):
    assert {p.setting for p in compare(save("a.png"), quick=True).results.points} == {0, 8, 16}


def test_a_setting_counts_where_every_picture_has_it():
    points = [
        Point("a", picture, setting, 10, bpp, {"psnr": bpp})
        for picture, settings in (("x", (1, 2, 3)), ("y", (1, 3)))
        for setting, bpp in zip(settings, (1.0, 2.0, 4.0), strict=False)
    ]
    points.append(Point("a", "tiny", 1, 10, 9.0, {}))  # the metric cannot be had of this one at all
    assert [(m.setting, m.bpp) for m in mean_curve(points, "a", "psnr")] == [(1, 1.0), (3, 3.0)]
    rows = bd_rows(points, ["a"], ["psnr"], ["x", "tiny"], "a")
    assert [(row.picture, row.percent) for row in rows[:2]] == [("", 0.0), ("x", 0.0)]
    assert rows[2].percent is None
    assert "at least two points" in rows[2].reason


def test_bd_rate_is_refused_with_a_reason():
    points = [
        Point(codec, "x", s, 10, 0.1 * s, {"psnr": score + s})
        for codec, score in (("a", 30), ("b", 60))
        for s in (1, 2, 3)
    ]
    row = bd_rows(points, ["b"], ["psnr"], [], "b")[0]
    assert row.percent == pytest.approx(0.0)
    row = next(r for r in bd_rows(points, ["a", "b"], ["psnr"], [], "a") if r.codec == "b")
    assert (row.percent, row.reason) == (None, "b and a share no range of scores")


def test_setting_of_a_rate():
    points = [Point("a", "x", s, 10, bpp, {}) for s, bpp in ((10, 0.25), (20, 0.5), (30, 1.0))]
    assert setting_at(points, 0.5, whole=True) == 20
    assert setting_at(points, 0.5**1.5, whole=False) == 15
    assert setting_at(points, 0.01, whole=True) == 10
    assert setting_at(points, 9.0, whole=True) == 30
    downwards = [Point("a", "x", -p.setting, 10, p.bpp, {}) for p in points]
    assert setting_at(downwards, 0.5**0.5, whole=False) == -25
    with pytest.raises(BenchmarkError):
        setting_at([], 0.5, whole=True)


# ------------------------------------------------------------------------------------------- failures


def test_one_setting_fails_and_the_rest_goes_on(compare, save):
    outcome = compare(save("a.png"), codecs="fake-moody,fake-plain")
    assert outcome.failed
    assert [(f.codec, f.setting) for f in outcome.results.failures] == [("fake-moody", 8), ("fake-moody", 12)]
    assert outcome.results.failures[0].message == "ValueError: not today"
    assert "shape (119, 200, 3)" in outcome.results.failures[1].message
    assert sum(p.codec == "fake-moody" for p in outcome.results.points) == 3
    assert sum(p.codec == "fake-plain" for p in outcome.results.points) == 5


def test_a_crash_costs_one_setting(compare, save):
    outcome = compare(save("a.png"), codecs="fake-crash,fake-twice", threads=2)
    assert [(f.codec, f.setting) for f in outcome.results.failures] == [("fake-crash", 4)]
    assert "its process died (exit code 3)" in outcome.results.failures[0].message
    assert len(outcome.results.points) == 9


def test_missing_and_unknown_codecs(compare, save):
    picture = save("a.png")
    outcome = compare(picture, codecs="fake-absent,fake-plain")
    assert [(m.name, m.reason) for m in outcome.results.missing] == [
        ("fake-absent", "fake-absent needs a dream: sleep")
    ]
    assert outcome.failed
    assert [c.name for c in outcome.results.codecs] == ["fake-plain", "fake-twice"]  # the anchor takes part
    with pytest.raises(BenchmarkError, match=r"none of the codecs is available.*dream"):
        compare(picture, codecs="fake-absent", anchor=None)
    with pytest.raises(BenchmarkError, match=r"fake-absent, against which.*dream"):
        compare(picture, anchor="fake-absent")
    with pytest.raises(BenchmarkError, match=r"no codec called 'nonsense'; known: .*fake-plain"):
        compare(picture, codecs="nonsense")
    with pytest.raises(BenchmarkError, match="no metric called 'beauty'; known: psnr"):
        compare(picture, metrics=["beauty"])
    with pytest.raises(BenchmarkError, match="not one measurement succeeded; the last failure: never"):
        compare(picture, codecs="fake-hopeless", anchor=None)


def test_another_anchor_where_avif_does_not_take_part(compare, save):
    outcome = compare(save("a.png"), codecs="fake-ours,fake-plain", anchor=None)
    assert outcome.results.anchor == "fake-plain"
    assert "avif does not take part: fake-plain is the anchor" in outcome.notes


# ------------------------------------------------------------------------------------------- pictures


def test_pictures_that_cannot_be_measured(compare, save, tmp_path):
    folder = tmp_path / "folder"
    good = save("folder/a.png")
    save("folder/same.png")
    save("folder/clear.png", seed=3, mode="RGBA").write_bytes(b"")
    Image.fromarray(np.full((20, 20, 4), 7, np.uint8)).save(folder / "clear.png")
    Image.fromarray(np.full((20, 20), 7000, np.uint16)).save(folder / "deep.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff rubbish")
    (folder / "notes.txt").write_text("not asked for")
    (folder / ".hidden.png").write_text("nor this")
    (tmp_path / "empty").mkdir()
    outcome = compare(folder, good, tmp_path / "empty", tmp_path / "none.png")
    assert [p.name for p in outcome.results.pictures] == ["a.png"]
    failures = {Path(f.picture).name: f.message for f in outcome.results.failures}
    assert set(failures) == {"clear.png", "deep.png", "broken.jpg", "empty", "none.png"}
    assert failures["clear.png"] == "8-bit RGB with alpha: only opaque 8-bit RGB and grey are measured"
    assert failures["deep.png"] == "16-bit grey: only opaque 8-bit RGB and grey are measured"
    assert failures["empty"] == "no pictures in this folder"
    assert failures["none.png"] == "No such file or directory"
    assert sum("the same pixels as a.png" in note for note in outcome.notes) == 2
    assert len(outcome.results.points) == 10
    with pytest.raises(BenchmarkError, match=r"no picture to measure .*no pictures in this folder"):
        compare(tmp_path / "empty")


def test_pictures_of_one_name_are_told_apart(compare, save):
    names = [p.name for p in compare(save("x/a.png"), save("y/a.png", seed=1)).results.pictures]
    assert names == ["a.png", "y/a.png"]


def test_grey_is_repeated(compare, save):
    outcome = compare(save("grey.png", mode="L"))
    assert "grey, measured as RGB with three equal channels: grey.png" in outcome.notes
    assert not outcome.failed


def test_tiny_pictures(compare, save):
    pictures = [save("one.png", 1, 1), save("row.png", 1, 300), save("small.png", 40, 50)]
    outcome = compare(*pictures, codecs="fake-ours,fake-twice,jpeg", metrics=["psnr", "ms-ssim"], comparisons=3)
    assert not outcome.failed
    assert len(outcome.results.points) == 3 * (5 + 5 + 12)
    assert all("psnr" in p.scores and "ms-ssim" not in p.scores for p in outcome.results.points)
    assert outcome.results.comparisons == []
    Results.from_json(outcome.results.to_json())


# ---------------------------------------------------------------------------------------------- cache


def test_a_second_run_encodes_nothing(compare, save, log, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    first = compare(save("a.png"), cache=folder).results
    assert len(log()) == 10
    second = compare(save("renamed.png"), cache=folder)  # the same pixels
    assert len(log()) == 10
    assert [p.scores for p in second.results.points] == [p.scores for p in first.points]
    assert any("10 of 10" in note for note in second.notes)
    compare(save("a.png"), cache=folder, codecs="fake-plain,fake-twice,fake-ours")
    assert len(log()) == 15
    both = compare(save("a.png"), cache=folder, metrics=["psnr", "psnr-y"]).results
    assert len(log()) == 25
    assert set(both.points[0].scores) == {"psnr", "psnr-y"}
    compare(save("a.png"), cache=folder, metrics=["psnr-y"])
    assert len(log()) == 25
    monkeypatch.setenv("FAKE_VERSION", "fake 2")
    compare(save("a.png"), cache=folder)
    assert len(log()) == 35
    compare(save("a.png"), cache=None)
    assert len(log()) == 45


def test_failures_are_tried_again(compare, save, log, tmp_path):
    for _ in range(2):
        outcome = compare(save("a.png"), cache=tmp_path / "cache", codecs="fake-moody", anchor="fake-moody")
    assert len(outcome.results.failures) == 2
    assert log() == ["fake-moody 0", "fake-moody 4", "fake-moody 12", "fake-moody 16", "fake-moody 12"]


def test_damaged_lines_are_ignored(tmp_path):
    kept = cache.Cache(tmp_path)
    kept.put("a", 10, {"psnr": 30.0, "ms-ssim": None})
    kept.close()
    file = next(tmp_path.iterdir())
    with open(file, "ab") as stream:
        stream.write(b'{"key": "b"}\n[]\n\xff\xfe\n{"key": "c", "bytes": 1, "scores": {"psnr": "x"}}\n{"key": "d", "by')
    again = cache.Cache(tmp_path)
    assert again.get("a") == cache.Entry(10, {"psnr": 30.0, "ms-ssim": None})
    assert [again.get(key) for key in "bcd"] == [None] * 3
    again.put("e", 5, {})
    again.close()
    assert cache.Cache(tmp_path).get("e") == cache.Entry(5, {})


def test_a_cache_that_cannot_be_written(compare, save, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = compare(save("a.png"), cache=tmp_path / "file")
    assert not outcome.failed
    assert any("not kept" in note for note in outcome.notes)


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("GLISSANDO_CACHE", str(tmp_path / "mine"))
    assert cache.default_folder() == tmp_path / "mine"
    monkeypatch.delenv("GLISSANDO_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "glissando" / "bench"


def alive(group: int) -> list[str]:
    """Processes of a group that still run; the dead that nobody has asked after do not count."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().rpartition(")")
            state, _, pgrp = rest.split()[:3]
            if int(pgrp) == group and state not in "ZX":
                found.append(name)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("threads", [1, 2])
def test_interrupted_and_resumed(threads, save, tmp_path, log):
    save("a.png", 32, 32)
    command = [sys.executable, "-m", "glissando", "bench", "a.png", "--codecs", "fake-slow", "--anchor", "fake-slow"]
    command += ["--plugin", FAKES, "--metrics", "psnr", "--no-speed", "--cache", "cache", "--threads", str(threads)]
    path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    options: dict[str, Any] = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": path}, "text": True}
    options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    lines = tmp_path / "cache" / "points-1.jsonl"
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        for _ in range(1000):
            if lines.exists() and lines.read_bytes().count(b"\n") >= 1:
                break
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err.splitlines()[-2:] == [
        "glissando: what was measured is kept; the same command goes on from there",
        "glissando: interrupted",
    ]
    assert "Traceback" not in err
    for _ in range(250):
        if not (left := alive(process.pid)):
            break
        time.sleep(0.02)
    assert left == []
    known = lines.read_bytes().count(b"\n")
    before = len(log())
    done = subprocess.run(command, check=False, timeout=60, **options)
    assert done.returncode == 0, done.stderr
    assert 1 <= known < 5
    assert len(log()) - before == 5 - known
    assert len(json.loads((tmp_path / "bench-report" / "results.json").read_text())["points"]) == 5


# ------------------------------------------------------------------------------------- speed, memory


def test_time_and_memory(compare, save):
    outcome = compare(
        save("a.png"), codecs="fake-ours,fake-twice", speed=True, sizes=(0.01, 0.02), rounds=2, threads=2, quick=True
    )
    assert outcome.results.failures == []
    timings = outcome.results.timings
    assert {(t.codec, t.megapixels) for t in timings} == {
        (codec, size) for codec in ("fake-ours", "fake-twice") for size in (0.01, 0.02)
    }
    for timing in timings:
        assert timing.encode_s > 0
        assert timing.decode_s > 0
        assert timing.rounds == 2
        assert timing.bpp > 0
    assert outcome.results.matrix_product_gmac_s is not None
    assert outcome.results.matrix_product_gmac_s > 0.1
    if sys.platform == "linux":
        held = {(m.codec, m.megapixels): m for m in outcome.results.memory}
        assert len(held) == 4
        ours, twice = held["fake-ours", 0.02], held["fake-twice", 0.02]
        assert 25 < ours.encode_mb < 60
        assert 25 < ours.decode_mb < 60
        assert 0 <= twice.encode_mb < 15


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux alone")
def test_memory_of_programs_counts() -> None:
    with Worker() as worker:
        before = worker.call(speed._reset_peak)
        assert worker.call(speed._rise, before) < 20
        taken = "x = bytearray(80_000_000)"
        worker.call(subprocess.run, [sys.executable, "-c", taken])
        assert 80 < worker.call(speed._rise, before) < 160


def test_slow_codecs_and_broken_ones_leave_the_timing(save):
    picture = save("a.png")
    settings = {"fake-plain": 4.0, "fake-slow": 4.0, "fake-crash": 4.0}
    result = speed.measure_speed(
        picture, settings, 1, sizes=(0.01, 0.05), rounds=1, memory=False, limit_s=0.5, plugins=(FAKES,)
    )
    assert [(t.codec, t.megapixels) for t in result.timings] == [
        ("fake-plain", 0.01),
        ("fake-slow", 0.01),
        ("fake-plain", 0.05),
    ]
    assert [f.codec for f in result.failures] == ["fake-crash"]
    assert [f.codec for f in result.skipped] == ["fake-slow"]
    assert "not timed at 0.05 MP and above" in result.skipped[0].message


def test_pictures_of_any_size_are_brought_to_one(natural):
    for height, width in ((600, 900), (900, 600), (1, 1), (3, 2000), (64, 64)):
        made = speed.resized(natural(height, width), 0.1)
        assert (made.shape[1] > made.shape[0]) == (width >= height)
        assert made.shape[0] * made.shape[1] == pytest.approx(1e5, rel=0.01)
        assert made.flags.c_contiguous
        assert made.dtype == np.uint8


# ---------------------------------------------------------------------------------------- side by side


def test_comparisons_at_the_same_size(compare, save, tmp_path):
    pictures = [save(f"{i}.png", 300, 400, i) for i in range(4)]
    outcome = compare(*pictures, codecs="fake-ours,fake-twice", comparisons=3, quick=True)
    assert outcome.results.failures == []
    found = outcome.results.comparisons
    assert [c.picture for c in found] == ["0.png", "2.png", "3.png"]
    for c in found:
        assert 0.99 * c.peer_bytes <= c.ours_bytes <= c.peer_bytes
        assert c.ours_scores["psnr"] > c.peer_scores["psnr"]
        for name in (c.original_png, c.ours_png, c.peer_png):
            with Image.open(tmp_path / "out" / name) as image:
                assert image.size == (400, 300)
        assert len(c.crops) == 3
        assert all(crop.left + crop.width <= 400 and crop.top + crop.height <= 300 for crop in c.crops)
    assert len({c.ours_png for c in found}) == 3


def test_no_comparison_where_sizes_cannot_meet(natural):
    codec = glissando.bench.codecs.open_codec("jpeg", 1)
    pixels = natural(100, 100)
    with pytest.raises(BenchmarkError, match="no file as small as 10 bytes"):
        comparisons.same_size(codec, pixels, 10, 10, 90, whole=True)
    with pytest.raises(BenchmarkError, match="no file of about 1,000,000 bytes; the nearest below"):
        comparisons.same_size(codec, pixels, 1_000_000, 10, 90, whole=True)


def test_regions_that_differ_most():
    one = np.zeros((300, 500, 3), np.uint8)
    other = one.copy()
    other[200:210, 400:410] = 100
    other[50:60, 20:30] = 50
    crops = comparisons.different_regions(one, other, sizes=[100])
    points = zip(crops[:2], ((405, 205), (25, 55)), strict=True)
    inside = [(c.left <= x < c.left + 100, c.top <= y < c.top + 100) for c, (x, y) in points]
    assert inside == [(True, True), (True, True)]
    for i, a in enumerate(crops):
        for b in crops[:i]:
            assert abs(a.left - b.left) >= 100 or abs(a.top - b.top) >= 100
    assert len(comparisons.different_regions(one[:40, :30], other[:40, :30])) == 1


def test_pictures_shown_are_spread_evenly():
    assert comparisons.choose(24, 3) == [0, 12, 23]
    assert comparisons.choose(2, 3) == [0, 1]
    assert comparisons.choose(5, 1) == [0]
    assert comparisons.choose(5, 0) == []


# ------------------------------------------------------------------------------------ published curves


def independent_bd_rate(anchor: list[list[float]], curve: list[list[float]]) -> float:
    """By its definition, with SciPy alone: the mean difference of log-rate over the common range of scores."""
    interpolate = pytest.importorskip("scipy.interpolate", reason="needs glissando[bench]")
    low = max(anchor[0][1], curve[0][1])
    high = min(anchor[-1][1], curve[-1][1])
    areas = []
    for points in (anchor, curve):
        log_rate = interpolate.PchipInterpolator([p[1] for p in points], np.log([p[0] for p in points]))
        areas.append(log_rate.integrate(low, high) / (high - low))
    return float(100 * np.expm1(areas[1] - areas[0]))


@pytest.mark.parametrize("name", ["AV1", "BPG-444-x265-ycbcr", "VTM"])
@pytest.mark.parametrize("metric", ["psnr", "ms-ssim"])
def test_published_curves_agree_with_an_independent_computation(name, metric):
    curves = {curve.name: curve.points[metric] for curve in published.load_published() if metric in curve.points}
    expected = independent_bd_rate(curves["JPEG"], curves[name])
    anchor, curve = (Curve.of(n, [(b, s) for b, s in curves[n]]) for n in ("JPEG", name))
    assert bd_rate(anchor, curve).percent == pytest.approx(expected, abs=0.1)
    assert -75 < expected < -40


def test_published_curves_say_where_they_come_from():
    curves = published.load_published()
    assert len(curves) == 17
    for curve in curves:
        assert "CompressAI" in curve.source
        assert set(curve.points) == ({"ms-ssim"} if "[ms-ssim]" in curve.name else {"psnr", "ms-ssim"})


def test_published_curves_are_overlaid_on_kodak_alone(compare, save, tmp_path):
    kodak = [PictureInfo(str(i), *((768, 512) if i % 5 else (512, 768)), "") for i in range(24)]
    assert published.is_kodak(kodak)
    assert not published.is_kodak(kodak[:-1])
    assert not published.is_kodak([*kodak[:-1], PictureInfo("x", 768, 511, "")])
    picture = save("a.png")
    assert compare(picture).results.published == []
    assert len(compare(picture, published=True).results.published) == 17
    own = tmp_path / "own.json"
    own.write_text('{"source": "me", "curves": [{"name": "mine", "points": {"psnr": [[0.5, 30], [1, 33]]}}]}')
    (curve,) = compare(picture, published_file=own).results.published
    assert (curve.name, curve.points, curve.source) == ("mine", {"psnr": [[0.5, 30.0], [1.0, 33.0]]}, "me")
    for text in ("", "[]", '{"curves": 1}', '{"source": "me", "curves": [{"name": "x", "points": {"psnr": [[1]]}}]}'):
        own.write_text(text)
        with pytest.raises(BenchmarkError, match=r"own\.json: not a file of published curves"):
            published.load_published(own)


# --------------------------------------------------------------------------------- workers, progress


def test_workers_answer_everything_once():
    answers = {task: answer for task, answer in each(_half, range(6), 2)}
    assert {k: v for k, v in answers.items() if k != 3} == {0: 0.0, 1: 0.5, 2: 1.0, 4: 2.0, 5: 2.5}
    assert isinstance(answers[3], BenchmarkError)
    assert str(answers[3]) == "ValueError: three"


def _half(number: int) -> float:
    if number == 3:
        raise ValueError("three")
    return number / 2


def test_progress_tells_the_time_left():
    now = 0.0
    told: list[str] = []
    lines = Lines(told.append, seconds=10.0, clock=lambda: now)
    lines.stage("measuring", 100)
    for _ in range(20):
        now += 6.0
        lines.advance()
    assert told[0] == "measuring: 100"
    assert told[1] == "measuring: 2 of 100, about 10 min left"
    assert len(told) == 11
