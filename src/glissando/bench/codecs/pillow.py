"""JPEG, WebP and AVIF: the codecs that Pillow's own wheels bring along. 8-bit RGB in and out."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import PIL
from PIL import Image, features

from glissando.errors import BenchmarkError, CodecUnavailableError

from .base import Codec, Pixels, register, rgb8

__all__ = [
    "Avif",
    "AvifPsnr",
    "AvifPsnrSlow",
    "AvifSlow",
    "AvifSlowest",
    "Jpeg",
    "Jpeg444",
    "PillowCodec",
    "WebP",
    "WebPBest",
]

ONE_THREAD = "1 (cannot use more)"


class PillowCodec(Codec):
    """One format of Pillow with fixed options; the setting is its quality."""

    format: ClassVar[str]
    feature: ClassVar[str]  # as ``PIL.features`` calls it
    options: ClassVar[Mapping[str, object]]

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        if not features.check(self.feature):
            raise CodecUnavailableError(f"this Pillow has no {self.format}; pip install --upgrade 'pillow>=11.3'")

    @property
    def thread_note(self) -> str:
        return ONE_THREAD

    def save_options(self) -> Mapping[str, object]:
        return self.options

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        buffer = io.BytesIO()
        try:
            Image.fromarray(pixels).save(buffer, self.format, quality=round(setting), **self.save_options())
        except (OSError, ValueError, KeyError) as error:
            raise BenchmarkError(f"Pillow cannot write this {self.format}: {error}") from error
        return buffer.getvalue()

    def decode(self, data: bytes) -> Pixels:
        try:
            with Image.open(io.BytesIO(data), formats=[self.format]) as image:
                return rgb8(np.asarray(image.convert("RGB")), self.name)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise BenchmarkError(f"Pillow cannot read this {self.format}: {error}") from error


class _Jpeg(PillowCodec):
    format = "JPEG"
    feature = "jpg"
    tuned_for = "the eye (JPEG's tables of Annex K)"
    quick = (7, 20, 50, 80, 92)

    @property
    def version(self) -> str:
        turbo = features.version("libjpeg_turbo")
        library = f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version('jpg')}"
        return f"{library} (Pillow {PIL.__version__})"


@register
class Jpeg(_Jpeg):
    name = "jpeg"
    label = "JPEG 4:2:0, optimised"
    settings = (4, 7, 12, 20, 30, 40, 50, 65, 80, 88, 92, 95)
    options: ClassVar[Mapping[str, object]] = {"subsampling": "4:2:0", "optimize": True}


@register
class Jpeg444(_Jpeg):
    name = "jpeg-444"
    label = "JPEG 4:4:4, optimised"
    settings = (4, 7, 12, 20, 30, 40, 50, 65, 80, 88, 92)
    options: ClassVar[Mapping[str, object]] = {"subsampling": "4:4:4", "optimize": True}


class _WebP(PillowCodec):
    """Lossy WebP, whose chroma is always 4:2:0."""

    tuned_for = "squared error and flat areas (libwebp's default noise shaping)"
    format = "WEBP"
    feature = "webp"
    settings = (0, 5, 10, 20, 35, 50, 65, 80, 87, 92, 96)
    quick = (0, 20, 65, 87, 96)

    @property
    def version(self) -> str:
        return f"libwebp {features.version('webp')} (Pillow {PIL.__version__})"


@register
class WebP(_WebP):
    """WebP with Pillow's default options."""

    name = "webp"
    label = "WebP, method 4"
    options: ClassVar[Mapping[str, object]] = {"method": 4}


@register
class WebPBest(_WebP):
    """WebP, slowest search. Pillow does not offer libwebp's sharp conversion to 4:2:0; ``webp-sharp`` has it."""

    name = "webp-best"
    label = "WebP, method 6"
    options: ClassVar[Mapping[str, object]] = {"method": 6}


class _Avif(PillowCodec):
    """AVIF by libaom. ``tune`` is what aom is told; "" leaves the choice to libavif.

    Since version 1.4 libavif chooses ``tune=iq`` for pictures, which was made with SSIMULACRA 2 in mind.
    """

    tune: ClassVar[str] = ""
    format = "AVIF"
    feature = "avif"
    settings = (5, 12, 20, 30, 40, 50, 60, 70, 80, 88, 94)
    quick = (12, 30, 50, 70, 88)

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        if not self.tune:
            parts = str(features.version("avif")).split(".")
            modern = all(part.isdigit() for part in parts[:2]) and tuple(map(int, parts[:2])) >= (1, 4)
            self.tuned_for = "SSIMULACRA 2 (tune=iq, libavif's choice)" if modern else "what this libavif chooses"

    @property
    def thread_note(self) -> str:
        return str(self.threads)

    @property
    def version(self) -> str:
        from PIL import _avif

        parts = f"{_avif.codec_versions()}, Pillow {PIL.__version__}"
        return f"libavif {features.version('avif')} ({parts})"

    def save_options(self) -> Mapping[str, object]:
        advanced = {"advanced": {"tune": self.tune}} if self.tune else {}
        return {**self.options, **advanced, "max_threads": self.threads}

    def decode(self, data: bytes) -> Pixels:
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = self.threads  # there is no other way to tell the decoder
        return super().decode(data)


@register
class Avif(_Avif):
    name = "avif"
    label = "AVIF 4:4:4, speed 6"
    options: ClassVar[Mapping[str, object]] = {"subsampling": "4:4:4", "speed": 6}


@register
class AvifPsnr(_Avif):
    """AVIF whose encoder optimises PSNR: the rival of a codec that is judged by PSNR."""

    name = "avif-psnr"
    label = "AVIF 4:4:4, speed 6, tune=psnr"
    tune = "psnr"
    tuned_for = "squared error"
    options: ClassVar[Mapping[str, object]] = {"subsampling": "4:4:4", "speed": 6}


@register
class AvifSlow(_Avif):
    name = "avif-slow"
    label = "AVIF 4:4:4, speed 3"
    slow = True
    options: ClassVar[Mapping[str, object]] = {"subsampling": "4:4:4", "speed": 3}


@register
class AvifPsnrSlow(AvifPsnr):
    name = "avif-psnr-slow"
    label = "AVIF 4:4:4, speed 3, tune=psnr"
    slow = True
    options: ClassVar[Mapping[str, object]] = {"subsampling": "4:4:4", "speed": 3}


@register
class AvifSlowest(_Avif):
    """Several times as slow as speed 3, for about 2 % of the bits."""

    name = "avif-slowest"
    label = "AVIF 4:4:4, speed 0"
    slow = True
    on_request = True
    options: ClassVar[Mapping[str, object]] = {"subsampling": "4:4:4", "speed": 0}
