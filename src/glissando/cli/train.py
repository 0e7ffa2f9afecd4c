"""``glissando train``: a recipe to a checkpoint."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from glissando.cli.common import Debug, Threads, examples, guarded, need_training, say

EXAMPLES = examples(
    ("glissando train recipes/medium-psnr.toml --data tiles/", "train, into runs/medium-psnr"),
    ("glissando train recipes/medium.toml --out mine --threads 2 --debug", "elsewhere, with two cores"),
    ("glissando train recipes/words.toml --data text/", "word embeddings, into runs/words"),
    ("glissando train recipes/medium-psnr.toml --minutes 30", "a short training; data from $GLISSANDO_DATA/train"),
    ("glissando train recipes/medium-psnr.toml --resume runs/medium-psnr/last.pt", "go on where one stopped"),
    ("glissando train recipes/medium-psnr.toml --set network.latents=320", "the recipe with another key"),
    ("torchrun --nproc-per-node 4 -m glissando train recipes/medium-psnr.toml", "four processes, or GPUs"),
)


@guarded
def train(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", exists=True, dir_okay=False, help="A TOML file; see recipes/.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Folder of tar shards with pictures, or of text; $GLISSANDO_DATA/train or …/text unless given.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where checkpoints and logs go; runs/ and the recipe's name unless given."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="CKPT", exists=True, help="Go on from this checkpoint, or from a model's folder."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, metavar="M", help="Plan the training to end after M minutes; the recipe's unless given."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe, as in data.batch=4; repeatable."),
    ] = None,
    threads: Threads = None,
    debug: Debug = False,
) -> int:
    """Train a model as RECIPE says.

    On the processor or on a CUDA device, with the same command; on several under torchrun, which share each batch.
    Needs glissando[train].
    """
    need_training()
    from glissando import training

    last = training.run(
        recipe, data=data, out=out, resume=resume, minutes=minutes, threads=threads, settings=tuple(settings or ())
    )
    if os.environ.get("RANK", "0") == "0":  # the first of torchrun's processes saves, and says so
        say(f"{last}: trained" + (f"; `glissando export {last} OUT_DIR` makes a model of it" * (last.suffix == ".pt")))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # All is written and the others are done. Threads of the exchange that end with the interpreter have once ended
        # it instead ("terminate called without an active exception"), which torchrun takes for a failed training.
        sys.stderr.flush()
        os._exit(0)
    return 0
