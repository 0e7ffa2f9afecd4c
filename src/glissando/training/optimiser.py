"""Muon for the matrices, AdamW for the rest.

Source: Muon (Jordan et al. 2024): momentum, then the nearest orthogonal matrix by a Newton–Schulz
iteration, so that every direction of a weight matrix learns at the same speed. AdamW needs more than
twice as many steps for the same (docs/training.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, ParamsT

from glissando.networks.layers import LevelTable, Pointwise
from glissando.networks.likelihood import Likelihood

from .distributed import ALONE, Processes
from .recipe import Optimisation
from .whitening import look_due, moments_of, whitener

__all__ = [
    "Group",
    "Muon",
    "ParameterGroups",
    "WhitenedMuon",
    "build_optimisers",
    "learning_factor",
    "level_tables",
    "parameters_within",
    "set_rates",
]

REMEMBERED = 0.9  # weight of the earlier moments when new ones are averaged in


def learning_factor(step: int, progress: float, warmup: int, decay: float) -> float:
    """What learning rates are multiplied by, in [0, 1]: it rises over the first ``warmup`` steps, and falls over the
    last share ``decay`` of the ``progress``, the larger share of pictures or minutes that is used up.
    """
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    fall = min(1.0, (1 - progress) / decay) if decay else 1.0
    return max(0.0, rise * fall)


def set_rates(optimiser: Optimizer, factor: float) -> None:
    """Every group learns at ``factor`` times its peak."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """About the nearest (semi-)orthogonal matrices, (..., m, n): singular values land between 0.7 and 1.2."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = (matrices.mT if tall else matrices).reshape(-1, *sorted(matrices.shape[-2:]))
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).reshape(matrices.shape)


def share_out(work: Sequence[float], workers: int) -> list[int]:
    """Which worker does each piece of work: the largest pieces are given first, each to the worker with the least."""
    loads, owners = [0.0] * workers, [0] * len(work)
    for piece in sorted(range(len(work)), key=lambda i: -work[i]):
        owners[piece] = loads.index(min(loads))
        loads[owners[piece]] += work[piece]
    return owners


class Muon(Optimizer):
    """Orthogonalised Nesterov momentum for weights of shape (out, in, 1, 1).

    ``precision`` is what the iteration computes in: bfloat16 does where the machine is fast at it, since the result
    only has to be roughly orthogonal. Weights and momenta keep theirs. Where ``found_inf``, a scalar on their device,
    is 1, a step changes neither, as in PyTorch's fused optimisers; so nothing has to wait for that scalar. Several
    ``processes``, which hold the same gradients, share the work: each does the iteration for some weights.
    """

    def __init__(self, params: ParamsT, lr: float, momentum: float = 0.95, processes: Processes = ALONE) -> None:
        super().__init__(params, {"lr": lr, "peak": lr, "momentum": momentum})
        self.processes = processes
        self.precision = torch.float32
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        keep = torch.ones(()) if self.found_inf is None else 1 - self.found_inf
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            gradients = self._nesterov_gradients(params, group["momentum"], keep)
            updates = [torch.zeros_like(g) for g in gradients]
            owners = share_out([g.numel() * min(g.shape) for g in gradients], self.processes.size)
            for batch in self._batches(gradients, [i for i, o in enumerate(owners) if o == self.processes.rank]):
                stack = torch.stack([gradients[i] for i in batch]).to(self.precision)
                for i, update in zip(batch, self._orthogonal([params[i] for i in batch], stack), strict=True):
                    updates[i].copy_(update)
            self.processes.total(updates)
            for p, update in zip(params, updates, strict=True):
                rows, columns = update.shape
                p.add_(update.view_as(p) * (-group["lr"] * max(1.0, rows / columns) ** 0.5 * keep))

    def _nesterov_gradients(self, params: list[Tensor], momentum: float, keep: Tensor) -> list[Tensor]:
        """Gradients with Nesterov's momentum, (out, in) each. Updates the momenta."""
        found = []
        for p in params:
            assert p.grad is not None
            gradient = p.grad.flatten(1)
            if self.found_inf is not None:
                gradient = torch.where(keep == 1, gradient, 0.0)
            state = self.state[p]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradient)
            state["momentum"].lerp_(gradient, (1 - momentum) * keep)
            found.append(gradient.lerp(state["momentum"], momentum))
        return found

    def _batches(self, gradients: list[Tensor], own: list[int]) -> list[list[int]]:
        """Which of the ``own`` gradients are orthogonalised together: all of one shape, but each alone in float32 on a
        CPU, where that is 10 % faster.
        """
        if self.precision == torch.float32 and own and gradients[0].device.type == "cpu":
            return [[i] for i in own]
        shapes: dict[torch.Size, list[int]] = {}
        for i in own:
            shapes.setdefault(gradients[i].shape, []).append(i)
        return list(shapes.values())

    def _orthogonal(self, params: list[Tensor], gradients: Tensor) -> Tensor:
        """Updates (N, out, in) of as many weights."""
        return orthogonalise(gradients)


class WhitenedMuon(Muon):
    """Muon in coordinates in which the layers' inputs are whitened by ``power``, in [0, 1]: see whitening.py.

    ``look`` has to be called before each step.
    """

    def __init__(self, layers: Sequence[nn.Conv2d], lr: float, power: float, processes: Processes = ALONE) -> None:
        super().__init__([layer.weight for layer in layers], lr, processes=processes)
        self.layers, self.power = list(layers), power
        self._whiteners: dict[Tensor, Tensor] = {}  # for this process's share of the weights; computed after each look

    def look(self, run: Callable[[], object], step: int) -> None:
        """Where it is due at this step, measure what the layers read while ``run`` works on the step's pictures."""
        if not look_due(step) and "moments" in self.state[self.layers[0].weight]:
            return
        seen = moments_of(self.layers, run)
        self.processes.average(seen)
        for layer, moments in zip(self.layers, seen, strict=True):
            if moments.isfinite().all():  # otherwise the step will be skipped
                state = self.state[layer.weight]
                state["moments"] = moments.lerp(state.get("moments", moments), REMEMBERED)
        self._whiteners.clear()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._whiteners.clear()

    def _orthogonal(self, params: list[Tensor], gradients: Tensor) -> Tensor:
        white = torch.stack([self._whitener(p) for p in params]).to(gradients.dtype)
        return orthogonalise(gradients @ white) @ white

    def _whitener(self, weight: Tensor) -> Tensor:
        if weight not in self._whiteners:
            seen = self.state[weight].get("moments", torch.eye(weight.shape[1], device=weight.device))
            self._whiteners[weight] = whitener(seen, self.power)
        return self._whiteners[weight]


Group = tuple[list[nn.Parameter], float]
"""Parameters, and AdamW's peak learning rate for them."""
ParameterGroups = Callable[[nn.Module, Any], list[Group]]
"""From a network and the recipe's ``optimiser`` table: the parameters that learn at rates of their own."""


def parameters_within(network: nn.Module, *kinds: type[nn.Module]) -> list[nn.Parameter]:
    """The parameters of all modules of these kinds, wherever in the network they are."""
    return [p for module in network.modules() if isinstance(module, kinds) for p in module.parameters()]


def level_tables(network: nn.Module, settings: Optimisation) -> list[Group]:
    """Level tables and the likelihood's shape: few parameters, in octaves, which may have to change by much."""
    return [(parameters_within(network, LevelTable, Likelihood), settings.table_lr)]


def build_optimisers(
    network: nn.Module,
    settings: Optimisation,
    processes: Processes = ALONE,
    *,
    parameter_groups: ParameterGroups = level_tables,
) -> list[Optimizer]:
    """AdamW alone, or beside Muon for the pointwise layers; each group has its peak learning rate as "peak".

    ``parameter_groups`` of the network's family: parameters with learning rates of their own, which Muon never takes.
    """
    own = parameter_groups(network, settings)
    apart = {id(p) for params, _ in own for p in params}
    muon = settings.kind == "muon"
    pointwise = [m for m in network.modules() if isinstance(m, Pointwise)] if muon else []
    layers = [m for m in pointwise if id(m.weight) not in apart]
    apart |= {id(m.weight) for m in layers}
    rest = [p for p in network.parameters() if id(p) not in apart]
    groups = [{"params": params, "peak": peak} for params, peak in [(rest, settings.lr), *own]]
    optimisers: list[Optimizer] = [
        torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    ]
    if layers and settings.whiten:
        optimisers.append(WhitenedMuon(layers, settings.matrix_lr, settings.whiten, processes))
    elif layers:
        optimisers.append(Muon([layer.weight for layer in layers], settings.matrix_lr, processes=processes))
    return optimisers
