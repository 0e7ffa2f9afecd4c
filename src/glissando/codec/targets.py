"""What a caller may want of a file instead of a quality: its size, or how near it comes to the picture."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from glissando.errors import InputError

__all__ = ["PSNR_TOLERANCE", "SIZE_TOLERANCE", "SSIMULACRA2_TOLERANCE", "Targets", "bytes_in"]

SIZE_TOLERANCE = 0.005
"""How far a file may stay below the size that is wanted, relative to it."""
PSNR_TOLERANCE = 0.05
"""How far a file's PSNR may be off, in dB."""
SSIMULACRA2_TOLERANCE = 0.5
"""How far a file's SSIMULACRA 2 may be off, in points."""

UNITS = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}


def bytes_in(size: Any, name: str = "a size") -> int:
    """Bytes, from a whole number or a text such as "40kB", "1.5 MB" or "64 KiB", rounded down.

    Units are B, kB, MB and GB (powers of 1000) and KiB, MiB and GiB (powers of 1024), in any case of letters.
    Raises InputError, which calls it ``name``, where it is none of these, or no byte.
    """
    found: int | None = None
    if isinstance(size, str):
        parts = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?|\.\d{1,18})\s*([a-zA-Z]*)\s*", size)
        if parts and parts[2].lower() in UNITS:
            found = math.floor(Fraction(parts[1]) * UNITS[parts[2].lower()])
    elif hasattr(size, "__index__") and not isinstance(size, bool):
        found = int(size.__index__())
    if found is None:
        raise InputError(f"{name} is a number of bytes, or one with a unit such as 40kB, 64KiB or 1.5MB, not {size!r}")
    if found < 1:
        raise InputError(f"{name} must be one byte at least, not {size!r}")
    return found


@dataclass(frozen=True)
class Targets:
    """What is wanted of a file. Of the first four there is one at most; ``max_size`` goes with a score or a quality.

    Attributes:
        size: bytes: the largest file that is not above it, within 0.5 %. A number, or text such as "40kB".
        bpp: the same in bits per pixel of the picture.
        psnr: in dB over all samples of colours that are seen, within 0.05.
        ssimulacra2: in points, 100 at most, within 0.5.
        max_size: bytes that the file may have at most, whatever else is wanted.

    Raises:
        InputError: two that exclude each other, or one that is no such number.
    """

    size: int | str | None = None
    bpp: float | None = None
    psnr: float | None = None
    ssimulacra2: float | None = None
    max_size: int | str | None = None

    def __post_init__(self) -> None:
        given = self.chosen
        if len(given) > 1:
            raise InputError(
                f"{given[0]} and {given[1]} exclude each other: a file has one quality, which either chooses"
            )
        if self.max_size is not None and given in (["target_size"], ["target_bpp"]):
            raise InputError(f"{given[0]} is the largest size already; max_size goes with a quality or a score")
        for name, limit in (("bpp", 1000.0), ("psnr", 1000.0), ("ssimulacra2", 100.0)):
            _check_number(getattr(self, name), f"target_{name}", limit, positive=name != "ssimulacra2")
        for name, size in (("target_size", self.size), ("max_size", self.max_size)):
            if size is not None:
                bytes_in(size, name)

    @property
    def chosen(self) -> list[str]:
        """The names of the arguments that choose the quality."""
        return [f"target_{name}" for name in ("size", "bpp", "psnr", "ssimulacra2") if getattr(self, name) is not None]

    @property
    def any(self) -> bool:
        """Whether anything is wanted at all."""
        return bool(self.chosen) or self.max_size is not None

    def bytes_of(self, pixels: int) -> int | None:
        """The size that the file of a picture with so many pixels is to have; None where no size is wanted."""
        if self.size is not None:
            return bytes_in(self.size, "target_size")
        if self.bpp is None:
            return None
        return max(1, math.floor(self.bpp * pixels / 8))

    @property
    def most_bytes(self) -> int | None:
        """``max_size`` in bytes."""
        return None if self.max_size is None else bytes_in(self.max_size, "max_size")


def _check_number(number: Any, name: str, limit: float, *, positive: bool) -> None:
    if number is None:
        return
    try:
        value = float(number)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} must be a number, not {number!r}") from None
    if not math.isfinite(value) or value > limit or (positive and value <= 0):
        above = "above 0 and " if positive else ""
        raise InputError(f"{name} must be {above}at most {limit:g}, not {number}")
