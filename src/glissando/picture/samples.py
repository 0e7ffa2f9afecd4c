"""Samples as something else wants them: of another depth, without opacity."""

from __future__ import annotations

import importlib

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


def fitted(picture: Picture, format: str, writing: Writing) -> tuple[Pixels, int, list[str]]:
    """A picture's samples as a format of files has them, how many bits these have, and a note for what is lost."""
    samples, depth, notes = picture.pixels, picture.format.depth, []
    if picture.alpha is not None and not writing.has_alpha:
        samples = over_white(samples, depth)
        notes.append(f"{format} carries no transparency; it is blended over white")
    most = writing.depths[-1]
    wanted = next((bits for bits in writing.depths if bits >= depth), most)
    with_package = ""
    if wanted > 8 and writing.deep_package and not _is_installed(writing.deep_package):
        wanted, with_package = 8, f" ({most} with the package {writing.deep_package})"
    if wanted < depth:
        notes.append(f"{format} carries {wanted} bits per sample{with_package}; {depth} bits are rounded")
    return scaled(samples, depth, wanted), wanted, notes


def _is_installed(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True
