"""What a training runs on, and how much arithmetic it does there."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from glissando.machine import Machine

from .family import Objective

__all__ = ["choose_device", "describe_device", "operations_per_picture"]

# The extensions that decide how fast a processor trains, by the names that it gives them; the best one is reported.
_VECTORS = ("AMX bf16", "AVX-512 bf16", "AVX-512", "AVX2", "NEON")


def choose_device(number: int = 0) -> torch.device:
    """The CUDA GPU of this number, set up for fast products, or the processor where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda", number)


def describe_device(device: torch.device, processes: int = 1) -> str:
    """For a model's card: "1 x NVIDIA H200", or "AMD EPYC (AVX-512 bf16), 1 thread"."""
    if device.type == "cuda":
        return f"{processes} x {torch.cuda.get_device_name(device)}"
    machine = Machine.this()
    best = next((name for name in _VECTORS if name in machine.extensions), "")
    threads = processes * torch.get_num_threads()
    return f"{machine.processor}{f' ({best})' * bool(best)}, {threads} thread{'s' * (threads > 1)}"


@torch.no_grad()
def operations_per_picture(objective: Objective, network: nn.Module, crop: int) -> float:
    """Floating-point operations (two for a multiply-add) of convolutions and matrix products in one crop's loss.

    They are counted in a forward pass, which draws nothing from the training's random numbers, and multiplied by three,
    since the backward pass needs each product twice, for inputs and for weights. Optimisers are left out.
    """
    device = next(network.parameters()).device
    picture, quality = torch.full((1, 3, crop, crop), 0.5, device=device), torch.full((1,), 50.0, device=device)
    states = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=states), FlopCounterMode(display=False) as counter:
        objective.loss(network, picture, quality)
    return 3.0 * float(counter.get_total_flops())
