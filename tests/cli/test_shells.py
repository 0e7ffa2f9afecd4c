"""What shells, desktops and ``man`` find of us: the files of ``share/``, and the commands that they call."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

import glissando
from glissando.bitstream.arrays import SIGNATURE as ARRAY_SIGNATURE
from glissando.bitstream.fields import SIGNATURE
from glissando.cli.app import app
from glissando.cli.completion import Shell, script
from glissando.cli.manual import manual

ROOT = Path(__file__).parents[2]
SHARE = ROOT / "share"
SCRIPTS = {
    Shell.bash: "bash-completion/completions/glissando",
    Shell.zsh: "zsh/site-functions/_glissando",
    Shell.fish: "fish/vendor_completions.d/glissando.fish",
}


def run(*args: str) -> Any:
    return CliRunner().invoke(app, list(args), prog_name="glissando")


# Completion --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", list(Shell))
def test_completion_prints_what_is_installed(shell: Shell) -> None:
    result = run("completion", shell.value)
    assert result.exit_code == 0
    assert result.stdout == (SHARE / SCRIPTS[shell]).read_text(encoding="utf-8")  # else: make share


def test_shells_that_are_not_known() -> None:
    assert run("completion", "tcsh").exit_code == 2
    assert run("completion").exit_code == 2


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with a command ``glissando`` that is this package."""
    command = tmp_path / "bin" / "glissando"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m glissando "$@"\n')
    command.chmod(0o755)
    return f"{command.parent}{os.pathsep}{os.environ['PATH']}"


def shell(program: str, *args: str, path: str, home: Path) -> str:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    environment = {
        **os.environ,
        "PATH": path,
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run([program, *args], env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_bash_completes(path: str, tmp_path: Path) -> None:
    ask = (
        "COMP_WORDS=(glissando deco); COMP_CWORD=1; _glissando_completion glissando; echo ${COMPREPLY[@]};"
        "COMP_WORDS=(glissando decode --reg); COMP_CWORD=2; _glissando_completion glissando; echo ${COMPREPLY[@]}"
    )
    code = f"eval {shlex.quote(script(Shell.bash))}; complete -p glissando; {ask}"
    registered, command, option = shell("bash", "--norc", "-c", code, path=path, home=tmp_path).splitlines()
    assert registered == "complete -o default -F _glissando_completion glissando"  # default: files, where we know none
    assert (command, option) == ("decode", "--region")


def test_fish_completes(path: str, tmp_path: Path) -> None:
    (tmp_path / "photo.png").touch()
    code = f"cd {tmp_path}; source {SHARE / SCRIPTS[Shell.fish]}; complete -C 'glissando deco'; " + (
        "complete -C 'glissando encode pho'"
    )
    command, file = shell("fish", "--no-config", "-c", code, path=path, home=tmp_path).splitlines()
    assert command.split()[0] == "decode"
    assert file == "photo.png"


def test_zsh_takes_the_script(path: str, tmp_path: Path) -> None:
    code = f'autoload -Uz compinit; compinit -u -D; eval "$(<{SHARE / SCRIPTS[Shell.zsh]})"; echo $_comps[glissando]'
    assert shell("zsh", "-f", "-c", code, path=path, home=tmp_path) == "_glissando_completion\n"


# The manual page ---------------------------------------------------------------------------------------


def test_the_manual_is_that_of_the_commands() -> None:
    assert (SHARE / "man/man1/glissando.1").read_text(encoding="utf-8") == manual()  # else: make share


def test_what_the_manual_says() -> None:
    page = manual()
    for expected in (".SS glissando encode [options] IN... OUT\n", r"\-q, \-\-quality", ".SS glissando array decode"):
        assert expected in page
    assert "thumbnail" not in page  # which desktops call, and nobody else
    assert not re.search(r"(?m)^\.(?!TH|SH|SS|TP|PP|B\b|BR|I\b|nf|fi|RS|RE)", page)
    if shutil.which("groff") is not None:
        done = subprocess.run(
            ["groff", "-k", "-man", "-Tutf8", "-ww"], input=page.encode(), capture_output=True, check=True
        )
        assert done.stderr == b""


# Desktops ----------------------------------------------------------------------------------------------


def unescaped(text: str) -> bytes:
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def test_the_mime_types_are_those_of_the_formats() -> None:
    names = {"m": "http://www.freedesktop.org/standards/shared-mime-info"}
    kinds = ElementTree.parse(SHARE / "mime/packages/glissando.xml").getroot().findall("m:mime-type", names)
    found = {}
    for kind in kinds:
        (match,) = kind.findall("m:magic/m:match", names)
        (glob,) = kind.findall("m:glob", names)
        assert (match.get("type"), match.get("offset")) == ("string", "0")
        found[kind.get("type")] = glob.get("pattern"), unescaped(match.get("value") or "")
    assert found == {
        "image/vnd.glissando": ("*.gliss", SIGNATURE),
        "application/vnd.glissando.array": ("*.glissa", ARRAY_SIGNATURE),
    }
    for page, kind in (("format.md", "image/vnd.glissando"), ("array-format.md", "application/vnd.glissando.array")):
        assert f"MIME type `{kind}`" in (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert import_module("glissando.pillow").MIME_TYPE in found


def test_the_thumbnailer(tmp_path: Path) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(SHARE / "thumbnailers/glissando.thumbnailer")
    entry = parser["Thumbnailer Entry"]
    assert entry["MimeType"] == "image/vnd.glissando;"
    out = tmp_path / "made by the desktop"
    out.touch()
    given = {"%i": str(ROOT / "tests/golden/lossless.gliss"), "%o": str(out), "%s": "32"}
    program, *args = [given.get(word, word) for word in shlex.split(entry["Exec"])]
    assert program == entry["TryExec"] == "glissando"
    inode = out.stat().st_ino
    assert run(*args).exit_code == 0
    assert out.stat().st_ino == inode
    with Image.open(out) as small:
        assert (small.format, small.size, small.mode) == ("PNG", (32, 27), "RGB")


def test_thumbnails_of_deep_and_of_damaged_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    (tmp_path / "deep.gliss").write_bytes(glissando.encode(np.full((40, 60), 40000, np.uint16), lossless=True))
    assert run("thumbnail", "--size", "30", str(tmp_path / "deep.gliss"), str(tmp_path / "a.png")).exit_code == 0
    with Image.open(tmp_path / "a.png") as small:
        assert (small.mode, small.size, small.getpixel((3, 3))) == ("L", (30, 20), round(40000 / 257))
    (tmp_path / "cut.gliss").write_bytes((tmp_path / "deep.gliss").read_bytes()[:-3])
    for name, words, limit in (("cut", "bytes", None), ("none", "No such file", None), ("deep", "exceeds limit", 1000)):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        result = run("thumbnail", str(tmp_path / f"{name}.gliss"), str(tmp_path / "b.png"))
        assert result.exit_code == 1
        assert result.stderr.startswith("glissando: ")
        assert words in result.stderr
        assert not (tmp_path / "b.png").exists()


# The package -------------------------------------------------------------------------------------------


def test_the_wheel(tmp_path: Path) -> None:
    wheel_of = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    (path,) = wheel_of.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        text = wheel.read(points).decode()
    for name in ("py.typed", "diagnosis.json", "pillow.py", "chunks/zarr.py", "zoo/medium/card.json"):
        assert f"glissando/{name}" in names
    shared = {name.split(".data/data/")[1] for name in names if ".data/data/" in name}
    assert shared == {str(file.relative_to(ROOT)) for file in SHARE.rglob("*") if file.is_file()}
    for group in ("console_scripts", "zarr.codecs", "numcodecs.codecs"):
        assert f"[{group}]" in text
    assert not [name for name in names if name.startswith("tests")]


def test_the_source_distribution(tmp_path: Path) -> None:
    sdist_of = pytest.importorskip("hatchling.builders.sdist", reason="hatchling is not installed")
    (path,) = sdist_of.SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames()}
    for name in ("pyproject.toml", "LICENSE", "src/glissando/zoo/medium/card.json", "share/man/man1/glissando.1"):
        assert name in names
