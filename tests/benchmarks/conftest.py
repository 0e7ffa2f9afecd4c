"""A small fake of the codec (JPEG in a shell), and pictures to give it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # `benchmarks` is not installed with the package

from benchmarks.api import Pixels
from glissando.errors import BackendError

HEADER = b"fake"


@dataclass(frozen=True)
class FakeCard:
    name: str = "fake"
    hash: str = "0123456789abcdef"
    parameters: int = 1_000_000
    decode_kmac_per_pixel: float = 10.0
    encode_kmac_per_pixel: float = 12.0


@dataclass(frozen=True)
class FakeInfo:
    parts: dict[str, int]


@dataclass
class FakeCodec:
    """JPEG with a header; with `offset`, decoded pixels come out brighter."""

    offset: int = 0
    backend: str = "fake"
    precision: str = "f32"
    card: FakeCard = field(default_factory=FakeCard)

    def encode(self, picture: Pixels, quality: float) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=5 + round(0.9 * quality), subsampling="4:4:4")
        return HEADER + buffer.getvalue()

    def decode(self, data: bytes) -> Pixels:
        assert data.startswith(HEADER)
        pixels = np.asarray(Image.open(io.BytesIO(data[len(HEADER) :])).convert("RGB"))
        return np.asarray(np.clip(pixels.astype(int) + self.offset, 0, 255), dtype=np.uint8)

    def ideal_bits(self, picture: Pixels, quality: float) -> float:
        return 8.0 * (len(self.encode(picture, quality)) - 40)


class FakeApi:
    """Opens fake codecs; ONNX Runtime differs by a level, and there is no bf16."""

    def open_model(
        self, name: str, *, backend: str = "auto", precision: str = "auto", threads: int | None = None
    ) -> FakeCodec:
        if precision == "bf16":
            raise BackendError("this processor has no bf16")
        return FakeCodec(offset=int(backend == "onnxruntime"), backend=backend, precision=precision)

    def probe(self, data: bytes) -> FakeInfo:
        return FakeInfo({"header": len(HEADER), "latents": len(data) - len(HEADER) - 1})


@pytest.fixture
def fake_api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def make_picture() -> Callable[[int], Pixels]:
    """A picture of 64 rows and 96 columns: smooth, with some grain."""

    def make(seed: int) -> Pixels:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:64, 0:96]
        waves = [120 + 90 * np.sin(x / rng.uniform(5, 20) + y / rng.uniform(5, 20)) for _ in range(3)]
        noisy = np.stack(waves, axis=-1) + rng.normal(0, 6, (64, 96, 3))
        return np.asarray(np.clip(noisy, 0, 255), dtype=np.uint8)

    return make


@pytest.fixture
def data_set(tmp_path: Path, make_picture: Callable[[int], Pixels]) -> Path:
    """A folder laid out as the real one: data/kodak/*.png, and reference/kodak-published.json beside it."""
    (tmp_path / "data" / "kodak").mkdir(parents=True)
    for i in range(1, 4):
        Image.fromarray(make_picture(i)).save(tmp_path / "data" / "kodak" / f"kodim{i:02d}.png")
    (tmp_path / "reference").mkdir()
    curves = {
        "_meta": {"dataset": "made up"},
        "JPEG": [{"bpp": 0.2 * 2**i, "psnr": 20.0 + 4 * i} for i in range(6)],
        "JPEG2000": [{"bpp": 0.15 * 2**i, "psnr": 20.0 + 4 * i} for i in range(6)],
        "odd [ms-ssim]": [{"bpp": 1.0, "psnr": 20.0}, {"bpp": 2.0, "psnr": 19.0}],
    }
    (tmp_path / "reference" / "kodak-published.json").write_text(json.dumps(curves))
    return tmp_path / "data"
