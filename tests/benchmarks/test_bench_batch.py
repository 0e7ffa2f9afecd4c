"""What a batch's driver costs, and what follows for a thousand workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import batch

RESULTS: dict[str, Any] = {
    "constants": {"listing": 1e-6, "driver": 1e-4, "again": 1e-5, "row bytes": 400.0, "message bytes": 500},
    "moved": {"local": {"driver": 2e-4, "clock": 3e-4}, "ray": {"driver": 1e-3, "clock": 2e-3}},
    "scaling": {
        "direct": 0.1,
        "core": 0.1,
        "workers": {
            "1": {"per second": 9.5, "whole": 10.0, "pictures": 96, "bytes": 1e6},
            "2": {"per second": 19.0, "whole": 6.0, "pictures": 96, "bytes": 1e6},
        },
    },
    "quality": 60.0,
    "machine": "a processor",
    "date": "2026-01-02",
    "glissando": "0.1.0",
}


def test_tables(tmp_path: Path) -> None:
    text = batch.markdown(RESULTS)
    lines = text.splitlines()
    assert "| the codec, called directly | 10.00 | 1.00 |  |" in lines
    assert "| 1 worker | 9.50 | 0.95 | 95% |" in lines
    assert "| 2 workers | 19.00 | 1.90 | 95% |" in lines
    assert "| list a file of a folder | 1.0 µs | 1,000,000 |" in lines
    assert "| all of that, and four messages (`ray`) | 1000 µs | 1,000 |" in lines
    # 0.1 s a picture: a thousand workers do 10,000 a second, of a megabyte each; a driver hands out 5,000 or 1,000.
    assert "| 0.4 | 0.10 s | 10,000 | 10.0 GB | 500 | 100 |" in lines
    document = tmp_path / "batch.md"
    document.write_text("<!-- batch:begin -->\nold\n<!-- batch:end -->\n")
    results = tmp_path / "batch.json"
    results.write_text(json.dumps(RESULTS))
    assert batch.main(["report", str(results), str(document)]) == 0
    assert document.read_text() == f"<!-- batch:begin -->\n{text}\n<!-- batch:end -->\n"


def test_constants_are_measured(tmp_path: Path) -> None:
    found = batch._constants(tmp_path, 200)
    assert found.keys() == RESULTS["constants"].keys()
    assert all(value > 0 for value in found.values())
    moved = batch._moved(tmp_path / "moved", 40, with_ray=False)
    assert 0 < moved["local"]["driver"] <= moved["local"]["clock"] * 1.5


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert batch.main(["measure", "--workers", "0", "--data", str(tmp_path), "--json", "x"]) == 1
    assert "at least 1" in capsys.readouterr().err
    assert batch.main(["report", str(tmp_path / "none"), "x"]) == 1
