"""``glissando export``: a checkpoint to a model that the codec runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glissando.cli.common import Debug, examples, guarded, need_training, say

EXAMPLES = examples(
    ("glissando export runs/medium/last.pt models/medium", "graphs, tables and card, verified"),
    (
        "glissando export runs/large/last.pt models/medium --encoder large --efforts 4-10",
        "one more encoder for a decoder that is there",
    ),
    ("glissando export last.pt models/medium --data tiles/ --debug", "pictures to check with; where errors come from"),
)

FITTED = 90
"""Training pictures that the decoding of small pictures is fitted to."""


@guarded
def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", exists=True, help="What training saved, or a model's folder.")
    ],
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", file_okay=False, help="The model's folder.")],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Training pictures, which say how finely weights are stored; $GLISSANDO_DATA/train unless given.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="NAME",
            help="Put only the checkpoint's encoder, under this name, beside those of the model in OUT_DIR, "
            "whose decoder it was trained for.",
        ),
    ] = None,
    efforts: Annotated[
        str | None,
        typer.Option(
            "--efforts",
            metavar="LOW-HIGH",
            help="With --encoder: the efforts at which it takes the place of the usual one; without, only by its name.",
        ),
    ] = None,
    debug: Debug = False,
) -> int:
    """Turn a checkpoint into an installable model, or into one more encoder of a model.

    Writes its graphs, integer tables and card, and verifies them against torch. Needs glissando[train].
    """
    if efforts is not None and encoder is None:
        raise typer.BadParameter("it belongs to --encoder", param_hint="--efforts")
    between = _range_of(efforts)
    need_training()
    from glissando.training.export import export as export_model
    from glissando.training.export import export_encoder

    if encoder is None:
        before = _encoders(out_dir)
        say(f"{export_model(checkpoint, out_dir, data=data)}: exported and verified")
        _fit_small_pictures(out_dir, data)
        if lost := before - _encoders(out_dir):
            say(f"{out_dir}: note: encoders of the decoder that was there before are gone: {', '.join(sorted(lost))}")
    else:
        say(f"{export_encoder(checkpoint, out_dir, encoder, between, data)}: exported and verified")
    return 0


def _fit_small_pictures(model: Path, data: Path | None) -> None:
    """Put into a model how its pictures are decoded 16 times smaller, if it has latents for that and pictures are at
    hand.
    """
    from glissando.api import open_model
    from glissando.codec.block_means import SIDE, fitted, install
    from glissando.errors import InputError, TrainingError
    from glissando.training.data import load_tiles, training_folder

    with open_model(model, precision="f32") as codec:
        if codec.pixels_per_latent != SIDE:
            return
        try:
            codec.engine.latents()
            tiles = load_tiles(training_folder(data)).training
        except (InputError, TrainingError) as error:
            say(f"{model}: note: pictures are decoded 8 times smaller at most: {error}")
            return
        chosen = tiles[:: max(1, len(tiles) // FITTED)][:FITTED].permute(0, 2, 3, 1).numpy()
        arrays = fitted(codec, chosen)
    install(model, arrays)
    say(f"{model}: small pictures fitted to {len(chosen)} training pictures")


def _encoders(model: Path) -> set[str]:
    """The names of a model's encoders."""
    return {path.parent.name for path in model.glob("encoders/*/card.json")}


def _range_of(efforts: str | None) -> tuple[int, ...]:
    """The two numbers of LOW-HIGH, none where it was not given."""
    low, dash, high = (efforts or "").partition("-")
    if efforts is not None and not (dash and low.isdecimal() and high.isdecimal()):
        raise typer.BadParameter(f"is LOW-HIGH, such as 0-2, not {efforts!r}", param_hint="--efforts")
    return (int(low), int(high)) if efforts is not None else ()
