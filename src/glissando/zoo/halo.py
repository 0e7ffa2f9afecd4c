"""How far a family's transforms look: what a window of a picture needs around it, from the configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["decoder_halo", "encoder_halo"]

CELL = 64  # pixels: the grid that halos are rounded up to
TRUNK, LATENT, HYPER = 8, 16, 32  # pixels to a feature of the trunk, to a latent, to one between hyper-latents
_CONTEXT = 3 * LATENT  # a 5×5 and a 3×3 layer over latents: the reach of one step of a context
_SOURCE = {"decode": 64, "encode": 76}  # of the layers of the content-weighted source


def decoder_halo(family: str, configuration: Mapping[str, Any]) -> int:
    """Pixels around a window on which its pixels can depend, a multiple of 64.

    ``configuration``: of the decoder, as a model's card holds it. Raises KeyError where it lacks what is needed.
    """
    c = configuration
    if family == "content" and c["shape"] == "source":
        return _cells(_SOURCE["decode"])
    reach = LATENT * c["synthesis_latent_blocks"] + TRUNK * c["synthesis_blocks"]
    if family == "gains":
        reach += HYPER + _CONTEXT * (c["context_steps"] - 1)
    return _cells(reach)


def encoder_halo(family: str, configuration: Mapping[str, Any]) -> int:
    """The same for latents; ``configuration``: of decoder and encoder together."""
    c = configuration
    if family == "content" and c["shape"] == "source":
        return _cells(_SOURCE["encode"])
    reach = LATENT * c["analysis_latent_blocks"] + TRUNK * c["analysis_blocks"]
    if family == "gains":
        reach += HYPER
    if family == "content":
        reach += LATENT  # the importance network's 3×3 layer
    return _cells(reach)


def _cells(pixels: int) -> int:
    return -(-pixels // CELL) * CELL
