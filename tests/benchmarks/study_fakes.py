"""A small fake of the codec, and a comparison as if of Kodak's pictures, for the tests of studies."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from benchmarks.api import Pixels
from glissando.bench.results import PictureInfo, Results
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


def as_kodak(results: Results) -> Results:
    """The same figures, of 24 pictures of Kodak's size."""
    pictures = [PictureInfo(f"kodim{i:02d}.png", 768, 512, f"{i:016x}") for i in range(1, 25)]
    first = results.pictures[0].name
    points = [
        replace(point, picture=picture.name)
        for picture in pictures
        for point in results.points
        if point.picture == first
    ]
    return replace(results, pictures=pictures, points=points)
