"""``glissando models``: the installed models."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from glissando.cli.common import Debug, examples, guarded

EXAMPLES = examples(
    ("glissando models", "names, sizes, costs, scores"),
    ("glissando models --json", "the same for programs"),
)


@guarded
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Debug = False,
) -> int:
    """List the installed models.

    With their names for --model, their costs and their scores.
    """
    import glissando

    cards = glissando.list_models()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(card) for card in cards], indent=2))
        return 0
    if not cards:
        typer.echo("No models are installed.")
    for card in cards:
        typer.echo(f"{card.name}  ({card.hash})\n  {card.summary}")
        typer.echo(
            f"  {card.parameters / 1e6:.2f} M parameters, {card.bytes / 1e6:.1f} MB, "
            f"{card.decode_kmac_per_pixel:.1f} kMAC per pixel to decode"
        )
        for what, score in card.scores.items():
            typer.echo(f"  {what}: {score}")
    return 0
