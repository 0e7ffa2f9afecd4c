"""Graphs in ONNX's own bytes: weights are joined to a graph that was written without them.

A serialised protobuf message may be cut in two: a reader merges fields that occur twice. So the bytes of a model whose
graph holds nothing but weights, put behind the bytes of a graph without weights, make the whole model. That takes a
dozen lines of protobuf's wire format, and no ONNX package (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PREFIX", "OnnxGraph", "cut", "input_names", "needs", "with_real_input", "with_weights"]

PREFIX = "weight:"
"""What a weight's name in a graph begins with, so that no value between nodes is taken for one."""

# Field numbers of onnx.proto.
_MODEL_GRAPH, _GRAPH_INITIALIZER, _NODE_INPUT = 7, 5, 1
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _FLOAT = 1, 2, 8, 9, 1
_GRAPH_NODE, _GRAPH_OUTPUT, _NODE_OUTPUT = 1, 12, 2
_GRAPH_INPUT, _VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _ELEMENT_TYPE, _UINT8 = 11, 1, 2, 1, 1, 2
_WIRE_VARINT, _WIRE_BYTES = 0, 2


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


def with_real_input(graph: bytes, name: str) -> bytes:
    """The serialised ``graph`` whose input ``name`` is of float32 instead of uint8.

    The graph must turn the input into real numbers itself: what it does before that, such as moving pixels about, is
    alike for both types, and what turns them then changes nothing. Raises ValueError where it has no such input, or
    is damaged.
    """
    changed = bytearray(graph)
    wanted = name.encode()
    for whole in _parts(graph, 0, len(graph), _MODEL_GRAPH):
        for value in _parts(graph, *whole, _GRAPH_INPUT):
            if wanted not in (graph[start:stop] for start, stop in _parts(graph, *value, _VALUE_NAME)):
                continue
            for of_type in _parts(graph, *value, _VALUE_TYPE):
                for tensor in _parts(graph, *of_type, _TYPE_TENSOR):
                    for at, _ in _parts(graph, *tensor, _ELEMENT_TYPE):
                        if graph[at] == _UINT8:
                            changed[at] = _FLOAT
                            return bytes(changed)
    raise ValueError(f"the graph has no input {name!r} of uint8")


def cut(graph: bytes, layer: str, *, behind: bool) -> bytes:
    """The beginning of the serialised ``graph``, up to a layer; its one output, of float32, is what the layer takes.

    ``layer``: the name of its weights, such as "synthesis.leave.weight". With ``behind`` the layer is the last node of
    the new graph, and the output what it gives. Inputs that no remaining node reads are left out. Raises ValueError
    where no node has these weights, or the graph is damaged.
    """
    changed = bytearray()
    output = b""
    read: set[bytes] = set()
    for field, whole, value in _fields(graph, 0, len(graph)):
        if field != _MODEL_GRAPH:
            changed += graph[slice(*whole)]
            continue
        inside, declared = bytearray(), []
        for inner, inner_whole, node in _fields(graph, *value):
            if inner == _GRAPH_NODE and not output:
                inputs = [graph[slice(*part)] for part in _parts(graph, *node, _NODE_INPUT)]
                if f"{PREFIX}{layer}".encode() in inputs:
                    results = [graph[slice(*part)] for part in _parts(graph, *node, _NODE_OUTPUT)]
                    output = results[0] if behind else inputs[0]
                    if not behind:
                        continue
                read.update(inputs)
            elif inner in (_GRAPH_NODE, _GRAPH_OUTPUT):  # nodes stand in the order in which they are computed
                continue
            elif inner == _GRAPH_INPUT:
                declared.append((inner_whole, node))
                continue
            inside += graph[slice(*inner_whole)]
        for value_whole, value in declared:
            if any(graph[slice(*name)] in read for name in _parts(graph, *value, _VALUE_NAME)):
                inside += graph[slice(*value_whole)]
        changed += _field(_MODEL_GRAPH, bytes(inside))
    if not output:
        raise ValueError(f"no node of the graph has the weights {layer!r}")
    of_floats = _field(_VALUE_TYPE, _field(_TYPE_TENSOR, _number(_ELEMENT_TYPE, _FLOAT)))
    return bytes(changed) + _field(_MODEL_GRAPH, _field(_GRAPH_OUTPUT, _field(_VALUE_NAME, output) + of_floats))


def input_names(graph: bytes) -> list[str]:
    """The names of the inputs that the serialised ``graph`` declares. Raises ValueError where it is damaged."""
    return [
        graph[slice(*name)].decode()
        for whole in _parts(graph, 0, len(graph), _MODEL_GRAPH)
        for value in _parts(graph, *whole, _GRAPH_INPUT)
        for name in _parts(graph, *value, _VALUE_NAME)
    ]


def _parts(data: bytes, start: int, stop: int, field: int) -> Iterator[tuple[int, int]]:
    """Where the values of a field of a message lie, which itself lies from ``start`` to ``stop``."""
    return (value for number, _, value in _fields(data, start, stop) if number == field)


def _fields(data: bytes, start: int, stop: int) -> Iterator[tuple[int, tuple[int, int], tuple[int, int]]]:
    """The fields of a message that lies from ``start`` to ``stop``: number, where all of it lies, and its value."""
    while start < stop:
        begin = start
        key, start = _read_varint(data, start)
        wire = key & 7
        if wire == _WIRE_BYTES:
            length, start = _read_varint(data, start)
            end = start + length
        elif wire == _WIRE_VARINT:
            _, end = _read_varint(data, start)
        else:
            end = start + (8 if wire == 1 else 4)
        yield key >> 3, (begin, end), (start, end)
        start = end


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for shift in itertools.count(0, 7):
        if at >= len(data):
            raise ValueError("the graph is cut short")
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            break
    return value, at


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
