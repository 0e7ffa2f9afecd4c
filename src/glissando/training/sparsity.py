"""Sparsity losses: how a pull towards zero is shared out among masks.

Each loss is a sum over masks m in [0, 1] of a function of its own; what pulls a mask is the slope of that function. How
hard all are pulled together is not the loss's affair (``decay``): with each loss the network shrinks on the same line.

- ``L1``: φ(m) = m, slope 1. Each mask is pulled alike, whatever it is worth.
- ``L2``: φ(m) = m²/2, slope m. The pull fades where a mask is near zero, so that none arrives there.
- ``Designed``: φ(m) = a·((1 + β)·m − β·m²/2), slope a·(1 + β·(1 − m)). It grows from a at m = 1 to (1 + β)·a at m = 0:
  whatever has begun to fall falls ever faster, until it is gone. The weight a of each mask is what its channel costs
  over what it is worth (``weights``), so that masks are not pulled alike.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["DESIGNED_GROWTH", "LOSSES", "SparsityLoss", "weights"]

DESIGNED_GROWTH = 10.0
"""β: by how much the designed loss's pull on a mask has grown, relative to its start, when the mask is gone."""
RANGE = 30.0  # largest ratio of the weights of two masks


class SparsityLoss(Protocol):
    """One mask's part of the loss, elementwise. ``weight`` is a, for the losses that have it."""

    def value(self, mask: Tensor, weight: Tensor) -> Tensor: ...
    def slope(self, mask: Tensor, weight: Tensor) -> Tensor: ...


class L1:
    """The sum of all masks."""

    def value(self, mask: Tensor, weight: Tensor) -> Tensor:
        return mask

    def slope(self, mask: Tensor, weight: Tensor) -> Tensor:
        return torch.ones_like(mask)


class L2:
    """Half the sum of their squares."""

    def value(self, mask: Tensor, weight: Tensor) -> Tensor:
        return mask.square() / 2

    def slope(self, mask: Tensor, weight: Tensor) -> Tensor:
        return mask


class Designed:
    """A pull that grows as a mask shrinks, and that is stronger on what costs much and is worth little."""

    def __init__(self, growth: float = DESIGNED_GROWTH) -> None:
        self.growth = growth

    def value(self, mask: Tensor, weight: Tensor) -> Tensor:
        return weight * ((1 + self.growth) * mask - self.growth * mask.square() / 2)

    def slope(self, mask: Tensor, weight: Tensor) -> Tensor:
        return weight * (1 + self.growth * (1 - mask))


LOSSES: dict[str, SparsityLoss] = {"l1": L1(), "l2": L2(), "designed": Designed()}


def weights(cost: Tensor, worth: Tensor) -> Tensor:
    """a of the designed loss: cost over worth, with a geometric mean of one, all within a factor of ``RANGE``.

    ``cost`` of a channel in multiply-adds, ``worth`` by how much the loss changes without it (``decay``); both positive
    or zero, over all masks of one budget.
    """
    ratio = torch.log(cost.clamp_min(1e-12)) - torch.log(worth.clamp_min(1e-12))
    ratio = ratio - ratio.median()
    half = torch.log(torch.tensor(RANGE)) / 2
    ratio = ratio.clamp(-half, half)
    return torch.exp(ratio - ratio.mean())
