"""``glissando models --install``: a folder or an archive into the user's folder, whole or not at all."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from zoo_models import another_version, change_card, copy_model

import glissando
from glissando import zoo
from glissando.cli.app import app
from glissando.errors import GlissandoError, InputError, ModelMismatchError
from glissando.zoo import installation, registry


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's folder, empty; what was in it before is not looked at."""
    folder = tmp_path / "data" / "models"
    for module in (registry, installation):
        monkeypatch.setattr(module, "user_folder", lambda: folder)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = copy_model("medium", tmp_path / "mine")
    another_version(folder, name="mine", created="2026-05-06T00:00:00+00:00")
    return folder


def as_zip(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, prefix + path.relative_to(folder).as_posix())
    return target


def as_tar(folder: Path, target: Path, prefix: str = "") -> Path:
    with tarfile.open(target, "w:gz") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, prefix + path.relative_to(folder).as_posix(), recursive=False)
    return target


@pytest.mark.parametrize("kind", ["folder", "zip", "zip with a folder", "tar.gz", "tar.gz with a folder"])
def test_what_can_be_installed(kind: str, model: Path, user: Path, tmp_path: Path) -> None:
    prefix = "mine/" if kind.endswith("folder") and kind != "folder" else ""
    source = model
    if kind.startswith("zip"):
        source = as_zip(model, tmp_path / "model.zip", prefix)
    elif kind.startswith("tar"):
        source = as_tar(model, tmp_path / "model.tar.gz", prefix)
    result = CliRunner().invoke(app, ["models", "--install", str(source)])
    assert (result.exit_code, result.stderr) == (0, "")
    found = zoo.find("mine")
    assert found.card.source == "user"
    assert f"mine  ({found.card.hash}, 2026-05-06, from user)" in result.stdout
    assert [path.name for path in user.iterdir()] == [f"mine-{found.card.hash}"]
    assert "mine  (" in CliRunner().invoke(app, ["models"]).stdout
    found.check()
    pixels = np.zeros((20, 30, 3), np.uint8)
    assert glissando.decode(glissando.encode(pixels, model="mine", threads=1), threads=1).shape == pixels.shape


def test_installing_again_replaces(model: Path, user: Path) -> None:
    for summary in ("first", "second"):
        change_card(model, summary=summary)
        assert installation.install(model).card.summary == summary
        assert zoo.find("mine").card.summary == summary
    assert len(list(user.iterdir())) == 1
    another_version(model)
    installation.install(model)
    assert len(list(user.iterdir())) == 2


def refused(source: Path, user: Path, match: str, error: type[GlissandoError] = InputError) -> None:
    with pytest.raises(error, match=match):
        installation.install(source)
    assert list(user.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "a/../../evil", "..", "C:\\evil", "a\\b", "a\0b", ".hidden", "a b"]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_leave_the_folder(name: str, kind: str, user: Path, tmp_path: Path) -> None:
    source = tmp_path / f"model.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("x", b"evil")
        # zipfile cleans names that it is given; write the bytes of this one.
        wanted = name.encode()
        content = source.read_bytes()
        fill = b"x" * len(wanted)
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr(fill.decode(), b"evil")
        content = source.read_bytes().replace(fill, wanted)
        source.write_bytes(content)
    else:
        if "\0" in name:
            pytest.skip("a tar archive's names end at a zero byte")
        with tarfile.open(source, "w") as archive:
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"evil"))
    with pytest.raises(InputError):
        installation.install(source)
    assert list(user.iterdir()) == []
    assert not [path for path in tmp_path.rglob("*evil*")]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_tar_archive_of_links_or_devices(kind: bytes, user: Path, tmp_path: Path) -> None:
    source = tmp_path / "model.tar"
    with tarfile.open(source, "w") as archive:
        info = tarfile.TarInfo("card.json")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    refused(source, user, "not a plain file")


def test_a_zip_archive_of_links(user: Path, tmp_path: Path) -> None:
    source = tmp_path / "model.zip"
    with zipfile.ZipFile(source, "w") as archive:
        info = zipfile.ZipInfo("card.json")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refused(source, user, "not a plain file")


def test_a_folder_with_links(model: Path, user: Path) -> None:
    (model / "link").symlink_to("/etc/passwd")
    refused(model, user, "link is not a plain file")


def test_too_much(model: Path, user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "MAX_BYTES", 1 << 20)
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", bytes(1 << 21))
    assert bomb.stat().st_size < 10_000
    refused(bomb, user, "more than 1 MiB")
    monkeypatch.setattr(installation, "MAX_BYTES", 1 << 28)
    monkeypatch.setattr(installation, "MAX_FILES", 3)
    refused(as_zip(model, tmp_path / "model.zip"), user, "more than 3 files")


def test_a_name_twice(user: Path, tmp_path: Path) -> None:
    source = tmp_path / "model.tar"
    with tarfile.open(source, "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("card.json"), io.BytesIO())
    with pytest.raises((InputError, OSError)):
        installation.install(source)
    assert list(user.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04 rubbish", b"\x1f\x8b\x08\x00 rubbish"])
def test_what_is_no_archive(content: bytes, user: Path, tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(content)
    refused(tmp_path / "model.zip", user, "neither a folder nor a zip or tar archive|cannot be read")


def test_a_cut_archive(model: Path, user: Path, tmp_path: Path) -> None:
    for source in (as_zip(model, tmp_path / "model.zip"), as_tar(model, tmp_path / "model.tar.gz")):
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        refused(source, user, "model")


def test_nothing_there(user: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        installation.install(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", user, r"there is no card\.json")


def test_damage_is_noticed_before_the_model_appears(model: Path, user: Path) -> None:
    path = model / "encoders" / "default" / "analysis.onnx.gz"
    path.write_bytes(path.read_bytes()[:-1])
    refused(model, user, r"analysis\.onnx\.gz", ModelMismatchError)


@pytest.mark.parametrize("name", ["", ".", "../mine", "a/b", "-x", "x" * 65])
def test_a_name_that_is_no_folders(name: str, model: Path, user: Path) -> None:
    change_card(model, name=name)
    refused(model, user, "cannot be called", ModelMismatchError)


def test_a_folder_that_cannot_be_written(model: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*names: object) -> None:
        raise OSError(28, "No space left on device")

    replace: Callable[..., None] = os.replace
    monkeypatch.setattr(installation.os, "replace", full)
    result = CliRunner().invoke(app, ["models", "--install", str(model)])
    monkeypatch.setattr(installation.os, "replace", replace)
    assert result.exit_code == 1
    assert result.stderr == "glissando: No space left on device\n"
    assert list(user.iterdir()) == []
