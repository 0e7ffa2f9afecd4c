"""``glissando meta``: the metadata of a .gliss file, shown or changed; its pixels' streams stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glissando.cli.common import (
    STANDARD,
    Debug,
    Quiet,
    examples,
    guarded,
    is_ours,
    open_bytes,
    refuse_terminal,
    say,
    show_error,
)
from glissando.cli.loop import show_name
from glissando.cli.streams import tell, write_output
from glissando.errors import GlissandoError

if TYPE_CHECKING:
    from glissando.picture import Cicp, Density, Metadata

EXAMPLES = examples(
    ("glissando meta photo.gliss", "what the file carries"),
    ("glissando meta photo.gliss --remove exif --remove xmp", "forget who, where and when"),
    ("glissando meta photo.gliss --remove all --out bare.gliss", "a copy without any"),
    ("glissando meta photo.gliss --remove exif --quiet --debug", "no notes, and where errors come from"),
    ("glissando meta photo.gliss --set icc=display-p3.icc", "from a file"),
    ("glissando meta photo.gliss --set comment='At the lake'", "a text"),
    ("glissando meta photo.gliss --set dpi=300 --set cicp=12/13", "density; code points of the colours"),
)

_FROM_FILES = ("icc", "exif", "xmp", "iptc")


@guarded
def meta(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .gliss file; - is standard input.")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="icc, exif, xmp or iptc and a file's name; comment and a text; dpi and a number or two (300, 72x96); "
            "cicp and two code points of ITU-T H.273 (9/16). May be given several times.",
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="NAME", help="One of these, or text, or all. May be given several times."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="OUT", help="The file to write, - for standard output; FILE unless given."),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Show or change the metadata of a .gliss file.

    No model is loaded and no picture decoded: the streams of the pixels are copied as they are. The file is replaced
    when the new one is complete.
    """
    from glissando.bitstream import ANY_SIZE, Reader
    from glissando.codec.metadata import BOXES, edit_metadata, metadata_in

    names = {**{name: name for name in BOXES}, "dpi": "density", "comment": "text"}
    removed = [*BOXES] if remove and "all" in remove else [_known(name, names, "--remove") for name in remove or ()]
    changes = [_change(text, names) for text in set_ or ()]
    if out is None:
        out = file
    if (changes or removed) and out == STANDARD:
        refuse_terminal()
    try:
        with open_bytes(file, is_ours) as stream, Reader(stream, limits=ANY_SIZE) as reader:
            if not changes and not removed:
                found, notes = metadata_in({name: reader.box(name) for name in reader.layout.boxes})
                tell(_describe(show_name(file), found))
                for note in notes:
                    say(f"glissando: {show_name(file)}: note: {note}")
                return 0
            wanted, remarks = _metadata(changes, reader.header.width, reader.header.height)
            data = edit_metadata(reader, set=wanted, remove=removed, limits=ANY_SIZE)
    except (GlissandoError, OSError) as error:
        show_error(error, show_name(file))
        return 1
    write_output(out, data, sync=True)  # it may replace the only copy of a picture
    for note in () if quiet else remarks:
        say(f"glissando: {show_name(file)}: note: {note}")
    return 0


def _known(name: str, names: dict[str, str], option: str) -> str:
    if name not in names:
        known = ", ".join(names)
        raise typer.BadParameter(f"no metadata {name!r}; known: {known}", param_hint=option)
    return names[name]


def _change(text: str, names: dict[str, str]) -> tuple[str, Any]:
    """The attribute of ``Metadata`` that ``NAME=VALUE`` sets, and its value; of a block, the name of its file."""
    name, equals, value = text.partition("=")
    attribute = _known(name, names, "--set")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
    if attribute == "density":
        return attribute, _density(value)
    if attribute == "cicp":
        return attribute, _cicp(value)
    if attribute == "text":
        return attribute, (("Comment", value),)
    return attribute, value


def _density(value: str) -> Density:
    from glissando.picture import Density

    try:
        numbers = [float(number) for number in value.split("x")]
        found = Density.of_dpi(numbers[0], numbers[-1]) if len(numbers) <= 2 else None
    except ValueError:
        found = None
    if found is None:
        raise typer.BadParameter(
            f"{value!r} is no number of pixels per inch, nor two with x between", param_hint="--set"
        )
    return found


def _cicp(value: str) -> Cicp:
    from glissando.picture import Cicp

    try:
        primaries, transfer = (int(number) for number in value.split("/"))
        return Cicp(primaries, transfer)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not PRIMARIES/TRANSFER, each 0 to 255", param_hint="--set") from None


def _metadata(changes: list[tuple[str, Any]], width: int, height: int) -> tuple[Metadata, list[str]]:
    """What the changes set, of a picture of this size, and notes."""
    from glissando.picture import Metadata
    from glissando.picture.exif import orientation_of, readable, set_upright

    values, notes = dict(changes), []
    for name in _FROM_FILES:
        if name in values:
            values[name] = Path(values[name]).read_bytes()
    if exif := values.get("exif"):
        exif = exif.removeprefix(b"Exif\0\0")
        if not readable(exif):
            raise typer.BadParameter("EXIF begins with its TIFF header, II or MM; this does not", param_hint="--set")
        if orientation_of(exif) != 1:
            notes.append("the EXIF asks to turn the picture, which is upright; its orientation is set to 1")
        values["exif"], more = set_upright(exif, width, height)
        notes += more
    return Metadata(**values), notes


def _describe(name: str, found: Metadata) -> str:
    from glissando.picture.icc import description

    rows = []
    if found.icc is not None:
        title = description(found.icc)
        rows.append(("icc", f"{title + ', ' if title else ''}{len(found.icc):,} bytes"))
    if found.cicp is not None:
        rows.append(("cicp", f"{found.cicp.primaries}/{found.cicp.transfer}, {found.cicp}"))
    rows += [(key, f"{len(value):,} bytes") for key in _FROM_FILES[1:] if (value := getattr(found, key)) is not None]
    if found.density is not None:
        x, y = found.density.dpi if found.density.metric else (found.density.x, found.density.y)
        unit = "pixels per inch" if found.density.metric else "width to height"
        rows.append(("dpi", f"{x:g} x {y:g} {unit}"))
    for keyword, content in found.text:
        line = " ".join(content.split())
        rows.append(("text", f"{keyword}: {line[:70]}{'…' if len(line) > 70 else ''}"))
    if not rows:
        return f"{name}\n  no metadata"
    width = max(len(title) for title, _ in rows)
    return "\n".join([name, *(f"  {title:<{width}}  {text}" for title, text in rows)])
