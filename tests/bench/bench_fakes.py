"""Codecs for the runner's tests: quantise by a step, then zlib. Importing this module registers them."""

from __future__ import annotations

import os
import time
import zlib
from typing import ClassVar

import numpy as np

from glissando.bench.codecs.base import Codec, Pixels, register
from glissando.errors import BenchmarkError, CodecUnavailableError


def log(line: str) -> None:
    """So that calls are counted in whichever process they happen."""
    if path := os.environ.get("FAKE_LOG"):
        with open(path, "a") as stream:
            stream.write(line + "\n")


class Step(Codec):
    """Step 2^(6 - setting / 4)."""

    label = "steps and zlib"
    settings = (0, 4, 8, 12, 16)
    quick = (0, 8, 16)

    @property
    def version(self) -> str:
        return os.environ.get("FAKE_VERSION", "fake 1")

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        log(f"{self.name} {setting:g}")
        step = np.float32(2.0 ** (6 - setting / 4))
        head = np.array([*pixels.shape[:2]], np.uint32).tobytes() + step.tobytes()
        return zlib.compress(head + np.rint(pixels / step).astype(np.uint8).tobytes())

    def decode(self, data: bytes) -> Pixels:
        raw = zlib.decompressobj().decompress(data)
        height, width = (int(v) for v in np.frombuffer(raw, np.uint32, 2))
        levels = np.frombuffer(raw, np.uint8, offset=12).reshape(height, width, 3)
        step = np.frombuffer(raw, np.float32, 1, offset=8)[0]
        return np.asarray(np.clip(np.rint(levels * step), 0, 255), dtype=np.uint8)


@register
class Plain(Step):
    name = "fake-plain"


@register
class Twice(Step):
    """The same pixels in exactly twice the bytes."""

    name = "fake-twice"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        data = super().encode(pixels, setting)
        return data + bytes(len(data))


@register
class Ours(Step):
    """Continuous, and hungry for 30 MB of memory."""

    name = "fake-ours"
    ours = True
    whole = False
    held: ClassVar[int] = 30_000_000

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        buffer = np.ones(self.held, np.uint8)
        return super().encode(pixels, setting)[: buffer.size]

    def decode(self, data: bytes) -> Pixels:
        buffer = np.ones(self.held, np.uint8)
        return super().decode(data[: buffer.size])


@register
class Moody(Step):
    """Fails at one setting; returns a picture of another shape at the next."""

    name = "fake-moody"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        if setting == 8:
            raise ValueError("not today")
        return super().encode(pixels[:, ::-1] if setting != 12 else pixels[:-1], setting)


@register
class Hopeless(Step):
    name = "fake-hopeless"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        raise BenchmarkError("never")


@register
class Crash(Step):
    """Ends its process at one setting."""

    name = "fake-crash"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        if setting == 4:
            os._exit(3)
        return super().encode(pixels, setting)


@register
class Slow(Step):
    name = "fake-slow"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        time.sleep(0.3)
        return super().encode(pixels, setting)


@register
class Absent(Step):
    name = "fake-absent"

    def __init__(self, threads: int) -> None:
        raise CodecUnavailableError("fake-absent needs a dream: sleep")
