"""Distortions as graphs, to refine latents for: the ones that models are trained for (``glissando.training``).

Each is built over two values ``ours`` and ``theirs``, pictures (1, 3, height, width) in sRGB, 0 black and 1 white, and
gives one number, (1, 1, 1, 1). Sides are multiples of 16, since pictures are halved up to four times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glissando.perception import (
    BIAS,
    CONES,
    CONTRAST,
    LUMINANCE,
    MS_SSIM_WEIGHTS,
    RADIUS,
    SIGMA,
    SMALLEST,
    STRUCTURE,
    TOTAL,
    WEIGHTS,
)

from .builder import Builder

__all__ = ["ms_ssim", "ms_ssim_scales", "mse", "ssimulacra2", "ssimulacra2_scales"]

_TINY = 1e-30  # added where a power has no finite slope at zero


def mse(graph: Builder, ours: str, theirs: str) -> str:
    """Mean squared error."""
    error = graph.subtract(ours, theirs)
    return graph.mean(graph.multiply(error, error), 1, 2, 3)


def _gaussian(radius: int, sigma: float) -> NDArray[np.float64]:
    taps: NDArray[np.float64] = np.exp(-np.square(np.arange(-radius, radius + 1)) / (2 * sigma**2))
    taps /= taps.sum()
    return taps


def _filtered(graph: Builder, x: str, taps: NDArray[np.float64], channels: int, pads: Sequence[int]) -> str:
    """A filter along columns, then along rows; ``pads`` of zeros: above, left, below, right."""
    top, left, bottom, right = pads
    for shape, sides in ((1, 1, 1, -1), [0, left, 0, right]), ((1, 1, -1, 1), [top, 0, bottom, 0]):
        weight = np.repeat(taps.reshape(shape), channels, axis=0)
        x = graph.add_node(
            "Conv", x, graph.constant(weight), group=channels, pads=sides, kernel_shape=list(weight.shape[2:])
        )
    return x


# SSIMULACRA 2 -------------------------------------------------------------------------------------------------------

CURVE_AT_ZERO = BIAS ** (1 / 3)  # the curve of the eye's responses at zero light
_THRESHOLD = 0.04045  # of sRGB's line near black


def ssimulacra2_scales(side: int) -> int:
    """At how many scales pictures are compared whose smallest side has so many pixels: none has fewer than 8."""
    return sum(side >> scale >= 8 for scale in range(len(WEIGHTS)))


def ssimulacra2(graph: Builder, ours: str, theirs: str, scales: int = len(WEIGHTS)) -> str:
    """The weighted sum of SSIMULACRA 2, from 0 for equal pictures to some 100 for poor ones.

    ``scales``: what ``ssimulacra2_scales`` gives.
    """
    ours, theirs = (_to_linear(graph, graph.clip(x, 0, 1)) for x in (ours, theirs))
    sums = []
    for scale, weights in enumerate(WEIGHTS[:scales]):
        if scale:
            ours, theirs = _halved(graph, ours), _halved(graph, theirs)
        channels = tuple(weights)
        xyb = _to_xyb(graph, ours, channels), _to_xyb(graph, theirs, channels)
        sums.append(_errors(graph, *xyb, np.array(list(weights.values()))))
    return graph.multiply(graph.add(*sums), TOTAL)


def _to_linear(graph: Builder, srgb: str) -> str:
    """Light of each primary, from sRGB in [0, 1]."""
    # The curve is taken of no less than the threshold, and the line of no more, so that one of them stands still.
    above = graph.add_node("Max", srgb, graph.constant(_THRESHOLD))
    curve = graph.power(graph.multiply(graph.add(above, 0.055), 1 / 1.055), 2.4)
    line = graph.multiply(graph.clip(srgb, 0, _THRESHOLD), 1 / 12.92)
    return graph.subtract(graph.add(curve, line), ((_THRESHOLD + 0.055) / 1.055) ** 2.4)


def _to_xyb(graph: Builder, linear: str, channels: tuple[int, ...]) -> str:
    """These channels of XYB (1, channels, height, width), moved and scaled as the metric does: all are positive."""
    rows = np.array(CONES if 2 in channels else CONES[:2])[:, :, None, None]
    mixed = graph.convolve(linear, rows, np.full(len(rows), BIAS))
    cones = graph.power(mixed, 1 / 3)
    # What each channel is of the cones' responses, and what is added to it.
    parts = {0: ((7, -7, 0), 0.42), 1: ((0.5, 0.5, 0), 0.01 - CURVE_AT_ZERO), 2: ((-0.5, -0.5, 1), 0.55)}
    weight = np.array([parts[channel][0][: len(rows)] for channel in channels])[:, :, None, None]
    return graph.convolve(cones, weight, np.array([parts[channel][1] for channel in channels]))


def _halved(graph: Builder, x: str) -> str:
    """Means of 2×2 pixels."""
    return graph.add_node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])


def _errors(graph: Builder, ours: str, theirs: str, weights: NDArray[np.float64]) -> str:
    """One scale's weighted sum (1, 1, 1, 1) of two pictures in XYB, for weights (channels, 6).

    With m₁, m₂ the windows' means of the original x₁ and of ours x₂, v their variances and covariance:
    structure d = max(0, 1 − (1 − (m₁ − m₂)²)·(2 v₁₂ + C₂) / (v₁₁ + v₂₂ + C₂)), edges
    e = (1 + |x₂ − m₂|) / (1 + |x₁ − m₁|) − 1, ringing max(0, e), blur max(0, −e).
    """
    channels = len(weights)
    products = [graph.multiply(a, b) for a, b in ((ours, ours), (theirs, theirs), (ours, theirs))]
    stacked = graph.concatenate([ours, theirs, *products], 1)
    mean, mean_t, square, square_t, product = graph.split(_blurred(graph, stacked, 5 * channels), 5, axis=1)
    apart = graph.subtract(mean_t, mean)
    alike = graph.subtract(1.0, graph.multiply(apart, apart))
    covariance = graph.add(graph.multiply(graph.subtract(product, graph.multiply(mean, mean_t)), 2.0), CONTRAST)
    variances = [graph.subtract(s, graph.multiply(m, m)) for s, m in ((square, mean), (square_t, mean_t))]
    below = graph.add(*variances, CONTRAST)
    similarity = graph.divide(graph.multiply(alike, covariance), below)
    detail, detail_t = (
        graph.add(graph.add_node("Abs", graph.subtract(x, m)), 1.0) for x, m in ((ours, mean), (theirs, mean_t))
    )
    edges = graph.subtract(graph.divide(detail, detail_t), 1.0)
    maps = (graph.subtract(1.0, similarity), edges, graph.multiply(edges, -1.0))
    sums = []
    for index, errors in enumerate(maps):
        of_mean, of_norm = (weights[:, index + shift].reshape(1, channels, 1, 1) for shift in (0, 3))
        if not of_mean.any() and not of_norm.any():
            continue
        errors = graph.add_node("Relu", errors)
        if of_mean.any():
            sums.append(graph.multiply(graph.mean(errors, 2, 3), graph.constant(of_mean)))
        if of_norm.any():
            square = graph.multiply(errors, errors)
            fourth = graph.add(graph.mean(graph.multiply(square, square), 2, 3), _TINY)
            sums.append(graph.multiply(graph.power(fourth, 0.25), graph.constant(of_norm)))
    return graph.add_node("ReduceSum", graph.add(*sums), graph.integers(1), keepdims=1)


def _blurred(graph: Builder, x: str, channels: int) -> str:
    """Windows' means (1, channels, height, width).

    Beyond the left and the right edge there is nothing; above and below the picture is reflected.
    """
    top, bottom = graph.part(x, 2, 0, RADIUS), graph.part(x, 2, -RADIUS, np.iinfo(np.int64).max)
    x = graph.concatenate([_flipped(graph, top), x, _flipped(graph, bottom)], 2)
    return _filtered(graph, x, _gaussian(RADIUS, SIGMA), channels, (0, RADIUS, 0, RADIUS))


def _flipped(graph: Builder, x: str) -> str:
    """RADIUS rows in the opposite order."""
    return graph.add_node("Gather", x, graph.constant(np.arange(RADIUS)[::-1], np.int64), axis=2)


# MS-SSIM ------------------------------------------------------------------------------------------------------------


def ms_ssim_scales(side: int) -> int:
    """At how many scales pictures are compared whose smallest side has so many pixels: a window fits into each."""
    return sum(side >> scale > 2 * RADIUS for scale in range(len(MS_SSIM_WEIGHTS)))


def ms_ssim(graph: Builder, ours: str, theirs: str, scales: int = len(MS_SSIM_WEIGHTS)) -> str:
    """1 less multi-scale structural similarity, the mean of the three channels."""
    product = None
    for scale, weight in enumerate(MS_SSIM_WEIGHTS[:scales]):
        if scale:
            ours, theirs = _halved(graph, ours), _halved(graph, theirs)
        similarity = graph.clip(_similarity(graph, ours, theirs, scale == scales - 1), SMALLEST, 2.0)
        power = graph.power(similarity, weight)
        product = power if product is None else graph.multiply(product, power)
    assert product is not None
    return graph.subtract(1.0, graph.mean(product, 1))


def _similarity(graph: Builder, ours: str, theirs: str, luminance: bool) -> str:
    """One scale's mean of contrast and structure, times luminance where asked for, (1, 3, 1, 1)."""
    products = [graph.multiply(a, b) for a, b in ((ours, ours), (theirs, theirs), (ours, theirs))]
    stacked = graph.concatenate([ours, theirs, *products], 1)
    means = _filtered(graph, stacked, _gaussian(RADIUS, SIGMA), 15, (0, 0, 0, 0))
    mean, mean_t, square, square_t, product = graph.split(means, 5, axis=1)
    inner = graph.multiply(mean, mean_t)
    outer = graph.add(graph.multiply(mean, mean), graph.multiply(mean_t, mean_t))
    above = graph.add(graph.multiply(graph.subtract(product, inner), 2.0), STRUCTURE)
    similarity = graph.divide(above, graph.add(graph.subtract(graph.add(square, square_t), outer), STRUCTURE))
    if luminance:
        light = graph.divide(graph.add(graph.multiply(inner, 2.0), LUMINANCE), graph.add(outer, LUMINANCE))
        similarity = graph.multiply(similarity, light)
    return graph.mean(similarity, 2, 3)
