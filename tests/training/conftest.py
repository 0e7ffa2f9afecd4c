"""Training pictures for the tests of training."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def held_out(blob: str) -> bool:
    return int.from_bytes(hashlib.sha256(blob.encode()).digest()[:4], "big") % 32 == 0


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory, natural: Callable[..., Pixels]) -> Path:
    """Two shards of 512×512 tiles; the last tile's picture is held out."""
    folder = tmp_path_factory.mktemp("train")
    blobs = ["a", "b", "c", "d", next(f"held{i}" for i in range(1000) if held_out(f"held{i}"))]
    assert [held_out(b) for b in blobs] == [False] * 4 + [True]
    for shard in range(2):
        with tarfile.open(folder / f"train-{shard}.tar", "w") as tar:
            for number in range(shard, len(blobs), 2):
                out = io.BytesIO()
                Image.fromarray(natural(512, 512, seed=number)).save(out, "JPEG", quality=95)
                info = tarfile.TarInfo(f"t{number}.jpg")
                info.size = len(out.getvalue())
                out.seek(0)
                tar.addfile(info, out)
    with (folder / "manifest.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("tile", "source_git_blob"), *((f"t{i}.jpg", b) for i, b in enumerate(blobs))])
    return folder
