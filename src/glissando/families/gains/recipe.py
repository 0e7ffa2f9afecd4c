"""A recipe of the gains family: one model for all rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from glissando.training import recipe as common
from glissando.training.decay import Decay
from glissando.training.eye import SMALLEST_SIDE as EYE_CROP
from glissando.training.recipe import PictureRecipe, transform_checks

from .config import GainsConfig

__all__ = ["Distillation", "GainsOptimisation", "GainsRate", "GainsRecipe", "Integers", "Quantisation"]

QUANTISATIONS = ("mixed", "noise", "straight-through", "soft-then-hard")
DISTORTIONS = ("mse", "ms-ssim", "eye")
MS_SSIM_CROP = 192
"""The smallest multiple of 64 pixels that is large enough for five scales of a window of 11."""


@dataclass(frozen=True)
class GainsRate(common.Rate):
    """The loss is bpp + λ·D, with D by ``distortion``:

    - "mse": 255²·MSE of pixels in [0, 1];
    - "ms-ssim": 1 − MS-SSIM, whose λ for the same rates are some 2000 times as large;
    - "eye": eye_mse·255²·MSE + (1 − eye_mse)·k(quality)·S, with S the sum of SSIMULACRA 2 (eye.py).
    """

    distortion: str = "mse"
    # The hyper-latents' bits weigh little at first, and their full weight after so many steps: at full weight
    # from the start they shrink to zero before anything has learnt to use them.
    hyper_warmup: int = 600
    eye_mse: float = 0.2  # the share of MSE in the distortion "eye"
    # k: what one unit of S is worth in units of 255²·MSE, at qualities that are evenly spaced over [0, 100], in between
    # by straight lines. With MSE/S · (d ln MSE / d ln rate) / (d ln S / d ln rate), measured on a trained model, a
    # training for S keeps the rate of each quality about where it is; these are those of the medium model.
    eye_scale: tuple[float, ...] = (2.5, 3.05, 3.6, 4.1, 4.2, 4.2)

    def eye_scale_of(self, quality: Tensor) -> Tensor:
        """k at qualities (B,) in [0, 100]."""
        scale = torch.tensor(self.eye_scale, device=quality.device)
        place = quality.clamp(0, 100) / 100 * (len(scale) - 1)
        below = place.floor().long().clamp_max(max(0, len(scale) - 2))
        return torch.lerp(scale[below], scale[(below + 1).clamp_max(len(scale) - 1)], place - below)

    def checks(self) -> dict[str, bool]:
        return {
            **super().checks(),
            f"rate.distortion must be one of {', '.join(DISTORTIONS)}": self.distortion in DISTORTIONS,
            "rate.eye_mse must be a share, 1 at most": self.eye_mse <= 1,
            "rate.eye_scale must hold at least one number": len(self.eye_scale) > 0,
        }


@dataclass(frozen=True)
class Quantisation:
    """What stands in for rounding in training (glissando.networks.quantisation)."""

    # "mixed": noise in what bits are computed of, rounded values for all that reads them; "noise": noise in both;
    # "straight-through": both rounded; "soft-then-hard": "noise" at first, then the encoder stays as it is, and the
    # rest learns on rounded symbols.
    mode: str = "mixed"
    hard_from: float = 0.75  # share of the schedule after which soft-then-hard is hard


@dataclass(frozen=True)
class GainsOptimisation(common.Optimisation):
    mask_lr: float = 5e-4  # AdamW's for the masks of a decay, which sink by at most 1/steps a step on average


@dataclass(frozen=True)
class Distillation:
    """What a student is told by a teacher, beside the pictures (distillation.py)."""

    teacher: str = ""  # a checkpoint or a model's folder; none: there is no teacher
    pixels: float = 1.0  # weight of the squared error to the teacher's pixels, relative to that to the picture's
    latents: float = 0.02  # weight in bpp of the mean squared error to the teacher's latents, in steps of its quantiser


@dataclass(frozen=True)
class Integers:
    """Before ``from_step`` the scale network runs without rounding, from then on in exact integers."""

    from_step: int = 0


@dataclass(frozen=True)
class GainsRecipe(PictureRecipe):
    family: str = "gains"
    name: str = "medium"
    network: GainsConfig = field(default_factory=GainsConfig)
    rate: GainsRate = field(default_factory=GainsRate)
    optimiser: GainsOptimisation = field(default_factory=GainsOptimisation)
    quantisation: Quantisation = field(default_factory=Quantisation)
    integers: Integers = field(default_factory=Integers)
    decay: Decay = field(default_factory=Decay)
    distil: Distillation = field(default_factory=Distillation)

    starts: ClassVar[tuple[str, ...]] = ("pca", "dct", "random")

    def checks(self) -> dict[str, bool]:
        network, rate, quantisation, crop = self.network, self.rate, self.quantisation, self.data.crop
        return {
            **self.network.checks(),
            **rate.checks(),
            **self.decay.checks(),
            f"rate.distortion 'eye' halves pictures four times: data.crop must be {EYE_CROP} at least": (
                rate.distortion != "eye" or crop >= EYE_CROP
            ),
            f"rate.distortion 'ms-ssim' halves pictures four times: data.crop must be {MS_SSIM_CROP} at least": (
                rate.distortion != "ms-ssim" or crop >= MS_SSIM_CROP
            ),
            f"quantisation.mode must be one of {', '.join(QUANTISATIONS)}": quantisation.mode in QUANTISATIONS,
            "distil.teacher speaks of squared errors, which λ of rate.distortion 'ms-ssim' does not weigh": (
                not self.distil.teacher or rate.distortion != "ms-ssim"
            ),
            "quantisation.hard_from must be a share, 1 at most": quantisation.hard_from <= 1,
            **transform_checks(self.network),
            "network.width and analysis_width must be at least 192 for run.initial 'dct', which fills so many": (
                self.run.initial != "dct" or min(network.width, network.analysis_width or network.width) >= 192
            ),
            **super().checks(),
        }
