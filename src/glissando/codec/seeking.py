"""The quality at which a picture's file has a wanted size, or comes as near to the picture as is wanted.

Both searches make files, beginning where a picture that is as busy has what is wanted on average (``typical``). To make
symbols of latents takes most of the time of a file, and to code them a sixth; so a search in the ideal bits of symbols
would save little. For **a size**, the second or third file is near enough as a rule. **A score** is measured on what a
reader sees, so that each trial decodes the file as well.

Neither bytes nor scores are smooth in the quality where tiles are exact or samples are corrected (``exact``). The
search then goes on until it has found the two neighbouring qualities between which they jump.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .quality import Quality
from .targets import SIZE_TOLERANCE
from .typical import Curve

__all__ = ["Between", "Made", "seek_score", "seek_size"]

AIM = 1 - SIZE_TOLERANCE / 2
"""The share of the wanted size that the search aims at, from which it may miss by as much either way."""


@dataclass(frozen=True)
class Made:
    """A file that a search has made.

    Attributes:
        data: its bytes.
        quality: its quality.
        score: what was measured of it, if a score is wanted.
    """

    data: bytes
    quality: Quality
    score: float = math.nan


@dataclass(frozen=True)
class Between:
    """The files on either side of what is wanted; None where there is none on that side.

    ``found`` is the one that is near enough, if there is one.
    """

    below: Made | None
    above: Made | None
    found: Made | None = None


def seek_size(
    make: Callable[[Quality], bytes],
    size: int,
    fixed: int,
    curve: Curve,
    start: Quality,
    lowest: Quality | None = None,
) -> Between:
    """The largest file that is not above ``size`` bytes: ``found`` within 0.5 % of them, or ``below``.

    Args:
        make: makes the file of a quality.
        size: in bytes.
        fixed: of them, about how many are the same at all qualities.
        curve: how the logarithm of what is not fixed rises, about.
        start: about the quality; a good guess saves files.
        lowest: none below this quality is made.
    """
    below: Made | None = None
    above: Made | None = None
    fixed = fixed if 2 * fixed < size else 0
    wanted = size * AIM - fixed

    def excess(quality: Quality) -> float:
        nonlocal below, above
        made = Made(make(quality), quality)
        if len(made.data) > size:
            if above is None or len(made.data) < len(above.data):
                above = made
        elif below is None or (len(made.data), quality) > (len(below.data), below.quality):
            below = made
        return math.log(max(len(made.data) - fixed, 0.01 * wanted) / wanted)

    for _ in curve.approach(excess, start, lowest):
        if below is not None and len(below.data) >= (1 - SIZE_TOLERANCE) * size:
            return Between(below, above, below)
    return Between(below, above)


def seek_score(
    make: Callable[[Quality], Made],
    target: float,
    tolerance: float,
    curve: Curve,
    start: Quality | None = None,
    lowest: Quality | None = None,
) -> Between:
    """The file whose score is within ``tolerance`` of ``target`` as ``found``, or the nearest on either side.

    Args:
        make: makes the file of a quality, and measures it.
        target, tolerance: in the units of the score.
        curve: how the score rises, about.
        start: about the quality; a good guess saves files.
        lowest: none below this quality is made.
    """
    below: Made | None = None
    above: Made | None = None

    def excess(quality: Quality) -> float:
        nonlocal below, above
        made = make(quality)
        if made.score < target:
            below = made
        else:
            above = made
        return min(made.score - target, 1000.0)  # equal pictures have an infinite PSNR

    for _, error in curve.approach(excess, start or curve.quality(target), lowest):
        if abs(error) <= 0.9 * tolerance:  # where another machine's networks round otherwise, it still holds
            return Between(below, above, below if error < 0 else above)
    return Between(below, above)
