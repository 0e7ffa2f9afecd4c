"""Recipes: every key is checked, and errors name it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from glissando.errors import RecipeError, TrainingError
from glissando.families.gains.recipe import GainsRecipe
from glissando.training.loop import learning_factor
from glissando.training.recipe import from_dict, read_recipe

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(path for path in FOLDER.glob("*.toml") if path.stem != "words")  # of pictures


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_the_recipes_of_this_repository_are_valid(path: Path) -> None:
    recipe = read_recipe(path)
    assert from_dict(recipe.to_dict()) == recipe
    assert len(recipe.hash()) == 12


def test_an_empty_recipe_is_all_defaults() -> None:
    assert from_dict({"family": "gains"}) == GainsRecipe()


def test_the_hash_follows_every_value() -> None:
    assert from_dict({"family": "gains"}).hash() == GainsRecipe().hash()
    assert from_dict({"family": "gains", "rate": {"balance": 0.41}}).hash() != GainsRecipe().hash()
    assert from_dict({"family": "gains", "name": "other"}).hash() != GainsRecipe().hash()


def test_whole_numbers_are_fine_where_reals_are_asked_for() -> None:
    assert from_dict({"family": "gains", "optimiser": {"clip": 2}}).optimiser.clip == 2.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nme": "x"}, "unknown key 'nme'; known here: family, name, summary, network"),
        ({"network": {"widht": 192}}, r"unknown key 'network\.widht'; known here: width"),
        ({"schedule": {"step": 5}}, r"unknown key 'schedule\.step'; known here: samples"),
        ({"network": {"width": "192"}}, r"'network\.width' must be int, not '192'"),
        ({"network": {"width": 192.0}}, r"'network\.width' must be int, not 192\.0"),
        ({"network": {"width": True}}, r"'network\.width' must be int, not True"),
        ({"optimiser": {"lr": "fast"}}, r"'optimiser\.lr' must be float"),
        ({"name": 3}, "'name' must be str, not 3"),
        ({"network": 192}, "'network' is a table, not 192"),
        ({"data": [1]}, "'data' is a table"),
    ],
)
def test_wrong_keys_and_types_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        from_dict({"family": "gains", **values})


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("network", "latents", 255),
        ("network", "levels", 1),
        ("network", "width", 0),
        ("data", "crop", 100),
        ("data", "crop", 0),
        ("data", "crop", -64),
        ("data", "batch", 0),
        ("rate", "lambda_low", 0.0),
        ("rate", "lambda_low", 1.0),
        ("rate", "lambda_low", float("nan")),
        ("optimiser", "kind", "sgd"),
        ("optimiser", "ema", 1.0),
        ("optimiser", "whiten", -0.1),
        ("optimiser", "whiten", 1.5),
        ("schedule", "samples", 0),
        ("schedule", "decay", 1.5),
        ("run", "initial", "zeros"),
        ("run", "log_every", 0),
        ("run", "save_every", -1),
        ("run", "validate_every", 0),
    ],
)
def test_impossible_values_are_named(table: str, key: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=key):
        from_dict({"family": "gains", table: {key: value}})


def test_whitening_without_muon_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"optimiser\.whiten is Muon's"):
        from_dict({"family": "gains", "optimiser": {"kind": "adamw", "whiten": 0.5}})


@pytest.mark.parametrize("content", [b"name = ", b"[network\n", b"\xff\xfe\x00", b"name = 'x'\nname = 'y'"])
def test_files_that_are_no_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"recipe\.toml is not TOML"):
        read_recipe(path)


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('family = "gains"\n[data]\nbach = 8\n')
    with pytest.raises(RecipeError, match=r"mine\.toml: unknown key 'data\.bach'"):
        read_recipe(path)
    with pytest.raises(TrainingError, match="absent"):
        read_recipe(tmp_path / "absent.toml")


def test_lambda_grows_exponentially() -> None:
    rate = from_dict({"family": "gains", "rate": {"lambda_low": 0.001, "lambda_high": 0.1}}).rate
    assert [rate.lambda_of(q) for q in (0, 50, 100)] == pytest.approx([0.001, 0.01, 0.1])


@pytest.mark.parametrize("values", [{}, {"family": "jpeg"}, {"family": ["gains"]}, {"family": 3}])
def test_a_recipe_names_its_family(values: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"'family' must be one of gains, vae, content.*, not "):
        from_dict(values)


# --- Learning rate -----------------------------------------------------------------------------------------


def factors(steps: int, warmup: int, decay: float) -> list[float]:
    return [learning_factor(step, step / steps, warmup, decay) for step in range(steps + 1)]


def test_the_learning_rate_rises_stays_and_falls() -> None:
    shape = factors(1000, 100, 0.3)
    assert shape[0] == pytest.approx(0.01)
    assert shape[:100] == sorted(shape[:100])
    assert set(shape[99:700]) == {1.0}
    assert shape[701:] == sorted(shape[701:], reverse=True)
    assert shape[850] == pytest.approx(0.5)
    assert shape[-1] == 0.0


def test_warm_up_and_decay_can_be_left_out() -> None:
    assert set(factors(50, 0, 0.0)) == {1.0}
    assert factors(10, 0, 1.0) == pytest.approx([1 - i / 10 for i in range(11)])
    assert learning_factor(5, 1.7, 0, 0.3) == 0.0  # past the end


# --- Bases and settings --------------------------------------------------------------------------------------


def test_a_recipe_changes_its_base_and_settings_change_both(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(
        'family = "gains"\nname = "base"\n[data]\ncrop = 128\nbatch = 2\n[rate]\nbalance = 0.3\n'
    )
    path = tmp_path / "own.toml"
    path.write_text('base = "base.toml"\nname = "own"\n[data]\nbatch = 4\n')
    recipe = read_recipe(path)
    assert isinstance(recipe, GainsRecipe)
    assert (recipe.name, recipe.data.crop, recipe.data.batch, recipe.rate.balance) == ("own", 128, 4, 0.3)
    whole = {"family": "gains", "name": "own", "data": {"crop": 128, "batch": 4}, "rate": {"balance": 0.3}}
    assert recipe.hash() == from_dict(whole).hash()
    changed = read_recipe(path, ["data.batch=6", "rate.single = true", "rate.distortion=ms-ssim", "data.crop=192"])
    assert isinstance(changed, GainsRecipe)
    assert (changed.data.batch, changed.data.crop) == (6, 192)
    assert changed.rate.single
    assert changed.rate.distortion == "ms-ssim"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base = 3", "'base' is the name of a recipe, not 3"),
        ('base = "none.toml"', "cannot read recipe .*none.toml"),
        ('base = "own.toml"', r"own\.toml: its bases come back to .*own\.toml"),
        ('base = "other.toml"', r"own\.toml: its bases come back to .*own\.toml"),
    ],
)
def test_wrong_bases_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    (tmp_path / "other.toml").write_text('base = "own.toml"')
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)


def test_a_base_may_have_a_base(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text('family = "gains"\nname = "first"\n[data]\ncrop = 128\nbatch = 2\n')
    (tmp_path / "second.toml").write_text('base = "first.toml"\nname = "second"\n[data]\nbatch = 3\n')
    (tmp_path / "third.toml").write_text('base = "second.toml"\n[run]\nlearns = ["analysis.", "hyper_analysis."]\n')
    recipe = read_recipe(tmp_path / "third.toml")
    assert (recipe.name, recipe.data.crop, recipe.data.batch) == ("second", 128, 3)
    assert recipe.run.learns == ("analysis.", "hyper_analysis.")
    with pytest.raises(RecipeError, match=r"'run\.learns\[0\]' must be str, not 3"):
        read_recipe(tmp_path / "third.toml", ["run.learns=[3]"])


@pytest.mark.parametrize(
    "setting", ["", "=", "data.batch", "data.batch=", "=3", "a b=3", "data.batch=1\nname=2", "a..b=1"]
)
def test_wrong_settings_are_named(setting: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('family = "gains"')
    with pytest.raises(RecipeError, match=r"table\.key=value|must be int"):
        read_recipe(path, [setting])


def test_unknown_settings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('family = "gains"')
    with pytest.raises(RecipeError, match=r"unknown key 'data\.bach'"):
        read_recipe(path, ["data.bach=4"])


def test_the_documentation_lists_every_key() -> None:
    """docs/training.md has a row for each table of a recipe: the keys that some families share, then those of one."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    block = page.split("<!-- keys:begin -->")[1].split("<!-- keys:end -->")[0]
    rows = re.findall(r"^\| `\[(\w+)\]` \| ([\w ]+) \| (.*) \|$", block, re.M)
    names = ("gains", "vae", "content")
    documented: dict[str, set[str]] = {name: set() for name in names}
    for table, families, keys in rows:
        for name in names if families == "all" else families.split(" and "):
            documented[name] |= {f"{table}.{key}" for key in re.findall(r"`(\w+)`", keys)}
    for name in names:
        tables = {
            key: value
            for key, value in dataclasses.asdict(from_dict({"family": name})).items()
            if isinstance(value, dict)
        }
        assert documented[name] == {f"{table}.{key}" for table, values in tables.items() for key in values}
