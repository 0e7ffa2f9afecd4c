"""A tiny VAE from shards to files: rate chosen after training, certain latents first, the same errors as elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

import glissando  # noqa: E402
from glissando.bayes.grid import depth_of, positions, symbol_depths  # noqa: E402
from glissando.bitstream import LATENTS, Container, Tile, container  # noqa: E402
from glissando.codec.vae import PointModel, VaeCodec  # noqa: E402
from glissando.errors import CorruptError, FormatError, ModelMismatchError, RecipeError, TrainingError  # noqa: E402
from glissando.models import VaeConfig, VaeNetwork  # noqa: E402
from glissando.training import calibration, export_vae, run  # noqa: E402
from glissando.training.calibration import MAX_BITS, calibrate, fit_knots  # noqa: E402
from glissando.training.export import export  # noqa: E402
from glissando.training.initial import initialise_vae  # noqa: E402
from glissando.training.loop import load_checkpoint  # noqa: E402
from glissando.training.recipe import VaeRecipe, from_dict, read_recipe  # noqa: E402

Pixels = NDArray[np.uint8]

RECIPE = """
family = "vae"
name = "tiny-vae"
[network]
latents = 48
analysis_blocks = 1
analysis_latent_blocks = 0
synthesis_blocks = 1
synthesis_latent_blocks = 0
[data]
crop = 64
batch = 2
[optimiser]
lr = 1e-5
table_lr = 1e-5
matrix_lr = 1e-5
[schedule]
steps = 2
warmup = 1
[run]
balance_trunk = 0.0
log_every = 1
validate_every = 2
"""


@pytest.fixture(scope="module")
def exported(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vae")
    (folder / "vae.toml").write_text(RECIPE)
    checkpoint = run(folder / "vae.toml", shards, folder / "out", threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_vae, "CROPS", 16)
        patch.setattr(calibration, "LEVELS", 5)
        return export(checkpoint, folder / "model", data=shards)


@pytest.fixture(scope="module")
def vae(exported: Path) -> Any:
    return glissando.open_model(exported, backend="openvino", precision="f32", threads=1)


@pytest.fixture
def picture(natural: Callable[..., Pixels]) -> Pixels:
    return natural(150, 200, seed=2)


# --- Files -------------------------------------------------------------------------------------------------


def test_one_network_slides_through_rates(vae: Any, picture: Pixels, psnr: Callable[..., float]) -> None:
    assert isinstance(vae, VaeCodec)
    found = []
    for quality in (0, 20, 45.5, 70, 100):
        data = vae.encode(picture, quality)
        decoded = vae.decode(data)
        assert decoded.shape == picture.shape
        assert len(data) <= 1.01 * vae.ideal_bits(picture, quality) / 8 + 100
        found.append((len(data), psnr(decoded, picture)))
    assert found == sorted(found)
    assert found[-1][0] > 5 * found[0][0]
    assert found[-1][1] > 30


@pytest.mark.parametrize("shape", [(1, 1, 3), (17, 600, 3), (65, 33)])
def test_any_size(vae: Any, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    decoded = vae.decode(vae.encode(pixels, 60))
    assert decoded.shape == shape
    assert decoded.dtype == np.uint8


def test_symbols_are_the_same_everywhere(exported: Path, vae: Any, picture: Pixels) -> None:
    pytest.importorskip("onnxruntime", reason="needs glissando[onnxruntime]")
    data = vae.encode(picture, 60)
    other = glissando.open_model(exported, backend="onnxruntime", precision="f32", threads=2)
    (one,), (two,) = (codec.decode_symbols(container.read(data)).values() for codec in (vae, other))
    np.testing.assert_array_equal(one, two)
    assert np.abs(vae.decode(data).astype(int) - other.decode(data)).max() <= 1


def test_higher_quality_costs_more_depth(vae: Any, picture: Pixels) -> None:
    depths = []
    for quality in (10, 90):
        (symbols,) = vae.decode_symbols(container.read(vae.encode(picture, quality))).values()
        depths.append(depth_of(symbols, MAX_BITS).mean())
    assert depths[1] > 2 * depths[0]
    assert vae.rate_weight(2560) > vae.rate_weight(23040)


def test_damage_is_noticed(vae: Any, picture: Pixels) -> None:
    data = vae.encode(picture, 50)
    for place in range(len(data) - 200, len(data), 7):
        with pytest.raises(FormatError):
            vae.decode(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
    file = container.read(data)
    tile = file.tiles[0]
    more = container.write(Container(file.header, file.boxes, [Tile({1: b"", **tile.streams}, tile.checksum)]))
    with pytest.raises(CorruptError, match=rf"needs stream {LATENTS} alone"):
        vae.decode(more)


def test_the_card(exported: Path) -> None:
    card = glissando.open_model(exported).card
    assert (card.family, card.name) == ("vae", "tiny-vae")
    assert card.decode_kmac_per_pixel > 0
    assert card.encode_kmac_per_pixel > card.decode_kmac_per_pixel
    assert set(card.training["differences_from_torch"]) == {"analysis", "decode"}
    assert sorted(path.name for path in exported.iterdir()) == [
        "analysis.onnx", "card.json", "decode.onnx", "decoder.npz", "encoder.npz", "integers.npz",
    ]  # fmt: skip


def test_a_folder_can_be_trained_on(exported: Path, shards: Path, tmp_path: Path) -> None:
    (tmp_path / "vae.toml").write_text(RECIPE.replace("steps = 2", "steps = 3"))
    checkpoint = run(tmp_path / "vae.toml", shards, tmp_path / "out", resume=exported, threads=1)
    assert load_checkpoint(checkpoint)["progress"]["step"] == 3


def test_tables_need_pictures(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLISSANDO_DATA", raising=False)
    with pytest.raises(TrainingError, match="give --data"):
        export(exported.parent / "out" / "last.pt", tmp_path / "model")


# --- Points and tables -------------------------------------------------------------------------------------


def test_points_are_quantiles_and_reach_beyond(rng: np.random.Generator) -> None:
    mean = rng.laplace(size=(20_000, 2)).astype(np.float32) * [1.0, 30.0]
    symbols, values = fit_knots(mean.astype(np.float32))
    assert (np.diff(values, axis=1) >= 0).all()
    assert symbols[0] == -(2**MAX_BITS - 1)
    assert (values[:, -1] > np.abs(mean).max(axis=0)).all()
    half = np.interp(0.25, 0.5 + symbols / 2 ** (MAX_BITS + 1), values[1])
    assert half == pytest.approx(np.quantile(mean[:, 1], 0.25), rel=0.1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_what_is_sure_gets_the_bits(rng: np.random.Generator) -> None:
    """Channels alike in their means, a hundred times apart in their deviations."""
    mean = rng.normal(size=(4_000, 2)).astype(np.float32)
    fitted = calibrate(mean, np.broadcast_to(np.float32([0.01, 1.0]), mean.shape))
    arrays = {"max_bits": np.array(MAX_BITS), **vars(fitted.tables)}
    model = PointModel(arrays, {"knots": fitted.knots, "knot_symbols": fitted.knot_symbols})
    assert (np.diff(fitted.tables.bpp) > 0).all()
    middle = model.costs(12800)
    assert np.argmin(middle[0]) > np.argmin(middle[1])  # the depth that costs least is the one taken most
    frequencies = fitted.tables.frequencies.reshape(len(fitted.tables.radii), -1)
    assert (frequencies.sum(axis=1) == 1 << 24).all()
    assert (frequencies >= 1).all()
    assert len(frequencies) <= calibration.TABLES


def test_costs_are_those_of_the_tables() -> None:
    """A table that gives every point the same: a depth costs its points' common length."""
    size = (2 << MAX_BITS) - 1
    frequencies = np.full(size + 1, (1 << 24) // (size + 1), np.uint32)
    model = PointModel(
        {"max_bits": np.array(MAX_BITS), "index": np.array([[0, -1], [0, 0]], np.int16), "frequencies": frequencies,
         "radii": np.array([size // 2])},
        {"knots": np.array([[-1.0, 1.0]] * 2, np.float32), "knot_symbols": np.array([-(size // 2), size // 2])},
    )  # fmt: skip
    costs = model.costs(25600)
    counts = np.bincount(symbol_depths(MAX_BITS))
    expected = np.arange(MAX_BITS + 1) + np.log2((size + 1) / counts)
    np.testing.assert_allclose(costs[0], expected)
    assert model.costs(0)[1, 0] == 0
    assert (model.costs(0)[1, 1:] > 1e5).all()
    np.testing.assert_allclose(model.points[0][[0, size // 2, -1]], [-1, 0, 1])
    assert len(positions(MAX_BITS)) == size


def test_tables_that_do_not_fit_are_refused() -> None:
    arrays = {"max_bits": np.array(9), "index": np.zeros((2, 1), np.int16), "radii": np.array([1])}
    knots = {"knots": np.zeros((1, 2), np.float32), "knot_symbols": np.array([-1, 1])}
    with pytest.raises(ModelMismatchError, match="frequencies"):
        PointModel(arrays, knots)
    with pytest.raises(ModelMismatchError, match="do not agree"):
        PointModel({**arrays, "frequencies": np.array([1 << 22] * 4)}, knots)


# --- Network and recipe ------------------------------------------------------------------------------------


def test_the_divergence_is_that_of_gaussians() -> None:
    network = VaeNetwork(VaeConfig(latents=4, analysis_blocks=1, synthesis_blocks=1)).eval()
    with torch.no_grad():
        network.prior.table.copy_(torch.tensor([[0.0, 1.0, -1.0, 2.0]]))
        picture = torch.rand(1, 3, 32, 32)
        mean = network.analysis(picture)
        relative = network.log_variance(mean / network.deviations)
        prior = torch.distributions.Normal(torch.zeros_like(mean), network.deviations.expand_as(mean))
        posterior = torch.distributions.Normal(mean, torch.exp(0.5 * relative) * network.deviations)
        expected = torch.distributions.kl_divergence(posterior, prior).sum() / math.log(2)
        _, bits = network(picture)
    assert float(bits) == pytest.approx(float(expected), rel=1e-4)


def test_it_starts_as_a_linear_codec(natural: Callable[..., Pixels]) -> None:
    """With a likelihood of deviation 1/100, samples of the posterior are decoded to about 40 dB."""
    stack = np.stack([natural(128, 128, seed=i) for i in range(8)])
    pictures = torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255
    network = VaeNetwork(VaeConfig(latents=192, variance=1e-4))
    initialise_vae(network, pictures, 0.0)
    with torch.no_grad():
        out, _ = network(pictures)
    assert 30 < -10 * math.log10(float((out - pictures).square().mean())) < 45


def test_recipes(tmp_path: Path) -> None:
    recipe = read_recipe(Path(__file__).parents[2] / "recipes" / "vae.toml")
    assert isinstance(recipe, VaeRecipe)
    assert len(recipe.hash()) == 12
    assert from_dict(recipe.to_dict()) == recipe
    with pytest.raises(RecipeError, match=r"unknown key 'network\.hyper'"):
        from_dict({"family": "vae", "network": {"hyper": 3}})
    with pytest.raises(RecipeError, match="variance"):
        from_dict({"family": "vae", "network": {"variance": 0.0}})
    with pytest.raises(RecipeError, match="family"):
        from_dict({"family": "gan"})
