"""Planes of few values: each sample becomes the number of its value in a list.

Samples of 16 bits are often those of 8 or 10 bits, multiplied. Drawings have few colours, whatever their bits. What is
left of them are planes of fewer bits, in which the values keep their order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.fields import Cursor, Number
from glissando.deflate import deflated, inflated
from glissando.errors import CorruptError

__all__ = ["bits_of", "pack_values", "unpack_values", "values_of"]

Samples = NDArray[np.uint16]

VALUE_COUNT = Number("value_count", "varint", 1, 1 << 16, "number of values")
LIST_LENGTH = Number("list_length", "varint", 1, 1 << 18, "length of the deflated list of values in bytes")


EVENLY = 8
"""Bits of numbers up to which values that do not occur are listed, too, if that makes the list even."""


def values_of(planes: Samples, depth: int) -> tuple[Samples, Samples]:
    """A list of values for planes of ``depth`` bits, ascending, and for each sample the number of its value.

    These are the values that occur, or as many evenly spaced ones as it takes to have these among them: in even numbers
    smooth planes stay smooth. Even ones are taken where their numbers have few bits, or no more than the others'.
    """
    occurs = np.bincount(planes.reshape(-1), minlength=1 << depth) > 0
    values = np.flatnonzero(occurs)
    step = max(int(np.gcd.reduce(np.diff(values))), 1)
    count = int(values[-1] - values[0]) // step + 1
    if bits_of(count) <= max(EVENLY, bits_of(len(values))):
        occurs[values[0] : values[-1] + 1 : step] = True
    numbers = np.cumsum(occurs) - 1
    return np.flatnonzero(occurs).astype(np.uint16), numbers.astype(np.uint16)[planes]


def bits_of(count: int) -> int:
    """Bits of the numbers of so many values."""
    return max((count - 1).bit_length(), 1)


def pack_values(values: Samples) -> bytes:
    """The bytes of ascending values: how many, and a deflated list of how much each is above the one before."""
    packed = deflated(np.diff(values, prepend=np.uint16(0)).astype("<u2").tobytes())
    return VALUE_COUNT.write(len(values)) + LIST_LENGTH.write(len(packed)) + packed


def unpack_values(data: bytes, depth: int) -> tuple[Samples, bytes]:
    """The values that ``pack_values`` was given, and the bytes that follow them. Raises FormatError for others."""
    cursor = Cursor(data)
    count = VALUE_COUNT.read(cursor)
    packed = bytes(cursor.take(LIST_LENGTH.read(cursor), "list of values"))
    raw = inflated(packed, 2 * count, "the list of values", f"{count} of them")
    steps = np.frombuffer(raw, "<u2").astype(np.int64)
    values = np.cumsum(steps)
    if not steps[1:].all() or values[-1] >> depth:
        raise CorruptError(f"the values of planes of {depth} bits do not ascend, or go up to {values[-1]}")
    return values.astype(np.uint16), data[cursor.offset :]
