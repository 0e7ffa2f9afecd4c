"""How far the networks of this family look beyond a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glissando.families.reach import LATENT, analysis_reach, synthesis_reach, whole_cells

__all__ = ["decoder_halo", "encoder_halo"]

HYPER = 32  # pixels: a depthwise 3×3 layer at 1/32 in both hyper-networks
CONTEXT = 3 * LATENT  # a 5×5 and a 3×3 layer over latents in each context, whose values have seen the one before


def decoder_halo(configuration: Mapping[str, Any]) -> int:
    """Pixels around a window on which its pixels can depend, a multiple of 64."""
    return whole_cells(synthesis_reach(configuration) + HYPER + CONTEXT * (configuration["context_steps"] - 1))


def encoder_halo(configuration: Mapping[str, Any]) -> int:
    """The same for its latents."""
    return whole_cells(analysis_reach(configuration) + HYPER)
