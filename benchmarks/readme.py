"""Writes the last results into the README, between its two markers.

python -m benchmarks.readme RESULTS.json README.md
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glissando.files import atomic_write

from .api import BenchmarkError
from .report import describe

__all__ = ["BEGIN", "END", "main", "markdown", "replace_between", "rewrite", "update"]

BEGIN = "<!-- kodak:begin -->"
END = "<!-- kodak:end -->"


def markdown(results: dict[str, Any]) -> str:
    """The tables of a results file, in Markdown."""
    lines = ["| what | measured | bar | aim | verdict | |", "|---|---:|---:|---:|---|---|"]
    lines += ["| " + " | ".join(_cell(c) for c in measure["row"]) + " |" for measure in results["measures"]]
    ours = (results.get("model") or {}).get("name")
    if means := results.get("rd", {}).get("means", {}).get(ours):
        lines += ["", "| quality | bpp | PSNR, dB |", "|---:|---:|---:|"]
        lines += [f"| {m['quality']:g} | {m['bpp']:.3f} | {m['psnr']:.2f} |" for m in means]
    return "\n".join([*lines, "", "Measured " + ". ".join(describe(results)) + "."])


def rewrite(text: str, results: dict[str, Any]) -> str:
    """The README's text with everything between the markers replaced. Raises BenchmarkError without them."""
    return replace_between(text, BEGIN, END, markdown(results))


def replace_between(text: str, begin: str, end: str, new: str) -> str:
    """``text`` with what stands between two markers replaced. Raises BenchmarkError unless each is there once."""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise BenchmarkError(f"the file needs the line {begin} and, below it, the line {end}, once each")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{new}\n{end}{rest.split(end)[1]}"


def update(document: Path, begin: str, end: str, new: str) -> None:
    """Replace what stands between two markers of a file. Raises as ``replace_between``; OSError."""
    atomic_write(document, replace_between(document.read_text(encoding="utf-8"), begin, end, new).encode())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the README was written or already right."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description="Write results into the README.")
    parser.add_argument("results", type=Path, help="what `python -m benchmarks.kodak --json` wrote")
    parser.add_argument("readme", type=Path, help="a Markdown file with the two markers")
    given = parser.parse_args(arguments)
    try:
        results = json.loads(given.results.read_text(encoding="utf-8"))
        text = given.readme.read_text(encoding="utf-8")
        given.readme.write_text(rewrite(text, results), encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError, BenchmarkError) as error:
        print(
            f"{parser.prog}: {error!r}" if isinstance(error, KeyError) else f"{parser.prog}: {error}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
