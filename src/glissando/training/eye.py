"""A distortion for the eye: SSIMULACRA 2 in a form that can be trained for.

SSIMULACRA 2 (Cloudinary; https://github.com/cloudinary/ssimulacra2) looks at two pictures in XYB, a colour space of
the eye's own, at several scales, and sums three kinds of error by weights that were fitted to people's judgements:
structure that differs, edges that are new (ringing, blocks), and edges that are lost (blur). Its score is a polynomial
and a power of that sum, whose slopes do not suit a training; what is computed here is the sum.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glissando.perception import BIAS, CONES, CONTRAST, POLYNOMIAL, POWER, RADIUS, SIGMA, TOTAL, WEIGHTS

from .precision import full_precision

__all__ = ["SMALLEST_SIDE", "ssimulacra2_score", "ssimulacra2_sum"]

SMALLEST_SIDE = 8 << (len(WEIGHTS) - 1)
"""Pixels of the smallest side that a picture may have: the metric leaves out scales where a side is below 8."""

CURVE_AT_ZERO = BIAS ** (1 / 3)  # the curve's value at zero light
TINY = 1e-30  # added to what gradients divide by, which is zero only where the gradient is zero too


def ssimulacra2_sum(out: Tensor, picture: Tensor) -> Tensor:
    """The weighted sum of SSIMULACRA 2 (B,), from 0 for equal pictures to some 100 for poor ones.

    ``out`` and ``picture``: sRGB (B, 3, H, W) in [0, 1], sides of ``SMALLEST_SIDE`` pixels at least; what lies outside
    [0, 1] counts as the nearest colour, as when it is decoded. Computed in
    float32, also under autocast, for a variance is a small difference of large means. Gradients reach ``out`` alone.
    """
    with full_precision(out.device):
        return _sum(out.float(), picture.float())


def _sum(out: Tensor, picture: Tensor) -> Tensor:
    """``ssimulacra2_sum`` in the precision of its arguments."""
    ours, theirs = (_to_linear(x.clamp(0, 1).contiguous()) for x in (out, picture))
    total = out.new_zeros(len(out))
    for scale, weights in enumerate(WEIGHTS):
        if scale:
            ours, theirs = _halved(ours), _halved(theirs)
        channels = tuple(weights)
        table = out.new_tensor(list(weights.values()))
        xyb = _to_xyb(ours, channels), _to_xyb(theirs, channels)
        total = total + _Errors.apply(*xyb, table)  # type: ignore[no-untyped-call]
    return TOTAL * total


def ssimulacra2_score(total: Tensor) -> Tensor:
    """SSIMULACRA 2 in points, 100 for equal pictures, of the weighted sum."""
    first, second, third = POLYNOMIAL
    polynomial = total * (first + total * (second + total * third))
    return 100 - 10 * polynomial.clamp_min(0) ** POWER


def _to_linear(srgb: Tensor) -> Tensor:
    """Light of each primary, from sRGB in [0, 1]."""
    # The power is taken of no less than the threshold, so that its gradient stays finite where the line is taken.
    curve = ((srgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(srgb <= 0.04045, srgb / 12.92, curve)


def _to_xyb(linear: Tensor, channels: tuple[int, ...]) -> Tensor:
    """These channels of XYB (B, C, H, W), moved and scaled as the metric does so that all are positive."""
    rows = linear.new_tensor(CONES if 2 in channels else CONES[:2])
    cones = (torch.einsum("kc,bchw->bkhw", rows, linear) + BIAS) ** (1 / 3)
    light = 0.5 * (cones[:, 0] + cones[:, 1]) - CURVE_AT_ZERO
    planes = []
    for channel in channels:
        if channel == 0:
            planes.append(7 * (cones[:, 0] - cones[:, 1]) + 0.42)
        elif channel == 1:
            planes.append(light + 0.01)
        else:
            planes.append(cones[:, 2] - CURVE_AT_ZERO - light + 0.55)
    return torch.stack(planes, 1)


def _halved(x: Tensor) -> Tensor:
    """Means of 2×2 pixels; at an odd edge, of those that there are."""
    odd = [side % 2 for side in x.shape[2:]]
    if any(odd):
        x = F.pad(x, (0, odd[1], 0, odd[0]), mode="replicate")
    rows = x[:, :, ::2] + x[:, :, 1::2]
    return 0.25 * (rows[..., ::2] + rows[..., 1::2])


class _Errors(torch.autograd.Function):
    """One scale's weighted sum (B,) of (B, C, H, W) in XYB, for weights (C, 6).

    With m₁, m₂ the windows' means of the original x₁ and of ours x₂, v their variances and covariance:
    structure d = max(0, 1 − (1 − (m₁ − m₂)²)·(2 v₁₂ + C₂) / (v₁₁ + v₂₂ + C₂)), edges
    e = (1 + |x₂ − m₂|) / (1 + |x₁ − m₁|) − 1, ringing max(0, e), blur max(0, −e).

    The gradient is computed with the value, while the maps are at hand: a backward pass of PyTorch's own would keep
    some thirty of them and took several times as long.
    """

    @staticmethod
    def forward(ctx: Any, ours: Tensor, theirs: Tensor, weights: Tensor) -> Tensor:
        # All planes are the channels of one picture. On a CPU they are channels-last in memory, which makes filters
        # several times faster.
        shape, count = ours.shape, ours.shape[2] * ours.shape[3]
        layout = torch.channels_last if ours.device.type == "cpu" else torch.contiguous_format
        ours, theirs = (x.reshape(1, -1, *shape[2:]).contiguous(memory_format=layout) for x in (ours, theirs))
        mean, mean_t, square, square_t, product = _blur(
            torch.cat([ours, theirs, ours * ours, theirs * theirs, ours * theirs], 1)
        ).chunk(5, 1)
        apart = mean_t - mean
        alike = 1 - apart * apart
        covariance = 2 * (product - mean * mean_t) + CONTRAST
        below = (square - mean * mean) + (square_t - mean_t * mean_t) + CONTRAST
        ratio = alike / below
        similarity = ratio * covariance
        structure = (1 - similarity).clamp_min(0)

        detail = ours - mean
        scale_t = 1 / (1 + (theirs - mean_t).abs())
        edges = (1 + detail.abs()) * scale_t - 1
        maps = (structure, edges.clamp_min(0), (-edges).clamp_min(0))

        total = torch.zeros((), device=ours.device, dtype=ours.dtype)
        by_map = []  # derivatives of the sum by each pixel of each map
        for index, errors in enumerate(maps):
            of_mean, of_norm = (weights[:, index + shift].repeat(shape[0])[:, None, None] for shift in (0, 3))
            cube = errors * errors * errors
            fourth = (cube * errors).mean((2, 3), keepdim=True)
            norm = fourth**0.25
            total = total + of_mean * errors.mean((2, 3), keepdim=True) + of_norm * norm
            by_map.append(of_mean / count * (errors > 0) + cube * (of_norm / count * norm / (fourth + TINY)))
        if ctx.needs_input_grad[0]:
            by_structure, by_ringing, by_blur = by_map
            by_square = by_structure * similarity / below
            by_product = -2 * by_structure * ratio
            by_mean = -mean_t * by_product - 2 * mean * by_square - 2 * by_structure * apart * covariance / below
            by_detail = (by_ringing - by_blur) * scale_t * detail.sign()
            first, second, third = _blur_transposed(torch.cat([by_mean - by_detail, by_square, by_product], 1)).chunk(
                3, 1
            )
            ctx.save_for_backward((by_detail + first + 2 * ours * second + theirs * third).reshape(shape))
        return total.reshape(shape[:2]).sum(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (by_ours,) = ctx.saved_tensors
        return gradient[:, None, None, None] * by_ours, None, None


def _blur(x: Tensor) -> Tensor:
    """Windows' means (1, C, H, W).

    Beyond the left and the right edge there is nothing; above and below the picture is reflected. The package
    ``ssimulacra2``, with which the benchmarks measure, does the same; the original in C++ differs at the edges alone.

    A CPU filters along rows and along columns. A GPU multiplies by matrices: PyTorch's depthwise filters of one row are
    slow there, and it has arithmetic to spare.
    """
    if x.device.type != "cpu":
        return _multiplied(x)
    rows, columns = _taps(x)
    x = torch.cat([x[:, :, :RADIUS].flip(2), x, x[:, :, -RADIUS:].flip(2)], 2)
    return F.conv2d(F.conv2d(x, rows, padding=(0, RADIUS), groups=x.shape[1]), columns, groups=x.shape[1])


def _blur_transposed(x: Tensor) -> Tensor:
    """The transpose of ``_blur``."""
    if x.device.type != "cpu":
        return _multiplied(x, transposed=True)
    rows, columns = _taps(x)
    x = F.conv2d(x, columns, padding=(2 * RADIUS, 0), groups=x.shape[1])
    x = F.conv2d(x, rows, padding=(0, RADIUS), groups=x.shape[1])
    inner = x[:, :, RADIUS:-RADIUS].clone()
    inner[:, :, :RADIUS] += x[:, :, :RADIUS].flip(2)
    inner[:, :, -RADIUS:] += x[:, :, -RADIUS:].flip(2)
    return inner


def _multiplied(x: Tensor, *, transposed: bool = False) -> Tensor:
    """``_blur``, or its transpose, as products with a matrix for the columns and one for the rows."""
    columns, rows = _window_matrix(x, x.shape[2], reflected=True), _window_matrix(x, x.shape[3], reflected=False)
    return columns.mT @ x @ rows if transposed else columns @ x @ rows.mT


def _gaussian(like: Tensor) -> Tensor:
    """The window's weights (taps,), whose sum is 1."""
    place = torch.arange(-RADIUS, RADIUS + 1, device=like.device, dtype=like.dtype)
    taps = torch.exp(-place.square() / (2 * SIGMA**2))
    return taps / taps.sum()


def _taps(like: Tensor) -> list[Tensor]:
    """The Gaussian along rows and along columns, as depthwise filters of ``like``'s channels."""
    taps = _gaussian(like).expand(like.shape[1], 1, 1, -1)
    return [taps.contiguous(), taps.transpose(2, 3).contiguous()]


def _window_matrix(like: Tensor, side: int, *, reflected: bool) -> Tensor:
    """The Gaussian along a line of ``side`` samples, (side, side): beyond its ends the line is reflected, or zero."""
    taps = _gaussian(like)
    place = torch.arange(side, device=like.device)[:, None] + torch.arange(-RADIUS, RADIUS + 1, device=like.device)
    within = (place >= 0) & (place < side)
    mirrored = torch.where(place < 0, -1 - place, torch.where(place >= side, 2 * side - 1 - place, place))
    weights = taps.expand(side, -1) if reflected else taps * within
    return like.new_zeros(side, side).scatter_add_(1, mirrored, weights.contiguous())
