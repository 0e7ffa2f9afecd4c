"""What the gains family brings to a training."""

from __future__ import annotations

from glissando.training.family import TrainingFamily

from .cost import kmac_per_pixel
from .export import GainsExport, scale_weights
from .objective import GainsObjective
from .recipe import GainsRecipe

__all__ = ["TRAINING"]

TRAINING = TrainingFamily(
    recipe=GainsRecipe,
    objective=GainsObjective,
    export=GainsExport,
    cost=kmac_per_pixel,
    integer_weights=scale_weights,
    unweighted=("leak",),
)
