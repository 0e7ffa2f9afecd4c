"""A stream of planes: weights, choices of tables and symbols (docs/format.md, "Planes").

Every sample is predicted by a weighted sum of what is known around it, and how large the error will be by another one.
The weights are found for these very planes (``fitting``) and stand in the stream. The expected error chooses the
context of an error, and each context has a table that suits it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import ans
from glissando.bitstream.fields import Cursor

from .fitting import best_choices, fit
from .header import Header
from .pyramid import GRID, KINDS, Pyramid, Samples, Stage, predictor_size, spread_size
from .symbols import Pass, decoded, encoded
from .tables import plane_tables
from .weights import Weights, context_of, contexts, default_predictor, default_spread, predicted

__all__ = ["decode_stream", "encode_stream", "sample_type"]

_COARSE = 4
"""Stages of this distance and of larger ones have the same weights."""


def sample_type(depth: int) -> type[np.uint8 | np.uint16]:
    """The type that samples of so many bits have here: 1 to 16."""
    return np.uint8 if depth <= 8 else np.uint16


def encode_stream(planes: NDArray[np.unsignedinteger], depth: int) -> bytes:
    """Planes (planes, height, width) of ``depth`` bits to bytes. None of the sides may be 0."""
    planes = planes.astype(sample_type(depth), copy=False)
    weights = [
        [(np.zeros(predictor_size(k), np.int16), np.zeros(spread_size(k), np.int16)) for k in range(len(planes))]
        for _ in range(KINDS)
    ]
    # The coarsest stages share their weights, which are therefore found first. They hold a sixteenth of all samples.
    for stage in Pyramid(planes, depth).stages(until=_COARSE):
        _code_stage(stage, weights[stage.kind], depth, find=stage.distance == _COARSE)
    passes = [
        one
        for stage in Pyramid(planes, depth).stages()
        for one in _code_stage(stage, weights[stage.kind], depth, find=stage.distance < _COARSE)
    ]
    choices = best_choices(passes, (len(planes), contexts(depth)))
    header = Header(planes[:, ::GRID, ::GRID].astype(np.uint16), weights, choices)
    return header.write() + encoded(passes, choices)


def decode_stream(data: bytes, planes: int, height: int, width: int, depth: int) -> Samples:
    """The planes that ``encode_stream`` was given, uint8 of up to 8 bits, or uint16.

    Raises FormatError where the bytes are damaged.
    """
    cursor = Cursor(data)
    header = Header.read(cursor, planes, height, width, depth)
    decoder = ans.Decoder(cursor.data[cursor.offset :], plane_tables())
    samples = np.zeros((planes, height, width), sample_type(depth))
    samples[:, ::GRID, ::GRID] = header.grid
    for stage in Pyramid(samples, depth).stages():
        for plane, weights in enumerate(header.weights[stage.kind]):
            prediction, context = _expected(stage, plane, weights, depth)
            errors = np.empty_like(prediction)
            found = decoded(decoder, _counted(context, depth), header.choices[plane])
            errors.reshape(-1)[_sorted(context)] = found.astype(errors.dtype)
            known = stage.samples[plane] = (prediction + errors) & errors.dtype.type((1 << depth) - 1)
            stage.put(plane, known, _magnitudes(_signed(errors, depth)))
    decoder.finish()
    return samples


def _code_stage(stage: Stage, weights: list[tuple[Weights, Weights]], depth: int, *, find: bool) -> list[Pass]:
    """The errors of each plane's samples in a stage. ``find``: fit the weights to these samples first."""
    passes = []
    for plane, samples in enumerate(stage.samples):
        known = np.ascontiguousarray(samples)
        if find:
            weights[plane] = fit(stage, plane)
        prediction, context = _expected(stage, plane, weights[plane], depth)
        errors = _signed(known - prediction, depth)
        stage.put(plane, known, _magnitudes(errors))
        passes.append(Pass(plane, errors.reshape(-1)[_sorted(context)], _counted(context, depth)))
    return passes


def _expected(
    stage: Stage, plane: int, weights: tuple[Weights, Weights], depth: int
) -> tuple[Samples, NDArray[np.uint8]]:
    """The predictions of a plane's samples, (rows, columns), and the contexts of their errors, (rows·columns,)."""
    predictor, spread = weights
    if not predictor.any():
        predictor = default_predictor(plane)
    if not spread.any():
        spread = default_spread(plane)
    prediction, context = (
        np.ascontiguousarray(numbers.reshape(stage.rows, stage.pitch)[:, : stage.columns])
        for numbers in (
            predicted(stage.features[: len(predictor)], predictor, depth).astype(sample_type(depth)),
            context_of(stage.spreads[plane], stage.errors[:plane], spread, depth),
        )
    )
    return prediction, context.reshape(-1)


def _sorted(context: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The order in which errors are coded: by context, and those of one as they come. It is a radix sort."""
    return np.argsort(context, kind="stable")


def _counted(context: NDArray[np.uint8], depth: int) -> NDArray[np.intp]:
    """How many errors each context has."""
    return np.bincount(context, minlength=contexts(depth))


def _signed(errors: Samples, depth: int) -> NDArray[np.signedinteger]:
    """Errors that are known modulo 2^depth, as those from -2^(depth - 1) on."""
    unused = 8 * errors.itemsize - depth
    signed: NDArray[np.signedinteger] = (errors << unused).view(f"i{errors.itemsize}") >> unused
    return signed


def _magnitudes(errors: NDArray[np.signedinteger]) -> Samples:
    """Magnitudes, of which the largest fits into the unsigned type."""
    magnitudes: Samples = np.abs(errors).view(f"u{errors.itemsize}")
    return magnitudes
