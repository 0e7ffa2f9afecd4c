"""What the recipes of all families of pictures share: tables and their checks. Unknown keys are errors.

A recipe is everything that decides a training, in one TOML file. Each family has a recipe of its own, a subclass of
``PictureRecipe``; the key ``family`` says which.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from glissando.errors import RecipeError
from glissando.families import families, family
from glissando.networks.config import NetworkConfig
from glissando.networks.transforms import TransformConfig

from .tables import build_tables, read_tables

__all__ = [
    "Data",
    "Optimisation",
    "PictureRecipe",
    "Rate",
    "Run",
    "Schedule",
    "from_dict",
    "read_recipe",
    "transform_checks",
]

PRECISIONS = ("fastest", "float32", "bfloat16")

Quality = TypeVar("Quality", float, Tensor)


@dataclass(frozen=True)
class Data:
    """The pictures of a training, and how crops are cut from them."""

    crop: int = 256  # pixels, a multiple of 64
    batch: int = 8
    halved: float = 0.5  # share of crops cut twice as large and halved, which sharpens and removes traces of JPEG
    choices: int = 2  # crops that are drawn for each that is kept, the most detailed one
    procedural: float = 0.0  # share of crops that are drawn, not cut: patterns, text, drawings (procedural.py)
    # How many different pictures are drawn, all before the first step: a GPU would wait for a processor that draws
    # beside it. 0: a new one each time.
    drawn: int = 0
    limit_gb: float = 8.0  # largest size of the decoded tiles, and of the drawn pictures


@dataclass(frozen=True)
class Rate:
    """λ grows exponentially from quality 0 to 100; the loss is bpp + λ·D, with the family's distortion D."""

    lambda_low: float = 0.0003
    lambda_high: float = 0.2
    # Each picture's loss is divided by λ^balance. The loss itself grows about as λ^0.5, so that with 0.5 all qualities
    # count the same, as in BD-rate, and with 0 the highest rates count most.
    balance: float = 0.4
    single: bool = False  # train for one quality alone
    quality: float = 50.0  # the quality to train for where ``single`` is true

    def lambda_of(self, quality: Quality) -> Quality:
        """λ at a quality in [0, 100]."""
        value: Quality = self.lambda_low * (self.lambda_high / self.lambda_low) ** (quality / 100)
        return value

    def weight_of(self, quality: Quality) -> Quality:
        """The factor on the loss of a picture at this quality."""
        weight: Quality = (self.lambda_of(quality) / math.sqrt(self.lambda_low * self.lambda_high)) ** -self.balance
        return weight

    def trained(self, drawn: Tensor) -> Tensor:
        """The qualities to train for where these (B,) were drawn."""
        return torch.full_like(drawn, self.quality) if self.single else drawn

    def checks(self) -> dict[str, bool]:
        """Whether each rule holds, by the error message for where it does not."""
        return {
            "rate.lambda_low must be positive and below rate.lambda_high": 0 < self.lambda_low < self.lambda_high,
            "rate.quality must be in [0, 100]": 0 <= self.quality <= 100,
        }


@dataclass(frozen=True)
class Optimisation:
    """How a network learns: the optimisers, their rates at the peak of the schedule, and limits."""

    kind: str = "muon"  # or "adamw"
    lr: float = 1e-3  # AdamW's
    table_lr: float = 1e-2  # AdamW's for the level tables, in octaves
    matrix_lr: float = 0.01  # Muon's, for the pointwise matrices
    whiten: float = 0.0  # how much the matrices' inputs are whitened for Muon, 0 (not at all) to 1; see whitening.py
    clip: float = 1.0  # largest gradient norm
    # The largest loss of a picture, in medians of its batch. A picture with more is weighted down to it, so that a
    # pattern that the network cannot reproduce does not outweigh the photographs beside it. 0: no limit.
    outlier: float = 0.0
    ema: float = 0.999


@dataclass(frozen=True)
class Schedule:
    """Length and learning rate of a training: linear warm-up, constant, linear decay over the last share ``decay``."""

    samples: int = 160_000  # pictures since the model's start, over all its trainings
    # The longest time of one training, which ends earlier where its pictures are used up. 0: no limit.
    minutes: float = 0.0
    warmup: int = 200  # steps, also when a resumed training has no state of the optimisers
    decay: float = 0.3


@dataclass(frozen=True)
class Run:
    """How a training begins, and how often it reports and saves."""

    seed: int = 1
    initial: str = "pca"  # how the weights begin: one of the family's starts
    fit_entropy: int = 0  # steps in which the entropy model alone learns, before all others; of the gains family
    balance_trunk: float = 0.5  # after PCA, channels are divided by their deviation to this power
    balance_latents: float = 0.25  # the same power for the latents
    # Beginnings of the names of the parameters that learn, such as "analysis."; all others stay as they are. An encoder
    # for a decoder that there is, or the other way about, is trained so. Empty: all learn.
    learns: tuple[str, ...] = ()
    # What the networks' products are computed in: "fastest" times both at the start, as passes are before they are
    # compiled; on a GPU a small batch then tells little.
    precision: str = "fastest"  # or "float32" or "bfloat16"
    compiled: bool = True  # have PyTorch fuse the passes on a GPU, which takes a minute or two at the start
    log_every: int = 50  # steps
    validate_every: int = 1000
    save_every: int = 500


@dataclass(frozen=True)
class PictureRecipe:
    """The tables that every recipe of a picture model has. A family's recipe names its family, replaces tables by
    subclasses of them, and adds some.
    """

    family: str = ""
    name: str = ""
    summary: str = ""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: Data = field(default_factory=Data)
    optimiser: Optimisation = field(default_factory=Optimisation)
    schedule: Schedule = field(default_factory=Schedule)
    run: Run = field(default_factory=Run)

    starts: ClassVar[tuple[str, ...]] = ("pca", "random")
    """What ``run.initial`` may be: "random" sees no picture, every other start is fitted to some."""

    def hash(self) -> str:
        """Twelve hex digits that name this recipe in a model's card."""
        return hashlib.sha256(repr(self.to_dict()).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """All tables by name; of the network's those keys that ``NetworkConfig.to_dict`` tells."""
        return {**dataclasses.asdict(self), "network": self.network.to_dict()}

    def checks(self) -> dict[str, bool]:
        """Whether each rule of this recipe holds, by the message for where it does not."""
        data, run, optimiser = self.data, self.run, self.optimiser
        return {
            "data.crop must be a positive multiple of 64": data.crop > 0 and data.crop % 64 == 0,
            "data.batch and data.choices must be positive": min(data.batch, data.choices) > 0,
            "data.halved must be in [0, 1]": 0 <= data.halved <= 1,
            "data.procedural must be in [0, 1]": 0 <= data.procedural <= 1,
            "data.drawn must be 0 or more, and so many pictures of data.crop pixels must fit into data.limit_gb": (
                0 <= data.drawn * 3 * data.crop**2 <= data.limit_gb * 1e9
            ),
            "optimiser.kind must be 'muon' or 'adamw'": optimiser.kind in ("muon", "adamw"),
            "optimiser.whiten must be in [0, 1]": 0 <= optimiser.whiten <= 1,
            "optimiser.whiten is Muon's: it needs optimiser.kind 'muon'": (
                optimiser.kind == "muon" or not optimiser.whiten
            ),
            "optimiser.clip must be positive": optimiser.clip > 0,
            "optimiser.ema must be in [0, 1)": 0 <= optimiser.ema < 1,
            "schedule.samples must be positive": self.schedule.samples > 0,
            "schedule.decay must be in [0, 1]": 0 <= self.schedule.decay <= 1,
            f"run.precision must be one of {', '.join(PRECISIONS)}": run.precision in PRECISIONS,
            f"run.initial must be one of {', '.join(self.starts)} in the family {self.family}": (
                run.initial in self.starts
            ),
            "run.log_every, validate_every and save_every must be positive": min(
                run.log_every, run.validate_every, run.save_every
            )
            > 0,
        }


def transform_checks(network: TransformConfig) -> dict[str, bool]:
    """The rules of networks that are built of the shared transforms, as ``PictureRecipe.checks`` gives them."""
    return {
        "network.latents and ratio must be positive": min(network.latents, network.ratio) > 0,
        "network.width must be positive": network.width > 0,
    }


def from_dict(values: dict[str, Any]) -> PictureRecipe:
    """Check and build a recipe from nested dictionaries. Raises RecipeError that names the key."""
    name, known = values.get("family"), [f.name for f in families()]
    if name not in known:
        raise RecipeError(f"'family' must be one of {', '.join(known)}, not {name!r}")
    recipe: PictureRecipe = build_tables(family(name).training.recipe, values, "")
    for message, good in recipe.checks().items():
        if not good:
            raise RecipeError(message)
    return recipe


def read_recipe(path: Path, settings: Sequence[str] = ()) -> PictureRecipe:
    """Read a TOML recipe, see ``read_tables``. Raises RecipeError where it cannot be read or a key is wrong."""
    values = read_tables(path, settings)
    try:
        return from_dict(values)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
