"""Gain units put onto a codec that knows nothing of them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from glissando.errors import InputError
from glissando.networks.layers import between_levels

from .unit import Factors, GainUnit

__all__ = ["Gained", "Parts", "gained", "lambda_at"]

HYPER_INPUTS = ("gained", "ungained")


@dataclass(frozen=True)
class Parts:
    """Which modules of a codec do what, by their names as ``torch.nn.Module.get_submodule`` takes them.

    Attributes:
        analysis: picture to latents.
        synthesis: latents to picture.
        hyper_analysis: latents to hyper-latents; "" where the codec has none.
        hyper_synthesis: hyper-latents to whatever the latents' entropy model needs; "" where the codec has none.
    """

    analysis: str
    synthesis: str
    hyper_analysis: str = ""
    hyper_synthesis: str = ""


@dataclass(frozen=True)
class _Rate:
    """The factors of latents and of hyper-latents at the quality that is set."""

    latents: Factors
    hyper: Factors | None


class Gained(nn.Module):
    """A codec with gain units: ``model`` itself, whose parts multiply by gains as long as a quality is set.

    The analysis' output is multiplied by the gain and the synthesis' input by the inverse gain; with ``hyper_unit``
    (the source's HCVR) so are the outputs of the hyper-analysis and the inputs of the hyper-synthesis. All between
    them, which is the entropy model, works on gained latents and stays as it is: its training, tables and coder.

    The gains are forward hooks on the model's own modules. The model's parameters keep their names, its weights can be
    loaded before or after, and ``remove`` takes the hooks off again. One object serves one quality at a time.

    Parameters: ``model``; ``parts``, its modules; ``unit`` for the latents and ``hyper_unit`` for the hyper-latents;
    ``hyper_sees``, whether the hyper-analysis reads latents with their gain or without ("gained", "ungained").

    Raises InputError where the model has no such parts, or has gain units already.
    """

    def __init__(
        self,
        model: nn.Module,
        parts: Parts,
        unit: GainUnit,
        hyper_unit: GainUnit | None = None,
        *,
        hyper_sees: str = "gained",
    ) -> None:
        super().__init__()
        if hyper_sees not in HYPER_INPUTS:
            raise InputError(f"hyper_sees must be one of {', '.join(HYPER_INPUTS)}, not {hyper_sees!r}")
        if not (parts.analysis and parts.synthesis):
            raise InputError("parts must name an analysis and a synthesis")
        if hyper_unit is not None and not (parts.hyper_analysis and parts.hyper_synthesis):
            raise InputError("a hyper unit needs the names of a hyper-analysis and of a hyper-synthesis in parts")
        if hyper_sees == "ungained" and not parts.hyper_analysis:
            raise InputError("hyper_sees = 'ungained' needs the name of a hyper-analysis in parts")
        # All parts are found before the first hook is put on, so that an error leaves the model as it was.
        found = {field.name: _part(model, name) for field in fields(parts) if (name := getattr(parts, field.name))}
        self.model, self.unit, self.hyper_unit = model, unit, hyper_unit
        self._rate: _Rate | None = None
        self._hooks = [
            found["analysis"].register_forward_hook(self._gain_latents),
            found["synthesis"].register_forward_pre_hook(self._restore_latents),
        ]
        if hyper_sees == "ungained":
            self._hooks.append(found["hyper_analysis"].register_forward_pre_hook(self._ungain_latents))
        if hyper_unit is not None:
            self._hooks.append(found["hyper_analysis"].register_forward_hook(self._gain_hyper))
            self._hooks.append(found["hyper_synthesis"].register_forward_pre_hook(self._restore_hyper))

    @contextlib.contextmanager
    def at(self, quality: float | Tensor, *, extrapolate: bool = False) -> Iterator[None]:
        """Within ``with``, the model works at this quality, from 0 to 100.

        A number sets the gains that a file of this quality has: computed from integers, on every machine the same, and
        without gradients. A tensor (B,) holds one quality for each picture of a batch and gives gradients: what a
        training uses. ``extrapolate`` allows numbers outside 0 … 100. Raises InputError, also where the levels of the
        latents' gains are upside down.
        """
        before = self._rate
        self._rate = self._rate_at(quality, extrapolate)
        try:
            yield
        finally:
            self._rate = before

    def forward(self, picture: Tensor, quality: float | Tensor) -> Any:
        """What the model returns for ``picture`` at ``quality``, which is as for ``at``."""
        with self.at(quality):
            return self.model(picture)

    def remove(self) -> None:
        """Take the gain units off the model, which then works as it did before."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    @property
    def factors(self) -> Factors:
        """What latents are multiplied by at the quality that is set. Raises InputError where none is."""
        return self._now().latents

    @property
    def hyper_factors(self) -> Factors:
        """What hyper-latents are multiplied by. Raises InputError where no quality is set, or they have no gains."""
        hyper = self._now().hyper
        if hyper is None:
            raise InputError("the codec has no gains on hyper-latents")
        return hyper

    def _rate_at(self, quality: float | Tensor, extrapolate: bool) -> _Rate:
        units = (self.unit, self.hyper_unit)
        if isinstance(quality, Tensor):
            if quality.ndim != 1:
                raise InputError(f"qualities are a tensor (B,), or one number; not of shape {tuple(quality.shape)}")
            latents, hyper = (None if unit is None else unit.learning(quality) for unit in units)
        else:
            self.unit.fixed().check_order()
            latents, hyper = (None if unit is None else unit.at(quality, extrapolate=extrapolate) for unit in units)
        assert latents is not None
        return _Rate(latents, hyper)

    def _now(self) -> _Rate:
        if self._rate is None:
            raise InputError("no quality is set: run the model within `with codec.at(quality):`, or call the codec")
        return self._rate

    # Hooks: (module, inputs[, output]) → what takes the place of inputs or output. ---------------------

    def _gain_latents(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor:
        return _tensor(output, module) * self._now().latents.gain

    def _restore_latents(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (_first(inputs, module) * self._now().latents.inverse, *inputs[1:])

    def _ungain_latents(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The encoder alone does this, so that the reciprocal need not be the decoder's inverse gain."""
        return (_first(inputs, module) / self._now().latents.gain, *inputs[1:])

    def _gain_hyper(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Tensor:
        return _tensor(output, module) * self.hyper_factors.gain

    def _restore_hyper(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (_first(inputs, module) * self.hyper_factors.inverse, *inputs[1:])


def lambda_at(lambdas: Sequence[float], quality: Tensor) -> Tensor:
    """The λ to train for at qualities (B,) from 0 to 100, in between the levels' own as gains are: exponentially."""
    octaves = torch.log2(torch.tensor(lambdas, device=quality.device))[:, None]
    return torch.exp2(between_levels(octaves, quality * ((len(lambdas) - 1) / 100))[:, 0])


def gained(
    model: nn.Module,
    parts: Parts,
    *,
    channels: int,
    lambdas: Sequence[float],
    hyper_channels: int = 0,
    hyper_sees: str = "gained",
) -> Gained:
    """Put new gain units onto a codec, one level for each λ of a loss R + λ·D.

    Args:
        model: the codec, trained for the highest rate or not at all.
        parts: its modules.
        channels: of the latents.
        lambdas: of the levels, rising: the lowest rate first. Two or more.
        hyper_channels: of the hyper-latents, for gains on them as well (HCVR); 0: on the latents alone.
        hyper_sees: as for ``Gained``.

    Gains start at √(λ/λ of the last level), the ratio of the best quantiser steps at high rates, and inverse gains at
    their reciprocals: at quality 100 the codec is what it was before. Gains on hyper-latents start at 1.

    Raises InputError.
    """
    if len(lambdas) < 2 or not all(0 < low < high for low, high in pairwise(lambdas)):
        raise InputError(f"lambdas are two or more numbers above 0 that rise, the lowest rate first, not {lambdas}")
    if not math.isfinite(lambdas[-1]):
        raise InputError(f"lambdas are finite, not {lambdas[-1]}")
    unit = GainUnit(len(lambdas), channels)
    unit.start([0.5 * math.log2(value / lambdas[-1]) for value in lambdas])
    hyper_unit = GainUnit(len(lambdas), hyper_channels) if hyper_channels else None
    return Gained(model, parts, unit, hyper_unit, hyper_sees=hyper_sees)


def _part(model: nn.Module, name: str) -> nn.Module:
    """The model's module of this name."""
    try:
        part = model.get_submodule(name)
    except AttributeError:
        known = ", ".join(child for child, _ in model.named_children())
        raise InputError(f"{type(model).__name__} has no module {name!r}; it has {known}") from None
    hooks = (*part._forward_hooks.values(), *part._forward_pre_hooks.values())
    if any(isinstance(getattr(hook, "__self__", None), Gained) for hook in hooks):
        raise InputError(f"{type(model).__name__}.{name} has gain units already; remove() takes them off")
    return part


def _tensor(output: Any, module: nn.Module) -> Tensor:
    if not isinstance(output, Tensor):
        raise InputError(f"{type(module).__name__} returns {type(output).__name__}; gains need one tensor of latents")
    return output


def _first(inputs: tuple[Any, ...], module: nn.Module) -> Tensor:
    if not inputs or not isinstance(inputs[0], Tensor):
        raise InputError(f"{type(module).__name__} must be given its latents as its first, unnamed argument")
    return inputs[0]
