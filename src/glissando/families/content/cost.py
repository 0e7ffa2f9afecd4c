"""What a network of the content family costs, and how far it looks."""

from __future__ import annotations

import torch
from torch import nn

from glissando.networks import cost

from .network import BitCode, ContentConfig, ContentNetwork
from .source_shape import REACH

__all__ = ["PATHS", "halo", "kmac_per_pixel"]

PATHS = {
    "decode": ("bits", "code.leave", "synthesis"),
    "encode": ("analysis", "code.enter", "importance", "bits"),
}
"""Beside them an encoder has "code.feedback", which is no module."""


def kmac_per_pixel(network: nn.Module, path: str) -> dict[str, float]:
    """Thousands of multiply-adds per pixel of each part on the path "encode" or "decode", and their "total".

    The context model counts as if every bit were kept.
    """
    assert isinstance(network, ContentNetwork)
    others = {"code.feedback": 0.0} if path == "encode" else {}
    if path == "encode" and isinstance(network.code, BitCode):
        bits, levels = network.config.bits, network.config.importance_levels
        # Each level's bits are subtracted, through a matrix, from the logits of all later ones.
        others["code.feedback"] = bits * (bits - bits // levels) / 2 / network.pitch**2 / 1000
    return cost.kmac_per_pixel(network, PATHS[path], lambda n, x: n(x, torch.tensor([50.0])), others)


def halo(c: ContentConfig) -> int:
    """Pixels around a window on which its result can depend, a multiple of 64."""
    if c.shape == "source":
        return cost.whole_cells(max(REACH.values()))
    importance = 16  # a 3×3 convolution at 1/16
    decode = 16 * c.synthesis_latent_blocks + 8 * c.synthesis_blocks
    encode = importance + 16 * c.analysis_latent_blocks + 8 * c.analysis_blocks
    return cost.whole_cells(max(decode, encode))
