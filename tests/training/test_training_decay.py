"""Mask decay: sparsity losses, the choice of widths, trainings that shrink or grow a network, and their models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

import glissando  # noqa: E402
from glissando.errors import RecipeError, TrainingError, UnknownModelError  # noqa: E402
from glissando.families.gains.channels import channel_groups, is_decoders, with_widths  # noqa: E402
from glissando.families.gains.config import GainsConfig  # noqa: E402
from glissando.families.gains.cost import PATHS, kmac_per_pixel  # noqa: E402
from glissando.families.gains.network import GainsNetwork  # noqa: E402
from glissando.families.gains.reshaping import config_of  # noqa: E402
from glissando.networks.layer_costs import LayerCosts  # noqa: E402
from glissando.training.decay import Budget, Decay, DecayingNetwork  # noqa: E402
from glissando.training.export import export  # noqa: E402
from glissando.training.loop import Trainer, load_checkpoint, run  # noqa: E402
from glissando.training.recipe import from_dict, read_recipe  # noqa: E402
from glissando.training.sparsity import DESIGNED_GROWTH, LOSSES, RANGE, weights  # noqa: E402
from glissando.training.widths import choose_kept  # noqa: E402

RECIPE = """
family = "gains"
name = "tiny"
[network]
width = 32
latents = 32
hyper = 8
levels = 3
analysis_blocks = 1
analysis_latent_blocks = 0
synthesis_blocks = 2
synthesis_latent_blocks = 0
means_width = 16
context_width = 16
leak = 0.1
[data]
crop = 64
batch = 2
halved = 0.0
choices = 1
[optimiser]
ema = 0.5
[schedule]
samples = 4
warmup = 1
[run]
initial = "pca"
fit_entropy = 0
log_every = 1
validate_every = 100
save_every = 100
"""
DECAY = """
[decay]
decode = 0.25
encode = 0.2
loss = "{loss}"
looks = 2
steps = {steps}
multiple = 4
"""


@pytest.fixture(scope="module", autouse=True)
def no_other_pictures() -> Any:
    """What lies in this machine's folder of training pictures takes no part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GLISSANDO_DATA", raising=False)
        yield


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text.replace('"tiny"', f'"{name}"'))
    return path


@pytest.fixture(scope="module")
def teacher(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of two steps."""
    folder = tmp_path_factory.mktemp("teacher")
    return run(written(folder, "teacher", RECIPE), shards, folder / "out")


def decayed(teacher: Path, shards: Path, folder: Path, loss: str, steps: int = 6, pictures: int = 24) -> Path:
    text = RECIPE.replace("samples = 4", f"samples = {pictures}") + DECAY.format(loss=loss, steps=steps)
    return run(written(folder, f"small-{loss}", text), shards, folder / "out", resume=teacher)


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def network_in(checkpoint: Path) -> GainsNetwork:
    state = load_checkpoint(checkpoint)
    network = GainsNetwork(config_of(state["recipe"]["network"]))
    network.load_state_dict(state["ema"])
    return network


# --- Losses ------------------------------------------------------------------------------------------------

FORMULAS = {
    "l1": lambda m, a: torch.ones_like(m),
    "l2": lambda m, a: m,
    "designed": lambda m, a: a * (1 + DESIGNED_GROWTH * (1 - m)),
}


@pytest.mark.parametrize("name", LOSSES)
@settings(deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_losss_gradient_is_its_formula(name: str, seed: int) -> None:
    """The slope that pulls, the derivative of the value, and the formula in the module's docstring are one."""
    generator = torch.Generator().manual_seed(seed)
    mask, weight = torch.rand(2, 50, generator=generator, dtype=torch.float64)
    mask.requires_grad_(True)
    (derivative,) = torch.autograd.grad(LOSSES[name].value(mask, weight).sum(), mask)
    expected = FORMULAS[name](mask, weight)
    torch.testing.assert_close(derivative, expected)
    torch.testing.assert_close(LOSSES[name].slope(mask, weight), expected)


def test_what_the_designed_loss_is_designed_for() -> None:
    """Near zero its pull is strongest, where that of L2 is gone; and it differs between masks."""
    mask, weight = torch.tensor([0.0, 0.5, 1.0]), torch.full((3,), 2.0)
    slope = LOSSES["designed"].slope(mask, weight)
    assert slope.tolist() == [2 * (1 + DESIGNED_GROWTH), 2 * (1 + DESIGNED_GROWTH / 2), 2.0]
    assert LOSSES["l2"].slope(mask, weight)[0] == 0
    each = weights(torch.tensor([1.0, 1.0, 4.0]), torch.tensor([1.0, 2.0, 1.0]))
    torch.testing.assert_close(each / each[0], torch.tensor([1.0, 0.5, 4.0]))
    assert float(each.log().mean()) == pytest.approx(0, abs=1e-6)
    spread = weights(torch.ones(100), torch.logspace(-12, 12, 100))
    assert float(spread.max() / spread.min()) == pytest.approx(RANGE, rel=1e-4)
    assert torch.isfinite(weights(torch.zeros(3), torch.zeros(3))).all()


# --- Costs and widths --------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [{}, {"block": "gated"}, {"analysis_width": 24}], ids=["plain", "gated", "analysis"])
def test_costs_of_widths_are_those_of_the_networks(keys: dict[str, Any]) -> None:
    """The arithmetic and a forward pass of a network of these widths count the same."""
    config = GainsConfig(width=32, latents=16, hyper=8, levels=3, means_width=16, context_width=20, **keys)
    groups = channel_groups(config)
    costs = LayerCosts(GainsNetwork(config), groups, lambda n, x: n(x, torch.tensor([50.0]), noise=False))
    whole = {group.name: group.width for group in groups}
    for widths in (whole, {name: max(4, width * 3 // 8) for name, width in whole.items()}):
        network = GainsNetwork(with_widths(config, widths))
        for path, parts in PATHS.items():
            assert costs.total(parts, widths) == pytest.approx(kmac_per_pixel(network, path)["total"], rel=1e-6)


def test_least_worth_for_what_it_costs_goes_first() -> None:
    worth = {"cheap": torch.arange(16.0), "dear": torch.arange(16.0) + 0.5}
    cost = lambda widths: widths["cheap"] + 3 * widths["dear"] + widths["fixed"]  # noqa: E731
    kept = choose_kept(worth, cost, 40.0, {"fixed": 2}, 4)
    widths = {name: int(mask.sum()) for name, mask in kept.items()}
    assert widths == {"cheap": 12, "dear": 8}
    assert cost({**widths, "fixed": 2}) <= 40
    assert kept["dear"].tolist() == [False] * 8 + [True] * 8
    # As narrow as may be: one bunch of each.
    assert {n: int(m.sum()) for n, m in choose_kept(worth, cost, 18.0, {"fixed": 2}, 4).items()} == dict.fromkeys(
        worth, 4
    )
    with pytest.raises(TrainingError, match=r"a budget of 17 kMAC per pixel cannot be met: .* needs 18\.000"):
        choose_kept(worth, cost, 17.0, {"fixed": 2}, 4)
    # A width that is no multiple becomes one first.
    assert int(choose_kept({"odd": torch.arange(10.0)}, lambda w: w["odd"], 9, {}, 4)["odd"].sum()) == 8


# --- Masks -------------------------------------------------------------------------------------------------


class Line(torch.nn.Module):
    """y = x·W, with a channel for each row of W."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width, 1))

    def forward(self, x: Any) -> Any:
        return x @ self.weight.T


def sinking(loss: str, steps: int = 40) -> tuple[DecayingNetwork, list[float]]:
    """Masks of which the later ones are worth more, driven from 16 to 8; and what they cost after each step."""
    from glissando.networks.channels import READS, WRITES, Group, Place

    group = Group("line", 16, (Place("weight", 0, WRITES), Place("weight", 0, READS)))
    decay = Decay(decode=8.0, loss=loss, looks=3, steps=steps, multiple=4)
    budget = Budget("decode", ("line",), lambda widths: widths["line"], 8.0)
    network = DecayingNetwork(Line(16), [group], decay, [budget])
    costs = []
    for _ in range(3 + steps):
        network.masks["line"].grad = 0.1 * (torch.arange(16.0) + 1)
        network.sink()
        costs.append(float(network.masks["line"].detach().sum()))
    return network, costs


@pytest.mark.parametrize("loss", ["l1", "l2", "designed", "ramp"])
def test_masks_stay_on_the_line(loss: str) -> None:
    """16 while worth is measured, then down to the budget in equal steps, whatever the loss."""
    network, costs = sinking(loss)
    assert costs[:3] == [16.0] * 3
    np.testing.assert_allclose(costs[3:], 16 - 8 * (np.arange(40) + 1) / 40, rtol=1e-3)
    assert network.done
    kept = network.kept()["line"]
    assert int(kept.sum()) == 8
    histogram = network.histograms()
    assert list(histogram) == [f"masks/decode@{i / 10:.1f}" for i in range(10)]
    assert sum(histogram.values()) == pytest.approx(1)
    assert kept[-4:].all()  # what is worth most


def test_losses_leave_different_masks() -> None:
    """L1 and L2 leave masks in between; the designed loss sorts most of them to either end, as the ramp does all."""
    between = {}
    for loss in ("l1", "l2", "designed", "ramp"):
        masks = sinking(loss)[0].masks["line"].detach()
        between[loss] = int(((masks > 0.1) & (masks < 0.9)).sum())
    assert between["ramp"] == 0
    assert between["designed"] <= 6
    assert between["l1"] == between["l2"] == 12  # all but those that no group loses


def test_bad_keys_are_named() -> None:
    with pytest.raises(RecipeError, match=r"decay\.loss must be one of l1, l2, designed, ramp"):
        from_dict({"family": "gains", "decay": {"loss": "l3"}})
    with pytest.raises(RecipeError, match=r"decay\.looks and multiple must be positive"):
        from_dict({"family": "gains", "decay": {"looks": 0}})
    with pytest.raises(RecipeError, match=r"network\.synthesis_widths must hold 6 positive widths, or none"):
        from_dict({"family": "gains", "network": {"synthesis_widths": [16, 16]}})
    with pytest.raises(RecipeError, match=r"'network\.scale_widths\[1\]' must be int, not 8\.5"):
        from_dict({"family": "gains", "network": {"scale_widths": [8, 8.5, 8, 8]}})


def test_keys_that_say_nothing_are_not_told() -> None:
    """A model whose widths follow from the keys that there were before keeps its configuration, and so its hash."""
    plain = from_dict({"family": "gains"}).to_dict()["network"]
    assert "synthesis_widths" not in plain
    assert "analysis_width" not in plain
    told = from_dict({"family": "gains", "network": {"scale_widths": [8, 8, 8, 8]}})
    assert told.to_dict()["network"]["scale_widths"] == (8, 8, 8, 8)
    assert from_dict(told.to_dict()) == told


# --- Trainings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["l1", "l2", "designed", "ramp"])
def test_a_training_decays_and_goes_on(teacher: Path, shards: Path, tmp_path: Path, loss: str) -> None:
    """From the teacher's checkpoint through looks, drive and cut to a small network that learns on."""
    last = decayed(teacher, shards, tmp_path, loss)
    state = load_checkpoint(last)
    assert state["progress"]["samples"] == 24
    assert state["progress"]["skipped"] == 0
    network = network_in(last)
    assert kmac_per_pixel(network, "decode")["total"] <= 0.25
    assert kmac_per_pixel(network, "encode")["total"] <= 0.2
    assert all(group.width % 4 == 0 for group in channel_groups(network.config))
    log = [record for record in records(tmp_path / "out") if "loss" in record]
    assert all(np.isfinite(record["loss"]) for record in log)
    shown = [record["step"] for record in log if "masks/decode@0.0" in record]
    assert shown == list(range(3, 10))  # 2 looks and 6 steps of the drive, after the teacher's 2
    ends = [record["masks/decode@0.9"] for record in log if "masks/decode@0.9" in record]
    assert ends[0] == 1.0
    assert ends[-1] < 1.0


def test_a_side_may_stay_as_it_is(teacher: Path, shards: Path, tmp_path: Path) -> None:
    """Encoder only, decoder only; and a drive of no steps, which is a student that inherits."""
    for side in ("encode", "decode"):
        text = (
            RECIPE.replace("samples = 4", "samples = 14")
            + f"[decay]\n{side} = 0.25\nlooks = 2\nsteps = 0\nmultiple = 4\n"
        )
        (tmp_path / side).mkdir()
        last = run(written(tmp_path / side, side, text), shards, tmp_path / side / "out", resume=teacher)
        before, after = (
            {group.name: group.width for group in channel_groups(network_in(path).config)} for path in (teacher, last)
        )
        changed = {name for name in before if before[name] != after[name]}
        assert changed
        assert {is_decoders(name) for name in changed} == {side == "decode"}


def test_a_decay_goes_on_where_it_stopped(teacher: Path, shards: Path, tmp_path: Path) -> None:
    """Stopped in the middle of the drive, and again behind the cut: the same widths as in one go."""
    whole = decayed(teacher, shards, tmp_path, "designed")
    text = RECIPE + DECAY.format(loss="designed", steps=6)
    last, seen = teacher, []
    for pictures in (10, 22, 24):
        recipe = written(tmp_path, "small-designed", text.replace("samples = 4", f"samples = {pictures}"))
        last = run(recipe, shards, tmp_path / "pieces", resume=last)
        seen.append(load_checkpoint(last)["recipe"]["network"])
    assert seen[0] == load_checkpoint(teacher)["recipe"]["network"]
    assert seen[1] == seen[2] != seen[0]
    found, expected = (GainsNetwork(config_of(load_checkpoint(path)["recipe"]["network"])) for path in (last, whole))
    assert kmac_per_pixel(found, "decode")["total"] == pytest.approx(
        kmac_per_pixel(expected, "decode")["total"], rel=0.1
    )


def test_a_checkpoint_in_the_middle_of_a_decay(teacher: Path, shards: Path, tmp_path: Path) -> None:
    """It is no model yet, and no start for another recipe."""
    half = decayed(teacher, shards, tmp_path, "ramp", pictures=10)
    with pytest.raises(TrainingError, match="in the middle of a decay"):
        export(half, tmp_path / "model")
    with pytest.raises(TrainingError, match="in the middle of a decay"):
        run(written(tmp_path, "plain", RECIPE.replace("samples = 4", "samples = 12")), shards, tmp_path, resume=half)


def test_a_resumed_network_grows(teacher: Path, shards: Path, tmp_path: Path) -> None:
    """--resume of a smaller network's checkpoint: at first the large one computes the same; then it learns."""
    keys = "width = 48\nanalysis_width = 40"
    text = RECIPE.replace("width = 32", keys, 1).replace("synthesis_blocks = 2", "synthesis_blocks = 3")
    recipe = read_recipe(written(tmp_path, "large", text))
    from glissando.training.data import load_tiles

    trainer = Trainer(recipe, load_tiles(shards), torch.device("cpu"), tmp_path, fresh=False)
    trainer.resume(teacher)
    small = network_in(teacher)
    picture, quality = trainer.validation[:1, :, :128, :128] / 255, torch.tensor([40.0])
    with torch.no_grad():
        ours, theirs = (n(picture, quality, noise=False) for n in (trainer.ema, small))
    torch.testing.assert_close(ours.reconstruction, theirs.reconstruction, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(ours.latent_bits, theirs.latent_bits, rtol=1e-3, atol=1)
    last = run(written(tmp_path, "large", text.replace("samples = 4", "samples = 8")), shards, tmp_path, resume=teacher)
    assert load_checkpoint(last)["progress"]["samples"] == 8
    with pytest.raises(TrainingError, match="does not fit this recipe's network"):
        run(
            written(tmp_path, "less", RECIPE.replace("context_width = 16", "context_width = 8")),
            shards,
            tmp_path,
            resume=teacher,
        )


# --- Distillation ------------------------------------------------------------------------------------------


def test_a_student_hears_its_teacher(teacher: Path, shards: Path, tmp_path: Path) -> None:
    """The teacher as its own student has nothing to learn but what rounding leaves; another one has more."""
    from glissando.families.gains.distillation import Teacher, watched_latents
    from glissando.families.gains.recipe import Distillation

    network = network_in(teacher)
    told = Teacher(Distillation(teacher=str(teacher), pixels=2.0, latents=0.5), network)
    picture, quality = torch.rand(2, 3, 64, 64), torch.tensor([20.0, 80.0])

    def heard(student: GainsNetwork) -> tuple[Any, Any]:
        with torch.no_grad(), watched_latents(student) as seen:
            out = student(picture, quality, noise=False)
            return told.loss(out, seen[0], picture, quality)

    pixels, latents = heard(network)
    assert float(pixels.abs().max()) == 0
    assert float(latents.abs().max()) < 1e-9
    with torch.no_grad():
        network.analysis.down[1].bias.add_(0.1)
        network.synthesis.leave.bias.add_(0.1)
    pixels, latents = heard(network)
    gain = torch.exp2(network.gain(network.position(quality)))
    torch.testing.assert_close(latents, 0.5 * (0.1 * gain).square().mean((1, 2, 3)), rtol=1e-3, atol=1e-4)
    assert float(pixels.min()) > 0
    text = RECIPE.replace("samples = 4", "samples = 8") + f'[distil]\nteacher = "{teacher}"\n'
    last = run(written(tmp_path, "student", text), shards, tmp_path / "out", resume=teacher)
    assert load_checkpoint(last)["progress"]["skipped"] == 0
    with pytest.raises(TrainingError, match="has 32 latents, the student 64"):
        Teacher(Distillation(teacher=str(teacher)), GainsNetwork(GainsConfig(latents=64)))
    with pytest.raises(RecipeError, match=r"distil\.teacher speaks of squared errors"):
        from_dict(
            {"family": "gains", "distil": {"teacher": "x"}, "rate": {"distortion": "ms-ssim"}, "data": {"crop": 192}}
        )


# --- Models ------------------------------------------------------------------------------------------------


def test_a_decayed_model_codes_pictures_and_no_others_files(
    teacher: Path, shards: Path, tmp_path: Path, natural: Any, psnr: Any, codec: Any
) -> None:
    """A small model is exported and codes a picture; it and the medium model refuse each other's files by name."""
    last = decayed(teacher, shards, tmp_path, "designed")
    folder = export(last, tmp_path / "model")
    small, picture = glissando.open_model(folder, threads=1), natural(96, 80, seed=3)
    data = small.encode(picture, quality=60)
    assert psnr(small.decode(data), picture) > 15
    for ours, others, other in ((codec, data, small), (small, codec.encode(picture, quality=60), codec)):
        with pytest.raises(glissando.GlissandoError, match=rf"{other.card.hash}"):
            ours.decode(others)
    with pytest.raises(UnknownModelError, match=small.card.hash):
        glissando.decode(data)
    # Trainings go on from the model's folder as well, single widths and all.
    assert channel_groups(network_in(folder).config) == channel_groups(network_in(last).config)
