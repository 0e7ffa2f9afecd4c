"""One training in several processes, as torchrun starts them: each works on its pictures of every batch.

All draw the same random numbers and hold the same weights. Gradients are averaged, so that the optimisers' steps,
which are the same arithmetic everywhere, keep the weights the same. The first process makes all decisions that
depend on a clock.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from glissando.errors import RecipeError, TrainingError

__all__ = ["ALONE", "Processes", "join", "started"]

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others, and so how long the first one may take to validate."""


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is. ``local``: its number on this machine, which is its GPU's as well."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process measures, logs and saves."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """This process's pictures of a batch: every ``size``-th one, so that each process sees all qualities.

        Raises RecipeError where the batch cannot be split evenly.
        """
        if batch % self.size:
            raise RecipeError(f"data.batch = {batch} is all processes' together: it cannot be split over {self.size}")
        return slice(self.rank, None, self.size)

    def total(self, tensors: Sequence[Tensor]) -> None:
        """Replace ``tensors``, of one dtype and device, by their sums over all processes: one exchange of them all."""
        if self.size > 1:
            flat = torch.cat([t.reshape(-1) for t in tensors])
            dist.all_reduce(flat)
            _unpack(flat, tensors)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace ``tensors``, of one dtype and device, by their means over all processes: one exchange of them all."""
        if self.size > 1:
            self.total(tensors)
            torch._foreach_div_(list(tensors), self.size)

    @torch.no_grad()
    def share_weights(self, *networks: nn.Module) -> None:
        """Give all processes the first one's weights, to the last bit."""
        if self.size > 1:
            tensors = [p.detach() for network in networks for p in network.parameters()]
            flat = torch.cat([t.reshape(-1) for t in tensors])
            dist.broadcast(flat, 0)
            _unpack(flat, tensors)

    def agree(self, value: float) -> float:
        """The first process's ``value``. It is exchanged on the CPU, so that nothing waits for a GPU."""
        if self.size == 1:
            return value
        number = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(number, 0)
        return float(number)

    def seed_noise(self, seed: int, step: int) -> None:
        """Seed each process's own noise. The first process has the noise of a training in one process."""
        if not self.first:
            torch.manual_seed(int(np.random.SeedSequence([seed, self.rank, step]).generate_state(1)[0]))


ALONE = Processes()


def _unpack(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    parts = torch.split(flat, [t.numel() for t in tensors])
    torch._foreach_copy_(list(tensors), [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)])


def started() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextlib.contextmanager
def join() -> Iterator[Processes]:
    """Connect to the other processes of torchrun; without torchrun this process is alone. Raises TrainingError.

    A process that fails tells the others nothing: their next exchange fails, or ends after ``TIMEOUT``.
    """
    if started() == 1:
        yield ALONE
        return
    try:
        processes = Processes(int(os.environ["RANK"]), started(), int(os.environ["LOCAL_RANK"]))
    except (KeyError, ValueError) as error:
        raise TrainingError(f"WORLD_SIZE is {started()}, but not set by torchrun: {error}") from None
    backend = "gloo"
    if torch.cuda.is_available():
        if processes.local >= torch.cuda.device_count():
            raise TrainingError(f"process {processes.local} has no GPU: there are {torch.cuda.device_count()}")
        torch.cuda.set_device(processes.local)
        backend = "cpu:gloo,cuda:nccl"
    # This module has functions whose default argument is the present group. Imported later, by the first optimiser, it
    # would keep the group's threads alive beyond its end, and a late thread aborts the interpreter as it closes.
    importlib.import_module("torch._dynamo")
    try:
        dist.init_process_group(backend, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"the {processes.size} processes do not find each other: {error}") from error
    yield processes
    dist.all_reduce(torch.zeros(1))  # waits, as the first process may still be measuring and saving
    dist.destroy_process_group()
