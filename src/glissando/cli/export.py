"""``glissando export``: a checkpoint to a model that the codec runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glissando.cli.common import Debug, examples, guarded, need_training, say

EXAMPLES = examples(
    ("glissando export runs/medium/last.pt models/medium", "graphs, tables and card, verified"),
)


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
    debug: Debug = False,
) -> int:
    """Turn a checkpoint into an installable model.

    Writes its graphs, integer tables and card, and verifies them against torch. Needs glissando[train].
    """
    need_training()
    from glissando.training.export import export as export_model

    export_model(checkpoint, out_dir, data=data)
    say(f"{out_dir}: exported and verified")
    return 0
