"""Models: found by name, folder or hash; what does not fit together is refused before it decodes a picture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glissando
from glissando import zoo
from glissando.errors import InputError, ModelMismatchError, UnknownModelError
from glissando.families.gains import scales
from glissando.zoo import model as model_module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The shipped model in a folder of its own."""
    return Path(shutil.copytree(zoo.find("medium").folder, tmp_path / "copy"))


def change_card(folder: Path, **values: Any) -> None:
    path = folder / "card.json"
    card = {**json.loads(path.read_text(encoding="utf-8")), **values}
    path.write_text(json.dumps({k: v for k, v in card.items() if v is not ...}), encoding="utf-8")


def test_the_shipped_model_and_its_card_agree() -> None:
    model = zoo.find("medium")
    card = model.card
    assert card.name == "medium"
    assert model_module.hash_files(model.folder).hex() == card.hash
    assert len(bytes.fromhex(card.hash)) == zoo.model.HASH_BYTES
    assert card.licence
    assert card.summary
    assert 0 < card.decode_kmac_per_pixel <= 12
    assert 0 < card.parameters <= 8_000_000
    assert card.halo % 64 == 0
    assert card.bytes == sum(file.stat().st_size for file in model.folder.iterdir())
    assert card.training["recipe"]["network"]["levels"] >= 8
    assert zoo.find_hash(bytes.fromhex(card.hash)).folder == model.folder
    assert card in zoo.models()


def test_shipped_weights_are_half_precision_and_integers_are_integers() -> None:
    folder = zoo.find("medium").folder
    for name in ("decoder.npz", "encoder.npz"):
        with np.load(folder / name) as arrays:
            assert {arrays[key].dtype for key in arrays} == {np.dtype(np.float16)}
            assert all(np.isfinite(arrays[key]).all() for key in arrays)
    assert {array.dtype.kind for array in zoo.find("medium").integers.values()} <= set("iu")


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


@pytest.mark.parametrize("file", zoo.model.HASHED)
@pytest.mark.parametrize("where", [0, 0.3, 0.7, -1])
def test_a_changed_byte_is_noticed(copy: Path, file: str, where: float) -> None:
    path = copy / file
    content = bytearray(path.read_bytes())
    content[int(where * len(content)) if where >= 0 else -1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelMismatchError, match=r"medium.*hash.*reinstall"):
        glissando.open_model(copy)


@pytest.mark.parametrize("file", zoo.model.HASHED)
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
        glissando.open_model(copy)


def test_the_hash_keeps_the_files_apart(copy: Path) -> None:
    """Bytes that move from the end of one file to the start of the next give another hash."""
    before = model_module.hash_files(copy)
    first, second = (copy / name for name in zoo.model.HASHED[:2])
    content = first.read_bytes()
    first.write_bytes(content[:-1])
    second.write_bytes(content[-1:] + second.read_bytes())
    assert model_module.hash_files(copy) != before


def test_integers_that_cannot_be_read(copy: Path) -> None:
    (copy / "integers.npz").write_bytes(b"PK rubbish")
    change_card(copy, hash=model_module.hash_files(copy).hex())
    with pytest.raises(ModelMismatchError, match=r"integers\.npz"):
        glissando.open_model(copy)


def test_a_card_of_another_model_is_noticed(copy: Path) -> None:
    change_card(copy, hash="0123456789abcdef")
    with pytest.raises(ModelMismatchError, match="0123456789abcdef"):
        glissando.open_model(copy)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"5", b"null", b"{}", b'{"name": "x"}', b'{"hash": "00"}', b"\xff\xfe", b'"card"']
)
def test_a_broken_card_is_named(copy: Path, content: bytes) -> None:
    (copy / "card.json").write_bytes(content)
    with pytest.raises(ModelMismatchError, match="model copy: its card cannot be read"):
        glissando.open_model(copy)


@pytest.mark.parametrize("halo", [0, -64, 100, ...])
def test_a_halo_that_cannot_be_right(copy: Path, halo: Any) -> None:
    change_card(copy, halo=halo)
    with pytest.raises(ModelMismatchError, match="halo"):
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


def test_nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(model_module, "_FOLDER", tmp_path)
    assert zoo.models() == []
    with pytest.raises(UnknownModelError, match="installed: none"):
        zoo.find("medium")
    with pytest.raises(UnknownModelError, match="installed: none"):
        zoo.find_hash(bytes(8))


def test_several_models_are_told_apart_by_their_hash(
    copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    twin = Path(shutil.copytree(copy, tmp_path / "twin"))
    with (twin / "decode.onnx").open("ab") as file:
        file.write(b"\0")
    change_card(twin, name="twin", hash=model_module.hash_files(twin).hex())
    monkeypatch.setattr(model_module, "_FOLDER", tmp_path)
    assert [card.name for card in zoo.models()] == ["medium", "twin"]
    for folder in (copy, twin):
        assert zoo.find_hash(model_module.hash_files(folder)).folder == folder
