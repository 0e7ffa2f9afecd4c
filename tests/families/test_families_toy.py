"""A new family is one new folder: a toy one is trained, exported, resumed, and codes pictures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")
for name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(name, reason=f"export needs {name}: pip install glissando[train]")

import glissando  # noqa: E402
from glissando import families  # noqa: E402
from glissando.errors import InputError, ModelMismatchError, RecipeError  # noqa: E402
from glissando.families import registry  # noqa: E402
from glissando.training import export, run  # noqa: E402
from glissando.training.checkpoints import load_checkpoint  # noqa: E402
from glissando.training.graph_export import run_graph  # noqa: E402
from glissando.training.recipe import from_dict  # noqa: E402

Pixels = NDArray[np.uint8]

RECIPE = """
family = "toy"
summary = "for a test"
[data]
crop = 64
batch = 4
[optimiser]
kind = "adamw"
[schedule]
samples = 40
warmup = 1
[run]
initial = "dct"
log_every = 5
"""


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    before = dict(registry._PACKAGES)
    families.register("toy_family")
    yield
    registry._PACKAGES.clear()
    registry._PACKAGES.update(before)


@pytest.fixture(scope="module")
def trained(registered: None, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toy.toml").write_text(RECIPE)
    return run(folder / "toy.toml", shards, folder / "out", threads=1)


@pytest.fixture(scope="module")
def exported(trained: Path) -> Path:
    return export(trained, trained.parents[1] / "model")


def test_it_is_trained(trained: Path) -> None:
    state = load_checkpoint(trained)
    assert state["progress"]["samples"] == 40
    assert state["progress"]["skipped"] == 0
    (curve,) = [row["curve"] for row in state["progress"]["history"]]
    bits, decibels = [bpp for _, bpp, _ in curve], [psnr for _, _, psnr in curve]
    assert bits == sorted(bits)
    assert decibels == sorted(decibels)
    assert decibels[-1] > 25


def test_its_training_learns(shards: Path, trained: Path, tmp_path: Path) -> None:
    """From random weights the loss falls: nothing of the start remains after a few steps."""
    recipe = tmp_path / "toy.toml"
    recipe.write_text(RECIPE.replace('"dct"', '"random"').replace("samples = 40", "samples = 120"))
    last = load_checkpoint(run(recipe, shards, tmp_path / "out", settings=["optimiser.lr=0.01"], threads=1))
    assert last["progress"]["history"][-1]["curve"][-1][2] > 15  # dB; grey pictures have less


def test_its_training_goes_on_from_a_checkpoint_and_from_a_model(
    trained: Path, exported: Path, shards: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "more.toml"
    recipe.write_text(RECIPE.replace("samples = 40", "samples = 48"))
    for source in (trained, exported):
        again = run(recipe, shards, tmp_path / source.name, resume=source, threads=1)
        assert load_checkpoint(again)["progress"]["samples"] == 48


def test_its_recipe_has_its_own_keys_and_checks() -> None:
    assert from_dict({"family": "toy", "network": {"channels": 9}}).network.channels == 9
    with pytest.raises(RecipeError, match=r"network\.channels must be in 1\.\.192"):
        from_dict({"family": "toy", "network": {"channels": 193}})
    with pytest.raises(RecipeError, match=r"run\.initial must be one of dct, random in the family toy"):
        from_dict({"family": "toy", "run": {"initial": "pca"}})
    with pytest.raises(RecipeError, match=r"unknown key 'network\.latents'"):
        from_dict({"family": "toy", "network": {"latents": 8}})


def test_both_decode_graphs_are_written_and_verified(exported: Path) -> None:
    card = glissando.open_model(exported).card
    differences = card.training["differences_from_torch"]
    assert set(differences) == {"analysis", "decode", "decode-8bit"}
    assert differences["decode"] < 1e-3
    assert card.family == "toy"
    assert card.encode_kmac_per_pixel == pytest.approx(192 * 64 / 64 / 1000)
    latents = {"latents": np.random.default_rng(1).normal(size=(1, 8, 16, 64)).astype(np.float32)}
    real, rounded = (run_graph(name, exported, latents)[0] for name in ("decode", "decode-8bit"))
    assert (real.dtype, rounded.dtype) == (np.float32, np.uint8)
    assert real.shape == rounded.shape == (1, 64, 128, 3)
    assert real.min() < 0 or real.max() > 1
    assert np.abs(np.clip(real, 0, 1) * 255 - rounded).max() <= 0.51


def test_it_codes_pictures(
    exported: Path, natural: Callable[..., Pixels], psnr: Callable[..., float], tmp_path: Path
) -> None:
    pixels = natural(150, 600, seed=3)  # two tiles
    with glissando.open_model(exported, precision="f32", threads=1) as codec:
        assert codec.pixels_per_latent == 8
        found: list[Any] = []
        for quality in (0, 50, 95):
            data = codec.encode(pixels, quality)
            decoded = codec.decode(data)
            assert decoded.shape == pixels.shape
            found.append((len(data), psnr(decoded, pixels)))
            assert len(data) <= 1.01 * codec.ideal_bits(pixels, quality) / 8 + 100
        assert found == sorted(found)
        assert found[-1][1] > 30
        with pytest.raises(InputError, match="takes no map of importance"):
            codec.encode(pixels, 50, importance="auto")
        grey = codec.decode(codec.encode(pixels[..., 1], 80))
        assert grey.shape == pixels.shape[:2]


def test_decoding_with_it_imports_no_torch(exported: Path, natural: Callable[..., Pixels], tmp_path: Path) -> None:
    pixels = natural(70, 90, seed=2)
    with glissando.open_model(exported, precision="f32", threads=1) as codec:
        data = codec.encode(pixels, 60)
        expected = codec.decode(data)
    (tmp_path / "a.gliss").write_bytes(data)
    code = (
        "import sys, numpy as np, glissando\n"
        "from pathlib import Path\n"
        "glissando.families.register('toy_family')\n"
        f"codec = glissando.open_model({str(exported)!r}, precision='f32', threads=1)\n"
        f"np.save({str(tmp_path / 'a.npy')!r}, codec.decode(Path({str(tmp_path / 'a.gliss')!r}).read_bytes()))\n"
        "assert 'torch' not in sys.modules"
    )
    code = "import glissando.families\n" + code
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)


def test_names_and_packages_are_checked() -> None:
    assert families.register("toy_family") is families.family("toy")  # again: nothing changes
    assert "toy" in [family.name for family in families.families()]
    with pytest.raises(InputError, match="cannot be used as a family"):
        families.register("no_such_package")
    with pytest.raises(ModelMismatchError, match="'tyo' is not known; there are gains, vae, content, toy"):
        families.family("tyo")
