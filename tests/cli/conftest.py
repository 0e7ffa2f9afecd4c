from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import glissando

sys.path.insert(0, str(Path(__file__).parent))
import fake_codec

Invoke = Callable[..., Any]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """Run a command in this process, in an empty folder, with the fake codec."""
    for name, function in fake_codec.NAMES.items():
        monkeypatch.setattr(glissando, name, function, raising=False)
    monkeypatch.setenv("GLISSANDO_DEBUG", "0")
    monkeypatch.chdir(tmp_path)
    from glissando.cli.app import app

    def run(*args: object, input: bytes | None = None) -> Any:
        return CliRunner().invoke(app, [str(a) for a in args], input=input, prog_name="glissando")

    return run


@pytest.fixture
def spawn(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """The same in a process of its own."""
    code = "import fake_codec; fake_codec.install(); from glissando.cli import main; main()"
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])

    def run(*args: str, code: str = code, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *args],
            stdin=options.pop("stdin", subprocess.PIPE),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "GLISSANDO_DEBUG": "0", **options.pop("env", {})},
            **options,
        )

    return run


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., np.ndarray]:
    """Write a small picture and return its pixels."""

    def make(name: str, width: int = 20, height: int = 10, mode: str = "RGB", **save: Any) -> np.ndarray:
        shape = (height, width, len(mode)) if len(mode) > 1 else (height, width)
        pixels = np.random.default_rng(len(name)).integers(0, 255, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name, **save)
        return pixels

    return make
