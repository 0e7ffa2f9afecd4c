"""Gain units for the codecs of this package and of CompressAI.

Neither is imported: a codec is known by the modules and attributes that it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from glissando.errors import InputError
from glissando.networks.layers import LevelTable

from .attach import Gained, Parts, gained
from .unit import GainUnit

__all__ = ["gained_compressai", "gained_vae", "units_of"]


def gained_compressai(
    model: nn.Module, lambdas: Sequence[float], *, hyper: bool = True, hyper_sees: str = "gained"
) -> Gained:
    """Gain units for a picture model of CompressAI, without a hyperprior or with one.

    Known to work: bmshj2018-factorized, bmshj2018-hyperprior, mbt2018-mean, mbt2018 and cheng2020-anchor. Within
    ``with codec.at(quality)`` the model's own ``forward``, ``compress`` and ``decompress`` work at that quality; its
    ``update()`` makes the tables that all qualities share.

    Args:
        model: with modules g_a, g_s and perhaps h_a, h_s, and the numbers of channels M and N.
        lambdas, hyper_sees: as for ``gained``.
        hyper: whether hyper-latents, where there are any, have gains as well (HCVR).

    Raises InputError where the model has no such parts.
    """
    channels, hyper_channels = _number(model, "M"), _number(model, "N")
    has_hyper = hasattr(model, "h_a") and hasattr(model, "h_s")
    return gained(
        model,
        Parts("g_a", "g_s", "h_a", "h_s") if has_hyper else Parts("g_a", "g_s"),
        channels=channels,
        lambdas=lambdas,
        hyper_channels=hyper_channels if has_hyper and hyper else 0,
        hyper_sees=hyper_sees,
    )


def gained_vae(network: nn.Module, lambdas: Sequence[float]) -> Gained:
    """Gain units for a network of the family ``vae``: its posterior's means are multiplied, before the prior sees them.

    The prior stays the same, so that a larger gain is a smaller step, as for every codec. Raises InputError where the
    network has no analysis and synthesis, or its configuration no number of latents.
    """
    latents = getattr(getattr(network, "config", None), "latents", None)
    if not isinstance(latents, int):
        raise InputError(f"{type(network).__name__} has no config.latents: it is no network of the family vae")
    return gained(network, Parts("analysis", "synthesis"), channels=latents, lambdas=lambdas)


def units_of(network: nn.Module) -> tuple[GainUnit, GainUnit]:
    """The gain units that a network of the family ``gains`` has from the start: for latents, and for hyper-latents.

    Their tables are the network's own, so that what is trained or changed here is so there. Means are subtracted before
    the gain in that family and added after the inverse gain, which is why the units are a part of the network and not
    put onto it. Raises InputError for other networks.
    """
    tables: list[Any] = [getattr(network, name, None) for name in ("gain", "inverse_gain", "hyper_gain")]
    if not all(isinstance(table, LevelTable) for table in tables):
        raise InputError(f"{type(network).__name__} has no level tables gain, inverse_gain and hyper_gain")
    gain, inverse_gain, hyper_gain = tables
    return GainUnit.of_tables(gain, inverse_gain), GainUnit.of_tables(hyper_gain, None)


def _number(model: nn.Module, name: str) -> int:
    value = getattr(model, name, None)
    if not isinstance(value, int):
        raise InputError(f"{type(model).__name__} has no whole number {name}: it is no picture model of CompressAI")
    return value
