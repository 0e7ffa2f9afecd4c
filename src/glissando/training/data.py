"""Training tiles: tar shards of pictures → uint8 tensors in memory.

All tiles are decoded once, at the start, and kept as bytes in the memory of the machine or of the GPU;
crops are cut there (``crops``). As nothing is read during training, the training never waits for a disk.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from glissando.errors import TrainingError

from .crops import Crops

__all__ = ["Crops", "Tiles", "load_tiles", "training_folder"]

VALIDATION_SHARE = 32  # pictures for each one that is held out


class Tiles:
    """Decoded tiles (N, 3, S, S) uint8 and, for each, whether its picture is held out for validation."""

    def __init__(self, pixels: Tensor, held_out: Tensor) -> None:
        self.training = pixels[~held_out]
        self.validation = pixels[held_out]

    def describe(self) -> str:
        """What the tiles are, in a few words for the log and for a model's card."""
        return f"{len(self.training):,} tiles of {self.training.shape[-1]}x{self.training.shape[-1]} pixels"


def _held_out(blob: str) -> bool:
    """Whether a picture belongs to the validation split: its identity decides, whatever shard it is in."""
    return int.from_bytes(hashlib.sha256(blob.encode()).digest()[:4], "big") % VALIDATION_SHARE == 0


def _members(shards: list[Path]) -> Iterator[tuple[str, bytes]]:
    for shard in shards:
        try:
            with tarfile.open(shard) as tar:
                for member in tar:
                    stream = tar.extractfile(member) if member.isfile() else None
                    if stream is not None and member.name.lower().endswith((".jpg", ".jpeg", ".png", ".webp")):
                        yield Path(member.name).name, stream.read()
        except (tarfile.TarError, OSError) as error:
            raise TrainingError(f"cannot read shard {shard}: {error}") from error


def training_folder(given: Path | None) -> Path:
    """The folder of the shards: the argument, or $GLISSANDO_DATA/train. Raises TrainingError where there is neither."""
    if given is not None:
        return given
    if "GLISSANDO_DATA" not in os.environ:
        raise TrainingError("no training data: give --data, or set GLISSANDO_DATA to the folder that holds train/")
    return Path(os.environ["GLISSANDO_DATA"]) / "train"


def load_tiles(folder: Path, *, size: int = 512, limit_gb: float = 8.0, threads: int | None = None) -> Tiles:
    """Decode every tile of the shards ``*.tar`` in ``folder``.

    ``manifest.csv`` beside the shards names each tile's source picture (column ``source_git_blob``); tiles of
    held-out pictures form the validation split. Raises TrainingError where shards or manifest are missing, a
    tile is not ``size`` pixels square, or the decoded tiles would need more than ``limit_gb``.
    """
    shards = sorted(folder.glob("*.tar"))
    manifest = folder / "manifest.csv"
    if not shards:
        raise TrainingError(f"no tar shards in {folder}: give the folder that holds train-*.tar")
    if not manifest.is_file():
        raise TrainingError(f"{manifest} is missing: it names the picture that each tile was cut from")
    try:
        with manifest.open(newline="", encoding="utf-8") as lines:
            blob_of = {row["tile"]: row["source_git_blob"] for row in csv.DictReader(lines)}
    except (KeyError, UnicodeDecodeError) as error:
        raise TrainingError(f"{manifest} cannot be read as a table with tile and source_git_blob: {error}") from error
    members = list(_members(shards))
    unknown = next((name for name, _ in members if name not in blob_of), None)
    if unknown is not None:
        raise TrainingError(f"tile {unknown} is not in {manifest}")
    need = len(members) * 3 * size * size / 1e9
    if need > limit_gb:
        raise TrainingError(f"{len(members)} tiles need {need:.1f} GB decoded, more than limit_gb = {limit_gb}")

    pixels = torch.empty(len(members), 3, size, size, dtype=torch.uint8)

    def decode(index: int) -> None:
        name, data = members[index]
        try:
            with Image.open(io.BytesIO(data)) as picture:
                array = np.asarray(picture.convert("RGB"))
        except OSError as error:
            raise TrainingError(f"tile {name} cannot be decoded: {error}") from error
        if array.shape != (size, size, 3):
            raise TrainingError(f"tile {name} is {array.shape[1]}x{array.shape[0]}, not {size}x{size}")
        pixels[index] = torch.from_numpy(array.copy()).permute(2, 0, 1)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        list(pool.map(decode, range(len(members))))
    tiles = Tiles(pixels, torch.tensor([_held_out(blob_of[name]) for name, _ in members], dtype=torch.bool))
    if not len(tiles.training):
        raise TrainingError(f"{folder} holds {len(members)} tiles, none of them of a picture to train on")
    return tiles
