"""From a checkpoint to a shipped model: integers, float16 weights, graphs, card; checked against torch."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glissando.entropy import ScaleNetwork, dequantise
from glissando.entropy.fixed_point import (
    FAMILIES,
    GAIN_BITS,
    LATE,
    SCALE_LOW,
    STEPS_PER_OCTAVE,
    TABLES,
    WEIGHT_BITS,
)
from glissando.errors import TrainingError
from glissando.models import CodecNetwork
from glissando.models.cost import halo, kmac_per_pixel
from glissando.models.graphs import GRAPHS
from glissando.models.likelihood import Likelihood
from glissando.models.scales import IntegerConv
from glissando.zoo.model import ENCODER, hash_files

from .loop import load_checkpoint
from .recipe import Recipe, from_dict

__all__ = ["export", "integer_arrays", "probability_tables"]

PRECISION_BITS = 24  # probability tables sum to 2^24
TAIL = 2.0**-17  # probability left to the escape
LARGEST_RADIUS = 2047
LARGEST_GAIN = 16  # octaves, either way
SURE = 0.002  # a symbol that differs from zero less often than this is not coded
FLOAT_TABLES = ("means_offset", "synthesis_factor", "synthesis_offset")
LEVEL_TABLES = ("gain", "inverse_gain", "scale_offset", "hyper_gain", "hyper_scale")


@torch.no_grad()
def probability_tables(likelihood: Likelihood) -> tuple[NDArray[np.uint32], NDArray[np.int32], NDArray[np.int32]]:
    """Integrate the learnt shapes over unit bins: flat frequencies, radii, each family's first table worth coding.

    Table t of a family has σ = 2^(t/8 − 4); its entries are −K … K and the escape, each at least 1, with sum 2^24.
    """
    whole = 1 << PRECISION_BITS
    edges = torch.arange(LARGEST_RADIUS + 1, dtype=torch.float64) + 0.5
    tables, radii, firsts = [], [], []
    for family in range(FAMILIES):
        weight, ratio = (shape.double() for shape in likelihood.shape(torch.tensor(family == LATE)))
        unsure = []
        for t in range(TABLES):
            sigma = torch.tensor(2.0 ** (t / STEPS_PER_OCTAVE + SCALE_LOW), dtype=torch.float64)
            below = likelihood.cdf(-edges, sigma, weight, ratio)  # below[k]: mass left of −(k + ½)
            beyond = 2 * below
            unsure.append(float(beyond[0]) > SURE)
            radius = int((beyond > TAIL).sum().clamp(max=LARGEST_RADIUS))
            side = (below[:-1] - below[1:])[:radius]  # side[k − 1]: mass of symbol k
            mass = torch.cat([side.flip(0), (1 - beyond[0])[None], side, beyond[radius][None]])
            counts = torch.clamp(torch.round(mass * whole), min=1).long()
            counts[radius] += whole - int(counts.sum())  # what rounding leaves goes to zero, the likeliest
            tables.append(counts.numpy().astype(np.uint32))
            radii.append(radius)
        firsts.append(unsure.index(True))
    return np.concatenate(tables), np.array(radii, dtype=np.int32), np.array(firsts, dtype=np.int32)


@torch.no_grad()
def integer_arrays(network: CodecNetwork) -> dict[str, NDArray[Any]]:
    """Everything that the entropy coder depends on, as integers. Raises TrainingError where one overflows."""

    def whole(values: Tensor, one: int, dtype: type[np.integer[Any]], name: str) -> NDArray[Any]:
        rounded = torch.round(values.double() * one).numpy()
        limit = np.iinfo(dtype).max
        if not np.isfinite(rounded).all() or np.abs(rounded).max() > limit:
            raise TrainingError(f"{name} reaches {np.abs(rounded).max() / one:.1f}, more than {limit / one:.1f}")
        return rounded.astype(dtype)

    arrays: dict[str, NDArray[Any]] = {}
    for name in LEVEL_TABLES:
        arrays[name] = whole(getattr(network, name).table, 1 << GAIN_BITS, np.int16, name)
        if np.abs(arrays[name]).max() > LARGEST_GAIN << GAIN_BITS:
            raise TrainingError(f"{name} reaches beyond ±{LARGEST_GAIN} octaves")
    for name, layer in network.scales.named_children():
        assert isinstance(layer, IntegerConv)
        assert layer.bias is not None
        arrays[f"scales.{name}.weight"] = whole(layer.weight, 1 << WEIGHT_BITS, np.int16, name)
        arrays[f"scales.{name}.bias"] = whole(layer.bias, layer.bias_one, np.int32, name)
    frequencies, radii, first = probability_tables(network.likelihood)
    return {
        **arrays,
        "frequencies": frequencies,
        "radii": radii,
        "first_table": np.array(first, dtype=np.int32),
    }


def half_weights(
    network: CodecNetwork,
) -> tuple[dict[str, NDArray[np.float16]], dict[str, NDArray[np.float16]]]:
    """Float16 parameters of the decoder (with everything training needs to resume) and of the encoder."""
    decoder: dict[str, NDArray[np.float16]] = {}
    encoder: dict[str, NDArray[np.float16]] = {}
    for name, value in network.state_dict().items():
        array = value.detach().cpu().numpy().astype(np.float16)
        if not np.isfinite(array).all():
            raise TrainingError(f"{name} does not fit into float16")
        ours = encoder if name.startswith(("analysis.", "hyper_analysis.")) else decoder
        ours[name] = array
    return decoder, encoder


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


def _export_graph(name: str, network: CodecNetwork, folder: Path) -> None:
    """Write ``name``.onnx, its weights left in the .npz files beside it."""
    import onnx

    kind = GRAPHS[name]
    c = network.config
    a, b = torch.export.Dim("a", min=1, max=4096), torch.export.Dim("b", min=1, max=4096)
    # Rectangular examples, so that no two dimensions are taken for the same by accident.
    rows, columns = 2, 3
    grid = {1: 4 * a, 2: 4 * b}
    examples: dict[str, tuple[Tensor, dict[int, Any] | None]] = {
        "pixels": (torch.zeros(1, 64 * rows, 64 * columns, 3, dtype=torch.uint8), {1: 64 * a, 2: 64 * b}),
        "y": (torch.zeros(1, 4 * rows, 4 * columns, c.latents), grid),
        "gain": (torch.zeros(1, 4 * rows, 4 * columns, c.latents), grid),
        "residual": (torch.zeros(1, 4 * rows, 4 * columns, c.latents), grid),
        "even": (torch.zeros(1, 4 * rows, 4 * columns, 1), grid),
        "z": (torch.zeros(1, rows, columns, c.hyper), {1: a, 2: b}),
        "inverse_gain": (torch.ones(1, 1, 1, c.latents), None),
        "means_offset": (torch.zeros(c.means_width), None),
        "synthesis_factor": (torch.ones(c.width), None),
        "synthesis_offset": (torch.zeros(c.width), None),
    }
    arguments = [examples[key] for key in kind.inputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            kind(network).eval(),
            tuple(value for value, _ in arguments),
            dynamo=True,
            input_names=list(kind.inputs),
            output_names=list(kind.outputs),
            dynamic_shapes=tuple(dims for _, dims in arguments),
            opset_version=18,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    places = {file: _array_places(folder / file) for file in ("decoder.npz", "encoder.npz")}
    casts = []
    for tensor in model.graph.initializer:
        key = tensor.name.removeprefix("means.")
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


@torch.no_grad()
def verify(network: CodecNetwork, integers: dict[str, NDArray[Any]], folder: Path) -> dict[str, float]:
    """Check the written model against torch: scale network to the last bit, graphs to a pixel level.

    Returns the largest difference of each graph. Raises TrainingError where one is too large.
    """
    import onnxruntime

    random = np.random.default_rng(0)
    c = network.config
    scales = ScaleNetwork({k.removeprefix("scales."): v for k, v in integers.items() if k.startswith("scales.")})
    symbols = random.integers(-40, 41, (4, 6, c.hyper)).astype(np.int16)
    fixed = dequantise(symbols, random.integers(-512, 512, c.hyper).astype(np.int32))
    IntegerConv.exact = True

    def planes(array: NDArray[Any], one: int) -> Tensor:
        return torch.from_numpy(array / one).float().permute(2, 0, 1)[None]

    def same(found: NDArray[np.int32], expected: Tensor, which: str) -> None:
        if not np.array_equal(found, (expected[0].permute(1, 2, 0) * 256).round().int().numpy()):
            raise TrainingError(f"the integer scale network ({which} pass) differs from the trained one")

    first = scales.first(fixed)
    same(first, network.scales.first(planes(fixed, 32)), "first")
    magnitudes = random.integers(0, 20, first.shape).astype(np.int16)
    same(
        scales.second(magnitudes, first),
        network.scales.second(planes(magnitudes, 1), planes(first, 256)),
        "second",
    )

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    rows, columns = 3, 2
    shape = (1, 4 * rows, 4 * columns)
    step = float(torch.exp2(network.inverse_gain.table[-1]).mean())
    even = ((np.arange(shape[1])[:, None] + np.arange(shape[2])) % 2 == 0).astype(np.float32)[None, :, :, None]
    values = {
        "pixels": random.integers(0, 256, (1, 64 * rows, 64 * columns, 3), dtype=np.uint8),
        "y": random.normal(size=(*shape, c.latents)).astype(np.float32),
        "z": random.integers(-3, 4, (1, rows, columns, c.hyper)).astype(np.float32),
        "gain": np.ones((*shape, c.latents), np.float32),
        "inverse_gain": np.ones((1, 1, 1, c.latents), np.float32),
        "residual": (step * random.integers(-2, 3, (*shape, c.latents))).astype(np.float32),
        "even": even,
        **{name: getattr(network, name).table[-1].numpy() for name in FLOAT_TABLES},
    }
    differences = {}
    for name, kind in GRAPHS.items():
        session = onnxruntime.InferenceSession(
            str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
        )
        found = session.run(None, {key: values[key] for key in kind.inputs})
        expected = kind(network).eval()(*(torch.from_numpy(values[key]) for key in kind.inputs))
        expected = expected if isinstance(expected, tuple) else (expected,)
        worst = 0.0
        for left, right in zip(found, expected, strict=True):
            gap = np.abs(left.astype(np.float64) - right.numpy().astype(np.float64))
            # A tie may round either way: of the symbols and pixels only a share may differ, and by one.
            allowed = 1.0 if name != "analysis" else 1e-2 * max(1.0, float(np.abs(left).max()))
            share = float((gap > 0).mean()) if name != "analysis" else 0.0
            worst = max(worst, float(gap.max()))
            if gap.max() > allowed or share > 0.01:
                raise TrainingError(f"graph {name} differs from torch by {gap.max():.3g} ({share:.2%} of the values)")
        differences[name] = worst
    return differences


def rounded_network(network: CodecNetwork, decoder: dict[str, Any], encoder: dict[str, Any]) -> CodecNetwork:
    """The network with the weights that are shipped: float16, and the scale network's own unrounded."""
    state = {name: torch.from_numpy(value.astype(np.float32)) for name, value in {**decoder, **encoder}.items()}
    exact = {name: value for name, value in network.state_dict().items() if name.startswith("scales.")}
    network.load_state_dict({**state, **exact})
    return network


def export(checkpoint: Path, out_dir: Path, scores: dict[str, Any] | None = None) -> Path:
    """Turn a checkpoint into a model folder that ``glissando.open_model`` opens; returns ``out_dir``.

    The folder appears whole: it is built beside its place and moved there. Raises TrainingError where the
    checkpoint is none, or the exported files do not compute what torch computes.
    """
    state = load_checkpoint(checkpoint)
    recipe: Recipe = from_dict(state["recipe"])
    network = CodecNetwork(recipe.network)
    network.load_state_dict(state["ema"])
    network.eval().requires_grad_(False)
    integers = integer_arrays(network)
    decoder, encoder = half_weights(network)
    network = rounded_network(network, decoder, encoder)

    out_dir.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}-", dir=out_dir.parent))
    try:
        np.savez_compressed(work / "integers.npz", **integers)  # type: ignore[arg-type]
        np.savez(work / "decoder.npz", **decoder)  # type: ignore[arg-type]
        np.savez(work / "encoder.npz", **encoder)  # type: ignore[arg-type]
        for name in GRAPHS:
            _export_graph(name, network, work)
        differences = verify(network, integers, work)
        progress = state["progress"]
        card = {
            "name": recipe.name,
            "summary": recipe.summary,
            "licence": "MIT",
            "hash": hash_files(work).hex(),
            "encoder_hash": hash_files(work, ENCODER).hex(),
            "parameters": sum(p.numel() for p in network.parameters()),
            "width": recipe.network.width,
            "halo": halo(network),
            "decode_kmac_per_pixel": round(kmac_per_pixel(network, "decode")["total"], 3),
            "encode_kmac_per_pixel": round(kmac_per_pixel(network, "encode")["total"], 3),
            "training": {
                "recipe": recipe.to_dict(),
                "recipe_hash": recipe.hash(),
                "steps": progress["step"],
                "samples": progress["samples"],
                "hours": round(progress["seconds"] / 3600, 2),
                "data": state.get("data", ""),
                "validation": progress["history"][-1] if progress["history"] else None,
                "differences_from_torch": differences,
            },
            "scores": scores or {},
        }
        (work / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        os.chmod(work, 0o755)
        if out_dir.exists():
            old = out_dir.with_name(f".{out_dir.name}-old")
            shutil.rmtree(old, ignore_errors=True)
            os.replace(out_dir, old)
            os.replace(work, out_dir)
            shutil.rmtree(old)
        else:
            os.replace(work, out_dir)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return out_dir
