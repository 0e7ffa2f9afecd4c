"""The ways to vary a base model's rate that the study compares.

"dedicated" does not: one constant stands in place of the gains. "gains" is the source's method, "scalar" one learnt
gain for all channels of a rate (Theis et al., arXiv 1703.00395; learnt: Kamisli et al., DCC 2024), and "conditional"
scales and shifts the outputs of every convolution by what is learnt for a rate (Choi et al., arXiv 1909.04802).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from glissando.gain import Gained, GainUnit, Parts
from glissando.gain.attach import HYPER_INPUTS
from glissando.networks.layers import LevelTable

from .bases import Base

__all__ = ["METHODS", "Conditional", "RateConfig", "Rated"]

METHODS = ("dedicated", "gains", "scalar", "conditional")
PRIORS = ("follows", "shared")
DRAWS = ("levels", "all")


@dataclass(frozen=True)
class RateConfig:
    """How the rate varies: the keys of a row's ``[method]`` table."""

    kind: str = "gains"  # one of METHODS
    quality: float = 50.0  # of a dedicated model
    levels: int = 6
    hyper_gains: bool = True  # gains on hyper-latents as well (HCVR), where "gains" meets a hyperprior
    hyper_sees: str = "gained"  # or "ungained"
    # Whether the prior of what has gains and no hyperprior of its own is scaled by them, or is one for all levels.
    prior: str = "follows"  # of latents, without a hyperprior; "shared"
    hyper_prior: str = "shared"  # of hyper-latents with gains; "follows"
    draw: str = "levels"  # the qualities to train for: those of the levels, as in the source, or "all"

    def prior_follows(self, hyper_channels: int) -> bool:
        """Whether the prior of the latents is scaled by their gains: where they have no hyperprior, if it is wanted."""
        return self.prior == "follows" and not hyper_channels and self.kind != "dedicated"

    def checks(self) -> dict[str, bool]:
        """Whether each rule holds, by the error message for where it does not."""
        return {
            f"method.kind must be one of {', '.join(METHODS)}": self.kind in METHODS,
            "method.quality must be in [0, 100]": self.quality <= 100,
            "method.levels must be at least 2": self.levels >= 2,
            f"method.hyper_sees must be one of {', '.join(HYPER_INPUTS)}": self.hyper_sees in HYPER_INPUTS,
            f"method.prior and hyper_prior must be one of {', '.join(PRIORS)}": {self.prior, self.hyper_prior}
            <= set(PRIORS),
            f"method.draw must be one of {', '.join(DRAWS)}": self.draw in DRAWS,
        }


class Rated(nn.Module):
    """A base model whose rate varies in one of the ways.

    ``log2_gains`` (levels,): log2 of the steps' reciprocals that each level begins with; of a dedicated model one for
    its quality, (1,). All ways begin with the same steps, so that none has an advantage at the start.
    """

    def __init__(self, base: Base, config: RateConfig, log2_gains: Tensor) -> None:
        super().__init__()
        self.base, self.config = base, config
        channels, hyper = base.config.latents, base.hyper_channels
        parts = Parts("analysis", "synthesis", *(("hyper_analysis", "hyper_synthesis") if hyper else ()))
        unit = GainUnit(config.levels, channels) if config.kind == "gains" else GainUnit(config.levels, 1, tied=True)
        unit.start(log2_gains.expand(config.levels))
        unit.requires_grad_(config.kind in ("gains", "scalar"))
        both = config.kind == "gains" and config.hyper_gains and hyper > 0
        self.codec = Gained(
            base,
            parts,
            unit,
            GainUnit(config.levels, hyper) if both else None,
            hyper_sees=config.hyper_sees if hyper else "gained",
        )
        self.conditional = Conditional(base, config.levels) if config.kind == "conditional" else None
        if config.prior_follows(hyper):
            base.prior.register_forward_hook(partial(self._scaled, lambda: self.codec.factors.gain))
        if config.hyper_prior == "follows" and both:
            base.prior.register_forward_hook(partial(self._scaled, lambda: self.codec.hyper_factors.gain))

    def _scaled(self, gain: Callable[[], Tensor], module: nn.Module, inputs: tuple[()], output: Tensor) -> Tensor:
        """The parameters of a prior, as they are for the same values times the gain."""
        scales = output[:, : self.base.hyper_channels or self.base.config.latents]
        others = output[:, scales.shape[1] :]
        scales = scales + torch.log2(gain())
        return torch.cat([scales, others.expand(len(scales), -1, -1, -1)], 1)

    def draw(self, batch: int, generator: torch.Generator) -> Tensor:
        """Qualities to train for, (batch,)."""
        if self.config.kind == "dedicated":
            return torch.full((batch,), self.config.quality)
        if self.config.draw == "all" or self.conditional is not None:  # whose step sizes are drawn as well
            offset = torch.rand((), generator=generator)
            return 100 * (torch.arange(batch) + offset) / batch
        last = self.config.levels - 1
        return 100 / last * torch.randint(0, last + 1, (batch,), generator=generator)

    def forward(self, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """As the base model's, at qualities (B,)."""
        with self._level(quality):
            out: tuple[Tensor, Tensor] = self.codec(picture, quality)
        return out

    @contextlib.contextmanager
    def at(self, quality: float) -> Iterator[None]:
        """Within ``with``, the base model makes and reads files of this quality, which may lie outside 0 … 100."""
        with self._level(torch.tensor([quality])), self.codec.at(quality, extrapolate=True):
            yield

    @contextlib.contextmanager
    def _level(self, quality: Tensor) -> Iterator[None]:
        if self.conditional is None:
            yield
            return
        with self.conditional.at(self.codec.unit.position(quality)):
            yield

    def rate_parameters(self) -> int:
        """How many numbers the way to vary the rate adds to a base model."""
        added = [*self.codec.unit.parameters()]
        if self.codec.hyper_unit is not None:
            added += self.codec.hyper_unit.parameters()
        if self.conditional is not None:
            added += self.conditional.parameters()
        return sum(parameter.numel() for parameter in added if parameter.requires_grad)


class Conditional(nn.Module):
    """Conditional convolutions: the outputs of every convolution are scaled and shifted by the level.

    Rates between levels come from the step size alone, which is the source's second half: ``Rated`` scales latents by a
    constant for the quality, and the level is the nearest one.
    """

    def __init__(self, base: nn.Module, levels: int) -> None:
        super().__init__()
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        layers = [module for module in base.modules() if isinstance(module, kinds)]
        self.scales = nn.ModuleList(LevelTable(levels, layer.out_channels) for layer in layers)  # log2
        self.offsets = nn.ModuleList(LevelTable(levels, layer.out_channels) for layer in layers)
        self.last = levels - 1
        self.level: Tensor | None = None
        for layer, scale, offset in zip(layers, self.scales, self.offsets, strict=True):
            layer.register_forward_hook(partial(self._condition, scale, offset))

    def _condition(
        self, scale: nn.Module, offset: nn.Module, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
    ) -> Tensor:
        conditioned: Tensor = output * torch.exp2(scale(self.level)) + offset(self.level)
        return conditioned

    @contextlib.contextmanager
    def at(self, position: Tensor) -> Iterator[None]:
        """Within ``with``, convolutions are those of the levels nearest to ``position`` (B,)."""
        self.level = position.round().clamp(0, self.last)
        try:
            yield
        finally:
            self.level = None
