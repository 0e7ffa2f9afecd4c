"""What a network costs: multiply-adds per pixel, counted from its layers, and how far it looks."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .codec import CodecNetwork

__all__ = ["PATHS", "halo", "kmac_per_pixel"]

PATHS = {
    "decode": ("hyper_synthesis", "first_means", "context", "scales", "synthesis"),
    "encode": ("analysis", "hyper_analysis", "hyper_synthesis", "first_means", "context", "scales"),
}
_SIDE = 256


def kmac_per_pixel(network: CodecNetwork, path: str) -> dict[str, float]:
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
    with torch.no_grad():
        counted(torch.zeros(1, 3, _SIDE, _SIDE), torch.tensor([50.0]), noise=False)
    costs = {name: macs[name] / _SIDE**2 / 1000 for name in PATHS[path]}
    return {**costs, "total": sum(costs.values())}


def halo(network: CodecNetwork) -> int:
    """Pixels around a window on which its result can depend, rounded up to whole hyper-latents (64)."""
    c = network.config
    hyper, context = 32, 3 * 16  # one depthwise 3×3 at 1/32; 5×5 and 3×3 at 1/16
    decode = hyper + context + 16 * c.synthesis_latent_blocks + 8 * c.synthesis_blocks
    encode = hyper + 16 * c.analysis_latent_blocks + 8 * c.analysis_blocks
    return -(-max(decode, encode) // 64) * 64
