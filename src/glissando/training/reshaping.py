"""How networks of a family change their shape between and during trainings: they grow, and they lose channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from glissando.networks.layers import BlockSequence, DepthConvBlock
from glissando.networks.transforms import Analysis

from .recipe import PictureRecipe

__all__ = ["Reshaping", "matched_parts"]

RecipeType = TypeVar("RecipeType", bound=PictureRecipe)


class Reshaping(Generic[RecipeType]):
    """What the trainer asks of a family. As it is here, networks keep their shape, but for blocks that are added."""

    def resumed_recipe(self, recipe: RecipeType, saved: Mapping[str, Any]) -> RecipeType:
        """The recipe of a training that goes on from a checkpoint whose recipe has the network table ``saved``."""
        return recipe

    def weights_for(
        self, network: nn.Module, saved: Mapping[str, Any], weights: Mapping[str, Tensor], learns: tuple[str, ...]
    ) -> dict[str, Tensor]:
        """A checkpoint's ``weights`` as those of ``network``, which is as it was made.

        ``saved``: the network table of the checkpoint's recipe. Blocks that it lacks begin as the identity; blocks that
        the network lacks are left out in what ``learns`` names (``run.learns``). Raises TrainingError where the weights
        cannot become those of this network.
        """
        matched = matched_parts(network, weights, learns)
        return {**_new_blocks(network, matched), **matched}

    def successor(
        self, recipe: RecipeType, network: nn.Module, average: nn.Module
    ) -> tuple[RecipeType, nn.Module, nn.Module] | None:
        """After each step: what takes the place of recipe, network and averaged network, or None where they stay."""
        return None

    def check_finished(self, weights: Mapping[str, Tensor]) -> None:
        """Raises TrainingError where a checkpoint's ``weights`` are still those of a network that changes its shape."""

    def figures(self, network: nn.Module) -> dict[str, float]:
        """What the log says of the network's shape."""
        return {}


def matched_parts(network: nn.Module, weights: Mapping[str, Tensor], learns: tuple[str, ...]) -> dict[str, Tensor]:
    """``weights`` with the later stages of an analysis, and in what ``learns`` names without blocks that the network
    lacks.

    Blocks are counted from the beginning of their sequence.
    """
    found = dict(weights)
    for name, module in network.named_modules():
        if isinstance(module, Analysis):
            beginning = f"{name}."
            stages = {key.removeprefix(beginning): value for key, value in found.items() if key.startswith(beginning)}
            found |= {f"{beginning}{key}": value for key, value in module.with_later_stages(stages).items()}
        if isinstance(module, BlockSequence) and learns and f"{name}.".startswith(learns):
            kept = tuple(f"{name}.{number}." for number in range(len(module)))
            found = {
                key: value for key, value in found.items() if not key.startswith(f"{name}.") or key.startswith(kept)
            }
    return found


def _new_blocks(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own weights, still the identity, of blocks that ``weights`` lacks."""
    own = network.state_dict()
    found: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, DepthConvBlock) and not any(key.startswith(f"{name}.") for key in weights):
            found |= {key: value.clone() for key, value in own.items() if key.startswith(f"{name}.")}
    return found
