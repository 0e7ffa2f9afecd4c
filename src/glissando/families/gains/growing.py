"""A network becomes wider and deeper without changing what it computes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from glissando.errors import TrainingError
from glissando.networks.channels import first_channels, grown

from .channels import channel_groups
from .config import GainsConfig
from .network import GainsNetwork

__all__ = ["grow"]


def grow(weights: Mapping[str, Tensor], small: GainsConfig, network: GainsNetwork) -> dict[str, Tensor]:
    """The weights of a network of the configuration ``small`` as weights of ``network``, which is wider or deeper.

    New blocks begin as the identity, and no old unit reads a new channel (``glissando.networks.channels.grown``); the
    new weights are those that ``network`` has, which must be as they were made. Raises TrainingError where the small
    network does not fit into the large one.
    """
    groups = channel_groups(network.config)
    before = {group.name: group.width for group in channel_groups(small)}
    widths = {group.name: before.get(group.name, group.width) for group in groups}
    for group in groups:
        if widths[group.name] > group.width:
            raise TrainingError(f"{group.name} has {widths[group.name]} channels, and should grow to {group.width}")
    fresh = network.state_dict()
    if unknown := sorted(set(weights) - set(fresh)):
        raise TrainingError(f"the grown network has no {unknown[0]}: it must not be less deep")
    new = (group.name for group in groups if group.name not in before and group.name.endswith(".inner"))
    blocks = tuple(name.removesuffix("inner") for name in new)
    if lacking := [name for name in fresh if name not in weights and not name.startswith(blocks)]:
        raise TrainingError(f"the small network does not fit into the large one: it has no {lacking[0]}")
    kept = first_channels(groups, widths)
    try:
        return grown(weights, fresh, groups, kept)
    except ValueError as error:
        raise TrainingError(f"the small network does not fit into the large one: {error}") from error
