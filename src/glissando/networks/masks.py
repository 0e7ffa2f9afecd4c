"""A network behind whose layers stand masks: one number for each channel of each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .channels import Group, scaled

__all__ = ["MaskedNetwork"]


class MaskedNetwork(nn.Module):
    """Computes what ``network`` computes with masks behind the layers that write the channels of ``groups``.

    All writers of a group share its mask, so that a channel of a residual stream is weakened along the whole stream.
    The masks (width,) are parameters, 1 at first. They multiply the weights, as ``scaled`` has it: a mask behind a
    layer in exact integers would not be one in integers.
    """

    def __init__(self, network: nn.Module, groups: Sequence[Group]) -> None:
        super().__init__()
        self.network, self.groups = network, tuple(groups)
        self._masks = nn.ParameterList(nn.Parameter(torch.ones(group.width)) for group in groups)

    @property
    def masks(self) -> dict[str, nn.Parameter]:
        """Of each group by its name."""
        return {group.name: mask for group, mask in zip(self.groups, self._masks, strict=True)}

    def forward(self, *arguments: Any, **options: Any) -> Any:
        weights = scaled(dict(self.network.named_parameters()), self.groups, self.masks)
        return torch.func.functional_call(self.network, weights, arguments, options)

    @torch.no_grad()
    def folded(self) -> dict[str, Tensor]:
        """The network's own weights with the masks folded in."""
        return {**self.network.state_dict(), **scaled(dict(self.network.named_parameters()), self.groups, self.masks)}
