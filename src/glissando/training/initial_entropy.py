"""Before the first step of a training: an entropy model that knows its latents.

The linear codec that a network begins as codes every coefficient with one scale for all places. A scale network that
begins at random has to be unlearnt first, and while that lasts nothing speaks for the hyper-latents' bits, which fade.
With analysis and synthesis at rest, a step costs a fraction of one of training. What it is worth: docs/training.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glissando.models import CodecNetwork
from glissando.models.quantisation import MIXED

from .optimiser import build_optimisers, learning_factor, set_rates
from .recipe import Optimisation, Rate

__all__ = ["fit_entropy"]

BATCH = 8
WARMUP = 20  # steps
LR, TABLE_LR = 6e-3, 2e-2  # AdamW's: several times those of a training, in which the latents would move as well
RESTING = ("analysis.", "synthesis", "gain.", "inverse_gain.")


def fit_entropy(network: CodecNetwork, pictures: Tensor, rate: Rate, clip: float, steps: int) -> None:
    """Train, in place, all that decides the latents' bits, with rates of learning that decay to zero.

    ``pictures`` (N, 3, S, S) in [0, 1], S a multiple of 64.
    """
    with torch.no_grad():
        latents = torch.cat([network.analysis(part) for part in torch.split(pictures, BATCH)])
    resting = [p for name, p in network.named_parameters() if name.startswith(RESTING)]
    for parameter in resting:
        parameter.requires_grad_(False)
    (optimiser,) = build_optimisers(network, Optimisation(kind="adamw", lr=LR, table_lr=TABLE_LR))
    pixels = pictures.shape[2] * pictures.shape[3]
    for step in range(steps):
        quality = 100 * ((torch.arange(BATCH) + torch.rand(())) / BATCH)
        coded = network.code(latents[torch.randint(len(latents), (BATCH,))], network.position(quality), MIXED)
        loss = (rate.weight_of(quality) * (coded.latent_bits + coded.hyper_bits)).mean() / pixels
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        set_rates(optimiser, learning_factor(step, step / steps, WARMUP, decay=1.0))
        optimiser.step()
        network.scales.keep_exact()
    for parameter in resting:
        parameter.requires_grad_(True)
