"""The integer scale network, as it is trained.

Every layer computes exactly what the integer arithmetic of ``glissando.families.gains.scales`` computes, on
numbers that are integers divided by a power of two: weights are multiples of 2^−7, activations multiples
of 2^−5, sums are rounded half up after each layer, activations are clipped. The gradient passes through
the rounding. After ``set_exact(False)`` the same layers run without rounding, to measure what rounding costs.

Design: the residual's scale is log2 σ in octaves. The first pass's scales come from the hyper-latents'
symbols alone; the second pass adds a correction seen in the magnitudes of the first pass's symbols. More steps
than two, signs and a third layer are for experiments: the file format does not support them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glissando.entropy.fixed_point import ACTIVATION_BITS, ACTIVATION_MAX, MAGNITUDE_MAX, WEIGHT_BITS
from glissando.networks.integer import IntegerConv
from glissando.networks.layers import ste_floor

__all__ = ["ScaleNetwork"]


def _halves(outputs: int, inputs: int, free: int = 0) -> Tensor:
    """A mask (outputs, inputs + free, 1, 1): each half of the outputs sees half of the inputs, and all free ones."""
    mask = torch.zeros(outputs, inputs + free, 1, 1)
    mask[: outputs // 2, : inputs // 2] = 1
    mask[outputs // 2 :, inputs // 2 : inputs] = 1
    mask[:, inputs:] = 1
    return mask


class ScaleNetwork(nn.Module):
    """log2-scales of the residual symbols, from symbols alone.

    ``first(z)``: hyper-latents (B, hyper, h/4, w/4) → (B, latents, h, w), in octaves, not yet gained.
    ``second(symbols, scales, step)``: the symbols of all earlier steps (zero where none of them codes) and the
    gained scales, both (B, latents, h, w) → a correction in octaves for one of the steps 1 … ``steps`` − 1, each of
    which has layers of its own.

    ``widths`` of the layers behind the hyper-latents: z_mix, z_up, mid_mix and mid_up. ``second_width``, ``kernel`` and
    ``layers`` of the corrections, which see clipped magnitudes; with ``sees`` = "signed" also the magnitude of a filter
    over the clipped symbols themselves; with "own-half" each half of the channels sees no magnitudes but its own.
    """

    def __init__(
        self,
        latents: int,
        hyper: int,
        widths: Sequence[int] = (96, 64, 64, 64),
        second_width: int = 96,
        *,
        kernel: int = 5,
        layers: int = 2,
        sees: str = "magnitudes",
        steps: int = 2,
    ) -> None:
        super().__init__()
        self.sees, self.layers, self.exact = sees, layers, True
        z_mix, z_up, mid_mix, mid_up = widths
        self.z_mix = IntegerConv(hyper, z_mix, 3, unsigned=0)
        self.z_up = IntegerConv(z_mix, 4 * z_up)
        self.mid_mix = IntegerConv(z_up, mid_mix, 3)
        self.mid_up = IntegerConv(mid_mix, 4 * mid_up)
        self.first_out = IntegerConv(mid_up, latents, relu=False)
        for step in range(1, steps):
            self._add_step(step, latents, second_width, kernel)
        with torch.no_grad():
            # Signals must survive four rectified layers and their rounding; the correction starts at zero.
            for layer in (self.z_mix, self.z_up, self.mid_mix, self.mid_up):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.normal_(self.first_out.weight, std=0.02)
            for step in range(1, steps):
                self._layer("near", step).weight.fill_(2 / kernel**2)
                self._layer("second_out", step).weight.zero_()
                if layers > 2:
                    nn.init.kaiming_normal_(self._layer("second_hidden", step).weight, nonlinearity="relu")
            for module in self.modules():
                if isinstance(module, IntegerConv):
                    assert module.bias is not None
                    module.bias.zero_()
                    if module.mask is not None:
                        module.weight.mul_(module.mask)

    def _add_step(self, step: int, latents: int, width: int, kernel: int) -> None:
        """The layers of one correction. Those of step 1 have the names that the file format knows."""
        signed, apart = self.sees == "signed", self.sees == "own-half"

        def add(name: str, layer: IntegerConv) -> None:
            self.add_module(self._name(name, step), layer)

        def halves(outputs: int, inputs: int, free: int = 0) -> Tensor | None:
            return _halves(outputs, inputs, free) if apart else None

        add("near", IntegerConv(latents, latents, kernel, groups=latents, input_bits=0))
        if signed:
            add(
                "near_signed",
                IntegerConv(latents, latents, kernel, groups=latents, input_bits=0, unsigned=0, relu=False),
            )
        seen = 2 * latents if signed else latents
        mask = halves(width, latents, latents)
        add("second_mix", IntegerConv(seen + latents, width, unsigned=seen, mask=mask))
        if self.layers > 2:
            add("second_hidden", IntegerConv(width, width, mask=halves(width, width)))
        add("second_out", IntegerConv(width, latents, relu=False, mask=halves(latents, width)))

    @staticmethod
    def _name(name: str, step: int) -> str:
        return name if step == 1 else f"{name}_{step}"

    def _layer(self, name: str, step: int) -> IntegerConv:
        layer = getattr(self, self._name(name, step))
        assert isinstance(layer, IntegerConv)
        return layer

    def keep_exact(self) -> None:
        """Scale down weights, in place, until every sum is exact in any order of its terms; called after each step."""
        for layer in self.children():
            assert isinstance(layer, IntegerConv)
            layer.keep_exact()

    @torch.no_grad()
    def take_integers(self, integers: Mapping[str, Tensor]) -> None:
        """Become the network that ``integers`` describe. Raises KeyError or RuntimeError where they do not fit."""
        for name, layer in self.named_children():
            assert isinstance(layer, IntegerConv)
            assert layer.bias is not None
            layer.weight.copy_(integers[f"{name}.weight"].float().view_as(layer.weight) / (1 << WEIGHT_BITS))
            layer.bias.copy_(integers[f"{name}.bias"].float().view_as(layer.bias) / layer.bias_one)

    def set_exact(self, exact: bool) -> None:
        """Whether this network's numbers are rounded to integers from here on; at first they are."""
        self.exact = exact
        for layer in self.children():
            assert isinstance(layer, IntegerConv)
            layer.exact = exact

    def fixed(self, x: Tensor) -> Tensor:
        """Round to multiples of 1/32 (half up), if the network is exact, and clip to what a layer accepts."""
        one = 1 << ACTIVATION_BITS
        limit = ACTIVATION_MAX / one
        if not self.exact:
            return x.clamp(-limit, limit)
        return (ste_floor(x * one + 0.5) / one).clamp(-limit, limit)

    def first(self, z: Tensor) -> Tensor:
        x = self.z_mix(self.fixed(z))
        x = F.pixel_shuffle(self.z_up(x), 2)
        x = self.mid_mix(x)
        x = F.pixel_shuffle(self.mid_up(x), 2)
        out: Tensor = self.first_out(x)
        return out

    def second(self, symbols: Tensor, scales: Tensor, step: int = 1) -> Tensor:
        seen = [self._layer("near", step)(symbols.abs().clamp(max=MAGNITUDE_MAX))]
        if self.sees == "signed":
            # The magnitude of a filter over signed symbols tells how far their signs agree.
            sums = self._layer("near_signed", step)(symbols.clamp(-MAGNITUDE_MAX, MAGNITUDE_MAX))
            seen.append(sums.abs().clamp(max=ACTIVATION_MAX / (1 << ACTIVATION_BITS)))
        x = self._layer("second_mix", step)(torch.cat([*seen, self.fixed(scales)], 1))
        if self.layers > 2:
            x = self._layer("second_hidden", step)(x)
        out: Tensor = self._layer("second_out", step)(x)
        return out
