"""Scores go from a results file into the card of the model that they belong to, and into no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import card

RESULTS: dict[str, Any] = {
    "date": "2026-01-01",
    "pictures": 24,
    "model": {"hash": "00ff"},
    "measures": [
        {"row": ["BD-rate against published JPEG", "-12.3 %", "", "", "", ""]},
        {"row": ["encode: pictures of 768x512 per second", "9 /s", "", "", "", ""]},
    ],
}


def write(folder: Path, results: dict[str, Any], model_hash: str = "00ff") -> int:
    (folder / "card.json").write_text(json.dumps({"name": "m", "hash": model_hash, "scores": {"old": 1}}))
    (folder / "results.json").write_text(json.dumps(results))
    return card.main([str(folder / "results.json"), str(folder)])


def test_scores_replace_the_old_ones(tmp_path: Path) -> None:
    assert write(tmp_path, RESULTS) == 0
    written = json.loads((tmp_path / "card.json").read_text())
    assert written == {
        "name": "m",
        "hash": "00ff",
        "scores": {"measured": "2026-01-01", "BD-rate against published JPEG": "-12.3 %"},
    }


@pytest.mark.parametrize(("change", "message"), [({"pictures": 3}, "3 pictures"), ({"model": {"hash": "11"}}, "11")])
def test_other_results_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    assert write(tmp_path, {**RESULTS, **change}) == 1
    assert message in capsys.readouterr().err
    assert json.loads((tmp_path / "card.json").read_text())["scores"] == {"old": 1}
