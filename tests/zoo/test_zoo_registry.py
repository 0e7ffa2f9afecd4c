"""Where models are found: the package, $GLISSANDO_MODELS, the user's folder, and what a program registers."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from zoo_models import another_version, change_card, copy_model

import glissando
from glissando import zoo
from glissando.cli.app import app
from glissando.errors import ModelMismatchError, ModelWarning, UnknownModelError
from glissando.zoo import registry

PIXELS = np.full((40, 50, 3), 90, np.uint8)


@pytest.fixture
def none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No model anywhere."""
    monkeypatch.setattr(registry, "_PACKAGE", tmp_path / "package")
    monkeypatch.setattr(registry, "_registered", [])


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that GLISSANDO_MODELS names, behind one that does not exist."""
    monkeypatch.setattr(registry, "_registered", [])
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("GLISSANDO_MODELS", os.pathsep.join([str(tmp_path / "nowhere"), str(folder)]))
    return folder


def test_nothing_installed(none: None) -> None:
    assert zoo.models() == []
    with pytest.raises(UnknownModelError, match="installed: none"):
        zoo.find("medium")
    with pytest.raises(UnknownModelError, match="installed: none"):
        zoo.find_hash(bytes(8))


def test_a_folder_of_models_in_the_environment(place: Path) -> None:
    copy_model("medium", place / "mine")
    new = another_version(place / "mine", name="mine")
    assert zoo.find("mine").card.hash == new
    assert zoo.find("mine").card.source == str(place)
    assert zoo.find_hash(bytes.fromhex(new)).folder == place / "mine"
    assert {card.name for card in zoo.models()} >= {"medium", "mine"}


def test_a_models_folder_itself_in_the_environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_model("medium", place / "mine")
    another_version(place / "mine", name="mine")
    monkeypatch.setenv("GLISSANDO_MODELS", str(place / "mine"))
    assert zoo.find("mine").folder == place / "mine"


def test_versions_of_one_name_lie_side_by_side(place: Path) -> None:
    old, dates = zoo.find("medium").card, ("2001-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00")
    hashes = []
    for number, date in enumerate(dates):
        copy_model("medium", place / str(number))
        for _ in range(number + 1):
            found = another_version(place / str(number), created=date)
        hashes.append(found)
    assert zoo.find("medium").card.hash == hashes[1]
    assert [card.hash for card in zoo.models() if card.name == "medium"] == [hashes[1], old.hash, hashes[0]]
    for each in (*hashes, old.hash):
        assert zoo.find(each).card.hash == zoo.find_hash(bytes.fromhex(each)).card.hash == each
    # Each file finds its own, though all of them have one name.
    files = [glissando.open_model(each, threads=1).encode(PIXELS, 50) for each in (*hashes, old.hash)]
    assert [glissando.probe(data).model_hash for data in files] == [*hashes, old.hash]
    for data in files:
        assert np.abs(glissando.decode(data, threads=1).astype(int) - 90).max() < 20


def test_the_same_model_in_two_places_is_listed_once(place: Path) -> None:
    copy_model("medium", place / "again")
    assert [card.source for card in zoo.models() if card.name == "medium"] == ["package"]


def test_a_registered_model_is_opened_and_decodes(place: Path, tmp_path: Path) -> None:
    folder = copy_model("medium", tmp_path / "export")
    new = another_version(folder, name="mine")
    data = glissando.open_model(folder, threads=1).encode(PIXELS, 50)
    with pytest.raises(UnknownModelError, match="not installed"):
        glissando.decode(data)
    assert glissando.register(folder).hash == new
    assert glissando.open_model("mine").card.source == "registered"
    assert glissando.decode(data, threads=1).shape == PIXELS.shape
    assert glissando.register(str(folder)).hash == new
    assert len(registry._registered) == 1


def test_what_cannot_be_registered(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"no card\.json"):
        glissando.register(tmp_path)
    folder = copy_model("medium", tmp_path / "model")
    (folder / "decode.onnx.gz").write_bytes(b"")
    with pytest.raises(ModelMismatchError, match=r"decode\.onnx\.gz"):
        glissando.register(folder)
    assert folder not in registry._registered


def test_an_unreadable_card_costs_that_model_alone(place: Path) -> None:
    (place / "broken").mkdir()
    (place / "broken" / "card.json").write_text("{")
    (place / "no model").mkdir()
    with pytest.warns(ModelWarning, match=r"broken.card\.json: model broken: its card cannot be read") as found:
        names = [card.name for card in zoo.models()]
    assert len(found) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert glissando.open_model("medium").name == "medium"
    assert "medium" in names
    assert "broken" not in names


def test_the_command_line_says_it_in_one_line(place: Path) -> None:
    (place / "broken").mkdir()
    (place / "broken" / "card.json").write_text("{")
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 0
    assert "medium  (" in result.stdout
    assert result.stderr.startswith("glissando: warning: ")
    assert len(result.stderr.splitlines()) == 1


def test_a_file_of_an_earlier_version_names_it(place: Path) -> None:
    copy_model("medium", place / "mine")
    versions = [{"hash": "00112233445566ff", "created": "2026-03-04T05:06:07+00:00"}, {"hash": "8899aabbccddeeff"}]
    another_version(place / "mine", name="mine", versions=versions)
    with pytest.raises(
        UnknownModelError, match=r"00112233445566ff.*mine of 2026-03-04, an earlier version; installed: "
    ):
        zoo.find_hash(bytes.fromhex("00112233445566ff"))
    with pytest.raises(UnknownModelError, match="8899aabbccddeeff, which is not installed: mine, an earlier version"):
        zoo.find_hash(bytes.fromhex("8899aabbccddeeff"))
    with pytest.raises(UnknownModelError, match=r"model 0{16}, which is not installed; installed: .*mine"):
        zoo.find_hash(bytes(8))


def test_a_kept_codec_is_not_taken_for_another_version(place: Path) -> None:
    before = glissando.probe(glissando.encode(PIXELS, threads=1)).model_hash
    copy_model("medium", place / "newer")
    new = another_version(place / "newer", created="2099-01-01T00:00:00+00:00")
    assert glissando.probe(glissando.encode(PIXELS, threads=1)).model_hash == new != before
    change_card(place / "newer", created="2001-01-01T00:00:00+00:00")
    assert glissando.probe(glissando.encode(PIXELS, threads=1)).model_hash == before
