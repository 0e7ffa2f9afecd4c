"""Planes coarse to fine: what is known around each sample when its turn comes.

The first sample is the corner. Then the distance between known samples is halved again and again, from the smallest
power of two that spans the planes. At each distance there are two stages: first come the centres of squares of known
samples, then the samples between, so that three quarters of all samples are predicted from all sides. Within a stage
one plane follows the other, and a later plane sees the earlier ones at the same places.

Encoder and decoder walk through the stages with this same code, so that both know the same at every moment. At each
distance, the samples that lie so far apart form a dense small picture, on which all is computed. It has a margin in
which samples are mirrored at the edges. Values are whole numbers in float32, where all sums below are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASSES", "Pyramid", "Stage", "predictor_size", "spread_size"]

Floats = NDArray[np.float32]

CLASSES = 6
"""Kinds of stages, each with its own coefficients: at distances of 1, 2, and 4 or more, for centres and for samples
between."""

_MARGIN = 3
_NEAR = {
    False: (((-1, -1), (1, 1)), ((-1, 1), (1, -1))),  # of centres: the two diagonals
    True: (((0, -1), (0, 1)), ((-1, 0), (1, 0))),  # between: left and right, above and below
}
_FAR = {
    False: tuple((i, j) for a, b in ((1, 3), (3, 1)) for i in (-a, a) for j in (-b, b)),
    True: tuple((i, j) for a, b in ((1, 2), (2, 1)) for i in (-a, a) for j in (-b, b)),
}


def predictor_size(plane: int) -> int:
    """Coefficients of the prediction in a plane, the first of which is 0."""
    return 4 + 4 * plane


def spread_size(plane: int) -> int:
    """Coefficients of the expected error in a plane."""
    return 4 + plane


@dataclass(frozen=True)
class _Lattice:
    """The samples (row + 2i, column + 2j) of the dense picture of one distance, ``rows`` by ``columns`` of them."""

    row: int
    column: int
    rows: int
    columns: int
    first: int  # the number of its first sample in the stage

    def of(self, padded: Floats, down: int = 0, right: int = 0) -> Floats:
        """The neighbours ``down`` rows below and ``right`` columns beside its samples: a view, (rows, columns)."""
        row, column = self.row + down + _MARGIN, self.column + right + _MARGIN
        return padded[row : row + 2 * self.rows - 1 : 2, column : column + 2 * self.columns - 1 : 2]

    def part(self, flat: Floats) -> Floats:
        """Its part of an array with one element for each sample of the stage: a view, (rows, columns)."""
        return flat[self.first : self.first + self.rows * self.columns].reshape(self.rows, self.columns)


class Stage:
    """Samples of all planes that are coded side by side.

    Attributes:
        number: how many there are of each plane.
        kind: which coefficients they use, 0 … CLASSES - 1.
        features: float32 (1 + 4·planes, number). Row 0 is 1; of each plane there are four more: the sums of
            the nearest neighbours along two directions, the sum of eight farther ones, and the sample itself.
        spreads: float32 (spread_size(planes), number). The differences of the nearest neighbours along both
            directions, that between the directions, the errors of the nearest neighbours, 1, and each earlier plane's
            error at the same place; all as magnitudes.
    """

    def __init__(self, values: list[Floats], errors: list[Floats], distance: int, between: bool) -> None:
        rows, columns = (side - 2 * _MARGIN for side in values[0].shape)
        corners = ((1, 0), (0, 1)) if between else ((1, 1),)
        self._lattices: list[_Lattice] = []
        self.number = 0
        for row, column in corners:
            lattice = _Lattice(row, column, (rows - row + 1) // 2, (columns - column + 1) // 2, self.number)
            if lattice.rows > 0 and lattice.columns > 0:
                self._lattices.append(lattice)
                self.number += lattice.rows * lattice.columns
        self.kind = 2 * min(distance.bit_length() - 1, 2) + between
        self._between, self._values, self._errors = between, values, errors
        planes = len(values)
        self.features: Floats = np.empty((1 + 4 * planes, self.number), np.float32)
        self.spreads: Floats = np.empty((spread_size(planes), self.number), np.float32)
        self.features[0] = self.spreads[3] = 1.0

    def look(self, plane: int) -> tuple[Floats, Floats]:
        """What is known of a plane's samples: the rows of ``features`` and ``spreads`` that have coefficients."""
        first = 1 + 4 * plane
        one, other, far = self.features[first : first + 3]
        along, across, errors = self.spreads[:3]
        values, known_errors = self._values[plane], self._errors[plane]
        for lattice in self._lattices:
            (a, b), (c, d) = (
                [lattice.of(values, *offset) for offset in direction] for direction in _NEAR[self._between]
            )
            np.add(a, b, out=lattice.part(one))
            np.add(c, d, out=lattice.part(other))
            spread = lattice.part(along)
            np.abs(a - b, out=spread)
            spread += np.abs(c - d)
            total = lattice.part(far)
            total[...] = lattice.of(values, *_FAR[self._between][0])
            for offset in _FAR[self._between][1:]:
                total += lattice.of(values, *offset)
            error = lattice.part(errors)
            error[...] = 0
            for direction in _NEAR[self._between]:
                for offset in direction:
                    error += lattice.of(known_errors, *offset)
        np.abs(np.subtract(one, other, out=across), out=across)
        return self.features[: first + 3], self.spreads[: spread_size(plane)]

    def samples(self, plane: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """The stage's samples of a plane of which every other sample lies at its distance, (number,)."""
        return np.concatenate([plane[lattice.row :: 2, lattice.column :: 2].reshape(-1) for lattice in self._lattices])

    def put(self, plane: int, values: Floats, errors: Floats) -> None:
        """Make a plane's samples known, with the magnitudes of their errors: (number,) each."""
        self.features[4 + 4 * plane] = values
        self.spreads[4 + plane] = errors
        for lattice in self._lattices:
            lattice.of(self._values[plane])[...] = lattice.part(values)
            lattice.of(self._errors[plane])[...] = lattice.part(errors)


class Pyramid:
    """The planes, as far as their samples are known.

    Args:
        corners: the first sample of each plane, whole numbers.
        height, width: of the planes.
    """

    def __init__(self, corners: Floats, height: int, width: int) -> None:
        self._size = height, width
        self._values = [np.full((1, 1), corner, np.float32) for corner in corners]
        self._errors = [np.zeros((1, 1), np.float32) for _ in corners]

    def stages(self, until: int = 1) -> Iterator[tuple[int, Stage]]:
        """The stages down to the distance ``until``, each with its own distance.

        All planes of a stage must be put before the next stage is asked for.
        """
        distance = (1 << (max(self._size) - 1).bit_length()) // 2
        while distance >= until:
            shape = [-(-side // distance) for side in self._size]
            self._values, self._errors = (
                [_spread_out(plane, shape) for plane in planes] for planes in (self._values, self._errors)
            )
            mirrors = [_mirrored(side) for side in shape]
            for between in (False, True):
                for plane in (*self._values, *self._errors):
                    _fill_margin(plane, *mirrors)
                stage = Stage(self._values, self._errors, distance, between)
                if stage.number:
                    yield distance, stage
            self._values, self._errors = (
                [plane[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] for plane in planes]
                for planes in (self._values, self._errors)
            )
            distance //= 2

    @property
    def planes(self) -> list[Floats]:
        """All planes, (height, width), once all stages have been put."""
        return self._values


def _spread_out(plane: Floats, shape: list[int]) -> Floats:
    """Known samples moved to every other row and column of a picture of this shape, with its margin."""
    padded = np.zeros([side + 2 * _MARGIN for side in shape], np.float32)
    padded[_MARGIN:-_MARGIN:2, _MARGIN:-_MARGIN:2] = plane
    return padded


def _mirrored(side: int) -> NDArray[np.intp]:
    """For each position of the margin at both ends, the inner one that it mirrors; both are counted with the margin."""
    outside = np.array([*range(-_MARGIN, 0), *range(side, side + _MARGIN)])
    period = max(2 * (side - 1), 1)
    inside = np.abs(outside) % period
    places: NDArray[np.intp] = _MARGIN + np.where(inside < side, inside, period - inside)
    return places


def _fill_margin(padded: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> None:
    outer = [*range(_MARGIN), *range(-_MARGIN, 0)]
    padded[:, outer] = padded[:, columns]
    padded[outer] = padded[rows]
