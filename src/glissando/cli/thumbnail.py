"""``glissando thumbnail``: what Linux desktops call to show a .gliss file small (see ``share/thumbnailers``)."""

from __future__ import annotations

from typing import Annotated

import typer

from glissando.cli.common import Debug, examples, guarded

EXAMPLES = examples(("glissando thumbnail --size 256 photo.gliss small.png", "at most 256 pixels wide and high"))


@guarded
def thumbnail(
    source: Annotated[str, typer.Argument(metavar="IN", show_default=False, help="A .gliss file.")],
    out: Annotated[str, typer.Argument(metavar="OUT", show_default=False, help="The PNG to write.")],
    size: Annotated[
        int, typer.Option("--size", min=1, max=4096, metavar="N", help="Pixels of the longer side, at most.")
    ] = 256,
    debug: Debug = False,
) -> int:
    """Write a small PNG of a picture, in colours that a screen shows.

    OUT is written in place, as desktops expect it, which make it before.
    """
    import io

    import numpy as np
    from PIL import Image

    import glissando.pillow  # noqa: F401  (its import makes Pillow read our files)
    from glissando.errors import PictureError
    from glissando.picture import scaled

    try:
        with Image.open(source) as image:
            image.thumbnail((size, size))
            deep = image.mode == "I;16"  # which Pillow cuts off at 255, rather than to scale it
            small = Image.fromarray(scaled(np.asarray(image), 16, 8)) if deep else image
            data = io.BytesIO()
            small.save(data, "PNG", icc_profile=image.info.get("icc_profile"))
    except Image.DecompressionBombError as error:
        raise PictureError(f"{source}: {error}") from error
    with open(out, "wb") as file:
        file.write(data.getbuffer())
    return 0
