from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import typer

import glissando
from glissando.cli.app import app


def test_info(invoke, photo):
    photo("a.png", icc_profile=b"profile")
    invoke("encode", "a.png", "a.gliss", "-q", "42.5")
    result = invoke("info", "a.gliss")
    assert result.exit_code == 0
    for expected in (
        "20 x 10, 8-bit RGB",
        "42.5",
        "medium (c0ffee00c0ffee00)",
        "hyper-latents",
        "icc (7 bytes)",
        "bpp",
    ):
        assert expected in result.stdout
    found = json.loads(invoke("info", "a.gliss", "--json").stdout)
    assert (found["width"], found["height"], found["quality"]) == (20, 10, 42.5)
    assert found["bpp"] == pytest.approx(8 * found["file_bytes"] / 200)
    assert found["file"] == "a.gliss"
    assert json.loads(invoke("info", "-", "--json", input=Path("a.gliss").read_bytes()).stdout)["width"] == 20


def test_info_of_what_is_not_one(invoke, photo):
    photo("a.png")
    result = invoke("info", "a.png")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "glissando: a.png: not a Glissando file\n"
    result = invoke("info", "none.gliss")
    assert result.exit_code == 1
    assert result.stderr == "glissando: none.gliss: No such file or directory\n"
    assert invoke("info").exit_code == 2


def test_models(invoke):
    result = invoke("models")
    assert result.exit_code == 0
    assert "medium  (c0ffee00, 2026-01-02)" in result.stdout
    assert "5.00 M parameters, 10.0 MB, 11.5 kMAC per pixel" in result.stdout
    assert "encoder default: 20.0 kMAC per pixel (used unless the effort takes another)" in result.stdout
    assert "encoder slow: 99.5 kMAC per pixel (at efforts 5 to 10)\n" in result.stdout
    (card,) = json.loads(invoke("models", "--json").stdout)
    assert card["name"] == "medium"
    assert card["encoders"]["slow"]["kmac_per_pixel"] == 99.5


def _training(monkeypatch, present=True):
    calls = []
    module = types.ModuleType("glissando.training")
    module.run = lambda recipe, **options: calls.append((recipe, options)) or Path("runs/last.pt")
    module.export = module.export_encoder = lambda *args, **options: calls.append((*args, options)) or args[1]
    for name in ("glissando.training", "glissando.training.export"):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(glissando, "training", module, raising=False)
    find = importlib.util.find_spec
    spec = object() if present else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: spec if name == "torch" else find(name, *a))
    return calls


def test_training_resumes_from_a_models_folder(invoke, monkeypatch):
    calls = _training(monkeypatch)
    Path("r.toml").write_text("")
    Path("model").mkdir()
    assert invoke("train", "r.toml", "--resume", "model").exit_code == 0
    assert "model" in str(calls)
    assert invoke("train", "r.toml", "--resume", "missing").exit_code == 2


def test_train_and_export(invoke, monkeypatch):
    calls = _training(monkeypatch)
    Path("r.toml").write_text("")
    Path("last.pt").write_text("")
    Path("tiles").mkdir()
    places = ("--data", "tiles", "--out", "o", "--resume", "last.pt")
    result = invoke("train", "r.toml", *places, "--minutes", "1.5", "--set", "data.batch=4", "--set", "name=x")
    assert result.exit_code == 0, result.output
    options = {
        "data": Path("tiles"),
        "out": Path("o"),
        "resume": Path("last.pt"),
        "minutes": 1.5,
        "threads": None,
        "settings": ("data.batch=4", "name=x"),
    }
    assert calls.pop() == (Path("r.toml"), options)
    fitted = []
    monkeypatch.setattr("glissando.cli.export._fit_small_pictures", lambda *given: fitted.append(given))
    assert invoke("export", "last.pt", "model").exit_code == 0
    assert calls.pop() == (Path("last.pt"), Path("model"), {"data": None})
    assert fitted == [(Path("model"), None)]
    result = invoke("export", "last.pt", "model", "--encoder", "fast", "--efforts", "0-2")
    assert result.exit_code == 0, result.output
    assert calls.pop() == (Path("last.pt"), Path("model"), "fast", (0, 2), None, {})
    assert len(fitted) == 1  # the decoder has not changed
    assert invoke("export", "last.pt", "model", "--encoder", "fast").exit_code == 0
    assert calls.pop() == (Path("last.pt"), Path("model"), "fast", (), None, {})
    for wrong in (
        ("--efforts", "0-2"),
        ("--encoder", "fast", "--efforts", "2"),
        ("--encoder", "x", "--efforts", "a-b"),
    ):
        assert invoke("export", "last.pt", "model", *wrong).exit_code == 2
    assert invoke("train", "none.toml").exit_code == 2
    assert invoke("export", "last.pt").exit_code == 2


def test_training_without_torch(invoke, monkeypatch):
    calls = _training(monkeypatch, present=False)
    Path("r.toml").write_text("")
    for args in (("train", "r.toml"), ("export", "r.toml", "out")):
        result = invoke(*args)
        assert result.exit_code == 1
        assert 'pip install "glissando[train]"' in result.stderr
    assert not calls


def test_help_teaches_by_example(invoke):
    for command in ("encode", "decode", "info", "models", "train", "export"):
        result = invoke(command, "--help")
        assert result.exit_code == 0
        assert f"  glissando {command}" in result.stdout
    assert "Exit codes: 0" in invoke("--help").stdout
    assert invoke("nonsense").exit_code == 2


@pytest.mark.parametrize(
    "name",
    [
        "encode",
        "decode",
        "info",
        "meta",
        "models",
        "bench",
        "export",
        "checkpoint",
        "train",
        "array encode",
        "array decode",
    ],
)
def test_every_option_has_an_example(name):
    command = typer.main.get_command(app)
    for part in name.split():
        command = command.commands[part]
    for parameter in command.params:
        given = [option for option in (*parameter.opts, *parameter.secondary_opts) if option.startswith("-")]
        shown = [option for option in given if re.search(rf"(?<![\w-]){option}(?![\w-])", command.epilog)]
        assert shown or not given, given


def test_version(invoke):
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, f"glissando {glissando.__version__}\n")


def test_python_dash_m_and_light_imports():
    code = (
        "import sys, runpy; sys.argv = ['glissando', '--version']\n"
        "try: runpy.run_module('glissando', run_name='__main__')\n"
        "except SystemExit as e: assert not e.code\n"
        "import glissando.cli.app\n"
        "heavy = {'numpy', 'torch', 'openvino', 'onnxruntime', 'constriction', 'PIL', 'rich.progress'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert process.stdout == f"glissando {glissando.__version__}\n[]\n", process.stderr
