"""What a network would cost with other widths, without building it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .channels import Group

__all__ = ["LayerCosts"]

_SIDE = 256


class LayerCosts:
    """Thousands of multiply-adds per pixel of the layers of a network, as a function of its groups' widths.

    ``run`` works on a picture (1, 3, H, W), which shows how often each layer is computed. Widths may be fractions: a
    mask of a half makes half a channel. A layer costs its inputs times its outputs, as often as it is computed.
    """

    def __init__(self, network: nn.Module, groups: Sequence[Group], run: Callable[[nn.Module, Tensor], object]) -> None:
        self._rates: dict[str, float] = {}
        hooks = [
            module.register_forward_hook(self._counter(f"{name}.weight"))
            for name, module in network.named_modules()
            if isinstance(module, nn.Conv2d)
        ]
        with torch.no_grad():
            run(network, torch.zeros(1, 3, _SIDE, _SIDE))
        for hook in hooks:
            hook.remove()
        shapes = {name: tuple(value.shape) for name, value in network.named_parameters()}
        self._shapes = {name: shapes[name] for name in self._rates}
        self._places: dict[str, list[tuple[int, int, str, int]]] = {name: [] for name in self._rates}
        for group in groups:
            for place in group.places:
                if place.parameter in self._places:
                    self._places[place.parameter].append((place.axis, place.copies, group.name, group.width))

    def _counter(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def count(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            self._rates[name] = self._rates.get(name, 0.0) + output[0, 0].numel() / _SIDE**2 / 1000

        return count

    def total(self, parts: Sequence[str], widths: Mapping[str, float]) -> float:
        """Of all layers whose names begin with one of ``parts``, for these ``widths`` of the groups by their names."""
        prefixes = tuple(f"{part}." for part in parts)
        total = 0.0
        for name, rate in self._rates.items():
            if not name.startswith(prefixes):
                continue
            sides = [float(side) for side in self._shapes[name]]
            for axis, copies, group, width in self._places[name]:
                sides[axis] -= copies * (width - widths[group])
            product = rate
            for side in sides:
                product *= side
            total += product
        return total
