"""The matrix from a latent's channels to about the mean of its pixels, fitted to pictures; see ``painting``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import Reader
from glissando.errors import InputError
from glissando.picture import Pixels
from glissando.zoo.arrays import write_arrays
from glissando.zoo.model import BLOCK_MEANS, PATCH, checksum

from .codec import Codec
from .geometry import Grid
from .reduction import box_means

__all__ = ["QUALITIES", "SIDE", "fitted", "install"]

QUALITIES = (20.0, 50.0, 80.0)
"""Pictures are coded at each of these in turn."""
RIDGE = 1e-4  # of the mean square of a channel: keeps channels that are hardly used from growing
SIDE = 2 * PATCH
"""Pixels of a side that a latent must cover."""


def fitted(codec: Codec, pictures: Iterable[Pixels]) -> dict[str, NDArray[np.float32]]:
    """The arrays of ``BLOCK_MEANS`` for a codec's model: least squares over all latents of these pictures.

    ``pictures``: at least one, (height, width, 3) uint8, of at least 64 by 64 pixels, of which whole cells are looked
    at. Raises InputError where the model's family has no latents of 16 by 16 pixels that a synthesis reads.
    """
    if codec.pixels_per_latent != SIDE:
        raise InputError(f"a latent of model {codec.name} covers {codec.pixels_per_latent} pixels, not {SIDE}")
    run = codec.engine.latents()
    squares: NDArray[np.float64] = np.zeros(())
    products: NDArray[np.float64] = np.zeros(())
    for number, picture in enumerate(pictures):
        height, width = (side // 64 * 64 for side in picture.shape[:2])
        data = codec.encode(np.ascontiguousarray(picture[:height, :width]), QUALITIES[number % len(QUALITIES)])
        symbols = codec.decode_symbols(data)
        header = Reader(data).header
        grid = Grid(header.width, header.height, header.tile_log2, codec.coding.latents_per_cell)
        inputs = codec.coding.decoder_inputs(symbols.latents, symbols.quality)
        means = box_means(codec.decode(data).astype(np.float64) / 255, SIDE)
        for window in codec.engine.windows(grid):
            (latents,) = run(**inputs(window))
            channels = np.moveaxis(latents[0], 0, -1)[window.inner_of_result(4)]
            rows = channels.reshape(-1, channels.shape[-1]).astype(np.float64)
            rows = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
            squares = squares + rows.T @ rows
            products = products + rows.T @ means[window.inner(4)].reshape(-1, 3)
    matrix = np.linalg.solve(squares + RIDGE * np.diag(np.diag(squares)), products).astype(np.float32)
    return {"weight": matrix[:-1], "bias": matrix[-1]}


def install(folder: Path, arrays: dict[str, NDArray[np.float32]]) -> None:
    """Put the arrays into a model's folder, and the file's checksum onto its card. The model's hash stays."""
    write_arrays(folder / BLOCK_MEANS, arrays)
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    card["files"][BLOCK_MEANS] = checksum((folder / BLOCK_MEANS).read_bytes())
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
