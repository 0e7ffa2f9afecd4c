"""A recipe of the content family, whose map keeps more bits where a picture has more content."""

from __future__ import annotations

from dataclasses import dataclass, field

from glissando.training import recipe as common
from glissando.training.recipe import PictureRecipe, transform_checks

from .network import ContentConfig

__all__ = ["ContentOptimisation", "ContentRate", "ContentRecipe", "Stages"]


@dataclass(frozen=True)
class ContentRate(common.Rate):
    """The loss is bpp + λ·255²·MSE."""

    lambda_low: float = 0.0008
    lambda_high: float = 0.04
    map_weight: float = 3.0  # factor on the map's estimated bits, as its coder takes about three times as many
    # The source's hinge: hinge · max(0, kept − budget), in place of what the bits cost; ``kept`` is the share of all
    # levels that a batch keeps. It needs a training for one quality.
    hinge: float = 0.0
    budget: float = 0.33

    def checks(self) -> dict[str, bool]:
        return {
            **super().checks(),
            "rate.budget must be in (0, 1]": 0 < self.budget <= 1,
            "rate.hinge needs rate.single: a budget is that of one quality": self.single or not self.hinge,
        }


@dataclass(frozen=True)
class Stages:
    """The source's three stages, as shares of the schedule: without the map, with it, and fine-tuning for the rest, in
    which all but the map still learns.
    """

    importance: bool = True  # false: there is never a map
    without_map: float = 0.1
    with_map: float = 0.7
    tuning_rate: float = 0.5  # fine-tuning's factor on all learning rates


@dataclass(frozen=True)
class ContentOptimisation(common.Optimisation):
    """AdamW's rates for what is peculiar to the content-weighted family."""

    bits_lr: float = 3e-5  # for the layers into bits and back, which set thresholds and values
    context_lr: float = 6e-3  # for the context model, which begins with nothing but each bit's odds
    importance_lr: float = 5e-4  # for the network of the level map, which begins with the same value everywhere


@dataclass(frozen=True)
class ContentRecipe(PictureRecipe):
    family: str = "content"
    name: str = "content-weighted"
    network: ContentConfig = field(default_factory=ContentConfig)
    optimiser: ContentOptimisation = field(default_factory=ContentOptimisation)
    rate: ContentRate = field(default_factory=ContentRate)
    stages: Stages = field(default_factory=Stages)

    def checks(self) -> dict[str, bool]:
        network, stages = self.network, self.stages
        levels = network.importance_levels
        return {
            "network.shape must be 'fast' or 'source'": network.shape in ("fast", "source"),
            "network.importance_levels must be in 1..32": 1 <= levels <= 32,
            "network.bits must be a multiple of twice network.importance_levels, 4096 at most": (
                0 < network.bits <= 4096 and network.bits % max(1, 2 * levels) == 0
            ),
            "network.hidden must be in 1..256": 1 <= network.hidden <= 256,
            "network.levels must be at least 2": network.levels >= 2,
            "network.shape 'source' has no principal components to begin with: run.initial must be 'random'": (
                network.shape != "source" or self.run.initial == "random"
            ),
            **self.rate.checks(),
            "stages.without_map and with_map must be shares, 1 at most together": (
                stages.without_map + stages.with_map <= 1
            ),
            **transform_checks(network),
            **super().checks(),
        }
