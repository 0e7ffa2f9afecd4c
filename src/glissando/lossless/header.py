"""What a stream of planes says before its symbols (docs/format.md, "Planes")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.fields import Cursor, Number
from glissando.deflate import deflated, inflated
from glissando.errors import CorruptError

from .pyramid import GRID, KINDS, predictor_size, spread_size
from .tables import CHOICES
from .weights import Weights, contexts

__all__ = ["HEADER_LENGTH", "Header"]

HEADER_LENGTH = Number("header_length", "varint", 1, 1 << 18, "length of the deflated header in bytes")


@dataclass(frozen=True)
class Header:
    """What a stream says of its planes.

    Attributes:
        grid: uint16 (planes, rows, columns), the samples at multiples of GRID.
        weights: of each kind of stage, for each plane those of the prediction and those of the expected error.
        choices: uint8 (planes, contexts): how the errors of each context are coded.
    """

    grid: NDArray[np.uint16]
    weights: list[list[tuple[Weights, Weights]]]
    choices: NDArray[np.uint8]

    def write(self) -> bytes:
        """Its bytes, and how many they are before them."""
        parts = [self.grid.astype("<u2").tobytes()]
        parts += [array.astype("<i2").tobytes() for kind in self.weights for pair in kind for array in pair]
        packed = deflated(b"".join([*parts, self.choices.tobytes()]))
        return HEADER_LENGTH.write(len(packed)) + packed

    @classmethod
    def read(cls, cursor: Cursor, planes: int, height: int, width: int, depth: int) -> Header:
        """Raises FormatError where the bytes are no header of so many planes of this size and depth."""
        packed = bytes(cursor.take(HEADER_LENGTH.read(cursor), "header of planes"))
        shape = planes, -(-height // GRID), -(-width // GRID)
        known = shape[0] * shape[1] * shape[2]
        sizes = [size for plane in range(planes) for size in (predictor_size(plane), spread_size(plane))]
        whole = 2 * known + 2 * KINDS * sum(sizes) + planes * contexts(depth)
        raw = inflated(packed, whole, "the header of planes")
        grid = np.frombuffer(raw, "<u2", known).reshape(shape)
        numbers = np.frombuffer(raw, "<i2", KINDS * sum(sizes), 2 * known).astype(np.int16)
        arrays = iter(np.split(numbers, np.cumsum(sizes * KINDS)[:-1]))
        weights = [[(next(arrays), next(arrays)) for _ in range(planes)] for _ in range(KINDS)]
        choices = np.frombuffer(raw, np.uint8, offset=whole - planes * contexts(depth)).reshape(planes, -1)
        if int(grid.max()) >> depth or choices.max() >= CHOICES:
            raise CorruptError(
                f"planes of {depth} bits have a sample of {grid.max()}, or a context of choice {choices.max()}"
            )
        return cls(grid, weights, choices)
