"""Fit the matrix that small pictures are decoded by (``glissando.codec.block_means``), and put it into models.

    python -m benchmarks.block_means src/glissando/zoo/medium …

The pictures are training pictures of ``$GLISSANDO_DATA/train``. A model's hash does not change.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glissando import open_model
from glissando.codec.block_means import fitted, install
from glissando.training.data import load_tiles, training_folder

PICTURES = 90


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help="folders of models")
    folders = parser.parse_args().models
    tiles = load_tiles(training_folder(None), limit_gb=4).training
    chosen = tiles[:: max(1, len(tiles) // PICTURES)][:PICTURES].permute(0, 2, 3, 1).numpy()
    for folder in folders:
        with open_model(folder, precision="f32") as codec:
            install(folder, fitted(codec, chosen))
        print(f"{folder}: fitted to {len(chosen)} pictures")


if __name__ == "__main__":
    main()
