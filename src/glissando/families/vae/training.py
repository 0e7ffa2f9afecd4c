"""What the vae family brings to a training."""

from __future__ import annotations

from glissando.training.family import TrainingFamily

from .cost import kmac_per_pixel
from .export import VaeExport
from .objective import VaeObjective
from .recipe import VaeRecipe

__all__ = ["TRAINING"]

TRAINING = TrainingFamily(
    recipe=VaeRecipe,
    objective=VaeObjective,
    export=VaeExport,
    cost=kmac_per_pixel,
)
