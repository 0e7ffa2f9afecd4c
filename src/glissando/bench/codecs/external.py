"""Codecs that are programs of their own, used where they are found on PATH.

Their times contain the start of the programs and the conversion of colours, and say so. HEVC and AV1 were tested with
ffmpeg 5.1; VVC and BPG are written to their programs' documentation and were tested with stand-ins only, since neither
PyPI nor Debian 12 has an encoder of theirs (docs/results.md).
"""

from __future__ import annotations

import io
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from glissando.bench.programs import ppm_file, program_version, run_program
from glissando.errors import BenchmarkError, CodecUnavailableError

from .base import Codec, Pixels, register, rgb8

__all__ = ["Av1", "Bpg", "ExternalCodec", "Hevc", "Vvc"]

# The conversion of JPEG (BT.601, full range), rounded with care, so that what is lost is lost in the codec.
_MATRIX = "color_matrix=bt601"
_EXACT = "flags=accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"


def _pixels(picture: bytes | Path, codec: str) -> Pixels:
    """A PPM's bytes, or a picture's file."""
    try:
        with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
            return rgb8(np.asarray(image.convert("RGB")), codec)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BenchmarkError(f"{codec}: the decoded picture cannot be read: {error}") from error


class ExternalCodec(Codec):
    """A codec of one or more programs."""

    slow = True
    programs: ClassVar[tuple[str, ...]]
    home: ClassVar[str]  # where to get them

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        missing = [program for program in self.programs if shutil.which(program) is None]
        if missing:
            raise CodecUnavailableError(
                f"{self.name} needs {' and '.join(missing)}, not found on PATH; see {self.home}"
            )

    @property
    def thread_note(self) -> str:
        return f"{self.threads}; times include starting {self.programs[0]}"

    def _ffmpeg(self, source: Sequence[str], target: Sequence[str], data: bytes = b"") -> bytes:
        """One call of ffmpeg from its standard input, or a file named in ``source``, to its standard output."""
        threads = ("-threads", str(self.threads))
        command = ("ffmpeg", "-hide_banner", "-loglevel", "error", *threads, *source)
        return run_program((*command, "-frames:v", "1", *target, *threads, "-"), data)

    def _from_rgb(self, pixels: Pixels, layout: str, target: Sequence[str]) -> bytes:
        """RGB to 10-bit Y'CbCr of a layout as ffmpeg calls it, and that to ``target``."""
        scale = f"scale=out_{_MATRIX}:out_range=full:{_EXACT},format={layout}"
        colours = ("-colorspace", "smpte170m", "-color_range", "pc")
        return self._ffmpeg(("-f", "ppm_pipe", "-i", "-"), ("-vf", scale, *colours, *target), ppm_file(pixels))

    def _to_rgb(self, source: Sequence[str], data: bytes = b"") -> Pixels:
        """The first picture of what ffmpeg reads from ``source``."""
        scale = f"scale=in_{_MATRIX}:in_range=full:{_EXACT},format=rgb24"
        return _pixels(self._ffmpeg(source, ("-vf", scale, "-c:v", "ppm", "-f", "image2pipe"), data), self.name)


class _Ffmpeg(ExternalCodec):
    """One still picture by an encoder within ffmpeg: the bare stream, in no container.

    10 bits per sample, which serves an 8-bit picture better than 8 with both codecs.
    """

    programs = ("ffmpeg",)
    home = "https://ffmpeg.org, or apt-get install ffmpeg"
    encoder: ClassVar[str]
    muxer: ClassVar[str]

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        if self.encoder not in run_program(("ffmpeg", "-hide_banner", "-encoders")).decode(errors="replace"):
            raise CodecUnavailableError(f"{self.name} needs an ffmpeg that was built with {self.encoder}")

    @property
    def version(self) -> str:
        return f"{self.encoder} in ffmpeg {program_version('ffmpeg', '-version')}"

    @abstractmethod
    def options(self, setting: float) -> tuple[str, ...]:
        """The encoder's own arguments for a setting."""

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        target = ("-c:v", self.encoder, *self.options(setting), "-f", self.muxer)
        return self._from_rgb(pixels, "yuv444p10le", target)

    def decode(self, data: bytes) -> Pixels:
        return self._to_rgb(("-f", self.muxer, "-i", "-"), data)


@register
class Hevc(_Ffmpeg):
    """HEVC by x265; the setting is 51 − QP."""

    name = "hevc"
    label = "HEVC 4:4:4 10 bit, x265 slower"
    settings = (4, 7, 10, 13, 16, 20, 24, 28, 31, 34, 37)
    quick = (7, 13, 20, 28, 34)
    encoder = "libx265"
    muxer = "hevc"
    tuned_for = "the eye (x265's psy-rd), at a constant quantiser"

    def options(self, setting: float) -> tuple[str, ...]:
        # info=0: without the text of all options, which x265 writes into every stream.
        parameters = f"qp={51 - round(setting)}:info=0:log-level=error:frame-threads=1:pools={self.threads}"
        return ("-preset", "slower", "-x265-params", parameters)


@register
class Av1(_Ffmpeg):
    """AV1 by libaom; the setting is 63 − CRF."""

    name = "av1"
    label = "AV1 4:4:4 10 bit, libaom speed 4"
    settings = (2, 6, 11, 16, 21, 27, 33, 39, 44, 49, 54)
    quick = (6, 16, 27, 39, 49)
    encoder = "libaom-av1"
    muxer = "obu"
    tuned_for = "what libaom chooses for all-intra"

    def options(self, setting: float) -> tuple[str, ...]:
        crf = str(63 - round(setting))
        return ("-usage", "allintra", "-still-picture", "1", "-cpu-used", "4", "-row-mt", "1", "-crf", crf, "-b:v", "0")


@register
class Vvc(ExternalCodec):
    """VVenC and VVdeC, with ffmpeg for the colours; the setting is 63 − QP.

    VVenC knows 4:2:0 alone, so both sides must be even. No adaptation of the quantiser to what eyes see.
    """

    name = "vvc"
    label = "VVC 4:2:0 10 bit, VVenC slow"
    tuned_for = "squared error"
    settings = (12, 16, 20, 24, 28, 32, 36, 40, 44, 48)
    quick = (16, 24, 32, 40, 46)
    programs = ("vvencapp", "vvdecapp", "ffmpeg")
    home = "https://github.com/fraunhoferhhi/vvenc and https://github.com/fraunhoferhhi/vvdec"

    @property
    def version(self) -> str:
        return f"VVenC {program_version('vvencapp', '--version')}, VVdeC {program_version('vvdecapp', '--version')}"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        height, width, _ = pixels.shape
        if height % 2 or width % 2:
            raise BenchmarkError(f"picture is {width}x{height}; VVC 4:2:0 needs both sides even")
        with tempfile.TemporaryDirectory() as folder:
            raw, coded = Path(folder, "in.yuv"), Path(folder, "out.266")
            raw.write_bytes(self._from_rgb(pixels, "yuv420p10le", ("-f", "rawvideo")))
            run_program(
                (
                    *("vvencapp", "-i", str(raw), "-s", f"{width}x{height}", "-c", "yuv420_10", "-o", str(coded)),
                    *("--preset", "slow", "--qpa", "0", "-q", str(63 - round(setting)), "-t", str(self.threads)),
                )
            )
            return _written(coded, "vvencapp")

    def decode(self, data: bytes) -> Pixels:
        with tempfile.TemporaryDirectory() as folder:
            coded, raw = Path(folder, "in.266"), Path(folder, "out.y4m")
            coded.write_bytes(data)
            run_program(("vvdecapp", "-b", str(coded), "-o", str(raw), "-t", str(self.threads)))
            return self._to_rgb(("-i", str(raw)))


@register
class Bpg(ExternalCodec):
    """HEVC in Fabrice Bellard's container; the setting is 51 − QP."""

    name = "bpg"
    label = "BPG 4:4:4"
    settings = (4, 7, 10, 13, 16, 20, 24, 28, 31, 34, 37)
    quick = (7, 13, 20, 28, 34)
    programs = ("bpgenc", "bpgdec")
    home = "https://bellard.org/bpg"

    @property
    def version(self) -> str:
        return f"bpgenc {program_version('bpgenc', '-h')}"

    @property
    def thread_note(self) -> str:
        return "its own choice; times include starting bpgenc"

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            png, coded = Path(folder, "in.png"), Path(folder, "out.bpg")
            Image.fromarray(pixels).save(png, compress_level=0)
            run_program(("bpgenc", "-q", str(51 - round(setting)), "-f", "444", "-o", str(coded), str(png)))
            return _written(coded, "bpgenc")

    def decode(self, data: bytes) -> Pixels:
        with tempfile.TemporaryDirectory() as folder:
            coded, png = Path(folder, "in.bpg"), Path(folder, "out.png")
            coded.write_bytes(data)
            run_program(("bpgdec", "-o", str(png), str(coded)))
            return _pixels(png, self.name)


def _written(path: Path, program: str) -> bytes:
    """A file that a program said it wrote."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BenchmarkError(f"{program} wrote no file") from error
