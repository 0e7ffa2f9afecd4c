"""What a network of the vae family costs."""

from __future__ import annotations

from torch import nn

from glissando.networks import cost

from .network import VaeNetwork

__all__ = ["PATHS", "kmac_per_pixel"]

PATHS = {"decode": ("synthesis",), "encode": ("analysis", "spread")}


def kmac_per_pixel(network: nn.Module, path: str) -> dict[str, float]:
    """Thousands of multiply-adds per pixel of each part on the path "encode" or "decode", and their "total"."""
    assert isinstance(network, VaeNetwork)
    return cost.kmac_per_pixel(network, PATHS[path], lambda n, x: n(x))
