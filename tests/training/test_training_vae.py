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
from glissando.bitstream import LATENTS, Container, Reader, Tile, container  # noqa: E402
from glissando.codec import Quality  # noqa: E402
from glissando.errors import CorruptError, FormatError, ModelMismatchError, RecipeError, TrainingError  # noqa: E402
from glissando.families.vae import calibration  # noqa: E402
from glissando.families.vae import export as export_vae  # noqa: E402
from glissando.families.vae.calibration import (  # noqa: E402
    Fit,
    fit_context,
    log2_rate_weights,
    magnitude_costs,
    tables_of,
    typical,
)
from glissando.families.vae.coding import PlaneModel, VaeCoding  # noqa: E402
from glissando.families.vae.initial import initialise  # noqa: E402
from glissando.families.vae.magnitudes import MAGNITUDE_TABLES, MagnitudeContext  # noqa: E402
from glissando.families.vae.network import VaeConfig, VaeNetwork  # noqa: E402
from glissando.families.vae.recipe import VaeRecipe  # noqa: E402
from glissando.training import run  # noqa: E402
from glissando.training.export import export  # noqa: E402
from glissando.training.loop import load_checkpoint  # noqa: E402
from glissando.training.recipe import from_dict, read_recipe  # noqa: E402

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
samples = 4
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
        patch.setattr(calibration, "STEPS", 30)
        return export(checkpoint, folder / "model", data=shards)


@pytest.fixture(scope="module")
def vae(exported: Path) -> Any:
    return glissando.open_model(exported, backend="openvino", precision="f32", threads=1)


@pytest.fixture
def picture(natural: Callable[..., Pixels]) -> Pixels:
    return natural(150, 200, seed=2)


# --- Files -------------------------------------------------------------------------------------------------


def test_one_network_slides_through_rates(vae: Any, picture: Pixels, psnr: Callable[..., float]) -> None:
    assert isinstance(vae.coding, VaeCoding)
    found = []
    for quality in (0, 20, 45.5, 70, 95):
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
    one, two = (codec.decode_symbols(data).latents.symbols for codec in (vae, other))
    np.testing.assert_array_equal(one, two)
    assert np.abs(vae.decode(data).astype(int) - other.decode(data)).max() <= 1


def test_values_are_near_their_means(vae: Any, picture: Pixels) -> None:
    """As the posterior's deviation allows: what is typically certain is told precisely, and all the more at quality."""
    analysed = vae.analyse(picture)
    errors = []
    for quality in (10, 90):
        data = vae.encode_analysed(analysed, quality)
        symbols = vae.decode_symbols(data).latents.symbols
        step, lowest = (vae.coding.step(Quality.of(q)) for q in (quality, 0))
        error = np.abs(vae.coding.values(symbols, Quality.of(quality)) - analysed.latents.mean)[:10, :13]
        assert (error <= 1.51 * step).all()
        errors.append(error.mean())
        np.testing.assert_allclose(step / lowest, step[0] / lowest[0], rtol=1e-5)
    assert errors[1] < 0.5 * errors[0]
    assert vae.coding.rate_weight(Quality.of(10)) > vae.coding.rate_weight(Quality.of(90))


def test_quality_is_continuous(vae: Any, picture: Pixels) -> None:
    analysed = vae.analyse(picture)
    sizes = [len(vae.encode_analysed(analysed, quality)) for quality in np.linspace(50, 60, 6)]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] < 1.6 * sizes[0]


def test_bits_per_place_are_those_of_the_file(vae: Any, picture: Pixels) -> None:
    data, bits = vae.encode_with_bits(picture, 60)
    assert bits.shape == (10, 13)
    assert bits.sum() == pytest.approx(vae.ideal_bits(picture, 60))
    assert bits.sum() / 8 < len(data) < bits.sum() / 8 + 100


def test_tiles_decode_alone(vae: Any, natural: Callable[..., Pixels]) -> None:
    data = vae.encode(natural(80, 1100, seed=4), 50)
    assert len(Reader(data).tiles) == 3
    one, two = (vae.decode_symbols(data, order).latents.symbols for order in ((0, 1, 2), (2, 0, 1)))
    np.testing.assert_array_equal(one, two)


def test_damage_is_noticed(vae: Any, picture: Pixels) -> None:
    data = vae.encode(picture, 50)
    for place in range(len(data) - 200, len(data), 7):
        with pytest.raises(FormatError):
            vae.decode(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
    file = Reader(data).read_all()
    tile = file.tiles[0]
    more = container.write(Container(file.header, file.boxes, [Tile({1: b"", **tile.streams}, tile.checksum)]))
    with pytest.raises(CorruptError, match=rf"needs stream {LATENTS} alone"):
        vae.decode(more)


def test_the_card(exported: Path) -> None:
    card = glissando.open_model(exported).card
    assert (card.family, card.name) == ("vae", "tiny-vae")
    assert card.decode_kmac_per_pixel > 0
    assert card.encode_kmac_per_pixel > card.decode_kmac_per_pixel
    assert set(card.training["differences_from_torch"]) == {"analysis", "decode", "decode-8bit"}
    assert sorted(path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()) == [
        "card.json", "decode-8bit.onnx.gz", "decode.onnx.gz", "decoder.npz", "encoders/default/analysis.onnx.gz",
        "encoders/default/card.json", "encoders/default/encoder.npz", "integers.npz",
    ]  # fmt: skip


def test_a_folder_can_be_trained_on(exported: Path, shards: Path, tmp_path: Path) -> None:
    (tmp_path / "vae.toml").write_text(RECIPE.replace("samples = 4", "samples = 6"))
    checkpoint = run(tmp_path / "vae.toml", shards, tmp_path / "out", resume=exported, threads=1)
    assert load_checkpoint(checkpoint)["progress"]["step"] == 3


def test_tables_need_pictures(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLISSANDO_DATA", raising=False)
    with pytest.raises(TrainingError, match="give --data"):
        export(exported.parent / "out" / "last.pt", tmp_path / "model")


# --- Steps, context model, tables --------------------------------------------------------------------------


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_the_price_is_that_of_uniform_steps() -> None:
    """At λ, making a step of κ deviations 1 % finer costs as much in bits as it saves in distortion."""
    (weight,) = 2.0 ** log2_rate_weights(np.array([3.0], np.float32), 1.0)
    saved = 8.0**2 / 24 * (1 - 0.99**2)
    assert weight * -math.log2(0.99) == pytest.approx(saved, rel=0.02)


def test_a_typical_deviation_is_what_an_error_costs(rng: np.random.Generator) -> None:
    deviation = rng.uniform(0.1, 2.0, (4, 5, 6, 3)).astype(np.float32)
    assert (typical(deviation) ** -2.0) == pytest.approx(np.mean(deviation**-2.0, axis=(0, 1, 2)), rel=1e-5)


@pytest.fixture(scope="module")
def fit() -> tuple[Fit, list[NDArray[np.int16]]]:
    """Of symbols that are large in the left half of each crop, in all channels but the last, which is nearly zero."""
    rng = np.random.default_rng(6)
    scale = np.ones((24, 16, 16, 8), np.float32)
    scale[:, :, :8] *= 16
    scale[..., 7] = 0.02
    levels = [np.rint(rng.laplace(scale=size * scale)).astype(np.int16) for size in (0.2, 0.7, 2.0)]
    return fit_context(levels), levels


def test_the_context_model_learns_where_symbols_are_large(fit: tuple[Fit, list[NDArray[np.int16]]]) -> None:
    found, levels = fit
    for symbols, bpp in zip(levels, found.bpp, strict=True):
        alone = sum(_entropy(symbols[..., c]) for c in range(8)) / 256
        halves = sum(_entropy(symbols[:, :, part, c]) for part in (slice(8), slice(8, 16)) for c in range(8)) / 512
        assert halves < bpp < 0.5 * (alone + halves)


def _entropy(symbols: NDArray[np.int16]) -> float:
    _, counts = np.unique(symbols, return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


def test_tables_are_frequencies(fit: tuple[Fit, list[NDArray[np.int16]]]) -> None:
    found, _ = fit
    model = PlaneModel(_integers(found))
    assert len(found.radii) == MAGNITUDE_TABLES
    assert (np.diff(found.radii) >= 0).all()
    np.testing.assert_allclose(magnitude_costs(found.frequencies, found.radii), model.costs, rtol=1e-5)
    expected = 2.0 ** (np.arange(MAGNITUDE_TABLES) / 8 - 12)
    assert (model.costs[expected < 0.5].argmin(axis=1) == 0).all()
    assert (np.diff(model.costs[:, 0]) >= 0).mean() > 0.8  # zeros cost the more, the larger symbols are to be


def test_tables_are_those_that_the_codec_takes(fit: tuple[Fit, list[NDArray[np.int16]]]) -> None:
    found, levels = fit
    context = MagnitudeContext(found.arrays)
    crop = levels[1][0]
    taken = tables_of(context, crop[None], 12800)[0].reshape(256, 8)
    for turn in context.walk(crop[..., context.order], 12800):
        np.testing.assert_array_equal(taken[:, context.order][turn.positions, turn.channels], turn.index)


def _integers(fit: Fit) -> dict[str, NDArray[Any]]:
    arrays = {f"context.{name}": array for name, array in fit.arrays.items()}
    return {"frequencies": fit.frequencies, "radii": fit.radii, **arrays}


def test_models_that_do_not_fit_are_refused(fit: tuple[Fit, list[NDArray[np.int16]]]) -> None:
    arrays = _integers(fit[0])
    with pytest.raises(ModelMismatchError, match="no array 'radii'"):
        PlaneModel({name: array for name, array in arrays.items() if name != "radii"})
    with pytest.raises(ModelMismatchError, match=f"has 1 tables; this family has {MAGNITUDE_TABLES}"):
        PlaneModel({**arrays, "frequencies": np.array([1 << 22] * 4), "radii": np.array([1])})
    with pytest.raises(ModelMismatchError, match=r"no 'hidden\.0\.weight'"):
        PlaneModel({name: array for name, array in arrays.items() if name != "context.hidden.0.weight"})


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
    initialise(network, pictures, 0.0)
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
