"""Which channels go, so that a network costs no more than a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from glissando.errors import TrainingError

__all__ = ["choose_kept", "marginal_costs"]

Cost = Callable[[Mapping[str, float]], float]
"""Of a network whose groups have these widths."""


def marginal_costs(cost: Cost, widths: Mapping[str, float], groups: list[str]) -> dict[str, float]:
    """What one more channel of each group costs."""
    whole = cost(widths)
    return {name: whole - cost({**widths, name: widths[name] - 1}) for name in groups}


def choose_kept(
    worth: Mapping[str, Tensor], cost: Cost, budget: float, fixed: Mapping[str, int], multiple: int
) -> dict[str, Tensor]:
    """For each group in ``worth`` the channels (width,) bool that remain, so that ``cost`` is at most ``budget``.

    Channels go in bunches of ``multiple``, those of least ``worth`` (width,) in their group; of all groups' next
    bunches that one which is worth least for what it saves. A group's width is then a multiple, as engines like it, and
    never less than one. ``fixed``: the widths of all other groups. Raises TrainingError where the budget is below what
    the narrowest network costs.
    """
    order = {name: values.argsort() for name, values in worth.items()}
    sorted_worth = {name: values[order[name]].cumsum(0) for name, values in worth.items()}
    gone = dict.fromkeys(worth, 0)

    def widths(name: str = "", more: int = 0) -> dict[str, float]:
        left = {key: float(len(worth[key]) - gone[key] - (more if key == name else 0)) for key in worth}
        return {**fixed, **left}

    def bunch(name: str) -> int:
        """How many channels of this group would go next; 0 where it is as narrow as may be."""
        left = len(worth[name]) - gone[name]
        size = left % multiple or multiple
        return size if left - size >= multiple else 0

    while (now := cost(widths())) > budget:
        best, least = "", 0.0
        for name in worth:
            if not (size := bunch(name)):
                continue
            before = sorted_worth[name][gone[name] - 1] if gone[name] else torch.zeros(())
            lost = float(sorted_worth[name][gone[name] + size - 1] - before)
            saved = now - cost(widths(name, size))
            if saved > 0 and (not best or lost / saved < least):
                best, least = name, lost / saved
        if not best:
            raise TrainingError(
                f"a budget of {budget:g} kMAC per pixel cannot be met: the narrowest network needs {now:.3f}"
            )
        gone[best] += bunch(best)
    kept = {}
    for name, values in worth.items():
        kept[name] = torch.ones(len(values), dtype=torch.bool)
        kept[name][order[name][: gone[name]]] = False
    return kept
