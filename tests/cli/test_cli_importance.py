"""Maps of importance from the command line, with the shipped model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import glissando

Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, codec: Any, natural: Callable[..., Any]) -> Run:
    """Run a command in a folder with a picture, in.png, and a mask of another size, mask.png."""
    monkeypatch.setenv("GLISSANDO_DEBUG", "0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(glissando, "open_model", lambda name, **options: codec)
    Image.fromarray(natural(100, 150)).save("in.png")
    Image.fromarray(np.repeat([[0, 255]], 2, axis=0).astype(np.uint8)).save("mask.png")
    from glissando.cli.app import app

    return lambda *args: CliRunner().invoke(app, [str(a) for a in args], prog_name="glissando")


def test_encode_info_and_the_map_again(run: Run) -> None:
    result = run("encode", "in.png", "out.gliss", "--importance", "mask.png", "--strength", 10)
    assert result.exit_code == 0, result.output
    shown = run("info", "out.gliss", "--importance", "map.png").stdout
    assert "importance       a map; quality -10, +10" in shown
    assert "    map            " in shown
    found = json.loads(run("info", "out.gliss", "--json").stdout)
    assert found["importance"] == [-10, 10]
    assert found["boxes"] == {}
    assert sum(found["parts"].values()) == found["file_bytes"]
    with Image.open("map.png") as image:
        assert (image.mode, image.size) == ("L", (150, 100))
        grey = np.asarray(image)
    assert set(np.unique(grey)) == {0, 255}
    # The map that was written makes the same file.
    assert run("encode", "in.png", "again.gliss", "--importance", "map.png", "--strength", 10).exit_code == 0
    assert Path("again.gliss").read_bytes() == Path("out.gliss").read_bytes()


def test_the_size_is_kept(run: Run) -> None:
    assert run("encode", "in.png", "plain.gliss").exit_code == 0
    assert run("encode", "in.png", "out.gliss", "--importance", "mask.png", "--keep-size").exit_code == 0
    plain, found = (Path(name).stat().st_size for name in ("plain.gliss", "out.gliss"))
    assert found == pytest.approx(plain, rel=0.01)


def test_the_automatic_map(run: Run) -> None:
    assert run("encode", "in.png", "out.gliss", "--importance", "auto").exit_code == 0
    expected = glissando.open_model("medium").encode(np.asarray(Image.open("in.png")), importance="auto")
    assert Path("out.gliss").read_bytes() == expected


def test_a_picture_of_the_bits(run: Run) -> None:
    assert run("encode", "in.png", "plain.gliss").exit_code == 0
    assert run("encode", "in.png", "out.gliss", "--quality-map", "bits.png").exit_code == 0
    assert Path("plain.gliss").read_bytes() == Path("out.gliss").read_bytes()
    with Image.open("bits.png") as image:
        assert (image.mode, image.size) == ("RGB", (240, 140))


def test_a_16_bit_mask(run: Run) -> None:
    Image.fromarray(np.repeat([[0, 65535]], 2, axis=0).astype(np.uint16)).save("deep.png")
    result = run("encode", "in.png", "deep.gliss", "--importance", "deep.png")
    assert result.exit_code == 0
    assert "note" not in result.stderr
    run("encode", "in.png", "out.gliss", "--importance", "mask.png")
    assert Path("deep.gliss").read_bytes() == Path("out.gliss").read_bytes()


def test_what_is_no_mask(run: Run) -> None:
    Path("text.png").write_text("not a picture")
    Path("empty.png").touch()
    Image.new("RGB", (4, 4), (255, 0, 0)).save("red.png")
    for name, message in (
        ("text.png", "text.png: not a picture"),
        ("empty.png", "empty.png: an empty file"),
        ("missing.png", "missing.png: No such file"),
        ("red.png", "in.png: importance has colours"),
    ):
        result = run("encode", "in.png", "out.gliss", "--importance", name)
        assert result.exit_code == 1
        assert message in result.stderr
        assert not Path("out.gliss").exists()


def test_options_that_do_not_fit(run: Run) -> None:
    for options, message in (
        (("--strength", 3), "needs --importance"),
        (("--keep-size",), "needs --importance"),
        (("--importance", "auto", "--strength", 101), "100"),
    ):
        result = run("encode", "in.png", "out.gliss", *options)
        assert (result.exit_code, message in result.stderr) == (2, True)
    result = run("encode", "in.png", "mask.png", "folder/", "--quality-map", "bits.png")
    assert result.exit_code == 2
    assert "one by one" in result.stderr


def test_a_file_without_a_map(run: Run) -> None:
    run("encode", "in.png", "out.gliss")
    result = run("info", "out.gliss", "--importance", "map.png")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "glissando: out.gliss: the file has no map of importance\n"
    assert not Path("map.png").exists()
    assert "map" not in run("info", "out.gliss").stdout
