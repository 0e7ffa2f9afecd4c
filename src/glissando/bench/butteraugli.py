"""Butteraugli, by libjxl's own program ``butteraugli_main``, where that is found on PATH."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glissando.errors import BenchmarkError, CodecUnavailableError

from .programs import ppm_file, program_version, run_program

__all__ = ["butteraugli", "butteraugli_db", "butteraugli_source"]

Pixels = NDArray[np.uint8]
"""RGB, (height, width, 3), 0…255."""

_PROGRAM = "butteraugli_main"


def _check_found() -> None:
    """Raises CodecUnavailableError without the program."""
    if shutil.which(_PROGRAM) is None:
        raise CodecUnavailableError(
            f"the metric butteraugli needs {_PROGRAM}, not found on PATH; see https://github.com/libjxl/libjxl, "
            "or apt-get install libjxl-devtools"
        )


def butteraugli(original: Pixels, decoded: Pixels) -> float:
    """Butteraugli's distance of two pictures with both sides above 7: 0 is equal, and below 1 hardly seen.

    The mean over the picture is that of 3-norms, as libjxl's own comparisons have it, on a screen of 80 nits. Raises
    CodecUnavailableError without the program, BenchmarkError where it fails.
    """
    _check_found()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("original.ppm", "decoded.ppm")]
        for file, pixels in zip(files, (original, decoded), strict=True):
            file.write_bytes(ppm_file(pixels))
        told = run_program((_PROGRAM, *map(str, files), "--pnorm", "3")).decode(errors="replace")
    found = re.search(r"^3-norm: *([\d.]+(?:e[-+]?\d+)?)\s*$", told, re.MULTILINE)
    if found is None:
        raise BenchmarkError(f"{_PROGRAM} told no 3-norm: {told.strip()!r}")
    return float(found[1])


def butteraugli_db(original: Pixels, decoded: Pixels) -> float:
    """Butteraugli's distance as −20 log10, in dB: 0 where it is 1, 6 where it is half of that; inf where it is 0."""
    distance = butteraugli(original, decoded)
    return -20.0 * math.log10(distance) if distance > 0.0 else math.inf


def butteraugli_source() -> str:
    """How it was measured. Raises CodecUnavailableError without the program."""
    _check_found()
    # butteraugli_main does not tell its version. benchmark_xl, which libjxl's build makes beside it, begins with it.
    return f"-20 log10(3-norm of Butteraugli's distance), 80 nits; libjxl {program_version('benchmark_xl')}"
