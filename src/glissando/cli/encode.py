"""``glissando encode``: pictures to .gliss files."""

from __future__ import annotations

import io
import os
from functools import partial
from typing import Annotated, Any

import typer

from glissando.cli.by_rows import Raw, encode_by_rows, raw_layout, rows_in
from glissando.cli.common import (
    Convert,
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
    kept_kinds,
    open_bytes,
    say,
)
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
from glissando.cli.loop import Done, run, show_name
from glissando.cli.many import DryRun, Jobs, Json, Many, Name, PerThread, Preserve, Recursive, Sync
from glissando.cli.patience import patience
from glissando.cli.planning import Job, plan
from glissando.cli.targets import (
    OPTIONS,
    MaxSize,
    Shares,
    TargetBpp,
    TargetPsnr,
    TargetSize,
    TargetSsimulacra2,
    TotalSize,
    Wanted,
    tell,
)

EXAMPLES = examples(
    ("glissando encode photo.jpg photo.gliss", "quality 60"),
    ("glissando encode photo.jpg photo.gliss -q 32.5", "smaller; any number from 0 to 100"),
    (
        "glissando encode in.jpg out.gliss --target-size 40kB",
        "the largest file that has no more than 40,000 bytes",
    ),
    ("glissando encode in.jpg out.gliss --target-bpp 0.4", "the same in bits per pixel"),
    ("glissando encode in.jpg out.gliss --target-psnr 36", "as near to the picture as that, in dB"),
    ("glissando encode in.jpg out.gliss --target-ssimulacra2 70", "as good as that to the eye"),
    ("glissando encode in.jpg out.gliss -q 80 --max-size 1MB", "less than quality 80 where that takes more"),
    ("glissando encode *.png small/ -q 50", "many pictures, into the folder small"),
    ("glissando encode *.png small/ --total-size 2MB", "all in 2,000,000 bytes, shared for the best result"),
    ("glissando encode photo.jpg photo.gliss --tune psnr", "the least squared error, not what looks best"),
    ("glissando encode a.png a.gliss --model medium --encoder default", "one of `glissando models`, by name"),
    ("glissando encode photo.jpg photo.gliss -e 8", "some seconds more, for a smaller file of the same look"),
    ("glissando encode chart.png chart.gliss --lossless", "every pixel comes back as it was"),
    ("glissando encode logo.png logo.gliss --alpha-quality 60", "fewer steps of transparency"),
    ("glissando encode logo.png logo.gliss --exact", "colours below what is transparent are kept"),
    ("glissando encode in.png out.gliss --importance mask.png", "better where the mask is white"),
    ("glissando encode in.png out.gliss --importance mask.png --strength 40", "much better"),
    ("glissando encode in.png out.gliss --importance auto --keep-size", "less on what is busy, at the same size"),
    ("glissando encode in.png out.gliss --quality-map bits.png", "and draw where the bits went"),
    ("glissando encode photo.jpg photo.gliss --strip", "no metadata; the picture stays upright"),
    ("glissando encode photo.jpg photo.gliss --keep icc", "the colour profile, but not where and when"),
    ("glissando encode scan.tif scan.gliss --convert", "CMYK to RGB, and a note that says so"),
    ("glissando encode half.jpg half.gliss --allow-truncated", "what there is of a JPEG that is cut short"),
    ("glissando encode pixels.rgb out.gliss --raw 20000x10000x3u8", "samples alone, which are read by rows"),
    ("glissando encode huge.png huge.gliss --max-pixels 1000000000", "beyond the limit of 268 megapixels"),
    ("glissando encode photos/ small/ -r --preserve", "a folder and those in it; times and permissions stay"),
    ("glissando encode *.png *.jpg small/ --name '{stem}-{ext}.gliss'", "where a.png and a.jpg lie side by side"),
    ("glissando encode *.png small/ --jobs 4 --threads 8", "four at once, with two cores each"),
    ("glissando encode *.png small/ --no-overwrite -v", "only what is not there yet; a line for each"),
    ("glissando encode *.png small/ --quiet --debug", "nothing but errors, and where they come from"),
    ("glissando encode *.png small/ --json > done.jsonl", "a line of JSON for each"),
    ("glissando encode *.png small/ --dry-run", "what would become what"),
    ("glissando encode *.png /media/stick/ --sync", "wait until each file is on the disk"),
    ("magick in.psd png:- | glissando encode - out.gliss", "from standard input"),
)


@guarded
def encode(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="IN",
            show_default=False,
            help="Pictures: PNG, JPEG, WebP, AVIF, TIFF, ...; - is standard input.",
        ),
    ],
    out: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            show_default=False,
            help="The file to write, or the folder for several; - is standard output.",
        ),
    ],
    quality: Quality = None,
    target_size: TargetSize = None,
    target_bpp: TargetBpp = None,
    target_psnr: TargetPsnr = None,
    target_ssimulacra2: TargetSsimulacra2 = None,
    max_size: MaxSize = None,
    total_size: TotalSize = None,
    alpha_quality: AlphaQuality = 100,
    exact: Exact = False,
    lossless: Lossless = False,
    tune: Tune = None,
    model: Model = None,
    encoder: Encoder = None,
    importance: Annotated[
        str | None,
        typer.Option(
            "--importance",
            metavar="FILE|auto",
            help="Where the picture matters: a grey picture of any size, laid over it. White is kept best, black is "
            "spent least on, mid-grey stays as it is; auto finds it in the picture.",
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength",
            min=0,
            max=100,
            metavar="STEPS",
            help="Quality steps that white adds and black takes away.  [default: 24; 12 for auto]",
        ),
    ] = None,
    keep_size: Annotated[
        bool,
        typer.Option("--keep-size", help="Choose the quality so that the file is as large as it is without the map."),
    ] = False,
    quality_map: Annotated[
        str | None,
        typer.Option(
            "--quality-map", metavar="OUT.png", help="Draw the bits of each place over the picture, as a PNG."
        ),
    ] = None,
    effort: Annotated[
        int,
        typer.Option(
            "--effort",
            "-e",
            min=0,
            max=10,
            metavar="0..10",
            help="Time for size: up to 4 it chooses among the model's encoders; from 5 on each picture is refined, in "
            "seconds to minutes. Ctrl-C ends that, "
            "and the file is made of what was reached.",
        ),
    ] = 4,
    raw: Raw = None,
    threads: Threads = None,
    jobs: Jobs = 1,
    convert: Convert = False,
    keep: Keep = None,
    strip: Strip = False,
    allow_truncated: AllowTruncated = False,
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
    """Compress pictures to .gliss files.

    Metadata are kept, and the EXIF orientation is applied. A file is written whole or not
    at all, and one bad picture does not stop the others.
    """
    from glissando.codec.effort import HIGHEST_QUICK
    from glissando.picture import picture_suffixes

    kinds, layout = kept_kinds(keep, strip), raw_layout(raw)
    todo = plan(sources, out, ".gliss", suffixes=picture_suffixes(), recursive=recursive, name=name)
    many = Many(overwrite, preserve, sync, jobs, as_json, dry_run, quiet, verbose)
    given_level, lossless = level_of(quality), lossless or quality == LOSSLESS
    given = (target_size, target_bpp, target_psnr, target_ssimulacra2, max_size)
    named = dict(zip(OPTIONS, given, strict=True))
    wanted = Wanted.of(named, total_size, quality=quality, lossless=lossless, keep_size=keep_size)
    level = None if wanted.chooses else given_level
    if wanted.total is not None and quality_map is not None:
        raise typer.BadParameter("it draws one picture; leave --total-size out", param_hint="--quality-map")
    if lossless and (importance is not None or quality_map is not None):
        option = "--importance" if importance is not None else "--quality-map"
        raise typer.BadParameter("it is for what loses something; --lossless does not", param_hint=option)
    if lossless and alpha_quality < 100:
        raise typer.BadParameter("it is for what loses something; --lossless does not", param_hint="--alpha-quality")
    if importance is None and (strength is not None or keep_size):
        raise typer.BadParameter("it needs --importance", param_hint="--strength" if not keep_size else "--keep-size")
    whole = wanted.chooses or wanted.arguments or keep_size or importance == "auto" or quality_map is not None
    if layout is not None and (whole or effort > HIGHEST_QUICK):
        raise typer.BadParameter(
            "raw pixels are read by rows; targets, --keep-size, --importance auto, --quality-map and efforts above "
            f"{HIGHEST_QUICK} need the whole picture",
            param_hint="--raw",
        )
    if quality_map is not None and len(todo.jobs) > 1:
        raise typer.BadParameter("it draws one picture; encode them one by one", param_hint="--quality-map")

    import glissando
    from glissando.picture import Picture, eight_bits, kept_of, looks_like_picture, read_picture, write_picture

    if quality_map is not None and effort > HIGHEST_QUICK:
        raise typer.BadParameter(f"with --quality-map it is {HIGHEST_QUICK} at most", param_hint="--effort")
    opened = PerThread(lambda: open_chosen(tune, model, encoder, many.threads(threads)))
    opened.get()
    reading: dict[str, Any] = {
        "convert": convert,
        "max_pixels": max_pixels,
        "allow_truncated": allow_truncated,
    }
    mapped: dict[str, Any] = {"alpha_quality": alpha_quality, "exact": exact}
    if importance is not None:
        painted: Any = importance
        if importance != "auto":
            painted = read_picture(importance, convert=True, max_pixels=max_pixels)
            for note in () if quiet else painted.notes:
                say(f"glissando: {importance}: note: {note}")
        mapped |= {"importance": painted, "strength": strength}
        if keep_size:
            mapped["keep_size"] = True

    shares: Shares | None = None
    if wanted.total is not None and not dry_run:

        def read(job: Job) -> Picture:
            with open_bytes(job.source, looks_like_picture) as stream:
                return kept_of(read_picture(stream, name=show_name(job.source), **reading), kinds)[0]

        coming = [job for job in todo.jobs if job.refused is None and (overwrite or not os.path.lexists(job.dest))]
        if not quiet:
            say(f"glissando: measuring pictures to share their bytes: {len(coming)}")
        shares = Shares(opened.get(), coming, read, wanted.total, effort=effort, **mapped)

    def work(job: Job) -> Done:
        codec = opened.get()
        with open_bytes(job.source, looks_like_picture if layout is None else lambda head: True) as stream:
            if not whole and effort <= HIGHEST_QUICK:
                rows = rows_in(stream, show_name(job.source), layout, max_pixels=max_pixels)
                if rows is not None:
                    chosen_options = {**mapped, "quality": level, "lossless": lossless, "effort": effort}
                    alone, size = len(todo.jobs) == 1, stream.seek(0, io.SEEK_END)
                    return encode_by_rows(codec, job, rows, chosen_options, many, kinds, bytes_in=size, alone=alone)
            picture = read_picture(stream, name=show_name(job.source), **reading)
            bytes_in = stream.seek(0, io.SEEK_END)
        picture, notes = kept_of(picture, kinds)
        if not quiet:
            tell((*picture.notes, *notes), show_name(job.source))
        interrupted = False
        found: list[str] = []
        arguments = {**mapped, **wanted.arguments, "effort": effort}
        if wanted.chooses or wanted.arguments:
            arguments["notes"] = found
        if lossless:
            arguments["lossless"] = True
        if quality_map is None and effort > HIGHEST_QUICK and not lossless:
            with patience(todo.stop, show=len(todo.jobs) == 1 and not quiet) as progress:
                encode = partial(codec.encode, picture, level, progress=progress, **arguments)
                data = encode() if shares is None else shares.encode(job, encode)
            interrupted = progress.interrupted
        elif quality_map is None:
            encode = partial(codec.encode, picture, level, **arguments)
            data = encode() if shares is None else shares.encode(job, encode)
        else:
            from glissando.picture.heat import draw_bits

            drawn = given_level
            if wanted.arguments:
                data = codec.encode(picture, level, **arguments)
                drawn = glissando.probe(data).quality
            file, bits = codec.encode_with_bits(picture, drawn, effort=effort, **mapped)
            data = data if wanted.arguments else file
            heat = draw_bits(eight_bits(picture), bits, side=codec.pixels_per_latent)
            write_picture(Picture(heat), quality_map, format="png")
        if not quiet:
            tell(found, show_name(job.source))
        many.write(job, data)
        pixels = picture.width * picture.height
        line = (
            f"{show_name(job.source)} -> {show_name(job.dest, output=True)}: {len(data):,} bytes, "
            f"{8 * len(data) / pixels:.3f} bpp, {100 * len(data) / max(bytes_in, 1):.1f} % of the input"
        )
        if wanted.chooses or wanted.arguments:
            line += f", quality {glissando.probe(data).quality:.4g}"
        if interrupted:  # the file is whole; what would come after it is not begun
            if not quiet:
                say(line)
            raise KeyboardInterrupt
        return Done(line, bytes_in, len(data), pixels)

    return run(todo, work, many)
