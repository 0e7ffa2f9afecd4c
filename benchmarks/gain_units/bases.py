"""The base models: codecs for one rate, which know nothing of gains.

Three are made of the project's blocks and differ in their entropy model: a factorised prior, a mean-scale hyperprior,
and a hyperprior with spatial context in two passes (checkerboard, He et al., arXiv 2103.15306). The fourth has other
blocks: Ballé et al. 2018 (arXiv 1802.01436), GDN and convolutions of 5×5, with a scale hyperprior.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glissando.families.gains.config import GainsConfig
from glissando.families.gains.network import HyperAnalysis, HyperSynthesis
from glissando.networks.layers import Pointwise, first_pass_mask, rectified
from glissando.networks.transforms import Analysis, Synthesis

from .coders import Coder, Training
from .distributions import Asymmetric, Distribution, Symmetric

__all__ = ["BASES", "Base", "BaseConfig", "FactorisedPrior"]

BASES = ("factorised", "mean-scale", "context", "balle2018")
DISTRIBUTIONS = ("symmetric", "asymmetric")


@dataclass(frozen=True)
class BaseConfig:
    """What shapes a base model: the keys of a row's ``[base]`` table."""

    kind: str = "mean-scale"  # one of BASES
    width: int = 64  # channels of the trunk; of Ballé's convolutions and hyper-latents
    latents: int = 128
    hyper: int = 32  # hyper-latents of the models made of blocks
    distribution: str = "symmetric"  # or "asymmetric"

    def checks(self) -> dict[str, bool]:
        """Whether each rule holds, by the error message for where it does not."""
        return {
            f"base.kind must be one of {', '.join(BASES)}": self.kind in BASES,
            f"base.distribution must be one of {', '.join(DISTRIBUTIONS)}": self.distribution in DISTRIBUTIONS,
            "base.width, latents and hyper must be positive": min(self.width, self.latents, self.hyper) > 0,
            "base.latents must be even": self.latents % 2 == 0,
        }


class FactorisedPrior(nn.Module):
    """Parameters of a distribution that are the same everywhere, (1, numbers·channels, 1, 1); the first are log2 σ."""

    def __init__(self, channels: int, numbers: int) -> None:
        super().__init__()
        self.parameters_of_channels = nn.Parameter(torch.zeros(1, numbers * channels, 1, 1))

    def forward(self) -> Tensor:
        return self.parameters_of_channels


class Base(nn.Module):
    """A codec for one rate. Pictures (B, 3, H, W) in [0, 1], sides multiples of 64; latents at 1/16.

    Modules, some of which a base may lack: ``analysis``, ``synthesis``, ``hyper_analysis``, ``hyper_synthesis``,
    ``prior`` of what is coded first, ``to_parameters`` and ``context`` of the latents.
    """

    def __init__(self, config: BaseConfig) -> None:
        super().__init__()
        c = self.config = config
        self.distribution: Distribution = Symmetric() if c.distribution == "symmetric" else Asymmetric()
        numbers = self.distribution.numbers
        self.hyper_channels = {"factorised": 0, "balle2018": c.width}.get(c.kind, c.hyper)
        self.prior = FactorisedPrior(self.hyper_channels or c.latents, numbers)
        if c.kind == "balle2018":
            self.analysis, self.synthesis = _balle_analysis(c), _balle_synthesis(c)
            self.hyper_analysis: nn.Module = _balle_hyper_analysis(c)
            self.hyper_synthesis: nn.Module = _balle_hyper_synthesis(c, numbers)
            return
        # The shape of our own family, of which only the blocks are used.
        shape = GainsConfig(
            width=c.width, latents=c.latents, hyper=c.hyper, means_width=c.latents, context_width=c.latents,
            analysis_blocks=1, synthesis_blocks=1, leak=0.1,
        )  # fmt: skip
        self.analysis, self.synthesis = Analysis(shape, leak=shape.leak), Synthesis(shape, leak=shape.leak)
        self.shape = shape
        if c.kind == "factorised":
            return
        self.hyper_analysis, self.hyper_synthesis = HyperAnalysis(shape), HyperSynthesis(shape)
        self.to_parameters = Pointwise(c.latents, (1 + numbers) * c.latents)
        _silence(self.to_parameters)
        if c.kind == "context":
            self.context = _Context(c, numbers)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """The picture as decoded, and its bits (B,) with noise in place of rounding."""
        coder = Training(self.distribution)
        y = self.analysis(picture)
        decoded: Tensor = self.synthesis(self.code(coder, y, y.shape[-2:]))
        assert isinstance(coder.bits, Tensor)
        return decoded, coder.bits

    def code(self, coder: Coder, y: Tensor | None, size: tuple[int, int] | torch.Size) -> Tensor:
        """Latents (B, latents, *size), None where they are read, through an entropy model; as the decoder has them."""
        c = self.config
        if c.kind == "factorised":
            return coder.code(y, self._zeros(y, c.latents, size), self._prior(), None, late=False)
        z = None
        if y is not None:
            z = self.hyper_analysis(y.abs() if c.kind == "balle2018" else y)
        z_size = (size[0] // 4, size[1] // 4)
        z = coder.code(z, self._zeros(y, self.hyper_channels, z_size), self._prior(), None, late=False)
        features = self.hyper_synthesis(z)
        if c.kind == "balle2018":
            return coder.code(y, self._zeros(y, c.latents, size), features, None, late=False)
        mean, parameters = self._split(self.to_parameters(features))
        if c.kind == "mean-scale":
            return coder.code(y, mean, parameters, None, late=False)
        first = first_pass_mask(c.latents, size[0], size[1])
        known = coder.code(y, mean, parameters, first, late=False) * first
        mean, parameters = self._split(self.to_parameters(features) + self.context(features, known))
        return torch.where(first, known, coder.code(y, mean, parameters, ~first, late=True))

    def _prior(self) -> Tensor:
        out: Tensor = self.prior()
        return out

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        latents = self.config.latents
        return parameters[:, :latents], parameters[:, latents:]

    @staticmethod
    def _zeros(y: Tensor | None, channels: int, size: tuple[int, int] | torch.Size) -> Tensor:
        return torch.zeros(1 if y is None else len(y), channels, size[0], size[1])


class _Context(nn.Module):
    """What the latents of the first pass add to the parameters of the second's; nothing at first."""

    def __init__(self, c: BaseConfig, numbers: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(c.latents, c.latents, 5, padding=2, groups=c.latents)
        self.mix = Pointwise(2 * c.latents, c.latents)
        self.leave = Pointwise(c.latents, (1 + numbers) * c.latents)
        _silence(self.leave)

    def forward(self, features: Tensor, known: Tensor) -> Tensor:
        out: Tensor = self.leave(rectified(self.mix(torch.cat([self.near(known), features], 1)), 0.1))
        return out


def _silence(layer: nn.Conv2d) -> None:
    with torch.no_grad():
        layer.weight.zero_()
        assert layer.bias is not None
        layer.bias.zero_()


# Ballé 2018 -------------------------------------------------------------------------------------------


class GDN(nn.Module):
    """Generalised divisive normalisation (arXiv 1511.06281): x / √(β + γ·x²), times in place of divided if inverse."""

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta = nn.Parameter(torch.ones(channels))
        self.gamma = nn.Parameter(torch.sqrt(0.1 * torch.eye(channels) + 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        # Squares keep β and γ positive.
        norm = F.conv2d(x.square(), self.gamma.square()[:, :, None, None], self.beta.square() + 1e-6)
        return x * torch.sqrt(norm) if self.inverse else x * torch.rsqrt(norm)


def _down(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 5, stride=2, padding=2)


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)


def _balle_analysis(c: BaseConfig) -> nn.Module:
    n, m = c.width, c.latents
    return nn.Sequential(_down(3, n), GDN(n), _down(n, n), GDN(n), _down(n, n), GDN(n), _down(n, m))


def _balle_synthesis(c: BaseConfig) -> nn.Module:
    n, m = c.width, c.latents
    return nn.Sequential(
        _up(m, n), GDN(n, inverse=True), _up(n, n), GDN(n, inverse=True), _up(n, n), GDN(n, inverse=True), _up(n, 3)
    )


def _balle_hyper_analysis(c: BaseConfig) -> nn.Module:
    n = c.width
    return nn.Sequential(nn.Conv2d(c.latents, n, 3, padding=1), nn.ReLU(), _down(n, n), nn.ReLU(), _down(n, n))


def _balle_hyper_synthesis(c: BaseConfig, numbers: int) -> nn.Module:
    n = c.width
    last = nn.Conv2d(n, numbers * c.latents, 3, padding=1)
    _silence(last)
    return nn.Sequential(_up(n, n), nn.ReLU(), _up(n, n), nn.ReLU(), last)
