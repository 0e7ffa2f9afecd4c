"""How networks of the gains family grow, and how they decay."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from glissando.errors import TrainingError
from glissando.networks.channels import cut
from glissando.networks.layer_costs import LayerCosts
from glissando.training.decay import Budget, Decay, DecayingNetwork
from glissando.training.reshaping import Reshaping, matched_parts

from .channels import channel_groups, is_decoders, with_widths
from .config import GainsConfig
from .cost import PATHS
from .growing import grow
from .network import GainsNetwork
from .recipe import GainsRecipe

__all__ = ["GainsReshaping", "bare", "config_of", "with_decay"]

_INSIDE = "network."  # in front of the names of a masked network's own weights


def bare(network: nn.Module) -> GainsNetwork:
    """The network of the family, which may stand behind masks."""
    inside = network.network if isinstance(network, DecayingNetwork) else network
    assert isinstance(inside, GainsNetwork)
    return inside


def config_of(table: Mapping[str, Any]) -> GainsConfig:
    """The configuration that a checkpoint's network table says. Raises TrainingError where it is not this family's."""
    values: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in table.items()}
    try:
        return GainsConfig(**values)
    except TypeError as error:
        raise TrainingError(f"its network is none of the family gains: {error}") from error


def with_decay(network: GainsNetwork, decay: Decay) -> nn.Module:
    """The network behind masks, where it costs more than the decay's budgets; itself where it does not."""
    if not decay.wanted:
        return network
    groups = channel_groups(network.config)
    costs = LayerCosts(network, groups, lambda n, x: n(x, torch.tensor([50.0]), noise=False))
    budgets = []
    for path, most, decoders in (("decode", decay.decode, True), ("encode", decay.encode, False)):
        own = tuple(group.name for group in groups if is_decoders(group.name) == decoders)
        budget = Budget(path, own, lambda widths, path=path: costs.total(PATHS[path], widths), most)  # type: ignore[misc]
        if most and budget.cost({group.name: group.width for group in groups}) > most:
            narrowest = budget.cost({group.name: min(group.width, decay.multiple) for group in groups})
            if narrowest > most:
                raise TrainingError(
                    f"decay.{path} = {most:g} kMAC per pixel cannot be met: the narrowest network needs {narrowest:.3f}"
                )
            budgets.append(budget)
    return DecayingNetwork(network, groups, decay, budgets) if budgets else network


class GainsReshaping(Reshaping[GainsRecipe]):
    """A checkpoint's smaller network grows into the recipe's; where there is a decay, the checkpoint's is taken."""

    def resumed_recipe(self, recipe: GainsRecipe, saved: Mapping[str, Any]) -> GainsRecipe:
        return dataclasses.replace(recipe, network=config_of(saved)) if recipe.decay.wanted else recipe

    def weights_for(
        self, network: nn.Module, saved: Mapping[str, Any], weights: Mapping[str, Tensor], learns: tuple[str, ...]
    ) -> dict[str, Tensor]:
        if isinstance(network, DecayingNetwork):
            return dict(weights) if _masked(weights) else {**network.state_dict(), **_within(weights)}
        self.check_finished(weights)
        before, own = config_of(saved), bare(network)
        return dict(weights) if before == own.config else grow(matched_parts(own, weights, learns), before, own)

    def successor(
        self, recipe: GainsRecipe, network: nn.Module, average: nn.Module
    ) -> tuple[GainsRecipe, nn.Module, nn.Module] | None:
        if not isinstance(network, DecayingNetwork) or not network.done:
            return None
        kept, groups = network.kept(), network.groups
        widths = {name: int(chosen.sum()) for name, chosen in kept.items()}
        config = with_widths(bare(network).config, widths)
        own, averaged = GainsNetwork(config), GainsNetwork(config).requires_grad_(False)
        own.load_state_dict(cut(network.folded(), groups, kept))
        assert isinstance(average, DecayingNetwork)
        with torch.no_grad():  # the averaged masks lag behind: some of the channels that are cut still count there
            for name, mask in average.masks.items():
                mask.copy_(network.masks[name])
        averaged.load_state_dict(cut(average.folded(), groups, kept))
        return dataclasses.replace(recipe, network=config), own, averaged

    def check_finished(self, weights: Mapping[str, Tensor]) -> None:
        if _masked(weights):
            raise TrainingError("the checkpoint is in the middle of a decay: go on with the recipe that it began with")

    def figures(self, network: nn.Module) -> dict[str, float]:
        return network.histograms() if isinstance(network, DecayingNetwork) else {}


def _masked(weights: Mapping[str, Tensor]) -> bool:
    return any(name.startswith(_INSIDE) for name in weights)


def _within(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{_INSIDE}{name}": value for name, value in weights.items()}
