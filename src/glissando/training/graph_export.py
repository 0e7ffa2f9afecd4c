"""Graphs for inference engines: written without their weights, which a model keeps in files of their own."""

from __future__ import annotations

import gzip
import logging
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glissando.errors import TrainingError
from glissando.networks.graphs import ExportedGraph
from glissando.onnx_graph import PREFIX, needs, with_weights
from glissando.zoo.arrays import read_arrays, values_of
from glissando.zoo.model import DECODER, ENCODER, graph_file

__all__ = ["ENCODER_FOLDER", "Examples", "compare_graph", "graph_folder", "run_graph", "write_graph"]

ENCODER_FOLDER = Path("encoders", "default")
"""The folder in a model for what only its encoder needs."""

Examples = Mapping[str, tuple[Tensor, dict[int, Any] | None]]
"""Inputs by name: an example, and which of its sides may have any length."""


def graph_folder(name: str, folder: Path) -> Path:
    """Where in a model's ``folder`` the graph ``name`` lies: a decoder's graphs lie beside the card."""
    return folder if name.startswith("decode") else folder / ENCODER_FOLDER


def write_graph(
    name: str, module: ExportedGraph, examples: Examples, folder: Path, weights: Collection[str]
) -> list[str]:
    """Write a graph into the model's ``folder``, without the initializers that have names in ``weights``.

    Returns the names of the weights that it uses.
    """
    arguments = [examples[key] for key in module.inputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module.eval(),
            tuple(value for value, _ in arguments),
            dynamo=True,
            input_names=list(module.inputs),
            output_names=list(module.outputs),
            dynamic_shapes=tuple(dims for _, dims in arguments),
            opset_version=18,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for value in model.graph.input:
        if value.name in module.broadcast:  # torch would fix these sides at 1, as no other input has them
            for side, dimension in enumerate(value.type.tensor_type.shape.dim[1:3]):
                dimension.dim_param = f"{value.name}_{side}"
    names = {}
    for tensor in list(model.graph.initializer):
        key = tensor.name.removeprefix("means.").removeprefix("network.")
        if key in weights:  # the others are shapes and constants of a few bytes, which stay in the graph
            names[tensor.name] = key
            model.graph.initializer.remove(tensor)
    for node in model.graph.node:
        for number, value in enumerate(node.input):
            if value in names:
                node.input[number] = f"{PREFIX}{names[value]}"
    del model.graph.value_info[:]
    model.doc_string = ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:]
    place = graph_folder(name, folder)
    place.mkdir(parents=True, exist_ok=True)
    content = model.SerializeToString(deterministic=True)
    (place / graph_file(name)).write_bytes(gzip.compress(content, mtime=0))
    return sorted(names.values())


def run_graph(
    name: str, folder: Path, values: Mapping[str, NDArray[Any]], *, as_written: bool = False
) -> list[NDArray[Any]]:
    """The outputs of the written graph ``name`` for these inputs; ``as_written``: node by node, none of them joined."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    graph = gzip.decompress((graph_folder(name, folder) / graph_file(name)).read_bytes())
    files = (folder / DECODER, folder / ENCODER_FOLDER / ENCODER)
    arrays = {key: array for file in files for key, array in read_arrays(file).items() if needs(graph, key)}
    content = with_weights(graph, {key: values_of(array) for key, array in arrays.items()})
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    found: list[NDArray[Any]] = session.run(None, dict(values))
    return found


@torch.no_grad()
def compare_graph(name: str, module: ExportedGraph, values: Mapping[str, NDArray[Any]], folder: Path) -> float:
    """The largest difference between the written graph and torch.

    Whole numbers (symbols, 8-bit pixels) may differ by one in 1 % of the positions, as ties may round either way. Real
    numbers may differ by the graph's ``tolerance`` times the largest of them, or times 1 where all are smaller. Raises
    TrainingError where they differ more.
    """
    found = run_graph(name, folder, {key: values[key] for key in module.inputs})
    expected = module.eval()(*(torch.from_numpy(values[key]) for key in module.inputs))
    expected = expected if isinstance(expected, tuple) else (expected,)
    worst = 0.0
    for left, right in zip(found, expected, strict=True):
        gap = np.abs(left.astype(np.float64) - right.numpy().astype(np.float64))
        allowed = 1.0 if module.rounded else module.tolerance * max(1.0, float(np.abs(left).max()))
        share = float((gap > 0).mean()) if module.rounded else 0.0
        worst = max(worst, float(gap.max()))
        if gap.max() > allowed or share > 0.01:
            raise TrainingError(f"graph {name} differs from torch by {gap.max():.3g} ({share:.2%} of the values)")
    return worst
