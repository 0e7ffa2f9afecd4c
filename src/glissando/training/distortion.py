"""Distortions that trainings minimise, one number for each picture, of pixels in [0, 1]."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glissando.perception import LUMINANCE, MS_SSIM_WEIGHTS, RADIUS, SIGMA, SMALLEST, STRUCTURE

from .precision import full_precision

__all__ = ["ms_ssim", "mse"]

WINDOW = 2 * RADIUS + 1  # side of the Gaussian window, pixels


def mse(out: Tensor, picture: Tensor) -> Tensor:
    """Mean squared error (B,) of (B, 3, H, W)."""
    return (out.float() - picture).square().mean((1, 2, 3))


def ms_ssim(out: Tensor, picture: Tensor) -> Tensor:
    """Multi-scale structural similarity (B,), at most 1, of (B, 3, H, W) with sides above 160.

    Mean of the three channels; values and gradients are those of the package pytorch_msssim, in about a sixth less time
    and without the package, which machines that train seldom have. Unlike there, similarities below ``SMALLEST`` count
    as ``SMALLEST``, so that a picture keeps the gradient of its other scales where one of them is zero or less.
    """
    with full_precision(out.device):
        # Depthwise filters are several times faster on channels-last memory.
        ours, theirs = (x.float().contiguous(memory_format=torch.channels_last) for x in (out, picture))
        product = torch.ones((), device=out.device)
        for scale, weight in enumerate(MS_SSIM_WEIGHTS):
            if scale:
                odd = [side % 2 for side in ours.shape[2:]]
                ours, theirs = (F.avg_pool2d(x, 2, padding=odd) for x in (ours, theirs))
            last = scale == len(MS_SSIM_WEIGHTS) - 1
            similarity: Tensor = _Similarity.apply(ours, theirs, last)  # type: ignore[no-untyped-call]
            product = product * similarity.clamp_min(SMALLEST) ** weight
        return product.mean(1)


class _Similarity(torch.autograd.Function):
    """One scale's mean of contrast and structure, times luminance where asked for: (B, 3, H, W) → (B, 3)."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, picture: Tensor, luminance: bool) -> Tensor:
        mean, mean_p = _blur(out), _blur(picture)
        square, square_p, product = _blur(out * out), _blur(picture * picture), _blur(out * picture)
        inner, outer = mean * mean_p, mean.square() + mean_p.square()
        below = square + square_p - outer + STRUCTURE
        similarity = (2 * (product - inner) + STRUCTURE) / below
        # Derivatives of the map by out's blurred square, by the blurred product, and by out's mean.
        by_product, by_square = 2 / below, -similarity / below
        by_mean = 2 * similarity * mean / below - mean_p * by_product
        if luminance:
            total = outer + LUMINANCE
            light = (2 * inner + LUMINANCE) / total
            by_mean = light * by_mean + 2 * similarity * (mean_p - light * mean) / total
            by_product, by_square, similarity = light * by_product, light * by_square, light * similarity
        ctx.save_for_backward(out, picture, by_mean, by_square, by_product)
        return similarity.mean((2, 3))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        out, picture, *maps = ctx.saved_tensors
        with full_precision(out.device):
            by_mean, by_square, by_product = map(_blur_transposed, maps)
        each = gradient[:, :, None, None] / maps[0][0, 0].numel()
        return each * (by_mean + 2 * out * by_square + picture * by_product), None, None


def _taps(like: Tensor) -> list[Tensor]:
    """The Gaussian along rows and along columns, as depthwise filters of ``like``'s channels."""
    place = torch.arange(WINDOW, device=like.device, dtype=like.dtype) - WINDOW // 2
    taps = torch.exp(-place.square() / (2 * SIGMA**2))
    taps = (taps / taps.sum()).expand(like.shape[1], 1, 1, -1).contiguous()
    return [taps, taps.transpose(2, 3).contiguous()]


def _blur(x: Tensor) -> Tensor:
    """Gaussian means (B, C, H − 10, W − 10), as no window reaches beyond the edge."""
    for taps in _taps(x):
        x = F.conv2d(x, taps, groups=x.shape[1])
    return x


def _blur_transposed(x: Tensor) -> Tensor:
    """The transpose of ``_blur``: (B, C, H, W) → (B, C, H + 10, W + 10)."""
    for taps in _taps(x):
        x = F.conv2d(x, taps, padding=[side - 1 for side in taps.shape[2:]], groups=x.shape[1])
    return x
