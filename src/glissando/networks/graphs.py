"""What the graphs of all families share: their names of inputs and outputs, and the way from and to pixels.

Arrays at the borders are what the codec has at hand: pixels and latents channels-last.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from .transforms import Analysis, Synthesis

__all__ = ["ExportedGraph", "PixelGraph", "analyse", "channels_first", "synthesise"]


class ExportedGraph(nn.Module):
    """A module that becomes a graph: the names of its inputs and outputs, and how its results are compared.

    Inputs in ``broadcast`` are (1, 1, 1, channels), or have as many rows and columns as what they are combined with.
    Results that are ``rounded`` are whole numbers: where a value lies on the border between two of them, an inference
    engine may give the one and torch the other. Other results may differ from torch's by ``tolerance`` times the
    largest one, or times 1 where that is more.
    """

    inputs: ClassVar[tuple[str, ...]]
    outputs: ClassVar[tuple[str, ...]]
    broadcast: ClassVar[tuple[str, ...]] = ()
    rounded: bool = False
    tolerance: float = 1e-2


class PixelGraph(ExportedGraph):
    """A graph that ends in pixels.

    They are real numbers, float32, 0 black and 1 white, neither clamped nor rounded; with ``eight_bits`` the same
    clamped to [0, 1], times 255, rounded, uint8.
    """

    outputs = ("pixels",)
    tolerance = 1e-3  # a quarter of an 8-bit level

    def __init__(self, *, eight_bits: bool = False) -> None:
        super().__init__()
        self.rounded = eight_bits

    def pixels(self, samples: Tensor, side: int) -> Tensor:
        """Samples of patches, (1, 3·side², h, w) as a pixel shuffle takes them → pixels (1, side·h, side·w, 3)."""
        if self.rounded:  # before the transposition, which then moves bytes
            samples = torch.round(samples.clamp(0, 1) * 255).to(torch.uint8)
        _, _, height, width = samples.shape
        samples = samples.reshape(1, 3, side, side, height, width).permute(0, 4, 2, 5, 3, 1)
        return samples.reshape(1, side * height, side * width, 3)


def channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def analyse(a: Analysis, pixels: Tensor) -> Tensor:
    """pixels (1, H, W, 3) uint8 → latents (1, latents, H/16, W/16)."""
    _, height, width, _ = pixels.shape
    # The pixel unshuffle of channels-last pixels, in one transposition.
    x = pixels.reshape(1, height // 8, 8, width // 8, 8, 3).permute(0, 5, 2, 4, 1, 3)
    x = x.reshape(1, 192, height // 8, width // 8).float() / 255 - 0.5
    return a.of_patches(x)


def synthesise(s: Synthesis, trunk: Tensor) -> Tensor:
    """Features at 1/8 behind the upsampling, (1, width, h, w) → samples of 8×8 patches, (1, 192, h, w)."""
    out: Tensor = s.leave(s.blocks(trunk)) + 0.5
    return out
