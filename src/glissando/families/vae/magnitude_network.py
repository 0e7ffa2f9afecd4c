"""The context model of a VAE's symbols as it is learnt: ``glissando.families.vae.magnitudes``, in floats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glissando.entropy.fixed_point import ACTIVATION_MAX, WEIGHT_BITS
from glissando.families.vae.magnitudes import MAGNITUDE_LOW, MAGNITUDE_MOST, SITUATION, MagnitudeContext, stages

__all__ = ["Examples", "MagnitudeNetwork", "learn"]

HIDDEN = 64
BATCH, RATE = 512, 3e-3
_UNIT = 32.0  # integers of the context model in an octave


@dataclass(frozen=True)
class Examples:
    """What the network sees of all positions of a level, and what it is to predict: (positions, …)."""

    inputs: Tensor  # int16 (n, 2·C + 3)
    here: Tensor  # int16 (n, C)
    symbols: Tensor  # int16 (n, C)
    magnitude: Tensor  # float32 (C,), log2

    @staticmethod
    def of(symbols: NDArray[np.int16], fixed: Mapping[str, NDArray[Any]], level: int, units: int) -> Examples:
        """Examples from the symbols (crops, rows, columns, C) of a level; ``fixed``: the arrays that are not learnt."""
        rows, columns, channels = symbols.shape[1:]
        usual = fixed["usual"][level].astype(np.int32)
        inputs, found = [], []
        for crop in symbols[..., fixed["order"]].reshape(len(symbols), -1, channels):
            known = np.minimum(np.abs(crop.astype(np.int32)), MAGNITUDE_MOST).astype(np.uint8)
            for stage in stages(known, rows, columns):
                inputs.append(MagnitudeContext.inputs(stage, usual, units).astype(np.int16))
                found.append(crop[stage.positions])
        everything = np.concatenate(found)
        magnitudes = np.minimum(np.abs(everything.astype(np.int32)), MAGNITUDE_MOST)
        here = MagnitudeContext.seen_by_later_groups(magnitudes, usual).astype(np.int16)
        return Examples(
            inputs=torch.from_numpy(np.concatenate(inputs)),
            here=torch.from_numpy(here),
            symbols=torch.from_numpy(everything),
            magnitude=torch.from_numpy(fixed["magnitude"][level] / np.float32(_UNIT)),
        )


class MagnitudeNetwork(nn.Module):
    """What ``MagnitudeContext`` computes, in floats: octaves instead of integers, nothing rounded."""

    def __init__(self, channels: int, sizes: list[int]) -> None:
        super().__init__()
        seen = np.cumsum([0, *sizes]).tolist()
        self.groups = [slice(a, b) for a, b in itertools.pairwise(seen)]
        self.hidden = nn.ModuleList(nn.Linear(2 * channels + SITUATION + a, HIDDEN) for a in seen[:-1])
        self.out = nn.ModuleList(nn.Linear(HIDDEN, size) for size in sizes)
        random = torch.Generator().manual_seed(0)
        for name, value in self.named_parameters():
            if name.startswith("hidden") and name.endswith("weight"):
                nn.init.normal_(value, std=0.5 / math.sqrt(2 * channels), generator=random)
            else:
                nn.init.zeros_(value)
        self.near, self.past = (nn.Parameter(torch.full((channels,), 0.3)) for _ in range(2))

    def forward(self, inputs: Tensor, here: Tensor, magnitude: Tensor) -> Tensor:
        """log2 of the expected magnitudes, (n, C)."""
        channels = self.near.numel()
        plain = magnitude + self.near * inputs[:, :channels] + self.past * inputs[:, channels : 2 * channels]
        answers = []
        for part, hidden, out in zip(self.groups, self.hidden, self.out, strict=True):
            x = hidden(torch.cat([inputs, here[:, : part.start]], 1)).clamp(0, ACTIVATION_MAX / _UNIT)
            answers.append(plain[:, part] + out(x))
        return torch.cat(answers, 1)

    def integers(self) -> dict[str, NDArray[Any]]:
        """Arrays for ``MagnitudeContext``."""
        found = {}
        for name, value in self.state_dict().items():
            array = np.rint(value.double().numpy() * (1 << WEIGHT_BITS) * (_UNIT if name.endswith("bias") else 1))
            largest = np.abs(array).max()
            found[name] = array.astype(np.int8 if largest < 1 << 7 else np.int16 if largest < 1 << 15 else np.int32)
        return found


def learn(network: MagnitudeNetwork, levels: Sequence[Examples], steps: int) -> None:
    """Minimise the code length of two-sided geometric distributions of the expected magnitudes, levels in turn."""
    random = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * (1 - step / steps)
        level = levels[step % len(levels)]
        rows = torch.randint(0, len(level.symbols), (BATCH,), generator=random)
        inputs, here, symbols = (x[rows].float() for x in (level.inputs, level.here, level.symbols))
        bits = _bits(network(inputs / _UNIT, here / _UNIT, level.magnitude), symbols).sum(1).mean()
        optimiser.zero_grad()
        (bits / (bits.detach() + 1)).backward()  # type: ignore[no-untyped-call]  # all levels count alike
        optimiser.step()


def _bits(magnitude: Tensor, symbols: Tensor) -> Tensor:
    """Bits of symbols under a Laplace distribution of deviation from zero 2^magnitude, rounded to integers."""
    scale = torch.exp2(magnitude.clamp(MAGNITUDE_LOW, -MAGNITUDE_LOW))
    far = (symbols.abs() - 0.5).clamp_min(0) / scale
    none = -torch.log((1 - torch.exp(-0.5 / scale)).clamp_min(1e-9))
    some = far - torch.log((1 - torch.exp(-1 / scale)).clamp_min(1e-9)) + math.log(2)
    return torch.where(symbols == 0, none, some) / math.log(2)
