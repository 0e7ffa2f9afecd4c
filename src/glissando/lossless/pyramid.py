"""Planes coarse to fine: what is known around each sample when its turn comes.

The samples of a coarse grid are known from the start. Then the distance between known samples is halved again and
again. At each distance there are three stages: first come the centres of squares of known samples, then the samples
below known ones, then those beside them, so that three quarters of all samples are predicted from all sides. Within a
stage one plane follows the other, and a later plane sees the earlier ones at the same places.

Encoder and decoder walk through the stages with this same code, so that both know the same at every moment. At each
distance, the samples that lie so far apart form a dense small picture. It is split into four lattices: the known
samples, and those of the three stages. Each lattice has a margin in which its outermost samples are repeated. Values
are whole numbers in float32, where all sums below are exact.

Rows of a lattice follow one another in memory with their margins, and all lattices of a picture have rows of the same
length. So the neighbours of all samples in some direction are one stretch of memory, which NumPy works through several
times as fast as through many rows. The numbers that this computes for places in the margin mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["GRID", "KINDS", "Floats", "Pyramid", "Samples", "Stage", "predictor_size", "spread_size"]

Floats = NDArray[np.float32]
Samples = NDArray[np.unsignedinteger]

GRID = 32
"""The distance of the samples that are known from the start."""

_KINDS_OF_DISTANCE = 3
KINDS = 3 * _KINDS_OF_DISTANCE
"""Kinds of stages, each with its own weights: at distances of 1, 2, and 4 or more, for each of the three stages."""

_KNOWN, _CENTRES, _BELOW, _BESIDE = range(4)
_PLACES = (0, 0), (1, 1), (1, 0), (0, 1)  # row and column of each lattice in every square of two by two

_NEAR = {  # four neighbours, of which two and two lie opposite: lattice, rows down, columns to the right
    _CENTRES: ((_KNOWN, 0, 0), (_KNOWN, 1, 1), (_KNOWN, 0, 1), (_KNOWN, 1, 0)),
    _BELOW: ((_KNOWN, 0, 0), (_KNOWN, 1, 0), (_CENTRES, 0, -1), (_CENTRES, 0, 0)),
    _BESIDE: ((_CENTRES, -1, 0), (_CENTRES, 0, 0), (_KNOWN, 0, 0), (_KNOWN, 0, 1)),
}
_FAR = {  # neighbours by fours: lattice, two rows, two columns
    _CENTRES: ((_KNOWN, (0, 1), (-1, 2)), (_KNOWN, (-1, 2), (0, 1))),
    _BELOW: ((_KNOWN, (0, 1), (-1, 1)), (_CENTRES, (-1, 1), (-1, 0))),
    _BESIDE: ((_BELOW, (-1, 0), (0, 1)),),
}
_BEFORE, _BEHIND = 1, 2  # rows above and columns to the left in a margin; rows below and columns to the right
_SPARE = 1  # one more row below, into which neighbours of the last row's margin reach


def predictor_size(plane: int) -> int:
    """Weights of the prediction in a plane, the first of which is 0."""
    return 4 + 4 * plane


def spread_size(plane: int) -> int:
    """Weights of the expected error in a plane."""
    return 4 + plane


def _stretch(height: int, width: int) -> tuple[int, int]:
    """Rows, and numbers in a row, of the lattices of a picture, with margins."""
    return (height + 1) // 2 + _BEFORE + _BEHIND + _SPARE, (width + 1) // 2 + _BEFORE + _BEHIND


class _Lattice:
    """One of the four lattices of a dense picture, for all planes.

    Attributes:
        rows, columns: of its samples; either may be 0.
        pitch: numbers in a row with its margin.
        values, errors: float32 (planes, size): samples and the magnitudes of their errors.
    """

    def __init__(self, memory: Floats, number: int, height: int, width: int) -> None:
        """``memory``: float32 (2, planes, at least the size), which it may use."""
        row, column = _PLACES[number]
        self.rows, self.columns = (height - row + 1) // 2, (width - column + 1) // 2
        rows, self.pitch = _stretch(height, width)
        self.values, self.errors = memory[..., : rows * self.pitch]

    def put_samples(self, samples: Samples, errors: Samples, middle: int) -> None:
        """Fill all planes: unsigned integers (planes, rows, columns), of which ``middle`` is taken."""
        inner = slice(_BEFORE, _BEFORE + self.rows), slice(_BEFORE, _BEFORE + self.columns)
        np.subtract(samples, np.float32(middle), out=self._in_rows(self.values)[:, *inner])
        self._in_rows(self.errors)[:, *inner] = errors
        self._fill_margins()

    def put(self, values: Floats, errors: Floats) -> None:
        """Fill all planes: (planes, rows·pitch), of which the first ``columns`` of a row count."""
        for array, given in ((self.values, values), (self.errors, errors)):
            array[:, self.start() :][:, : given.shape[1]] = given
        self._fill_margins()

    def start(self, down: int = 0, right: int = 0) -> int:
        """Where the neighbours of all samples in a direction begin."""
        return (_BEFORE + down) * self.pitch + _BEFORE + right

    def _in_rows(self, array: Floats) -> Floats:
        return array.reshape(len(array), -1, self.pitch)

    def _fill_margins(self) -> None:
        bottom, right = _BEFORE + self.rows, _BEFORE + self.columns
        for padded in (self._in_rows(self.values), self._in_rows(self.errors)):
            if self.rows and self.columns:
                padded[..., :_BEFORE] = padded[..., _BEFORE : _BEFORE + 1]
                padded[..., right:] = padded[..., right - 1 : right]
                padded[:, :_BEFORE] = padded[:, _BEFORE : _BEFORE + 1]
                padded[:, bottom:] = padded[:, bottom - 1 : bottom]
            else:
                padded[...] = 0


class Stage:
    """Samples of all planes that are coded side by side, ``rows`` by ``columns`` of each.

    Numbers are computed for ``pitch`` places in each row, of which the first ``columns`` are samples.

    Attributes:
        distance: from one row or column to the next of those that are known after the stages of this distance.
        kind: which weights they use, 0 … KINDS - 1.
        samples, magnitudes: the samples, and the magnitudes of their errors, (planes, rows, columns): views of the
            pyramid's.
        features: float32 (1 + 4·planes, rows·pitch). Row 0 is 1; of each plane there are four more: the sums of
            the nearest neighbours along two directions, the sum of farther ones, and the sample itself.
        spreads: float32 (planes, 3, rows·pitch). Of each plane, as magnitudes: the differences of the nearest
            neighbours along both directions, that between the directions, the errors of the nearest neighbours.
        errors: float32 (planes, rows·pitch): the magnitudes of the errors.
        middle: the pyramid's.
    """

    def __init__(self, pyramid: Pyramid, lattices: list[_Lattice], number: int, distance: int, memory: Floats) -> None:
        own, (row, column) = lattices[number], _PLACES[number]
        self.rows, self.columns, self.pitch = own.rows, own.columns, own.pitch
        self.distance = distance
        self.kind = 3 * min(distance.bit_length() - 1, _KINDS_OF_DISTANCE - 1) + number - _CENTRES
        self.samples, self.magnitudes = (
            array[:, row * distance :: 2 * distance, column * distance :: 2 * distance]
            for array in (pyramid.samples, pyramid.magnitudes)
        )
        self.middle = pyramid.middle
        planes = len(self.samples)
        memory = memory[:, : self.rows * self.pitch]
        self.features = memory[: 1 + 4 * planes]
        self.features[0] = 1.0
        self.spreads = memory[1 + 4 * planes : 1 + 7 * planes].reshape(planes, 3, -1)
        self.errors = memory[1 + 7 * planes :]
        self._look(lattices, number)

    def _look(self, lattices: list[_Lattice], number: int) -> None:
        """Compute what known neighbours say of the samples of all planes."""
        size, start = self.rows * self.pitch, lattices[number].start
        one, other, far, _ = np.moveaxis(self.features[1:].reshape(len(self.samples), 4, size), 1, 0)
        along, across, errors = np.moveaxis(self.spreads, 1, 0)
        a, b, c, d = (lattices[n].values[:, start(down, right) :][:, :size] for n, down, right in _NEAR[number])
        np.abs(np.subtract(a, b, out=along), out=along)
        along += np.abs(np.subtract(c, d, out=across), out=across)
        np.add(a, b, out=one)
        np.add(c, d, out=other)
        np.abs(np.subtract(one, other, out=across), out=across)
        a, b, c, d = (lattices[n].errors[:, start(down, right) :][:, :size] for n, down, right in _NEAR[number])
        np.add(a, b, out=errors)
        errors += c
        errors += d
        far[...] = 0
        for n, rows, columns in _FAR[number]:
            upper, lower = (lattices[n].values[:, start(row, -1) :][:, : size + self.pitch] for row in rows)
            pairs = upper + lower
            for column in columns:
                far += pairs[:, 1 + column :][:, :size]

    def put(self, plane: int, samples: Samples, magnitudes: Samples) -> None:
        """Make a plane's samples known, with the magnitudes of their errors: unsigned integers (rows, columns)."""
        self.magnitudes[plane] = magnitudes
        values, errors = (
            numbers.reshape(self.rows, self.pitch)[:, : self.columns]
            for numbers in (self.features[4 + 4 * plane], self.errors[plane])
        )
        np.subtract(samples, np.float32(self.middle), out=values)
        errors[...] = magnitudes


class Pyramid:
    """Planes of which a decoder knows the more the finer the stage.

    Args:
        samples: unsigned integers (planes, height, width). Those at multiples of GRID must be known; the decoder
            writes those of each stage (``Stage.samples``) before the next one.
        depth: bits of a sample.

    Attributes:
        samples: the argument.
        magnitudes: of the errors of the samples, of the same type and shape.
        middle: what is taken from samples, so that they lie around zero.
    """

    def __init__(self, samples: Samples, depth: int) -> None:
        self.samples = samples
        self.magnitudes: Samples = np.zeros_like(samples)
        self.middle = 1 << (depth - 1)

    def stages(self, until: int = 1) -> Iterator[Stage]:
        """The stages down to the distance ``until``. All planes of a stage must be put before the next is asked for."""
        planes, *size = self.samples.shape
        # All stages use the same memory: to get new memory from the system may take longer than all the arithmetic.
        rows, pitch = _stretch(*size)
        memory = np.empty((14 * planes + 1, rows * pitch), np.float32)
        of_stage = memory[6 * planes :]
        of_stage[4 : 1 + 4 * planes : 4] = of_stage[1 + 7 * planes :] = 0  # what is not written in the margin
        of_lattices = memory[: 6 * planes].reshape(3, 2, planes, -1)
        distance = GRID // 2
        while distance >= until:
            samples, magnitudes = (array[:, ::distance, ::distance] for array in (self.samples, self.magnitudes))
            # No stage looks at the last lattice, so that it needs no memory of its own.
            lattices = [_Lattice(of_lattices[number % 3], number, *samples.shape[1:]) for number in range(4)]
            lattices[_KNOWN].put_samples(samples[:, ::2, ::2], magnitudes[:, ::2, ::2], self.middle)
            for number in (_CENTRES, _BELOW, _BESIDE):
                stage = Stage(self, lattices, number, distance, of_stage)
                if stage.rows and stage.columns:
                    yield stage
                if number != _BESIDE:
                    lattices[number].put(stage.features[4::4], stage.errors)
            distance //= 2
