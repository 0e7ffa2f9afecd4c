"""Whitening of what pointwise layers read, so that a step of Muon changes their outputs as much along every direction.

Muon moves a matrix by the same amount in all directions, so that what a step does to a layer's outputs grows with the
deviation of its inputs along each. These lie hundreds of times apart: most of a step's effect, and of its noise, is in
means and in brightness, where a codec has to be exact to a thousandth, while small details learn slowly.
With C = E[xxᵀ] of a layer's inputs and P = C^(−p/2), an update that is orthogonal in coordinates in which the inputs
are nearer to white is orth(G·P)·P. p = 1 whitens them: the inputs' factor of K-FAC (Martens and Grosse 2015, arXiv
1503.05671, section 3) around Muon; p = 0 is Muon. docs/training.md tells what it is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["look_due", "moments_of", "whitener"]

DAMPING = 0.01  # share of the mean variance that is added to the variance of every direction
MOST_FEATURES = 4096  # the most feature vectors of a batch that moments are computed from
RAREST = 32  # the most steps between two looks


def look_due(step: int) -> bool:
    """Whether to look at what layers read: at each of the first steps, then ever more rarely."""
    return step % min(RAREST, max(1, (1 << step.bit_length()) // 8)) == 0


@torch.no_grad()
def moments_of(layers: Sequence[nn.Conv2d], run: Callable[[], object]) -> list[Tensor]:
    """Second moments (inputs, inputs) of what each of the layers reads while ``run`` works, uncompiled; float32."""
    read: dict[nn.Module, Tensor] = {}

    def see(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].float().permute(0, 2, 3, 1).flatten(0, 2)
        x = x[:: -(-len(x) // MOST_FEATURES)]
        with torch.autocast(x.device.type, enabled=False):
            read[layer] = x.T @ x / len(x)

    hooks = [layer.register_forward_pre_hook(see) for layer in layers]
    try:
        with torch.compiler.set_stance("force_eager"):
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return [read[layer] for layer in layers]


def whitener(moments: Tensor, power: float) -> Tensor:
    """P = C^(−power/2), damped, (n, n), for second moments C (n, n).

    Scaled so that trace(P·C·P) = trace(C): an orthogonal update that is multiplied by P changes a layer's
    outputs by as much as one without P, if all its directions count the same.
    """
    variances, directions = torch.linalg.eigh(moments)
    variances = variances.clamp_min(0)
    factors = (variances / variances.mean().clamp_min(1e-30) + DAMPING) ** (-power / 2)
    whitened = (factors.square() * variances).sum()
    if whitened > 0:
        factors = factors * (variances.sum() / whitened).sqrt()
    white: Tensor = (directions * factors) @ directions.T
    return white
