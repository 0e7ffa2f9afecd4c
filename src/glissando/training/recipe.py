"""A recipe: everything that decides a training, in one TOML file. Unknown keys are errors."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from glissando.errors import RecipeError
from glissando.models import ContentConfig, NetworkConfig, VaeConfig

from .eye import SMALLEST_SIDE as EYE_CROP
from .tables import build_tables, read_tables

FAMILIES = ("gains", "vae", "content")
"""Families of picture models; a recipe that names none is of the first."""
QUANTISATIONS = ("mixed", "noise", "straight-through", "soft-then-hard")
DISTORTIONS = ("mse", "ms-ssim", "eye")
MS_SSIM_CROP = 192
"""Smallest side, pixels, that a multiple of 64 can have for five scales of a window of 11."""

__all__ = [
    "ContentOptimisation",
    "ContentRate",
    "ContentRecipe",
    "Data",
    "Integers",
    "Optimisation",
    "PictureRecipe",
    "Quantisation",
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
    procedural: float = 0.0  # share of crops that are drawn, not cut: patterns, text, drawings (procedural.py)
    limit_gb: float = 8.0  # largest size of the decoded tiles


@dataclass(frozen=True)
class Rate:
    """λ grows exponentially from quality 0 to 100. The loss is bpp + λ·D, with D by ``distortion``:

    - "mse": 255²·MSE of pixels in [0, 1];
    - "ms-ssim": 1 − MS-SSIM, whose λ for the same rates are some 2000 times as large;
    - "eye": eye_mse·255²·MSE + (1 − eye_mse)·k(quality)·S, with S the sum of SSIMULACRA 2 (eye.py).
    """

    distortion: str = "mse"  # the others are for the main family
    lambda_low: float = 0.0003
    lambda_high: float = 0.2
    # Each picture's loss is divided by λ^balance. The loss itself grows about as λ^0.5, so that 0.5 gives
    # every quality the same say, as BD-rate does, and 0 leaves the training to the highest rates.
    balance: float = 0.4
    # The hyper-latents' bits weigh little at first, and their full weight after so many steps: at full weight
    # from the start they die out before anything has learnt to read them.
    hyper_warmup: int = 600
    eye_mse: float = 0.2  # the share of MSE in the distortion "eye"
    # k: what one unit of S is worth in units of 255²·MSE, at qualities that are evenly spaced over [0, 100], in between
    # by straight lines. With MSE/S · (d ln MSE / d ln rate) / (d ln S / d ln rate), measured on a trained model, a
    # training for S keeps the rate of each quality about where it is; these are those of the medium model.
    eye_scale: tuple[float, ...] = (2.5, 3.05, 3.6, 4.1, 4.2, 4.2)
    single: bool = False  # train for one quality alone
    quality: float = 50.0  # ... for this one

    def lambda_of(self, quality: Quality) -> Quality:
        """λ at a quality in [0, 100]."""
        value: Quality = self.lambda_low * (self.lambda_high / self.lambda_low) ** (quality / 100)
        return value

    def weight_of(self, quality: Quality) -> Quality:
        """What a picture's loss at this quality is multiplied by."""
        weight: Quality = (self.lambda_of(quality) / math.sqrt(self.lambda_low * self.lambda_high)) ** -self.balance
        return weight

    def eye_scale_of(self, quality: Tensor) -> Tensor:
        """k at qualities (B,) in [0, 100]."""
        scale = torch.tensor(self.eye_scale, device=quality.device)
        place = quality.clamp(0, 100) / 100 * (len(scale) - 1)
        below = place.floor().long().clamp_max(max(0, len(scale) - 2))
        return torch.lerp(scale[below], scale[(below + 1).clamp_max(len(scale) - 1)], place - below)

    def trained(self, drawn: Tensor) -> Tensor:
        """The qualities to train for where these (B,) were drawn."""
        return torch.full_like(drawn, self.quality) if self.single else drawn


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


@dataclass(frozen=True)
class Quantisation:
    """What stands in for rounding in training (glissando.models.quantisation)."""

    # "mixed": noise in what bits are computed of, rounded values for all that reads them; "noise": noise in both;
    # "straight-through": both rounded; "soft-then-hard": "noise" at first, then the encoder stays as it is, and the
    # rest learns on rounded symbols.
    mode: str = "mixed"
    hard_from: float = 0.75  # share of the schedule after which soft-then-hard is hard


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
    whiten: float = 0.0  # how white Muon sees what they read, from 0, as it is, to 1; see whitening.py
    clip: float = 1.0  # largest gradient norm
    # A picture whose loss is more than so many times the median of its batch counts as one that has just that, so that
    # a pattern that the network cannot carry does not drown the photographs beside it. 0: each counts as it is.
    outlier: float = 0.0
    ema: float = 0.999


@dataclass(frozen=True)
class ContentOptimisation(Optimisation):
    """AdamW's rates for what is peculiar to the content-weighted family."""

    bits_lr: float = 3e-5  # of the layers into bits and back, where thresholds lie and values are set
    context_lr: float = 6e-3  # of the context model, which begins with nothing but each bit's odds
    importance_lr: float = 5e-4  # of the importance network, which begins with the same answer everywhere


@dataclass(frozen=True)
class Schedule:
    """How long, and the learning rate: linear warm-up, constant, linear decay to zero over the last ``decay`` share."""

    samples: int = 160_000  # pictures since the model's start, whatever the batches and however many trainings
    minutes: float = (
        0.0  # of one training, which ends by this clock or by its pictures, whichever is first; 0: no clock
    )
    warmup: int = 200  # steps, also when a resumed training has no state of the optimisers
    decay: float = 0.3


@dataclass(frozen=True)
class Integers:
    """Before ``from_step`` the scale network runs without rounding, from then on in exact integers."""

    from_step: int = 0


@dataclass(frozen=True)
class Run:
    seed: int = 1
    initial: str = "pca"  # or "random"; in the main family also "dct"
    fit_entropy: int = 0  # steps in which the entropy model alone learns, before the first of all
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
    quantisation: Quantisation = field(default_factory=Quantisation)
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


def _rate_checks(rate: Rate) -> dict[str, bool]:
    return {
        "rate.lambda_low must be positive and below rate.lambda_high": 0 < rate.lambda_low < rate.lambda_high,
        "rate.quality must be in [0, 100]": 0 <= rate.quality <= 100,
    }


def _network_checks(network: NetworkConfig) -> dict[str, bool]:
    sizes = (network.hyper, network.means_width, network.context_width)
    return {
        "network.latents must be even": network.latents % 2 == 0,
        "network.hyper, means_width and context_width must be positive": min(sizes) > 0,
        "network.levels must be at least 2": network.levels >= 2,
        "network.block must be 'depthconv' or 'gated'": network.block in ("depthconv", "gated"),
        "network.leak must be below 1": network.leak < 1,
        "network.context_steps must be 1, 2 or 4": network.context_steps in (1, 2, 4),
        "network.latents must be a multiple of 4 for four context_steps": (
            network.context_steps != 4 or network.latents % 4 == 0
        ),
        "network.scale_kernel must be 3, 5 or 7": network.scale_kernel in (3, 5, 7),
        "network.scale_width and scale_hyper_width must be positive": (
            min(network.scale_width, network.scale_hyper_width) > 0
        ),
        "network.scale_layers must be 2 or 3": network.scale_layers in (2, 3),
        "network.scale_sees must be 'magnitudes', 'signed' or 'own-half'": (
            network.scale_sees in ("magnitudes", "signed", "own-half")
        ),
        "network.scale_width must be even for scale_sees 'own-half'": (
            network.scale_sees != "own-half" or network.scale_width % 2 == 0
        ),
    }


def _gains_checks(recipe: Recipe) -> dict[str, bool]:
    rate, quantisation = recipe.rate, recipe.quantisation
    return {
        **_network_checks(recipe.network),
        **_rate_checks(rate),
        f"rate.distortion must be one of {', '.join(DISTORTIONS)}": rate.distortion in DISTORTIONS,
        "rate.eye_mse must be a share, 1 at most": rate.eye_mse <= 1,
        "rate.eye_scale must hold at least one number": len(rate.eye_scale) > 0,
        f"rate.distortion 'eye' halves pictures four times: data.crop must be {EYE_CROP} at least": (
            rate.distortion != "eye" or recipe.data.crop >= EYE_CROP
        ),
        f"rate.distortion 'ms-ssim' halves pictures four times: data.crop must be {MS_SSIM_CROP} at least": (
            rate.distortion != "ms-ssim" or recipe.data.crop >= MS_SSIM_CROP
        ),
        f"quantisation.mode must be one of {', '.join(QUANTISATIONS)}": quantisation.mode in QUANTISATIONS,
        "quantisation.hard_from must be a share, 1 at most": quantisation.hard_from <= 1,
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
        **_rate_checks(rate),
        "rate.distortion of this family is 'mse'": rate.distortion == "mse",
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
        "data.procedural must be in [0, 1]": 0 <= data.procedural <= 1,
        "optimiser.kind must be 'muon' or 'adamw'": recipe.optimiser.kind in ("muon", "adamw"),
        "optimiser.whiten must be in [0, 1]": 0 <= recipe.optimiser.whiten <= 1,
        "optimiser.whiten is Muon's: it needs optimiser.kind 'muon'": (
            recipe.optimiser.kind == "muon" or not recipe.optimiser.whiten
        ),
        "optimiser.clip must be positive": recipe.optimiser.clip > 0,
        "optimiser.ema must be in [0, 1)": 0 <= recipe.optimiser.ema < 1,
        "schedule.samples must be positive": recipe.schedule.samples > 0,
        "schedule.decay must be in [0, 1]": 0 <= recipe.schedule.decay <= 1,
        "run.initial must be 'pca' or 'random', or 'dct' in the main family": (
            run.initial in ("pca", "random") or (run.initial == "dct" and isinstance(recipe, Recipe))
        ),
        "run.log_every, validate_every and save_every must be positive": min(
            run.log_every, run.validate_every, run.save_every
        )
        > 0,
    }


def read_recipe(path: Path, settings: Sequence[str] = ()) -> PictureRecipe:
    """Read a TOML recipe, see ``read_tables``. Raises RecipeError where it cannot be read or a key is wrong."""
    values = read_tables(path, settings)
    try:
        return from_dict(values)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error
