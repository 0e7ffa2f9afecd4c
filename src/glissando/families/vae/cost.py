"""What a network of the vae family costs, and how far it looks."""

from __future__ import annotations

from torch import nn

from glissando.networks import cost

from .network import VaeConfig, VaeNetwork

__all__ = ["PATHS", "halo", "kmac_per_pixel"]

PATHS = {"decode": ("synthesis",), "encode": ("analysis", "spread")}


def kmac_per_pixel(network: nn.Module, path: str) -> dict[str, float]:
    """Thousands of multiply-adds per pixel of each part on the path "encode" or "decode", and their "total"."""
    assert isinstance(network, VaeNetwork)
    return cost.kmac_per_pixel(network, PATHS[path], lambda n, x: n(x))


def halo(c: VaeConfig) -> int:
    """Pixels around a window on which its result can depend, a multiple of 64."""
    decode = 16 * c.synthesis_latent_blocks + 8 * c.synthesis_blocks
    encode = 16 * c.analysis_latent_blocks + 8 * c.analysis_blocks
    return cost.whole_cells(max(decode, encode))
