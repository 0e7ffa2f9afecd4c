"""What a network of the gains family costs, and how far it looks."""

from __future__ import annotations

import torch
from torch import nn

from glissando.networks import cost

from .network import GainsConfig, GainsNetwork

__all__ = ["PATHS", "halo", "kmac_per_pixel"]

PATHS = {
    "decode": ("hyper_synthesis", "first_means", "context", "scales", "synthesis"),
    "encode": ("analysis", "hyper_analysis", "hyper_synthesis", "first_means", "context", "scales"),
}


def kmac_per_pixel(network: nn.Module, path: str) -> dict[str, float]:
    """Thousands of multiply-adds per pixel of each part on the path "encode" or "decode", and their "total"."""
    assert isinstance(network, GainsNetwork)
    return cost.kmac_per_pixel(network, PATHS[path], lambda n, x: n(x, torch.tensor([50.0]), noise=False))


def halo(c: GainsConfig) -> int:
    """Pixels around a window on which its result can depend, a multiple of 64."""
    # One depthwise 3×3 at 1/32 in the hyper-networks; 5×5 and 3×3 at 1/16 in each context, whose values have seen the
    # context before.
    hyper, contexts = 32, c.context_steps - 1
    decode = hyper + 3 * 16 * contexts + 16 * c.synthesis_latent_blocks + 8 * c.synthesis_blocks
    encode = hyper + 16 * c.analysis_latent_blocks + 8 * c.analysis_blocks
    return cost.whole_cells(max(decode, encode))
