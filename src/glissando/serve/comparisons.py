"""What workers do to compare: the same picture in another format, in as many bytes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glissando.errors import CodecUnavailableError, InputError, TargetError

from .jobs import REFINING, Answer, Codecs

if TYPE_CHECKING:
    from glissando.bench.codecs import Codec
    from glissando.picture import Pixels

    from .kept import KeptPicture

__all__ = ["FORMATS", "CompareJob", "FormatsJob"]

FORMATS: Mapping[str, tuple[str, ...]] = {
    "jpeg": ("jpeg-best", "jpeg"),
    "webp": ("webp-best",),
    "avif": ("avif",),
    "jxl": ("jxl",),
}
"""Codecs of ``glissando.bench`` by format; the first that is installed is used."""

SETTINGS = range(1, 101)
"""The qualities of these encoders that are tried."""
USUAL = 40
"""Where the search begins."""


def _opened(format: str, threads: int) -> Codec:
    """The encoder of a format. Raises CodecUnavailableError where none is installed."""
    from glissando.bench.codecs import open_codec

    *others, last = FORMATS[format]
    for name in others:
        try:
            return open_codec(name, threads)
        except CodecUnavailableError:
            continue
    return open_codec(last, threads)


@dataclass(frozen=True)
class FormatsJob:
    """Which formats there are to compare with: by name, the encoder's options and its version."""

    def run(self, codecs: Codecs) -> Answer:
        found = {}
        for name in FORMATS:
            try:
                codec = _opened(name, codecs.threads)
            except CodecUnavailableError:
                continue
            found[name] = {"encoder": codec.label, "version": codec.version}
        return Answer(found)


@dataclass(frozen=True)
class CompareJob:
    """A picture in another format: the largest file that its encoder makes of no more bytes than allowed.

    The value is a PNG of what it is decoded to, without opacity, and what it is: "bytes", "setting", "encoder",
    "version", "psnr", "ssimulacra2". Raises TargetError where the format cannot become so small.

    Attributes:
        picture: the picture file's bytes.
        format: a name of ``FORMATS``.
        most: bytes that the file may have.
        max_pixels: refuse a larger picture.
        seconds: that all of it may take; the search ends early where they are used up.
    """

    picture: bytes
    format: str
    most: int
    max_pixels: int
    seconds: float

    def run(self, codecs: Codecs) -> Answer:
        import numpy as np

        from glissando.picture import Picture, encode_picture, scaled

        end = time.monotonic() + REFINING * self.seconds
        try:
            codec = _opened(self.format, codecs.threads)
        except CodecUnavailableError as error:
            raise InputError(str(error)) from None
        kept = codecs.kept.of(self.picture, convert=True, max_pixels=self.max_pixels)
        pixels = scaled(kept.picture.colour, kept.picture.format.depth, 8)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        notes = () if kept.picture.alpha is None else ("opacity is left out of the other format",)
        setting, data = self._largest(
            codec, np.ascontiguousarray(pixels), kept, lambda: codecs.unwanted() or time.monotonic() > end
        )
        shown = codec.decode(data)
        scores = kept.scores(shown, 8)
        about = {"bytes": len(data), "setting": setting, "encoder": codec.label, "version": codec.version, **scores}
        file, _ = encode_picture(Picture(pixels=shown, icc=kept.picture.icc), "png")
        return Answer((file, about), notes)

    def _largest(self, codec: Codec, pixels: Pixels, kept: KeptPicture, late: Callable[[], bool]) -> tuple[int, bytes]:
        """The setting with the largest file that is not too large, and that file."""
        from glissando.search import approach_zero

        files: dict[int, bytes] = {}

        def size(setting: int) -> int:
            key = codec.name, setting
            if key not in kept.sizes:
                files[setting] = codec.encode(pixels, setting)
                kept.sizes[key] = len(files[setting])
            return kept.sizes[key]

        def excess(setting: int) -> float:
            return math.log(size(setting) / (self.most + 0.5))

        tried = {}
        start = self._likely(codec, kept)
        for setting, error in approach_zero(excess, SETTINGS[0], SETTINGS[-1], start=start, step=8):
            tried[setting] = error
            if late() and min(tried.values()) < 0:
                break
        fitting = [setting for setting, error in tried.items() if error < 0]
        if not fitting:
            least = min(size(setting) for setting in tried)
            raise TargetError(
                f"no file of {codec.label} has {self.most:,} bytes or fewer: the smallest of this picture has {least:,}"
            )
        best = max(fitting, key=size)
        return best, files.get(best) or codec.encode(pixels, best)

    def _likely(self, codec: Codec, kept: KeptPicture) -> int:
        """The setting, of those whose sizes are known, that comes nearest."""
        known = {setting: size for (name, setting), size in kept.sizes.items() if name == codec.name}
        return min(known, key=lambda setting: abs(math.log(known[setting] / (self.most + 0.5))), default=USUAL)
