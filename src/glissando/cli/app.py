"""The command line's root: ``glissando --help``, ``--version``, and the list of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from glissando.cli import (
    array,
    batch,
    bench,
    checkpoint,
    completion,
    decode,
    doctor,
    encode,
    export,
    info,
    meta,
    models,
    serve,
    thumbnail,
    train,
)
from glissando.cli.common import EXIT_CODES, Debug, examples
from glissando.cli.streams import tell

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from glissando import __version__

        tell(f"glissando {__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        ("glissando encode photo.jpg photo.gliss", "compress a picture"),
        ("glissando encode *.png small/ -q 40", "compress many, into a folder"),
        ("glissando decode photo.gliss photo.png", "and back"),
        ("glissando info photo.gliss", "what a file holds"),
        ("glissando encode --help", "more about one command"),
    )
    + "\n\n"
    + EXIT_CODES
)
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Compress photographs with a neural codec: one model for every bitrate, the same picture everywhere."""


app.command("encode", epilog=encode.EXAMPLES)(encode.encode)
app.command("decode", epilog=decode.EXAMPLES)(decode.decode)
app.command("batch", epilog=batch.EXAMPLES)(batch.batch)
app.command("info", epilog=info.EXAMPLES)(info.info)
app.command("meta", epilog=meta.EXAMPLES)(meta.meta)
app.add_typer(array.app, name="array")
app.command("models", epilog=models.EXAMPLES)(models.models)
app.command("serve", epilog=serve.EXAMPLES)(serve.serve)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.command("completion", epilog=completion.EXAMPLES)(completion.completion)
app.command("thumbnail", epilog=thumbnail.EXAMPLES, hidden=True)(thumbnail.thumbnail)
app.command("bench", epilog=bench.EXAMPLES)(bench.bench)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("checkpoint", epilog=checkpoint.EXAMPLES)(checkpoint.checkpoint)
