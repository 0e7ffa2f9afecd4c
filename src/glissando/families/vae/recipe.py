"""A recipe of the vae family, whose rate is chosen after training."""

from __future__ import annotations

from dataclasses import dataclass, field

from glissando.training.recipe import PictureRecipe, transform_checks

from .network import VaeConfig

__all__ = ["VaeRecipe"]


@dataclass(frozen=True)
class VaeRecipe(PictureRecipe):
    family: str = "vae"
    name: str = "vae"
    network: VaeConfig = field(default_factory=VaeConfig)

    def checks(self) -> dict[str, bool]:
        return {
            "network.variance must be positive": self.network.variance > 0,
            **transform_checks(self.network),
            **super().checks(),
        }
