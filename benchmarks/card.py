"""Writes the last results' scores into a model's card.

python -m benchmarks.card RESULTS.json MODEL_FOLDER
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

__all__ = ["main", "scored"]

KEPT = ("BD-rate against", "Kodak mean rate")


def scored(card: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """The card with the scores of ``results``. Raises BenchmarkError where they are another model's or not complete."""
    measured = (results.get("model") or {}).get("hash")
    if measured != card["hash"]:
        raise BenchmarkError(f"the results are of model {measured}, the card is of {card['hash']}")
    if results["pictures"] != 24:
        raise BenchmarkError(f"the results are of {results['pictures']} pictures, not of the 24 of Kodak")
    scores = {row[0]: row[1] for row in (m["row"] for m in results["measures"]) if row[0].startswith(KEPT)}
    return {**card, "scores": {"measured": results["date"], **scores}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the card was written."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.card", description="Write scores into a model's card.")
    parser.add_argument("results", type=Path, help="what `python -m benchmarks.kodak --json` wrote")
    parser.add_argument("model", type=Path, help="the model's folder")
    given = parser.parse_args(arguments)
    path = given.model / "card.json"
    try:
        results = json.loads(given.results.read_text(encoding="utf-8"))
        card = scored(json.loads(path.read_text(encoding="utf-8")), results)
    except (OSError, ValueError, KeyError, TypeError, BenchmarkError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    atomic_write(path, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
