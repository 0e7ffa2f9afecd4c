"""One size shared over many pictures, so that a bit does as much good in each of them.

Every picture has a curve: the distortion of its file over the bytes of the file. Where it is steep, one more byte
takes away much distortion. As long as the curves of two pictures differ in their steepness where they are, a byte that
moves from the one to the other makes the sum of distortions smaller. So the sum is least, at equal size, where all
curves have the same slope −λ: the classical rule of Shoham and Gersho ("Efficient Bit Allocation for an Arbitrary Set
of Quantizers", 1988), here over pictures. For a given λ each picture has the quality at which distortion + λ·bytes is
least, whatever the others have, and the larger λ the smaller all files; so λ is found by bisection.

The distortion is the one that the model was trained for: the sum of squared errors of all samples, or, for a model of
the eye, the points that SSIMULACRA 2 is below 100, times the pixels.

A first pass measures each picture's curve at a few qualities and keeps these numbers alone, so that thousands of
pictures need no more memory than one. A second pass makes the files, each within 0.5 % below its share; what it leaves
is shared by those that follow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glissando.errors import TargetError

from .typical import QUALITIES, mean_of

__all__ = ["KNOTS", "Budget", "Rates", "shared_sizes"]

KNOTS = (0.0, 20.0, 40.0, 60.0, 80.0, 95.0)
"""The qualities at which curves are measured. Above the last one corrections make bytes jump (``codec.exact``)."""

_STEP = 0.25  # of the quality, between places on a curve that are compared
_AT_ONCE = 1024  # pictures whose curves are in memory at the same time
_LEAST = 1e-3  # a distortion where nothing is lost; logarithms need a number


@dataclass(frozen=True)
class Rates:
    """A picture's curve: at each of ``KNOTS`` the bytes of its file, and its distortion."""

    bytes: tuple[float, ...]
    distortions: tuple[float, ...]


class Budget:
    """The bytes that each of some pictures may have; what one leaves is shared by those that come after it."""

    def __init__(self, rates: Sequence[Rates], total: int) -> None:
        """Raises TargetError where no qualities make files of ``total`` bytes together."""
        self._shares = shared_sizes(rates, total)
        self._most = [one.bytes[-1] for one in rates]
        self._coming = math.fsum(self._shares)
        self._left = float(total)

    def share(self, number: int) -> int:
        """The bytes that a picture may have, whose file has not been made yet; no more than it has a use for."""
        share = min(self._shares[number] / self._coming, 1.0) * self._left
        return math.floor(min(share, self._most[number]) + 1e-6)

    def used(self, number: int, size: int) -> None:
        """A picture's file has so many bytes; 0 where it could not be made."""
        self._coming -= self._shares[number]
        self._left -= size


def shared_sizes(rates: Sequence[Rates], total: int) -> list[float]:
    """The bytes of each picture's file at which all curves have the same slope; their sum is ``total``.

    Raises TargetError where it is less than all files have at quality 0, or more than at the last of ``KNOTS``.
    """
    if not rates:
        return []
    least, most = (sum(one.bytes[end] for one in rates) for end in (0, -1))
    if not least <= total <= most:
        raise TargetError(
            f"the files cannot have {total:,} bytes together: at quality 0 they have {least:,.0f}, at "
            f"quality {KNOTS[-1]:g} {most:,.0f}"
        )
    dear, cheap = 60.0, -60.0  # logarithms of λ: distortion for each byte
    fewer, more = (np.array([one.bytes[end] for one in rates]) for end in (0, -1))
    for _ in range(48):
        middle = (dear + cheap) / 2
        sizes = _sizes(rates, math.exp(middle))
        if sizes.sum() <= total:
            dear, fewer = middle, sizes
        else:
            cheap, more = middle, sizes
    # Between two places of a curve, and where it has an inward bend, a line joins them.
    gap = float(more.sum() - fewer.sum())
    part = (total - float(fewer.sum())) / gap if gap > 0 else 0.0
    shared: list[float] = (fewer + min(max(part, 0.0), 1.0) * (more - fewer)).tolist()
    return shared


def _sizes(rates: Sequence[Rates], price: float) -> NDArray[np.float64]:
    """The bytes of each picture where its distortion and ``price`` times its bytes are least together."""
    found = np.empty(len(rates))
    for first in range(0, len(rates), _AT_ONCE):
        part = rates[first : first + _AT_ONCE]
        sizes = _along([one.bytes for one in part], mean_of("log_bpp"))
        distortions = _along([one.distortions for one in part], mean_of("psnr"))
        best = (distortions + price * sizes).argmin(axis=1)
        found[first : first + _AT_ONCE] = sizes[np.arange(len(part)), best]
    return found


def _along(values: Sequence[Sequence[float]], typical: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at ``KNOTS`` as values all along the curves, (curves, places).

    In between their logarithms rise or fall as those of the typical curve do.
    """
    places = np.interp(np.arange(KNOTS[0], KNOTS[-1] + _STEP, _STEP).clip(max=KNOTS[-1]), QUALITIES, typical)
    knots = np.interp(KNOTS, QUALITIES, typical)
    logs = np.log(np.maximum(np.array(values, np.float64), _LEAST))
    after = np.searchsorted(knots, places, side="left").clip(1, len(knots) - 1)
    share = (places - knots[after - 1]) / (knots[after] - knots[after - 1])
    along: NDArray[np.float64] = np.exp(logs[:, after - 1] * (1 - share) + logs[:, after] * share)
    return along
