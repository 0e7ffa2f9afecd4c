"""Mask decay: a network under training loses channels until it meets a budget.

Source: EVC (arXiv 2302.05071), whose training code and sparsity loss were never published; what is missing there is
designed here (docs/mask-decay.md). A decay has three parts:

1. **Looks.** Masks are 1. What each channel is worth is measured: the mean square of the loss's slope by its mask,
   which to first order tells how much the loss moves when the channel goes.
2. **Drive.** Masks sink until the network costs what the budget allows, on a straight line over the steps. With "ramp"
   the channels to go are chosen when the drive begins, by worth over cost, and their masks fall together. With a
   sparsity loss all masks learn, by the slope of the training's loss, and are pulled towards zero as the sparsity loss
   shares out the pull (``sparsity``); the pull is as strong as it has to be for the costs to stay on the line.
3. **Cut.** Masks are folded into the weights, the channels of the smallest masks are cut off, and the small network
   goes on learning as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glissando.networks.channels import Group
from glissando.networks.masks import MaskedNetwork

from .sparsity import LOSSES, weights
from .widths import choose_kept, marginal_costs

__all__ = ["RAMP", "Budget", "Decay", "DecayingNetwork"]

RAMP = "ramp"
BINS = 10  # of the histograms of masks
HALVINGS = 20  # of the interval that the strength of a pull is searched in
STRONGEST = 1e4  # no pull is stronger: by far enough for every mask that is pulled at all


@dataclass(frozen=True)
class Decay:
    """How a network loses channels. Costs are thousands of multiply-adds per pixel."""

    decode: float = 0.0  # the most that the decode path may cost; 0: the decoder keeps its channels
    encode: float = 0.0  # the most that the encode path may cost, entropy model included; 0: the encoder keeps its own
    loss: str = "designed"  # or "l1", "l2", "ramp"; see sparsity.py and decay.py
    looks: int = 100  # steps in which the worth of channels is measured, before any mask moves
    steps: int = 2000  # steps in which masks sink; 0: channels are cut after the looks, where the others inherit all
    multiple: int = 16  # widths become multiples of it, and no less

    @property
    def wanted(self) -> bool:
        return self.decode > 0 or self.encode > 0

    def checks(self) -> dict[str, bool]:
        """Whether each rule holds, by the error message for where it does not."""
        names = (*LOSSES, RAMP)
        return {
            f"decay.loss must be one of {', '.join(names)}": self.loss in names,
            "decay.looks and multiple must be positive": min(self.looks, self.multiple) > 0,
        }


@dataclass(frozen=True)
class Budget:
    """What some groups may cost: ``cost`` takes the widths of all groups of the network by their names."""

    name: str
    groups: tuple[str, ...]
    cost: Callable[[Mapping[str, float]], float]
    most: float


class DecayingNetwork(MaskedNetwork):
    """A network that loses channels of ``groups`` while it learns: ``sink`` is called after each step of training.

    ``budgets`` share out the groups. The first is met first; what a later one costs may depend on groups of an earlier.
    """

    _steps: Tensor

    def __init__(self, network: nn.Module, groups: Sequence[Group], decay: Decay, budgets: Sequence[Budget]) -> None:
        super().__init__(network, groups)
        self.decay, self.budgets = decay, tuple(budgets)
        self.register_buffer("_steps", torch.zeros((), dtype=torch.long))
        self._ramp: dict[str, Tensor] = {}  # which channels remain, once the drive of a ramp has begun
        self._weights: dict[str, dict[str, Tensor]] = {}  # of each budget's masks, once the drive has begun
        self._worth: dict[str, str] = {}
        for number, group in enumerate(groups):
            self._worth[group.name] = f"_worth_{number}"
            self.register_buffer(f"_worth_{number}", torch.zeros(group.width))

    @property
    def done(self) -> bool:
        """Whether it is time to cut."""
        return int(self._steps) >= self.decay.looks + self.decay.steps

    def worth(self) -> dict[str, Tensor]:
        """Of each group's channels: the mean square of the loss's slope by their masks."""
        return {name: getattr(self, buffer) for name, buffer in self._worth.items()}

    @torch.no_grad()
    def sink(self) -> None:
        """Measure, or move the masks; after a step of the optimisers, when the gradients are still there."""
        self._steps += 1
        looks = self.decay.looks
        moved = int(self._steps) - looks
        if moved <= 0:
            for name, mask in self.masks.items():
                if mask.grad is not None:  # a slope that is not finite says nothing: its step is skipped as well
                    self.worth()[name].add_((mask.grad.square() / looks).nan_to_num(0, 0, 0))
                mask.fill_(1)
            return
        share = min(1.0, moved / self.decay.steps) if self.decay.steps else 1.0
        driven = {name for budget in self.budgets for name in budget.groups}
        for name, mask in self.masks.items():
            if name in driven and self.decay.loss != RAMP:
                mask.clamp_(0, 1)
            else:
                mask.fill_(1)
        if self.decay.loss == RAMP:
            self._ramp = self._ramp or self._chosen(self.worth())
            for name, kept in self._ramp.items():
                self.masks[name].copy_(torch.where(kept.to(self.masks[name].device), 1.0, 1.0 - share))
            return
        for budget in self.budgets:
            self._pull(budget, share)

    def _pull(self, budget: Budget, share: float) -> None:
        """Lower the masks of a budget's groups until they cost what they may when this share of the drive is done."""
        start = budget.cost({group.name: float(group.width) for group in self.groups})
        target = start + (budget.most - start) * share
        masks = {name: mask.detach().cpu() for name, mask in self.masks.items()}
        slopes = self._slopes(budget, masks)
        widths = {name: float(mask.sum()) for name, mask in masks.items()}  # a mask of a half is half a channel

        def lowered(strength: float) -> dict[str, Tensor]:
            return {name: (masks[name] - strength * slope).clamp_min(0) for name, slope in slopes.items()}

        def cost(strength: float) -> float:
            return budget.cost({**widths, **{name: float(mask.sum()) for name, mask in lowered(strength).items()}})

        if cost(0.0) <= target:
            return
        low, high = 0.0, 1e-4
        while cost(high) > target and high < STRONGEST:
            low, high = high, 2 * high
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if cost(middle) > target else (low, middle)
        for name, mask in lowered(high).items():
            self.masks[name].copy_(mask)

    def _slopes(self, budget: Budget, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """How the sparsity loss shares out the pull. What a group keeps at least, its best channels, is not pulled."""
        loss = LOSSES[self.decay.loss]
        if budget.name not in self._weights:
            self._weights[budget.name] = self._weigh(budget)
        found = {}
        for name, weight in self._weights[budget.name].items():
            slope = loss.slope(masks[name], weight).clone()
            best = (masks[name] - 1e-3 * weight / weight.max()).argsort(descending=True)
            slope[best[: self.decay.multiple]] = 0
            found[name] = slope
        return found

    def _weigh(self, budget: Budget) -> dict[str, Tensor]:
        """The weights of the designed loss."""
        full = {group.name: float(group.width) for group in self.groups}
        marginal = marginal_costs(budget.cost, full, list(budget.groups))
        worth = [self.worth()[name].cpu() for name in budget.groups]
        costs = [torch.full_like(each, marginal[name]) for name, each in zip(budget.groups, worth, strict=True)]
        each = torch.split(weights(torch.cat(costs), torch.cat(worth)), [len(w) for w in worth])
        return dict(zip(budget.groups, each, strict=True))

    def _chosen(self, worth: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Which channels of the budgets' groups remain, where those of least worth go."""
        widths = {group.name: group.width for group in self.groups}
        kept: dict[str, Tensor] = {}
        for budget in self.budgets:
            own = {name: worth[name].cpu() for name in budget.groups}
            fixed = {name: width for name, width in widths.items() if name not in own}
            chosen = choose_kept(own, budget.cost, budget.most, fixed, self.decay.multiple)
            kept |= chosen
            widths |= {name: int(mask.sum()) for name, mask in chosen.items()}
        return kept

    def kept(self) -> dict[str, Tensor]:
        """Of each group: which channels remain after the cut, (width,) bool."""
        by_worth = self.decay.loss == RAMP or not self.decay.steps
        chosen = self._chosen(self.worth() if by_worth else {n: mask.detach() for n, mask in self.masks.items()})
        untouched = {group.name: torch.ones(group.width, dtype=torch.bool) for group in self.groups}
        return {**untouched, **chosen}

    def histograms(self) -> dict[str, float]:
        """Shares of each budget's masks in tenths of [0, 1], as "masks/BUDGET@LOWER EDGE"."""
        found: dict[str, float] = {}
        for budget in self.budgets:
            values = torch.cat([self.masks[name].detach() for name in budget.groups]).float().cpu()
            counts = torch.histc(values, bins=BINS, min=0, max=1) / len(values)
            found |= {f"masks/{budget.name}@{i / BINS:.1f}": float(share) for i, share in enumerate(counts)}
        return found
