"""A tiny content-weighted codec from shards to files, in both shapes: start, stages, recipes, export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

import glissando  # noqa: E402
from glissando import zoo  # noqa: E402
from glissando.bitstream import LATENTS, MAP, Reader, SymbolTables  # noqa: E402
from glissando.bitstream.maps import CONTEXTS, map_passes  # noqa: E402
from glissando.errors import RecipeError, TrainingError  # noqa: E402
from glissando.families.content import export as export_content  # noqa: E402
from glissando.families.content.bits import ODDS_TABLES  # noqa: E402
from glissando.families.content.export import ContentExport, bit_tables, fit_map_tables  # noqa: E402
from glissando.families.content.initial import deal_digits, initialise  # noqa: E402
from glissando.families.content.network import (  # noqa: E402
    BitCode,
    ContentConfig,
    ContentNetwork,
)
from glissando.families.content.objective import ContentObjective  # noqa: E402
from glissando.families.content.recipe import ContentRecipe  # noqa: E402
from glissando.families.content.training import TRAINING  # noqa: E402
from glissando.training import run  # noqa: E402
from glissando.training.export import export  # noqa: E402
from glissando.training.loop import load_checkpoint  # noqa: E402
from glissando.training.optimiser import build_optimisers  # noqa: E402
from glissando.training.recipe import from_dict, read_recipe  # noqa: E402

Pixels = NDArray[np.uint8]
RECIPES = Path(__file__).parents[2] / "recipes"

RECIPE = """
family = "content"
name = "tiny-content"
[network]
latents = 48
bits = 64
importance_levels = 8
levels = 3
hidden = 4
analysis_blocks = 1
analysis_latent_blocks = 0
synthesis_blocks = 1
synthesis_latent_blocks = 0
[data]
crop = 64
batch = 2
[rate]
lambda_low = 1e-4
[optimiser]
lr = 1e-5
table_lr = 1e-5
matrix_lr = 1e-5
bits_lr = 1e-6
[schedule]
samples = 6
warmup = 1
[run]
log_every = 1
validate_every = 3
"""

SOURCE = """
family = "content"
name = "tiny-source"
[network]
shape = "source"
bits = 16
importance_levels = 4
levels = 2
hidden = 4
[data]
crop = 64
batch = 2
[rate]
single = true
hinge = 2.0
[optimiser]
kind = "adamw"
[schedule]
samples = 2
[run]
initial = "random"
validate_every = 2
"""


def trained(text: str, shards: Path, folder: Path) -> Path:
    """A model's folder, of few steps and few pictures."""
    folder.mkdir()
    (folder / "recipe.toml").write_text(text)
    checkpoint = run(folder / "recipe.toml", shards, folder / "out", threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_content, "PICTURES", 3)
        return export(checkpoint, folder / "model", data=shards)


@pytest.fixture(scope="module")
def exported(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(RECIPE, shards, tmp_path_factory.mktemp("content") / "fast")


@pytest.fixture(scope="module")
def source(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(SOURCE, shards, tmp_path_factory.mktemp("content") / "source")


@pytest.fixture(scope="module")
def stack(natural: Callable[..., Pixels]) -> Any:
    """Sixteen pictures (16, 3, 128, 128) in [0, 1]."""
    pixels = np.stack([natural(128, 128, seed=i) for i in range(16)])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


# --- Files -------------------------------------------------------------------------------------------------


def test_one_model_slides_through_rates(
    exported: Path, natural: Callable[..., Pixels], psnr: Callable[..., float]
) -> None:
    codec = glissando.open_model(exported, backend="openvino", precision="f32", threads=1)
    picture = natural(150, 200, seed=2)
    found = []
    for quality in (0, 40, 75.5, 95):
        data = codec.encode(picture, quality)
        decoded = codec.decode(data)
        assert decoded.shape == picture.shape
        assert len(data) <= 1.01 * codec.ideal_bits(picture, quality) / 8 + 100
        found.append((len(data), psnr(decoded, picture)))
    assert found == sorted(found)
    assert found[-1][0] > 1.5 * found[0][0]
    assert found[-1][1] > 22
    tile = Reader(data).tiles[0]
    assert set(tile.streams) == {LATENTS, MAP}


def test_the_estimate_is_what_a_file_holds(exported: Path, natural: Callable[..., Pixels]) -> None:
    """The trained network's cross-entropy and its reconstruction are those of the file."""
    state = load_checkpoint(exported)
    network = ContentNetwork(from_dict(state["recipe"]).network)
    network.load_state_dict(state["ema"])
    codec = glissando.open_model(exported, backend="openvino", precision="f32", threads=1)
    picture = natural(128, 192, seed=7)
    data = codec.encode(picture, 60)
    with torch.no_grad():
        out = network(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255, torch.tensor([60.0]))
    stream = Reader(data).tiles[0].streams[LATENTS]
    # Of the context model's weights the checkpoint has halves, the file integers; a bit may flip at its threshold.
    assert 8 * len(stream) == pytest.approx(float(out.bits), rel=0.05, abs=64)
    expected = (out.reconstruction[0].permute(1, 2, 0).clamp(0, 1) * 255).numpy()
    assert np.abs(codec.decode(data) - expected).mean() < 0.7


def test_the_card(exported: Path) -> None:
    card = glissando.open_model(exported).card
    assert (card.family, card.name) == ("content", "tiny-content")
    assert card.encode_kmac_per_pixel > 0 < card.decode_kmac_per_pixel
    differences = card.training["differences_from_torch"]
    assert set(differences) == {"flipped_bits", "importance", "decode", "decode-8bit"}
    assert differences["flipped_bits"] <= export_content.FLIPPED
    assert sorted(path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()) == [
        "card.json", "decode-8bit.onnx.gz", "decode.onnx.gz", "decoder.npz", "encoders/default/analysis.onnx.gz",
        "encoders/default/card.json", "encoders/default/encoder.npz", "integers.npz",
    ]  # fmt: skip


def test_the_source_shape_makes_files_too(source: Path, natural: Callable[..., Pixels]) -> None:
    codec = glissando.open_model(source, backend="openvino", precision="f32", threads=1)
    picture = natural(70, 100, seed=3)
    data = codec.encode(picture, 50)
    assert codec.decode(data).shape == picture.shape
    code, kept = vars(codec.decode_symbols(data).latents).values()
    assert code.shape == (16, 16, 16)
    assert kept.max() <= 4
    assert int(zoo.find(source).integers["per_cell"]) == 8


def test_a_folder_can_be_trained_on(exported: Path, shards: Path, tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text(RECIPE.replace("samples = 6", "samples = 8") + 'initial = "random"')
    checkpoint = run(tmp_path / "more.toml", shards, tmp_path / "out", resume=exported, threads=1)
    assert load_checkpoint(checkpoint)["progress"]["step"] == 4


def test_an_export_that_differs_from_torch_is_refused(exported: Path, shards: Path, tmp_path: Path) -> None:
    state = load_checkpoint(exported)  # weights as they are shipped
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_content, "PICTURES", 1)
        ours = ContentExport(from_dict(state["recipe"]), state["ema"], shards)
    ours.verify(exported)
    ours.integers["bits.out_second.bias"] = ours.integers["bits.out_second.bias"] + np.int32(4096)
    with pytest.raises(TrainingError, match="integer context model differs from the trained one in level 0"):
        ours.verify(exported)
    ours.integers["bits.out_second.bias"] -= np.int32(4096)
    with torch.no_grad():
        ours.network.importance.out.bias += 1
    with pytest.raises(TrainingError, match="importance by"):
        ours.verify(exported)


# --- Tables ------------------------------------------------------------------------------------------------


def test_tables_of_bits_are_quarter_octaves_of_odds() -> None:
    frequencies, radii = bit_tables()
    SymbolTables(frequencies, radii)
    minus, zero, plus, escape = frequencies.reshape(ODDS_TABLES, 4).astype(float).T
    np.testing.assert_allclose(np.log2(plus / minus), (np.arange(ODDS_TABLES) - 48) / 4, atol=0.002)
    assert (zero == 1).all()
    assert (escape == 1).all()
    assert plus[48] == minus[48]


def test_tables_of_maps_fit_and_leave_nothing_out() -> None:
    random = np.random.default_rng(0)
    levels = 8
    smooth = [np.clip(np.cumsum(random.integers(-1, 2, (24, 24)), axis=0) + 4, 0, levels) for _ in range(6)]
    flat = [np.full((24, 24), 3) for _ in range(6)]
    frequencies, index = fit_map_tables(iter([flat, smooth]), levels)
    assert index.shape == (2, CONTEXTS)
    tables = SymbolTables(frequencies.reshape(-1), np.full(len(frequencies), levels, np.int32))

    def bits(values: NDArray[Any], quality: int) -> float:
        return sum(tables.ideal_bits(*one) for one in map_passes(values, index[quality]))

    assert bits(flat[0], 0) < 40
    assert bits(smooth[0], 1) < bits(smooth[0], 0)
    assert bits(random.integers(0, levels + 1, (24, 24)), 0) < 24 * 24 * 12  # nothing is out of the question
    uniform = np.log2(levels + 1) * 24 * 24
    assert bits(smooth[0], 1) < 0.9 * uniform


# --- The start ---------------------------------------------------------------------------------------------


def test_digits_are_dealt_coarse_first() -> None:
    digits = deal_digits([9.0, 3.0, 1.0, 0.01], 12, 4)
    assert [s for k, s in zip(digits.component, digits.step, strict=True) if k == 0] == sorted(
        (s for k, s in zip(digits.component, digits.step, strict=True) if k == 0), reverse=True
    )
    placed = [k for k in digits.component if k >= 0]
    assert len(placed) <= 12
    assert 3 not in placed  # far below the finest step
    for level in range(4):  # a digit needs the one before it, decided in an earlier level
        own = [k for k in digits.component[3 * level : 3 * level + 3] if k >= 0]
        assert len(set(own)) == len(own)
    top = max(s for k, s in zip(digits.component, digits.step, strict=True) if k == 0)
    assert 1.5 * top >= 3 * 9.0 - 1e-6
    for k in range(3):
        steps = [s for j, s in zip(digits.component, digits.step, strict=True) if j == k]
        np.testing.assert_allclose(np.divide(steps[:-1], steps[1:]), 3)


def test_slots_stay_empty_where_no_digit_can_follow() -> None:
    digits = deal_digits([1.0], 8, 2)
    assert digits.component == [0, -1, -1, -1, 0, -1, -1, -1]


def test_it_starts_as_a_ternary_quantiser_of_components(stack: Any) -> None:
    network = ContentNetwork(ContentConfig(latents=48, bits=64, importance_levels=8, levels=4, hidden=4))
    initialise(network, stack, torch.tensor([3e-4, 3e-3, 0.03, 0.3]))
    assert isinstance(network.code, BitCode)
    with torch.no_grad():
        y = network.analysis(stack)
        found = network.code.decode(network.code.encode(y))
        error = (found - y).square().mean((0, 2, 3)).sqrt()
        assert float((found - y).abs().median()) < float(y.abs().median())
        assert float(error[0]) < 0.1 * float(y[:, 0].std())
        rows = [network(stack, torch.full((16,), q)) for q in (0.0, 50.0, 100.0)]
    bpp = [float(row.bits.mean()) / 128**2 for row in rows]
    mse = [float((row.reconstruction - stack).square().mean()) for row in rows]
    assert bpp == sorted(bpp)
    assert mse == sorted(mse, reverse=True)
    assert mse[-1] < 0.01
    assert bpp[-1] < 64 / 256 * 0.9  # each bit's own odds already tell something
    assert all(float(row.map_bits.sum()) == 0 for row in rows)
    # No gradient is lost: a digit's two bits together have a slope of one.
    y = y.clone().requires_grad_()
    network.code.decode(network.code.encode(y))[:, 0].sum().backward()
    assert float(y.grad[:, 0].mean()) > 0.9
    assert float((y.grad[:, 0] - 1).abs().max()) < 1.01


# --- Objective and recipe ----------------------------------------------------------------------------------


def tiny(**changes: dict[str, Any]) -> ContentRecipe:
    network = {"latents": 24, "bits": 32, "importance_levels": 4, "levels": 3, "hidden": 3}
    recipe = from_dict({"family": "content", "network": network, "run": {"initial": "random"}, **changes})
    assert isinstance(recipe, ContentRecipe)
    return recipe


def gradients(objective: ContentObjective, network: Any) -> dict[str, float]:
    """How much each part learns from one batch."""
    network.zero_grad()
    picture = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    each, bpp, mse = objective.loss(network, picture, torch.tensor([30.0, 80.0]))
    assert each.shape == bpp.shape == mse.shape == (2,)
    each.mean().backward()
    parts = {"importance": network.importance, "map_scale": network.map_scale, "code": network.code}
    return {
        name: sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None)
        for name, part in parts.items()
    }


def test_stages_come_one_after_the_other() -> None:
    recipe = tiny(stages={"without_map": 0.25, "with_map": 0.5, "tuning_rate": 0.1})
    objective = ContentObjective(recipe)
    assert isinstance(objective, ContentObjective)
    network = objective.build(None)
    assert objective.begin(0, 0.0) == 1.0
    without = gradients(objective, network)
    assert without["importance"] == 0 < without["map_scale"]
    assert objective.begin(1, 0.25) == 1.0
    assert min(gradients(objective, network).values()) > 0
    assert objective.begin(2, 0.75) == 0.1
    tuning = gradients(objective, network)
    assert tuning["importance"] == tuning["map_scale"] == 0 < tuning["code"]


def test_a_recipe_can_do_without_the_map_and_with_one_rate() -> None:
    objective = ContentObjective(tiny(stages={"importance": False}, rate={"single": True, "quality": 30.0}))
    assert isinstance(objective, ContentObjective)
    network = objective.build(None)
    torch.nn.init.normal_(network.importance.out.weight)
    objective.begin(5, 0.5)
    assert gradients(objective, network)["importance"] == 0
    assert objective.qualities == (30.0,)
    picture = torch.rand(1, 3, 64, 64)
    objective.map_is_fixed = True  # no dither
    losses = [objective.loss(network, picture, torch.tensor([q]))[0].item() for q in (0.0, 100.0)]
    assert losses[0] == losses[1]


def test_the_hinge_pays_for_nothing_within_the_budget() -> None:
    found = []
    for budget in (1.0, 0.01):
        objective = ContentObjective(tiny(rate={"single": True, "hinge": 5.0, "budget": budget, "lambda_low": 1e-12}))
        torch.manual_seed(0)
        network = objective.build(None)
        objective.begin(5, 0.5)
        each, bpp, _ = objective.loss(network, torch.zeros(1, 3, 64, 64) + 0.5, torch.tensor([50.0]))
        found.append((each - bpp).sum().item())
    assert found[1] > found[0]


def test_parts_learn_at_their_own_rates() -> None:
    recipe = tiny(optimiser={"bits_lr": 0.25, "context_lr": 0.5, "importance_lr": 0.75, "table_lr": 2.0, "lr": 4.0})
    network = ContentNetwork(recipe.network)
    optimisers = build_optimisers(network, recipe.optimiser, parameter_groups=TRAINING.parameter_groups)
    peak = {id(p): g["peak"] for o in optimisers for g in o.param_groups for p in g["params"]}
    assert len(peak) == len(list(network.parameters()))
    expected = {"code.": 0.25, "bits.": 0.5, "importance.": 0.75, "map_scale.": 2.0}
    for name, p in network.named_parameters():
        wanted = next((rate for part, rate in expected.items() if name.startswith(part)), None)
        if wanted is None:
            wanted = recipe.optimiser.matrix_lr if p.ndim == 4 and p.shape[2:] == (1, 1) else 4.0
        if p.ndim != 4 or "depthwise" not in name:
            assert peak[id(p)] == wanted, name


@pytest.mark.parametrize("name", ["content-weighted", "content-weighted-source"])
def test_recipes_are_good(name: str) -> None:
    recipe = read_recipe(RECIPES / f"{name}.toml")
    assert isinstance(recipe, ContentRecipe)
    assert recipe.name == name
    assert from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [
        ("network", {"shape": "round"}, "'fast' or 'source'"),
        ("network", {"shape": "source"}, "must be 'random'"),
        ("network", {"bits": 100}, "multiple of twice"),
        ("network", {"importance_levels": 33}, r"1\.\.32"),
        ("network", {"hidden": 0}, "hidden"),
        ("network", {"levels": 1}, "at least 2"),
        ("network", {"hyper": 3}, r"unknown key 'network\.hyper'"),
        ("rate", {"lambda_low": 0.5}, "lambda_low"),
        ("rate", {"quality": 101.0}, "quality"),
        ("rate", {"budget": 0.0}, "budget"),
        ("rate", {"hinge": 1.0}, r"needs rate\.single"),
        ("stages", {"without_map": 0.6, "with_map": 0.5}, "1 at most"),
        ("stages", {"importance": 1}, "must be bool"),
    ],
)
def test_bad_recipes_are_named(table: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        from_dict({"family": "content", table: values})
