"""``glissando decode``: .gliss files to pictures."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from glissando.cli.by_rows import LARGE, OneBand, decode_by_rows
from glissando.cli.common import (
    STANDARD,
    Debug,
    Keep,
    MaxPixels,
    Overwrite,
    Quiet,
    Strip,
    Threads,
    Verbose,
    examples,
    guarded,
    is_ours,
    kept_kinds,
    open_bytes,
    say,
)
from glissando.cli.loop import Done, run, show_name
from glissando.cli.many import DryRun, Jobs, Json, Many, Name, PerThread, Preserve, Recursive, Sync
from glissando.cli.planning import Job, plan

if TYPE_CHECKING:
    from glissando import Codec, Reader
    from glissando.codec import DecodedRows

EXAMPLES = examples(
    ("glissando decode photo.gliss photo.png", "the extension names the format"),
    ("glissando decode small/*.gliss large/", "many files, as PNG, into the folder large"),
    ("glissando decode small/*.gliss large/ -f jpg", "the same as JPEG, quality 95"),
    ("glissando decode photo.gliss photo.webp --quality 80", "quality of JPEG, WebP and AVIF"),
    ("glissando decode small/ large/ -r --preserve", "a folder and those in it; times and permissions stay"),
    ("glissando decode *.gliss large/ --name '{stem}.tif'", "named otherwise, and so another format"),
    ("glissando decode *.gliss large/ --jobs 4 --threads 8", "four at once, with two cores each"),
    ("glissando decode photo.gliss photo.jpg --strip", "no metadata; the picture stays upright"),
    ("glissando decode photo.gliss photo.jpg --keep icc", "the colour profile, but not where and when"),
    ("glissando decode photo.gliss pixels.rgb", "samples alone, row by row"),
    ("glissando decode huge.gliss huge.tif --max-pixels 1000000000", "beyond the limit of 268 megapixels"),
    ("glissando decode *.gliss large/ --no-overwrite -v", "only what is not there yet; a line for each"),
    ("glissando decode *.gliss large/ --quiet --debug", "nothing but errors, and where they come from"),
    ("glissando decode *.gliss large/ --json > done.jsonl", "a line of JSON for each"),
    ("glissando decode *.gliss large/ --dry-run", "what would become what"),
    ("glissando decode *.gliss /media/stick/ --sync", "wait until each file is on the disk"),
    ("glissando decode photo.gliss - | display", "PNG to standard output"),
    ("glissando decode photo.gliss part.png --region 512,0,200,100", "200x100 pixels, 512 from the left"),
    ("glissando decode photo.gliss small.jpg --max-size 1600", "scaled down to at most 1,600 pixels a side"),
)


@guarded
def decode(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="IN", show_default=False, help=".gliss files; - is standard input."),
    ],
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            show_default=False,
            help="The picture to write, or the folder for several; - is standard output.",
        ),
    ],
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="png, jpg, webp, avif, tiff, bmp, ppm, or raw, which is samples alone. Unless given: as OUT's "
            "extension says; png into folders and to standard output.",
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            "--quality",
            "-q",
            min=0,
            max=100,
            metavar="0..100",
            help="Of JPEG and AVIF (95 and 90 unless given), and of WebP, which is without loss unless given.",
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="X,Y,WIDTH,HEIGHT",
            help="Decode this rectangle of the picture alone, in pixels; x and y count from the upper left corner.",
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size",
            metavar="N|WxH",
            help="Scale the picture, or the region, down to at most N pixels on its longer side, or to fit into W by "
            "H; it is decoded small, in a fraction of the memory and, if much smaller, of the time.",
        ),
    ] = None,
    keep: Keep = None,
    strip: Strip = False,
    threads: Threads = None,
    jobs: Jobs = 1,
    recursive: Recursive = False,
    name: Name = None,
    preserve: Preserve = False,
    sync: Sync = False,
    as_json: Json = False,
    dry_run: DryRun = False,
    overwrite: Overwrite = True,
    max_pixels: MaxPixels = 2**28,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> int:
    """Decompress .gliss files to pictures.

    Each file names the model that it needs. PNG, TIFF, BMP, PPM and, without --quality, WebP are written without
    further loss.
    """
    chosen = (format or "png").lower().lstrip(".")
    kinds = kept_kinds(keep, strip)
    part = None if region is None else _region(region)
    most = None if max_size is None else _size(max_size)
    todo = plan(sources, out, f".{chosen}", suffixes=(".gliss",), recursive=recursive, name=name)
    many = Many(overwrite, preserve, sync, jobs, as_json, dry_run, quiet, verbose)

    import glissando
    from glissando.bitstream import ANY_SIZE
    from glissando.picture import encode_picture, kept_of, lossy_formats, writable_formats
    from glissando.picture.row_writing import RAW, row_formats

    def kind(job: Job) -> str:
        named = "" if job.dest == STANDARD else os.path.splitext(job.dest)[1]
        return (format or named or chosen).lower().lstrip(".")

    for wanted in sorted({kind(job) for job in todo.jobs} | {chosen}):
        if wanted not in (*writable_formats(), *RAW):
            known = ", ".join((*writable_formats(), *RAW))
            raise typer.BadParameter(f"no picture format {wanted!r} to write; known: {known}", param_hint="OUT")
        if quality is not None and wanted not in lossy_formats() and wanted in map(kind, todo.jobs):
            known = ", ".join(lossy_formats())
            raise typer.BadParameter(f"{wanted} has no quality; those that have: {known}", param_hint="--quality")

    opened: PerThread[dict[bytes, Codec]] = PerThread(dict)

    def by_rows(codec: Codec, file: Reader, job: Job, wanted: str) -> Done:
        with ExitStack() as stack:
            rows: DecodedRows | OneBand
            if most is None:
                rows = stack.enter_context(codec.decode_rows(file, region=part, max_pixels=max_pixels))
                notes = rows.notes
            else:
                picture = codec.decode_picture(file, region=part, max_size=most, max_pixels=max_pixels)
                rows, notes = OneBand(picture), picture.notes
            rows.metadata, stripped = kept_of(rows.metadata, kinds)
            alone = len(todo.jobs) == 1
            done, more = decode_by_rows(job, rows, wanted, many, bytes_in=file.size, alone=alone)
        if not quiet:
            for note in (*notes, *stripped, *more):
                say(f"glissando: {show_name(job.dest, output=True)}: note: {note}")
        return done

    def work(job: Job) -> Done:
        with open_bytes(job.source, is_ours) as stream, glissando.Reader(stream, limits=ANY_SIZE) as file:
            model, codecs = file.header.model_hash, opened.get()
            if model not in codecs:
                codecs[model] = glissando.open_for(file, threads=many.threads(threads))
            codec, wanted = codecs[model], kind(job)
            large = file.header.width * file.header.height >= LARGE
            if wanted in RAW or (large and most is None and wanted in row_formats()):
                return by_rows(codec, file, job, wanted)
            picture = codec.decode_picture(file, region=part, max_size=most, max_pixels=max_pixels)
            picture, stripped = kept_of(picture, kinds)
            bytes_in = file.size
        data, notes = encode_picture(picture, kind(job), quality=quality, name=show_name(job.dest, output=True))
        many.write(job, data)
        if not quiet:
            for note in (*picture.notes, *stripped, *notes):
                say(f"glissando: {show_name(job.dest, output=True)}: note: {note}")
        line = (
            f"{show_name(job.source)} -> {show_name(job.dest, output=True)}: {picture.width}x{picture.height}"
            f"{' grey' if picture.format.grey else ''}, {len(data):,} bytes"
        )
        return Done(line, bytes_in, len(data), picture.width * picture.height)

    return run(todo, work, many)


def _region(text: str) -> tuple[int, ...]:
    """Four numbers between commas; whether they fit a picture, its decoding tells."""
    try:
        x, y, width, height = (int(number) for number in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not X,Y,WIDTH,HEIGHT in pixels", param_hint="--region") from None
    return x, y, width, height


def _size(text: str) -> tuple[int, ...]:
    """One number of pixels for both sides, or two with an x between them."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise typer.BadParameter(f"{text!r} is neither N nor WxH in pixels", param_hint="--max-size")
    return int(sides[0]), int(sides[-1])
