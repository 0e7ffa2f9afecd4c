"""The integer context model of the family of VAEs: how large each symbol is, judged by those known before it.

The positions of a tile are coded in the stages of ``glissando.coarse_to_fine``. A position's channels are coded in
groups, each of which sees those before it. A channel's magnitudes in the neighbours, and in the tile so far, are
compared with what is usual at the file's quality. A small network for each group sees these differences in all
channels, and those of earlier groups at the position itself. It gives log2 of each symbol's expected magnitude, which
chooses a table.

``docs/format.md`` specifies the arithmetic. As in ``glissando.families.gains.scales``, integers are multiplied in
float32, which is proven to be exact. Nothing outside a tile is used, so that a tile decodes alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando import coarse_to_fine
from glissando.entropy.dense import EXACT, Dense, Float, largest_sums
from glissando.entropy.fixed_point import (
    ACTIVATION_BITS,
    ACTIVATION_MAX,
    QUALITY_TOP,
    STEPS_PER_OCTAVE,
    WEIGHT_BITS,
    level_row,
)
from glissando.errors import ModelMismatchError

__all__ = [
    "DIFFERENCE_MAX",
    "MAGNITUDE_LOW",
    "MAGNITUDE_MOST",
    "MAGNITUDE_TABLES",
    "SITUATION",
    "MagnitudeContext",
    "Stage",
    "Turn",
    "log2_of",
    "stages",
]

MAGNITUDE_MOST = 255  # magnitudes are clipped here before the model sees them
MAGNITUDE_LOW = -12  # log2 of the expected magnitude of table 0
MAGNITUDE_TABLES = 8 * 19  # up to an expected magnitude of 2^7
DIFFERENCE_MAX = 255  # 1/32 octaves that an input may be above or below what is usual
SITUATION = 3  # inputs that all channels of a position share: quality, distance, whether it lies between

_UNIT = 16  # magnitudes and means of them are compared as log2(1 + 16·magnitude)
_FAR = 4  # the network sees no difference between distances of 8 and more
_TO_TABLE = ACTIVATION_BITS - STEPS_PER_OCTAVE.bit_length() + 1  # 1/32 octave → tables

Ints = NDArray[np.int32]
Positions = NDArray[np.intp]


def log2_of(values: NDArray[Any]) -> NDArray[np.int16]:
    """log2(1 + v) of integers v ≥ 0 in units of 1/32, on straight lines between powers of two, rounded down."""
    x = np.asarray(values, np.int64) + 1
    digits = np.frexp(x.astype(np.float64))[1].astype(np.int64) - 1
    log2: NDArray[np.int16] = (((digits - 1) << ACTIVATION_BITS) + ((x << ACTIVATION_BITS) >> digits)).astype(np.int16)
    return log2


_LOG2 = log2_of(np.arange(_UNIT * MAGNITUDE_MOST + 1))


@dataclass(frozen=True)
class Stage:
    """Positions that are coded side by side, and what is known of each when its turn comes.

    ``positions``: flat indices of n positions. ``distance``: to their neighbours, 0 at the corner; ``between``: these
    are left, right, above and below, not at the corners of a square. ``near`` (n, C) and ``past`` (C,):
    log2(1 + 16·mean magnitude) of the known neighbours and of all positions of the stages before, in 1/32 octave;
    ``alone`` (n,): no neighbour is known.
    """

    positions: Positions
    distance: int
    between: bool
    near: NDArray[np.int16]
    past: NDArray[np.int16]
    alone: NDArray[np.bool_]


@dataclass(frozen=True)
class Turn:
    """What one pass codes: symbols[positions, channels], with table ``index`` (len(positions), channels)."""

    positions: Positions
    channels: slice
    index: NDArray[np.int16]


def stages(magnitudes: NDArray[np.uint8], rows: int, columns: int) -> Iterator[Stage]:
    """The stages of a tile. ``magnitudes`` (rows·columns, C), at most 255: those of a stage must be there before the
    next is asked for.
    """
    total, seen = np.zeros(magnitudes.shape[1], np.int64), 0
    for stage in coarse_to_fine.stages(rows, columns):
        down, right = stage.positions(rows, columns)
        near = np.zeros((down.size, magnitudes.shape[1]), np.int32)
        count = np.zeros(down.size, np.int32)
        for rows_down, columns_right in stage.neighbours:
            r, c = down + rows_down, right + columns_right
            inside = np.flatnonzero((r >= 0) & (r < rows) & (c >= 0) & (c < columns))
            near[inside] += magnitudes[(r * columns + c)[inside]]
            count[inside] += 1
        near *= _UNIT
        near //= np.maximum(count, 1)[:, None]
        positions = down * columns + right
        past = _LOG2[_UNIT * total // max(seen, 1)]
        yield Stage(positions, stage.distance, stage.between, _LOG2[near], past, count == 0)
        total += magnitudes[positions].sum(axis=0, dtype=np.int64)
        seen += positions.size


class MagnitudeContext:
    """The context model of a model's symbols; shared by all pictures.

    ``arrays`` maps to integers: "order" (C,), the channels in the order they are coded; "groups" (G,), how many of them
    each group has; level tables (levels, C) in that order: "usual", log2(1 + 16·mean magnitude), and "magnitude", log2
    of it, both in 1/32 octave; "near" and "past" (C,), weights of a channel's own differences; and for each group g
    "hidden.g.weight" (H, 2·C + channels of groups before + 3), "hidden.g.bias" (H,), "out.g.weight" (n, H) and
    "out.g.bias" (n,). Raises ModelMismatchError where one is missing, shapes do not agree, or a bound is not proven.

    Everywhere in this class channels stand in the order they are coded in.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        try:
            self.order = np.asarray(arrays["order"]).astype(np.intp)
            sizes = np.asarray(arrays["groups"]).astype(int).tolist()
            self._usual, self._magnitude = (np.asarray(arrays[name]) for name in ("usual", "magnitude"))
            self._own = [np.asarray(arrays[name]).astype(np.int32) for name in ("near", "past")]
            names = ("hidden.{}.weight", "hidden.{}.bias", "out.{}.weight", "out.{}.bias")
            layers = [[np.asarray(arrays[name.format(g)]) for name in names] for g in range(len(sizes))]
        except KeyError as missing:
            raise ModelMismatchError(f"the context model of magnitudes has no {missing}") from None
        self.channels = self.order.size
        ends = np.cumsum(sizes).tolist()
        self._groups = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        self._check(layers)
        self._layers = [(_dense(w, b, relu=True), _dense(v, c, relu=False)) for w, b, v, c in layers]

    def _check(self, layers: list[list[NDArray[Any]]]) -> None:
        """Check the types, shapes and bounds of all arrays. Raises ModelMismatchError."""
        n = self.channels
        every = (self._usual, self._magnitude, *itertools.chain(*layers))
        if wrong := [array.dtype for array in every if array.dtype.kind not in "iu"]:
            raise ModelMismatchError(f"the context model's arrays must be integers, not {wrong[0]}")
        whole = all(part.start < part.stop for part in self._groups) and [part.stop for part in self._groups][-1:] == [
            n
        ]
        if not whole or not np.array_equal(np.sort(self.order), np.arange(n)):
            raise ModelMismatchError("the context model's order and groups do not name each channel once")
        tables = (self._usual, self._magnitude)
        if any(t.ndim != 2 or t.shape[1] != n or len(t) < 2 for t in tables) or len({len(t) for t in tables}) > 1:
            raise ModelMismatchError(f"the context model's level tables have shapes {[t.shape for t in tables]}")
        if any(own.shape != (n,) or np.abs(own).max(initial=0) > 1 << 15 for own in self._own):
            raise ModelMismatchError("the context model's near and past must be a weight below 2^15 for each channel")
        for g, (channels, (w, b, v, c)) in enumerate(zip(self._groups, layers, strict=True)):
            size = channels.stop - channels.start
            if w.shape != (len(b), 2 * n + channels.start + SITUATION) or v.shape != (size, len(b)) or len(c) != size:
                raise ModelMismatchError(f"the context model's layers of group {g} do not agree in shape")
            for weight, bias, largest, signed in ((w, b, DIFFERENCE_MAX, 0), (v, c, ACTIVATION_MAX, len(b))):
                sums = largest_sums(weight, largest, signed) + np.abs(bias.astype(np.int64)) + (1 << WEIGHT_BITS)
                if sums.max() >= EXACT:
                    raise ModelMismatchError(
                        f"context model, group {g}: sums may reach {sums.max()}, exact only below {EXACT}"
                    )

    def walk(self, symbols: NDArray[np.int16], units: int) -> Iterator[Turn]:
        """The passes in order. ``symbols`` (rows, columns, C): those of a turn must be written before the next is asked
        for; ``units``: the quality in 1/256.
        """
        rows, columns, n = symbols.shape
        flat = symbols.reshape(-1, n)
        usual, magnitude = level_row(self._usual, units), level_row(self._magnitude, units)
        known = np.zeros(flat.shape, np.uint8)
        for stage in stages(known, rows, columns):
            inputs = self.inputs(stage, usual, units)
            plain = self._own[0] * inputs[:, :n].astype(np.int32) + self._own[1] * inputs[:, n : 2 * n].astype(np.int32)
            plain += 1 << (WEIGHT_BITS - 1)
            plain >>= WEIGHT_BITS
            plain += magnitude
            for channels, (hidden, out) in zip(self._groups, self._layers, strict=True):
                answer = out(hidden(inputs[None]))[0].astype(np.int32)
                answer += plain[:, channels]
                answer += (1 << (_TO_TABLE - 1)) - (MAGNITUDE_LOW << ACTIVATION_BITS)
                answer >>= _TO_TABLE
                yield Turn(stage.positions, channels, np.clip(answer, 0, MAGNITUDE_TABLES - 1).astype(np.int16))
                magnitudes = np.minimum(np.abs(flat[stage.positions, channels].astype(np.int32)), MAGNITUDE_MOST)
                known[stage.positions, channels] = magnitudes
                inputs = np.concatenate([inputs, self.seen_by_later_groups(magnitudes, usual[channels])], axis=1)

    def positions(self, rows: int, columns: int) -> Iterator[Positions]:
        """For each pass of a tile, in the order of ``walk``, the flat indices of the positions that it codes."""
        for stage in coarse_to_fine.stages(rows, columns):
            down, right = stage.positions(rows, columns)
            for _ in self._groups:
                yield down * columns + right

    @staticmethod
    def inputs(stage: Stage, usual: Ints, units: int) -> Float:
        """What the first group's network sees, (n, 2·C + 3): neighbours, the tile so far, the situation."""
        distance = min(stage.distance.bit_length(), _FAR)
        situation = (units * DIFFERENCE_MAX // QUALITY_TOP, distance << ACTIVATION_BITS, 64 * stage.between)
        n = len(usual)
        differences = np.empty((stage.positions.size, 2 * n + SITUATION), np.float32)
        differences[:, :n] = np.clip(stage.near - usual, -DIFFERENCE_MAX, DIFFERENCE_MAX)
        differences[stage.alone, :n] = 0
        differences[:, n : 2 * n] = (
            np.clip(stage.past - usual, -DIFFERENCE_MAX, DIFFERENCE_MAX) if stage.distance else 0
        )
        differences[:, 2 * n :] = situation
        return differences

    @staticmethod
    def seen_by_later_groups(magnitudes: NDArray[Any], usual: Ints) -> Float:
        """What the networks of later groups see of this one: how far its magnitudes (n, c) are from what is usual,
        (c,).
        """
        differences: NDArray[Any] = np.clip(_LOG2[_UNIT * magnitudes] - usual, -DIFFERENCE_MAX, DIFFERENCE_MAX)
        return differences.astype(np.float32)


def _dense(weight: NDArray[Any], bias: NDArray[Any], *, relu: bool) -> Dense:
    half = 1 << (WEIGHT_BITS - 1)
    matrix = np.ascontiguousarray(weight.T, dtype=np.float32)
    return Dense(matrix, (bias.astype(np.int64) + half).astype(np.float32), 1, relu)
