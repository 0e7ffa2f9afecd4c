"""Maps of small integers, such as a quality field, coded coarse to fine (docs/format.md, "Maps").

Positions come in the order of ``glissando.coarse_to_fine``, and each is predicted from the neighbours that this order
gives it, on all sides. A position's context tells how far apart the known positions lie and how well they agree: in
flat parts a map costs next to nothing, so that one value, or a painted shape, takes a few bytes. Each pass is one call
of the coder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import ans
from glissando.bitstream.tables import MAX_SYMBOL
from glissando.coarse_to_fine import Lattice, Stage, stages
from glissando.errors import CorruptError, InputError

__all__ = ["AGREEMENTS", "CONTEXTS", "DISTANCES", "decode_map", "map_passes"]

DISTANCES = 3
"""Distances of a position to its neighbours that contexts tell apart: 1, 2, and 4 or more."""

AGREEMENTS = 7
"""How neighbours agree: all equal; apart by 1 with most of them low, with none in the majority, with most of them
high; apart by 2 or 3, by 4 to 7, by 8 or more."""

CONTEXTS = 1 + DISTANCES * 2 * AGREEMENTS
"""Contexts: the corner's; then for each distance those of centres and those of the positions between."""

_MISSING = 1 << 16  # stands for neighbours outside the map: above every value, so that sorting puts it last

Ints = NDArray[np.int32]


def map_passes(values: NDArray[Any], index: NDArray[Any]) -> list[tuple[Ints, NDArray[Any]]]:
    """The passes that code a map, as ``ans.encode`` takes them.

    Args:
        values: integers (rows, columns), 0 .. 32767.
        index: integers (CONTEXTS,): the table of each context.

    Raises:
        InputError: values are not of this kind.
    """
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise InputError(f"a map is integers in two dimensions, not {values.dtype} with shape {values.shape}")
    if values.size and (values.min() < 0 or values.max() > MAX_SYMBOL):
        raise InputError(f"a map's values are {values.min()}..{values.max()}; must be in 0..{MAX_SYMBOL}")
    known = _Known(*values.shape)
    known.inside[...] = values
    passes = []
    for stage in stages(*values.shape):
        prediction, context = known.predict(stage)
        found = np.concatenate([known.inside[lattice.slices].reshape(-1) for lattice in stage.lattices])
        passes.append((found - prediction, index[context]))
    return passes


def decode_map(
    decoder: ans.Decoder, rows: int, columns: int, index: NDArray[Any], largest: int
) -> tuple[NDArray[np.int16], list[NDArray[np.int16]]]:
    """A map from its stream, and the symbols of each pass, which a tile's checksum covers.

    Args:
        decoder: of the stream; ``finish`` is left to the caller.
        rows, columns: of the map.
        index: integers (CONTEXTS,): the table of each context.
        largest: the largest value that the map may have, 0 .. 32767.

    Returns:
        int16 (rows, columns), 0 .. largest, and int16 (n,) of each pass.

    Raises:
        CorruptError: a value would be below 0 or above ``largest``.
    """
    known = _Known(rows, columns)
    passes = []
    for stage in stages(rows, columns):
        prediction, context = known.predict(stage)
        symbols = decoder.decode(index[context])
        values = prediction + symbols
        if values.min() < 0 or values.max() > largest:
            raise CorruptError(f"a map has values {values.min()}..{values.max()}; they must be in 0..{largest}")
        start = 0
        for lattice in stage.lattices:
            part = known.inside[lattice.slices]
            part[...] = values[start : start + part.size].reshape(part.shape)
            start += part.size
        passes.append(symbols)
    return known.inside.astype(np.int16), passes


class _Known:
    """A map with a margin of missing positions, so that neighbours are slices wherever they lie."""

    def __init__(self, rows: int, columns: int) -> None:
        self._margin = 1 << max(max(rows, columns) - 1, 0).bit_length() >> 1
        self._shape = rows, columns
        padded = (rows + 2 * self._margin, columns + 2 * self._margin)
        self._values: Ints = np.full(padded, _MISSING, np.int32)
        self.inside = self._values[self._margin : self._margin + rows, self._margin : self._margin + columns]
        self.inside[...] = 0

    def predict(self, stage: Stage) -> tuple[Ints, Ints]:
        """Predictions and contexts of a stage's positions, (n,) each, one lattice after the other.

        The prediction is the median of the neighbours inside the map: of the one or two in the middle, the mean,
        rounded down.
        """
        if stage.distance == 0:
            return np.zeros(1, np.int32), np.zeros(1, np.int32)
        neighbours = np.sort(
            np.concatenate(
                [
                    np.stack([self._shifted(lattice, down, right) for down, right in stage.neighbours], axis=-1)
                    for lattice in stage.lattices
                ]
            ),
            axis=-1,
        )
        count = (neighbours < _MISSING).sum(axis=-1)
        row = np.arange(len(neighbours))
        low, high = neighbours[row, (count - 1) // 2], neighbours[row, count // 2]
        prediction: Ints = (low + high) >> 1
        least, most = neighbours[:, 0], neighbours[row, count - 1]
        spread = most - least
        agreement = 3 + np.searchsorted((1, 4, 8), spread, side="right")
        near = np.where(low != high, 2, np.where(low == least, 1, 3))
        agreement = np.where(spread == 0, 0, np.where(spread == 1, near, agreement))
        kind = 2 * min(stage.distance.bit_length() - 1, DISTANCES - 1) + stage.between
        context: Ints = (1 + AGREEMENTS * kind + agreement).astype(np.int32)
        return prediction, context

    def _shifted(self, lattice: Lattice, down: int, right: int) -> Ints:
        """The values ``down`` rows below and ``right`` columns beside the lattice's positions, (n,)."""
        shifted = []
        for part, size, shift in zip(lattice.slices, self._shape, (down, right), strict=True):
            start = self._margin + part.start + shift
            shifted.append(slice(start, self._margin + size + shift, part.step))
        return self._values[tuple(shifted)].reshape(-1)
