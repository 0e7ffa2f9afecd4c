"""How far the transforms that families share look beyond a window, in plain arithmetic without torch.

A window of a picture is computed with a halo around it, so that its result is that of the whole picture. How wide that
has to be follows from the configuration of the networks alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CELL", "analysis_reach", "one_cell", "synthesis_reach", "whole_cells"]

CELL = 64
"""Pixels: the side of a cell of the grid, of which a halo has a whole number."""
TRUNK, LATENT = 8, 16  # pixels that a feature of the trunk and a latent cover, each way


def synthesis_reach(configuration: Mapping[str, Any]) -> int:
    """Pixels that the shared synthesis looks beyond a window: a 3×3 layer in each of its blocks."""
    blocks, latent_blocks = configuration["synthesis_blocks"], configuration["synthesis_latent_blocks"]
    return int(LATENT * latent_blocks + TRUNK * blocks)


def analysis_reach(configuration: Mapping[str, Any]) -> int:
    """Pixels that the shared analysis looks beyond a window."""
    blocks, latent_blocks = configuration["analysis_blocks"], configuration["analysis_latent_blocks"]
    return int(LATENT * latent_blocks + TRUNK * blocks)


def whole_cells(pixels: int) -> int:
    """A number of pixels rounded up to whole cells."""
    return -(-pixels // CELL) * CELL


def one_cell(configuration: Mapping[str, Any]) -> int:
    """The halo of networks whose patches do not look at each other: the least that there is."""
    return CELL
