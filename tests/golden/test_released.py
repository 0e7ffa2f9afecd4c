"""Files last: what a released version made, all later ones decode. ``released/decoders.json`` says how it is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glissando
from glissando import zoo
from glissando.errors import GlissandoError, UnknownModelError

HERE = Path(__file__).parent
LISTED = json.loads((HERE / "released" / "decoders.json").read_text(encoding="utf-8"))
RELEASED: list[dict[str, Any]] = LISTED["decoders"]
BACKENDS = ("openvino", "onnxruntime")


def check_released(decoder: dict[str, Any], folder: Path, backend: str) -> None:
    """Decode a released decoder's files, and compare with their pixels. Raises AssertionError, OSError, or ours."""
    model = zoo.find_hash(bytes.fromhex(decoder["hash"]))
    assert model.card.source == "package", f"{decoder['name']} is not in the package any more"
    assert decoder["files"], f"{decoder['name']} has no files"
    for name in decoder["files"]:
        data = (folder / f"{name}.gliss").read_bytes()
        codec = glissando.open_for(data, backend=backend, precision="f32", threads=1)
        assert codec.card.hash == decoder["hash"], f"{name}.gliss is of another decoder"
        with Image.open(folder / f"{name}.png") as picture:
            expected = np.asarray(picture)
        difference = np.abs(codec.decode(data).astype(int) - expected)
        assert difference.max() <= 1, f"{name}.gliss decodes differently"
        assert (difference > 0).mean() < 0.01, f"{name}.gliss decodes differently"


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_released_decoder_decodes_its_files(backend: str) -> None:
    for decoder in RELEASED:
        check_released(decoder, HERE / "released", backend)


def test_every_golden_file_of_a_release_is_listed() -> None:
    listed = {f"{name}.{kind}" for decoder in RELEASED for name in decoder["files"] for kind in ("gliss", "png")}
    assert {path.name for path in (HERE / "released").iterdir()} == listed | {"decoders.json"}


@pytest.fixture
def decoder(tmp_path: Path) -> dict[str, Any]:
    """A shipped model as if it had been released, with one file in ``tmp_path``."""
    card = zoo.find("medium").card
    for kind in ("gliss", "png"):
        shutil.copy(HERE / f"medium-30.{kind}", tmp_path / f"{card.hash}-30.{kind}")
    return {"name": "medium", "hash": card.hash, "released": "0", "files": [f"{card.hash}-30"]}


def test_the_check_accepts_what_is_whole(decoder: dict[str, Any], tmp_path: Path) -> None:
    check_released(decoder, tmp_path, "openvino")


def test_the_check_notices_what_is_lost(
    decoder: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssertionError, match="no files"):
        check_released({**decoder, "files": []}, tmp_path, "openvino")
    with pytest.raises(UnknownModelError):
        check_released({**decoder, "hash": "0" * 16}, tmp_path, "openvino")
    other = zoo.find("vae").card.hash
    with pytest.raises(AssertionError, match="of another decoder"):
        check_released({**decoder, "hash": other}, tmp_path, "openvino")
    (name,) = decoder["files"]
    picture = tmp_path / f"{name}.png"
    with Image.open(picture) as image:
        pixels = np.asarray(image).copy()
    pixels[3, 5] ^= 8
    Image.fromarray(pixels).save(picture)
    with pytest.raises(AssertionError, match="decodes differently"):
        check_released(decoder, tmp_path, "openvino")
    picture.unlink()
    with pytest.raises(OSError, match=picture.name):
        check_released(decoder, tmp_path, "openvino")
    (tmp_path / f"{name}.gliss").write_bytes(b"")
    with pytest.raises(GlissandoError):
        check_released(decoder, tmp_path, "openvino")
    # A model of the user's own does not stand in for one that the package has lost.
    monkeypatch.setattr(zoo.registry, "_PACKAGE", tmp_path / "nothing")
    monkeypatch.setenv("GLISSANDO_MODELS", str(Path(zoo.__file__).parent))
    with pytest.raises(AssertionError, match="not in the package"):
        check_released(decoder, tmp_path, "openvino")
