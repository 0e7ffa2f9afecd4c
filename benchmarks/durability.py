"""What is left of `glissando encode` when it is killed: whole files, and nothing that the next run does not clear.

``python -m benchmarks.durability --moments 100`` kills as many runs over one folder, each a little later than the one
before, and looks at the folder after each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from glissando.files import clear_litter

__all__ = ["Outcome", "main", "measure"]

PICTURES = 100


@dataclass
class Outcome:
    """What many killed runs left."""

    killed: int = 0
    """Runs that did not come to their end."""
    whole: int = 0
    """Files that had their names after them, all of them whole."""
    half: int = 0
    """Files that had their names and another content than a run that is not killed gives them."""
    cleared: int = 0
    """Temporary files that the next run clears."""
    litter: int = 0
    """Other files, which it does not clear."""


def measure(folder: Path, moments: int, pictures: int = PICTURES) -> Outcome:
    """Kill `moments` runs over small pictures, spread over the time that a whole run takes, in an empty folder."""
    sources, out, expected = folder / "in", folder / "out", folder / "expected"
    sources.mkdir()
    for number in range(pictures):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(sources / f"{number}.png")
    started = time.perf_counter()
    _start(sources, expected).wait()
    duration = time.perf_counter() - started
    right = {path.name: path.read_bytes() for path in expected.iterdir()}
    found = Outcome()
    for moment in range(moments):
        process = _start(sources, out)
        try:
            process.wait(duration * (moment + 1) / moments)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            found.killed += 1
        out.mkdir(exist_ok=True)  # the run may not have come so far
        before = len(list(out.iterdir()))
        clear_litter(out)  # as the next run does
        left = list(out.iterdir())
        found.cleared += before - len(left)
        for path in left:
            if path.name not in right:
                found.litter += 1
            elif path.read_bytes() == right[path.name]:
                found.whole += 1
            else:
                found.half += 1
            path.unlink()
    return found


def _start(sources: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "glissando", "encode", str(sources), f"{out}/", "--lossless", "--quiet"]
    return subprocess.Popen(command)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code, 1 where something was left that should not be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durability", description=__doc__)
    parser.add_argument("--moments", type=int, default=100, help="runs to kill")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.moments)
    print(
        f"{found.killed} of {given.moments} runs were killed; they left {found.whole} whole files, {found.half} other "
        f"ones, {found.cleared} temporary files that the next run clears, and {found.litter} that it does not"
    )
    return 1 if found.half or found.litter else 0


if __name__ == "__main__":
    sys.exit(main())
