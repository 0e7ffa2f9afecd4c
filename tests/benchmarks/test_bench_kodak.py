"""The command from end to end, with a fake codec; its figures, verdicts and errors."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks import kodak, rd
from benchmarks.api import BenchmarkError, Pixels
from benchmarks.data import Picture
from benchmarks.determinism import compare
from benchmarks.footprint import measure_cold, measure_size
from benchmarks.measures import Measure, speed_measures
from benchmarks.readme import BEGIN, END, main, rewrite
from benchmarks.report import print_report
from benchmarks.speed import Speed, measure_speed, speed_in_fresh_process
from glissando.bench.machine import Machine


@pytest.fixture
def results(data_set: Path, tmp_path: Path, fake_api: Any) -> dict[str, Any]:
    out = tmp_path / "results.json"
    parts = "rd,continuity,size,determinism"
    assert kodak.main(["--data", str(data_set), "--parts", parts, "--json", str(out)], fake_api) == 0
    content: dict[str, Any] = json.loads(out.read_text())
    return content


def measure(results: dict[str, Any], words: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [m for m in results["measures"] if words in m["what"]]
    assert len(found) == 1, [m["what"] for m in results["measures"]]
    return found[0]


def test_results(results: dict[str, Any], fake_api: Any) -> None:
    assert results["model"]["name"] == "fake"
    assert results["pictures"] == 3
    points = results["rd"]["points"]["fake"]
    assert len(points) == 3 * len(rd.QUALITIES)
    for point in points:
        assert point["bpp"] == pytest.approx(8 * point["bytes"] / (64 * 96))
        assert sum(point["parts"].values()) == point["bytes"]
        assert point["parts"]["other"] == 1  # what the file holds and names no part for
    assert results["rd"]["overhead"]["bytes_per_file"] == pytest.approx(40.0)
    top = results["rd"]["means"]["fake"][-1]
    highest = [p["psnr"] for p in points if p["quality"] == 100.0]
    assert top["psnr"] == pytest.approx(sum(highest) / 3)  # dB are averaged, not errors
    assert "not comparable" in measure(results, "published JPEG2000")["note"]
    assert measure(results, "published VTM")["verdict"] == "not measured"
    assert measure(results, "largest file")["verdict"] == "meets bar"
    assert len(results["continuity"][0]["sizes"]) == 201
    assert measure(results, "openvino f32 and onnxruntime f32")["value"] == 1.0
    skipped = measure(results, "openvino bf16")
    assert skipped["verdict"] == "not measured"
    assert "no bf16" in skipped["note"]
    assert measure(results, "installed package")["value"] > 0.0


def test_quick_look(data_set: Path, fake_api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert kodak.main(["--data", str(data_set), "--parts", "rd", "--pictures", "1"], fake_api) == 0
    printed = capsys.readouterr().out
    assert "BD-rate against published JPEG2000" in printed
    assert "1 Kodak picture\n" in printed


def test_readme(results: dict[str, Any], tmp_path: Path) -> None:
    readme, source = tmp_path / "README.md", tmp_path / "results.json"
    readme.write_text(f"# Title\n{BEGIN}\nold\n{END}\nrest\n")
    assert main([str(source), str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith(f"# Title\n{BEGIN}\n| what |")
    assert text.endswith(f"{END}\nrest\n")
    assert "old" not in text
    assert results["machine"]["processor"] in text
    assert "| quality | bpp | PSNR, dB |" in text
    assert rewrite(text, results) == text


def test_readme_without_markers(tmp_path: Path, results: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here")
    assert main([str(tmp_path / "results.json"), str(readme)]) == 1
    assert BEGIN in capsys.readouterr().err
    assert readme.read_text() == "nothing here"
    with pytest.raises(BenchmarkError, match="once each"):
        rewrite(f"{END} {BEGIN}", results)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--parts", "rd,nonsense"], "nonsense"),
        (["--parts", ","], "nothing"),
        (["--pictures", "99"], "1…3"),
        (["--data", "missing"], "kodak/"),
        (["--reference", "missing.json", "--parts", "rd"], "published curves"),
    ],
)
def test_impossible_arguments(
    arguments: list[str], words: str, data_set: Path, fake_api: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kodak.main(["--data", str(data_set), *arguments], fake_api) == 1
    assert words in capsys.readouterr().err


def test_no_data(monkeypatch: pytest.MonkeyPatch, fake_api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GLISSANDO_DATA", raising=False)
    assert kodak.main(["--parts", "rd"], fake_api) == 1
    assert "GLISSANDO_DATA" in capsys.readouterr().err


def test_a_part_that_fails_leaves_the_others(data_set: Path, fake_api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise BenchmarkError("out of pictures")

    monkeypatch.setattr(rd, "measure_continuity", fail)
    given = ["--data", str(data_set), "--parts", "continuity,size", "--json", str(data_set / "r.json")]
    assert kodak.main(given, fake_api) == 1
    content = json.loads((data_set / "r.json").read_text())
    assert content["failed"] == {"continuity": "out of pictures"}
    assert measure(content, "installed package")["value"] > 0.0


def test_speed(fake_api: Any, make_picture: Callable[[int], Pixels]) -> None:
    pictures = [Picture(str(i), make_picture(i)) for i in range(2)]
    codec = fake_api.open_model("fake")
    speed = measure_speed(codec, pictures, 1, rates=(0.5, 2.0), rounds=2, matrix=64)
    assert [rate.target_bpp for rate in speed.rates] == [0.5, 2.0]
    at = speed.headline
    assert at.target_bpp == 0.5
    macs = 1e3 * codec.card.encode_kmac_per_pixel * 64 * 96 / at.encode_s
    assert at.encode_share == pytest.approx(macs / (1e9 * speed.matmul_gmac_per_s))
    assert Speed.from_json(json.loads(json.dumps(asdict(speed)))) == speed


def test_speed_in_a_process_of_its_own(data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child imports a module that opens the fake, and prints what the parent reads."""
    (tmp_path / "fake_package.py").write_text(
        "from conftest import FakeApi\nopen_model = FakeApi().open_model\ndef probe(data): ...\n"
    )
    (tmp_path / "empty_package.py").write_text("")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.syspath_prepend(str(tmp_path))
    speed = speed_in_fresh_process(data_set, "fake", "some", "f32", 1, 2, 1, api="fake_package")
    assert (speed.threads, speed.backend, speed.pictures) == (1, "some", ["kodim01", "kodim02"])
    assert speed.matmul_gmac_per_s > 0.0
    with pytest.raises(BenchmarkError, match="exit code 1"):
        speed_in_fresh_process(data_set, "fake", "some", "f32", 1, 2, 1, api="empty_package")


@pytest.mark.parametrize(("extensions", "bar", "aim"), [(("AVX2",), 6.0, 70.0), (("AVX2", "AMX bf16"), 15.0, 100.0)])
def test_speed_limits_follow_the_processor(
    extensions: tuple[str, ...], bar: float, aim: float, fake_api: Any, make_picture: Callable[[int], Pixels]
) -> None:
    pictures = [Picture("a", make_picture(0))]
    speed = measure_speed(fake_api.open_model("fake"), pictures, 1, rates=(0.5,), rounds=1, matrix=32)
    found = speed_measures(speed, Machine("some", extensions, 1, "any", "3"))
    assert {m.bar for m in found if "per second" in m.what and "pictures" in m.what} == {bar}
    assert {m.aim for m in found if "share" in m.what} == {aim}
    assert all("AVX2" in m.note for m in found if "pictures" in m.what)


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
    assert Measure("x", value, bar=-45.0, aim=aim, higher_is_better=higher).verdict == verdict


def test_verdicts_without_bar_or_aim() -> None:
    assert Measure("x", 1.0).verdict == "stated"
    assert Measure("x", 1.0, aim=0.0).verdict == "short of the aim"
    assert Measure("x", -11.8, expected=-12.0).verdict == "expected about -12.0 %"


def test_report_of_old_results_needs_no_codec(results: dict[str, Any]) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    print_report(results, console)
    assert "Measures" in console.export_text()
