"""What a network of the content family costs."""

from __future__ import annotations

import torch
from torch import nn

from glissando.networks import cost

from .network import BitCode, ContentNetwork

__all__ = ["PATHS", "kmac_per_pixel"]

PATHS = {
    "decode": ("bits", "code.leave", "synthesis"),
    "encode": ("analysis", "code.enter", "importance", "bits"),
}
"""The modules on each path. An encoder also has "code.feedback", a parameter and no module."""


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
