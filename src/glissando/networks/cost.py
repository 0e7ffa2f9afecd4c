"""What a network costs: multiply-adds per pixel, counted from its layers at a forward pass."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

__all__ = ["Counted", "kmac_per_pixel"]

_SIDE = 256

Network = TypeVar("Network", bound=nn.Module)


@runtime_checkable
class Counted(Protocol):
    """A module, other than a convolution, that knows its own number of multiply-adds."""

    @property
    def multiply_adds(self) -> int:
        """At each position of its output."""


def kmac_per_pixel(
    network: Network,
    parts: Sequence[str],
    run: Callable[[Network, Tensor], object],
    others: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Thousands of multiply-adds per picture pixel of each of a network's ``parts``, and their "total".

    ``parts`` are names of modules. Counted while ``run`` works on a picture (1, 3, H, W): every convolution's output
    elements times its weights per output channel, and what ``Counted`` modules say. ``others`` gives parts that are
    neither.
    """
    counted = copy.deepcopy(network).eval()
    macs: Counter[str] = Counter()

    def counter(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def count(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            if isinstance(module, nn.Conv2d):
                macs[name] += output[0].numel() * module.weight[0].numel()
            elif isinstance(module, Counted):
                macs[name] += output[0, 0].numel() * module.multiply_adds

        return count

    for name, module in counted.named_modules():
        if isinstance(module, nn.Conv2d | Counted):
            assert isinstance(module, nn.Module)
            module.register_forward_hook(counter(name))
    with torch.no_grad():
        run(counted, torch.zeros(1, 3, _SIDE, _SIDE))
    costs = {
        part: sum(n for name, n in macs.items() if name == part or name.startswith(f"{part}.")) / _SIDE**2 / 1000
        for part in parts
    }
    costs |= others or {}
    return {**costs, "total": sum(costs.values())}
