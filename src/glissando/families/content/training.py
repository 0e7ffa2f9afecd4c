"""What the content family brings to a training."""

from __future__ import annotations

from typing import Any

from torch import nn

from glissando.training.family import TrainingFamily
from glissando.training.optimiser import Group, level_tables, parameters_within

from .bit_context import BitContext
from .cost import kmac_per_pixel
from .export import ContentExport, context_weights
from .network import BitCode, Importance
from .objective import ContentObjective
from .recipe import ContentOptimisation, ContentRecipe

__all__ = ["TRAINING"]


def _parameter_groups(network: nn.Module, settings: ContentOptimisation) -> list[Group]:
    """Beside the level tables: the layers into bits and back, the context model, and the network of the level map."""
    return [
        *level_tables(network, settings),
        (parameters_within(network, BitCode), settings.bits_lr),
        (parameters_within(network, BitContext), settings.context_lr),
        (parameters_within(network, Importance), settings.importance_lr),
    ]


def _written_before(recipe: dict[str, Any]) -> dict[str, Any]:
    """Drop keys of the rate table that only the gains family reads. Older recipes had them, always with "mse"."""
    others = ("distortion", "hyper_warmup", "eye_mse", "eye_scale")
    return {**recipe, "rate": {key: value for key, value in recipe["rate"].items() if key not in others}}


TRAINING = TrainingFamily(
    recipe=ContentRecipe,
    objective=ContentObjective,
    export=ContentExport,
    cost=kmac_per_pixel,
    parameter_groups=_parameter_groups,
    integer_weights=context_weights,
    written_before=_written_before,
)
