"""The start of a training from a linear VAE: PCA of patches, and the priors and posteriors that are best for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from glissando.networks.layers import Pointwise
from glissando.training.linear_start import balance_trunks, fill_transforms, watch_features

from .network import VaeNetwork

__all__ = ["initialise"]


@torch.no_grad()
def initialise(network: VaeNetwork, pictures: Tensor, trunk: float) -> None:
    """Turn a network into a linear VAE: PCA, priors as wide as its components, and the best posterior variances.

    With a prior of variance τ² and the likelihood's variance s², the best one is τ²·s² / (τ² + s²) (Tipping and Bishop
    1999). No prior is narrower than the likelihood: otherwise the smallest noise in the weights of a component that is
    too weak to be worth a bit would cost many bits. ``trunk``: the power in ``channel_factors`` for both trunks.
    """
    variance = network.config.variance
    deviation = fill_transforms(network.config, network.analysis, network.synthesis, pictures)
    deviation = deviation.clamp_min(math.sqrt(variance))
    network.prior.table.copy_(deviation.log2()[None])
    last = network.spread[2]
    assert isinstance(last, Pointwise)
    assert last.bias is not None
    last.weight.zero_()
    last.bias.copy_(torch.log(variance / (deviation.square() + variance)))
    watched = {"analysis": network.analysis.blocks, "synthesis": network.synthesis.up}
    features = watch_features(watched, network, pictures)
    balance_trunks(network.analysis, network.synthesis, features, trunk)
