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
from pathlib import Path

from glissando.errors import GlissandoError

from .recipe import read_plan
from .report import blocks, write
from .study import run


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gain_units",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("run", help="train and measure what is not yet there")
    two = actions.add_parser("report", help="print the tables, or bring them into a Markdown file")
    for action in (one, two):
        action.add_argument("plan", type=Path)
        action.add_argument("out", type=Path)
    one.add_argument("--only", default="", metavar="TEXT", help="only rows whose group or name holds this")
    one.add_argument("--threads", type=int, default=1)
    one.add_argument("--data", type=Path, help="folder with kodak and train (default: $GLISSANDO_DATA)")
    two.add_argument("document", type=Path, nargs="?")
    given = parser.parse_args(arguments)
    try:
        plan = read_plan(given.plan)
        if given.action == "run":
            run(plan, given.out, given.data, given.only, given.threads)
        elif given.document:
            write(plan, given.out, given.document)
        else:
            print("\n\n".join(blocks(plan, given.out).values()))
    except (OSError, ValueError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
