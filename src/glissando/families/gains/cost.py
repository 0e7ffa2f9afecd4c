"""What a network of the gains family costs."""

from __future__ import annotations

import torch
from torch import nn

from glissando.networks import cost

from .network import GainsNetwork

__all__ = ["PATHS", "kmac_per_pixel"]

PATHS = {
    "decode": ("hyper_synthesis", "first_means", "context", "scales", "synthesis"),
    "encode": ("analysis", "hyper_analysis", "hyper_synthesis", "first_means", "context", "scales"),
}


def kmac_per_pixel(network: nn.Module, path: str) -> dict[str, float]:
    """Thousands of multiply-adds per pixel of each part on the path "encode" or "decode", and their "total"."""
    assert isinstance(network, GainsNetwork)
    return cost.kmac_per_pixel(network, PATHS[path], lambda n, x: n(x, torch.tensor([50.0]), noise=False))
