"""The command line that studies share: ``measure`` writes a JSON file, ``report`` brings its tables into Markdown."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from glissando.errors import GlissandoError
from glissando.files import atomic_write

__all__ = ["run_study"]

Results = dict[str, Any]


def run_study(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    *,
    options: Callable[[argparse.ArgumentParser], None],
    measure: Callable[[argparse.Namespace], Results],
    markdown: Callable[[Results], str],
    report: Callable[[Results, list[Path]], None],
    documents: dict[str, Any],
) -> int:
    """Parse and do; 0 where it did what was asked, 1 after one line about what went wrong.

    ``options`` adds those of ``measure`` alone; ``documents``: how many ``report`` takes, as ``add_argument`` has it.
    """
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("measure", help="everything, into a JSON file")
    options(one)
    one.add_argument("--pictures", type=int, metavar="N", help="only N pictures, spread over the set")
    one.add_argument("--json", type=Path, required=True)
    two = actions.add_parser("report", help="the tables, between the markers of Markdown files")
    two.add_argument("results", type=Path)
    two.add_argument("documents", type=Path, **documents)
    given = parser.parse_args(arguments)
    try:
        if given.action == "measure":
            results = measure(given)
            atomic_write(given.json, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
            print(markdown(results))
        else:
            report(json.loads(given.results.read_text(encoding="utf-8")), given.documents)
    except (OSError, ValueError, KeyError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0
