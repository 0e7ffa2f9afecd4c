"""What the package costs before it has done anything: a cold start, and room on the disk."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from glissando.errors import BenchmarkError

from .claim import Claim

__all__ = ["Cold", "Size", "cold_claims", "measure_cold", "measure_size", "package_folder", "size_claims"]


@dataclass(frozen=True)
class Cold:
    """Wall time, s, of ``glissando decode`` of one picture, a new process each time."""

    seconds: list[float]
    median_s: float
    picture: str
    quality: float


@dataclass(frozen=True)
class Size:
    """Bytes on disk of the package, without what it depends on and without compiled ``__pycache__``."""

    total: int
    by_suffix: dict[str, int]


def package_folder(name: str = "glissando") -> Path:
    """Where the package lies, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise BenchmarkError(f"the package {name} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def measure_size(folder: Path) -> Size:
    """Sum of the files' lengths below `folder`."""
    by_suffix: dict[str, int] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            suffix = path.suffix or path.name
            by_suffix[suffix] = by_suffix.get(suffix, 0) + path.stat().st_size
    return Size(sum(by_suffix.values()), dict(sorted(by_suffix.items(), key=lambda item: -item[1])))


def measure_cold(
    data: bytes, picture: str, quality: float, *, runs: int = 5, command: Sequence[str] | None = None
) -> Cold:
    """Decode the file `data` to a PNG in `runs` new processes, one after the other."""
    command = command or [sys.executable, "-m", "glissando", "decode"]
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "picture.gliss")
        source.write_bytes(data)
        for run in range(runs):
            target = Path(folder, f"picture-{run}.png")
            start = time.perf_counter()
            child = subprocess.run(
                [*command, str(source), str(target)],
                env=_child_environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            seconds.append(time.perf_counter() - start)
            if child.returncode != 0 or not target.is_file():
                reason = (child.stderr.strip() or child.stdout.strip() or "no picture was written").splitlines()[-1]
                raise BenchmarkError(f"`glissando decode` failed (exit code {child.returncode}): {reason}")
    return Cold(seconds, median(seconds), picture, quality)


def _child_environment() -> dict[str, str]:
    """This process's environment, with what it imports from also importable by a child process."""
    path = [str(Path(__file__).resolve().parents[1]), *(p for p in sys.path if p)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}


def cold_claims(cold: Cold) -> list[Claim]:
    """The time of a cold start."""
    note = f"median of {len(cold.seconds)}, first {cold.seconds[0]:.2f} s"
    note = f"{note}; {cold.picture} at quality {cold.quality:g}"
    what = "`glissando decode` of one picture, cold process"
    return [Claim(what, cold.median_s, "s", 2.0, 0.7, digits=2, note=note)]


def size_claims(size: Size) -> list[Claim]:
    """Room on the disk; 1 MB is 10⁶ bytes."""
    largest = ", ".join(f"{suffix} {count / 1e6:.2f}" for suffix, count in list(size.by_suffix.items())[:3])
    what = "installed package with weights, without dependencies"
    return [Claim(what, size.total / 1e6, "MB", 25.0, 12.0, digits=2, note=largest)]
