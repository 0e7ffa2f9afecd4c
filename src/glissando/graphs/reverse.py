"""Reverse-mode differentiation of ONNX graphs: nodes that compute a value's gradient, behind the nodes that compute it.

Each kind of node has a rule that turns the gradient by its output into the gradients by its inputs. The gradient of a
convolution is a convolution with the same weights, turned about, so that a model's decoder is differentiated without
any weights but its own, and without the package that trained it. Only what lies between the value and what it is
differentiated by gets nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx

from .builder import Builder, attributes_of

__all__ = ["gradients"]

Rule = Callable[[Builder, onnx.NodeProto, str, list[bool]], Sequence[str | None]]
"""From the graph, a node, the gradient by its output, and which inputs matter, to the gradients by its inputs."""

_NOT_DIFFERENTIATED = frozenset({"Shape", "Floor", "Round", "Greater", "Less", "Cast", "Sign", "Equal"})
_BROADCASTING = frozenset({"Add", "Sub", "Mul", "Div", "Max"})
_TINY = 1e-30


def gradients(graph: Builder, of: str, by: Sequence[str]) -> list[str]:
    """Values of the gradients of ``of``, which has one element, by each of ``by``. Floor and Round count as constant.

    Raises NotImplementedError for a kind of node that has no rule.
    """
    reached = set(by)
    path: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if node.op_type in _NOT_DIFFERENTIATED or node.output[0] in graph.held_fixed:
            continue
        if reached.intersection(node.input):
            reached.update(node.output)
            path.append(node)
    shapes = graph.shapes()
    found: dict[str, list[str]] = {of: [graph.constant([1.0])]}
    for node in reversed(path):
        parts = found.pop(node.output[0], None)
        if node.op_type == "Split":
            parts = _joined(graph, node, [parts, *(found.pop(name, None) for name in node.output[1:])])
        if parts is None:
            continue  # nothing that ``of`` depends on
        rule = _RULES.get(node.op_type)
        if rule is None:
            raise NotImplementedError(f"nodes of the kind {node.op_type} cannot be differentiated")
        matters = [name in reached for name in node.input]
        for name, part in zip(node.input, rule(graph, node, graph.add(*parts), matters), strict=False):
            if part is not None and name in reached:
                if node.op_type in _BROADCASTING:
                    part = _summed(graph, part, name, node.output[0], shapes)
                found.setdefault(name, []).append(part)
    return [graph.add(*found[name]) if name in found else graph.multiply(name, 0.0) for name in by]


def _summed(graph: Builder, part: str, operand: str, result: str, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The gradient by an operand, which arithmetic repeats along the axes where it has one element: the sum over them.

    Where shapes are not known yet, the graph itself finds these axes.
    """
    if operand in shapes and result in shapes:
        pairs = zip(shapes[operand], shapes[result], strict=True)
        axes = [axis for axis, (own, side) in enumerate(pairs) if own != side]
        return graph.add_node("ReduceSum", part, graph.integers(*axes), keepdims=1) if axes else part
    equal = graph.add_node("Equal", graph.add_node("Shape", operand), graph.add_node("Shape", result))
    repeated = graph.add_node("NonZero", graph.add_node("Not", equal))
    axes_found = graph.add_node("Reshape", repeated, graph.integers(-1))
    return graph.add_node("ReduceSum", part, axes_found, keepdims=1, noop_with_empty_axes=1)


# Arithmetic ---------------------------------------------------------------------------------------------------------


def _add(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    return gradient, gradient


def _subtract(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    return gradient, graph.add_node("Neg", gradient) if matters[1] else None


def _multiply(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    a, b = node.input
    if a == b:
        return graph.multiply(gradient, graph.multiply(a, 2.0)), None
    return (graph.multiply(gradient, b) if matters[0] else None, graph.multiply(gradient, a) if matters[1] else None)


def _divide(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    by_dividend = graph.divide(gradient, node.input[1])
    by_divisor = graph.add_node("Neg", graph.multiply(by_dividend, node.output[0])) if matters[1] else None
    return by_dividend, by_divisor


def _negative(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    return (graph.add_node("Neg", gradient),)


def _absolute(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    return (graph.multiply(gradient, graph.add_node("Sign", node.input[0])),)


def _log(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    return (graph.divide(gradient, node.input[0]),)


def _exponential(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    return (graph.multiply(gradient, node.output[0]),)


def _sigmoid(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    out = node.output[0]
    return (graph.multiply(gradient, out, graph.subtract(1.0, out)),)


def _max(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    """Of a value and a constant: the gradient where the value is the greater."""
    value, bound = node.input
    return _where(graph, graph.add_node("Greater", value, bound), gradient), None


def _clip(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    inside = graph.add_node("Equal", node.input[0], node.output[0])
    return (_where(graph, inside, gradient),)


def _where(graph: Builder, places: str, gradient: str) -> str:
    return graph.add_node("Where", places, gradient, graph.constant(0.0))


def _leaky(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    """The slope is a number of either 1 or α: the input, made steep without bound, and cut off at both."""
    alpha = attributes_of(node).get("alpha", 0.01)
    return (graph.multiply(gradient, graph.clip(graph.multiply(node.input[0], 1 / _TINY), alpha, 1.0)),)


def _rectified(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    return (graph.multiply(gradient, graph.clip(graph.multiply(node.input[0], 1 / _TINY), 0.0, 1.0)),)


# Sums and places ----------------------------------------------------------------------------------------------------


def _sum(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    return graph.add_node("Expand", gradient, graph.add_node("Shape", node.input[0])), None


def _mean(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    def count(value: str) -> str:
        sides = graph.add_node("ReduceProd", graph.add_node("Shape", value), keepdims=0)
        return graph.add_node("Cast", sides, to=onnx.TensorProto.FLOAT)

    share = graph.divide(count(node.output[0]), count(node.input[0]))
    shape = graph.add_node("Shape", node.input[0])
    return graph.add_node("Expand", graph.multiply(gradient, share), shape), None


def _identity(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    return (gradient,)


def _reshape(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    return graph.add_node("Reshape", gradient, graph.add_node("Shape", node.input[0])), None


def _transpose(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    order = attributes_of(node)["perm"]
    return (graph.transpose(gradient, *(int(axis) for axis in np.argsort(order))),)


def _concatenate(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    axis, start, parts = attributes_of(node)["axis"], graph.integers(0), []
    for name, wanted in zip(node.input, matters, strict=True):
        size = graph.add_node("Gather", graph.add_node("Shape", name), graph.integers(axis))
        stop = graph.add_node("Add", start, size)
        parts.append(graph.add_node("Slice", gradient, start, stop, graph.integers(axis)) if wanted else None)
        start = stop
    return parts


def _joined(graph: Builder, node: onnx.NodeProto, parts: Sequence[list[str] | None]) -> list[str] | None:
    """The gradient by what a node splits, from those by the pieces, of which some may have none."""
    if all(part is None for part in parts):
        return None
    pieces = [
        graph.multiply(name, 0.0) if part is None else graph.add(*part)
        for name, part in zip(node.output, parts, strict=True)
    ]
    return [graph.concatenate(pieces, attributes_of(node)["axis"])]


def _part(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    """Of a slice along one axis, with steps of 1: zeros before and behind it."""
    value, start, _, axis = node.input
    whole, own = (graph.add_node("Gather", graph.add_node("Shape", name), axis) for name in (value, node.output[0]))
    first = int(graph.constants[start][0])
    before = graph.integers(first) if first >= 0 else graph.add_node("Add", whole, start)
    behind = graph.add_node("Sub", graph.add_node("Sub", whole, own), before)
    pads = graph.concatenate([before, behind], 0)
    return graph.add_node("Pad", gradient, pads, graph.constant(0.0), axis), None, None, None


def _depth_to_space(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    """Space to depth, in the order of a pixel shuffle: of a channel c, place (i, j) is channel c·b² + i·b + j."""
    attributes = attributes_of(node)
    if attributes.get("mode") != b"CRD":
        raise NotImplementedError("only a DepthToSpace in the order CRD can be differentiated")
    b = attributes["blocksize"]
    shape = graph.add_node("Shape", node.input[0])
    rows, columns = (graph.add_node("Gather", shape, graph.integers(axis)) for axis in (2, 3))
    channels = graph.add_node("Div", graph.add_node("Gather", shape, graph.integers(1)), graph.integers(b * b))
    one, side = graph.integers(1), graph.integers(b)
    apart = graph.concatenate([one, channels, rows, side, columns, side], 0)
    moved = graph.transpose(graph.add_node("Reshape", gradient, apart), 0, 1, 3, 5, 2, 4)
    return (graph.add_node("Reshape", moved, shape),)


def _gather(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    """Of constant places that are a permutation: the places that undo it."""
    axis, places = attributes_of(node).get("axis", 0), graph.constants[node.input[1]]
    return graph.add_node("Gather", gradient, graph.constant(np.argsort(places), np.int64), axis=axis), None


def _average(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    """Of means of 2×2 pixels, where all sides are even: a quarter of the gradient to each of the four."""
    attributes = attributes_of(node)
    if attributes["kernel_shape"] != [2, 2] or attributes["strides"] != [2, 2]:
        raise NotImplementedError("of all means of pixels only those of 2×2 can be differentiated")
    apart = graph.add_node("Unsqueeze", graph.multiply(gradient, 0.25), graph.integers(3, 5))
    four = graph.add_node("Expand", apart, graph.integers(1, 1, 1, 2, 1, 2))
    return (graph.add_node("Reshape", four, graph.add_node("Shape", node.input[0])),)


# Convolutions -------------------------------------------------------------------------------------------------------


def _convolution(graph: Builder, node: onnx.NodeProto, gradient: str, matters: list[bool]) -> Sequence[str | None]:
    """Of one with steps of 1: a convolution with the filters turned about, inputs and outputs exchanged."""
    attributes, weight = attributes_of(node), graph.constants[node.input[1]]
    groups, pads = attributes.get("group", 1), attributes.get("pads", [0, 0, 0, 0])
    if set(attributes.get("strides", [1])) | set(attributes.get("dilations", [1])) != {1}:
        raise NotImplementedError("a convolution with steps cannot be differentiated")
    outputs, inputs, rows, columns = weight.shape
    turned = weight.reshape(groups, outputs // groups, inputs, rows, columns).swapaxes(1, 2)[..., ::-1, ::-1]
    turned = turned.reshape(groups * inputs, outputs // groups, rows, columns)
    sides = [rows, columns, rows, columns]
    return (
        graph.add_node(
            "Conv",
            gradient,
            graph.constant(np.ascontiguousarray(turned)),
            group=groups,
            pads=[side - 1 - pad for side, pad in zip(sides, pads, strict=True)],
            kernel_shape=[rows, columns],
        ),
        None,
        None,
    )


_RULES: dict[str, Rule] = {
    "Add": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
    "Neg": _negative,
    "Abs": _absolute,
    "Log": _log,
    "Exp": _exponential,
    "Sigmoid": _sigmoid,
    "Max": _max,
    "Clip": _clip,
    "LeakyRelu": _leaky,
    "Relu": _rectified,
    "ReduceSum": _sum,
    "ReduceMean": _mean,
    "Identity": _identity,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Concat": _concatenate,
    "Split": _identity,
    "Slice": _part,
    "Gather": _gather,
    "AveragePool": _average,
    "DepthToSpace": _depth_to_space,
    "Conv": _convolution,
}
