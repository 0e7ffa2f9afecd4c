"""A model's hash covers what its decoder computes, all of it and nothing else."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_models import change_card, copy_model, decoder_hash, read_card, seal

import glissando
from glissando import zoo
from glissando.zoo.arrays import Stepped, read_arrays, write_arrays
from glissando.zoo.identity import PIXELS, identity

ARRAYS: dict[str, Any] = {
    "integers": {"a": np.array([[1, 2]], np.int16), "b": np.array([3], np.int32)},
    "weights": {"w": np.array([[0.5, -1.0]], np.float32), "v": np.array([2.0], np.float32)},
}


def hash_of(**changes: Any) -> str:
    values = {"family": "gains", "configuration": {"width": 192, "leak": 0.1}, **ARRAYS, "pixels": PIXELS, **changes}
    return identity(**values)


def test_the_hash_is_pinned() -> None:
    """Files carry it: it may never change."""
    assert hash_of() == "80e7ceceb47746fd"


@pytest.mark.parametrize(
    "changes",
    [
        {"family": "vae"},
        {"configuration": {"width": 193, "leak": 0.1}},
        {"configuration": {"width": 192}},
        {"configuration": {"width": 192, "leak": 0.1, "more": None}},
        {"pixels": "pixels: round(65535·clamp(x, 0, 1))"},
        {"integers": {**ARRAYS["integers"], "a": np.array([[1, 3]], np.int16)}},
        {"integers": {**ARRAYS["integers"], "a": np.array([[1, 2]], np.int32)}},
        {"integers": {**ARRAYS["integers"], "a": np.array([1, 2], np.int16)}},
        {"integers": {"c": ARRAYS["integers"]["a"], "b": ARRAYS["integers"]["b"]}},
        {"integers": {"a": ARRAYS["integers"]["a"]}},
        {"weights": {**ARRAYS["weights"], "w": np.array([[0.5, np.nextafter(np.float32(-1), np.float32(0))]], "f4")}},
        {"weights": {**ARRAYS["weights"], "w": np.array([[0.5], [-1.0]], np.float32)}},
        {"weights": {"u": ARRAYS["weights"]["w"], "v": ARRAYS["weights"]["v"]}},
        {"weights": {**ARRAYS["weights"], "more": np.zeros(0, np.float32)}},
        {"integers": {}, "weights": {}},
    ],
)
def test_each_thing_that_a_decoder_computes_with_changes_the_hash(changes: dict[str, Any]) -> None:
    assert hash_of(**changes) != hash_of()


@pytest.mark.parametrize(
    "changes",
    [
        {"configuration": {"leak": 0.1, "width": 192}},
        {"integers": dict(reversed(ARRAYS["integers"].items()))},
        {"integers": {**ARRAYS["integers"], "a": np.array([[1, 2]], ">i2")}},
        {"weights": {**ARRAYS["weights"], "w": np.array([[0.5, -1.0]], np.float16)}},
        {"weights": {**ARRAYS["weights"], "w": np.asfortranarray(np.array([[0.5, -1.0]], np.float32))}},
    ],
)
def test_order_and_storage_do_not(changes: dict[str, Any]) -> None:
    assert hash_of(**changes) == hash_of()


# --- Of a model's folder ---------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return copy_model("medium", tmp_path / "copy")


def rewritten(change: Callable[[Any], None], folder: Path) -> None:
    """Change every graph of a model as another exporter might have written it."""
    onnx = pytest.importorskip("onnx", reason="rewriting a graph needs onnx")
    for path in folder.rglob("*.onnx.gz"):
        model = onnx.load_model_from_string(gzip.decompress(path.read_bytes()))
        change(model)
        path.write_bytes(gzip.compress(model.SerializeToString()))


def other_metadata(model: Any) -> None:
    model.producer_name, model.producer_version, model.doc_string = "another", "99", "words"
    model.ir_version = 10
    entry = model.metadata_props.add()
    entry.key, entry.value = "key", "value"


def other_names(model: Any) -> None:
    """Of nodes and of values between them."""
    borders = {value.name for value in (*model.graph.input, *model.graph.output, *model.graph.initializer)}
    made = {name for node in model.graph.node for name in node.output} - borders
    for number, node in enumerate(model.graph.node):
        node.name = f"another_{number}"
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                names[at] = f"another.{name}" if name in made else name


def other_order(model: Any) -> None:
    """Each node as late as those before it in the file allow: any topological order is the same graph."""
    nodes, ready, left = [], {v.name for v in (*model.graph.input, *model.graph.initializer)}, list(model.graph.node)
    made = {name for node in left for name in node.output}
    while left:
        able = [n for n, node in enumerate(left) if all(i in ready or i not in made for i in node.input)]
        node = left.pop(able[-1])
        nodes.append(node)
        ready |= set(node.output)
    assert [n.name for n in nodes] != [n.name for n in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@pytest.mark.parametrize("change", [other_metadata, other_names, other_order])
def test_another_exporters_bytes_are_the_same_model(change: Callable[[Any], None], copy: Path, codec: Any) -> None:
    graph = (copy / "decode.onnx.gz").read_bytes()
    rewritten(change, copy)
    assert (copy / "decode.onnx.gz").read_bytes() != graph
    assert seal(copy) == codec.card.hash
    opened = glissando.open_model(copy, backend="openvino", precision="f32", threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = opened.encode(pixels, 50)
    assert data == codec.encode(pixels, 50)
    assert np.abs(opened.decode(data).astype(int) - codec.decode(data)).max() <= 1


def test_the_card_and_the_encoder_are_not_hashed(copy: Path, codec: Any) -> None:
    encoder = copy / "encoders" / "default"
    arrays = read_arrays(encoder / "encoder.npz")
    name, weight = next((key, array) for key, array in arrays.items() if isinstance(array, Stepped))
    write_arrays(encoder / "encoder.npz", {**arrays, name: Stepped(weight.symbols + 1, weight.rows, weight.columns)})
    assert seal(copy, summary="other", name="other", training={}, scores={"a": 1}, licence="") == codec.card.hash
    assert read_card(encoder)["hash"] != zoo.find("medium").encoder().card.hash


@pytest.mark.parametrize("what", ["an integer", "a weight", "the configuration", "the family"])
def test_what_a_decoder_computes_is_hashed(what: str, copy: Path, codec: Any) -> None:
    if what == "the configuration":
        change_card(copy, configuration={**read_card(copy)["configuration"], "leak": 0.2})
    elif what == "the family":
        change_card(copy, family="vae")
    else:
        path = copy / ("integers.npz" if what == "an integer" else "decoder.npz")
        arrays: dict[str, Any] = read_arrays(path)
        name, weight = next((k, a) for k, a in arrays.items() if k == "gain" or isinstance(a, Stepped))
        symbols = (weight.symbols if isinstance(weight, Stepped) else weight).copy()
        symbols.flat[0] += 1
        changed = Stepped(symbols, weight.rows, weight.columns) if isinstance(weight, Stepped) else symbols
        write_arrays(path, {**arrays, name: changed})
    change_card(copy, files=zoo.model.checksums(copy))
    assert decoder_hash(copy) != codec.card.hash
    with pytest.raises(glissando.errors.ModelMismatchError, match=codec.card.hash):
        zoo.find(copy).check()
