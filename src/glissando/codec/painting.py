"""From what a family's decoder graph takes to pixels, at full size or reduced.

The last layer of the synthesis makes the 3·8·8 samples of a patch of 8 by 8 pixels out of the features at its place, by
one matrix. The mean of samples is the same matrix with the mean of its rows. So a picture reduced by 2, 4 or 8 comes
from the same networks with a smaller last layer, exactly, and without the pixels in between.

Reduced by 16, a picture has one pixel for each latent, and that pixel is nearly linear in the latent's channels: a
model may have a matrix for it (``zoo.model.BLOCK_MEANS``), and then nothing of the synthesis runs at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.zoo.model import PATCH

from .engine import Engine
from .reduction import box_means

__all__ = ["Paint", "largest_factor", "painter", "prepare"]

Paint = Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]
"""The inputs of a window to its pixels, (height, width, 3): float32, 0 black and 1 white, or uint8."""


def largest_factor(engine: Engine) -> int:
    """By how much pictures can be reduced while they are painted."""
    return 2 * PATCH if engine.model.block_means is not None else PATCH


def prepare(engine: Engine, factor: int, precision: str, depth: int) -> None:
    """Begin to compile the graph that ``painter`` takes, in the background."""
    if factor > 1 and engine.reduces(factor):
        engine.prepare_reduced(factor, precision)
    else:
        engine.prepare(_whole(engine, depth), precision)


def painter(engine: Engine, factor: int, precision: str, depth: int) -> Paint:
    """What paints windows reduced by a factor, 1 or one of ``FACTORS`` up to the ``largest_factor``.

    ``depth``: bits of the samples that are wanted; for 8 at full size they are rounded already.
    """
    if factor == 1 or not engine.reduces(factor):
        whole = engine.graph(_whole(engine, depth), precision)
        return lambda inputs: box_means(whole(**inputs)[0][0], factor)
    run = engine.prepare_reduced(factor, precision).result()
    if factor <= PATCH:
        return lambda inputs: _of_patches(run(**inputs)[0][0] + np.float32(0.5))
    means = engine.model.block_means
    assert means is not None

    def paint(inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        channels, height, width = (latents := run(**inputs)[0]).shape[1:]
        pixels = means["weight"].T @ latents.reshape(channels, -1) + means["bias"][:, None]
        return np.moveaxis(pixels.reshape(3, height, width), 0, -1)

    return paint


def _whole(engine: Engine, depth: int) -> str:
    """The graph that makes all pixels, for samples of ``depth`` bits."""
    family = engine.family
    return (family.decoder_graph_8bit if depth == 8 else None) or family.decoder_graph


def _of_patches(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples of square patches, (3·side², rows, columns) as a pixel shuffle takes them, as pixels."""
    count, rows, columns = samples.shape
    side = int((count // 3) ** 0.5)
    pixels = samples.reshape(3, side, side, rows, columns).transpose(3, 1, 4, 2, 0)
    return pixels.reshape(rows * side, columns * side, 3)
