"""``glissando checkpoint``: what a training has seen so far, and a small file to go on from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glissando.cli.common import Debug, examples, guarded, need_training, say
from glissando.cli.streams import tell

EXAMPLES = examples(
    ("glissando checkpoint runs/medium/last.pt", "pictures, hours, devices, the last validation"),
    ("glissando checkpoint broken.pt --debug", "where an error comes from"),
    ("glissando checkpoint runs/medium/last.pt --compact medium.pt", "a small file that train --resume takes"),
)


@guarded
def checkpoint(
    path: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", exists=True, help="What training saved, or a model's folder.")
    ],
    compact: Annotated[
        Path | None,
        typer.Option(metavar="OUT", dir_okay=False, help="Write averaged weights in float16, without momenta."),
    ] = None,
    debug: Debug = False,
) -> int:
    """Tell what a training has seen, piece by piece. Needs glissando[train]."""
    need_training()
    from glissando.training.checkpoints import compact as write_compact
    from glissando.training.checkpoints import load_checkpoint

    state = load_checkpoint(path)
    progress, recipe = state["progress"], state["recipe"]
    tell(f"{recipe['name']} ({recipe['family']}): {progress['step']:,} steps, {progress['samples']:,} pictures")
    for piece in progress["pieces"]:
        hours = piece["seconds"] / 3600
        tell(f"  {piece['samples']:,} pictures in {hours:.2f} h, recipe {piece['recipe']}, {piece['device']}")
    if progress["history"]:
        last = progress["history"][-1]
        points = ", ".join(f"{bpp:.3f} bpp {psnr:.2f} dB" for _, bpp, psnr in last["curve"])
        tell(f"  validation at step {last['step']:,}: {points}")
    if compact is not None:
        write_compact(path, compact)
        say(f"{compact}: {compact.stat().st_size / 1e6:.1f} MB to go on from")
    return 0
