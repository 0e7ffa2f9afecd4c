"""What a network costs: multiply-adds per pixel, counted from its layers, and how far it looks."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .codec import CodecNetwork
from .vae import VaeNetwork

__all__ = ["PATHS", "halo", "kmac_per_pixel"]

PATHS = {
    "decode": ("hyper_synthesis", "first_means", "context", "scales", "synthesis"),
    "encode": ("analysis", "hyper_analysis", "hyper_synthesis", "first_means", "context", "scales"),
}
_VAE_PATHS = {"decode": ("synthesis",), "encode": ("analysis", "spread")}
_SIDE = 256


def kmac_per_pixel(network: CodecNetwork | VaeNetwork, path: str) -> dict[str, float]:
    """Thousands of multiply-adds per picture pixel of each network on ``path``, and their "total".

    Counted at a forward pass: every convolution's output elements times its weights per output channel.
    """
    counted = copy.deepcopy(network).eval()
    macs: Counter[str] = Counter()

    def counter(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            assert isinstance(module, nn.Conv2d)
            macs[name.split(".")[0]] += output[0].numel() * module.weight[0].numel()

        return count

    for name, module in counted.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(counter(name))
    picture = torch.zeros(1, 3, _SIDE, _SIDE)
    with torch.no_grad():
        if isinstance(counted, VaeNetwork):
            counted(picture)
        else:
            counted(picture, torch.tensor([50.0]), noise=False)
    parts = (_VAE_PATHS if isinstance(network, VaeNetwork) else PATHS)[path]
    costs = {name: macs[name] / _SIDE**2 / 1000 for name in parts}
    return {**costs, "total": sum(costs.values())}


def halo(network: CodecNetwork | VaeNetwork) -> int:
    """Pixels around a window on which its result can depend, rounded up to whole cells of the grid (64)."""
    c = network.config
    # One depthwise 3×3 at 1/32 in the hyper-networks; 5×5 and 3×3 at 1/16 in the context.
    context = 0 if isinstance(network, VaeNetwork) else 32 + 3 * 16
    decode = context + 16 * c.synthesis_latent_blocks + 8 * c.synthesis_blocks
    encode = (32 if context else 0) + 16 * c.analysis_latent_blocks + 8 * c.analysis_blocks
    return -(-max(decode, encode) // 64) * 64
