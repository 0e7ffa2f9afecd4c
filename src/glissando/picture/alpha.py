"""Opacity, in whichever way a picture has it, as a last channel of samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .picture import Pixels

__all__ = ["divided_by_opacity", "samples_of", "with_transparent_colour", "without_opaque"]

_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


def samples_of(image: Image.Image) -> NDArray[np.uint8]:
    """The 8-bit samples of a loaded image: (height, width), or (height, width, channels) of which 2 and 4 have opacity.

    Palettes are expanded, and colours that are multiplied by their opacity divided by it.
    """
    grey = image.mode in ("1", "L", "LA", "La")
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        if image.mode == "La":  # Pillow converts it to no mode but its own
            image = image.convert("LA")
        if image.mode == "1":  # in RGBA its transparent colour is found
            image = image.convert("RGBA")
            return without_opaque(np.asarray(image)[:, :, [0, 3]])
        wanted = "LA" if grey else "RGBA"
        return without_opaque(np.asarray(image if image.mode == wanted else image.convert(wanted)))
    wanted = "L" if grey else "RGB"
    return np.asarray(image if image.mode == wanted else image.convert(wanted))


def with_transparent_colour(samples: Pixels, colour: int | tuple[int, ...], depth: int) -> Pixels:
    """Opaque samples with opacity as one more channel: 0 where they are of one colour, else that of white.

    Args:
        samples: (height, width) or (height, width, 3).
        colour: the transparent one, as PNG's chunk tRNS has it.
    """
    found = samples == np.array(colour, samples.dtype)
    hidden = found.all(axis=2) if samples.ndim == 3 else found
    alpha = np.where(hidden, 0, (1 << depth) - 1).astype(samples.dtype)
    return np.dstack([samples, alpha])


def divided_by_opacity(samples: Pixels, depth: int) -> Pixels:
    """Samples whose colours are multiplied by their opacity as such with colours of their own.

    Args:
        samples: (height, width, 2) or (height, width, 4), of which the last channel is the opacity.
        depth: bits of a sample.
    """
    top = (1 << depth) - 1
    alpha = np.maximum(samples[..., -1:].astype(np.uint32), 1)
    colour = np.minimum((samples[..., :-1].astype(np.uint32) * top + alpha // 2) // alpha, top)
    return np.concatenate([colour.astype(samples.dtype), samples[..., -1:]], axis=2)


def without_opaque(samples: Pixels, depth: int = 8) -> Pixels:
    """The samples, without their opacity where all of them are opaque."""
    if samples.ndim == 2 or samples.shape[2] not in (2, 4) or int(samples[..., -1].min()) < (1 << depth) - 1:
        return samples
    return samples[:, :, 0] if samples.shape[2] == 2 else samples[:, :, :3]
