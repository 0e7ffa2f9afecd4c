"""``glissando batch``: any number of pictures to .gliss files, on one machine or many, and on from where it stopped."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glissando.cli.common import (
    Convert,
    Debug,
    Keep,
    MaxPixels,
    Quiet,
    Strip,
    Verbose,
    examples,
    guarded,
    kept_kinds,
    say,
)
from glissando.cli.counting import counted
from glissando.cli.encoding import (
    LOSSLESS,
    AllowTruncated,
    AlphaQuality,
    Encoder,
    Exact,
    Lossless,
    Model,
    Quality,
    Tune,
    level_of,
    open_chosen,
)
from glissando.cli.many import Name, Sync
from glissando.cli.patience import patience
from glissando.cli.streams import tell
from glissando.cli.targets import OPTIONS, MaxSize, TargetBpp, TargetPsnr, TargetSize, TargetSsimulacra2, Wanted

if TYPE_CHECKING:
    from glissando.batches.report import Event

EXAMPLES = examples(
    ("glissando batch photos/ small/", "all pictures in a folder and its folders; again, and it goes on"),
    ("glissando batch photos/ small/ -q 40 --jobs 8", "at quality 40, by eight processes"),
    ("glissando batch photos/ small/ --target-psnr 36", "or --target-size, --target-bpp, --target-ssimulacra2"),
    ("glissando batch s3://in/photos s3://out/small", "URLs, with the package of the store (s3fs)"),
    ("glissando batch s3://in s3://out --engine ray", "by all cores of a Ray cluster"),
    ("glissando batch in/ out/ --engine ray --address ray://head:10001", "of the one at this address"),
    ("glissando batch photos/ small/ --retry", "once more what failed before"),
    ("glissando batch photos/ small/ --verify", "compare everything that is there, and mend it"),
    ("glissando batch photos/ small/ --report done.json", "what became of all, as a file; --json prints it"),
)


class Engine(StrEnum):
    """Who does the work."""

    local = "local"
    ray = "ray"


@guarded
def batch(
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", show_default=False, help="The folder with the pictures, or its URL."),
    ],
    destination: Annotated[
        str,
        typer.Argument(metavar="DST", show_default=False, help="The folder for the .gliss files, or its URL."),
    ],
    engine: Annotated[
        Engine,
        typer.Option(
            "--engine", help="local: processes of this machine. ray: actors of a Ray cluster, or of one made here."
        ),
    ] = Engine.local,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            metavar="N",
            help="Workers, with a codec each; as many as there are cores unless given.",
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option("--threads", min=1, metavar="N", help="Processor cores for each worker to use.")
    ] = 1,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="ADDRESS", help="Of the Ray cluster, unless RAY_ADDRESS says it."),
    ] = None,
    quality: Quality = None,
    target_size: TargetSize = None,
    target_bpp: TargetBpp = None,
    target_psnr: TargetPsnr = None,
    target_ssimulacra2: TargetSsimulacra2 = None,
    max_size: MaxSize = None,
    alpha_quality: AlphaQuality = 100,
    exact: Exact = False,
    lossless: Lossless = False,
    tune: Tune = None,
    model: Model = None,
    encoder: Encoder = None,
    effort: Annotated[
        int,
        typer.Option("--effort", "-e", min=0, max=10, metavar="0..10", help="Time for size, as of `glissando encode`."),
    ] = 4,
    convert: Convert = False,
    keep: Keep = None,
    strip: Strip = False,
    allow_truncated: AllowTruncated = False,
    max_pixels: MaxPixels = 2**28,
    name: Name = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try pictures again that failed in earlier runs.")] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Read all inputs and outputs again, instead of trusting times and sizes, and mend what is not right.",
        ),
    ] = False,
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            metavar="FILE",
            help="Where to keep what has been done.  [default: in DST; for a URL, in the user's data folder]",
        ),
    ] = None,
    sync: Sync = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report at the end as JSON, on standard output.")
    ] = False,
    report: Annotated[
        str | None, typer.Option("--report", metavar="FILE", help="Write it to a file, as JSON as well.")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> int:
    """Compress all pictures below a folder or URL, each of them once.

    Run it again and it goes on where it stopped: what is done and unchanged is passed over, changed pictures are done
    again, and so are new ones. Bad pictures are reported and passed over. Ctrl-C lets pictures that are begun come to
    their end.
    """
    kinds = kept_kinds(keep, strip)
    level, lossless = level_of(quality), lossless or quality == LOSSLESS
    given = (target_size, target_bpp, target_psnr, target_ssimulacra2, max_size)
    wanted = Wanted.of(
        dict(zip(OPTIONS, given, strict=True)), None, quality=quality, lossless=lossless, keep_size=False
    )
    if lossless and alpha_quality < 100:
        raise typer.BadParameter("it is for what loses something; --lossless does not", param_hint="--alpha-quality")
    if address is not None and engine is not Engine.ray:
        raise typer.BadParameter("it is that of a Ray cluster; add --engine ray", param_hint="--address")

    from glissando.batches.encoding import Encoding
    from glissando.batches.naming import Naming
    from glissando.batches.start import Workers, run_batch
    from glissando.errors import InputError
    from glissando.files import atomic_write

    try:
        naming = Naming.with_suffix(".gliss") if name is None else Naming(name)
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint="--name") from None
    reading: dict[str, Any] = {"convert": convert, "max_pixels": max_pixels, "allow_truncated": allow_truncated}
    arguments: dict[str, Any] = {**wanted.arguments, "alpha_quality": alpha_quality, "exact": exact, "effort": effort}
    if lossless:
        arguments["lossless"] = True
    with open_chosen(tune, model, encoder, threads) as codec:
        encoding = Encoding.of(
            codec, None if wanted.chooses else level, kinds=kinds, reading=reading, arguments=arguments
        )

    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(patience(stop, show=False))
        advance = stack.enter_context(counted(source, show=not quiet))
        if engine is Engine.ray:  # which prints on standard output that workers died
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))

        def hear(event: Event) -> None:
            advance()
            _show(event, quiet=quiet, verbose=verbose and not as_json)

        found = run_batch(
            source,
            destination,
            encoding,
            workers=Workers(engine.value, jobs, address),
            naming=naming,
            manifest=manifest,
            retry=retry,
            verify=verify,
            sync=sync,
            stop=stop,
            tell=hear,
        )
    text = json.dumps(found.as_json(), indent=1)
    if report is not None:
        atomic_write(report, f"{text}\n".encode())
    if as_json:
        tell(text)
    if not quiet:
        for line in found.lines():
            say(line)
    if found.interrupted:
        say("glissando: interrupted; the same command goes on from here")
        return 130
    return 0 if found.whole else 1


def _show(event: Event, *, quiet: bool, verbose: bool) -> None:
    """What is told of one picture: a failure of this run, notes, and on demand a line."""
    if event.kind == "failed":
        say(f"glissando: {event.name}: {event.error}")
    elif event.kind == "failed before" and verbose:
        say(f"glissando: {event.name}: failed before: {event.error}")
    if quiet:
        return
    for note in event.done.notes if event.done is not None else ():
        say(f"glissando: {event.name}: note: {note}")
    if verbose and event.output:
        say(f"{event.name} -> {event.output}: {event.bytes_out:,} bytes, {event.kind}")
