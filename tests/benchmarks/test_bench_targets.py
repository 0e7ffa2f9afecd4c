"""The study of targets, on two small pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import targets
from benchmarks.targets import Trial, main, row


def test_a_row_tells_the_worst_and_the_middle() -> None:
    trials = [Trial(-0.2, 1.5), Trial(0.1, 1.2), Trial(0.0, 3.0)]
    assert row("size", trials, " %") == ["size", "-0.200 … +0.100 %", "1.50×", "3.00×"]


def test_the_tables_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, natural: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ssimulacra2", reason="the package ssimulacra2 is not installed")
    (tmp_path / "kodak").mkdir()
    for number in (1, 2):
        Image.fromarray(natural(64, 96, seed=number)).save(tmp_path / "kodak" / f"kodim0{number}.png")
    for name, values in (("BPP", (0.9,)), ("PSNR", (30.0,)), ("SSIMULACRA2", ()), ("ROUNDS", 1)):
        monkeypatch.setattr(targets, name, values)
    document = tmp_path / "page.md"
    document.write_text("<!-- targets:begin -->\n<!-- targets:end -->\n", encoding="utf-8")
    assert main([str(document), "--data", str(tmp_path)]) == 0
    text = document.read_text(encoding="utf-8")
    assert "| size, 0.9 bpp |" in text
    assert "| PSNR, 30 dB |" in text
    assert "| the same bytes by equal slope |" in text
    assert "2 Kodak pictures, model medium" in text
    assert main([str(document), "--data", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
