"""How much of a network works: which units behind an activation are ever positive.

    python -m benchmarks.units MODEL [--data DIR] [--tiles 24]

A unit that no place of any picture makes positive is dead: a ReLU passes nothing of it on, nor any gradient back to
what would revive it; a leaky one makes it linear. MODEL is a trainer's checkpoint or a shipped model's folder. Each of
the held-out tiles is coded whole at another quality from 0 to 100. Needs ``glissando[train]``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from glissando.errors import GlissandoError, TrainingError
from glissando.networks.integer import IntegerConv
from glissando.training.checkpoints import load_checkpoint
from glissando.training.data import load_tiles, training_folder
from glissando.training.family import training_of
from glissando.training.recipe import from_dict

__all__ = ["RARE", "active_shares", "main", "markdown"]

RARE = 0.001  # of all places

_ACTIVATIONS = (nn.functional.relu, nn.functional.leaky_relu)


class _Watch(TorchFunctionMode):
    """Passes on what goes into an activation function."""

    def __init__(self, see: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.see = see

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _ACTIVATIONS:
            self.see(args[0])
        return func(*args, **(kwargs or {}))


@contextmanager
def _inside(network: nn.Module) -> Iterator[list[str]]:
    """The names of the modules whose forward is running, the innermost last; "" is the network itself."""
    running: list[str] = []

    def leave(*_: Any) -> None:
        running.pop()

    hooks = []
    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
        hooks.append(module.register_forward_hook(leave))
    try:
        yield running
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def active_shares(network: nn.Module, run: Callable[[], object]) -> dict[str, Tensor]:
    """While ``run`` works, in how many of all places each unit is positive, for each activation by the network's order.

    Their names are those of the modules that they are applied in, numbered where there are several; the values are
    shares in [0, 1], (units,).
    """
    calls: dict[str, list[Tensor]] = {}

    def count(name: str, x: Tensor) -> None:
        calls.setdefault(name, []).append((x > 0).float().mean((0, 2, 3)))

    def clipped(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda module, inputs, output: count(name, output)

    integers = [(n, m) for n, m in network.named_modules() if isinstance(m, IntegerConv) and m.relu]
    hooks = [module.register_forward_hook(clipped(name)) for name, module in integers]
    try:
        with _inside(network) as running, _Watch(lambda x: count(running[-1], x)):
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return {
        f"{name}, {number}" if len(shares) > 1 else name: share
        for name, shares in calls.items()
        for number, share in enumerate(shares, 1)
    }


def markdown(shares: dict[str, Tensor]) -> str:
    """A table of the activations, with the sum in its last row."""
    lines = ["| activation in | units | never positive | in less than 0.1 % of places |", "|---|---:|---:|---:|"]
    everything = torch.cat(list(shares.values()))
    for name, share in [*shares.items(), ("all", everything)]:
        never, rarely = (100 * float(which.float().mean()) for which in (share == 0, share < RARE))
        lines.append(f"| {name} | {len(share)} | {never:.0f} % | {rarely:.0f} % |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, help="folder of the shards (default: $GLISSANDO_DATA/train)")
    parser.add_argument("--tiles", type=int, default=24)
    options = parser.parse_args(arguments)
    try:
        state = load_checkpoint(options.model)
        recipe = from_dict(state["recipe"])
        objective = training_of(recipe.family).objective(recipe)
        network = objective.build(None)
        network.load_state_dict(state["ema"])
        folder = training_folder(options.data)
        tiles = load_tiles(folder).validation[: options.tiles]
        if not len(tiles):
            raise TrainingError(f"{folder} holds out no picture")
    except GlissandoError as error:
        parser.error(str(error))
    network.eval()
    objective.begin(state["progress"]["step"], 1.0)
    picture = tiles.float().div(255)
    quality = torch.linspace(0, 100, len(tiles))
    shares = active_shares(network, lambda: objective.measure(network, picture, quality))
    print(markdown(shares))
    return 0


if __name__ == "__main__":
    sys.exit(main())
