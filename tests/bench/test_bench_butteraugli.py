"""Butteraugli by libjxl's program: what it tells is read rightly, and what it cannot do is an error that says so."""

from __future__ import annotations

import io
import math
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from glissando.bench.butteraugli import butteraugli, butteraugli_db
from glissando.bench.metrics import CAP_DB, describe, score
from glissando.errors import BenchmarkError, CodecUnavailableError

Pixels = NDArray[np.uint8]

needs_program = pytest.mark.skipif(
    shutil.which("butteraugli_main") is None, reason="needs butteraugli_main: apt-get install libjxl-devtools"
)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Makes a Python script the only program on PATH of its name."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, body: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nimport sys\nargs = sys.argv[1:]\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return write


def jpeg(picture: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@needs_program
def test_it_tells_equal_pictures_from_others(natural: Callable[..., Pixels]) -> None:
    picture = natural(64, 48)
    assert butteraugli(picture, picture) == 0.0
    assert butteraugli_db(picture, picture) == math.inf
    assert score(["butteraugli"], picture, picture.copy()) == {"butteraugli": CAP_DB}
    distances = [butteraugli(picture, jpeg(picture, quality)) for quality in (98, 80, 40, 10)]
    assert distances == sorted(set(distances))
    assert 0 < distances[0] < 1 < distances[-1]


@needs_program
def test_a_step_that_nobody_sees_is_below_1(natural: Callable[..., Pixels]) -> None:
    """One level of one channel everywhere; twenty levels are seen at once."""
    grey = np.full((64, 64, 3), 128, np.uint8)
    grey[16:48, 16:48] = 140
    distances = []
    for step in (1, 20):
        changed = grey.copy()
        changed[20:40, 20:40, 1] += np.uint8(step)
        distances.append(butteraugli(grey, changed))
    assert distances[0] < 1 < distances[1]


def test_what_the_program_tells_becomes_decibels(
    program: Callable[[str, str], None], natural: Callable[..., Pixels]
) -> None:
    """The stand-in reads both pictures, and calls the mean difference of their samples the distance."""
    program(
        "butteraugli_main",
        """
assert args[2:] == ["--pnorm", "3"]
import numpy as np
from PIL import Image
first, second = (np.asarray(Image.open(name)).astype(float) for name in args[:2])
print("No color_space given, assuming sRGB", file=sys.stderr)
print(f"{7.0:.10f}\\n3-norm: {abs(first - second).mean():f}")
""",
    )
    program("benchmark_xl", 'print("benchmark_xl v0.11.1 [AVX2,SSE4]"); sys.exit(1)')
    picture = np.clip(natural(20, 31), 0, 250)
    assert butteraugli(picture, picture + np.uint8(2)) == 2.0
    assert score(["butteraugli"], picture, picture + np.uint8(4))["butteraugli"] == pytest.approx(-12.041, abs=1e-3)
    record = describe("butteraugli")
    assert (record.label, record.unit) == ("Butteraugli, 3-norm", "dB")
    assert record.source.endswith("80 nits; libjxl 0.11.1")


def test_a_program_that_says_something_else(
    program: Callable[[str, str], None], natural: Callable[..., Pixels]
) -> None:
    picture = natural(16, 16)
    program("butteraugli_main", 'print("1.5")')
    with pytest.raises(BenchmarkError, match=r"butteraugli_main told no 3-norm: '1\.5'"):
        butteraugli(picture, picture)
    program("butteraugli_main", 'print("Height mismatch: 512 511", file=sys.stderr); sys.exit(1)')
    with pytest.raises(BenchmarkError, match="butteraugli_main failed: Height mismatch"):
        butteraugli(picture, picture)


def test_too_small(program: Callable[[str, str], None]) -> None:
    """The program would call any two such pictures equal."""
    program("butteraugli_main", 'print("0\\n3-norm: 0.0")')
    black, white = np.zeros((40, 7, 3), np.uint8), np.full((40, 7, 3), 255, np.uint8)
    with pytest.raises(BenchmarkError, match="picture is 7x40; Butteraugli needs both sides above 7"):
        score(["butteraugli"], black, white)


def test_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, natural: Callable[..., Pixels]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    picture = natural(16, 16)
    for ask in (lambda: describe("butteraugli"), lambda: score(["butteraugli"], picture, picture)):
        with pytest.raises(CodecUnavailableError, match="butteraugli_main, not found on PATH; see https://"):
            ask()
