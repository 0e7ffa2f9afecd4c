"""The Kodak pictures, for studies that measure them themselves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from glissando.errors import BenchmarkError

from .api import Pixels

__all__ = ["KODAK_COUNT", "Picture", "data_folder", "evenly_chosen", "load_pictures"]

KODAK_COUNT = 24


@dataclass(frozen=True)
class Picture:
    """A picture held in memory."""

    name: str
    pixels: Pixels


def data_folder(given: Path | None) -> Path:
    """The folder that holds ``kodak/``: the argument, or $GLISSANDO_DATA."""
    folder = given or (Path(os.environ["GLISSANDO_DATA"]) if os.environ.get("GLISSANDO_DATA") else None)
    if folder is None:
        raise BenchmarkError("say where the pictures are: --data DIR or GLISSANDO_DATA=DIR, with DIR/kodak/*.png")
    if not (folder / "kodak").is_dir():
        raise BenchmarkError(f"{folder} has no folder kodak/ with the 24 Kodak pictures (kodim01.png …)")
    return folder


def load_pictures(data: Path, count: int | None = None) -> list[Picture]:
    """The Kodak pictures by name, or `count` of them spread evenly over the set."""
    paths = sorted((data / "kodak").glob("kodim*.png"))
    if not paths:
        raise BenchmarkError(f"{data / 'kodak'} holds no kodim*.png")
    if count is not None:
        if not 1 <= count <= len(paths):
            raise BenchmarkError(f"--pictures must be 1…{len(paths)}, not {count}")
        paths = [paths[i * len(paths) // count] for i in range(count)]
    pictures = []
    for path in paths:
        with Image.open(path) as image:
            pictures.append(Picture(path.stem, np.asarray(image.convert("RGB"), dtype=np.uint8)))
    return pictures


def evenly_chosen(pictures: Sequence[Picture], count: int) -> list[Picture]:
    """`count` of the pictures, or all where there are fewer, spread evenly over them."""
    count = min(count, len(pictures))
    return [pictures[i * len(pictures) // count] for i in range(count)]
