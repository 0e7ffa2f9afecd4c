"""The command lines that studies share.

``run_study``: ``measure`` writes a JSON file, ``report`` brings its tables into Markdown. ``run_trainings``: ``run``
trains what a plan names and is not there yet, ``report`` brings what is there into Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from glissando.errors import GlissandoError
from glissando.files import atomic_write

__all__ = ["run_study", "run_trainings"]

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


def run_trainings(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    *,
    run: Callable[[argparse.Namespace], None],
    markdown: Callable[[argparse.Namespace], str],
    report: Callable[[argparse.Namespace], None],
    options: Callable[[argparse.ArgumentParser], None] = lambda action: None,
) -> int:
    """Parse and do; 0 where it did what was asked, 1 after one line about what went wrong.

    All three are given ``plan``, the file that names the trainings, and ``out``, the folder of their results; ``run``
    also ``only``, ``threads`` and ``data``, and ``report`` the ``document`` to bring them into. Without a document what
    ``markdown`` returns is printed. ``options`` adds some to both actions.
    """
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("run", help="train and measure what is not yet there")
    two = actions.add_parser("report", help="print the tables, or bring them into a Markdown file")
    for action in (one, two):
        action.add_argument("plan", type=Path)
        action.add_argument("out", type=Path)
        options(action)
    one.add_argument("--only", default="", metavar="TEXT", help="only rows whose group or name holds this")
    one.add_argument("--threads", type=int, default=1)
    one.add_argument("--data", type=Path, help="folder that holds kodak/ and train/; $GLISSANDO_DATA unless given")
    two.add_argument("document", type=Path, nargs="?")
    given = parser.parse_args(arguments)
    try:
        if given.action == "run":
            run(given)
        elif given.document:
            report(given)
        else:
            print(markdown(given))
    except (OSError, ValueError, KeyError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0
