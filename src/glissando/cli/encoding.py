"""Options of commands that make .gliss files, and the codec that they choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from glissando import Codec

__all__ = [
    "LOSSLESS",
    "AllowTruncated",
    "AlphaQuality",
    "Encoder",
    "Exact",
    "Lossless",
    "Model",
    "Quality",
    "Tune",
    "level_of",
    "open_chosen",
]

LOSSLESS = "lossless"
"""The quality at which every pixel comes back as it was."""

Quality = Annotated[
    str | None,
    typer.Option("--quality", "-q", metavar="0..100|lossless", help="Higher is better and larger.  [default: 60]"),
]
AlphaQuality = Annotated[
    float,
    typer.Option(
        "--alpha-quality", min=0, max=100, metavar="0..100", help="Below 100, transparency comes in fewer steps."
    ),
]
Exact = Annotated[
    bool,
    typer.Option("--exact", help="Keep colours below fully transparent pixels, which are black without it."),
]
Lossless = Annotated[
    bool, typer.Option("--lossless", help="Every pixel comes back as it was: the same as -q lossless.")
]
Tune = Annotated[
    str | None,
    typer.Option("--tune", metavar="eye|psnr", help="What looks best, or the least squared error.  [default: eye]"),
]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Instead of --tune: one of those that `glissando models` lists."),
]
Encoder = Annotated[
    str | None,
    typer.Option("--encoder", metavar="NAME", help="One of the model's encoders instead of the effort's."),
]
AllowTruncated = Annotated[
    bool,
    typer.Option("--allow-truncated", help="Take what there is of a JPEG that is cut short; the rest is grey."),
]


def open_chosen(tune: str | None, model: str | None, encoder: str | None, threads: int | None) -> Codec:
    """The codec of the model and encoder that options name. Raises typer.BadParameter where there is none."""
    import glissando
    from glissando.api import tuned_model
    from glissando.errors import InputError, UnknownModelError

    try:
        chosen = tuned_model(tune, model)
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint="--tune") from None
    try:
        return glissando.open_model(chosen, encoder=encoder, threads=threads)
    except UnknownModelError as error:
        hint = "--model" if encoder is None else "--model, --encoder"
        raise typer.BadParameter(str(error), param_hint=hint) from None


def level_of(quality: str | None) -> float:
    """The number that a quality is given as; 60 for None, that of the highest for ``lossless``."""
    if quality is None:
        return 60.0
    if quality == LOSSLESS:
        return 100.0
    try:
        level = float(quality)
    except ValueError:
        level = -1.0
    if not 0 <= level <= 100:
        raise typer.BadParameter(f"{quality!r} is no number from 0 to 100, nor {LOSSLESS!r}", param_hint="--quality")
    return level
