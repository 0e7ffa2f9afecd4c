"""Planes to bytes by whichever method makes fewer of them (docs/format.md, "Planes").

Photographs take fewest bytes by our own method. Drawings, text and palettes repeat themselves, which WebP's lossless
method makes use of and ours does not. Noise is best written as it is. Before any of these, planes of more than 8 bits
in which few values occur become planes of fewer bits. docs/content.md measures all of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glissando.errors import CorruptError, InputError

from . import webp
from .stream import decode_stream, encode_stream
from .values import bits_of, pack_values, unpack_values, values_of

__all__ = ["decode_planes", "encode_planes"]

PREDICTED, WEBP, PLAIN, FEW_VALUES = 0, 1, 2, 3
"""The method that codes the planes: the first byte of coded planes."""

FEWER_BITS = 2
"""Values are numbered where the numbers have so many bits less than the samples, so that it pays to list the values."""

LARGEST_SIDE = 1024
"""Of a tile. Decoding takes some 150 bytes for each sample's place while it lasts, which this bounds."""

REPETITIVE = 0.25, 0.5
"""Shares of samples that equal one near them. Above the first, WebP may make fewer bytes; above the second, it does.

The second is not for planes that are alone: most of a mask is flat, and its soft edges are what takes bytes.
"""


def encode_planes(planes: NDArray[np.unsignedinteger], depth: int) -> bytes:
    """Code planes without loss.

    Args:
        planes: unsigned integers (planes, height, width), 1 to 4 planes, both sides 1 to 1024, below 2^depth. If
            they resemble each other, the first should be the one that resembles the others most, such as green.
        depth: bits of a sample, 1 to 16.

    Raises:
        InputError: the planes are not of this kind.
    """
    if planes.ndim != 3 or planes.dtype.kind != "u" or not 1 <= depth <= 16:
        raise InputError(
            f"planes are unsigned integers (planes, height, width) of 1 to 16 bits, not {planes.dtype} of shape "
            f"{planes.shape} and {depth} bits"
        )
    if not 1 <= len(planes) <= 4 or not all(1 <= side <= LARGEST_SIDE for side in planes.shape[1:]):
        raise InputError(f"there are 1 to 4 planes with sides of 1 to {LARGEST_SIDE} samples, not {planes.shape}")
    if int(planes.max()) >> depth:
        raise InputError(f"a sample is {planes.max()}, which has more than {depth} bits")
    samples = planes.astype(np.uint16, copy=False)
    found = [_encoded(samples, depth)]
    if depth > webp.MOST_BITS:
        values, numbers = values_of(samples, depth)
        bits = bits_of(len(values))
        if bits <= depth - FEWER_BITS:
            found.append(bytes([FEW_VALUES]) + pack_values(values) + _encoded(numbers, bits))
    return min(found, key=len)


def _encoded(samples: NDArray[np.uint16], depth: int) -> bytes:
    """Planes by whichever of the methods for samples of any values makes fewest bytes."""
    found = []
    repeated = _repeated_share(samples) if webp.takes(samples, depth) else 0.0
    if repeated > REPETITIVE[0]:
        found.append(bytes([WEBP]) + webp.encode(samples))
    if repeated <= REPETITIVE[1] or len(samples) == 1:
        found.append(bytes([PREDICTED]) + encode_stream(samples, depth))
    best = min(found, key=len)
    return best if len(best) <= 1 + -(-samples.size * depth // 8) else bytes([PLAIN]) + _plain(samples, depth)


def decode_planes(data: bytes, planes: int, height: int, width: int, depth: int) -> NDArray[np.uint16]:
    """The planes that ``encode_planes`` was given: uint16 (planes, height, width).

    Raises FormatError where the bytes are damaged, or hold planes of another shape or depth. Memory is bounded by the
    shape, whatever the bytes are.
    """
    if data[:1] != bytes([FEW_VALUES]):
        return _decoded(data, planes, height, width, depth)
    values, content = unpack_values(data[1:], depth)
    numbers = _decoded(content, planes, height, width, bits_of(len(values)))
    if numbers.max() >= len(values):
        raise CorruptError(f"a sample has value number {numbers.max()} of {len(values)}")
    return values[numbers]


def _decoded(data: bytes, planes: int, height: int, width: int, depth: int) -> NDArray[np.uint16]:
    """The planes that ``_encoded`` was given."""
    if not data:
        raise CorruptError("coded planes have no byte")
    method, content = data[0], data[1:]
    if method == PREDICTED:
        return decode_stream(content, planes, height, width, depth).astype(np.uint16)
    if method == WEBP:
        return webp.decode(content, planes, height, width, depth)
    if method == PLAIN:
        return _from_plain(content, planes, height, width, depth)
    if method == FEW_VALUES:
        raise CorruptError(f"planes are coded by method {FEW_VALUES} twice over")
    known = f"{PREDICTED}, {WEBP}, {PLAIN} and {FEW_VALUES}"
    raise CorruptError(f"planes are coded by method {method}; this reader knows {known}")


def _repeated_share(planes: NDArray[np.uint16]) -> float:
    """The largest share of samples that are equal to those one or two to their left, or above them."""
    shares = [0.0]
    for down, right in ((0, 1), (0, 2), (1, 0), (2, 0)):
        height, width = planes.shape[1] - down, planes.shape[2] - right
        if height > 0 and width > 0:
            equal = (planes[:, down:, right:] == planes[:, :height, :width]).all(axis=0)
            shares.append(float(equal.mean()))
    return max(shares)


def _plain(planes: NDArray[np.uint16], depth: int) -> bytes:
    """All samples one after the other, ``depth`` bits each, the highest first."""
    bits = np.unpackbits(planes.astype(">u2").reshape(-1, 1).view(np.uint8), axis=1)
    return np.packbits(bits[:, 16 - depth :]).tobytes()


def _from_plain(data: bytes, planes: int, height: int, width: int, depth: int) -> NDArray[np.uint16]:
    number = planes * height * width
    size = -(-number * depth // 8)
    bits = np.unpackbits(np.frombuffer(data, np.uint8)) if len(data) == size else np.ones(0, np.uint8)
    if len(data) != size or bits[number * depth :].any():
        raise CorruptError(
            f"{number} plain samples of {depth} bits take {size} bytes, not {len(data)}, and end in zeros"
        )
    padded = np.zeros((number, 16), np.uint8)
    padded[:, 16 - depth :] = bits[: number * depth].reshape(number, depth)
    return np.packbits(padded, axis=1).view(">u2").astype(np.uint16).reshape(planes, height, width)
