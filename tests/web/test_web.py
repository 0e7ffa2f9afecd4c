"""The decoder for browsers and Node in ``web/``: its own tests, and the models that the command line writes for it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

import glissando
from glissando import zoo
from glissando.cli.app import app
from glissando.codec.engine import Engine
from glissando.errors import ModelMismatchError
from glissando.zoo.web import FAMILIES, write_for_web

WEB = Path(__file__).parents[2] / "web"
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH")


@pytest.fixture
def node() -> str:
    if not (WEB / "package.json").exists():
        pytest.skip("web/ is not part of this distribution")
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node is not installed")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"Node {version.strip()} is too old, version 20 is needed")
    return found


@pytest.fixture
def web(tmp_path: Path) -> Mapping[str, Path]:
    """The folder of each model by its name, as the command writes them."""
    result = CliRunner().invoke(app, ["models", "--web", str(tmp_path / "models")])
    assert result.exit_code == 0, result.output
    folders = {}
    for card in glissando.list_models():
        folders[card.name] = tmp_path / "models" / card.hash
        told = f"{card.name}: {folders[card.name]}"
        if card.family not in FAMILIES:
            told += f", the card alone: browsers do not decode {card.family}"
        assert told in result.output
    return folders


def test_a_browser_gets_what_it_decodes_with(web: Mapping[str, Path]) -> None:
    card = json.loads((web["medium"] / "card.json").read_text())
    assert (card["name"], card["hash"], card["family"]) == ("medium", web["medium"].name, "gains")
    with Engine(zoo.find("medium")) as engine:
        assert card["halo"] == engine.halo
    assert sorted(card["files"]) == ["decode.onnx", "decoder.npz", "integers.npz"]
    for name, checksum in card["files"].items():
        assert zoo.model.checksum((web["medium"] / name).read_bytes()) == checksum
    # Of a family that browsers do not decode the card alone tells which it is.
    assert [path.name for path in web["vae"].iterdir()] == ["card.json"]
    assert json.loads((web["vae"] / "card.json").read_text())["files"] == {}


def test_the_command_goes_with_no_other_option(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["models", "--web", str(tmp_path), "--json"])
    assert result.exit_code == 2
    assert "no other option" in result.output
    assert not any(tmp_path.iterdir())


def test_a_damaged_model_is_not_written(tmp_path: Path) -> None:
    original = zoo.find("medium").folder
    shutil.copytree(original, tmp_path / "damaged", ignore=shutil.ignore_patterns("encoders"))
    content = bytearray((original / "decoder.npz").read_bytes())
    content[1000] ^= 1
    (tmp_path / "damaged" / "decoder.npz").write_bytes(content)
    with pytest.raises(ModelMismatchError, match=r"decoder\.npz"):
        write_for_web(zoo.find(tmp_path / "damaged"), tmp_path / "web")
    assert not (tmp_path / "web").exists()


def test_the_tests_of_the_package_have_the_same_models(node: str, web: Mapping[str, Path], tmp_path: Path) -> None:
    """They make them without Python, so that they run from a checkout with Node alone."""
    script = f"import {{ webModels }} from {json.dumps((WEB / 'test/golden.mjs').as_uri())}; webModels(process.argv[1])"
    subprocess.run([node, "--input-type=module", "-e", script, str(tmp_path / "theirs")], check=True, timeout=60)
    for folder in web.values():
        theirs = tmp_path / "theirs" / folder.name
        assert sorted(path.name for path in theirs.iterdir()) == sorted(path.name for path in folder.iterdir())
        for path in folder.iterdir():
            found = (theirs / path.name).read_bytes()
            if path.name == "card.json":
                assert json.loads(found) == json.loads(path.read_bytes())
            else:
                assert found == path.read_bytes()


def test_the_package_builds_and_passes_its_tests(node: str) -> None:
    """``npm ci && npm test``, as web/README.md says; what is installed already is not installed again."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    installed = WEB / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (WEB / "package-lock.json").stat().st_mtime:
        done = subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund"], cwd=WEB, capture_output=True, text=True, timeout=300
        )
        if done.returncode and UNREACHABLE.search(done.stderr):
            pytest.skip("the registry of npm packages cannot be reached")
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run([npm, "test"], cwd=WEB, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_no_package_is_tied_to_a_registry(node: str) -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert len(packages) > 10
    for name, package in packages.items():
        assert package.get("resolved", "https://registry.npmjs.org/").startswith("https://registry.npmjs.org/"), name
