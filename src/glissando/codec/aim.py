"""What a model's encoder strives for: bits + λ·D, with the distortion D and the λ that the model was trained for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
        from glissando.graphs import distortions

        scales = self._scales(shape)
        if self.distortion == "ms-ssim" and scales:
            terms = [distortions.ms_ssim(graph, ours, theirs, scales)]
        else:
            terms = [distortions.mse(graph, ours, theirs)]
            if scales:
                terms.append(distortions.ssimulacra2(graph, ours, theirs, scales))
        each = graph.concatenate([graph.total(term) for term in terms], 0)
        return graph.total(graph.multiply(each, prices))

    def prices(self, quality: Quality, shape: tuple[int, ...]) -> list[float]:
        """What one unit of each distortion that D is made of costs in bits, for a picture of a shape."""
        price = self.price(quality) * shape[0] * shape[1]
        scales = self._scales(shape)
        if self.distortion == "ms-ssim" and scales:
            return [price]
        if self.distortion == "eye" and scales:
            worth = float(np.interp(quality.number, np.linspace(0, 100, len(self.scales)), self.scales))
            return [self.share_of_mse * 255**2 * price, (1 - self.share_of_mse) * worth * price]
        return [255**2 * price]

    def _scales(self, shape: tuple[int, ...]) -> int:
        """The scales at which the model's own distortion compares pictures of a shape.

        There are none for "mse", and none where pictures are too small; then squared errors count alone.
        """
        from glissando.graphs import distortions

        count = {"eye": distortions.ssimulacra2_scales, "ms-ssim": distortions.ms_ssim_scales}.get(self.distortion)
        return 0 if count is None else count(min(shape))
