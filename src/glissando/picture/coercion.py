"""What may become a picture: an array, a Pillow image, or a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glissando.errors import InputError

from .picture import Picture, Pixels, check_size

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["as_picture"]


def as_picture(source: Pixels | Image.Image | Picture, *, convert: bool = False, depth: int | None = None) -> Picture:
    """Take an array, a Pillow image or a picture as a picture.

    Args:
        source: uint8 or uint16 array (H, W) or (H, W, 1), grey; (H, W, 3), RGB; (H, W, 2) or (H, W, 4), the same with
            opacity; a Pillow image, whose EXIF orientation is applied as it is for files; or a :class:`Picture`,
            returned as it is.
        convert: for a Pillow image, as in :func:`~glissando.picture.read_picture`.
        depth: bits of an array's samples, 9 to 16 for uint16; unless given, as many as its type has.

    Raises:
        InputError: an array of another type or shape, samples beyond the depth, a depth for what is no array, or some
            other object.
        PictureError: a Pillow image that cannot be carried without a conversion.
    """
    if depth is not None and not isinstance(source, np.ndarray):
        raise InputError("depth is for arrays; a picture has its own")
    if isinstance(source, Picture):
        return source
    if isinstance(source, np.ndarray):
        return Picture(np.asarray(source), depth=depth)  # a plain array, of a matrix too, which has indices of its own
    from PIL import Image

    if isinstance(source, Image.Image):
        from .conversion import from_pillow

        check_size(source.width, source.height, None, "image")
        return from_pillow(source, convert=convert, name="image")
    raise InputError(
        f"a picture must be a NumPy array of uint8 or uint16, a PIL.Image or a Picture, not {type(source).__name__}"
    )
