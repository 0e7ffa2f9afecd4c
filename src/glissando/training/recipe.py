"""A recipe: everything that decides a training, in one TOML file. Unknown keys are errors."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from glissando.errors import RecipeError
from glissando.models import ContentConfig, NetworkConfig, VaeConfig

FAMILIES = ("gains", "vae", "content")
"""Families of picture models; a recipe that names none is of the first."""

__all__ = [
    "ContentOptimisation",
    "ContentRate",
    "ContentRecipe",
    "Data",
    "Integers",
    "Optimisation",
    "PictureRecipe",
    "Rate",
    "Recipe",
    "Run",
    "Schedule",
    "Stages",
    "VaeRecipe",
    "read_recipe",
]

Quality = TypeVar("Quality", float, Tensor)


@dataclass(frozen=True)
class Data:
    """What the trainer reads."""

    crop: int = 256  # pixels, a multiple of 64
    batch: int = 8
    halved: float = 0.5  # share of crops cut twice as large and halved: sharper, and free of the tiles' JPEG
    choices: int = 2  # each crop is the most detailed of so many
    limit_gb: float = 8.0  # largest size of the decoded tiles


@dataclass(frozen=True)
class Rate:
    """λ grows exponentially from quality 0 to 100; the loss is bpp + λ·255²·MSE, MSE of pixels in [0, 1]."""

    lambda_low: float = 0.0003
    lambda_high: float = 0.2
    # Each picture's loss is divided by λ^balance. The loss itself grows about as λ^0.5, so that 0.5 gives
    # every quality the same say, as BD-rate does, and 0 leaves the training to the highest rates.
    balance: float = 0.4
    # The hyper-latents' bits weigh little at first, and their full weight after so many steps: at full weight
    # from the start they die out before anything has learnt to read them.
    hyper_warmup: int = 600

    def lambda_of(self, quality: Quality) -> Quality:
        """λ at a quality in [0, 100]."""
        value: Quality = self.lambda_low * (self.lambda_high / self.lambda_low) ** (quality / 100)
        return value


@dataclass(frozen=True)
class ContentRate(Rate):
    """The loss is bpp + λ·255²·MSE here too. ``hyper_warmup`` has no part in it."""

    lambda_low: float = 0.0008
    lambda_high: float = 0.04
    map_weight: float = 3.0  # of the map's estimated bits, which its coder takes about three times
    # The source's hinge: hinge · max(0, kept − budget), with the share of all levels that a batch keeps, in place of
    # what the bits cost. A budget is that of one quality.
    hinge: float = 0.0
    budget: float = 0.33
    single: bool = False  # train for one quality alone
    quality: float = 50.0  # ... for this one


@dataclass(frozen=True)
class Stages:
    """The source's three stages, as shares of the schedule: without the map, with it, and fine-tuning for the rest, in
    which all but the map still learns.
    """

    importance: bool = True  # false: no map ever
    without_map: float = 0.1
    with_map: float = 0.7
    tuning_rate: float = 0.5  # fine-tuning's factor on all learning rates


@dataclass(frozen=True)
class Optimisation:
    kind: str = "muon"  # or "adamw"
    lr: float = 1e-3  # AdamW's
    table_lr: float = 1e-2  # AdamW's for the level tables, in octaves
    matrix_lr: float = 0.01  # Muon's, for the pointwise matrices
    clip: float = 1.0  # largest gradient norm
    ema: float = 0.999


@dataclass(frozen=True)
class ContentOptimisation(Optimisation):
    """AdamW's rates for what is peculiar to the content-weighted family."""

    bits_lr: float = 3e-5  # of the layers into bits and back, where thresholds lie and values are set
    context_lr: float = 6e-3  # of the context model, which begins with nothing but each bit's odds
    importance_lr: float = 5e-4  # of the importance network, which begins with the same answer everywhere


@dataclass(frozen=True)
class Schedule:
    """Learning rate: linear warm-up, constant, then linear decay to zero over the last ``decay`` share."""

    steps: int = 20_000
    warmup: int = 200
    decay: float = 0.3


@dataclass(frozen=True)
class Integers:
    """Before ``from_step`` the scale network runs without rounding, from then on in exact integers."""

    from_step: int = 0


@dataclass(frozen=True)
class Run:
    seed: int = 1
    initial: str = "pca"  # or "random"
    balance_trunk: float = 0.5  # after PCA, channels are divided by their deviation to this power
    balance_latents: float = 0.25  # ... and latents to this one
    log_every: int = 50  # steps
    validate_every: int = 1000
    save_every: int = 500


class _Described:
    """What all recipes of pictures can do."""

    def hash(self) -> str:
        """Twelve hex digits that name this recipe in a model's card."""
        return hashlib.sha256(repr(self.to_dict()).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class Recipe(_Described):
    """The main family: gain units, one model for all rates."""

    family: str = "gains"
    name: str = "medium"
    summary: str = ""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: Data = field(default_factory=Data)
    rate: Rate = field(default_factory=Rate)
    optimiser: Optimisation = field(default_factory=Optimisation)
    schedule: Schedule = field(default_factory=Schedule)
    integers: Integers = field(default_factory=Integers)
    run: Run = field(default_factory=Run)


@dataclass(frozen=True)
class VaeRecipe(_Described):
    """A plain VAE, whose rate is chosen after training."""

    family: str = "vae"
    name: str = "vae"
    summary: str = ""
    network: VaeConfig = field(default_factory=VaeConfig)
    data: Data = field(default_factory=Data)
    optimiser: Optimisation = field(default_factory=Optimisation)
    schedule: Schedule = field(default_factory=Schedule)
    run: Run = field(default_factory=Run)


@dataclass(frozen=True)
class ContentRecipe(_Described):
    """The content-weighted family: bits, of which a map keeps more where the content is."""

    family: str = "content"
    name: str = "content-weighted"
    summary: str = ""
    network: ContentConfig = field(default_factory=ContentConfig)
    data: Data = field(default_factory=Data)
    rate: ContentRate = field(default_factory=ContentRate)
    stages: Stages = field(default_factory=Stages)
    optimiser: ContentOptimisation = field(default_factory=ContentOptimisation)
    schedule: Schedule = field(default_factory=Schedule)
    run: Run = field(default_factory=Run)


PictureRecipe = Recipe | VaeRecipe | ContentRecipe


def build_tables(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    """A frozen dataclass from a TOML table, each key checked by name and type."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{where}{key}"
        if key not in fields:
            raise RecipeError(f"unknown key {name!r}; known here: {', '.join(fields)}")
        made = fields[key].default_factory
        default = made() if made is not dataclasses.MISSING else fields[key].default
        if dataclasses.is_dataclass(default):
            if not isinstance(value, dict):
                raise RecipeError(f"{name!r} is a table, not {value!r}")
            arguments[key] = build_tables(type(default), value, f"{name}.")
            continue
        expected = type(default)
        if expected is float and type(value) is int:
            value = float(value)
        if type(value) is not expected:
            raise RecipeError(f"{name!r} must be {expected.__name__}, not {value!r}")
        if isinstance(value, int | float) and not 0 <= value < math.inf:
            raise RecipeError(f"{name!r} must be a finite number, zero or more, not {value!r}")
        arguments[key] = value
    return kind(**arguments)


def from_dict(values: dict[str, Any]) -> PictureRecipe:
    """Check and build a recipe from nested dictionaries. Raises RecipeError that names the key."""
    family = values.get("family", "gains")
    if family not in FAMILIES:
        raise RecipeError(f"'family' must be one of {', '.join(FAMILIES)}, not {family!r}")
    kinds: dict[str, type[PictureRecipe]] = {"gains": Recipe, "vae": VaeRecipe, "content": ContentRecipe}
    recipe: PictureRecipe = build_tables(kinds[family], values, "")
    own = _own_checks(recipe)
    for message, good in {**own, **_common_checks(recipe)}.items():
        if not good:
            raise RecipeError(message)
    return recipe


def _own_checks(recipe: PictureRecipe) -> dict[str, bool]:
    if isinstance(recipe, VaeRecipe):
        return _vae_checks(recipe)
    return _content_checks(recipe) if isinstance(recipe, ContentRecipe) else _gains_checks(recipe)


def _gains_checks(recipe: Recipe) -> dict[str, bool]:
    network, rate = recipe.network, recipe.rate
    sizes = (network.hyper, network.means_width, network.context_width)
    return {
        "network.latents must be even": network.latents % 2 == 0,
        "network.hyper, means_width and context_width must be positive": min(sizes) > 0,
        "network.levels must be at least 2": network.levels >= 2,
        "rate.lambda_low must be positive and below rate.lambda_high": 0 < rate.lambda_low < rate.lambda_high,
    }


def _vae_checks(recipe: VaeRecipe) -> dict[str, bool]:
    return {"network.variance must be positive": recipe.network.variance > 0}


def _content_checks(recipe: ContentRecipe) -> dict[str, bool]:
    network, rate, stages = recipe.network, recipe.rate, recipe.stages
    levels = network.importance_levels
    return {
        "network.shape must be 'fast' or 'source'": network.shape in ("fast", "source"),
        "network.importance_levels must be in 1..32": 1 <= levels <= 32,
        "network.bits must be a multiple of twice network.importance_levels, 4096 at most": 0 < network.bits <= 4096
        and network.bits % max(1, 2 * levels) == 0,
        "network.hidden must be in 1..256": 1 <= network.hidden <= 256,
        "network.levels must be at least 2": network.levels >= 2,
        "network.shape 'source' has no principal components to begin with: run.initial must be 'random'": (
            network.shape != "source" or recipe.run.initial == "random"
        ),
        "rate.lambda_low must be positive and below rate.lambda_high": 0 < rate.lambda_low < rate.lambda_high,
        "rate.quality must be in [0, 100]": 0 <= rate.quality <= 100,
        "rate.budget must be in (0, 1]": 0 < rate.budget <= 1,
        "rate.hinge needs rate.single: a budget is that of one quality": rate.single or not rate.hinge,
        "stages.without_map and with_map must be shares, 1 at most together": stages.without_map + stages.with_map <= 1,
    }


def _common_checks(recipe: PictureRecipe) -> dict[str, bool]:
    network, data, run = recipe.network, recipe.data, recipe.run
    return {
        "network.latents and ratio must be positive": min(network.latents, network.ratio) > 0,
        "network.width must be at least 192, to carry the unshuffled pixels": network.width >= 192,
        "data.crop must be a positive multiple of 64": data.crop > 0 and data.crop % 64 == 0,
        "data.batch and data.choices must be positive": min(data.batch, data.choices) > 0,
        "data.halved must be in [0, 1]": 0 <= data.halved <= 1,
        "optimiser.kind must be 'muon' or 'adamw'": recipe.optimiser.kind in ("muon", "adamw"),
        "optimiser.clip must be positive": recipe.optimiser.clip > 0,
        "optimiser.ema must be in [0, 1)": 0 <= recipe.optimiser.ema < 1,
        "schedule.steps must be positive": recipe.schedule.steps > 0,
        "schedule.decay must be in [0, 1]": 0 <= recipe.schedule.decay <= 1,
        "run.initial must be 'pca' or 'random'": run.initial in ("pca", "random"),
        "run.log_every, validate_every and save_every must be positive": min(
            run.log_every, run.validate_every, run.save_every
        )
        > 0,
    }


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises RecipeError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise RecipeError(f"cannot read recipe {path}: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error


def read_recipe(path: Path) -> PictureRecipe:
    """Read a TOML recipe. Raises RecipeError where it cannot be read or a key is wrong."""
    values = read_toml(path)
    try:
        return from_dict(values)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
