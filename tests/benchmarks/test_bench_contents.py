"""Drawings beside AVIF, and lossless files beside WebP."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from study_fakes import FakeCodec

import glissando
from benchmarks import contents, contents_sheet
from benchmarks.api import Pixels
from benchmarks.documents import begin_marker, end_marker
from benchmarks.drawings import DRAWINGS, drawing


@pytest.mark.parametrize("name", list(DRAWINGS))
def test_drawings_are_the_same_every_time(name: str) -> None:
    pixels = drawing(name)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert min(pixels.shape[:2]) >= 512
    assert np.array_equal(pixels, drawing(name))


def test_the_page(data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {name: lambda name=name: drawing(name)[:96, :96].copy() for name in ("checkerboard", "pixel art")}
    monkeypatch.setattr(contents, "DRAWINGS", small)
    monkeypatch.setattr(contents, "drawing", lambda name: small[name]())
    monkeypatch.setattr(contents, "ROUNDS", 1)
    page = tmp_path / "content.md"
    page.write_text("\n".join(f"{begin_marker(name)}\n{end_marker(name)}" for name in contents.BLOCKS))
    monkeypatch.setattr(contents, "RISING_QUALITIES", (0.0, 50.0, 100.0))
    monkeypatch.setattr(contents, "RISING_PHOTOGRAPHS", 2)
    assert contents.main([str(page), "--data", str(data_set)]) == 0
    text = page.read_text()
    assert "| 2 photographs | 4 | never | never |" in text
    assert "| 2 drawings | 4 | never | never |" in text
    assert contents.main([str(page), "--data", str(data_set), "--blocks", "rising"]) == 0
    assert page.read_text() == text
    with pytest.raises(SystemExit):
        contents.main([str(page), "--blocks", "rising,falling"])
    assert text.count("exact") == 8  # two drawings at four qualities
    assert "| 3 photographs of Kodak | " in text
    assert "| 2 drawings | " in text


def test_the_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    small = {name: lambda name=name: drawing(name)[:96, :128].copy() for name in ("checkerboard", "pixel art")}
    monkeypatch.setattr(contents_sheet, "DRAWINGS", small)
    monkeypatch.setattr(contents_sheet, "drawing", lambda name: small[name]())
    monkeypatch.setattr(contents_sheet, "CORNER", (8, 30))
    out = tmp_path / "sheet.png"
    assert contents_sheet.main([str(out)]) == 0
    found = np.asarray(Image.open(out))
    assert found.shape == (26 + 3 * 180, 2 * 164, 3)
    for column, pixels in enumerate(draw() for draw in small.values()):
        crop = pixels[8:88, 30:110].repeat(2, axis=0).repeat(2, axis=1)
        rows = [found[26 + 180 * row :][:160, 164 * column + 2 :][:, :160] for row in range(3)]
        assert np.array_equal(rows[0], crop)
        assert not np.array_equal(rows[1], crop)
        assert np.array_equal(rows[2], crop)
    assert contents_sheet.main([str(tmp_path / "none" / "sheet.png")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_what_falls_is_counted(make_picture: Callable[[int], Pixels], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "DRAWINGS", {})

    class Falling(FakeCodec):
        def encode(self, picture: Pixels, quality: float) -> bytes:
            return super().encode(picture, 100 - quality)

    found = contents.rising_block(Falling(), [make_picture(1)])
    assert re.search(r"\| 1 photographs \| 20 \| 20, by up to \d+\.\d\d % \| 20, by up to \d+\.\d\d dB \|", found)
    assert "| 0 drawings | 0 | never | never |" in found


def test_sizes_of_webp() -> None:
    flat, noise = np.zeros((64, 64, 3), np.uint8), np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert contents.webp_bytes(flat) < 100 < contents.webp_bytes(noise)


def test_a_picture_that_comes_back_otherwise_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = glissando.open_model("vae")
    monkeypatch.setattr(contents, "DRAWINGS", {})
    monkeypatch.setattr(type(codec), "decode", lambda self, data: np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(AssertionError, match="came back otherwise"):
        contents.lossless_block(codec, [np.ones((8, 8, 3), np.uint8)])
