"""``glissando serve``: the service over HTTP."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from glissando.cli.common import Debug, MaxPixels, examples, guarded, say

EXAMPLES = examples(
    ("glissando serve", "a page, and a service that encodes and decodes, on http://127.0.0.1:8000"),
    ("glissando serve photos/", "and the .gliss files in this folder, at /img/NAME.gliss"),
    ("glissando serve --host 0.0.0.0 --port 8080", "for other machines too; see docs/service.md"),
    ("glissando serve --workers 4 --threads 2", "four requests at once, with two cores each"),
    ("glissando serve --max-bytes 20MB --max-pixels 24000000", "smaller pictures only"),
    ("glissando serve --max-seconds 20 --max-effort 6", "no request works longer than that"),
    ("glissando serve --max-queue 100 --max-connections 1000", "more requests wait, rather than being refused"),
    ("glissando serve --debug", "where an error comes from"),
)

PACKAGES = ("starlette", "uvicorn", "python_multipart", "prometheus_client")


@guarded
def serve(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", show_default=False, help="A folder of .gliss files to show, below /img."),
    ] = None,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Listen on this address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, metavar="N", help="And this port; 0: any.")] = 8000,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            metavar="N",
            help="Processes that encode and decode, one request each at a time.  [default: as many as cores, up to 4]",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, metavar="N", help="Cores that each worker uses.  [default: an even share]"),
    ] = None,
    max_bytes: Annotated[
        str, typer.Option("--max-bytes", metavar="SIZE", help="Refuse longer bodies of requests.")
    ] = "64MB",
    max_pixels: MaxPixels = 2**26,
    max_seconds: Annotated[
        float,
        typer.Option("--max-seconds", min=0.1, metavar="SECONDS", help="End a request that a worker is longer at."),
    ] = 60,
    max_queue: Annotated[
        int, typer.Option("--max-queue", min=0, metavar="N", help="Requests that wait for a worker; more are refused.")
    ] = 16,
    max_effort: Annotated[
        int, typer.Option("--max-effort", min=0, max=10, metavar="0..10", help="Refuse a higher effort.")
    ] = 10,
    max_connections: Annotated[
        int, typer.Option("--max-connections", min=1, metavar="N", help="Connections that are open at once.")
    ] = 256,
    debug: Debug = False,
) -> int:
    """Encode, decode and show pictures over HTTP.

    With a page at /, and a description of everything at /openapi.json. The log goes to standard error, a line of JSON
    for each event. Ctrl-C ends it when the requests that it has begun are done.
    """
    if any(importlib.util.find_spec(package) is None for package in PACKAGES):
        say('glissando: the service needs more packages: pip install "glissando[serve]"')
        return 1

    from glissando.codec.targets import bytes_in
    from glissando.serve import Settings
    from glissando.serve.server import run

    settings = Settings(
        folder=folder,
        workers=workers or 0,
        threads=threads or 0,
        max_bytes=bytes_in(max_bytes, "--max-bytes"),
        max_pixels=max_pixels,
        max_seconds=max_seconds,
        max_queue=max_queue,
        max_effort=max_effort,
        max_connections=max_connections,
    )
    run(settings, host, port)
    return 0
