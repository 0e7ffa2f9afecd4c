"""Samples as something else wants them: of another depth, without opacity."""

from __future__ import annotations

import numpy as np

from .formats import Writing
from .picture import Picture, Pixels

__all__ = ["eight_bits", "fitted", "over_white", "scaled"]


def scaled(samples: Pixels, depth: int, wanted: int) -> Pixels:
    """Samples of ``depth`` bits as those of ``wanted`` bits, rounded to the nearest: white stays white."""
    if depth == wanted:
        return samples
    top, other = (1 << depth) - 1, (1 << wanted) - 1
    return ((samples.astype(np.uint32) * other + top // 2) // top).astype(np.uint8 if wanted <= 8 else np.uint16)


def over_white(samples: Pixels, depth: int) -> Pixels:
    """Samples with opacity, (height, width, 2) or (height, width, 4), over white: without opacity."""
    top = (1 << depth) - 1
    colour, alpha = samples[..., :-1].astype(np.uint32), samples[..., -1:].astype(np.uint32)  # sums are at most top^2
    mixed = ((colour * alpha + top * (top - alpha) + top // 2) // top).astype(samples.dtype)
    return mixed[:, :, 0] if mixed.shape[2] == 1 else mixed


def eight_bits(picture: Picture) -> Pixels:
    """A picture's colours in 8 bits, (height, width) or (height, width, 3); where it has opacity, over white."""
    samples, depth = picture.pixels, picture.format.depth
    return scaled(samples if picture.alpha is None else over_white(samples, depth), depth, 8)


def fitted(picture: Picture, format: str, writing: Writing) -> tuple[Pixels, list[str]]:
    """A picture's samples as a format of files has them, of 8 or 16 bits, and a note for what is lost by it."""
    samples, depth, notes = picture.pixels, picture.format.depth, []
    if picture.alpha is not None and not writing.has_alpha:
        samples = over_white(samples, depth)
        notes.append(f"{format} carries no transparency; it is blended over white")
    wanted = 16 if depth > 8 and writing.depth == 16 else 8
    if wanted < depth:
        notes.append(f"{format} carries 8 bits per sample; {depth} bits are rounded")
    return scaled(samples, depth, wanted), notes
