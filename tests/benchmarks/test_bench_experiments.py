"""The controlled trainings: plans are checked, runs are resumed, the tables compare equal seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from benchmarks import experiments  # noqa: E402
from benchmarks.experiments import Row, main, markdown, read_plan  # noqa: E402
from glissando.errors import BenchmarkError, RecipeError, TrainingError  # noqa: E402
from glissando.training.data import load_tiles  # noqa: E402

RECIPE = """
family = "gains"
name = "tiny"
network = { latents = 32, hyper = 8, levels = 3, means_width = 16, context_width = 16 }
data = { crop = 64, batch = 2, halved = 0.0, choices = 1 }
"""
PLAN = """
recipe = "recipe.toml"
pictures = 4
warmup = 1
seeds = [1]
all.optimiser.matrix_lr = 0.004

[[row]]
group = "Reference"
name = "tiny"
seeds = [1, 2]

[[row]]
group = "Optimiser"
name = "AdamW for all"
optimiser.kind = "adamw"
seeds = [1, 2]
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def result(row: Row, seed: int, factor: float, time: float = 10.0) -> dict[str, Any]:
    """A run that needs ``factor`` times the bits of an ideal one."""
    curve = [[q, factor * 0.1 * 2 ** (q / 25), 28 + 3 * q / 25] for q in experiments.QUALITIES]
    return {
        "group": row.group, "name": row.name, "seed": seed, "curve": curve, "steps": 2, "bfloat16": False,
        "processor_ms_per_picture": time, "kmac": {"encode": 2.0, "decode": 1.0}, "machine": "a processor",
    }  # fmt: skip


def test_rows_are_the_recipe_with_their_changes(plan: Path) -> None:
    read = read_plan(plan)
    reference, adamw = (read.recipe_of(row, seed) for row, seed in zip(read.rows, (1, 2), strict=True))
    assert reference.optimiser.kind == "muon"
    assert reference.optimiser.matrix_lr == adamw.optimiser.matrix_lr == 0.004
    assert adamw.optimiser.kind == "adamw"
    assert (reference.run.seed, adamw.run.seed) == (1, 2)
    assert reference.network == adamw.network


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('optimiser.kind = "adamw"', "optimiser.speed = 3", "AdamW for all.*optimiser.speed"),
        ('optimiser.kind = "adamw"', 'family = "vae"', "AdamW for all"),
        ('recipe = "recipe.toml"', 'recipe = "none.toml"', "none.toml"),
        ("pictures = 4", "", "pictures"),
        ('group = "Optimiser"', "", "group"),
    ],
)
def test_a_wrong_plan_is_named(plan: Path, old: str, new: str, names: str) -> None:
    plan.write_text(PLAN.replace(old, new))
    with pytest.raises(RecipeError, match=names):
        read_plan(plan)


def test_tables_compare_equal_seeds(plan: Path, tmp_path: Path) -> None:
    read = read_plan(plan)
    reference, adamw = read.rows
    out = tmp_path / "out"
    out.mkdir()
    for row, seed, factor, time in (
        (reference, 1, 1.0, 10),
        (reference, 2, 1.5, 20),
        (adamw, 1, 1.1, 15),
        (adamw, 2, 1.35, 30),
    ):
        row.path(out, seed).write_text(json.dumps(result(row, seed, factor, time)))
    text = markdown(read, out)
    # +10 % at the first seed, 1.35/1.5 = −10 % at the second.
    assert '| AdamW for all (`optimiser.kind = "adamw"`) | -0.0 % ± 10.0 |' in text.replace("+0.0", "-0.0")
    assert "| 1.50 × |" in text
    adamw.path(out, 2).unlink()
    assert "| +10.0 % | +10.0 % | 1 |" in markdown(read, out)


def test_times_are_compared_on_one_machine(plan: Path, tmp_path: Path) -> None:
    read = read_plan(plan)
    reference, adamw = read.rows
    slower = {"reference_ms_per_picture": 40.0, "machine": "a slower one"}
    reference.path(tmp_path, 1).write_text(json.dumps(result(reference, 1, 1.0, 10)))
    adamw.path(tmp_path, 1).write_text(json.dumps(result(adamw, 1, 1.0, 30) | slower))
    text = markdown(read, tmp_path)
    assert "| 0.75 × |" in text
    assert "a processor; a slower one" in text


def test_without_the_reference_there_is_no_table(plan: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="reference"):
        markdown(read_plan(plan), tmp_path)


def test_a_run_trains_and_measures(plan: Path, shards: Path, tmp_path: Path) -> None:
    read = read_plan(plan)
    row = Row("Optimiser", "short", (1,), {"run": {"initial": "random"}})
    found = experiments.train(read, row, 1, load_tiles(shards), tmp_path, bfloat16=False)
    assert found["steps"] == 2
    assert found["recipe"]["optimiser"]["matrix_lr"] == 0.004
    assert [point[0] for point in found["curve"]] == list(experiments.QUALITIES)
    assert np.isfinite(found["curve"]).all()
    assert 0 < found["kmac"]["decode"] < 12
    assert min(found["processor_ms_per_picture"], found["reference_ms_per_picture"]) > 0


def test_a_run_goes_on_from_a_checkpoint(plan: Path, shards: Path, tmp_path: Path) -> None:
    tiles = load_tiles(shards)
    read = read_plan(plan)
    trainer = experiments.Trainer(read.recipe_of(read.rows[0], 1), tiles, torch.device("cpu"), tmp_path)
    trainer.step(1.0)
    trainer.save(tmp_path / "seen.pt")
    plan.write_text('resume = "seen.pt"\nsection = "further"\n' + PLAN.replace("0.004", "0.0"))
    read = read_plan(plan)
    (row,) = (row for row in read.rows if row.name == "tiny")
    found = experiments.train(read, row, 2, tiles, tmp_path, bfloat16=False)
    assert (found["resumed"], found["steps"]) == (2, 2)
    row.path(tmp_path, 1).write_text(json.dumps(found | {"seed": 1}))
    assert "from a model that has seen 2, 4 crops" in markdown(read, tmp_path)
    plan.write_text('resume = "seen.pt"\n' + PLAN)
    (tmp_path / "seen.pt").unlink()
    with pytest.raises(TrainingError, match=r"seen\.pt"):
        experiments.train(read_plan(plan), row, 1, tiles, tmp_path, bfloat16=False)


def test_runs_are_kept_and_reported(
    plan: Path, tmp_path: Path, shards: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[str, int]] = []

    def train(plan: experiments.Plan, row: Row, seed: int, *rest: object, bfloat16: bool) -> dict[str, Any]:
        trained.append((row.name, seed))
        return result(row, seed, 1.0)

    monkeypatch.setattr(experiments, "train", train)
    monkeypatch.setattr(experiments, "faster_precision", lambda recipe, tiles: False)
    out, document = tmp_path / "out", tmp_path / "page.md"
    document.write_text("before\n<!-- experiments:begin -->\n<!-- experiments:end -->\nafter\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train").symlink_to(shards)
    arguments = ["run", str(plan), str(out), "--data", str(tmp_path / "data")]
    assert main([*arguments, "--only", "Reference"]) == 0
    assert main(arguments) == 0
    assert trained == [("tiny", 1), ("tiny", 2), ("AdamW for all", 1), ("AdamW for all", 2)]
    assert main(["report", str(plan), str(out), str(document)]) == 0
    assert "| tiny | +0.0 % ± 0.0 |" in document.read_text()
    plan.write_text(PLAN.replace("pictures = 4", "pictures = x"))
    assert main(["report", str(plan), str(out)]) == 1
    assert "TOML" in capsys.readouterr().err


DECAYS = """
recipe = "recipe.toml"
all.network = { width = 32, synthesis_blocks = 1, analysis_blocks = 1 }
pictures = 8
warmup = 1
seeds = [1]

[[row]]
group = "Teacher"
name = "large"

[[row]]
group = "Small"
name = "decayed"
start = "Teacher / large"
drive = 0.5
decay = { decode = 0.2, encode = 0.2 }

[[row]]
group = "Small"
name = "inherits"
start = "Teacher / large"
teacher = "Teacher / large"
drive = 0.0
decay = { decode = 0.2, encode = 0.2 }

[[row]]
group = "Small"
name = "from nothing"
shape = "Small / decayed"
times = 2
"""


def test_rows_build_on_each_other(plan: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher, a decay from it, a student of its shape from nothing, one that inherits; stopped runs go on."""
    plan.write_text(DECAYS)
    tiles, out = load_tiles(shards), tmp_path / "out"
    out.mkdir()
    read = read_plan(plan)
    rows = {row.name: row for row in read.rows}
    with pytest.raises(BenchmarkError, match=r"Teacher / large, seed 1, has to be trained first"):
        experiments.train(read, rows["decayed"], 1, tiles, out, bfloat16=False)

    def finish(name: str) -> dict[str, Any]:
        found = experiments.train(read, rows[name], 1, tiles, out, bfloat16=False)
        rows[name].path(out, 1).write_text(json.dumps(found))
        return found

    large = finish("large")
    monkeypatch.setattr(experiments, "SAVED", 2)
    monkeypatch.setattr(experiments, "DRAWN", 4)
    whole = experiments.Trainer.validate

    def stopped(trainer: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiments.Trainer, "validate", stopped)
    with pytest.raises(KeyboardInterrupt):
        experiments.train(read, rows["decayed"], 1, tiles, out, bfloat16=False)
    monkeypatch.setattr(experiments.Trainer, "validate", whole)
    decayed = finish("decayed")
    assert (decayed["resumed"], decayed["steps"]) == (8, 4)
    assert max(decayed["kmac"].values()) <= 0.2 < large["kmac"]["decode"]
    assert [drawn["step"] for drawn in decayed["masks"]] == [1, 2]  # one look, and the first step of two
    inherits, scratch = finish("inherits"), finish("from nothing")
    assert max(inherits["kmac"].values()) <= 0.2
    assert inherits["masks"] == []
    assert scratch["kmac"] == decayed["kmac"]
    assert (scratch["resumed"], scratch["steps"]) == (0, 8)
    assert rows["large"].checkpoint(out, 1).exists()
    assert not rows["inherits"].checkpoint(out, 1).exists()
    plan.write_text(DECAYS.replace('shape = "Small / decayed"', 'shape = "Small / none"'))
    with pytest.raises(RecipeError, match="no row before it is Small / none"):
        read_plan(plan)
