"""How near to a picture its file comes: PSNR and SSIMULACRA 2, in NumPy alone.

Both compare colours as a reader shows them with those of the picture. Where opacity hides colours altogether, they do
not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.perception import BIAS, CONES, CONTRAST, POLYNOMIAL, POWER, RADIUS, SIGMA, TOTAL, WEIGHTS

__all__ = ["SMALLEST_SIDE", "Ssimulacra2", "psnr", "squared_error"]

Floats = NDArray[np.float32]
Samples = NDArray[np.unsignedinteger[Any]]

_SCALES = 6
SMALLEST_SIDE = 8
"""Pixels that both sides of a picture must have for SSIMULACRA 2."""

_PART = 1 << 16  # rows are compared in parts of so many pixels, so that large pictures take no more memory


def squared_error(
    pixels: Samples, shown: Samples, depth: int, hidden: NDArray[np.bool_] | None = None
) -> tuple[float, int]:
    """The sum of squared errors in levels of 255, and how many samples it is of.

    ``pixels`` and ``shown``: (height, width) or (height, width, 3), of ``depth`` bits. ``hidden``: pixels that do not
    count, (height, width).
    """
    rows = max(1, _PART // pixels.shape[1])
    total, count = 0.0, 0
    for first in range(0, len(pixels), rows):
        part = slice(first, first + rows)
        error = pixels[part].astype(np.float32) - shown[part]
        if hidden is not None:
            error = error[~hidden[part]]
        total += float(np.square(error).sum(dtype=np.float64))
        count += error.size
    return total * (255 / ((1 << depth) - 1)) ** 2, count


def psnr(pixels: Samples, shown: Samples, depth: int, hidden: NDArray[np.bool_] | None = None) -> float:
    """Peak signal-to-noise ratio in dB over all samples, infinite where they are equal; as for ``squared_error``."""
    total, count = squared_error(pixels, shown, depth, hidden)
    return math.inf if total == 0 else 10 * math.log10(255**2 * count / total)


class Ssimulacra2:
    """SSIMULACRA 2 of pictures that are compared with one original, whose half of the work is done once.

    100 is equal, 90 not told apart, 70 high, 50 medium, 30 low quality, below 0 very poor. As the package
    ``ssimulacra2`` computes it, without the weights that are below 0.01 (``glissando.perception``) and in float32:
    the difference is below 0.05 points (tests/codec/test_scores.py).

    Sources: Cloudinary, https://github.com/cloudinary/ssimulacra2.
    """

    def __init__(self, pixels: Samples, depth: int, hidden: NDArray[np.bool_] | None = None) -> None:
        """``pixels``: (height, width) or (height, width, 3), of ``depth`` bits, both sides of ``SMALLEST_SIDE`` at
        least. ``hidden``: pixels that do not count, (height, width).
        """
        self._depth, self._hidden, self._pixels = depth, hidden, pixels
        side = min(pixels.shape[:2])
        self._weights = _weights(sum(_halved_side(side, scale) >= SMALLEST_SIDE for scale in range(_SCALES)))
        self._original = [
            [(plane, *_statistics(plane)) for plane in planes] for planes in self._planes(self._linear(pixels))
        ]

    def __call__(self, shown: Samples) -> float:
        """The score of a picture of the original's shape and depth."""
        if self._hidden is not None:
            hidden = self._hidden[..., None] if shown.ndim == 3 else self._hidden
            shown = np.where(hidden, self._pixels, shown)
        total = 0.0
        for scale, planes in enumerate(self._planes(self._linear(shown))):
            used = self._weights[scale].values()
            for original, plane, weights in zip(self._original[scale], planes, used, strict=True):
                total += _errors(*original, plane, weights)
        total *= TOTAL
        first, second, third = POLYNOMIAL
        return float(100 - 10 * max(total * (first + total * (second + total * third)), 0.0) ** POWER)

    def _linear(self, pixels: Samples) -> Floats:
        """Light of each primary, (3, height, width), 0 to 1."""
        levels = np.arange(1 << self._depth) / ((1 << self._depth) - 1)
        light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)
        channels = np.repeat(pixels[None], 3, axis=0) if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
        return light[channels]

    def _planes(self, linear: Floats) -> list[list[Floats]]:
        """For each scale the channels of XYB that count there, (height, width) each."""
        found = []
        for scale, weights in enumerate(self._weights):
            if scale:
                linear = _halved(linear)
            found.append(_xyb(linear, tuple(weights)))
        return found


def _weights(scales: int) -> list[dict[int, Sequence[float]]]:
    """By scale and by channel the weights of a picture that is compared at so many scales.

    The metric lists its weights by channel, then by scale, and goes on in that list from one number to the next. So a
    picture that is too small for all scales has the weights of others than its own scales and channels: it is the
    metric's own way, which all programs share, and scores are to be theirs.
    """
    nothing = (0.0,) * 6
    by_scale: list[dict[int, tuple[float, ...]]] = [*WEIGHTS, *[{}] * (_SCALES - len(WEIGHTS))]
    listed = [weights.get(channel, nothing) for channel in range(3) for weights in by_scale]
    found: list[dict[int, Sequence[float]]] = [
        {channel: used for channel in range(3) if any(used := listed[channel * scales + scale])}
        for scale in range(scales)
    ]
    while found and not found[-1]:
        found.pop()
    return found


def _halved_side(side: int, times: int) -> int:
    """How long a side is after so many halvings, each of which rounds up."""
    return -(-side >> times)


def _halved(x: Floats) -> Floats:
    """Means of 2×2 pixels of (channels, height, width); at an odd edge, of those that there are."""
    x = np.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2)), mode="edge")
    rows = x[:, ::2] + x[:, 1::2]
    mean: Floats = (rows[..., ::2] + rows[..., 1::2]) * np.float32(0.25)
    return mean


def _xyb(linear: Floats, channels: Sequence[int]) -> list[Floats]:
    """These channels of XYB, moved and scaled as the metric does so that all are positive."""
    rows = np.array(CONES if 2 in channels else CONES[:2], np.float32)
    mixed = np.tensordot(rows, linear, axes=1)
    mixed += np.float32(BIAS)
    cones = np.cbrt(mixed)
    at_zero = np.float32(BIAS ** (1 / 3))
    light = np.float32(0.5) * (cones[0] + cones[1]) - at_zero
    planes = []
    for channel in channels:
        if channel == 0:
            planes.append(np.float32(7) * (cones[0] - cones[1]) + np.float32(0.42))
        elif channel == 1:
            planes.append(light + np.float32(0.01))
        else:
            planes.append(cones[2] - light + np.float32(0.55) - at_zero)
    return planes


def _statistics(plane: Floats) -> tuple[Floats, Floats]:
    """Windows' means of a plane and of its square."""
    return _blurred(plane), _blurred(plane * plane)


def _errors(original: Floats, mean_o: Floats, square_o: Floats, plane: Floats, weights: Sequence[float]) -> float:
    """The weighted sum of one channel's errors; the formulas are those of ``graphs.distortions``."""
    mean, square = _statistics(plane)
    product = _blurred(original * plane)
    total = 0.0
    if any(weights[0::3]):
        apart = mean_o - mean
        covariance = 2 * (product - mean_o * mean) + CONTRAST
        variances = (square_o - mean_o * mean_o) + (square - mean * mean) + CONTRAST
        structure = np.subtract(1, (1 - apart * apart) * covariance / variances)
        total += _weighed(structure, weights[0], weights[3])
    if any(weights[1::3]) or any(weights[2::3]):
        edges: Floats = (1 + np.abs(plane - mean)) / (1 + np.abs(original - mean_o)) - 1
        total += _weighed(edges, weights[1], weights[4]) + _weighed(np.negative(edges), weights[2], weights[5])
    return total


def _weighed(errors: Floats, of_mean: float, of_norm: float) -> float:
    """The mean and the 4-norm of what is positive, each times its weight."""
    if not of_mean and not of_norm:
        return 0.0
    errors = np.maximum(errors, 0)
    total = of_mean * float(errors.mean(dtype=np.float64)) if of_mean else 0.0
    if of_norm:
        fourth = np.square(np.square(errors))
        total += of_norm * float(fourth.mean(dtype=np.float64)) ** 0.25
    return total


_TAPS: list[float] = np.exp(-np.square(np.arange(RADIUS + 1)) / (2 * SIGMA**2)).tolist()
_WHOLE = 2 * sum(_TAPS) - _TAPS[0]


def _blurred(plane: Floats) -> Floats:
    """Windows' means.

    Beyond the left and the right edge there is nothing; above and below the picture is reflected, as by the package.
    """
    height, width = plane.shape
    across = np.pad(plane, ((0, 0), (RADIUS, RADIUS)))
    rows = np.float32(_TAPS[0] / _WHOLE) * plane
    for distance in range(1, RADIUS + 1):
        before, after = RADIUS - distance, RADIUS + distance
        sides = across[:, before : before + width] + across[:, after : after + width]
        sides *= np.float32(_TAPS[distance] / _WHOLE)
        rows += sides
    down = np.pad(rows, ((RADIUS, RADIUS), (0, 0)), mode="symmetric")
    blurred = np.float32(_TAPS[0] / _WHOLE) * rows
    for distance in range(1, RADIUS + 1):
        above, below = RADIUS - distance, RADIUS + distance
        sides = down[above : above + height] + down[below : below + height]
        sides *= np.float32(_TAPS[distance] / _WHOLE)
        blurred += sides
    return blurred
