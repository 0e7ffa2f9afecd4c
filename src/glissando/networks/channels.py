"""Groups of channels: which rows and columns of a network's weights belong together, to cut them off or to add some.

A channel that several layers write and several others read is one row of each writer and one column of each reader.
Along a residual stream these are many: the layer in front, the last layer of every branch, and the first of every
branch. A ``Group`` names them all, so that a channel is cut everywhere or nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["FOLLOWS", "READS", "WRITES", "Group", "Kept", "Place", "cut", "first_channels", "grown", "scaled"]

WRITES, READS, FOLLOWS = "writes", "reads", "follows"
"""What a place does with its channels.

A mask multiplies the values of a place that writes; the weights of one that reads meet what others have written. One
that follows is cut together with them, and no mask multiplies it, as another place behind it is multiplied already: the
layer in front of a depthwise layer, for example.
"""


@dataclass(frozen=True)
class Place:
    """Where the channels of a group lie along one axis of one parameter.

    Channel c has the ``copies`` indices from ``offset`` + ``copies``·c on. Where a layer stands in front of a pixel
    shuffle, or behind an unshuffle, these are four.
    """

    parameter: str
    axis: int
    role: str
    copies: int = 1
    offset: int = 0

    def spread(self, values: Tensor, length: int, elsewhere: float) -> Tensor:
        """Values of each channel (width,) → of each index of the axis (length,); ``elsewhere`` where others lie."""
        out = torch.full((length,), elsewhere, dtype=values.dtype, device=values.device)
        repeated = values.repeat_interleave(self.copies)
        return torch.cat([out[: self.offset], repeated, out[self.offset + len(repeated) :]])


@dataclass(frozen=True)
class Group:
    """Channels of one kind, ``width`` of them, each of which is at all the ``places``."""

    name: str
    width: int
    places: tuple[Place, ...]


Kept = Mapping[str, Tensor]
"""Of each group by its name: which channels remain, (width,) bool."""


def first_channels(groups: Sequence[Group], widths: Mapping[str, int]) -> dict[str, Tensor]:
    """The first channels of each group, as many as ``widths`` says by the group's name."""
    return {group.name: torch.arange(group.width) < widths[group.name] for group in groups}


def _axes(groups: Sequence[Group]) -> Iterator[tuple[Group, Place]]:
    for group in groups:
        for place in group.places:
            yield group, place


def _indices(groups: Sequence[Group], shapes: Mapping[str, Sequence[int]], kept: Kept) -> dict[str, list[Tensor]]:
    """For each parameter and each of its axes: the indices that remain."""
    masks = {name: [torch.ones(size, dtype=torch.bool) for size in shape] for name, shape in shapes.items()}
    for group, place in _axes(groups):
        mask = masks[place.parameter][place.axis]
        mask &= place.spread(kept[group.name].float().cpu(), len(mask), 1.0) > 0
    return {name: [mask.nonzero()[:, 0] for mask in axes] for name, axes in masks.items()}


def cut(weights: Mapping[str, Tensor], groups: Sequence[Group], kept: Kept) -> dict[str, Tensor]:
    """The weights of the network that has only the channels that are ``kept``."""
    indices = _indices(groups, {name: value.shape for name, value in weights.items()}, kept)
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        for axis, index in enumerate(indices[name]):
            value = value.index_select(axis, index.to(value.device))
        found[name] = value.detach().clone()
    return found


def scaled(weights: Mapping[str, Tensor], groups: Sequence[Group], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every parameter that a group writes, multiplied by the group's mask (width,): the masks folded into the weights.

    All that reads them sees the same numbers as if a mask stood behind each of these layers, since activations and
    shuffles in between are positively homogeneous: f(m·x) = m·f(x) for m ≥ 0.
    """
    found: dict[str, Tensor] = {}
    for group, place in _axes(groups):
        if place.role == WRITES:
            value = found.get(place.parameter, weights[place.parameter])
            factor = place.spread(masks[group.name], value.shape[place.axis], 1.0)
            found[place.parameter] = value * factor.view([-1 if a == place.axis else 1 for a in range(value.ndim)])
    return found


def grown(
    weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor], groups: Sequence[Group], kept: Kept
) -> dict[str, Tensor]:
    """The weights of a small network inside those of a large, ``fresh`` one, which then computes the same.

    ``groups`` are the large network's; ``kept`` are those of its channels that the small one has. Old units do not read
    new channels: their columns there are zero. New units read everything, with the random weights of the fresh
    network, brought to the size of the old ones' rows; so their outputs, which are not zero, give the zero columns that
    read them a gradient from the first step on. Parameters that ``weights`` lacks, those of new blocks, are ``fresh``.
    Raises ValueError where they differ in more than these channels.
    """
    known = {name: value for name, value in fresh.items() if name in weights}
    indices = _indices(groups, {name: value.shape for name, value in fresh.items()}, kept)
    read = {place.parameter for _, place in _axes(groups) if place.role == READS}
    found = {name: value.detach().clone() for name, value in fresh.items()}
    for name, value in known.items():
        old = weights[name].to(value)
        new, places = found[name], indices[name]
        if new.ndim == 0:
            found[name] = old
            continue
        if new.ndim == 4:
            rows = torch.ones(len(new), dtype=torch.bool)
            rows[places[0]] = False
            size = new[rows].square().mean().sqrt() if rows.any() else new.new_zeros(())
            if size > 0:
                new[rows] *= old.square().mean().sqrt() / size
        if name in read:
            new[places[0]] = 0
        inside = torch.meshgrid(*places, indexing="ij")
        if new[inside].shape != old.shape:
            raise ValueError(f"{name} is {tuple(old.shape)}, and its place {tuple(new[inside].shape)}")
        new[inside] = old
    return found
