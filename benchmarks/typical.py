"""What sizes and scores are on average, and what they are for a picture as busy as this: where searches begin.

    python -m benchmarks.typical src/glissando/codec/typical.json --data DIR      # DIR holds train/

Training tiles that are photographs are coded by the default model at the qualities that the curves have. The curves are
the means; what a picture's three activities move them by is fitted by least squares at each quality, once more without
the tiles that lie farthest off. At the highest quality, where corrections make bytes and scores jump, both go on as
they rise below it. Nothing but the time of a search depends on these numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glissando
from glissando.bench.metrics import psnr
from glissando.codec.activity import activity
from glissando.codec.scores import Ssimulacra2
from glissando.codec.typical import QUALITIES
from glissando.errors import GlissandoError
from glissando.files import atomic_write
from glissando.training.data import load_tiles, training_folder

from .api import Pixels
from .tiles import evenly_chosen_tiles

__all__ = ["curves", "fitted", "main"]

TILES = 64
NAMES = ("log_bpp", "psnr", "ssimulacra2")
FAR = 3.0  # standard deviations: tiles that lie farther from what was foretold take no part in the second fit


def curves(codec: Any, pixels: Pixels) -> NDArray[np.float64] | None:
    """The logarithm of bits per pixel, PSNR and SSIMULACRA 2 of a picture's files: (3, qualities), without the highest.

    None for what is no photograph: a picture of which parts may be coded exactly.
    """
    analysed, score = codec.analyse(pixels), Ssimulacra2(pixels, 8)
    if analysed.exact:
        return None
    found = []
    for quality in QUALITIES[:-1]:
        data = codec.encode_analysed(analysed, quality)
        shown = codec.decode(data)
        found.append((np.log(8 * len(data) / pixels[..., 0].size), psnr(pixels, shown), score(shown)))
    return np.array(found).T


def fitted(busy: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the activities move a curve by: (qualities, 1 + activities), the first of them to all pictures alike.

    ``busy``: (pictures, activities), less their means. ``values``: (pictures, qualities), less their means.
    """
    design = np.column_stack([np.ones(len(busy)), busy])
    kept = np.ones(len(busy), bool)
    for _ in range(2):
        by_activity = np.linalg.lstsq(design[kept], values[kept], rcond=None)[0]
        off = values - design @ by_activity
        kept = (np.abs(off) <= FAR * off[kept].std(axis=0)).all(axis=1)
    return np.asarray(by_activity.T, np.float64)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the file was written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.typical", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument("--data", type=Path, help="folder that holds train/; $GLISSANDO_DATA unless given")
    parser.add_argument("--tiles", type=int, default=TILES)
    given = parser.parse_args(arguments)
    try:
        training = load_tiles(training_folder(given.data and given.data / "train")).training
        tiles = evenly_chosen_tiles(training, min(given.tiles, len(training)))
        with glissando.open_model(precision="f32") as codec:
            card = codec.card
            measured = [(pixels, found) for pixels in tiles if (found := curves(codec, pixels)) is not None]
        found = np.stack([values for _, values in measured])
        busy = np.stack([known for pixels, _ in measured if (known := activity(pixels, 8)) is not None])
        means, middle = found.mean(axis=0), busy.mean(axis=0)
        moved = [fitted(busy - middle, found[:, kind] - means[kind]) for kind in (0, 1)]
    except (OSError, ValueError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    for name, by, kind in (("size", moved[0], 0), ("PSNR", moved[1], 1)):
        off = found[:, kind] - means[kind] - np.column_stack([np.ones(len(busy)), busy - middle]) @ by.T
        print(f"{name}: standard deviation of what is foretold, by quality: {np.round(off.std(axis=0), 3).tolist()}")
    means = np.column_stack([means, 2 * means[:, -1] - means[:, -2]])
    moved = [np.concatenate([by, by[-1:]]) for by in moved]
    content = {
        "model": f"{card.name} ({card.hash})",
        "pictures": f"{len(busy)} training tiles of {tiles[0].shape[1]}x{tiles[0].shape[0]} pixels",
        **{name: np.round(values, 3).tolist() for name, values in zip(NAMES, means, strict=True)},
        "activity": np.round(middle, 3).tolist(),
        **{f"{name}_by_activity": np.round(by, 3).tolist() for name, by in zip(NAMES, moved, strict=False)},
    }
    atomic_write(given.out, (json.dumps(content) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
