"""`glissando bench`, with fake codecs of tests/bench."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("bjontegaard", reason="needs glissando[bench]")
pytest.importorskip("matplotlib", reason="needs glissando[bench]")

from glissando.bench.codecs import DEFAULTS, base

FAKES = "bench_fakes"
USUAL = ("--plugin", FAKES, "--threads", "1", "--no-cache", "--metrics", "psnr", "--quick")


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "bench")
    codecs, defaults = dict(base._REGISTRY), list(DEFAULTS)
    yield
    base._REGISTRY.clear()
    base._REGISTRY.update(codecs)
    DEFAULTS[:] = defaults
    sys.modules.pop(FAKES, None)


def test_a_whole_comparison(invoke, tmp_path, natural):
    Image.fromarray(natural(130, 150)).save("a.png")
    Path("b.png").write_bytes(b"")
    result = invoke(
        "bench", "a.png", "b.png", *USUAL, "--codecs", "fake-ours,fake-twice,fake-absent", "--anchor", "fake-twice",
        "--out", "report",
    )  # fmt: skip
    assert result.exit_code == 1, result.output  # a picture and a codec failed
    table = result.stdout.splitlines()
    assert table[0].split() == ["codec", "BD", "psnr", "encode", "Mpx/s", "decode", "Mpx/s"]
    assert table[1].split()[:3] == ["fake-ours", "-50.0", "%"]
    assert table[2].split()[:3] == ["fake-twice", "+0.0", "%"]
    assert table[3].split() == ["fake-absent", "missing:", "fake-absent", "needs", "a", "dream:", "sleep"]
    assert "glissando: b.png: an empty file" in result.stderr
    assert f"report: {Path('report', 'index.html')}" in result.stderr
    found = json.loads(Path("report/results.json").read_text())
    assert len(found["points"]) == 6
    assert len(found["comparisons"]) == 1
    assert found["timings"]
    assert Path("report/index.html").read_text().startswith("<!")


def test_json(invoke, photo):
    photo("a.png")
    result = invoke("bench", "a.png", *USUAL, "--codecs", "fake-plain", "--json", "--no-speed", "--quiet")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads(Path("bench-report/results.json").read_text())
    assert json.loads(result.stdout)["anchor"] == "fake-plain"
    assert result.stderr == ""


def test_what_is_unknown_lists_what_is_known(invoke, photo):
    photo("a.png")
    for option, value, known in (
        ("--codecs", "jpeg,nonsense", "fake-plain"),
        ("--anchor", "nonsense", "fake-plain"),
        ("--peer", "nonsense", "fake-plain"),
        ("--metrics", "psnr,nonsense", "ms-ssim"),
    ):
        result = invoke("bench", "a.png", "--plugin", FAKES, option, value)
        assert result.exit_code == 2
        assert "nonsense" in result.stderr
        assert known in result.stderr
    assert invoke("bench", "a.png", "--codecs", ",").exit_code == 2
    assert invoke("bench").exit_code == 2
    assert not Path("bench-report").exists()


def test_nothing_to_measure(invoke, tmp_path):
    Path("empty").mkdir()
    result = invoke("bench", "empty", *USUAL, "--codecs", "fake-plain")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "glissando: no picture to measure (empty: no pictures in this folder)"
    result = invoke("bench", "empty", *USUAL, "--codecs", "fake-absent")
    assert result.exit_code == 1
    assert "none of the codecs is available (fake-absent: fake-absent needs a dream: sleep)" in result.stderr
    result = invoke("bench", "empty", "--plugin", "no_such_module")
    assert result.exit_code == 1
    assert "the plugin no_such_module cannot be imported" in result.stderr


def test_without_the_extra(invoke, photo, monkeypatch):
    photo("a.png")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "bjontegaard" else find(name, *a))
    result = invoke("bench", "a.png")
    assert result.exit_code == 1
    assert 'pip install "glissando[bench]"' in result.stderr


def test_pictures_in_a_folder_beside_a_failing_codec(invoke):
    Path("in").mkdir()
    for i in range(2):
        Image.fromarray(np.full((30, 40, 3), 80 * i, np.uint8)).save(f"in/{i}.png")
    result = invoke("bench", "in", *USUAL, "--codecs", "fake-moody,fake-plain", "--no-speed")
    assert result.exit_code == 1
    assert "glissando: 0.png: fake-moody at 8: ValueError: not today" in result.stderr
    assert len(json.loads(Path("bench-report/results.json").read_text())["points"]) == 10


def test_help(invoke):
    result = invoke("bench", "--help")
    assert result.exit_code == 0
    assert "  glissando bench photos/" in result.stdout
