"""Fits the entropy model to the latents before the first step of a training.

A network begins as a linear codec, which codes every coefficient with the same scale everywhere. Its scale network
begins at random. Until training has corrected that, the bits of the hyper-latents save nothing elsewhere, and the
hyper-latents shrink towards zero. Here analysis and synthesis stay as they are, so that a step costs a fraction of a
step of training. Muon matters most here: 1,000 steps of AdamW reach less than 300 of Muon.
docs/training.md tells what this start is worth.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glissando.networks.quantisation import MIXED
from glissando.training.optimiser import build_optimisers, learning_factor, set_rates
from glissando.training.recipe import Optimisation, Rate

from .network import GainsNetwork

__all__ = ["fit_entropy"]

BATCH = 8
WARMUP = 20  # steps
CROP = 12  # rows and columns of latents in a step's pictures, as in crops of 192×192 pixels
RATES = Optimisation(kind="muon", lr=3e-3, table_lr=2e-2, matrix_lr=0.02)  # more than if latents changed
RESTING = ("analysis.", "synthesis", "gain.", "inverse_gain.")


def fit_entropy(network: GainsNetwork, pictures: Tensor, rate: Rate, clip: float, steps: int) -> None:
    """Train, in place, all that decides the latents' bits, with rates of learning that decay to zero.

    ``pictures`` (N, 3, S, S) in [0, 1], S a multiple of 64: each step sees parts of a few.
    """
    with torch.no_grad():
        latents = torch.cat([network.analysis(part) for part in torch.split(pictures, BATCH)])
    resting = [p for name, p in network.named_parameters() if name.startswith(RESTING)]
    for parameter in resting:
        parameter.requires_grad_(False)
    optimisers = build_optimisers(network, RATES)
    side = min(CROP, latents.shape[2])
    corners = torch.arange(0, latents.shape[2] - side + 1, 4)  # latents at which a hyper-latent begins
    pixels = (16 * side) ** 2
    for step in range(steps):
        quality = 100 * ((torch.arange(BATCH) + torch.rand(())) / BATCH)
        row, column = corners[torch.randint(len(corners), (2,))]
        some = latents[torch.randint(len(latents), (BATCH,)), :, row : row + side, column : column + side]
        coded = network.code(some, network.position(quality), MIXED)
        loss = (rate.weight_of(quality) * (coded.latent_bits + coded.hyper_bits)).mean() / pixels
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        for optimiser in optimisers:
            set_rates(optimiser, learning_factor(step, step / steps, WARMUP, decay=1.0))
            optimiser.step()
        network.scales.keep_exact()
    for parameter in resting:
        parameter.requires_grad_(True)
