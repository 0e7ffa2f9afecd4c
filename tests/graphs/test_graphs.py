"""Graphs built node by node: every rule of differentiation against finite differences, and what has no rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from glissando.graphs import Builder, gradients
from glissando.runtime import open_graph

SHAPE = (1, 4, 6, 8)
RANDOM = np.random.default_rng(0)
FILTERS = RANDOM.normal(size=(6, 4, 3, 5)) / 8
DEPTHWISE = RANDOM.normal(size=(4, 1, 3, 3))
OTHER = RANDOM.normal(size=SHAPE)


def _other(graph: Builder) -> str:
    return graph.constant(OTHER)


def _leaky(graph: Builder, x: str) -> str:
    return graph.add_node("LeakyRelu", x, alpha=0.1)


def _split(graph: Builder, x: str) -> str:
    first, _, _, last = graph.split(x, 4, axis=1)
    return graph.multiply(graph.multiply(first, first), last)


def _flipped(graph: Builder, x: str) -> str:
    return graph.add_node("Gather", x, graph.constant([2, 0, 3, 1], np.int64), axis=1)


def _straight_through(graph: Builder, x: str) -> str:
    """Twice x, of which one half counts as constant."""
    return graph.add(x, graph.fixed(x))


RULES: dict[str, Callable[[Builder, str], str]] = {
    "sums": lambda g, x: g.subtract(g.add(x, _other(g)), g.multiply(x, -2.5)),
    "product with itself": lambda g, x: g.multiply(x, x),
    "product": lambda g, x: g.multiply(g.add(x, 1.0), g.multiply(x, _other(g))),
    "ratio": lambda g, x: g.divide(g.multiply(x, 0.3), g.add(g.multiply(x, x), 1.0)),
    "negative": lambda g, x: g.add_node("Neg", g.multiply(x, x)),
    "magnitude": lambda g, x: g.add_node("Abs", x),
    "power": lambda g, x: g.power(g.add(g.multiply(x, x), 0.5), 1 / 3),
    "sigmoid": lambda g, x: g.add_node("Sigmoid", x),
    "maximum": lambda g, x: g.add_node("Max", x, g.constant(0.2)),
    "clip": lambda g, x: g.clip(x, -0.4, 0.6),
    "rectified": lambda g, x: g.add_node("Relu", x),
    "leaky": _leaky,
    "mean": lambda g, x: g.multiply(g.mean(g.multiply(x, x), 2, 3), x),
    "transposed": lambda g, x: g.multiply(g.transpose(x, 0, 2, 3, 1), g.transpose(g.multiply(x, x), 0, 2, 3, 1)),
    "concatenated": lambda g, x: g.concatenate([g.multiply(x, x), x, _other(g)], 1),
    "split": _split,
    "first rows": lambda g, x: g.multiply(g.part(x, 2, 0, 3), 2.0),
    "last columns": lambda g, x: g.multiply(g.part(x, 3, -3, np.iinfo(np.int64).max), 2.0),
    "middle": lambda g, x: g.part(g.multiply(x, x), 3, 2, 7),
    "gathered": lambda g, x: g.multiply(_flipped(g, x), x),
    "halved": lambda g, x: g.add_node("AveragePool", g.multiply(x, x), kernel_shape=[2, 2], strides=[2, 2]),
    "depth to space": lambda g, x: g.power(
        g.add(g.add_node("DepthToSpace", g.multiply(x, x), blocksize=2, mode="CRD"), 0.1), 0.5
    ),
    "filtered": lambda g, x: g.convolve(g.multiply(x, x), FILTERS, np.ones(6)),
    "filtered by channel": lambda g, x: g.convolve(x, DEPTHWISE, groups=4),
    "half": _straight_through,
}


@pytest.mark.parametrize("name", list(RULES))
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    for kink in (-0.4, 0.0, 0.2, 0.6):  # no difference below crosses one
        x += np.float32(0.03) * np.sign(x - np.float32(kink)) * (np.abs(x - np.float32(kink)) < 0.03)
    graph = Builder()
    value = RULES[name](graph, graph.input("x", SHAPE))
    run = open_graph(graph.finished({"value": value}, "test"), precision="f32")
    weights = np.random.default_rng(2).normal(size=run(x=x)[0].shape)
    graph = Builder()
    value = RULES[name](graph, graph.input("x", SHAPE))
    (slope,) = gradients(graph, graph.total(graph.multiply(value, graph.constant(weights))), ["x"])
    (found,) = open_graph(graph.finished({"slope": slope}, "test"), precision="f32")(x=x)
    assert found.shape == SHAPE
    step = np.float32(1e-2)
    for seed in range(4):
        direction = np.random.default_rng(10 + seed).choice([-1, 1], SHAPE).astype(np.float32)
        up, down = (
            float((run(x=x + sign * step * direction)[0].astype(np.float64) * weights).sum()) for sign in (1, -1)
        )
        expected = (up - down) / (2 * float(step))
        if name == "half":
            expected /= 2
        assert float((found * direction).sum()) == pytest.approx(
            expected, rel=2e-2, abs=0.02 * float(np.abs(found).sum()) ** 0.5
        )


def test_what_does_not_depend_on_a_value_has_no_gradient() -> None:
    graph = Builder()
    x, y = graph.input("x", SHAPE), graph.input("y", SHAPE)
    total = graph.total(graph.multiply(x, graph.add_node("Floor", y)))
    slopes = gradients(graph, total, [x, y])
    found = open_graph(graph.finished({"x.slope": slopes[0], "y.slope": slopes[1]}, "test"), precision="f32")
    by_x, by_y = found(x=np.ones(SHAPE, np.float32), y=np.full(SHAPE, 2.5, np.float32))
    assert (by_x == 2).all()
    assert (by_y == 0).all()


@pytest.mark.parametrize(
    "build",
    [
        lambda g, x: g.add_node("Tanh", x),
        lambda g, x: g.add_node("DepthToSpace", x, blocksize=2, mode="DCR"),
        lambda g, x: g.add_node("AveragePool", x, kernel_shape=[3, 3], strides=[3, 3]),
        lambda g, x: g.add_node("Conv", x, g.constant(DEPTHWISE), group=4, strides=[2, 2], kernel_shape=[3, 3]),
    ],
)
def test_nodes_without_a_rule_are_named(build: Callable[[Builder, str], str]) -> None:
    graph = Builder()
    total = graph.total(build(graph, graph.input("x", SHAPE)))
    with pytest.raises(NotImplementedError, match=r"differentiated"):
        gradients(graph, total, ["x"])


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_both_engines_run_what_is_built(backend: str) -> None:
    pytest.importorskip(backend)
    graph = Builder()
    x = graph.input("x", SHAPE)
    total = graph.total(graph.multiply(x, x))
    (slope,) = gradients(graph, total, [x])
    run = open_graph(graph.finished({"total": total, "slope": slope}, "test"), backend=backend)
    ones = np.ones(SHAPE, np.float32)
    (found, by) = run(x=ones)
    assert found.tolist() == [192.0]
    np.testing.assert_array_equal(by, 2 * ones)
