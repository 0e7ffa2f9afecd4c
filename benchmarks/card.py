"""Writes the scores of a comparison into a model's card.

glissando bench kodak --codecs jpeg,webp,avif,glissando:medium --no-speed --out report
python -m benchmarks.card report/results.json src/glissando/zoo/medium
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glissando.bench.published import is_kodak
from glissando.bench.results import Results
from glissando.errors import BenchmarkError
from glissando.files import atomic_write

from .comparison import claims, codec_of_model, read_comparison

__all__ = ["main", "scored"]

KEPT = ("BD-rate", "Kodak mean rate")


def scored(card: dict[str, Any], results: Results) -> dict[str, Any]:
    """The card with the scores of ``results``. Raises BenchmarkError where they are another model's or not complete."""
    codec = codec_of_model(results, str(card["hash"]))
    if not is_kodak(results.pictures):
        raise BenchmarkError(f"the results are of {len(results.pictures)} pictures, not of the 24 of Kodak")
    rows = [claim.row() for claim in claims(results, codec.name)]
    scores = {row[0]: row[1] for row in rows if row[0].startswith(KEPT)}
    return {**card, "scores": {"measured": results.date, **scores}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the card was written."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.card", description="Write scores into a model's card.")
    parser.add_argument("results", type=Path, help="results.json of `glissando bench`")
    parser.add_argument("model", type=Path, help="the model's folder")
    given = parser.parse_args(arguments)
    path = given.model / "card.json"
    try:
        card = scored(json.loads(path.read_text(encoding="utf-8")), read_comparison(given.results))
    except (OSError, ValueError, KeyError, TypeError, BenchmarkError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    atomic_write(path, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
