"""Up to which quality an encoder's analysis in 8-bit integers costs no more bits than a bound, and that into its card.

    python -m benchmarks.int8 MODEL_FOLDER [--encoder NAME] [--data DIR] [--tiles N]     # DIR holds train/ python -m
    benchmarks.int8 MODEL_FOLDER --decoder        # what rounding the decoder's synthesis would lose; for the page

Held-out tiles of the training pictures are coded by both analyses at one quality after the other. What the 8-bit one
costs are its further bits, and those that the other would need for as many decibels more; of the latter the encoder's
own curve tells how many. The decoder computes in float32 either way.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import glissando
from glissando import zoo
from glissando.bench.metrics import psnr
from glissando.errors import GlissandoError
from glissando.files import atomic_write
from glissando.training.checkpoints import load_checkpoint
from glissando.training.data import Tiles, load_tiles, training_folder
from glissando.training.eight_bits import rounded, roundings
from glissando.training.family import training_of
from glissando.training.recipe import from_dict
from glissando.zoo.model import checksum, graph_file

from .api import Pixels
from .tiles import evenly_chosen_tiles

__all__ = ["BOUND", "QUALITIES", "costs", "decoder_losses", "main", "trusted_quality"]

BOUND = 0.2  # % of the bits, of the median picture
QUALITIES = tuple(range(0, 101, 10))
TILES = 32
SEEN = (20.0, 60.0, 95.0)
MOST = 70.0  # dB; a picture that is coded exactly has infinitely many, with which nothing can be computed


def _curve(codec: Any, pixels: Pixels) -> NDArray[np.float64]:
    """Logarithms of bytes, and PSNR, at each quality: (qualities, 2)."""
    analysed = codec.analyse(pixels)
    points = []
    for quality in QUALITIES:
        data = codec.encode_analysed(analysed, quality)
        points.append((np.log(len(data)), min(MOST, psnr(pixels, codec.decode(data)))))
    return np.array(points)


def costs(exact: NDArray[np.float64], rounded: NDArray[np.float64]) -> NDArray[np.float64]:
    """What rounding costs at each quality, in % of the bits at equal PSNR; medians over pictures.

    Both (pictures, qualities, 2), logarithms of bytes and PSNR. The logarithm's slope over PSNR is that of the means.
    The median, since a picture of which a tile comes to be coded exactly, or no longer, jumps either way by many times
    that.
    """
    means = exact.mean(axis=0)
    slope = np.gradient(means[:, 0]) / np.gradient(means[:, 1])
    change = rounded - exact
    percent: NDArray[np.float64] = 100 * np.median(change[..., 0] - slope * change[..., 1], axis=0)
    return percent


def trusted_quality(cost: NDArray[np.float64]) -> float:
    """The highest quality up to which no cost is above the bound; −1 where there is none."""
    beyond = [number for number, percent in enumerate(cost) if not percent <= BOUND]  # nor what is no number
    last = (beyond[0] if beyond else len(cost)) - 1
    return float(QUALITIES[last]) if last >= 0 else -1.0


def decoder_losses(folder: Path, tiles: Tiles, chosen: Sequence[Pixels]) -> NDArray[np.float64]:
    """PSNR in dB that pictures lose where the synthesis' blocks compute in 8-bit integers: (pictures, qualities).

    The layers are rounded as an encoder's are, by what training pictures bring them at ``SEEN`` qualities.
    """
    state = load_checkpoint(folder)
    objective = training_of(state["recipe"]["family"]).objective(from_dict(state["recipe"]))
    network = objective.build(None)
    network.load_state_dict(state["ema"])
    network.eval()

    def show(picture: Tensor) -> None:
        for quality in SEEN:
            objective.measure(network, picture, torch.tensor([quality]))

    found = roundings(network, "synthesis", tiles.training, show)
    with tempfile.TemporaryDirectory() as work:
        copy = Path(shutil.copytree(folder, Path(work) / "model"))
        path = copy / graph_file("decode-8bit")
        path.write_bytes(gzip.compress(rounded(gzip.decompress(path.read_bytes()), found)))
        card = json.loads((copy / "card.json").read_text(encoding="utf-8"))
        card["files"][path.name] = checksum(path.read_bytes())
        (copy / "card.json").write_text(json.dumps(card), encoding="utf-8")
        lost = []
        with (
            glissando.open_model(folder, precision="f32") as exact,
            glissando.open_model(copy, precision="f32") as ours,
        ):
            for pixels in chosen:
                analysed = exact.analyse(pixels)
                files = [exact.encode_analysed(analysed, quality) for quality in QUALITIES]
                lost.append([psnr(pixels, exact.decode(data)) - psnr(pixels, ours.decode(data)) for data in files])
    return np.array(lost)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where the card was written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.int8", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("--encoder", help="one of its encoders; the usual one unless given")
    parser.add_argument("--decoder", action="store_true", help="of the decoder's synthesis; no card is written")
    parser.add_argument("--data", type=Path, help="folder that holds train/; $GLISSANDO_DATA unless given")
    parser.add_argument("--tiles", type=int, default=TILES, help="how many held-out tiles")
    given = parser.parse_args(arguments)
    try:
        tiles = load_tiles(training_folder(given.data and given.data / "train"))
        chosen = evenly_chosen_tiles(tiles.validation, max(1, min(given.tiles, len(tiles.validation))))
        if given.decoder:
            lost = decoder_losses(given.model, tiles, chosen)
            for quality, of_all in zip(QUALITIES, lost.T, strict=True):
                print(
                    f"quality {quality}: {of_all.mean():.3f} dB lost, {of_all.max():.3f} by the worst of {len(chosen)}"
                )
            return 0
        encoder = given.encoder or zoo.find(given.model).card.encoder
        curves = []
        for precision in ("f32", "int8"):
            with glissando.open_model(given.model, encoder=encoder, precision=precision) as codec:
                curves.append(np.stack([_curve(codec, pixels) for pixels in chosen]))
        cost = costs(*curves)
        path = given.model / "encoders" / encoder / "card.json"
        card = {**json.loads(path.read_text(encoding="utf-8")), "int8_quality": trusted_quality(cost)}
    except (OSError, ValueError, GlissandoError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    for quality, percent in zip(QUALITIES, cost, strict=True):
        print(f"quality {quality}: {percent:+.2f} % of the bits at equal PSNR")
    atomic_write(path, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
    print(f"{encoder}: 8-bit integers up to quality {card['int8_quality']:g}; {len(chosen)} held-out tiles")
    return 0


if __name__ == "__main__":
    sys.exit(main())
