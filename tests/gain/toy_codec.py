"""A codec that knows nothing of gains: linear transforms, and a scale for each channel, or a hyperprior."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ToyCodec(nn.Module):
    """Pictures (B, 3, H, W) to latents (B, 12, H/8, W/8) and back; with a hyperprior of 4 channels if asked."""

    def __init__(self, hyper: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.analysis = nn.Conv2d(3, 12, 8, 8)
        self.synthesis = nn.ConvTranspose2d(12, 3, 8, 8)
        self.hyper_analysis = nn.Conv2d(12, 4, 2, 2) if hyper else None
        self.hyper_synthesis = nn.ConvTranspose2d(4, 12, 2, 2) if hyper else None
        self.seen: dict[str, Tensor] = {}  # latents as the entropy model has them, for tests

    def symbols(self, picture: Tensor) -> Tensor:
        y = self.analysis(picture)
        self.seen["y"] = y
        if self.hyper_analysis is not None and self.hyper_synthesis is not None:
            z = self.hyper_analysis(y)
            self.seen["z"] = z
            self.seen["scales"] = self.hyper_synthesis(z.round())
        return torch.round(y)

    def decode(self, symbols: Tensor) -> Tensor:
        return self.synthesis(symbols)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """The decoded picture, and an estimate of bits (B,)."""
        y = self.analysis(picture)
        noisy = y + torch.rand_like(y) - 0.5
        return self.synthesis(y + (y.round() - y).detach()), torch.log2(1 + noisy.abs()).sum((1, 2, 3))
