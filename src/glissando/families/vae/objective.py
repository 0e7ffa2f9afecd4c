"""The vae family's part in a training: its loss, and how it begins."""

from __future__ import annotations

import math

from torch import Tensor, nn

from glissando.training.distortion import mse as mse_of

from .initial import initialise
from .network import VaeNetwork
from .recipe import VaeRecipe

__all__ = ["VaeObjective"]


class VaeObjective:
    """The loss of a plain VAE: the negative ELBO in bits per pixel. It does not depend on the quality."""

    qualities: tuple[float, ...] = (50.0,)

    def __init__(self, recipe: VaeRecipe) -> None:
        self.recipe = recipe

    def build(self, sample: Tensor | None) -> nn.Module:
        network = VaeNetwork(self.recipe.network)
        if sample is not None:
            initialise(network, sample, self.recipe.run.balance_trunk)
        return network

    def begin(self, step: int, share: float) -> float:
        return 1.0

    def loss(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out, bits = network(picture)
        bpp, mse = bits / (picture.shape[2] * picture.shape[3]), mse_of(out, picture)
        # −log N(x | g(z), s²) of a pixel's three samples, less what does not depend on the network.
        return bpp + 3 * mse / (2 * self.recipe.network.variance * math.log(2)), bpp, mse

    def constrain(self, network: nn.Module) -> None:
        pass

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """A sample of the posterior, and its divergence from the prior."""
        out, bits = network(picture)
        return bits, out

    def scores(self, levels: Tensor, picture: Tensor) -> dict[str, Tensor]:
        return {}
