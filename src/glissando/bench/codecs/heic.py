"""HEIC, which holds HEVC's intra pictures, by the package pillow-heif: libheif with x265 and, to decode, libde265."""

from __future__ import annotations

import io
import re
from typing import Any, ClassVar

import numpy as np

from glissando.errors import BenchmarkError, CodecUnavailableError

from .base import Codec, Pixels, register, rgb8

__all__ = ["Heic", "HeicPsnr"]

_PEAK = 1023  # 10 bits


class _Heic(Codec):
    """A whole HEIC file, 4:4:4; the setting is libheif's quality, which it makes a CRF of x265 of: (100 - quality) / 2.

    10 bits per sample, which serves an 8-bit picture better than 8. x265's preset is "slower"; the two that are slower
    still take up to twice its time, and save 0.1 % of the bits.
    """

    slow = True
    settings = (4, 12, 20, 28, 36, 44, 52, 60, 68, 74, 80)
    quick = (12, 28, 44, 60, 74)
    tune: ClassVar[str]

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        try:
            import pillow_heif
        except ImportError as error:
            raise CodecUnavailableError(
                f"{self.name} needs the package pillow-heif: pip install 'glissando[bench]' ({error})"
            ) from error
        self._library: Any = pillow_heif
        self._information: Any = pillow_heif.libheif_info()
        if "x265" not in self._information["encoders"]:
            raise CodecUnavailableError(
                f"{self.name} needs a pillow-heif that was built with x265: pip install --force-reinstall pillow-heif"
            )

    @property
    def version(self) -> str:
        def number(coder: str) -> str:
            found = re.search(r"\d+(?:\.\d+)+", str(coder))
            return found[0] if found else "of unknown version"

        decoder = number(self._information["decoders"].get("libde265", ""))
        libraries = f"libheif {self._library.libheif_version()}, libde265 {decoder}"
        encoder = number(self._information["encoders"]["x265"])
        return f"x265 {encoder} ({libraries}, pillow-heif {self._library.__version__})"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        height, width, _ = pixels.shape
        # Samples of 10 bits stand in the upper bits of 16.
        samples = np.rint(pixels * (_PEAK / 255)).astype(np.uint16) << 6
        parameters = {"preset": "slower", "tune": self.tune, "x265:pools": str(self.threads)}
        file = io.BytesIO()
        try:
            self._library.encode(
                "RGB;16",
                (width, height),
                samples.tobytes(),
                file,
                quality=round(setting),
                chroma=444,
                enc_params=parameters,
            )
        except (ValueError, RuntimeError, OSError, MemoryError) as error:
            raise BenchmarkError(f"{self.name} cannot encode: {error}") from error
        return file.getvalue()

    def decode(self, data: bytes) -> Pixels:
        before = self._library.options.DECODE_THREADS
        self._library.options.DECODE_THREADS = self.threads  # there is no other way to tell the decoder
        try:
            samples = np.asarray(self._library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False))
        except (ValueError, RuntimeError, OSError, EOFError, MemoryError) as error:
            raise BenchmarkError(f"{self.name} cannot decode: {error}") from error
        finally:
            self._library.options.DECODE_THREADS = before
        if samples.dtype != np.uint16:
            raise BenchmarkError(f"{self.name} decoded to {samples.dtype}, not to samples of 10 bits")
        return rgb8(np.rint((samples >> 6) * (255 / _PEAK)).astype(np.uint8), self.name)


@register
class Heic(_Heic):
    """As libheif comes."""

    name = "heic"
    label = "HEIC 4:4:4 10 bit, x265 slower"
    tune = "ssim"
    tuned_for = "SSIM (x265's tune=ssim, libheif's choice)"


@register
class HeicPsnr(_Heic):
    """The rival of a codec that is judged by PSNR."""

    name = "heic-psnr"
    label = "HEIC 4:4:4 10 bit, x265 slower, tune=psnr"
    tune = "psnr"
    tuned_for = "squared error"
