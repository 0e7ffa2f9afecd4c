"""Programs of other makers: run with a limit on their time, and asked for their version."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glissando.errors import BenchmarkError

__all__ = ["LIMIT_S", "ppm_file", "program_version", "run_program"]

LIMIT_S = 900.0
"""Seconds after which a program is given up."""


def run_program(command: Sequence[str], data: bytes = b"") -> bytes:
    """What a program wrote to its standard output, given ``data`` on its standard input.

    Raises BenchmarkError with the last line of its complaint where it fails, and where it cannot be run or takes longer
    than LIMIT_S.
    """
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{command[0]} took longer than {LIMIT_S:g} s") from error
    except OSError as error:
        raise BenchmarkError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).decode(errors="replace").splitlines()
        raise BenchmarkError(f"{command[0]} failed: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout


def program_version(*command: str) -> str:
    """What a program says of its version; some exit with an error after telling it."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return "of unknown version"
    told = (done.stdout + done.stderr).decode(errors="replace")
    found = re.search(r"(?:\bversion:?\s+|\bv(?=\d))(\S+)", told, re.IGNORECASE)
    return found[1].rstrip(",") if found else "of unknown version"


def ppm_file(pixels: NDArray[np.uint8]) -> bytes:
    """8-bit RGB of shape (height, width, 3) as a PPM file, which most programs read."""
    height, width, _ = pixels.shape
    return f"P6 {width} {height} 255\n".encode() + pixels.tobytes()
