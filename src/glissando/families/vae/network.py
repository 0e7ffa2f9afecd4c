"""A plain variational autoencoder for pictures: the family whose rate is chosen after training.

Source: Yang, Bamler, Mandt, "Variable-Bitrate Neural Compression via Bayesian Arithmetic Coding" (ICML 2020): an
ordinary VAE (Kingma and Welling 2014) with a Gaussian prior, a posterior N(μ, σ²) that is independent from latent to
latent, and the likelihood N(x | g(z), s²·I). Nothing is quantised in training. Here with this project's blocks, and
with the prior N(0, τ²), τ learnt for each channel. This is the same model as with N(0, 1) and latents divided by τ,
but all weights are of similar size, so that one learning rate suits them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glissando.networks.config import NetworkConfig
from glissando.networks.layers import LevelTable, Pointwise
from glissando.networks.transforms import Analysis, Synthesis

__all__ = ["VaeConfig", "VaeNetwork"]

_FAR = 8.0  # deviations of the prior, beyond which means are clipped before they tell the posterior's variance
_RANGE = 20.0  # the largest |log σ²/τ²|, which keeps the result finite after a bad step


@dataclass(frozen=True)
class VaeConfig(NetworkConfig):
    """What shapes a network. Every field is a key of a recipe's ``[network]`` table."""

    width: int = 192
    latents: int = 192
    analysis_blocks: int = 2
    analysis_latent_blocks: int = 1
    synthesis_blocks: int = 2
    synthesis_latent_blocks: int = 1
    ratio: int = 2
    variance: float = 0.001  # s² of the likelihood, for pixels in [0, 1]


class VaeNetwork(nn.Module):
    """Encoder and decoder."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        c = self.config = config
        self.analysis = Analysis(c)
        self.spread = nn.Sequential(
            Pointwise(c.latents, c.latents), nn.ReLU(), Pointwise(c.latents, c.latents, exact=True)
        )
        self.prior = LevelTable(1, c.latents)  # log2 τ
        self.synthesis = Synthesis(c)

    @property
    def deviations(self) -> Tensor:
        """The prior's τ, (1, latents, 1, 1)."""
        return torch.exp2(self.prior.table)[:, :, None, None]

    def log_variance(self, mean: Tensor) -> Tensor:
        """μ/τ → log σ²/τ²."""
        # Inputs have a norm of about one, whatever their number, so that no step of the optimiser moves a variance far.
        out: Tensor = self.spread(mean.clamp(-_FAR, _FAR) / math.sqrt(self.config.latents))
        return out.float().clamp(-_RANGE, _RANGE)

    def deviation(self, mean: Tensor) -> Tensor:
        """μ → σ, both (B, latents, h, w)."""
        out: Tensor = torch.exp(0.5 * self.log_variance(mean / self.deviations)) * self.deviations
        return out

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Picture (B, 3, H, W) in [0, 1], sides multiples of 16 → a sample of its posterior, decoded, of that shape;
        and KL(posterior, prior) in bits, (B,).
        """
        mean = self.analysis(picture).float() / self.deviations
        log_variance = self.log_variance(mean)
        sample = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        out: Tensor = self.synthesis(sample * self.deviations)
        return out, divergence.sum((1, 2, 3)) / math.log(2)
