"""The Kodak pictures and the published curves."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from glissando.bench.bdrate import Curve

from .api import BenchmarkError, Pixels

__all__ = ["KODAK_COUNT", "Picture", "data_folder", "load_pictures", "load_reference", "reference_file"]

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


def reference_file(given: Path | None, data: Path) -> Path:
    """The published curves: the argument, $GLISSANDO_REFERENCE, or ``reference/`` beside the data folder."""
    named = os.environ.get("GLISSANDO_REFERENCE")
    path = given or (Path(named) if named else data.resolve().parent / "reference" / "kodak-published.json")
    if not path.is_file():
        raise BenchmarkError(f"no published curves at {path}: --reference FILE or GLISSANDO_REFERENCE=FILE")
    return path


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


def load_reference(path: Path) -> dict[str, Curve]:
    """Published curves by codec: ``{codec: [{"bpp": …, "psnr": …}, …]}``; MS-SSIM-tuned ones left out."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: Curve.of(name, ((float(p["bpp"]), float(p["psnr"])) for p in points))
            for name, points in content.items()
            if isinstance(points, list) and "[ms-ssim]" not in name
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"{path} does not hold published curves: {error!r}") from error
