"""Sizes and scores from the command line, with the shipped model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import glissando
from glissando.codec.scores import psnr

Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, codec: Any, natural: Callable[..., Any]) -> Run:
    """Run a command in a folder with two pictures, a.png and b.png."""
    monkeypatch.setenv("GLISSANDO_DEBUG", "0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(glissando, "open_model", lambda name, **options: codec)
    Image.fromarray(natural(100, 150)).save("a.png")
    Image.fromarray(natural(100, 150, seed=1) // 3 + 80).save("b.png")
    from glissando.cli.app import app

    return lambda *args: CliRunner().invoke(app, [str(a) for a in args], prog_name="glissando")


def size_of(name: str) -> int:
    return Path(name).stat().st_size


def test_each_file_has_the_size(run: Run) -> None:
    result = run("encode", "a.png", "b.png", "out/", "--target-size", "1.2kB", "-v")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("quality") == 2
    for name in ("out/a.gliss", "out/b.gliss"):
        assert 0.995 * 1200 <= size_of(name) <= 1200


def test_scores(run: Run, codec: Any) -> None:
    assert run("encode", "a.png", "out.gliss", "--target-psnr", 31).exit_code == 0
    with Image.open("a.png") as image:
        assert psnr(np.asarray(image), codec.decode("out.gliss"), 8) == pytest.approx(31, abs=0.05)
    assert run("encode", "a.png", "out.gliss", "--target-bpp", 0.6, "--quality-map", "bits.png").exit_code == 0
    assert 0.99 * 1125 <= size_of("out.gliss") <= 1125
    assert Path("bits.png").exists()


def test_a_largest_size_and_its_notes(run: Run) -> None:
    result = run("encode", "a.png", "out.gliss", "--max-size", "1MB")
    assert "note: it has no more than 1,000,000 bytes at quality 60 already" in result.stderr
    result = run("encode", "a.png", "out.gliss", "-q", 90, "--max-size", 1500)
    assert "note: with quality 90 it would have" in result.stderr
    assert 0.995 * 1500 <= size_of("out.gliss") <= 1500
    assert "note" not in run("encode", "a.png", "out.gliss", "--max-size", "1MB", "--quiet").stderr


def test_a_size_for_all(run: Run) -> None:
    Path("bad.png").write_bytes(b"no picture")
    result = run("encode", "a.png", "bad.png", "b.png", "out/", "--total-size", "2.5kB")
    assert result.exit_code == 1
    assert "bad.png" in result.stderr
    assert 0.995 * 2500 <= size_of("out/a.gliss") + size_of("out/b.gliss") <= 2500
    # What is there already is not made again, and has no share.
    result = run("encode", "a.png", "b.png", "out/", "--total-size", 500, "--no-overwrite")
    assert result.exit_code == 1
    Path("out/b.gliss").unlink()
    assert run("encode", "a.png", "b.png", "out/", "--total-size", 500, "--no-overwrite").exit_code == 1
    assert 0.99 * 500 <= size_of("out/b.gliss") <= 500


@pytest.mark.parametrize(
    "options",
    [
        ["--target-size", "4k"],
        ["--target-size", "4kB", "-q", "50"],
        ["--target-size", "4kB", "--target-psnr", "30"],
        ["--target-size", "4kB", "--max-size", "3kB"],
        ["--target-size", "4kB", "--lossless"],
        ["--max-size", "4kB", "-q", "lossless"],
        ["--total-size", "4kB", "--max-size", "3kB"],
        ["--total-size", "4kB", "--quality-map", "x.png"],
        ["--target-size", "4kB", "--importance", "auto", "--keep-size"],
        ["--target-psnr", "nan"],
        ["--total-size", "none"],
    ],
)
def test_options_that_exclude_each_other(run: Run, options: list[str]) -> None:
    result = run("encode", "a.png", "out.gliss", *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr or "--quality-map" in result.stderr
    assert not Path("out.gliss").exists()


def test_standard_input_cannot_be_shared(run: Run) -> None:
    result = run("encode", "-", "out.gliss", "--total-size", "4kB")
    assert result.exit_code == 2
    assert "read twice" in result.stderr


def test_what_is_out_of_reach_is_told(run: Run) -> None:
    result = run("encode", "a.png", "out.gliss", "--target-size", "1MB")
    assert result.exit_code == 1
    assert "no file of this picture has 1,000,000 bytes" in result.stderr
    result = run("encode", "a.png", "b.png", "out/", "--total-size", "10")
    assert result.exit_code == 1
    assert "the files cannot have 10 bytes together" in result.stderr
