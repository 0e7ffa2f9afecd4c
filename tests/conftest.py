"""Pictures and codecs that several folders of tests share."""

from __future__ import annotations

import csv
import hashlib
import io
import signal
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from natural_pictures import natural_picture

HERE = Path(__file__).parent
for folder in (
    "bitstream",
    "entropy",
    "golden",
    "lossless",
    "training",
    "zoo",
):  # reference implementations, helpers
    sys.path.append(str(HERE / folder))

Pixels = NDArray[np.uint8]


def decibels(a: NDArray[Any], b: NDArray[Any]) -> float:
    """PSNR of 8-bit pixels."""
    mse = np.square(a.astype(np.float64) - b.astype(np.float64)).mean()
    return float(10 * np.log10(255**2 / max(mse, 1e-9)))


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Shells start background jobs with SIGINT ignored, and programs inherit that; the tests interrupt programs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def only_shipped_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the user of this machine has installed takes no part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GLISSANDO_MODELS", raising=False)
        folder = tmp_path_factory.mktemp("user")
        patch.setattr("platformdirs.user_data_path", lambda *args, **options: folder)
        for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):  # of processes that tests start
            patch.setenv(name, str(folder))
        yield


@pytest.fixture(scope="session")
def natural() -> Callable[..., Pixels]:
    return natural_picture


@pytest.fixture(scope="session")
def psnr() -> Callable[..., float]:
    return decibels


@pytest.fixture(scope="session")
def codec() -> Any:
    """The shipped model in float32, so that results are the same on every processor."""
    import glissando

    return glissando.open_model("medium", backend="openvino", precision="f32", threads=1)


@pytest.fixture(scope="session")
def onnx_codec() -> Any:
    pytest.importorskip("onnxruntime", reason="the other backend, ONNX Runtime, is not installed")
    import glissando

    return glissando.open_model("medium", backend="onnxruntime", threads=1)


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
