"""JPEG and WebP with what Pillow does not offer of them, by the package pyvips, whose wheels of libvips bring mozjpeg.

Decoded by Pillow, as the other files of their formats are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from glissando.errors import BenchmarkError, CodecUnavailableError

from .base import Pixels, register
from .pillow import PillowCodec

__all__ = ["JpegBest", "WebPSharp"]


class _Vips(PillowCodec):
    """One of libvips' savers with fixed options; the setting is its quality. ``PillowCodec`` decodes."""

    saver: ClassVar[str]

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        try:
            import pyvips
        except (ImportError, OSError) as error:  # OSError: the package is there, and libvips is not
            raise CodecUnavailableError(
                f"{self.name} needs the package pyvips with libvips: pip install 'glissando[bench]' ({error})"
            ) from error
        self._library: Any = pyvips

    @property
    def _libvips(self) -> str:
        numbers = ".".join(str(self._library.version(part)) for part in range(3))
        return f"libvips {numbers}, pyvips {self._library.__version__}"

    def save_options(self) -> Mapping[str, object]:
        return {**self.options, "keep": "none"}  # no metadata

    def _save(self, pixels: Pixels, **options: object) -> bytes:
        height, width, _ = pixels.shape
        try:
            image = self._library.Image.new_from_memory(np.ascontiguousarray(pixels).data, width, height, 3, "uchar")
            return bytes(getattr(image, f"{self.saver}_buffer")(**options))
        except self._library.Error as error:
            raise BenchmarkError(f"libvips cannot write this {self.format}: {' '.join(str(error).split())}") from error

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        return self._save(pixels, Q=round(setting), **self.save_options())


@register
class JpegBest(_Vips):
    """mozjpeg: progressive, with trellis quantisation, quantisation tables of its own, and the best order of scans.

    Table 2 needed fewest bits of all, by PSNR as well as by SSIMULACRA 2, also on pictures it was not fitted to.
    """

    name = "jpeg-best"
    label = "JPEG 4:2:0, mozjpeg"
    tuned_for = "MS-SSIM (mozjpeg's table 2, fitted to the Kodak pictures)"
    format = "JPEG"
    feature = "jpg"
    saver = "jpegsave"
    settings = (4, 7, 12, 20, 30, 40, 50, 65, 75, 85, 91, 95)
    quick = (7, 20, 50, 80, 91)
    options: ClassVar[Mapping[str, object]] = {
        "subsample_mode": "on",
        "interlace": True,
        "optimize_coding": True,
        "optimize_scans": True,
        "trellis_quant": True,
        "overshoot_deringing": True,
        "quant_table": 2,
    }

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        # libvips does not tell what it was built with. Without mozjpeg it ignores the options that only that has.
        grey = np.full((8, 8, 3), 128, np.uint8)
        if self._save(grey, quant_table=0) == self._save(grey, quant_table=2):
            raise CodecUnavailableError(
                f"{self.name} needs a libvips that was built with mozjpeg: pip install 'glissando[bench]'"
            )

    @property
    def version(self) -> str:
        return f"mozjpeg in {self._libvips}"


@register
class WebPSharp(_Vips):
    """WebP's slowest search, with its sharp conversion to 4:2:0 and a strength of its loop filter found by trial."""

    name = "webp-sharp"
    label = "WebP, method 6, sharp"
    tuned_for = "squared error and flat areas (libwebp's default noise shaping)"
    slow = True
    format = "WEBP"
    feature = "webp"
    saver = "webpsave"
    settings = (0, 5, 10, 20, 35, 50, 65, 80, 87, 92, 96)
    quick = (0, 20, 65, 87, 96)
    options: ClassVar[Mapping[str, object]] = {"effort": 6, "smart_subsample": True, "smart_deblock": True}

    @property
    def version(self) -> str:
        return f"libwebp in {self._libvips}"
