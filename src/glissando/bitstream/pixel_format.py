"""What a pixel is made of: how many channels, how many bits each, and whether there is transparency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from glissando.errors import InputError

__all__ = ["ALPHAS", "CHANNELS", "GREY_8", "MAX_DEPTH", "RGB_8", "Alpha", "PixelFormat"]

Alpha = Literal["none", "straight", "exact"]

CHANNELS: tuple[Literal[1], Literal[3]] = (1, 3)
"""The numbers of colour channels, in the order of the codes that a file's header has for them."""

ALPHAS: tuple[Alpha, ...] = ("none", "straight", "exact")
"""The kinds of transparency, in the order of the codes that a file's header has for them."""

MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The format of a picture's pixels. A file's header can say every one of them (``docs/format.md``).

    Attributes:
        channels: colour channels: 1 for grey, 3 for red, green and blue.
        depth: bits of each sample, of colour and alpha alike, 1 to 16.
        alpha: "none"; "straight", a channel of opacity beside colours that are not multiplied by it, and are black
            where it is 0; or "exact", the same with colours that count where it is 0, too.

    Raises:
        InputError: any other value.
    """

    channels: Literal[1, 3] = 3
    depth: int = 8
    alpha: Alpha = "none"

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise InputError(f"pixels have 1 or 3 channels of colour, not {self.channels!r}")
        if isinstance(self.depth, bool) or not isinstance(self.depth, int) or not 1 <= self.depth <= MAX_DEPTH:
            raise InputError(f"samples have 1 to {MAX_DEPTH} bits, not {self.depth!r}")
        if self.alpha not in ALPHAS:
            raise InputError(f"alpha is one of {', '.join(ALPHAS)}, not {self.alpha!r}")

    @property
    def grey(self) -> bool:
        """Whether there is one channel of colour."""
        return self.channels == 1

    def __str__(self) -> str:
        colour = "grey" if self.grey else "RGB"
        return f"{self.depth}-bit {colour}" + (" with alpha" if self.alpha != "none" else "")


GREY_8 = PixelFormat(channels=1)
RGB_8 = PixelFormat(channels=3)
