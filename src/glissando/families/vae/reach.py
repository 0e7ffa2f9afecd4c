"""How far the networks of this family look beyond a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glissando.families.reach import analysis_reach, synthesis_reach, whole_cells

__all__ = ["decoder_halo", "encoder_halo"]


def decoder_halo(configuration: Mapping[str, Any]) -> int:
    """Pixels around a window on which its pixels can depend, a multiple of 64."""
    return whole_cells(synthesis_reach(configuration))


def encoder_halo(configuration: Mapping[str, Any]) -> int:
    """The same for its latents."""
    return whole_cells(analysis_reach(configuration))
