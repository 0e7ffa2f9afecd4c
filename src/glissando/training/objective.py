"""What each family of models trains for: its network, how it begins, its loss, its points of validation."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from .objective_content import ContentObjective
from .objective_gains import GainsObjective
from .objective_vae import VaeObjective
from .recipe import ContentRecipe, PictureRecipe, VaeRecipe

__all__ = ["ContentObjective", "GainsObjective", "Objective", "VaeObjective", "objective_for"]


class Objective(Protocol):
    """A family's part in a training; the trainer does all that is common."""

    qualities: tuple[float, ...]  # that validation measures

    def build(self, sample: Tensor | None) -> nn.Module:
        """The network, initialised from ``sample`` (N, 3, 256, 256) in [0, 1] if the recipe wants that."""

    def begin(self, step: int, share: float) -> float:
        """Called before each step, with the share of the schedule that is done; a factor on the learning rates."""

    def loss(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What each picture adds to the loss, its bpp, its MSE of pixels in [0, 1]; all (B,)."""

    def constrain(self, network: nn.Module) -> None:
        """Called after each step: bring weights back to where they are allowed to be, in place."""

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """Bits (B,) and the reconstruction (B, 3, H, W), as near to what a file would give as this stage can tell."""

    def scores(self, levels: Tensor, picture: Tensor) -> dict[str, Tensor]:
        """What validation tells of decoded 8-bit pixels (B, 3, H, W) in [0, 1] beside their PSNR, (B,) by name."""


def objective_for(recipe: PictureRecipe) -> Objective:
    """What this recipe's family trains for."""
    if isinstance(recipe, ContentRecipe):
        return ContentObjective(recipe)
    return VaeObjective(recipe) if isinstance(recipe, VaeRecipe) else GainsObjective(recipe)
