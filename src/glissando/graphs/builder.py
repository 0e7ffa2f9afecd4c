"""Computations as ONNX graphs, written node by node in Python.

The values of a graph under construction are names; each method adds a node and returns the name of what it computes.
Graphs that exist, such as a model's decoder, are inlined. The package ``onnx`` writes and reads the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from glissando.onnx_graph import OnnxGraph

__all__ = ["OPSET", "Builder", "attributes_of"]

OPSET = 18
_IR_VERSION = 10

_TYPES = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8}


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name, as Python's own values."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


class Builder:
    """A graph under construction.

    Attributes:
        nodes: in the order in which they compute.
        constants: arrays by the name of their value.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._scalars: dict[tuple[str, Any], str] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self.held_fixed: set[str] = set()
        self._number = 0

    # Values -------------------------------------------------------------------------------------------

    def input(self, name: str, shape: Sequence[int | str], kind: str = "float32") -> str:
        """An input of the graph; sides that may be any are named in ``shape``."""
        self._inputs.append(helper.make_tensor_value_info(name, _TYPES[kind], shape))
        return name

    def constant(self, array: ArrayLike, dtype: Any = np.float32) -> str:
        """An array that the graph holds."""
        value = np.asarray(array, dtype)
        if value.ndim == 0:
            key = (value.dtype.str, value.item())
            if key not in self._scalars:
                self._scalars[key] = self._held(value)
            return self._scalars[key]
        return self._held(value)

    def _held(self, value: NDArray[Any]) -> str:
        name = self._new("constant")
        self.constants[name] = value
        return name

    def integers(self, *values: int) -> str:
        """A vector of integers: a shape, axes or places."""
        return self.constant(values, np.int64)

    def _new(self, kind: str) -> str:
        self._number += 1
        return f"{kind}.{self._number}"

    # Nodes --------------------------------------------------------------------------------------------

    def add_node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Any node of one output, by ONNX's name of its kind."""
        name = self._new(kind)
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _value(self, value: str | float) -> str:
        return value if isinstance(value, str) else self.constant(value)

    def add(self, *terms: str | float) -> str:
        return self._chain("Add", terms)

    def multiply(self, *factors: str | float) -> str:
        return self._chain("Mul", factors)

    def _chain(self, kind: str, values: Iterable[str | float]) -> str:
        names = [self._value(value) for value in values]
        total = names[0]
        for name in names[1:]:
            total = self.add_node(kind, total, name)
        return total

    def subtract(self, a: str | float, b: str | float) -> str:
        return self.add_node("Sub", self._value(a), self._value(b))

    def divide(self, a: str | float, b: str | float) -> str:
        return self.add_node("Div", self._value(a), self._value(b))

    def power(self, x: str, exponent: float) -> str:
        """Positive numbers to a power, as e^(p·ln x), since engines are slow at powers."""
        return self.add_node("Exp", self.multiply(self.add_node("Log", x), exponent))

    def clip(self, x: str, low: float, high: float) -> str:
        return self.add_node("Clip", x, self.constant(low), self.constant(high))

    def fixed(self, x: str) -> str:
        """``x`` itself, which counts as constant where gradients are taken."""
        name = self.add_node("Identity", x)
        self.held_fixed.add(name)
        return name

    def total(self, x: str) -> str:
        """The sum of all elements, shape (1,)."""
        flat = self.add_node("Reshape", x, self.integers(-1))
        return self.add_node("ReduceSum", flat, self.integers(0), keepdims=1)

    def mean(self, x: str, *axes: int) -> str:
        """Means over axes, which stay, with one element."""
        return self.add_node("ReduceMean", x, self.integers(*axes), keepdims=1)

    def concatenate(self, parts: Sequence[str], axis: int) -> str:
        return self.add_node("Concat", *parts, axis=axis)

    def part(self, x: str, axis: int, start: int, stop: int) -> str:
        """The elements ``start`` to ``stop`` along an axis; ``stop`` may be negative, counted from the end."""
        return self.add_node("Slice", x, *(self.integers(number) for number in (start, stop, axis)))

    def split(self, x: str, count: int, axis: int) -> list[str]:
        """So many equal pieces along an axis."""
        names = [self._new("Split") for _ in range(count)]
        self.nodes.append(helper.make_node("Split", [x], names, axis=axis, num_outputs=count))
        return names

    def transpose(self, x: str, *order: int) -> str:
        return self.add_node("Transpose", x, perm=order)

    def convolve(self, x: str, weight: NDArray[Any], bias: NDArray[Any] | None = None, *, groups: int = 1) -> str:
        """A convolution at every place; outside of ``x`` (1, channels, h, w) there are zeros."""
        rows, columns = weight.shape[2:]
        inputs = [x, self.constant(weight)] + ([] if bias is None else [self.constant(bias)])
        pads = [rows // 2, columns // 2, rows // 2, columns // 2]
        return self.add_node("Conv", *inputs, group=groups, pads=pads, kernel_shape=[rows, columns])

    # Whole graphs -------------------------------------------------------------------------------------

    def inline(
        self, graph: OnnxGraph, inputs: Mapping[str, str], replace: Mapping[str, Callable[[str], str]] | None = None
    ) -> list[str]:
        """The nodes of a graph that exists, over values of this one; its outputs.

        ``replace``: by kinds of nodes, what is computed of their input instead.
        """
        inner = onnx.load_from_string(graph.content).graph
        prefix = self._new("inlined")
        names = {value.name: inputs[value.name] for value in inner.input}
        for tensor in inner.initializer:
            names[tensor.name] = self.constant(array := numpy_helper.to_array(tensor), array.dtype)
        for node in inner.node:
            if replace is not None and node.op_type in replace:
                names[node.output[0]] = replace[node.op_type](names[node.input[0]])
                continue
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            for names_of in (copy.input, copy.output):
                for index, name in enumerate(names_of):
                    if name:
                        names_of[index] = names.setdefault(name, f"{prefix}/{name}")
            copy.name = ""
            self.nodes.append(copy)
        return [names[value.name] for value in inner.output]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all values whose shapes follow from those of the inputs."""
        inferred = onnx.shape_inference.infer_shapes(self._model(self.nodes, []), data_prop=True)
        known: dict[str, tuple[int, ...]] = {name: array.shape for name, array in self.constants.items()}
        for value in (*inferred.graph.input, *inferred.graph.value_info):
            sides = value.type.tensor_type.shape.dim
            if value.type.tensor_type.HasField("shape") and all(side.HasField("dim_value") for side in sides):
                known[value.name] = tuple(side.dim_value for side in sides)
        return known

    def finished(self, outputs: Mapping[str, str], name: str) -> OnnxGraph:
        """The graph with these outputs, by the names that they are to have; ``name`` is for messages."""
        for output, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [output]))
        return OnnxGraph(name, self._model(_needed(self.nodes, outputs), list(outputs)).SerializeToString())

    def _model(self, nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> onnx.ModelProto:
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "graph",
            self._inputs,
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in outputs],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items() if name in used],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that outputs depend on, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]
