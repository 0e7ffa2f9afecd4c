"""A codec that keeps pixels as they are, so that the command line is tested without a model."""

from __future__ import annotations

import base64
import dataclasses
import json
import signal
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from glissando.codec.reduction import fitting, resized
from glissando.errors import LimitError, SignatureError, UnknownModelError
from glissando.picture import Picture, PixelFormat, as_picture
from glissando.zoo import EncoderCard

SIGNATURE = b"\x89GLSFAKE"  # it begins as the real one does


@dataclasses.dataclass(frozen=True)
class Info:
    width: int
    height: int
    format: PixelFormat
    quality: float
    model: str | None
    model_hash: str
    tile: int
    tiles: int
    file_bytes: int
    parts: dict[str, int]
    boxes: dict[str, int]
    format_version: int
    importance: tuple[float, ...] | None = None
    lossless: bool = False

    @property
    def bpp(self) -> float:
        return 8 * self.file_bytes / (self.width * self.height)


@dataclasses.dataclass(frozen=True)
class Card:
    name: str
    hash: str
    parameters: int
    decode_kmac_per_pixel: float
    summary: str
    scores: dict[str, float | str]
    bytes: int
    created: str = "2026-01-02T03:04:05+00:00"
    source: str = "package"
    encoder: str = "default"
    encoders: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Header:
    width: int
    height: int
    model_hash: bytes = b"\xc0\xff\xee\0" * 2


class Reader:
    """A file that is read whole when it is opened."""

    def __init__(self, stream: IO[bytes], limits: object = None) -> None:
        self.data = stream.read()
        self.size = len(self.data)
        height, width = _parse(self.data)[0]["shape"][:2]
        self.header = Header(width, height)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Codec:
    pixels_per_latent = 16

    def __init__(self, name: str = "medium", encoder: str | None = None) -> None:
        self.name, self.encoder = name, encoder

    def encode(
        self,
        picture: Any,
        quality: float = 60.0,
        *,
        lossless: bool = False,
        alpha_quality: float = 100.0,
        exact: bool = False,
        effort: int = 4,
        progress: Callable[[float], object] | None = None,
    ) -> bytes:
        picture = as_picture(picture)
        if picture.width == 13:
            raise RuntimeError("thirteen columns")
        if progress is not None:
            shares = [0.25, 0.5, 0.75, 1.0]
            if picture.width == 17:
                signal.raise_signal(signal.SIGINT)
            told = next((share for share in shares if progress(share) is False), 1.0)
        else:
            told = None
        boxes = {k: getattr(picture, k) for k in ("icc", "exif", "xmp")}
        head = {
            "shape": picture.pixels.shape,
            "quality": quality,
            "lossless": lossless,
            "model": self.name,
            "encoder": self.encoder,
            "alpha": [alpha_quality, exact],
            "effort": [effort, told],
            "boxes": {k: base64.b64encode(v).decode() for k, v in boxes.items() if v},
        }
        return SIGNATURE + json.dumps(head).encode() + b"\n" + picture.pixels.tobytes()

    def decode_picture(
        self, file: Reader, region: Any = None, max_size: Any = None, max_pixels: int = 2**28
    ) -> Picture:
        head, body = _parse(file.data)
        if head["shape"][0] * head["shape"][1] > max_pixels:
            raise LimitError("too many pixels")
        pixels = np.frombuffer(body, np.uint8).reshape(head["shape"])
        if region is not None:
            x, y, width, height = region
            pixels = pixels[y : y + height, x : x + width]
        if max_size is not None:
            whole = pixels.shape[1], pixels.shape[0]
            pixels = resized(pixels, fitting(*whole, max_size), (0.0, 0.0, *map(float, whole)), alpha=False)
        return Picture(pixels, **{k: base64.b64decode(v) for k, v in head["boxes"].items()})


def _parse(data: bytes) -> tuple[dict[str, Any], bytes]:
    if not data.startswith(SIGNATURE):
        raise SignatureError("not a Glissando file")
    head, body = data[len(SIGNATURE) :].split(b"\n", 1)
    return json.loads(head), body


def probe(source: Reader | bytes) -> Info:
    data = source if isinstance(source, bytes) else source.data
    head, _ = _parse(data)
    height, width = head["shape"][:2]
    parts = {"header": 40, "hyper-latents": 10, "latents": len(data) - 50, "metadata": 0}
    boxes = {k: len(base64.b64decode(v)) for k, v in head["boxes"].items()}
    format, name = PixelFormat(1 if len(head["shape"]) == 2 else 3), "c0ffee00c0ffee00"
    return Info(width, height, format, head["quality"], "medium", name, 512, 1, len(data), parts, boxes, 1)


def open_model(name: str = "medium", *, encoder: str | None = None, **options: Any) -> Codec:
    if name not in ("medium", "medium-psnr"):
        raise UnknownModelError(f"no model {name!r} is installed; there is: medium")
    if encoder not in (None, "default", "slow"):
        raise UnknownModelError(f"model {name} has no encoder {encoder!r}; installed: default, slow")
    return Codec(name, encoder)


def open_for(file: Reader, **options: Any) -> Codec:
    _parse(file.data)
    return Codec()


def list_models() -> list[Card]:
    encoders = {
        "default": EncoderCard("default", "c0ffee00", kmac_per_pixel=20),
        "slow": EncoderCard("slow", "c0ffee00", kmac_per_pixel=99.5, efforts=[5, 10]),
    }
    scores = {"BD-rate against JPEG": "-45 %"}
    return [Card("medium", "c0ffee00", 5_000_000, 11.5, "A test.", scores, 10**7, encoders=encoders)]


NAMES = {"Reader": Reader, "probe": probe, "open_model": open_model, "open_for": open_for, "list_models": list_models}


def install() -> None:
    """Replace the package's own, in this process."""
    import glissando

    for name, function in NAMES.items():
        setattr(glissando, name, function)
