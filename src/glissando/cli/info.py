"""``glissando info``: what a .gliss or .glissa file holds, without decoding the picture."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from glissando.cli.common import Debug, MaxPixels, examples, guarded, is_ours, open_bytes, show_error
from glissando.cli.loop import show_name
from glissando.cli.streams import tell
from glissando.errors import GlissandoError

if TYPE_CHECKING:
    from glissando import Info, Reader
    from glissando.bayes import ArrayInfo

EXAMPLES = examples(
    ("glissando info photo.gliss", "size, quality, model, bytes per part"),
    ("glissando info photo.gliss --json", "the same for programs"),
    ("glissando info photo.gliss --importance map.png", "the map of importance that the file was made with"),
    ("glissando info huge.gliss --importance map.png --max-pixels 1000000000", "of a picture beyond the limit"),
    ("glissando info broken.gliss --debug", "where an error comes from"),
    ("glissando info weights.glissa", "arrays, shapes, bits per value"),
)

_ARRAYS = b"\x89GLA"  # how files of arrays begin


@guarded
def info(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .gliss or .glissa file; - is standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    importance: Annotated[
        str | None,
        typer.Option(
            "--importance",
            metavar="OUT.png",
            help="Write the file's map of importance: grey, mid-grey where it is neutral, as large as the picture.",
        ),
    ] = None,
    max_pixels: MaxPixels = 2**28,
    debug: Debug = False,
) -> int:
    """Say what a .gliss or .glissa file holds.

    A picture's size, quality and model, and the bytes of each part; or arrays with their shapes and rates. No
    network is loaded, and no picture is decoded.
    """
    import glissando
    from glissando.bitstream import ANY_SIZE

    try:
        with open_bytes(file, is_ours) as stream:
            start = stream.read(len(_ARRAYS))
            stream.seek(0)
            if start == _ARRAYS:
                if importance is not None:
                    raise typer.BadParameter("a file of arrays has no map", param_hint="--importance")
                return _show_arrays(file, stream.read(), as_json=as_json)
            with glissando.Reader(stream, limits=ANY_SIZE) as picture:
                found = glissando.probe(picture)
                if importance is not None:
                    _write_map(picture, importance, max_pixels)
    except (GlissandoError, OSError) as error:
        show_error(error, show_name(file))
        return 1
    if as_json:
        tell(
            json.dumps(
                {"file": file, **dataclasses.asdict(found), "lossless": found.lossless, "bpp": found.bpp}, indent=2
            )
        )
    else:
        tell(_describe(show_name(file), found))
    return 0


def _write_map(file: Reader, path: str, max_pixels: int) -> None:
    import numpy as np

    from glissando.codec.info import read_quality_field
    from glissando.picture import Picture, write_picture

    grid, field = read_quality_field(file, max_pixels=max_pixels)
    largest = max(float(np.abs(field.offsets).max()), 1 / 256)
    grey = np.rint(127.5 + 127.5 / largest * field.offsets).clip(0, 255).astype(np.uint8)
    write_picture(Picture(grid.over_pixels(grey)), path, format="png")


def _show_arrays(file: str, data: bytes, *, as_json: bool) -> int:
    from glissando.bayes import probe_arrays

    found = probe_arrays(data)
    values = sum(array.size for array in found)
    bits = 8 * len(data) / max(values, 1)
    if as_json:
        arrays = [{**dataclasses.asdict(a), "bits_per_value": a.bits_per_value} for a in found]
        whole = {"file": file, "file_bytes": len(data), "values": values, "bits_per_value": bits, "arrays": arrays}
        tell(json.dumps(whole, indent=2))
        return 0
    count = "1 array" if len(found) == 1 else f"{len(found)} arrays"
    tell(f"{show_name(file)}\n  {count}, {values:,} values, {len(data):,} bytes, {bits:.3f} bits per value")
    heads = [("array", "shape", "type", "bytes", "bits/value", "prior", "tables", "max bits")]
    rows = heads + [_array_row(array) for array in found]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        tell("  " + "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _array_row(array: ArrayInfo) -> tuple[str, ...]:
    shape = "x".join(map(str, array.shape)) or "scalar"
    row = (array.name or "-", shape, array.dtype, f"{array.payload_bytes:,}", f"{array.bits_per_value:.3f}")
    if array.prior is None:
        return (*row, "kept as it is", "-", "-")
    groups = "" if array.groups == 1 else f", {array.groups} groups"
    return (*row, array.prior + groups, str(array.mode), str(array.max_bits))


def _describe(name: str, found: Info) -> str:
    tiles = "1 tile" if found.tiles == 1 else f"{found.tiles} tiles"
    rows = [
        ("size", f"{found.width} x {found.height}, {found.format}"),
        ("quality", "lossless" if found.lossless else f"{found.quality:g}"),
        ("model", "none" if found.lossless else f"{found.model or 'not installed'} ({found.model_hash})"),
        ("file", f"{found.file_bytes:,} bytes, {found.bpp:.3f} bpp"),
    ]
    for part, size in found.parts.items():
        rows.append((f"  {part}", f"{size:,} bytes, {100 * size / max(found.file_bytes, 1):.1f} %"))
    if found.importance is not None:
        offsets = ", ".join(f"{offset:+g}" if offset else "0" for offset in found.importance)
        rows.append(("importance", f"a map; quality {offsets}"))
    if found.boxes:
        rows.append(("carries", ", ".join(f"{box.strip()} ({size:,} bytes)" for box, size in found.boxes.items())))
    rows.append(("tiles", f"{tiles} of {found.tile} x {found.tile}"))
    rows.append(("format", f"version {found.format_version}"))
    width = max(len(title) for title, _ in rows)
    return "\n".join([name, *(f"  {title:<{width}}  {text}" for title, text in rows)])
