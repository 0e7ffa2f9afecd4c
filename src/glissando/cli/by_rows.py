"""Pictures that the commands read, code and write some rows at a time, since all of them would take too much memory."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from glissando.cli.common import STANDARD, say
from glissando.cli.loop import Done, show_name
from glissando.cli.many import Many
from glissando.cli.patience import bar
from glissando.cli.streams import open_output, write_output

if TYPE_CHECKING:
    from glissando.cli.planning import Job
    from glissando.codec import Codec
    from glissando.picture import Metadata, Picture, PictureRows, PixelFormat, Pixels
    from glissando.picture.raw_rows import RawLayout
    from glissando.picture.row_writing import ComingRows

__all__ = ["LARGE", "OneBand", "Raw", "decode_by_rows", "encode_by_rows", "raw_layout", "rows_in"]

LARGE = 2**25
"""Pixels from which on pictures are read and written by rows, where their files can be."""

Raw = Annotated[
    str | None,
    typer.Option(
        "--raw",
        metavar="WxH[xC][u8|u16]",
        help="IN holds samples alone, row by row: W by H pixels of C channels (3 unless given; 1 grey, 2 and 4 with "
        "opacity) of 8 bits or, low byte first, 16.",
    ),
]


def raw_layout(text: str | None) -> RawLayout | None:
    """What --raw says. Raises BadParameter where it says nothing."""
    if text is None:
        return None
    from glissando.errors import InputError
    from glissando.picture.raw_rows import RawLayout

    try:
        return RawLayout.of(text)
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint="--raw") from None


def rows_in(stream: IO[bytes], name: str, layout: RawLayout | None, *, max_pixels: int) -> PictureRows | None:
    """The rows of a picture; None where it is small, or its file has to be read whole.

    Raises PictureError as ``picture.row_reading.open_rows``.
    """
    from glissando.picture.raw_rows import open_raw
    from glissando.picture.row_reading import rows_of

    if layout is not None:
        return open_raw(stream, name, layout, max_pixels=max_pixels)
    rows = rows_of(stream, name, max_pixels=max_pixels)
    if rows is None or rows.width * rows.height < LARGE:
        stream.seek(0)
        return None
    return rows


def encode_by_rows(
    codec: Codec,
    job: Job,
    rows: PictureRows,
    options: dict[str, Any],
    many: Many,
    kinds: tuple[str, ...] | None,
    *,
    bytes_in: int,
    alone: bool,
) -> Done:
    """Encode a picture as its rows are read. ``options``: of ``Codec.encode_rows``; ``alone``: no other job runs."""
    from glissando.picture import kept_of
    from glissando.picture.rows import WithMetadata

    metadata, notes = kept_of(rows.metadata, kinds)
    if not many.quiet:
        for note in (*rows.notes, *notes):
            say(f"glissando: {show_name(job.source)}: note: {note}")
    rows = WithMetadata(rows, metadata)
    with bar("encoding") if alone and not many.quiet else nullcontext() as progress:
        if job.dest == STANDARD:
            out = io.BytesIO()
            size = codec.encode_rows(rows, out, progress=progress, **options)
            write_output(job.dest, out.getbuffer())
        else:
            size = codec.encode_rows(rows, job.dest, progress=progress, sync=many.sync, like=many.like(job), **options)
    pixels = rows.width * rows.height
    line = (
        f"{show_name(job.source)} -> {show_name(job.dest, output=True)}: {size:,} bytes, "
        f"{8 * size / pixels:.3f} bpp, {100 * size / max(bytes_in, 1):.1f} % of the input"
    )
    return Done(line, bytes_in, size, pixels)


class OneBand(Iterator["Pixels"]):
    """A picture in memory as rows that come, all at once (``picture.row_writing.ComingRows``)."""

    def __init__(self, picture: Picture) -> None:
        self.width, self.height, self.format = picture.width, picture.height, picture.format
        self.metadata: Metadata = picture
        self._bands = iter([picture.pixels])

    def __next__(self) -> Pixels:
        return next(self._bands)


class _Watched(Iterator["Pixels"]):
    """Rows that come, and a progress that is told how many of them have."""

    def __init__(self, rows: ComingRows, progress: Callable[[float], object] | None) -> None:
        self.width, self.height, self.format, self.metadata = rows.width, rows.height, rows.format, rows.metadata
        self._rows, self._progress, self._done = rows, progress, 0

    def __next__(self) -> Pixels:
        if self._progress is not None:
            self._progress(self._done / self.height)
        pixels = next(self._rows)
        self._done += len(pixels)
        return pixels


def decode_by_rows(
    job: Job, rows: ComingRows, kind: str, many: Many, *, bytes_in: int, alone: bool
) -> tuple[Done, tuple[str, ...]]:
    """Write a picture as its rows come, in the format ``kind``; and the notes of writing. ``alone``: as above."""
    from glissando.picture.row_writing import RAW, layout_of, write_rows

    name = show_name(job.dest, output=True)
    with (
        open_output(job.dest, sync=many.sync, like=many.like(job)) as out,
        bar("decoding") if alone and not many.quiet else nullcontext() as progress,
    ):
        coming = _Watched(rows, progress)
        # An output that is named by its number may be one that is written at its end alone.
        if kind.startswith("tif") and (isinstance(getattr(out, "name", None), int) or not out.seekable()):
            with tempfile.TemporaryFile() as whole:
                notes, size = write_rows(coming, whole, kind, name=name)
                whole.seek(0)
                shutil.copyfileobj(whole, out, 2**20)
        else:
            notes, size = write_rows(coming, out, kind, name=name)
    format: PixelFormat = rows.format
    shape = f"{rows.width}x{rows.height}"
    layout = f" ({shape}{layout_of(format)})" if kind in RAW else ""
    line = f"{show_name(job.source)} -> {name}: {shape}{' grey' if format.grey else ''}{layout}, {size:,} bytes"
    return Done(line, bytes_in, size, rows.width * rows.height), notes
