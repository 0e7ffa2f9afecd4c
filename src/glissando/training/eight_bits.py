"""A graph whose largest layers multiply 8-bit integers, made from one in float32 and from training pictures.

Processors with instructions for it (VNNI) multiply 8-bit integers several times as fast as real numbers. An encoder may
use that: what rounding does to latents that are rounded afterwards costs next to no bits. A decoder may not, for all
that rounding does is seen (docs/real-time.md measures both).

What runs so are the four pointwise layers of each depth-conv block. The stream that they read and add to stays float32,
as do the layer in front and the one behind. A layer's inputs are rounded to 256 levels between the least and the
largest value that training pictures bring. Some channels are a hundred times as large as others, and would leave those
no level at all; so each is divided by a factor of its own first, and the weights that read it are multiplied by it. The
factor is the channel's range to the power α, over what its weights reach to the power 1 − α (SmoothQuant, Xiao et al.,
arXiv 2211.10438, equation 4). Weights have a step for each output channel.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glissando.errors import TrainingError
from glissando.networks.layers import DepthConvBlock
from glissando.onnx_graph import PREFIX
from glissando.zoo.model import graph_file, in_eight_bits

from .graph_export import graph_folder, run_graph

__all__ = ["PICTURES", "Rounding", "rounded", "roundings", "write_in_eight_bits"]

PICTURES = 24
"""How many training pictures say which values a layer reads."""
SMOOTHING = 0.9  # of 0.4 to 1, the one that changes the default model's latents least; 0.75 to 0.9 hardly differ
FACTORS_PER_OCTAVE = 8  # few different numbers make a small file; whole octaves would cost 0.3 % of the bits
CHANGED = 0.1  # of the outputs' root mean square: more than rounding can do to what a working network computes
TINY = 1e-6  # the least range that counts, of channels that no picture uses


@dataclass(frozen=True, eq=False)
class Rounding:
    """How a layer computes in 8-bit integers.

    Attributes:
        factors: (inputs,) float32: what each input channel is divided by, and the weights that read it multiplied.
        step, zero: an input x, divided by its factor, becomes round(x / step) + zero, from 0 to 255.
        steps: (outputs,) float32: the step of each output channel's weights, which become −127 to 127 of them.
    """

    factors: NDArray[np.float32]
    step: float
    zero: int
    steps: NDArray[np.float32]

    @classmethod
    def of(cls, weight: Tensor, lowest: Tensor, highest: Tensor) -> Rounding:
        """For a pointwise layer's ``weight`` (outputs, inputs, 1, 1), and the range of each input channel (inputs,)."""
        low, high = lowest.clamp_max(0), highest.clamp_min(0)
        reach = torch.maximum(-low, high).clamp_min(TINY)
        matrix = weight.detach().flatten(1)
        factors = reach**SMOOTHING / matrix.abs().amax(0).clamp_min(TINY) ** (1 - SMOOTHING)
        factors = torch.exp2((factors.log2() * FACTORS_PER_OCTAVE).round() / FACTORS_PER_OCTAVE)
        bottom, top = float((low / factors).min()), float((high / factors).max())
        step = max(top - bottom, TINY) / 255
        steps = (matrix * factors).abs().amax(1).clamp_min(TINY) / 127
        return cls(factors.float().numpy(), step, round(-bottom / step), steps.float().numpy())


@torch.no_grad()
def roundings(
    network: nn.Module, part: str, pictures: Tensor, show: Callable[[Tensor], object] | None = None
) -> dict[str, Rounding]:
    """How the layers of a network's ``part`` compute in 8-bit integers, by their weights' names in the network.

    ``part``: the name of a module, such as "analysis". ``pictures``: (N, 3, S, S) uint8, of which ``PICTURES`` are
    looked at. ``show`` makes the part see a picture (1, 3, S, S) in [0, 1]; unless given, the part takes it itself.
    """
    transform = network.get_submodule(part)
    show = show or transform
    layers = {
        f"{part}.{block}.{name}": getattr(module, name)
        for block, module in transform.named_modules()
        if isinstance(module, DepthConvBlock)
        for name in ("enter", "leave", "widen", "narrow")
    }
    ranges: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str) -> None:
        def seen(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            low, high = arguments[0].amin((0, 2, 3)), arguments[0].amax((0, 2, 3))
            if name in ranges:
                low, high = torch.minimum(low, ranges[name][0]), torch.maximum(high, ranges[name][1])
            ranges[name] = low, high

        watching.append(layers[name].register_forward_pre_hook(seen))

    watching: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for name in layers:
            watch(name)
        for picture in pictures[:: max(1, len(pictures) // PICTURES)][:PICTURES]:
            show(picture[None].float() / 255)
    finally:
        for handle in watching:
            handle.remove()
    return {f"{name}.weight": Rounding.of(layer.weight, *ranges[name]) for name, layer in layers.items()}


def rounded(graph: bytes, found: Mapping[str, Rounding]) -> bytes:
    """A serialised graph whose convolutions by these weights read rounded inputs and rounded weights.

    The graph may be without its weights (``onnx_graph``): they are rounded where it is compiled, and it stays small.
    Engines take "round and back, then multiply" for a product of integers. Raises ValueError where the graph lacks one
    of the weights.
    """
    import onnx  # a training itself does without
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(graph)
    nodes: list[onnx.NodeProto] = []
    missing = set(found)
    for node in model.graph.node:
        name = node.input[1].removeprefix(PREFIX) if node.op_type == "Conv" else ""
        if name not in found:
            nodes.append(node)
            continue
        missing.remove(name)
        rounding, source, weight = found[name], node.input[0], node.input[1]

        def constant(kind: str, value: NDArray[np.generic], name: str = name) -> str:
            model.graph.initializer.append(numpy_helper.from_array(value, f"{name}:{kind}"))
            return f"{name}:{kind}"

        inputs = [
            constant("step", np.array(rounding.step, np.float32)),
            constant("zero", np.array(rounding.zero, np.uint8)),
        ]
        weights = [
            constant("steps", rounding.steps),
            constant("zeros", np.zeros(len(rounding.steps), np.int8)),
        ]
        divisor = constant("factors", rounding.factors[None, :, None, None])
        nodes += [
            helper.make_node("Div", [source, divisor], [f"{name}:divided"]),
            helper.make_node("QuantizeLinear", [f"{name}:divided", *inputs], [f"{name}:levels"]),
            helper.make_node("DequantizeLinear", [f"{name}:levels", *inputs], [f"{name}:rounded"]),
            helper.make_node("Mul", [weight, divisor], [f"{name}:multiplied"]),
            helper.make_node("QuantizeLinear", [f"{name}:multiplied", *weights], [f"{name}:numbers"], axis=0),
            helper.make_node("DequantizeLinear", [f"{name}:numbers", *weights], [f"{name}:weights"], axis=0),
        ]
        node.input[0], node.input[1] = f"{name}:rounded", f"{name}:weights"
        nodes.append(node)
    if missing:
        raise ValueError(f"the graph has no convolution by {sorted(missing)[0]}")
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def write_in_eight_bits(name: str, found: Mapping[str, Rounding], picture: Tensor, folder: Path) -> None:
    """Write the graph ``name`` of a model's ``folder`` a second time, in 8-bit integers, and compare the two.

    ``picture``: (3, S, S) uint8, S a multiple of 64, on which they are compared. Raises TrainingError where they differ
    by more than rounding explains.
    """
    place, new = graph_folder(name, folder), in_eight_bits(name)
    graph = rounded(gzip.decompress((place / graph_file(name)).read_bytes()), found)
    (place / graph_file(new)).write_bytes(gzip.compress(graph, mtime=0))
    pixels = {"pixels": picture.permute(1, 2, 0)[None].numpy()}
    before, after = run_graph(name, folder, pixels), run_graph(new, folder, pixels, as_written=True)
    for expected, values in zip(before, after, strict=True):
        change = float(np.sqrt(np.square(values - expected).mean() / max(np.square(expected).mean(), TINY)))
        if not change <= CHANGED:
            raise TrainingError(f"graph {new} differs from {name} by {change:.1%} of what it computes")
