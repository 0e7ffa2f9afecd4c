"""The integer context model of the content-weighted family: the odds of each kept bit, from bits known before it.

A position of the latent grid has L levels of g bits, of which the level map keeps the first k. Levels are coded
one after the other, each in two passes over a checkerboard; the model sees all earlier levels at the position, the last
R of them and the map around it, and in the second pass the first one's bits around it. ``docs/format.md`` specifies the
arithmetic. As in ``glissando.families.gains.scales``, integers are multiplied in float32, which is proven to be exact.

The source codes bit by bit with a window of 5×5×4 (Li et al., CVPR 2018, section 3.4: 212 s for a picture); here a
pass is one call of the coder, and only positions that keep the level are computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.entropy.checkerboard import even_squares, joined, split
from glissando.entropy.dense import EXACT, Float, largest_sums, product
from glissando.entropy.fixed_point import ACTIVATION_BITS, ACTIVATION_MAX, WEIGHT_BITS
from glissando.errors import ModelMismatchError

__all__ = ["LAYERS", "ODDS_TABLES", "BitContext", "Turn"]

LAYERS = ("past", "near", "map", "current", "out_first", "out_second")
ODDS_STEPS = 4  # tables per octave of the odds
ODDS_MOST = 48  # quarter octaves: odds from 2^−12 to 2^12
ODDS_TABLES = 2 * ODDS_MOST + 1
NEAR, CURRENT = 3, 5  # sides of the neighbourhoods

_HIDDEN_SHIFT = WEIGHT_BITS - ACTIVATION_BITS  # bits and levels are plain integers, not 1/32ths
_ODDS_SHIFT = ACTIVATION_BITS - ODDS_STEPS.bit_length() + 1  # 1/32 octave → tables

Bits = NDArray[np.int16]
Index = NDArray[np.int16]
Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Turn:
    """What one pass codes: bits[level, half, rows], with table ``index`` (len(rows), g/2)."""

    level: int
    half: int  # 0: the first pass, 1: the second
    rows: Positions  # positions that keep the level, ascending
    index: Index


class BitContext:
    """The context model of a model's bits; shared by all pictures.

    ``arrays`` maps "past.weight" (L·H, n), "near.weight" (L·H, R·g, 3, 3), "map.weight" (L·H, 1, 3, 3),
    "current.weight" (L·H, g, 5, 5), "bias" (L·H,), and for "out_first" and "out_second" "….weight" (n, H) and
    "….bias" (n,) to integers. Raises ModelMismatchError where one is missing, shapes do not agree, or a bound is not
    proven.
    """

    bits: int
    levels: int
    group: int
    hidden: int
    reach: int
    """n, L, g = n/L, H, R."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        try:
            weights = {name: np.asarray(arrays[f"{name}.weight"]) for name in LAYERS}
            biases = {name: np.asarray(arrays[name]) for name in ("bias", "out_first.bias", "out_second.bias")}
        except KeyError as missing:
            raise ModelMismatchError(f"the context model of bits has no {missing}") from None
        self._measure(weights, biases)
        self.check_bounds(weights, biases)
        self._first = [self._inputs_matrix(weights, biases["bias"], level) for level in range(self.levels)]
        self._second = [self._current_matrix(weights["current"], level) for level in range(self.levels)]
        self._out = [
            [_out_matrix(weights[name], biases[f"{name}.bias"], self._of(level, self.group)) for name in LAYERS[-2:]]
            for level in range(self.levels)
        ]

    def _measure(self, weights: Mapping[str, NDArray[Any]], biases: Mapping[str, NDArray[Any]]) -> None:
        """Take the sizes from the shapes, and check that all of them agree."""
        for name, array in (*weights.items(), *biases.items()):
            if array.dtype.kind not in "iu":
                raise ModelMismatchError(f"the context model's {name} must be integers, not {array.dtype}")
        try:
            self.bits, self.hidden = weights["out_first"].shape
            self.levels = len(biases["bias"]) // self.hidden
            self.group = self.bits // self.levels
            self.reach = weights["near"].shape[1] // self.group
        except (ValueError, TypeError, IndexError, ZeroDivisionError):
            raise ModelMismatchError(
                "the context model's arrays do not agree: "
                + ", ".join(f"{name} {array.shape}" for name, array in weights.items())
            ) from None
        rows, n = self.levels * self.hidden, self.bits
        expected = {
            "past": (rows, n),
            "near": (rows, self.reach * self.group, NEAR, NEAR),
            "map": (rows, 1, NEAR, NEAR),
            "current": (rows, self.group, CURRENT, CURRENT),
            "bias": (rows,),
            **dict.fromkeys(("out_first", "out_second"), (n, self.hidden)),
            **dict.fromkeys(("out_first.bias", "out_second.bias"), (n,)),
        }
        for name, array in (*weights.items(), *biases.items()):
            if array.shape != expected[name]:
                raise ModelMismatchError(f"the context model's {name} is {array.shape}, expected {expected[name]}")
        if self.group * self.levels != n or self.group % 2 or self.reach < 1:
            raise ModelMismatchError(
                f"the context model has {n} bits in {self.levels} levels and reaches back {self.reach}: a level must "
                "have an even number of bits, and the reach must be at least 1"
            )
        level_of = np.arange(n) // self.group
        late = level_of[None] >= np.arange(self.levels).repeat(self.hidden)[:, None]
        if weights["past"][late].any():
            raise ModelMismatchError("the context model's past reads bits that are not of an earlier level")

    def check_bounds(self, weights: Mapping[str, NDArray[Any]], biases: Mapping[str, NDArray[Any]]) -> dict[str, int]:
        """Largest possible |partial sum| of hidden and output units. Raises ModelMismatchError at 2^24."""
        hidden = np.abs(biases["bias"].astype(np.int64)) + (1 << (_HIDDEN_SHIFT - 1))
        for name, largest in (("past", 1), ("near", 1), ("map", self.levels), ("current", 1)):
            hidden += largest_sums(weights[name], largest, signed=1 if name == "map" else 0)
        bounds = {"hidden": int(hidden.max())}
        for name in ("out_first", "out_second"):
            sums = largest_sums(weights[name], ACTIVATION_MAX, signed=self.hidden)
            # The halves for rounding are added last. Where they could lead beyond 2^24, the odds are clipped anyway.
            bounds[name] = int((sums + np.abs(biases[f"{name}.bias"].astype(np.int64))).max())
        for name, bound in bounds.items():
            if bound >= EXACT:
                raise ModelMismatchError(f"context model, {name}: sums may reach {bound}, exact only below {EXACT}")
        return bounds

    @staticmethod
    def _of(level: int, size: int) -> slice:
        return slice(level * size, (level + 1) * size)

    @property
    def _fixed(self) -> int:
        """The number of inputs before those of ``past``: R neighbourhoods of bits, that of the map, a constant one."""
        return NEAR * NEAR * (self.reach * self.group + 1) + 1

    def _inputs_matrix(self, weights: Mapping[str, NDArray[Any]], bias: NDArray[Any], level: int) -> Float:
        """Weights of a level's hidden units, (inputs, H), in the order of ``_Tile.inputs``."""
        rows, past = self._of(level, self.hidden), level * self.group
        near = weights["near"][rows].reshape(self.hidden, self.reach, self.group, -1).transpose(1, 3, 2, 0)
        # Level l − R + j lies in slot (l + j) mod R, and stays there while later levels still see it.
        slots = np.empty(near.shape, np.float32)
        for j in range(self.reach):
            slots[(level + j) % self.reach] = near[j]
        parts = (
            slots.reshape(-1, self.hidden),
            weights["map"][rows].reshape(self.hidden, -1).T,
            # With half a unit added, so that the shift that follows rounds to nearest.
            bias[None, rows].astype(np.int64) + (1 << (_HIDDEN_SHIFT - 1)),
            weights["past"][rows, :past].T,
        )
        return np.concatenate([part.astype(np.float32) for part in parts])

    def _current_matrix(self, weight: NDArray[Any], level: int) -> Float:
        """Weights on the first pass's bits, (25·g/2, 2·H): the units on even squares, then the same on odd ones.

        Each neighbour has only one half of its bits in the first pass, and which one depends on both squares.
        """
        taps = weight[self._of(level, self.hidden)].reshape(self.hidden, self.group, -1).transpose(2, 0, 1)
        both = np.concatenate(split(taps, even_squares(CURRENT, CURRENT).reshape(-1, 1, 1)), axis=1).transpose(0, 2, 1)
        return np.ascontiguousarray(both.reshape(-1, 2 * self.hidden), np.float32)

    def walk(self, kept: NDArray[Any], bits: Bits) -> Iterator[Turn]:
        """All passes of a tile that code anything, in their order, each with its tables.

        Args:
            kept: integers (rows, columns), 0 … L: levels kept at each position.
            bits: (L, 2, rows·columns, g/2) of −1 and +1, 0 where not kept: each level's bits by pass. An encoder
                has them all; a decoder writes those of a turn before it asks for the next.
        """
        tile = _Tile(self, kept)
        for level in range(int(kept.max(initial=0))):
            sums = product(tile.inputs(level), self._first[level])
            order, rank, even = tile.order(level)
            rows = order[rank]
            for half in (0, 1):
                if half:
                    around = product(tile.around_first(level, bits[level, 0]), self._second[level])
                    sums += np.where(even, around[:, : self.hidden], around[:, self.hidden :])
                odds = self._odds(sums, level, half)
                coded = np.where(even == (half == 0), odds[:, : self.group // 2], odds[:, self.group // 2 :])
                yield Turn(level, half, rows, coded[rank])
            tile.learn(level, bits[level])

    def _odds(self, sums: Float, level: int, half: int) -> Index:
        """Tables of all bits of a level, (positions, g), as if all were coded in this pass; ``sums`` (positions, H)."""
        weight, bias = self._out[level][half]
        hidden = np.floor(sums * np.float32(1 / (1 << _HIDDEN_SHIFT)))
        np.clip(hidden, 0, ACTIVATION_MAX, out=hidden)
        odds = product(hidden, weight)
        odds += bias  # with the halves of both roundings: two shifts that round down are as one by their sum
        odds *= np.float32(1 / (1 << (WEIGHT_BITS + _ODDS_SHIFT)))
        np.floor(odds, out=odds)
        np.clip(odds, -ODDS_MOST, ODDS_MOST, out=odds)
        index: Index = (odds + ODDS_MOST).astype(np.int16)
        return index


def _out_matrix(weight: NDArray[Any], bias: NDArray[Any], rows: slice) -> tuple[Float, Float]:
    halves = (1 << (WEIGHT_BITS - 1)) + (1 << (_ODDS_SHIFT - 1 + WEIGHT_BITS))
    return (
        np.ascontiguousarray(weight[rows].T, np.float32),
        (bias[rows].astype(np.int64) + halves).astype(np.float32),
    )


class _Tile:
    """What is known of a tile, laid out for matrix products.

    Positions are sorted by the levels they keep, most first, so that those which keep a level are always the first
    rows of the inputs, and nothing is ever copied to leave the others out.
    """

    def __init__(self, model: BitContext, kept: NDArray[Any]) -> None:
        rows, columns = kept.shape
        flat = kept.reshape(-1)
        self._model = model
        self._order = np.argsort(-flat.astype(np.int64), kind="stable")
        counts = np.bincount(flat, minlength=model.levels + 1)
        self._counts = np.cumsum(counts[::-1])[::-1][1:]  # positions that keep each level
        self._order = self._order[: self._counts[0]]
        row, column = np.divmod(self._order, columns)
        self._even = even_squares(rows, columns)[row, column, None]
        # Planes with a margin of zeros, so that each position has all its neighbours.
        margin = CURRENT // 2
        self._stride = columns + 2 * margin
        self._positions = (row + margin) * self._stride + column + margin
        size = (rows + 2 * margin) * self._stride
        self._first = np.zeros((size, model.group // 2), np.float32)
        self._latest = np.zeros((size, model.group), np.float32)
        levels = np.zeros((size, 1), np.float32)
        levels[self._positions, 0] = flat[self._order]

        most = int(flat.max(initial=0))
        fixed = model._fixed
        self._inputs = np.zeros((len(self._order), fixed + max(most - 1, 0) * model.group), np.float32)
        self._inputs[:, fixed - 1] = 1
        self._inputs[:, fixed - 1 - NEAR * NEAR : fixed - 1] = self._around(levels, NEAR, len(self._order))

    def order(self, level: int) -> tuple[Positions, Positions, NDArray[np.bool_]]:
        """The positions that keep a level, in the order of the inputs; the indices that sort them; whether each is an
        even square.
        """
        order = self._order[: self._counts[level]]
        return order, np.argsort(order), self._even[: len(order)]

    def inputs(self, level: int) -> Float:
        """What the hidden units read at the n positions that keep the level, (n, inputs): the neighbourhoods of R
        levels and of the map, a constant one for the bias, and all earlier levels.
        """
        return self._inputs[: self._counts[level], : self._model._fixed + level * self._model.group]

    def around_first(self, level: int, first: Bits) -> Float:
        """The first pass's bits (rows·columns, g/2) around the positions that keep the level, (n, 25·g/2)."""
        self._write(level, self._first, first[self._order[: self._counts[level]]])
        return self._around(self._first, CURRENT, self._counts[level])

    def learn(self, level: int, bits: Bits) -> None:
        """Enter a level's bits (2, rows·columns, g/2) into what the hidden units read of the next levels."""
        order, _, even = self.order(level)
        first, second = bits[:, order]
        both = joined(first, second, even)
        self._write(level, self._latest, both)
        if level + 1 == self._model.levels:
            return
        count, size, slot = self._counts[level + 1], self._model.group, level % self._model.reach
        past = self._model._fixed + level * size
        if not count:
            return
        self._inputs[:count, past : past + size] = both[:count]
        width = NEAR * NEAR * size
        self._inputs[:count, slot * width : (slot + 1) * width] = self._around(self._latest, NEAR, count)

    def _write(self, level: int, plane: Float, values: NDArray[Any]) -> None:
        """Write a level's values into a plane at the positions that keep it; positions that kept only the level before
        become zero.
        """
        count = self._counts[level]
        plane[self._positions[count : self._counts[max(level - 1, 0)]]] = 0
        plane[self._positions[:count]] = values

    def _around(self, plane: Float, side: int, count: int) -> Float:
        """Neighbourhoods of the first ``count`` positions, (count, side²·channels)."""
        reach = np.arange(side) - side // 2
        offsets = (reach[:, None] * self._stride + reach).reshape(-1)
        neighbourhoods: Float = plane.take(self._positions[:count, None] + offsets, axis=0)
        return neighbourhoods.reshape(count, offsets.size * plane.shape[1])
