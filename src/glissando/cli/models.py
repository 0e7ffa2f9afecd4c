"""``glissando models``: the installed models, and how one more is installed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from glissando.cli.common import Debug, examples, guarded
from glissando.cli.streams import tell

EXAMPLES = examples(
    ("glissando models", "names, sizes, costs, scores, and where each comes from"),
    ("glissando models --json", "the same for programs"),
    ("glissando models --install runs/mine/model", "what glissando export wrote, for this user"),
    ("glissando models --install mine.zip", "the same from an archive"),
    ("glissando models --web site/models", "what a browser needs to decode files of each (web/README.md)"),
    ("glissando models --install mine.zip --debug", "where an error comes from"),
)


@guarded
def models(
    install: Annotated[
        str | None,
        typer.Option(
            "--install",
            metavar="FOLDER|ARCHIVE",
            help="Check a model's folder, or a zip or tar archive of one, and copy it into your data folder.",
        ),
    ] = None,
    web: Annotated[
        Path | None,
        typer.Option(
            "--web",
            metavar="DIR",
            file_okay=False,
            help="Write what a browser needs of each model into DIR, in folders named by their hashes.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Debug = False,
) -> int:
    """List the installed models, install one, or write them for a web page.

    With their names for --model, their costs and their scores. Models come from the package, from the folders in
    $GLISSANDO_MODELS, and from your data folder; of several versions a name means the newest.
    """
    import glissando

    if web is not None:
        if install is not None or as_json:
            raise typer.BadParameter("it goes with no other option", param_hint="--web")
        return _write_for_web(web)
    cards = [glissando.install_model(install)] if install is not None else glissando.list_models()
    if as_json:
        tell(json.dumps([dataclasses.asdict(card) for card in cards], indent=2))
        return 0
    if not cards:
        tell("No models are installed.")
    for card in cards:
        date = f", {card.created[:10]}" if card.created else ""
        source = f", from {card.source}" if card.source not in ("", "package") else ""
        tell(f"{card.name}  ({card.hash}{date}{source})\n  {card.summary}")
        tell(
            f"  {card.parameters / 1e6:.2f} M parameters, {card.bytes / 1e6:.1f} MB, "
            f"{card.decode_kmac_per_pixel:.1f} kMAC per pixel to decode"
        )
        for name, encoder in card.encoders.items():
            used = f" (at efforts {encoder.efforts[0]} to {encoder.efforts[1]})" if encoder.efforts else ""
            if name == card.encoder and len(card.encoders) > 1:
                used = " (used unless the effort takes another)"
            tell(f"  encoder {name}: {encoder.kmac_per_pixel:.1f} kMAC per pixel{used}")
        for what, score in card.scores.items():
            tell(f"  {what}: {score}")
    return 0


def _write_for_web(folder: Path) -> int:
    from glissando import zoo
    from glissando.zoo.web import FAMILIES, write_for_web

    for model in zoo.installed():
        note = "" if model.card.family in FAMILIES else f", the card alone: browsers do not decode {model.card.family}"
        tell(f"{model.card.name}: {write_for_web(model, folder)}{note}")
    return 0
