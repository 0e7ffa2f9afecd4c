"""Whitening of what pointwise layers read, so that a step of Muon changes their outputs as much along every direction.

Muon moves a matrix by the same amount in all directions, so that what a step does to a layer's outputs grows with the
deviation of its inputs along each. These lie hundreds of times apart: most of a step's effect, and of its noise, is in
means and in brightness, where a codec has to be exact to a thousandth, while small details learn slowly.
With C = E[xxᵀ] of a layer's inputs and P = C^(−p/2), an update that is orthogonal in coordinates where the inputs are
nearer to white is orth(G·P)·P. p = 1 whitens them: the inputs' factor of K-FAC (Martens and Grosse 2015, arXiv
1503.05671, section 3) about Muon; p = 0 is Muon. What it is worth: docs/training.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["look_due", "moments_of", "whitener"]

DAMPING = 0.01  # of the mean variance, is added to that of every direction
MOST_FEATURES = 4096  # at most so many of a batch's feature vectors count for the moments
RAREST = 32  # steps between two looks, at most


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

    Scaled so that trace(P·C·P) = trace(C): an orthogonal update that is taken through P changes a layer's outputs by
    as much as without, where its directions weigh the same.
    """
    variances, directions = torch.linalg.eigh(moments)
    variances = variances.clamp_min(0)
    factors = (variances / variances.mean().clamp_min(1e-30) + DAMPING) ** (-power / 2)
    whitened = (factors.square() * variances).sum()
    if whitened > 0:
        factors = factors * (variances.sum() / whitened).sqrt()
    white: Tensor = (directions * factors) @ directions.T
    return white
