"""An analysis in 8-bit integers: what is rounded, and how."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="networks are torch's: pip install glissando[train]")
pytest.importorskip("onnxruntime", reason="graphs are run by onnxruntime: pip install glissando[train]")

from onnx import TensorProto, helper  # noqa: E402

from glissando.networks.layers import DepthConvBlock  # noqa: E402
from glissando.onnx_graph import PREFIX, with_weights  # noqa: E402
from glissando.training.eight_bits import PICTURES, Rounding, rounded, roundings  # noqa: E402


def layer_graph() -> bytes:
    """One pointwise layer, whose weights are not in the graph."""
    node = helper.make_node("Conv", ["x", f"{PREFIX}layer.weight"], ["y"])
    sides = ["n", "c", "h", "w"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("x", "y")]
    graph = helper.make_graph([node], "layer", values[:1], values[1:])
    content: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    ).SerializeToString()
    return content


def run(graph: bytes, x: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def problem(seed: int, inputs: int, outputs: int) -> tuple[torch.Tensor, Any]:
    """A layer's weights and what it reads, in channels of very different sizes."""
    random = np.random.default_rng(seed)
    sizes = 10.0 ** random.uniform(-3, 2, inputs)
    x = (random.normal(size=(1, inputs, 5, 7)) * sizes[:, None, None] + 0.3 * sizes[:, None, None]).astype(np.float32)
    weight = torch.from_numpy((random.normal(size=(outputs, inputs, 1, 1)) / sizes[:, None, None]).astype(np.float32))
    return weight, x


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 5))
def test_what_is_rounded_stays_within_half_a_step(seed: int, inputs: int, outputs: int) -> None:
    weight, x = problem(seed, inputs, outputs)
    seen = torch.from_numpy(x)
    rounding = Rounding.of(weight, seen.amin((0, 2, 3)), seen.amax((0, 2, 3)))
    assert rounding.factors.shape == (inputs,)
    assert rounding.steps.shape == (outputs,)
    assert 0 <= rounding.zero <= 255
    levels = np.rint(x[0] / rounding.factors[:, None, None] / rounding.step) + rounding.zero
    assert levels.min() >= -1  # the zero is rounded as well
    assert levels.max() <= 256
    numbers = weight[:, :, 0, 0].numpy() * rounding.factors / rounding.steps[:, None]
    assert np.abs(numbers).max() == pytest.approx(127, abs=0.01)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_the_graph_computes_with_rounded_numbers(seed: int) -> None:
    weight, x = problem(seed, 4, 3)
    seen = torch.from_numpy(x)
    rounding = Rounding.of(weight, seen.amin((0, 2, 3)), seen.amax((0, 2, 3)))
    graph = rounded(layer_graph(), {"layer.weight": rounding})
    assert len(graph) < 3000  # it holds no weights
    found = run(with_weights(graph, {"layer.weight": weight.numpy()}), x)

    factors = rounding.factors[:, None, None]
    levels = np.clip(np.rint(x[0] / factors / np.float32(rounding.step)) + rounding.zero, 0, 255)
    inputs = (levels - rounding.zero) * np.float32(rounding.step)
    numbers = np.rint(weight[:, :, 0, 0].numpy() * rounding.factors / rounding.steps[:, None])
    expected = np.einsum("oi,ihw->ohw", numbers * rounding.steps[:, None], inputs)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    exact = run(with_weights(layer_graph(), {"layer.weight": weight.numpy()}), x)
    assert 0 < np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


def test_a_graph_without_the_layer_is_refused() -> None:
    weight, x = problem(1, 4, 3)
    seen = torch.from_numpy(x)
    rounding = Rounding.of(weight, seen.amin((0, 2, 3)), seen.amax((0, 2, 3)))
    with pytest.raises(ValueError, match=r"no convolution by other\.weight"):
        rounded(layer_graph(), {"other.weight": rounding})


def test_the_layers_of_blocks_are_watched() -> None:
    """The four pointwise layers of each block, over evenly chosen pictures; nothing stays hooked to the network."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.analysis = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), DepthConvBlock(8, scale=1.0))
            self.synthesis = DepthConvBlock(8)

    network, passes = Network(), []
    network.analysis[0].register_forward_hook(lambda *arguments: passes.append(1))
    pictures = torch.randint(0, 256, (2 * PICTURES + 1, 3, 16, 16), dtype=torch.uint8)
    found = roundings(network, "analysis", pictures)
    assert set(found) == {f"analysis.1.{name}.weight" for name in ("enter", "leave", "widen", "narrow")}
    assert len(passes) == PICTURES
    assert not any(module._forward_pre_hooks for module in network.modules())
    entered = network.analysis[0](pictures.float() / 255)[::2].amax((0, 2, 3))
    reach = found["analysis.1.enter.weight"]
    assert (255 - reach.zero) * reach.step * reach.factors.min() <= float(entered.detach().max()) * 1.2 + reach.step
