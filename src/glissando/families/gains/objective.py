"""The gains family's part in a training: its loss, and how it begins."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from glissando.networks.quantisation import HARD, MIXED, NOISE, STRAIGHT_THROUGH, Rounding
from glissando.training.decay import DecayingNetwork
from glissando.training.distortion import ms_ssim
from glissando.training.distortion import mse as mse_of
from glissando.training.eye import ssimulacra2_score, ssimulacra2_sum

from .distillation import Teacher, watched_latents
from .entropy_start import fit_entropy
from .initial import balance, initialise
from .network import GainsNetwork
from .recipe import GainsRate, GainsRecipe, Quantisation
from .reshaping import bare, with_decay

__all__ = ["GainsObjective"]


class GainsObjective:
    """bpp + λ·D, see ``GainsRate``, at every quality or at one."""

    qualities: tuple[float, ...] = (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)

    def __init__(self, recipe: GainsRecipe) -> None:
        self.recipe = recipe
        self.step = 0
        self.teacher: Teacher | None = None  # read when the first step needs it
        self.exact = True  # whether the scale network rounds to integers
        self.rounding = _rounding(recipe.quantisation, 0.0)
        if recipe.rate.single:
            self.qualities = (recipe.rate.quality,)

    def build(self, sample: Tensor | None) -> nn.Module:
        network, levels = GainsNetwork(self.recipe.network), self.recipe.network.levels
        if sample is not None:
            run = self.recipe.run
            # The quantisation steps begin as those that are best for MSE, which a λ of MS-SSIM does not tell.
            rate = GainsRate() if self.recipe.rate.distortion == "ms-ssim" else self.recipe.rate
            lambdas = torch.tensor([rate.lambda_of(100 * i / (levels - 1)) for i in range(levels)])
            initialise(network, sample, lambdas, run.initial)
            balance(network, sample[:32], run.balance_trunk, run.balance_latents)
            first = {key: v for key, v in network.analysis.state_dict().items() if not key.startswith("later.")}
            network.analysis.load_state_dict(network.analysis.with_later_stages(first))
            if run.fit_entropy:
                fit_entropy(network, sample, self.recipe.rate, self.recipe.optimiser.clip, run.fit_entropy)
        return with_decay(network, self.recipe.decay)

    def begin(self, step: int, share: float) -> float:
        self.step = step
        self.rounding = _rounding(self.recipe.quantisation, share)
        self.exact = step >= self.recipe.integers.from_step
        return 1.0

    def loss(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rate = self.recipe.rate
        quality = rate.trained(quality)
        self._set_exact(network)
        taught = bool(self.recipe.distil.teacher)  # hooks would have a compiled network compiled anew
        nothing: contextlib.AbstractContextManager[list[Tensor]] = contextlib.nullcontext([])
        with watched_latents(bare(network)) if taught else nothing as latents:
            out = network(picture, quality, rounding=self.rounding)
        hyper_weight = min(1.0, 0.05 + self.step / max(1, rate.hyper_warmup))
        bpp = (out.latent_bits + hyper_weight * out.hyper_bits) / (picture.shape[2] * picture.shape[3])
        mse = mse_of(out.reconstruction, picture)
        distortion = self._distortion(out.reconstruction, picture, mse, quality)
        paid = bpp
        if taught:
            self.teacher = self.teacher or Teacher(self.recipe.distil, bare(network))
            pixels, apart = self.teacher.loss(out, latents[0], picture, quality)
            paid, distortion = bpp + apart, distortion + pixels
        return rate.weight_of(quality) * (paid + rate.lambda_of(quality) * distortion), bpp, mse

    def _distortion(self, out: Tensor, picture: Tensor, mse: Tensor, quality: Tensor) -> Tensor:
        """The recipe's distortion D, (B,); ``mse`` is that of the same pixels."""
        rate = self.recipe.rate
        if rate.distortion == "mse":
            return 255**2 * mse
        if rate.distortion == "ms-ssim":
            return 1 - ms_ssim(out, picture)
        seen = rate.eye_scale_of(quality) * ssimulacra2_sum(out, picture)
        return rate.eye_mse * 255**2 * mse + (1 - rate.eye_mse) * seen

    def _set_exact(self, network: nn.Module) -> None:
        """Tell the network whether it rounds to integers in this step of the training."""
        bare(network).scales.set_exact(self.exact)

    def constrain(self, network: nn.Module) -> None:
        bare(network).scales.keep_exact()
        if isinstance(network, DecayingNetwork):
            network.sink()

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        """The bits of rounded symbols by their cross-entropy, and the reconstruction."""
        self._set_exact(network)
        out = network(picture, quality, noise=False)
        return out.latent_bits + out.hyper_bits, out.reconstruction

    def scores(self, levels: Tensor, picture: Tensor) -> dict[str, Tensor]:
        """The metric that the training is for, where that is not PSNR."""
        if self.recipe.rate.distortion == "eye":
            return {"ssimulacra2": ssimulacra2_score(ssimulacra2_sum(levels, picture))}
        return {} if self.recipe.rate.distortion == "mse" else {"ms-ssim": ms_ssim(levels, picture)}


def _rounding(quantisation: Quantisation, share: float) -> Rounding:
    """What stands in for rounding when this share of the schedule is done."""
    if quantisation.mode == "soft-then-hard":
        return HARD if share >= quantisation.hard_from else NOISE
    return {"mixed": MIXED, "noise": NOISE, "straight-through": STRAIGHT_THROUGH}[quantisation.mode]
