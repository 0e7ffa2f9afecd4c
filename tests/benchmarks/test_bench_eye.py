"""Colours that drift, files made of files, and sheets of crops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from study_fakes import FakeCodec

from benchmarks import eye
from benchmarks.api import Pixels
from benchmarks.data import Picture
from benchmarks.documents import begin_marker, end_marker


def test_what_generations_lose(make_picture: Callable[[int], Pixels]) -> None:
    pixels = make_picture(1)
    assert eye.generations(FakeCodec(), pixels, 50.0, 1) == 0.0
    kept, brighter = (eye.generations(FakeCodec(offset), pixels, 80.0, 4) for offset in (0, 2))
    assert -0.2 < kept < 0.5
    assert brighter > 3.0  # each generation adds two levels


def test_drift_is_the_farthest_mean(make_picture: Callable[[int], Pixels]) -> None:
    pictures = [Picture("a", make_picture(1) // 2), Picture("b", make_picture(2) // 2)]
    assert eye.drift(FakeCodec(), pictures, [80.0]) < 0.5
    assert eye.drift(FakeCodec(3), pictures, [80.0]) == pytest.approx(3.0, abs=0.4)


def test_the_nearest_size_is_not_above() -> None:
    def encode(setting: float) -> bytes:
        return bytes(int(setting) ** 2)

    settings = [float(i) for i in range(1, 20)]
    assert len(eye.nearest_size(encode, settings, 101).data) == 100
    assert len(eye.nearest_size(encode, settings, 100).data) == 100
    assert eye.nearest_size(encode, settings, 0).setting == 1.0
    assert eye.nearest_size(encode, settings, 10**6).setting == 19.0


def test_sheets_and_table(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(eye, "CROPS", {"kodim02": (10, 5)})
    monkeypatch.setattr(eye, "CROP", 32)
    monkeypatch.setattr(eye, "GENERATION_PICTURE", "kodim01")
    monkeypatch.setattr(eye.glissando, "open_model", lambda name: FakeCodec())
    assert eye.main(["draw", str(tmp_path), "--data", str(data_set), "--models", "medium"]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["eye-0.1.jpg", "eye-0.25.jpg", "eye-0.5.jpg"]
    page = tmp_path / "eye.md"
    page.write_text(f"{begin_marker('eye')}\n{end_marker('eye')}\n")
    assert eye.main(["measure", str(page), "--data", str(data_set), "--models", "medium"]) == 0
    assert "| medium | " in page.read_text()
    monkeypatch.setattr(eye, "GENERATION_PICTURE", "kodim24")
    assert eye.main(["measure", str(page), "--data", str(data_set)]) == 1
    assert "no kodim24" in capsys.readouterr().err


def test_a_crop_is_shown_as_it_is(make_picture: Callable[[int], Pixels]) -> None:
    pixels = np.tile(make_picture(3), (4, 3, 1))
    shown = eye._crop(pixels, 20, 10, "x")
    assert np.array_equal(shown[: eye.CROP, 2:-2], pixels[10 : 10 + eye.CROP, 20 : 20 + eye.CROP])
