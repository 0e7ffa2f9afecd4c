"""A tiny training from shards to a model folder: it logs, saves, resumes, and its export codes pictures."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from typer.testing import CliRunner  # noqa: E402

import glissando  # noqa: E402
from glissando.cli.app import app  # noqa: E402
from glissando.errors import ModelMismatchError, RecipeError, TrainingError, UnknownModelError  # noqa: E402
from glissando.families.gains.recipe import GainsRecipe  # noqa: E402
from glissando.training.checkpoints import compact  # noqa: E402
from glissando.training.data import Tiles  # noqa: E402
from glissando.training.loop import Trainer, load_checkpoint, run  # noqa: E402
from glissando.training.recipe import from_dict, read_recipe  # noqa: E402
from glissando.zoo.arrays import read_arrays, values_of  # noqa: E402

Pixels = NDArray[np.uint8]

RECIPE = """
family = "gains"
name = "tiny"
summary = "for a test"
[network]
latents = 64
hyper = 16
levels = 3
analysis_blocks = 1
analysis_latent_blocks = 0
synthesis_blocks = 1
synthesis_latent_blocks = 0
means_width = 16
context_width = 16
[data]
crop = 64
batch = 2
[optimiser]
lr = 1e-5
table_lr = 1e-5
matrix_lr = 1e-5
[schedule]
samples = 6
warmup = 1
[run]
initial = "{initial}"
log_every = 1
validate_every = 2
save_every = 2
"""


@pytest.fixture(scope="module", autouse=True)
def no_other_pictures() -> Any:
    """What lies in this machine's folder of training pictures takes no part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GLISSANDO_DATA", raising=False)
        yield


@pytest.fixture(scope="module")
def trained(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(RECIPE.format(initial="pca"))
    checkpoint = run(folder / "tiny.toml", shards, folder / "out")
    assert checkpoint == folder / "out" / "last.pt"
    return folder


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_logs_and_saves(trained: Path) -> None:
    log = records(trained / "out")
    steps = [r for r in log if "loss" in r]
    assert [r["step"] for r in steps] == [1, 2, 3]
    for record in steps:
        assert all(np.isfinite(value) for value in record.values())
        assert record["bpp"] > 0
        assert record["pictures_per_second"] > 0
    checks = [r for r in log if "validation/bpp@0" in r]
    assert [r["step"] for r in checks] == [2, 3]
    qualities = (0, 20, 40, 60, 80, 100)
    assert all(f"validation/{key}@{q}" in checks[-1] for q in qualities for key in ("bpp", "psnr"))
    curve = [checks[-1][f"validation/psnr@{q}"] for q in qualities]
    assert curve == sorted(curve)
    state = load_checkpoint(trained / "out" / "last.pt")
    assert state["progress"]["step"] == 3
    assert state["progress"]["samples"] == 6
    assert state["progress"]["skipped"] == 0
    assert len(state["progress"]["history"]) == 2
    assert from_dict(state["recipe"]).name == "tiny"
    assert not list((trained / "out").glob(".*"))  # nothing half-written is left


def test_a_run_goes_on_where_it_stopped(trained: Path, shards: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "longer.toml"
    recipe.write_text(RECIPE.format(initial="pca").replace("samples = 6", "samples = 10"))
    checkpoint = run(recipe, shards, tmp_path / "out", resume=trained / "out" / "last.pt")
    assert load_checkpoint(checkpoint)["progress"]["step"] == 5
    assert load_checkpoint(checkpoint)["progress"]["samples"] == 10
    assert [r["step"] for r in records(tmp_path / "out") if "loss" in r] == [4, 5]
    assert (
        load_checkpoint(checkpoint)["progress"]["seconds"]
        > load_checkpoint(trained / "out" / "last.pt")["progress"]["seconds"]
    )


def test_the_schedule_counts_pictures_of_all_trainings(trained: Path, shards: Path, tmp_path: Path) -> None:
    """6 of 14 pictures are done when a batch of 4 goes on; each training is a piece."""
    recipe = tmp_path / "other.toml"
    recipe.write_text(
        RECIPE.format(initial="pca").replace("samples = 6", "samples = 14").replace("batch = 2", "batch = 4")
    )
    checkpoint = run(recipe, shards, tmp_path / "out", resume=trained / "out" / "last.pt")
    progress = load_checkpoint(checkpoint)["progress"]
    assert (progress["step"], progress["samples"]) == (5, 14)
    assert [piece["samples"] for piece in progress["pieces"]] == [6, 8]
    assert sum(piece["seconds"] for piece in progress["pieces"]) == pytest.approx(progress["seconds"])
    hashes = [read_recipe(path).hash() for path in (trained / "tiny.toml", recipe)]
    assert [piece["recipe"] for piece in progress["pieces"]] == hashes
    assert all("thread" in piece["device"] for piece in progress["pieces"])


def test_a_checkpoint_of_an_older_trainer(trained: Path, tiles: Tiles, tmp_path: Path) -> None:
    """A schedule in steps, no pieces, AdamW not fused: read, continued, and named by the hash that it had."""
    state = torch.load(trained / "out" / "last.pt", weights_only=True)
    state["recipe"]["schedule"] = {"steps": 3, "warmup": 1, "decay": 0.3}
    del state["progress"]["pieces"]
    for group in state["optimisers"][0]["param_groups"]:
        group |= {"fused": None, "lr": 123.0, "peak": 123.0}
    torch.save(state, tmp_path / "old.pt")
    found = load_checkpoint(tmp_path / "old.pt")
    assert from_dict(found["recipe"]) == from_dict(load_checkpoint(trained / "out" / "last.pt")["recipe"])
    (piece,) = found["progress"]["pieces"]
    assert (piece["samples"], piece["device"]) == (6, "not recorded")
    assert piece["recipe"] == hashlib.sha256(repr(state["recipe"]).encode()).hexdigest()[:12]

    trainer = make(tiles, tmp_path)
    trainer.resume(tmp_path / "old.pt")
    assert trainer.warm_from == 0
    assert all(group["fused"] and group["peak"] < 1 for group in trainer.optimisers[0].param_groups)
    assert np.isfinite(trainer.step(1.0)["loss"])
    assert trainer.progress.samples == 8


@pytest.mark.parametrize("own", [True, False])
def test_minutes_end_a_run(own: bool, shards: Path, tmp_path: Path) -> None:
    """Those of the recipe, or those that are given, which count more."""
    recipe = tmp_path / "long.toml"
    minutes = 1 / 60 if own else 1000.0
    schedule = f"samples = 2000000\nminutes = {minutes}"
    recipe.write_text(RECIPE.format(initial="random").replace("samples = 6", schedule))
    checkpoint = run(recipe, shards, tmp_path / "out", minutes=None if own else 1 / 60)
    assert 1 <= load_checkpoint(checkpoint)["progress"]["step"] < 1000


def test_a_checkpoint_is_kept_before_the_rates_fall(shards: Path, tmp_path: Path) -> None:
    """10 pictures in steps of 2, of which the last 4 are of falling rates."""
    recipe = tmp_path / "falls.toml"
    text = RECIPE.format(initial="random").replace("samples = 6", "samples = 10")
    recipe.write_text(text)
    run(recipe, shards, tmp_path / "out", settings=["schedule.decay=0.4"])
    assert load_checkpoint(tmp_path / "out" / "stable.pt")["progress"]["samples"] == 6
    before = (tmp_path / "out" / "stable.pt").read_bytes()
    longer = ["schedule.decay=0.4", "schedule.samples=12"]  # which goes on in the last part
    run(recipe, shards, tmp_path / "out", resume=tmp_path / "out" / "last.pt", settings=longer)
    assert (tmp_path / "out" / "stable.pt").read_bytes() == before
    run(recipe, shards, tmp_path / "constant", settings=["schedule.decay=0.0"])
    assert not (tmp_path / "constant" / "stable.pt").exists()


# --- Trainer -----------------------------------------------------------------------------------------------


def tiny(initial: str = "random", **tables: dict[str, Any]) -> GainsRecipe:
    import tomllib

    values = tomllib.loads(RECIPE.format(initial=initial))
    for name, table in tables.items():
        values[name] = {**values.get(name, {}), **table}
    return from_dict(values)


@pytest.fixture(scope="module")
def tiles(natural: Callable[..., Pixels]) -> Tiles:
    stack = np.stack([natural(128, 128, seed=i) for i in range(6)])
    return Tiles(torch.from_numpy(stack).permute(0, 3, 1, 2), torch.tensor([False] * 5 + [True]))


def make(tiles: Tiles, out: Path, **tables: dict[str, Any]) -> Trainer:
    return Trainer(tiny(**tables), tiles, torch.device("cpu"), out)


def numbers(trainer: Trainer, factor: float) -> list[float]:
    """What a step computes, without what it measures of the machine."""
    record = trainer.step(factor)
    return [record[key] for key in ("loss", "bpp", "psnr", "norm")]


RATES = {"lr": 1e-3, "table_lr": 1e-2, "matrix_lr": 1e-2}


@pytest.mark.parametrize("settings", [{"kind": "muon"}, {"kind": "adamw"}, {"whiten": 0.5}])
def test_a_resumed_training_is_the_uninterrupted_one(tiles: Tiles, tmp_path: Path, settings: dict[str, Any]) -> None:
    """Bit for bit: weights, averages, optimisers, crops, qualities and noise."""
    factors = [0.5, 1.0, 1.0, 0.7, 0.2]
    settings = {**settings, **RATES}
    whole = make(tiles, tmp_path, optimiser=settings)
    expected = [numbers(whole, factor) for factor in factors]

    first = make(tiles, tmp_path, optimiser=settings)
    found = [numbers(first, factor) for factor in factors[:2]]
    first.save(tmp_path / "a.pt")
    second = make(tiles, tmp_path, optimiser=settings)
    torch.rand(17)  # whatever else has drawn random numbers since
    second.resume(tmp_path / "a.pt")
    second.choose_precision()
    second.use_bfloat16(False)
    found += [numbers(second, factor) for factor in factors[2:]]
    assert found == expected
    assert second.progress.step == 5
    for name in ("network", "ema"):
        for (key, a), b in zip(
            getattr(whole, name).state_dict().items(), getattr(second, name).state_dict().values(), strict=True
        ):
            assert torch.equal(a, b), (name, key)


def test_a_training_goes_on_where_a_compiler_fails(tiles: Tiles, tmp_path: Path) -> None:
    def failing(*_: object) -> Any:
        raise RuntimeError("no such pass\nand more lines")

    torch._dynamo.register_backend(failing, name="failing")
    expected = numbers(make(tiles, tmp_path), 1.0)
    refused = make(tiles, tmp_path)
    why = refused.compile_if_possible("failing")
    assert "no such pass and more lines" in why
    assert numbers(refused, 1.0) == expected
    compiled = make(tiles, tmp_path)
    assert compiled.compile_if_possible("eager") == ""
    assert numbers(compiled, 1.0) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("precision", "autocast"), [("float32", False), ("bfloat16", True)])
def test_a_recipe_may_choose_the_precision(tiles: Tiles, tmp_path: Path, precision: str, autocast: bool) -> None:
    trainer = make(tiles, tmp_path, run={"precision": precision})
    assert trainer.choose_precision() > 0
    assert trainer.autocast is autocast
    with pytest.raises(RecipeError, match=r"run\.precision"):
        tiny(run={"precision": "float16"})


def test_the_same_seed_is_the_same_training(tiles: Tiles, tmp_path: Path) -> None:
    losses = [make(tiles, tmp_path, run={"seed": seed}).step(1.0)["loss"] for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_a_resumed_training_keeps_its_own_recipes_rates(tiles: Tiles, tmp_path: Path) -> None:
    first = make(tiles, tmp_path)
    first.step(1.0)
    first.save(tmp_path / "a.pt")
    second = make(tiles, tmp_path, optimiser={"lr": 0.123})
    second.resume(tmp_path / "a.pt")
    assert second.optimisers[0].param_groups[0]["peak"] == 0.123
    assert second.optimisers[0].state


def test_another_optimiser_starts_afresh_from_the_weights(tiles: Tiles, tmp_path: Path) -> None:
    first = make(tiles, tmp_path, optimiser={"kind": "muon"})
    first.step(1.0)
    first.save(tmp_path / "a.pt")
    second = make(tiles, tmp_path, optimiser={"kind": "adamw"})
    second.resume(tmp_path / "a.pt")
    assert torch.equal(second.network.analysis.enter.weight, first.network.analysis.enter.weight)
    second.step(1.0)
    assert second.progress.step == 2


def test_whitening_may_begin_and_end_with_a_resumed_training(tiles: Tiles, tmp_path: Path) -> None:
    """Momenta are the same with and without; what the layers read is looked at when it is first asked for."""
    for before, after in ((0.0, 0.5), (0.5, 0.0)):
        first = make(tiles, tmp_path, optimiser={"whiten": before})
        for _ in range(10):
            first.step(1.0)
        first.save(tmp_path / "a.pt")
        second = make(tiles, tmp_path, optimiser={"whiten": after})
        second.resume(tmp_path / "a.pt")
        weight = second.network.analysis.enter.weight
        momentum = second.optimisers[-1].state[weight]["momentum"]
        assert torch.equal(momentum, first.optimisers[-1].state[first.network.analysis.enter.weight]["momentum"])
        assert second.step(1.0)["loss"] > 0
        assert second.progress.skipped == 0
        assert ("moments" in second.optimisers[-1].state[weight]) == bool(after or before)


def test_a_checkpoint_of_another_network_is_refused(tiles: Tiles, tmp_path: Path) -> None:
    make(tiles, tmp_path).save(tmp_path / "a.pt")
    with pytest.raises(TrainingError, match="does not fit"):
        make(tiles, tmp_path, network={"latents": 32}).resume(tmp_path / "a.pt")


def test_a_checkpoint_of_other_activations_is_refused(tiles: Tiles, tmp_path: Path) -> None:
    make(tiles, tmp_path).save(tmp_path / "a.pt")
    with pytest.raises(TrainingError, match=r"a\.pt was trained with network\.leak = 0\.0, this recipe says 0\.1"):
        make(tiles, tmp_path, network={"leak": 0.1}).resume(tmp_path / "a.pt")


def test_a_network_may_grow_in_depth(tiles: Tiles, tmp_path: Path) -> None:
    first = make(tiles, tmp_path)
    first.step(1.0)
    first.save(tmp_path / "a.pt")
    deeper = {"analysis_blocks": 4, "synthesis_latent_blocks": 2}
    second = make(tiles, tmp_path, network=deeper)
    second.resume(tmp_path / "a.pt")
    # It codes as before, until the new blocks have learnt something.
    assert second.validate() == first.validate()
    assert second.progress.samples == first.progress.samples
    second.step(1.0)
    assert second.network.analysis.blocks[3].narrow.weight.any()
    with pytest.raises(TrainingError, match="does not fit"):
        make(tiles, tmp_path, network={"synthesis_blocks": 0}).resume(tmp_path / "a.pt")


def test_what_learns_may_become_shallower(tiles: Tiles, tmp_path: Path) -> None:
    first = make(tiles, tmp_path, network={"analysis_blocks": 2})
    first.save(tmp_path / "a.pt")
    second = make(tiles, tmp_path, network={"analysis_blocks": 1}, run={"learns": ["analysis.", "hyper_analysis."]})
    second.resume(tmp_path / "a.pt")
    assert torch.equal(second.network.analysis.blocks[0].enter.weight, first.network.analysis.blocks[0].enter.weight)
    assert len(second.network.analysis.blocks) == 1
    with pytest.raises(TrainingError, match="does not fit"):
        make(tiles, tmp_path, network={"analysis_blocks": 1}, run={"learns": ["synthesis."]}).resume(tmp_path / "a.pt")


def test_a_stage_begins_as_the_first_and_learns_alone(tiles: Tiles, tmp_path: Path) -> None:
    first = make(tiles, tmp_path)
    first.step(1.0)
    first.save(tmp_path / "a.pt")
    learns = ["analysis.later.0."]
    second = make(tiles, tmp_path, network={"analysis_stages": 2}, run={"learns": learns}, optimiser=RATES)
    second.resume(tmp_path / "a.pt")
    for row, expected in zip(second.validate(), first.validate(), strict=True):
        assert row == pytest.approx(expected, rel=1e-4)
    before = {key: value.clone() for key, value in second.network.state_dict().items()}
    second.step(1.0)
    changed = {key for key, value in second.network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert all(key.startswith(learns[0]) for key in changed)


def test_the_graph_of_an_analysis_has_all_its_stages(tiles: Tiles, tmp_path: Path) -> None:
    from glissando.networks.graphs import analyse

    network = make(tiles, tmp_path, network={"analysis_stages": 2}).network.eval()
    with torch.no_grad():
        network.analysis.later[0].down[1].weight.mul_(2)
    pixels = tiles.validation[:1, :, :64, :128]
    found = analyse(network.analysis, pixels.permute(0, 2, 3, 1))
    assert torch.allclose(found, network.analysis(pixels.float() / 255), atol=1e-4)


def test_only_what_is_named_learns(tiles: Tiles, tmp_path: Path) -> None:
    trainer = make(tiles, tmp_path, run={"learns": ["analysis."]}, optimiser=RATES)
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    trainer.step(1.0)
    changed = {key for key, value in trainer.network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert all(key.startswith("analysis.") for key in changed)
    averaged = trainer.ema.state_dict()
    assert all(torch.equal(averaged[key], before[key]) for key in before if not key.startswith("analysis."))
    with pytest.raises(RecipeError, match=r"run\.learns: no parameter of the network begins with 'analyses'"):
        make(tiles, tmp_path, run={"learns": ["analyses"]})


@pytest.mark.parametrize("content", [None, b"", b"rubbish", b"PK\3\4"])
def test_a_checkpoint_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "last.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"last\.pt"):
        load_checkpoint(path)


def test_something_else_of_torchs_is_no_checkpoint(tmp_path: Path) -> None:
    for value in ({"model": 1}, [1, 2]):
        torch.save(value, tmp_path / "x.pt")
        with pytest.raises(TrainingError, match="not a checkpoint"):
            load_checkpoint(tmp_path / "x.pt")


def test_a_step_that_is_not_finite_changes_nothing(tiles: Tiles, tmp_path: Path) -> None:
    trainer = make(tiles, tmp_path)
    trainer.step(1.0)
    before = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    trainer.crops.tiles = trainer.crops.tiles.float() * float("nan")
    trainer.step(1.0)
    assert trainer.progress.skipped == 1
    assert trainer.progress.step == 2
    assert all(torch.equal(value, before[key]) for key, value in trainer.network.state_dict().items())


def test_qualities_of_a_batch_are_spread(tiles: Tiles, tmp_path: Path) -> None:
    trainer = make(tiles, tmp_path, data={"batch": 5})
    for _ in range(5):
        _, quality = trainer.draw()
        assert torch.equal((quality / 20).floor(), torch.arange(5.0))


def test_a_few_steps_learn_something(tiles: Tiles, tmp_path: Path) -> None:
    """From random weights, on one small data set: the loss falls."""
    trainer = make(tiles, tmp_path, optimiser=RATES)
    losses = [trainer.step(1.0)["loss"] for _ in range(12)]
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])


def test_without_held_out_pictures_there_is_no_curve(tiles: Tiles, tmp_path: Path) -> None:
    everything = Tiles(tiles.training, torch.zeros(len(tiles.training), dtype=torch.bool))
    assert make(everything, tmp_path).validate() == []


def test_no_data_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLISSANDO_DATA", raising=False)
    (tmp_path / "tiny.toml").write_text(RECIPE.format(initial="random"))
    with pytest.raises(TrainingError, match="GLISSANDO_DATA"):
        run(tmp_path / "tiny.toml", None, tmp_path / "out")
    monkeypatch.setenv("GLISSANDO_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(TrainingError, match="no tar shards"):
        run(tmp_path / "tiny.toml", None, tmp_path / "out")


# --- Export ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(trained: Path) -> Path:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason=f"export needs {name}: pip install glissando[train]")
    from glissando.training import export

    folder = export(trained / "out" / "last.pt", trained / "model", scores={"kodak": 1})
    assert folder == trained / "model"
    return folder


def test_an_exported_model_codes_pictures(
    exported: Path, natural: Callable[..., Pixels], psnr: Callable[..., float]
) -> None:
    codec = glissando.open_model(exported, precision="f32", threads=1)
    pixels = natural(100, 150, seed=3)
    found = []
    for quality in (0, 50, 95):
        data = codec.encode(pixels, quality)
        decoded = codec.decode(data)
        assert decoded.shape == pixels.shape
        found.append((len(data), psnr(decoded, pixels)))
        ideal = codec.ideal_bits(pixels, quality) / 8
        assert len(data) <= 1.01 * ideal + 100
    assert found == sorted(found)
    assert found[-1][1] > 26
    with pytest.raises(UnknownModelError, match="not installed"):
        glissando.decode(data)


def test_small_pictures_are_fitted_to_training_pictures(
    exported: Path, shards: Path, natural: Callable[..., Pixels], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the network has latents that its synthesis reads; a note says where it has not, or pictures are missing."""
    from glissando.cli.export import _fit_small_pictures
    from glissando.training import export

    def said(model: Path, data: Path | None) -> str:
        _fit_small_pictures(model, data)
        return " ".join(capsys.readouterr().err.split())

    assert "has no synthesis that reads its latents" in said(exported, shards)
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE.format(initial="pca"))
    checkpoint = run(recipe, shards, tmp_path / "out", settings=["network.synthesis_latent_blocks=1"])
    model = export(checkpoint, tmp_path / "model")
    assert "no training data" in said(model, None)
    assert not (model / "block_means.npz").exists()
    assert "fitted to 4 training pictures" in said(model, shards)
    pixels = natural(192, 128, seed=3)
    with glissando.open_model(model, precision="f32", threads=1) as codec:
        small = codec.decode(codec.encode(pixels, 90), max_size=(8, 12))
    means = pixels.reshape(12, 16, 8, 16, 3).mean((1, 3))
    assert small.shape == means.shape
    assert np.abs(small - means).mean() < 6


def test_an_exported_models_card(exported: Path) -> None:
    card = glissando.open_model(exported).card
    assert (card.name, card.summary, card.width) == ("tiny", "for a test", 192)
    assert card.configuration["latents"] == 64
    assert card.created.endswith("+00:00")
    assert card.parameters > 0
    assert card.scores == {"kodak": 1}
    assert card.training["steps"] == 3
    (piece,) = card.training["pieces"]
    assert piece["samples"] == card.training["samples"] == 6
    assert piece["recipe"] == card.training["recipe_hash"]
    assert card.training["recipe"]["network"]["latents"] == 64
    assert card.training["recipe"]["network"]["width"] == 192
    assert set(card.training["differences_from_torch"]) == {"analysis", "quantise", "decode", "decode-8bit"}
    assert sorted(path.name for path in exported.parent.iterdir()) == ["model", "out", "tiny.toml"]


def test_an_exported_model_can_be_trained_on(exported: Path, tiles: Tiles, tmp_path: Path) -> None:
    """A folder is a checkpoint without the optimiser's state: half-precision weights, counts from the card."""
    trainer = make(tiles, tmp_path)
    trainer.resume(exported)
    assert trainer.progress.step == 3
    assert trainer.progress.pieces == glissando.open_model(exported).card.training["pieces"]
    weights = load_checkpoint(exported)["ema"]["analysis.enter.weight"]
    assert torch.equal(trainer.network.analysis.enter.weight.detach(), weights)
    assert np.isfinite(trainer.step(1.0)["loss"])


def test_scale_networks_are_shipped_in_integers_alone(exported: Path, trained: Path, tmp_path: Path) -> None:
    from glissando.training.export import export

    for path in (exported / "decoder.npz", exported / "encoders" / "default" / "encoder.npz"):
        assert not [name for name in read_arrays(path) if name.startswith("scales.")]
    found, trained_weights = (load_checkpoint(path)["ema"] for path in (exported, trained / "out" / "last.pt"))
    assert found.keys() == trained_weights.keys()
    for name in ("scales.z_mix.weight", "scales.near.weight"):
        assert torch.equal(found[name], torch.round(trained_weights[name] * 128) / 128)
    # Exported again, they are what they were.
    state = torch.load(trained / "out" / "last.pt", weights_only=True)
    torch.save({**state, "ema": found}, tmp_path / "again.pt")
    export(tmp_path / "again.pt", tmp_path / "again")
    first, second = (read_arrays(folder / "integers.npz") for folder in (exported, tmp_path / "again"))
    scales = [name for name in first if name.startswith("scales.")]
    assert scales
    for name in scales:
        assert np.array_equal(values_of(first[name]), values_of(second[name]))


def test_a_folder_exported_again_keeps_its_hash(exported: Path, tmp_path: Path) -> None:
    """What is rounded once stays as it is, weights and tables, and training can resume from either."""
    from glissando.training.export import export

    export(exported, tmp_path / "again")
    first, second = (glissando.open_model(folder).card for folder in (exported, tmp_path / "again"))
    assert first.hash == second.hash
    assert first.encoders["default"].hash == second.encoders["default"].hash
    states = [load_checkpoint(folder)["ema"] for folder in (exported, tmp_path / "again")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.fixture(scope="module")
def with_encoders(exported: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with one more encoder, deeper, trained while the decoder stayed as it was."""
    from glissando.training.export import export_encoder

    folder = tmp_path_factory.mktemp("encoders")
    shutil.copytree(exported, folder / "model")
    (folder / "deeper.toml").write_text(
        RECIPE.format(initial="pca")
        .replace("analysis_latent_blocks = 0", "analysis_latent_blocks = 1")
        .replace("samples = 6", "samples = 12")
        .replace("e-5", "e-3")
        .replace("[run]", '[run]\nlearns = ["analysis.", "hyper_analysis."]')
    )
    checkpoint = run(folder / "deeper.toml", shards, folder / "out", resume=folder / "model")
    place = export_encoder(checkpoint, folder / "model", "deeper", (4, 10))
    assert place == folder / "model" / "encoders" / "deeper"
    return folder / "model"


def test_an_encoder_is_trained_for_a_decoder(
    with_encoders: Path, exported: Path, natural: Callable[..., Pixels]
) -> None:
    with glissando.open_model(with_encoders, precision="f32", threads=1) as codec:
        assert codec.card.hash == glissando.open_model(exported).card.hash
        card = codec.card.encoders["deeper"]
        assert (card.efforts, card.configuration["analysis_latent_blocks"]) == ([4, 10], 1)
        assert card.kmac_per_pixel > codec.card.encoders["default"].kmac_per_pixel
        assert card.training["samples"] == 12
        pixels = natural(100, 150, seed=3)
        files = [codec.encode(pixels, 50, effort=effort) for effort in (0, 3, 4)]
        assert files[0] == files[1] != files[2]
        with glissando.open_model(with_encoders, encoder="deeper", precision="f32", threads=1) as deeper:
            assert deeper.encode(pixels, 50, effort=0) == files[2]
            assert deeper.encode(pixels, 50, effort=4) == files[2]
        assert not np.array_equal(codec.decode(files[0]), codec.decode(files[2]))


def test_encoders_stay_with_their_decoder(with_encoders: Path, trained: Path, tmp_path: Path) -> None:
    """Exporting the same decoder again keeps them; another decoder in its place loses them."""
    from glissando.training.export import export

    model = Path(shutil.copytree(with_encoders, tmp_path / "model"))
    export(with_encoders, model)
    assert list(glissando.open_model(model).card.encoders) == ["deeper", "default"]
    changed = torch.load(trained / "out" / "last.pt", weights_only=True)
    changed["ema"]["synthesis.leave.bias"] += 0.1
    torch.save(changed, tmp_path / "changed.pt")
    export(tmp_path / "changed.pt", model)
    assert list(glissando.open_model(model).card.encoders) == ["default"]


@pytest.mark.parametrize(
    ("name", "efforts", "message"),
    [
        ("default", (), "an encoder's name"),
        ("../x", (), "an encoder's name"),
        ("fast", (3, 2), "efforts are"),
        ("fast", (0, 11), "efforts are"),
        ("fast", (), r"changed\.pt has another decoder than .*model: .* differs"),
    ],
)
def test_encoders_that_do_not_belong(
    exported: Path, trained: Path, tmp_path: Path, name: str, efforts: tuple[int, ...], message: str
) -> None:
    from glissando.training.export import export_encoder

    model = Path(shutil.copytree(exported, tmp_path / "model"))
    changed = torch.load(trained / "out" / "last.pt", weights_only=True)
    changed["ema"]["synthesis.leave.bias"] += 0.1
    torch.save(changed, tmp_path / "changed.pt")
    with pytest.raises(TrainingError, match=message):
        export_encoder(tmp_path / "changed.pt", model, name, efforts)
    assert list(glissando.open_model(model).card.encoders) == ["default"]


def test_no_two_encoders_have_an_effort_in_common(with_encoders: Path, tmp_path: Path) -> None:
    from glissando.training.export import export_encoder

    model = Path(shutil.copytree(with_encoders, tmp_path / "model"))
    with pytest.raises(TrainingError, match=r"at effort 4 the encoder 'deeper' of .* is used already"):
        export_encoder(with_encoders, model, "other", (3, 4))
    with pytest.raises(TrainingError, match="is no model's folder"):
        export_encoder(with_encoders, tmp_path / "last.pt", "other")
    card = json.loads((model / "encoders" / "deeper" / "card.json").read_text())
    for wrong in ([1], [2, 1], ["0", "2"], [0, 1, 2]):
        (model / "encoders" / "deeper" / "card.json").write_text(json.dumps({**card, "efforts": wrong}))
        with pytest.raises(ModelMismatchError, match="efforts are the lowest and the highest"):
            glissando.open_model(model)


def test_what_stays_is_averaged_already(tiles: Tiles, tmp_path: Path) -> None:
    """A training of an encoder goes on from what would be exported, not from what was last learnt."""
    first = make(tiles, tmp_path, optimiser=RATES)
    for _ in range(3):
        first.step(1.0)
    first.save(tmp_path / "a.pt")
    second = make(tiles, tmp_path, run={"learns": ["analysis."]})
    second.resume(tmp_path / "a.pt")
    live, averaged = second.network.state_dict(), first.ema.state_dict()
    assert torch.equal(live["synthesis.leave.weight"], averaged["synthesis.leave.weight"])
    assert not torch.equal(live["analysis.enter.weight"], averaged["analysis.enter.weight"])


def test_an_exported_model_decodes_once_it_is_registered(
    exported: Path, natural: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By name and by hash, in Python and on the command line."""
    from typer.testing import CliRunner

    from glissando.cli.app import app
    from glissando.zoo import registry

    monkeypatch.setattr(registry, "_registered", [])
    pixels = natural(60, 70, seed=3)
    data = glissando.open_model(exported, threads=1).encode(pixels, 50)
    (tmp_path / "a.gliss").write_bytes(data)
    arguments = ["decode", str(tmp_path / "a.gliss"), str(tmp_path / "a.png")]
    assert CliRunner().invoke(app, arguments).exit_code == 1
    assert glissando.register(exported).name == "tiny"
    assert glissando.decode(data, threads=1).shape == pixels.shape
    assert CliRunner().invoke(app, arguments).exit_code == 0
    monkeypatch.setattr(registry, "_registered", [])
    monkeypatch.setenv("GLISSANDO_MODELS", str(exported))
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert glissando.encode(pixels, 50, model="tiny", threads=1) == data


def test_pictures_say_how_finely_weights_are_stored(
    exported: Path, trained: Path, shards: Path, tmp_path: Path
) -> None:
    """With training pictures the files are smaller, and the pictures hardly differ."""
    from glissando.training.export import export

    export(trained / "out" / "last.pt", tmp_path / "model", data=shards)
    cards = [glissando.open_model(folder).card for folder in (exported, tmp_path / "model")]
    assert cards[1].bytes < 0.9 * cards[0].bytes
    encoders = [card.encoders["default"] for card in cards]
    assert ["analysis-int8.onnx.gz" in encoder.files for encoder in encoders] == [False, True]
    assert encoders[1].int8_quality == -1  # until it has been measured


def test_an_analysis_in_eight_bits(
    trained: Path,
    exported: Path,
    shards: Path,
    natural: Callable[..., Pixels],
    psnr: Callable[..., float],
    tmp_path: Path,
) -> None:
    """Files hardly differ, and are decoded as all others; a model without that graph says so."""
    from glissando.codec.quality import Quality
    from glissando.training.export import export

    export(trained / "out" / "last.pt", tmp_path / "model", data=shards)
    pixels = natural(100, 150, seed=3)
    found = []
    for precision in ("f32", "int8"):
        with glissando.open_model(tmp_path / "model", precision=precision, threads=1) as codec:
            data = codec.encode(pixels, 60)
            found.append((len(data), psnr(codec.decode(data), pixels)))
            assert codec.engine.analysis_precision(Quality.of(60)) == precision
    (size, quality), (size_8, quality_8) = found
    assert size_8 == pytest.approx(size, rel=0.05)
    assert quality_8 == pytest.approx(quality, abs=0.3)
    with (
        glissando.open_model(exported, precision="int8", threads=1) as codec,
        pytest.raises(ModelMismatchError, match="encoder default of model tiny has no graph analysis-int8"),
    ):
        codec.encode(pixels, 60)


def test_a_damaged_export_is_noticed(exported: Path, trained: Path, tmp_path: Path) -> None:
    from glissando.training.export import export

    state = torch.load(trained / "out" / "last.pt", weights_only=True)
    state["ema"]["gain.table"] += 1000.0
    torch.save(state, tmp_path / "bad.pt")
    with pytest.raises(TrainingError, match="gain"):
        export(tmp_path / "bad.pt", tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pt"]


def test_exporting_again_is_the_same_and_replaces_the_folder(exported: Path, trained: Path) -> None:
    from glissando.training.export import export

    before = {path.name: path.read_bytes() for path in exported.rglob("*.onnx.gz")}
    assert len(before) == 4
    hash_before = glissando.open_model(exported).card.hash
    (exported / "left over").write_text("")
    export(trained / "out" / "last.pt", exported, scores={"kodak": 1})
    assert {path.name: path.read_bytes() for path in exported.rglob("*.onnx.gz")} == before
    assert glissando.open_model(exported).card.hash == hash_before
    assert not (exported / "left over").exists()
    (line,) = glissando.open_model(exported).card.versions
    assert (line["hash"], line["scores"]) == (hash_before, {"kodak": 1})


def test_a_card_keeps_a_line_of_each_version_that_was_scored(tmp_path: Path) -> None:
    from glissando.training.export import earlier_versions

    pieces = [{"device": "a GPU"}, {"device": "a processor"}, {"device": "a GPU"}]
    training = {"samples": 6, "hours": 0.5, "recipe_hash": "abc", "pieces": pieces}
    own = {"name": "tiny", "hash": "012", "created": "2026-01-02T03:04:05+00:00"}
    card = {**own, "training": training, "scores": {"kodak": 1}, "versions": [{"hash": "old"}]}

    def lines(card: object, name: str = "tiny") -> list[dict[str, Any]]:
        (tmp_path / "card.json").write_text(json.dumps(card))
        return earlier_versions(tmp_path, name)

    counted = {"samples": 6, "hours": 0.5, "recipe_hash": "abc", "devices": ["a GPU", "a processor"]}
    assert lines(card) == [{"hash": "old"}, {**own, **counted, "scores": {"kodak": 1}}]
    assert lines({**card, "scores": {}}) == [{"hash": "old"}]  # never landed
    assert lines(card, "other") == lines([1]) == earlier_versions(tmp_path / "none", "tiny") == []


# --- What a training goes on from ----------------------------------------------------------------------------


def test_a_compact_checkpoint_goes_on(trained: Path, shards: Path, tmp_path: Path) -> None:
    """Averaged weights within a rounding, the same counts, no momenta; the next piece counts on."""
    small = tmp_path / "small.pt"
    compact(trained / "out" / "last.pt", small)
    whole, kept = load_checkpoint(trained / "out" / "last.pt"), load_checkpoint(small)
    assert small.stat().st_size < 0.25 * (trained / "out" / "last.pt").stat().st_size
    assert kept["recipe"] == whole["recipe"]
    assert kept["progress"] == whole["progress"]
    assert set(kept) == {"recipe", "progress", "data", "ema"}
    for name, value in whole["ema"].items():
        torch.testing.assert_close(kept["ema"][name].float(), value, rtol=1e-3, atol=1e-4)

    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(initial="pca"))
    longer = [f"schedule.samples={whole['progress']['samples'] + 2}"]
    last = run(recipe, data=shards, out=tmp_path / "more", resume=small, threads=1, settings=longer)
    assert load_checkpoint(last)["progress"]["step"] == whole["progress"]["step"] + 1


def test_a_compact_checkpoint_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "none.pt").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"none\.pt"):
        compact(tmp_path / "none.pt", tmp_path / "small.pt")
    assert not (tmp_path / "small.pt").exists()


def test_the_command_tells_what_was_seen(trained: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["checkpoint", str(trained / "out" / "last.pt"), "--compact", str(tmp_path / "small.pt")]
    )
    assert result.exit_code == 0, result.output
    progress = load_checkpoint(trained / "out" / "last.pt")["progress"]
    assert f"{progress['step']:,} steps, {progress['samples']:,} pictures" in result.output
    assert result.output.count(" pictures in ") == len(progress["pieces"])
    assert load_checkpoint(tmp_path / "small.pt")["progress"] == progress
