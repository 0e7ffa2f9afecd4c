"""How far the networks of this family look beyond a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glissando.families.reach import LATENT, analysis_reach, synthesis_reach, whole_cells

__all__ = ["decoder_halo", "encoder_halo"]

LEVEL_MAP = LATENT  # pixels: the 3×3 layer of the network that makes the level map
SOURCE_SYNTHESIS, SOURCE_ANALYSIS = (
    64,
    76,
)  # pixels: the layers of the source's shape, those that make the level map included


def decoder_halo(configuration: Mapping[str, Any]) -> int:
    """Pixels around a window on which its pixels can depend, a multiple of 64."""
    source = configuration["shape"] == "source"
    return whole_cells(SOURCE_SYNTHESIS if source else synthesis_reach(configuration))


def encoder_halo(configuration: Mapping[str, Any]) -> int:
    """The same for its code and its level map."""
    source = configuration["shape"] == "source"
    return whole_cells(SOURCE_ANALYSIS if source else analysis_reach(configuration) + LEVEL_MAP)
