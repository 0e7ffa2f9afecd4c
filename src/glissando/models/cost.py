"""What a network costs: multiply-adds per pixel, counted from its layers, and how far it looks."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .bits import BitContext
from .codec import CodecNetwork
from .content import BitCode, ContentNetwork
from .content_source import REACH
from .vae import VaeNetwork

__all__ = ["PATHS", "halo", "kmac_per_pixel"]

PATHS = {
    "decode": ("hyper_synthesis", "first_means", "context", "scales", "synthesis"),
    "encode": ("analysis", "hyper_analysis", "hyper_synthesis", "first_means", "context", "scales"),
}
_VAE_PATHS = {"decode": ("synthesis",), "encode": ("analysis", "spread")}
_CONTENT_PATHS = {
    "decode": ("bits", "code.leave", "synthesis"),
    "encode": ("analysis", "code.enter", "code.feedback", "importance", "bits"),
}
_SIDE = 256

PictureNetwork = CodecNetwork | VaeNetwork | ContentNetwork


def kmac_per_pixel(network: PictureNetwork, path: str) -> dict[str, float]:
    """Thousands of multiply-adds per picture pixel of each network on ``path``, and their "total".

    Counted at a forward pass: every convolution's output elements times its weights per output channel. A context model
    of bits counts as if every bit were kept.
    """
    counted = copy.deepcopy(network).eval()
    macs: Counter[str] = Counter()

    def counter(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(module, BitContext):
                macs[name] += output[0, 0].numel() * module.macs
                return
            assert isinstance(module, nn.Conv2d)
            macs[name] += output[0].numel() * module.weight[0].numel()
            if isinstance(owner := owners.get(name), BitCode) and module is owner.enter:
                size = output.shape[1]
                own = output[0, 0].numel() * size * (size - size // owner.levels) // 2
                macs[name.removesuffix("enter") + "feedback"] += own

        return count

    owners = {f"{name}.enter": module for name, module in counted.named_modules() if isinstance(module, BitCode)}
    for name, module in counted.named_modules():
        if isinstance(module, nn.Conv2d | BitContext):
            module.register_forward_hook(counter(name))
    picture, quality = torch.zeros(1, 3, _SIDE, _SIDE), torch.tensor([50.0])
    paths = PATHS
    with torch.no_grad():
        if isinstance(counted, VaeNetwork):
            paths = _VAE_PATHS
            counted(picture)
        elif isinstance(counted, ContentNetwork):
            paths = _CONTENT_PATHS
            counted(picture, quality)
        else:
            counted(picture, quality, noise=False)
    costs = {
        part: sum(n for name, n in macs.items() if name == part or name.startswith(f"{part}.")) / _SIDE**2 / 1000
        for part in paths[path]
    }
    return {**costs, "total": sum(costs.values())}


def halo(network: PictureNetwork) -> int:
    """Pixels around a window on which its result can depend, rounded up to whole cells of the grid (64)."""
    c = network.config
    if isinstance(network, ContentNetwork) and network.config.shape == "source":
        return -(-max(REACH.values()) // 64) * 64
    # One depthwise 3×3 at 1/32 in the hyper-networks; 5×5 and 3×3 at 1/16 in each context, whose values have seen the
    # context before.
    hyper, contexts = (32, len(network.contexts)) if isinstance(network, CodecNetwork) else (0, 0)
    decode = hyper + 3 * 16 * contexts + 16 * c.synthesis_latent_blocks + 8 * c.synthesis_blocks
    importance = 16 if isinstance(network, ContentNetwork) else 0
    encode = importance + hyper + 16 * c.analysis_latent_blocks + 8 * c.analysis_blocks
    return -(-max(decode, encode) // 64) * 64
