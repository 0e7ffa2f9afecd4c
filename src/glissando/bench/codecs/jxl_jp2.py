"""JPEG XL and JPEG 2000, by the package imagecodecs, which brings libjxl and OpenJPEG."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from glissando.errors import BenchmarkError, CodecUnavailableError

from .base import Codec, Pixels, register, rgb8

__all__ = ["Jp2", "Jxl", "JxlBest", "JxlFast"]


class _Imagecodecs(Codec):
    """One codec of imagecodecs: its functions KIND_encode and KIND_decode."""

    kind: ClassVar[str]

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        try:
            import imagecodecs
        except ImportError as error:
            raise CodecUnavailableError(
                f"{self.name} needs the package imagecodecs: pip install 'glissando[bench]' ({error})"
            ) from error
        self._library: Any = imagecodecs
        if not getattr(self._library, self.kind.upper()).available:
            raise CodecUnavailableError(
                f"this build of imagecodecs has no {self.kind}: pip install --force-reinstall imagecodecs"
            )

    @property
    def version(self) -> str:
        library = getattr(self._library, f"{self.kind}_version")()
        return f"{library} (imagecodecs {self._library.__version__})"

    def _encode(self, pixels: Pixels, **options: object) -> bytes:
        try:
            encode = getattr(self._library, f"{self.kind}_encode")
            return bytes(encode(np.ascontiguousarray(pixels), numthreads=self.threads, **options))
        except (RuntimeError, ValueError, MemoryError) as error:
            raise BenchmarkError(f"{self.name} cannot encode: {error}") from error

    def decode(self, data: bytes) -> Pixels:
        try:
            decoded = getattr(self._library, f"{self.kind}_decode")(data, numthreads=self.threads)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise BenchmarkError(f"{self.name} cannot decode: {error}") from error
        return rgb8(np.asarray(decoded), self.name)


class _Jxl(_Imagecodecs):
    """A bare JPEG XL codestream; the setting is libjxl's quality, of which 90 is distance 1."""

    kind = "jpegxl"
    tuned_for = "Butteraugli (libjxl's distance)"
    settings = (5, 10, 20, 30, 50, 65, 75, 83, 89, 93, 96)
    quick = (10, 30, 65, 83, 93)
    effort: ClassVar[int]

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        return self._encode(pixels, level=round(setting), lossless=False, effort=self.effort)


@register
class Jxl(_Jxl):
    name = "jxl"
    label = "JPEG XL, effort 7"
    effort = 7


@register
class JxlBest(_Jxl):
    """The slowest effort that libjxl recommends."""

    name = "jxl-best"
    label = "JPEG XL, effort 9"
    slow = True
    effort = 9


@register
class JxlFast(_Jxl):
    name = "jxl-fast"
    label = "JPEG XL, effort 3"
    effort = 3


@register
class Jp2(_Imagecodecs):
    """A whole .jp2 file, 9/7 wavelet, one tile and one layer; the setting is the PSNR in dB that OpenJPEG aims at.

    OpenJPEG counts it over the transform's own components, so that of the RGB picture comes out a little lower.
    """

    name = "jp2"
    label = "JPEG 2000, 9/7"
    kind = "jpeg2k"
    tuned_for = "squared error"
    settings = (22, 25, 27, 29, 31, 33, 35, 37, 40, 43, 46)
    quick = (25, 29, 33, 37, 43)

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        # A picture of n pixels has no more than log2(n) halvings; OpenJPEG refuses more.
        resolutions = min(6, int(min(pixels.shape[:2])).bit_length())
        return self._encode(pixels, level=round(setting), reversible=False, codecformat="jp2", resolutions=resolutions)
