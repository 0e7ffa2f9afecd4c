"""The study of how weights are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from benchmarks.weights import main, stored_ways  # noqa: E402


def test_each_way_is_as_exact_as_it_says() -> None:
    random = np.random.default_rng(0)
    scale = np.exp2(random.normal(size=(64, 1)) + random.normal(size=(1, 100)))
    weights = {"a": random.normal(size=(64, 100)) * scale, "b": random.normal(size=(32, 8, 3, 3))}
    floats = {name: array.astype(np.float32) for name, array in weights.items()}
    # Each row matters as much as each other one: errors relative to its scale count.
    sensitivity = {"a": torch.from_numpy(1 / scale**2) * 1e-3, "b": torch.full((32, 8, 3, 3), 1e-3)}
    ways = {way.label: way for way in stored_ways(floats, sensitivity)}
    assert len(ways) == 8
    for way in ways.values():
        assert way.size > 0 <= way.read_s
        assert all(way.weights[name].shape == array.shape for name, array in floats.items())
        error = max(float(np.abs(way.weights[name] - array).max()) for name, array in floats.items())
        assert error < 0.5, way.label
    assert ways["8 bits a channel, deflated"].size < ways["float16, bytes split, deflated"].size
    assert ways["10 bits a channel, sorted, deflated"].size < ways["12 bits a channel, sorted, deflated"].size


def test_what_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.pt").write_bytes(b"")
    assert main([str(tmp_path / "no.pt"), "--data", str(tmp_path)]) == 1
    assert "cannot read checkpoint" in capsys.readouterr().err
