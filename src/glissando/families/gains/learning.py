"""Which parameters of the gains family learn at rates of their own."""

from __future__ import annotations

from torch import nn

from glissando.networks.masks import MaskedNetwork
from glissando.training.optimiser import Group, level_tables

from .recipe import GainsOptimisation

__all__ = ["level_tables_and_masks"]


def level_tables_and_masks(network: nn.Module, settings: GainsOptimisation) -> list[Group]:
    """As all families have it; beside them the masks of a network that loses channels."""
    groups = level_tables(network, settings)
    if isinstance(network, MaskedNetwork):
        groups.append((list(network.masks.values()), settings.mask_lr))
    return groups
