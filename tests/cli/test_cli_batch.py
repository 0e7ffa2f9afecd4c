"""``glissando batch``: its options, what it tells, and Ctrl-C. What a batch does is tested beside ``batches``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import glissando
from glissando.cli.app import app


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLISSANDO_DEBUG", "0")
    os.makedirs("photos/sub")
    return tmp_path


def photos(number: int) -> None:
    for each in range(number):
        pixels = np.random.default_rng(each).integers(0, 255, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{'sub/' if each % 2 else ''}{each}.png")


def batch(*args: str) -> Any:
    return CliRunner().invoke(app, ["batch", *args], prog_name="glissando")


def outputs(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.gliss"))


def test_a_batch_and_its_report() -> None:
    photos(3)
    Path("photos/bad.png").write_bytes(b"no picture")
    Path("photos/list.txt").write_text("none")
    result = batch("photos", "small", "--lossless", "-j", "1", "--report", "done.json", "-v")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert "glissando: bad.png: not a picture in a format that can be read" in lines
    size = os.path.getsize("small/sub/1.gliss")
    assert f"sub/1.png -> sub/1.gliss: {size:,} bytes, made" in lines
    assert "3 made, 1 failed, 1 other files passed over" in lines
    assert outputs("small") == ["0.gliss", "2.gliss", "sub/1.gliss"]
    report = json.loads(Path("done.json").read_text())
    assert (report["made"], report["failed"], report["passed_over"], report["pixels"]) == (3, 1, 1, 360)
    assert report["bytes_out"] == sum(os.path.getsize(f"small/{name}") for name in outputs("small"))
    assert report["failures"] == [
        {"name": "bad.png", "error": "not a picture in a format that can be read", "before": False}
    ]
    result = batch("photos", "small", "--lossless", "--json", "--quiet")
    assert result.exit_code == 1  # what failed is still not there
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert (report["known"], report["failed_before"], report["made"]) == (3, 1, 0)
    os.remove("photos/bad.png")
    result = batch("photos", "small", "--lossless")
    assert (result.exit_code, result.stderr) == (0, "3 done before, 1 other files passed over\n")


def test_options_reach_the_files() -> None:
    photos(1)
    assert batch("photos", "a", "-q", "33", "-j", "1", "--tune", "psnr").exit_code == 0
    info = glissando.probe("a/0.gliss")
    assert (info.quality, info.model) == (33, "medium-psnr")
    named = batch("photos", "b", "--target-size", "300", "-j", "1", "--name", "{stem}-{ext}.gliss", "--manifest", "m")
    assert named.exit_code == 0
    assert outputs("b") == ["0-png.gliss"]
    assert os.path.getsize("b/0-png.gliss") <= 300
    assert sorted(os.listdir("b")) == ["0-png.gliss"]
    assert os.path.exists("m")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("none", "small"), 1, "none: No such file or directory"),
        (("photos/list.txt", "small"), 1, "Not a directory"),
        (("photos", "small", "-q", "101"), 2, "--quality"),
        (("photos", "small", "-q", "50", "--target-size", "1kB"), 2, "leave --quality out"),
        (("photos", "small", "--lossless", "--alpha-quality", "50"), 2, "--lossless does not"),
        (("photos", "small", "--model", "unknown"), 2, "--model"),
        (("photos", "small", "--name", "{x}"), 2, "no field {x}"),
        (("photos", "small", "--name", "{stem}.png"), 1, "named like pictures"),
        (("photos", "small", "--address", "auto"), 2, "--engine ray"),
        (("photos", "small", "--engine", "slurm"), 2, "--engine"),
        (("nonsense://x", "small"), 1, "nonsense"),
    ],
)
def test_wrong_usage(args: tuple[str, ...], code: int, message: str) -> None:
    Path("photos/list.txt").write_text("none")
    result = batch(*args)
    assert result.exit_code == code, result.stderr
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = batch("photos", "small", "--engine", "ray")
    assert result.exit_code == 1
    assert "pip install 'glissando[ray]'" in result.stderr


def test_ctrl_c_ends_what_is_begun(folder: Path) -> None:
    photos(60)
    command = [sys.executable, "-m", "glissando", "batch", "photos", "small", "--lossless", "-j", "2", "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    patience = time.monotonic() + 60
    while process.poll() is None and len(outputs("small")) < 5 and time.monotonic() < patience:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    report = json.loads(stdout)
    assert report["interrupted"]
    assert report["deaths"] == report["failed"] == 0
    assert 5 <= report["made"] == len(outputs("small")) < 60
    assert stderr.splitlines()[-1] == "glissando: interrupted; the same command goes on from here"
    assert "Traceback" not in stderr
    again = json.loads(batch("photos", "small", "--lossless", "-j", "1", "--json").stdout)
    assert (again["known"], again["made"]) == (report["made"], 60 - report["made"])
