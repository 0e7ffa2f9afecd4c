"""Graphs in ONNX's own bytes: weights are joined to a graph that was written without them.

A serialised protobuf message may be cut in two: a reader merges fields that occur twice. So the bytes of a model whose
graph holds nothing but weights, put behind the bytes of a graph without weights, make the whole model. That takes a
dozen lines of protobuf's wire format, and no ONNX package (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PREFIX", "OnnxGraph", "needs", "with_weights"]

PREFIX = "weight:"
"""What a weight's name in a graph begins with, so that no value between nodes is taken for one."""

# Field numbers of onnx.proto.
_MODEL_GRAPH, _GRAPH_INITIALIZER, _NODE_INPUT = 7, 5, 1
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _FLOAT = 1, 2, 8, 9, 1


@dataclass(frozen=True)
class OnnxGraph:
    """A whole graph with its weights: what ``open_graph`` compiles. ``name`` is for messages."""

    name: str
    content: bytes


def needs(graph: bytes, name: str) -> bool:
    """Whether a node of the serialised ``graph`` has the weight ``name`` as an input."""
    return _field(_NODE_INPUT, f"{PREFIX}{name}".encode()) in graph


def with_weights(graph: bytes, weights: Mapping[str, NDArray[Any]]) -> bytes:
    """The serialised ``graph`` with these weights, in float32."""
    tensors = b"".join(_field(_GRAPH_INITIALIZER, _tensor(f"{PREFIX}{name}", array)) for name, array in weights.items())
    return graph + _field(_MODEL_GRAPH, tensors)


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    dims = b"".join(_number(_TENSOR_DIMS, side) for side in array.shape)
    raw = np.ascontiguousarray(array, dtype="<f4").tobytes()
    return dims + _number(_TENSOR_TYPE, _FLOAT) + _field(_TENSOR_NAME, name.encode()) + _field(_TENSOR_RAW, raw)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data
