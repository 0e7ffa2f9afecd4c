"""A stream of planes: weights, choices of tables and symbols (docs/format.md, "Planes").

Every sample is predicted by a weighted sum of what is known around it, and how large the error will be by another one.
The weights are found for these very planes (``fitting``) and stand in the stream. The expected error chooses the
context of an error, and each context has a table that suits it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import ans
from glissando.bitstream.fields import Cursor, Number
from glissando.errors import CorruptError

from .fitting import best_choices, fit
from .pyramid import CLASSES, Pyramid, Stage, predictor_size, spread_size
from .tables import CHOICES, low_bits_of, plane_tables, raw_tables, table_of
from .weights import context_of, contexts, default_predictor, default_spread, predicted

__all__ = ["decode_stream", "encode_stream"]

Floats = NDArray[np.float32]
Weights = NDArray[np.int16]

HEADER_LENGTH = Number("header_length", "varint", 1, 1 << 16, "length of the deflated header in bytes")


@dataclass(frozen=True)
class _Header:
    """What a stream says of its planes.

    Attributes:
        corners: uint16 (planes,), the first samples.
        weights: of each kind of stage, for each plane those of the prediction and those of the expected error.
        choices: uint8 (planes, contexts): how the errors of each context are coded.
    """

    corners: NDArray[np.uint16]
    weights: list[list[tuple[Weights, Weights]]]
    choices: NDArray[np.uint8]

    def pack(self) -> bytes:
        parts = [self.corners.astype("<u2").tobytes()]
        parts += [array.astype("<i2").tobytes() for kind in self.weights for pair in kind for array in pair]
        packer = zlib.compressobj(9, wbits=-15)
        return packer.compress(b"".join([*parts, self.choices.tobytes()])) + packer.flush()

    @classmethod
    def unpack(cls, data: bytes, planes: int, depth: int) -> _Header:
        """Raises CorruptError where the bytes are no header of so many planes of this depth."""
        sizes = [size for plane in range(planes) for size in (predictor_size(plane), spread_size(plane))]
        whole = 2 * planes + 2 * CLASSES * sum(sizes) + planes * contexts(depth)
        unpacker = zlib.decompressobj(-15)
        try:
            raw = unpacker.decompress(data, whole + 1)
        except zlib.error as error:
            raise CorruptError(f"the header of planes cannot be inflated: {error}") from error
        if len(raw) != whole or not unpacker.eof or unpacker.unused_data:
            raise CorruptError(f"the header of planes does not inflate to {whole} bytes")
        corners = np.frombuffer(raw, "<u2", planes)
        numbers = np.frombuffer(raw, "<i2", CLASSES * sum(sizes), 2 * planes).astype(np.int16)
        arrays = iter(np.split(numbers, np.cumsum(sizes * CLASSES)[:-1]))
        weights = [[(next(arrays), next(arrays)) for _ in range(planes)] for _ in range(CLASSES)]
        choices = np.frombuffer(raw, np.uint8, offset=whole - planes * contexts(depth)).reshape(planes, -1)
        if int(corners.max()) >> depth or choices.max() >= CHOICES:
            raise CorruptError(
                f"planes of {depth} bits begin with {corners.max()}, or have a context of choice {choices.max()}"
            )
        return cls(corners, weights, choices)


@dataclass(frozen=True)
class _Pass:
    """The errors of one plane in one stage, int32 (n,), and the context of each, uint8 (n,)."""

    plane: int
    errors: NDArray[np.int32]
    contexts: NDArray[np.uint8]


def encode_stream(planes: NDArray[np.uint16], depth: int) -> bytes:
    """Planes (planes, height, width) of ``depth`` bits to bytes. None of the sides may be 0."""
    weights = [
        [(_zeros(predictor_size(k)), _zeros(spread_size(k))) for k in range(len(planes))] for _ in range(CLASSES)
    ]
    # The coarsest stages share their weights, which are therefore found first. They hold a sixteenth of all samples.
    for distance, stage, samples in _known_stages(planes, depth, until=_COARSE):
        _code_stage(stage, samples, weights, depth, find=distance == _COARSE)
    passes = [
        one
        for distance, stage, samples in _known_stages(planes, depth)
        for one in _code_stage(stage, samples, weights, depth, find=distance < _COARSE)
    ]
    choices = best_choices(
        [one.errors for one in passes],
        [one.contexts for one in passes],
        [one.plane for one in passes],
        (len(planes), contexts(depth)),
    )
    header = _Header(planes[:, 0, 0], weights, choices).pack()
    coded = (
        part for one in reversed(passes) for part in reversed(_coded(one.errors, choices[one.plane][one.contexts]))
    )
    tables = plane_tables()
    stream = ans.encode_reversed((symbols, index, tables) for symbols, index in coded)
    return HEADER_LENGTH.write(len(header)) + header + stream


def decode_stream(data: bytes, planes: int, height: int, width: int, depth: int) -> NDArray[np.uint16]:
    """The planes that ``encode_stream`` was given. Raises FormatError where the bytes are damaged."""
    cursor = Cursor(data)
    header = _Header.unpack(bytes(cursor.take(HEADER_LENGTH.read(cursor), "header of planes")), planes, depth)
    decoder = ans.Decoder(cursor.data[cursor.offset :], plane_tables())
    middle = 1 << (depth - 1)
    pyramid = Pyramid(header.corners.astype(np.float32) - middle, height, width)
    for _, stage in pyramid.stages():
        for plane in range(planes):
            prediction, context = _expected(*stage.look(plane), *header.weights[stage.kind][plane], plane, depth)
            errors = _decoded(decoder, header.choices[plane][context])
            values = _wrapped(prediction.astype(np.int32) + errors, depth)
            magnitudes = np.abs(_wrapped(errors, depth))
            stage.put(plane, values.astype(np.float32), magnitudes.astype(np.float32))
    decoder.finish()
    return np.stack([(plane + middle).astype(np.uint16) for plane in pyramid.planes])


def _wrapped(numbers: NDArray[np.int32], depth: int) -> NDArray[np.int32]:
    """Numbers modulo 2^depth, as those from -2^(depth - 1) to 2^(depth - 1) - 1."""
    half = 1 << (depth - 1)
    return ((numbers + half) & (2 * half - 1)) - half


def _expected(
    features: Floats, spreads: Floats, predictor: Weights, spread: Weights, plane: int, depth: int
) -> tuple[Floats, NDArray[np.uint8]]:
    """The predictions of a plane's samples, and the contexts of their errors, from what ``Stage.look`` gives."""
    if not predictor.any():
        predictor = default_predictor(plane)
    if not spread.any():
        spread = default_spread(plane)
    return predicted(features, predictor, depth), context_of(spreads, spread, depth)


# Encoding -----------------------------------------------------------------------------------------------------------

_COARSE = 4
"""Stages of this distance and of larger ones have the same weights."""


def _zeros(size: int) -> Weights:
    return np.zeros(size, np.int16)


def _known_stages(planes: NDArray[np.uint16], depth: int, until: int = 1) -> Iterator[tuple[int, Stage, list[Floats]]]:
    """The stages of planes with their distance and their samples, centred on zero, of each plane."""
    middle = 1 << (depth - 1)
    pyramid = Pyramid(planes[:, 0, 0].astype(np.float32) - middle, *planes.shape[1:])
    for distance, stage in pyramid.stages(until):
        dense = planes[:, ::distance, ::distance]
        yield distance, stage, [stage.samples(plane).astype(np.float32) - middle for plane in dense]


def _code_stage(
    stage: Stage, samples: list[Floats], weights: list[list[tuple[Weights, Weights]]], depth: int, *, find: bool
) -> list[_Pass]:
    """The errors of each plane's samples in a stage. ``find``: fit the weights to these samples first."""
    passes = []
    for plane, values in enumerate(samples):
        known = stage.look(plane)
        if find:
            weights[stage.kind][plane] = fit(*known, values, plane)
        prediction, context = _expected(*known, *weights[stage.kind][plane], plane, depth)
        errors = _wrapped((values - prediction).astype(np.int32), depth)
        stage.put(plane, values, np.abs(errors).astype(np.float32))
        passes.append(_Pass(plane, errors, context))
    return passes


# Errors to symbols, and back ----------------------------------------------------------------------------------------

_TABLES = table_of(np.arange(CHOICES, dtype=np.uint8))
_LOW_BITS = low_bits_of(np.arange(CHOICES, dtype=np.uint8))


def _coded(errors: NDArray[np.int32], choice: NDArray[np.uint8]) -> list[tuple[NDArray[np.int32], NDArray[np.int16]]]:
    """The passes of the coder: high parts, and after them the low bits of those that have some."""
    low = _LOW_BITS[choice]
    if not low.any():
        return [(errors, _TABLES[choice])]
    noisy = np.flatnonzero(low)
    bits = low[noisy]
    lowest = errors[noisy] & ((1 << bits) - 1)
    return [(errors >> low, _TABLES[choice]), (lowest - (1 << (bits - 1)), raw_tables(bits))]


def _decoded(decoder: ans.Decoder, choice: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The errors that ``_coded`` was given."""
    errors = decoder.decode(_TABLES[choice]).astype(np.int32)
    low = _LOW_BITS[choice]
    if low.any():
        noisy = np.flatnonzero(low)
        bits = low[noisy]
        lowest = decoder.decode(raw_tables(bits)) + (1 << (bits - 1))
        errors[noisy] = (errors[noisy] << bits) + lowest
    return errors
