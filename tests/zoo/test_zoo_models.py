"""Models: opened by name or folder; what does not fit together is refused before it decodes a picture."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_models import change_card, copy_model, decoder_hash, read_card, seal

import glissando
from glissando import zoo
from glissando.errors import InputError, ModelMismatchError, UnknownModelError
from glissando.families.gains import scales
from glissando.onnx_graph import needs
from glissando.zoo.arrays import Stepped, read_arrays
from glissando.zoo.identity import HASH_BYTES

FILES = ("integers.npz", "decoder.npz", "decode.onnx.gz", "decode-8bit.onnx.gz")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The shipped model in a folder of its own."""
    return copy_model("medium", tmp_path / "copy")


def read_all(folder: Path) -> None:
    """Open a model and read whatever decoding needs."""
    codec = glissando.open_model(folder)
    for name in ("decode", "decode-8bit"):
        zoo.find(folder).graph(name)
    assert codec.card.hash


def test_the_shipped_model_and_its_card_agree() -> None:
    model = zoo.find("medium")
    card = model.card
    assert card.name == "medium"
    assert decoder_hash(model.folder) == card.hash
    assert len(bytes.fromhex(card.hash)) == HASH_BYTES
    assert card.licence
    assert card.summary
    assert card.created[:4].isdigit()
    assert 0 < card.decode_kmac_per_pixel <= 12
    assert 0 < card.parameters <= 8_000_000
    assert card.bytes == sum(file.stat().st_size for file in model.folder.rglob("*") if file.is_file())
    assert card.training["recipe"]["network"]["levels"] >= 8
    assert zoo.find_hash(bytes.fromhex(card.hash)).folder == model.folder
    assert card in zoo.models()
    model.check()


def test_shipped_models_are_small() -> None:
    assert sum(card.bytes for card in zoo.models() if card.source == "package") <= 15e6


def test_shipped_weights_are_whole_numbers_of_steps_and_integers_are_integers() -> None:
    model = zoo.find("medium")
    for file in (model.folder / "decoder.npz", model.encoder().folder / "encoder.npz"):
        arrays = read_arrays(file)
        matrices = [array for array in arrays.values() if isinstance(array, Stepped)]
        rest = [array for array in arrays.values() if not isinstance(array, Stepped)]
        assert sum(each.symbols.size for each in matrices) > 20 * sum(array.size for array in rest)
        assert all(np.isfinite(each.values).all() for each in matrices)
        assert all(array.dtype in (np.float16, np.float32) and np.isfinite(array).all() for array in rest)
    assert {array.dtype.kind for array in model.integers.values()} <= set("iu")


@pytest.mark.parametrize("name", [card.name for card in zoo.models()])
def test_a_decoder_holds_nothing_that_decoding_does_not_use(name: str) -> None:
    """What only training needs to resume lies with the encoder, outside of the model's hash."""
    model = zoo.find(name)
    graphs = [gzip.decompress(path.read_bytes()) for path in model.folder.glob("*.onnx.gz")]
    unused = {key for key in model.weights if not any(needs(graph, key) for graph in graphs)}
    vectors = {"means_offset.table", "synthesis_factor.table", "synthesis_offset.table", "deviation", "log2_step"}
    assert unused <= vectors


def test_a_models_gains_are_within_what_the_arithmetic_is_made_for() -> None:
    """entropy.dequantise: within ±16 octaves; a scale network that its bounds prove exact."""
    integers = zoo.find("medium").integers
    assert np.abs(integers["hyper_gain"]).max() <= 16 * 256
    layers = {name: (integers[f"scales.{name}.weight"], integers[f"scales.{name}.bias"]) for name in scales.LAYERS}
    assert max(scales.ScaleNetwork.check_bounds(layers).values()) < 2**24


def test_a_folder_is_a_model(copy: Path, codec: Any) -> None:
    opened = glissando.open_model(copy, backend="openvino", precision="f32", threads=1)
    pixels = np.zeros((20, 30, 3), np.uint8)
    assert opened.encode(pixels, 50) == codec.encode(pixels, 50)
    assert glissando.open_model(str(copy)).card.hash == codec.card.hash


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("where", [0, 0.3, 0.7, -1])
def test_a_changed_byte_is_noticed(copy: Path, file: str, where: float) -> None:
    path = copy / file
    content = bytearray(path.read_bytes())
    content[int(where * len(content)) if where >= 0 else -1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelMismatchError, match=r"medium.*hash.*reinstall"):
        read_all(copy)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("change", ["missing", "empty", "cut", "longer", "a folder"])
def test_a_damaged_file_is_noticed(copy: Path, file: str, change: str) -> None:
    path = copy / file
    content = path.read_bytes()
    path.unlink()
    if change == "a folder":
        path.mkdir()
    elif change != "missing":
        path.write_bytes({"empty": b"", "cut": content[:-100], "longer": content + b"\0"}[change])
    with pytest.raises(ModelMismatchError):
        read_all(copy)


@pytest.mark.parametrize("file", ["integers.npz", "decoder.npz", "encoder.npz", "decode.onnx.gz", "analysis.onnx.gz"])
@pytest.mark.parametrize("content", [b"PK rubbish", b"", b"\x1f\x8b\x08\x00 rubbish"])
def test_files_that_cannot_be_read(copy: Path, file: str, content: bytes) -> None:
    """Whatever the card says of them."""
    path = next(copy.rglob(file))
    path.write_bytes(content)
    change_card(path.parent, files=zoo.model.checksums(path.parent))
    model = zoo.find(copy)
    with pytest.raises(ModelMismatchError, match=file.replace(".", r"\.")):
        model.graph("decode" if path.parent == copy else "analysis")


def test_a_card_of_another_model_is_noticed(copy: Path) -> None:
    """Before anything is decoded or encoded."""
    change_card(copy, hash="0123456789abcdef")
    opened = glissando.open_model(copy, threads=1)
    pixels = np.zeros((20, 30, 3), np.uint8)
    with pytest.raises(ModelMismatchError, match="0123456789abcdef"):
        opened.encode(pixels)
    with pytest.raises(ModelMismatchError, match="0123456789abcdef"):
        opened.engine.model.graph("decode")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"5", b"null", b"{}", b'{"name": "x"}', b'{"hash": "00"}', b"\xff\xfe", b'"card"']
)
def test_a_broken_card_is_named(copy: Path, content: bytes) -> None:
    (copy / "card.json").write_bytes(content)
    with pytest.raises(ModelMismatchError, match="model copy: its card cannot be read"):
        glissando.open_model(copy)


@pytest.mark.parametrize(
    "values", [{"name": 5}, {"hash": None}, {"files": []}, {"versions": {}}, {"bf16_quality": "all"}, {"encoder": 1}]
)
def test_a_card_with_values_of_other_types(copy: Path, values: dict[str, Any]) -> None:
    change_card(copy, **values)
    with pytest.raises(ModelMismatchError, match="its card cannot be read"):
        glissando.open_model(copy)


@pytest.mark.parametrize("blocks", [None, "two", ...])
def test_a_configuration_that_gives_no_halo(copy: Path, blocks: Any) -> None:
    configuration = {**read_card(copy)["configuration"], "synthesis_blocks": blocks}
    seal(copy, configuration={k: v for k, v in configuration.items() if v is not ...})
    with pytest.raises(ModelMismatchError, match="configuration"):
        glissando.open_model(copy).encode(np.zeros((8, 8, 3), np.uint8))


def test_a_card_may_know_more_than_this_version(copy: Path) -> None:
    change_card(copy, invented_later=[1, 2])
    assert glissando.open_model(copy).name == "medium"


@pytest.mark.parametrize("name", ["large", "Medium", "medium/", "../medium", "/nowhere", "a\0b", "card.json"])
def test_an_unknown_name_lists_the_installed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownModelError, match=r"installed: .*medium"):
        glissando.open_model(name)


def test_no_name_is_an_error() -> None:
    with pytest.raises(InputError, match="empty"):
        glissando.open_model("")


# --- Decoder and encoders --------------------------------------------------------------------------------------------


def test_nothing_of_the_encoders_is_needed_to_decode(copy: Path, codec: Any, natural: Any) -> None:
    import shutil

    pixels = natural(70, 90)
    data = codec.encode(pixels, 50)
    shutil.rmtree(copy / "encoders")
    decoder = glissando.open_model(copy, backend="openvino", precision="f32", threads=1)
    np.testing.assert_array_equal(decoder.decode(data), codec.decode(data))
    with pytest.raises(UnknownModelError, match=r"model medium has no encoder 'default'.*can only decode"):
        decoder.encode(pixels, 50)


def test_encoders_have_cards_of_their_own(copy: Path) -> None:
    import shutil

    shutil.copytree(copy / "encoders" / "default", copy / "encoders" / "slow")
    change_card(copy / "encoders" / "slow", kmac_per_pixel=99.0, bf16_quality=10.0, scores={"Kodak": "better"})
    model = zoo.find(copy)
    assert list(model.card.encoders) == ["default", "slow"]
    assert model.encoder().card.name == "default"
    slow = model.encoder("slow")
    assert (slow.card.kmac_per_pixel, slow.card.scores) == (99.0, {"Kodak": "better"})
    assert slow.graph("analysis").content == model.graph("analysis").content
    assert model.card.encode_kmac_per_pixel == model.encoder().card.kmac_per_pixel != 99.0
    before = model.card.hash
    assert seal(copy, encoder="slow") == before
    model = zoo.find(copy)
    assert model.encoder() is model.encoder("slow")
    assert (model.card.encode_kmac_per_pixel, model.card.bf16_encode_quality) == (99.0, 10.0)
    with pytest.raises(UnknownModelError, match=r"no encoder 'fast'; installed: default, slow"):
        model.encoder("fast")


def test_a_changed_encoder_is_noticed_when_it_encodes(copy: Path, codec: Any) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    data = codec.encode(pixels, 50)
    path = copy / "encoders" / "default" / "encoder.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    opened = glissando.open_model(copy, backend="openvino", precision="f32", threads=1)
    np.testing.assert_array_equal(opened.decode(data), codec.decode(data))
    with pytest.raises(ModelMismatchError, match=r"encoder default of model medium: encoder\.npz.*reinstall"):
        opened.encode(pixels, 50)


def test_an_encoder_of_another_card_is_noticed(copy: Path) -> None:
    change_card(copy / "encoders" / "default", hash="0123456789abcdef")
    with pytest.raises(ModelMismatchError, match=r"encoder default.*0123456789abcdef"):
        zoo.find(copy).check_encoder()


def test_encoders_are_chosen_by_name(tmp_path: Path) -> None:
    """A second encoder, here a copy of the first, makes files for the same decoder."""
    folder = tmp_path / "model"
    shutil.copytree(zoo.find("medium").folder, folder)
    shutil.copytree(folder / "encoders" / "default", folder / "encoders" / "other")
    pixels = np.full((20, 30, 3), 99, np.uint8) + np.arange(30, dtype=np.uint8)[None, :, None]
    with glissando.open_model(folder, encoder="other") as other, glissando.open_model(folder) as usual:
        assert other.card.encoder == "other"
        assert usual.card.encoder == "default"
        assert other.card.hash == usual.card.hash
        data = other.encode(pixels, 50)
        assert data == usual.encode(pixels, 50)
        assert np.array_equal(usual.decode(data), glissando.open_model("medium").decode(data))
    (folder / "encoders" / "other" / "encoder.npz").write_bytes(b"")
    with glissando.open_model(folder, encoder="other") as broken, pytest.raises(ModelMismatchError, match="other"):
        broken.encode(pixels, 50)
    with pytest.raises(UnknownModelError, match=r"no encoder 'best'; installed: default, other"):
        glissando.open_model(folder, encoder="best")
    with pytest.raises(UnknownModelError, match=r"no encoder 'best'; installed: default"):
        glissando.encode(pixels, encoder="best")
