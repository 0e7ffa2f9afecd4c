"""What a model's encoder strives for: bits + λ·D, with the distortion D and the λ that the model was trained for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from glissando.errors import ModelError
from glissando.zoo import Card

from .quality import Quality

if TYPE_CHECKING:
    from glissando.graphs import Builder

__all__ = ["Aim"]


@dataclass(frozen=True)
class Aim:
    """The cost of a picture of n pixels at a quality: bits + n·λ·D (``glissando.families.gains.recipe.GainsRate``).

    Attributes:
        distortion: "mse", "ms-ssim" or "eye".
        lowest, highest: λ at the qualities 0 and 100; exponential in between.
        share_of_mse: of the distortion "eye".
        scales: what one unit of the sum of SSIMULACRA 2 is worth in squared levels, at evenly spaced qualities.
    """

    distortion: str
    lowest: float
    highest: float
    share_of_mse: float
    scales: tuple[float, ...]

    @classmethod
    def of(cls, card: Card) -> Aim:
        """From the recipe in a model's card. Raises ModelError where it has none."""
        try:
            rate: Mapping[str, Any] = card.training["recipe"]["rate"]
            return cls(
                str(rate["distortion"]),
                float(rate["lambda_low"]),
                float(rate["lambda_high"]),
                float(rate["eye_mse"]),
                tuple(map(float, rate["eye_scale"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"model {card.name}: its card does not say what it was trained for, which refinement needs ({error})"
            ) from None

    def price(self, quality: Quality) -> float:
        """λ at a quality: what one unit of D costs in bits, for each pixel."""
        return float(self.lowest * (self.highest / self.lowest) ** (quality.number / 100))

    def loss(self, graph: Builder, ours: str, theirs: str, prices: str, shape: tuple[int, ...]) -> str:
        """n·λ·D, a value (1,) of a graph, of pictures of a shape (height, width) as ``graphs.distortions`` takes them.

        ``prices``: what ``prices`` gives for that shape.
        """
        terms = [term(graph, ours, theirs) for term in self._terms(shape).values()]
        each = graph.concatenate([graph.total(term) for term in terms], 0)
        return graph.total(graph.multiply(each, prices))

    def prices(self, quality: Quality, shape: tuple[int, ...]) -> list[float]:
        """What one unit of each distortion that D is made of costs in bits, for a picture of a shape."""
        price = self.price(quality) * shape[0] * shape[1]
        terms = self._terms(shape)
        share = self.share_of_mse if "ssimulacra2" in terms else 1.0
        worth = float(np.interp(quality.number, np.linspace(0, 100, len(self.scales)), self.scales))
        units = {"ms-ssim": 1.0, "mse": share * 255**2, "ssimulacra2": (1 - share) * worth}
        return [units[name] * price for name in terms]

    def _terms(self, shape: tuple[int, ...]) -> dict[str, Callable[[Builder, str, str], str]]:
        """The distortions that D is made of, by name.

        Where a picture is too small for the model's own distortion, squared errors count alone.
        """
        from glissando.graphs import distortions

        side = min(shape)
        if self.distortion == "ms-ssim" and (scales := distortions.ms_ssim_scales(side)):
            return {"ms-ssim": partial(distortions.ms_ssim, scales=scales)}
        if self.distortion == "eye" and (scales := distortions.ssimulacra2_scales(side)):
            return {"mse": distortions.mse, "ssimulacra2": partial(distortions.ssimulacra2, scales=scales)}
        return {"mse": distortions.mse}
