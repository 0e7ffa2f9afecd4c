"""The content-weighted codec in the source's own shape: its layers at 1/8, without feedback between the bits.

Source: Li et al., CVPR 2018, sections 3.1 and 3.3, in the sizes of the authors' released networks. Their bits are 0 and
1, ours −1 and +1; a bit that is not kept is 0 in both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glissando.networks.layers import Pointwise

__all__ = ["FEATURES", "PITCH", "SourceAnalysis", "SourceCode", "SourceSynthesis", "binarise"]

FEATURES = 256  # features from which bits and level map are made
PITCH = 8  # pixels between two positions of the grid


class _Binarise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, e: Tensor) -> Tensor:
        ctx.save_for_backward(e)
        return (e > 0.5).to(e.dtype)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (e,) = ctx.saved_tensors  # type: ignore[attr-defined]
        out: Tensor = grads[0] * ((e >= 0) & (e <= 1))
        return out


def binarise(e: Tensor) -> Tensor:
    """B(e) = 1 where e > 0.5, else 0; its gradient is that of the identity clipped to [0, 1]."""
    out: Tensor = _Binarise.apply(e)  # type: ignore[no-untyped-call]
    return out


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, a ReLU after each and one after the sum."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, inner, 3, padding=1)
        self.second = nn.Conv2d(inner, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + F.relu(self.second(F.relu(self.first(x)))))


class SourceAnalysis(nn.Sequential):
    """Picture (B, 3, H, W) in [0, 1], sides multiples of 8 → features (B, FEATURES, H/8, W/8)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 128, 8, stride=4, padding=2),
            nn.ReLU(),
            ResidualBlock(128, 128),
            nn.Conv2d(128, 256, 4, stride=2, padding=1),
            nn.ReLU(),
            ResidualBlock(256, 128),
            nn.Conv2d(256, FEATURES, 3, padding=1),
            nn.ReLU(),
            ResidualBlock(FEATURES, 128),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(2 * x - 1)  # type: ignore[no-untyped-call]
        return out


class SourceSynthesis(nn.Sequential):
    """Code (B, bits, h, w) → picture (B, 3, 8h, 8w)."""

    def __init__(self, bits: int) -> None:
        super().__init__(
            nn.Conv2d(bits, 512, 3, padding=1),
            nn.ReLU(),
            ResidualBlock(512, 128),
            nn.Conv2d(512, 512, 3, padding=1),
            nn.ReLU(),
            ResidualBlock(512, 128),
            nn.PixelShuffle(2),
            nn.Conv2d(128, 256, 3, padding=1),
            nn.ReLU(),
            ResidualBlock(256, 128),
            nn.PixelShuffle(4),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 3, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return 0.5 * out + 0.5


class SourceCode(nn.Module):
    """Features to bits; the decoder reads them as they are."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.enter = Pointwise(FEATURES, bits, exact=True)

    def encode(self, y: Tensor) -> Tensor:
        """Features (B, FEATURES, h, w) → bits of −1 and +1, (B, bits, h, w)."""
        return 2 * binarise(torch.sigmoid(self.enter(y))) - 1

    def decode(self, code: Tensor) -> Tensor:
        return code
