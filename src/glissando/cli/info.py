"""``glissando info``: what a .gliss file holds, from its header alone."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from glissando.cli.batch import show_name
from glissando.cli.common import Debug, examples, guarded, read_bytes, show_error
from glissando.errors import GlissandoError

if TYPE_CHECKING:
    from glissando import Info

EXAMPLES = examples(
    ("glissando info photo.gliss", "size, quality, model, bytes per part"),
    ("glissando info photo.gliss --json", "the same for programs"),
)


@guarded
def info(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .gliss file; - is standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    debug: Debug = False,
) -> int:
    """Say what a .gliss file holds.

    Its size, quality and model, and the bytes of each part; no network is loaded.
    """
    import glissando

    try:
        found = glissando.probe(read_bytes(file))
    except (GlissandoError, OSError) as error:
        show_error(error, show_name(file))
        return 1
    if as_json:
        typer.echo(json.dumps({"file": file, **dataclasses.asdict(found), "bpp": found.bpp}, indent=2))
    else:
        typer.echo(_describe(show_name(file), found))
    return 0


def _describe(name: str, found: Info) -> str:
    tiles = "1 tile" if found.tiles == 1 else f"{found.tiles} tiles"
    rows = [
        ("size", f"{found.width} x {found.height}, {'grey' if found.grey else 'RGB'}"),
        ("quality", f"{found.quality:g}"),
        ("model", f"{found.model or 'not installed'} ({found.model_hash})"),
        ("file", f"{found.file_bytes:,} bytes, {found.bpp:.3f} bpp"),
    ]
    for part, size in found.parts.items():
        rows.append((f"  {part}", f"{size:,} bytes, {100 * size / max(found.file_bytes, 1):.1f} %"))
    if found.boxes:
        rows.append(("carries", ", ".join(f"{box.strip()} ({size:,} bytes)" for box, size in found.boxes.items())))
    rows.append(("tiles", f"{tiles} of {found.tile} x {found.tile}"))
    rows.append(("format", f"version {found.format_version}"))
    width = max(len(title) for title, _ in rows)
    return "\n".join([name, *(f"  {title:<{width}}  {text}" for title, text in rows)])
