"""Gain units on several base models, at a size that a processor trains in hours.

    python -m benchmarks.gain_units run benchmarks/gain_units.toml OUT [--only TEXT] [--data DIR] [--threads N]
    python -m benchmarks.gain_units report benchmarks/gain_units.toml OUT [docs/gain-units.md]

``run`` trains every row of the TOML file from the start, codes Kodak with it, and writes one JSON file for each row
and seed into OUT (docs/experiments/gain-units for the figures in the document). It leaves alone what is there already
and of the same recipe, so that it can be stopped and started again, or run on several cores beside each other. ``DIR``
($GLISSANDO_DATA) holds ``train`` and ``kodak``. ``report`` brings what is there into the document, and draws the curves
beside it. Needs ``glissando[train,bench]``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..commands import run_trainings
from .recipe import read_plan
from .report import blocks, write
from .study import run


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gain_units",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return run_trainings(
        parser,
        arguments,
        run=lambda given: run(read_plan(given.plan), given.out, given.data, given.only, given.threads),
        markdown=lambda given: "\n\n".join(blocks(read_plan(given.plan), given.out).values()),
        report=lambda given: write(read_plan(given.plan), given.out, given.document),
    )


if __name__ == "__main__":
    sys.exit(main())
