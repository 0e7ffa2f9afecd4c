"""``glissando doctor``: what it tells, and that it fails where something is broken."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import glissando
from glissando import diagnosis, zoo
from glissando.cli.app import app


def doctor(*options: str) -> Any:
    return CliRunner().invoke(app, ["doctor", *options], prog_name="glissando")


def told() -> dict[str, Any]:
    result = doctor("--json")
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    assert found["ok"] is (result.exit_code == 0)
    return found


def test_a_whole_installation() -> None:
    found = told()
    assert found["ok"]
    assert found["glissando"] == glissando.__version__
    assert [(check["name"], check["ok"]) for check in found["checks"]] == [
        ("decode", True),
        ("encode", True),
        ("lossless", True),
    ]
    assert {(model["name"], model["hash"]) for model in found["models"]} == {(c.name, c.hash) for c in zoo.models()}
    assert found["libraries"]["numpy"] == np.__version__
    assert found["engine"] in found["engines"]
    assert found["precision"] in ("f32", "bf16")
    assert 1 <= found["machine"]["cores"] <= found["cores"]


def test_what_it_prints() -> None:
    result = doctor()
    assert result.exit_code == 0
    (medium,) = (card for card in zoo.models() if card.name == "medium")
    for expected in ("processor", "engines     openvino 20", f"medium  {medium.hash}  package", "All is well."):
        assert expected in result.stdout


def test_it_takes_no_longer_than_two_seconds_of_a_core() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "glissando", "doctor"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 4  # twice of it, for the processors of those who run the tests


def test_the_golden_picture_is_of_the_default_model() -> None:
    golden = json.loads(diagnosis.GOLDEN.read_text(encoding="utf-8"))
    assert golden["hash"] == zoo.find("medium").card.hash  # else run tests/golden/make_golden.py


def changed(tmp_path: Path, **values: Any) -> Path:
    path = tmp_path / "golden.json"
    path.write_text(json.dumps(json.loads(diagnosis.GOLDEN.read_text(encoding="utf-8")) | values))
    return path


@pytest.mark.parametrize(
    ("values", "failing", "words"),
    [
        ({"symbols": "00000000"}, "decode", "checksum"),
        ({"psnr": 32.0}, "decode", "expected"),
        ({"file": "89474c53"}, "decode", "Error"),
        ({"hash": "0123456789abcdef"}, "open the model", "0123456789abcdef"),
    ],
)
def test_a_self_test_that_fails(
    values: dict[str, Any], failing: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "GOLDEN", changed(tmp_path, **values))
    result = doctor()
    assert result.exit_code == 1
    (line,) = (line for line in result.stdout.splitlines() if line.startswith(f"  FAILED  {failing}: "))
    assert words in line
    assert result.stdout.endswith("Something is wrong.\n")


def test_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLISSANDO_BACKEND", "abacus")
    found = told()
    assert (found["ok"], found["engine"], found["precision"]) == (False, None, None)
    assert found["variables"]["GLISSANDO_BACKEND"] == "abacus"
    assert "abacus" in found["checks"][0]["found"]


def test_a_model_with_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = zoo.find("vae")
    shutil.copytree(model.folder, tmp_path / "mine")
    card = json.loads((tmp_path / "mine" / "card.json").read_text())
    card["hash"] = "0123456789abcdef"
    (tmp_path / "mine" / "card.json").write_text(json.dumps(card))
    weights = bytearray((tmp_path / "mine" / "decoder.npz").read_bytes())
    weights[1000] ^= 1
    (tmp_path / "mine" / "decoder.npz").write_bytes(weights)
    monkeypatch.setenv("GLISSANDO_MODELS", str(tmp_path))
    found = told()
    assert not found["ok"]
    (damaged,) = (model for model in found["models"] if model["problem"])
    assert damaged["hash"] == "0123456789abcdef"
    assert "decoder.npz" in damaged["problem"]
