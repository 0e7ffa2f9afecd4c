"""What the gains family brings to a training."""

from __future__ import annotations

from glissando.training.family import TrainingFamily

from .cost import kmac_per_pixel
from .export import GainsExport, scale_weights
from .learning import level_tables_and_masks
from .objective import GainsObjective
from .recipe import GainsRecipe
from .reshaping import GainsReshaping

__all__ = ["TRAINING"]

TRAINING = TrainingFamily(
    recipe=GainsRecipe,
    objective=GainsObjective,
    export=GainsExport,
    cost=kmac_per_pixel,
    parameter_groups=level_tables_and_masks,
    reshaping=GainsReshaping(),
    integer_weights=scale_weights,
    unweighted=("leak",),
)
