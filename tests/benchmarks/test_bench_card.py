"""Scores go from a comparison into the card of the model that they belong to, and into no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from study_fakes import as_kodak

from benchmarks import card
from glissando.bench.results import Results


def write(folder: Path, results: Results, model_hash: str = "0123456789abcdef") -> int:
    (folder / "card.json").write_text(json.dumps({"name": "m", "hash": model_hash, "scores": {"old": 1}}))
    (folder / "results.json").write_text(results.to_json())
    return card.main([str(folder / "results.json"), str(folder)])


def test_scores_replace_the_old_ones(tmp_path: Path, comparison: Results) -> None:
    assert write(tmp_path, as_kodak(comparison)) == 0
    written = json.loads((tmp_path / "card.json").read_text())
    scores = written.pop("scores")
    assert written == {"name": "m", "hash": "0123456789abcdef"}
    assert scores["measured"] == comparison.date
    assert scores["Kodak mean rate at quality 0"] == "0.054 bpp"
    assert scores["BD-rate by PSNR against AVIF"] == "-10.0 %"
    assert not any(what.startswith(("check", "encode", "decode")) for what in scores)


def test_other_results_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], comparison: Results) -> None:
    for results, model_hash, message in (
        (comparison, "0123456789abcdef", "3 pictures"),
        (as_kodak(comparison), "00ff", "not of 00ff"),
    ):
        assert write(tmp_path, results, model_hash) == 1
        assert message in capsys.readouterr().err
        assert json.loads((tmp_path / "card.json").read_text())["scores"] == {"old": 1}
