"""``glissando bench``: codecs compared on the user's own pictures, and a report of it."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glissando.cli.common import Debug, Quiet, Threads, examples, guarded, say
from glissando.cli.streams import tell

if TYPE_CHECKING:
    from glissando.bench.results import Results

EXAMPLES = examples(
    ("glissando bench photos/", "all codecs found here; the report is bench-report/index.html"),
    ("glissando bench photos/ --quick", "without slow codecs, fewer settings, one size of picture timed"),
    ("glissando bench *.png --codecs jpeg,avif,glissando:medium", "only these"),
    ("glissando bench *.png --anchor jpeg --metrics psnr,ssimulacra2", "BD-rates against JPEG"),
    ("glissando bench photos/ --peer webp --side-by-side 5 --out webp", "five pictures beside WebP's, elsewhere"),
    ("glissando bench photos/ --sizes 0.4,2 --threads 2", "times of two sizes of pictures, with two cores"),
    ("glissando bench photos/ --no-speed --no-cache", "no times; and everything anew"),
    ("glissando bench photos/ --cache /data/bench --quiet --debug", "measurements kept elsewhere; no news"),
    ("glissando bench kodak/ --published", "beside curves published for these pictures"),
    ("glissando bench photos/ --published-from curves.json", "beside curves of one's own"),
    ("glissando bench photos/ --plugin mycodecs", "with the codecs that a Python module registers"),
    ("glissando bench photos/ --json > results.json", "the results for programs"),
)

_TOLD = 20
"""Failures that are told one by one; a codec that fails everywhere has very many."""


def _names(given: str | None) -> list[str] | None:
    return None if given is None else [name.strip() for name in given.split(",") if name.strip()]


LARGEST_MEGAPIXELS = 100.0


@guarded
def bench(
    pictures: Annotated[
        list[Path],
        typer.Argument(metavar="PICTURES", show_default=False, help="Pictures, and folders of pictures."),
    ],
    codecs: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Codecs, with commas between; all that are installed, but the slowest, unless given."
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Measures of quality: psnr, psnr-y, psnr-hvs-m, ssim, ms-ssim, ssimulacra2, butteraugli.",
        ),
    ] = "psnr,ms-ssim",
    anchor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Codec of which BD-rates are percentages; avif unless given.")
    ] = None,
    peer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Codec beside which our pictures are shown; the anchor unless given."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", file_okay=False, help="Folder of the report.")] = Path(
        "bench-report"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="Without slow codecs, with fewer settings, one size of picture timed.")
    ] = False,
    speed: Annotated[bool, typer.Option("--speed/--no-speed", help="Measure time and memory.")] = True,
    sizes: Annotated[
        str | None,
        typer.Option(metavar="MP,…", help="Megapixels of the pictures that are timed.  [default: 0.1,0.4,2,8,24]"),
    ] = None,
    side_by_side: Annotated[
        int, typer.Option("--side-by-side", min=0, metavar="N", help="Pictures shown beside the peer's at one size.")
    ] = 3,
    published: Annotated[
        bool | None,
        typer.Option(
            "--published/--no-published",
            help="Overlay curves published for Kodak's pictures; done by itself where yours are these.",
        ),
    ] = None,
    published_from: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Overlay the curves of this JSON instead."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Where measurements are kept; $GLISSANDO_CACHE or the system's place."
        ),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Measure everything anew, and keep nothing.")] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE", help="Python module that registers codecs of its own; may be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON instead of a table.")] = False,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Compare image codecs on your own pictures, and write a report.

    Rate and quality, BD-rates, time, memory, and pictures side by side at the same file size. Interrupted, the
    same command goes on where it stopped. Needs glissando[bench].
    """
    if importlib.util.find_spec("bjontegaard") is None or importlib.util.find_spec("matplotlib") is None:
        say('glissando: bench needs more packages: pip install "glissando[bench]"')
        return 1
    from glissando.bench import runner
    from glissando.bench.cache import default_folder
    from glissando.bench.progress import open_progress
    from glissando.bench.report import write_report

    for module in plugin or ():
        runner.import_plugin(module)
    wanted, measures = _names(codecs), _names(metrics)
    _check_codecs(wanted, "--codecs")
    _check_codecs(None if anchor is None else [anchor], "--anchor")
    _check_codecs(None if peer is None else [peer], "--peer")
    _check_metrics(measures)
    options = runner.Options(
        pictures=pictures,
        out=out,
        codecs=wanted,
        metrics=measures,
        anchor=anchor,
        peer=peer,
        quick=quick,
        threads=threads,
        cache=None if no_cache else cache or default_folder(),
        published=published,
        published_file=published_from,
        speed=speed,
        sizes=None if sizes is None else _megapixels(sizes),
        comparisons=side_by_side,
        plugins=tuple(plugin or ()),
        command=shlex.join(["glissando", *sys.argv[1:]]),
    )
    try:
        with open_progress(say, quiet=quiet) as progress:
            outcome = runner.run(options, progress)
    except KeyboardInterrupt:
        if options.cache is not None:
            say("glissando: what was measured is kept; the same command goes on from there")
        raise
    page = write_report(outcome.results, out)
    _tell_failures(outcome.results)
    if as_json:
        tell(outcome.results.to_json())
    else:
        tell(_table(outcome.results))
    if not quiet:
        say(f"report: {page}")
    return 1 if outcome.failed else 0


def _megapixels(text: str) -> list[float]:
    """Sizes between commas, ascending."""
    try:
        found = sorted(float(size) for size in text.split(","))
    except ValueError:
        found = [0.0]
    if not 0 < found[0] <= found[-1] <= LARGEST_MEGAPIXELS:
        raise typer.BadParameter(
            f"{text!r} is no list of megapixels above 0, at most {LARGEST_MEGAPIXELS:g}", param_hint="--sizes"
        )
    return found


def _check_codecs(names: list[str] | None, option: str) -> None:
    from glissando.bench.codecs import registered
    from glissando.bench.codecs.models import named_effort
    from glissando.errors import InputError

    known = registered()
    if names is not None and not names:
        raise typer.BadParameter(f"no codec named; known: {', '.join(known)}", param_hint=option)
    for name in names or ():
        try:
            model, _ = named_effort(name) if name.startswith("glissando:") else (name, 0)
        except InputError as error:
            raise typer.BadParameter(f"{name}: {error}", param_hint=option) from None
        # What follows a colon may be a folder: whether that holds a model, opening it tells.
        if model not in known and not (name.startswith("glissando:") and os.path.isdir(model.partition(":")[2])):
            raise typer.BadParameter(f"no codec called {name!r}; known: {', '.join(known)}", param_hint=option)


def _check_metrics(names: list[str] | None) -> None:
    from glissando.bench.metrics import METRICS

    wrong = [name for name in names or () if name not in METRICS]
    if wrong or not names:
        problem = f"no metric called {wrong[0]!r}" if wrong else "no metric named"
        raise typer.BadParameter(f"{problem}; known: {', '.join(METRICS)}", param_hint="--metrics")


def _tell_failures(results: Results) -> None:
    for failure in results.failures[:_TOLD]:
        at = f" at {failure.setting:g}" if failure.setting is not None else ""
        who = f"{failure.codec}{at}: " if failure.codec else ""
        say(f"glissando: {failure.picture}: {who}{failure.message}")
    if (more := len(results.failures) - _TOLD) > 0:
        say(f"glissando: and {more} more failures; the report lists them")


def _table(results: Results) -> str:
    """A row per codec: BD-rate by metric and speed."""
    from glissando.bench.summary import HEADLINE_MEGAPIXELS, summarise

    heads = ["codec", *(f"BD {metric.name}" for metric in results.metrics)]
    if results.timings:
        heads += ["encode Mpx/s", "decode Mpx/s"]
    rows = [heads]
    for summary in summarise(results):
        row = [summary.codec.name]
        for metric in results.metrics:
            found = summary.bd.get(metric.name)
            row.append("-" if found is None or found.percent is None else f"{found.percent:+.1f} %")
        if results.timings:
            row += ["-" if v is None else f"{v:.2f}" for v in (summary.encode_mpx_s, summary.decode_mpx_s)]
        rows.append(row)
    rows += [[missing.name, f"missing: {missing.reason}"] for missing in results.missing]
    widths = [max(len(row[i]) for row in rows if i < len(row) and len(row) == len(heads)) for i in range(len(heads))]
    widths[0] = max(len(row[0]) for row in rows)
    lines = []
    for row in rows:
        cells = row[1:]
        if len(row) == len(heads):
            cells = [f"{text:>{width}}" for text, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([f"{row[0]:<{widths[0]}}", *cells]))
    lines.append("")
    lines.append(f"BD: bits at equal quality beside {results.anchor}, mean curve; less is better.")
    if results.timings:
        threads = "1 thread" if results.threads == 1 else f"{results.threads} threads"
        lines.append(f"Speed: pictures of about {HEADLINE_MEGAPIXELS:g} megapixels, {threads}, near 0.5 bpp.")
    return "\n".join(lines)
