"""Graphs for inference engines: written with their weights beside them, and compared with torch."""

from __future__ import annotations

import io
import logging
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glissando.errors import TrainingError
from glissando.networks.graphs import ExportedGraph

__all__ = ["WEIGHTS", "Examples", "compare_graph", "run_graph", "write_graph"]

WEIGHTS = ("decoder.npz", "encoder.npz")
"""Where a graph finds its weights, in float16."""

Examples = Mapping[str, tuple[Tensor, dict[int, Any] | None]]
"""Inputs by name: an example, and which of its sides may have any length."""


def write_graph(name: str, module: ExportedGraph, examples: Examples, folder: Path) -> None:
    """Write ``name``.onnx, its weights left in the .npz files beside it."""
    import onnx

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
        if value.name in module.broadcast:  # torch would tie these sides to 1: they follow no other input's
            for side, dimension in enumerate(value.type.tensor_type.shape.dim[1:3]):
                dimension.dim_param = f"{value.name}_{side}"
    places = {file: _array_places(folder / file) for file in WEIGHTS}
    casts = []
    for tensor in model.graph.initializer:
        key = tensor.name.removeprefix("means.").removeprefix("network.")
        file = next((f for f, arrays in places.items() if key in arrays), None)
        if file is None:
            continue  # a shape or a constant: a few bytes, kept in the graph
        offset, length = places[file][key]
        casts.append(onnx.helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=onnx.TensorProto.FLOAT))
        for data in ("raw_data", "float_data"):
            tensor.ClearField(data)
        tensor.name += ".half"
        tensor.data_type = onnx.TensorProto.FLOAT16
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for field, value in (("location", file), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=field, value=str(value))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    del model.graph.value_info[:]
    model.doc_string = ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:]
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def run_graph(name: str, folder: Path, values: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """What the written graph ``name`` answers to its inputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
    found: list[NDArray[Any]] = session.run(None, dict(values))
    return found


@torch.no_grad()
def compare_graph(name: str, module: ExportedGraph, values: Mapping[str, NDArray[Any]], folder: Path) -> float:
    """The largest difference between the written graph and torch.

    Whole numbers (symbols, 8-bit pixels) may differ by one, in 1 % of the places, as a tie may round either way. Real
    numbers may differ by the graph's ``tolerance`` of the largest, or of 1. Raises TrainingError where more does.
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


def _array_places(path: Path) -> dict[str, tuple[int, int]]:
    """Byte offset and length of each array's data in an uncompressed .npz."""
    places = {}
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            start = info.header_offset
            name_length = int.from_bytes(content[start + 26 : start + 28], "little")
            extra_length = int.from_bytes(content[start + 28 : start + 30], "little")
            member = start + 30 + name_length + extra_length
            header = io.BytesIO(content[member : member + info.file_size])
            np.lib.format.read_magic(header)
            np.lib.format.read_array_header_1_0(header)
            places[info.filename.removesuffix(".npy")] = (
                member + header.tell(),
                info.file_size - header.tell(),
            )
    return places
