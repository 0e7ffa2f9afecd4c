"""The checks from end to end, with a fake codec; its figures, verdicts and errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import checks, file_sizes
from benchmarks.claim import Claim
from benchmarks.determinism import compare
from benchmarks.file_sizes import largest_drop
from benchmarks.footprint import measure_cold, measure_size
from benchmarks.points import QUALITIES
from glissando.errors import BenchmarkError


@pytest.fixture
def results(data_set: Path, tmp_path: Path, fake_api: Any) -> dict[str, Any]:
    out = tmp_path / "checks.json"
    parts = "file-sizes,monotony,size,determinism"
    assert checks.main(["--data", str(data_set), "--parts", parts, "--json", str(out)], fake_api) == 0
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def claim(results: dict[str, Any], words: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [m for m in results["claims"] if words in m["what"]]
    assert len(found) == 1, [m["what"] for m in results["claims"]]
    return found[0]


def test_results(results: dict[str, Any]) -> None:
    assert results["model"] == {"name": "fake", "hash": "0123456789abcdef"}
    assert results["pictures"] == 3
    sizes = results["file_sizes"]
    assert len(sizes) == 3 * len(QUALITIES)
    for size in sizes:
        assert sum(size["parts"].values()) == size["bytes"]
        assert size["parts"]["other"] == 1  # what the file holds and names no part for
        assert size["bytes"] - size["ideal_bytes"] == pytest.approx(40.0)
    assert claim(results, "beyond the model's cross-entropy")["note"] == "40.0 bytes a file"
    assert claim(results, "largest file")["verdict"] == "meets bar"
    assert len(results["monotony"][0]["sizes"]) == 201
    assert claim(results, "openvino f32 and onnxruntime f32")["value"] == 1.0
    skipped = claim(results, "openvino bf16")
    assert skipped["verdict"] == "not measured"
    assert "no bf16" in skipped["note"]
    assert claim(results, "installed package")["value"] > 0.0


def test_quick_look(data_set: Path, fake_api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert checks.main(["--data", str(data_set), "--parts", "file-sizes", "--pictures", "1"], fake_api) == 0
    printed = capsys.readouterr().out
    assert "| quality | bytes | cross-entropy, bytes | header | latents | other |" in printed
    assert "| largest file - 1.01 * its cross-entropy |" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--parts", "size,nonsense"], "nonsense"),
        (["--parts", ","], "nothing"),
        (["--pictures", "99"], "1…3"),
        (["--data", "missing"], "kodak/"),
    ],
)
def test_impossible_arguments(
    arguments: list[str], words: str, data_set: Path, fake_api: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checks.main(["--data", str(data_set), *arguments], fake_api) == 1
    assert words in capsys.readouterr().err


def test_no_data(monkeypatch: pytest.MonkeyPatch, fake_api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GLISSANDO_DATA", raising=False)
    assert checks.main(["--parts", "monotony"], fake_api) == 1
    assert "GLISSANDO_DATA" in capsys.readouterr().err


def test_a_part_that_fails_leaves_the_others(data_set: Path, fake_api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise BenchmarkError("out of pictures")

    monkeypatch.setattr(file_sizes, "measure_monotony", fail)
    given = ["--data", str(data_set), "--parts", "monotony,size", "--json", str(data_set / "r.json")]
    assert checks.main(given, fake_api) == 1
    content = json.loads((data_set / "r.json").read_text())
    assert content["failed"] == {"monotony": "out of pictures"}
    assert claim(content, "installed package")["value"] > 0.0


@pytest.mark.parametrize(
    ("sizes", "drop"),
    [([1, 2, 3], 0.0), ([100, 99, 120, 90], 25.0), ([7], 0.0), ([200, 199], 0.5), ([], 0.0)],
)
def test_largest_drop(sizes: list[int], drop: float) -> None:
    assert largest_drop(sizes) == pytest.approx(drop)


def test_cold(tmp_path: Path) -> None:
    copy = [sys.executable, "-c", "import shutil, sys; shutil.copy(*sys.argv[1:])"]
    cold = measure_cold(b"bytes", "a", 50.0, runs=3, command=copy)
    assert len(cold.seconds) == 3
    assert cold.median_s == sorted(cold.seconds)[1] > 0.0
    with pytest.raises(BenchmarkError, match="no such thing"):
        measure_cold(b"bytes", "a", 50.0, command=[sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_size_leaves_out_compiled_files(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_bytes(bytes(1000))
    (tmp_path / "a.py").write_bytes(bytes(30))
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "w.bin").write_bytes(bytes(500))
    size = measure_size(tmp_path)
    assert size.total == 530
    assert size.by_suffix == {".bin": 500, ".py": 30}


def test_compare() -> None:
    original = np.full((2, 5, 3), 100, np.uint8)
    a, b = original.copy(), original.copy()
    a[0, 0, 0], b[0, 0, 0] = 103, 101
    c = compare("a", "b", [original], [a], [b])
    assert c.largest_difference == 2
    assert c.share_differing == pytest.approx(100 / 30)
    assert c.largest_psnr_change == pytest.approx(20 * np.log10(3))
    same = compare("a", "a", [original], [a], [a])
    assert (same.share_differing, same.largest_difference, same.largest_psnr_change) == (0.0, 0, 0.0)


@pytest.mark.parametrize(
    ("value", "higher", "verdict"),
    [
        (-61.0, False, "meets aim"),
        (-50.0, False, "meets bar"),
        (-45.0, False, "meets bar"),
        (-44.9, False, "short"),
        (-44.9, True, "meets bar"),
        (None, False, "not measured"),
    ],
)
def test_verdicts(value: float | None, higher: bool, verdict: str) -> None:
    aim = -40.0 if higher else -60.0
    assert Claim("x", value, bar=-45.0, aim=aim, higher_is_better=higher).verdict == verdict


def test_verdicts_without_bar_or_aim() -> None:
    assert Claim("x", 1.0).verdict == "stated"
    assert Claim("x", 1.0, aim=0.0).verdict == "short of the aim"
    assert Claim("x", -11.8, expected=-12.0).verdict == "expected about -12.0 %"


def test_claims_survive_json() -> None:
    one = Claim("x", -1.5, "dB", bar=0.0, signed=True, note="so", digits=2)
    assert Claim.from_json(json.loads(json.dumps(one.to_json()))) == one
