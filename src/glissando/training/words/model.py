"""Bayesian skip-gram: two Gaussian vectors per word, and the updates that fit them to pair counts.

Word i has an input vector u_i and a context vector v_i, both with prior N(0, p²·I). A pair (i, j) is seen
n⁺_ij times in the text; in expectation n⁻_ij = k·n_i·p_j times it is drawn as a negative, where p_j is the
context's count to the power 0.75, normalised (Mikolov et al. 2013). With s = σ(u_i·v_j) the log-likelihood is

    Σ_ij  n⁺_ij·log s + n⁻_ij·log(1 - s)

over *all* pairs of words (Barkan, "Bayesian Neural Word Embedding", 2017, draws the negatives instead). The
posterior is a diagonal Gaussian per vector. Its two parameters have natural-gradient fixed points (Khan &
Lin 2017, Opper & Archambeau 2009): the precision is 1/p² plus the expected curvature, the mean moves along the
expected gradient divided by the precision. Both expectations take one sample of each vector per sweep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .corpus import PairCounts

__all__ = ["Pairs", "Side", "Update", "both_sides", "evidence", "update_side"]


@dataclass
class Side:
    """Posteriors of all words' input vectors, or of all their context vectors.

    Attributes:
        mean: float32 [V, d].
        precision: float32 [V, d], positive: 1 / variance.
        velocity: float32 [V, d]: the mean's momentum.
    """

    mean: Tensor
    precision: Tensor
    velocity: Tensor

    @classmethod
    def around(cls, mean: Tensor, prior: float) -> Side:
        """Posteriors as sharp as 1/100 of the prior: the first sweep measures the true precision."""
        return cls(mean, torch.full_like(mean, (100 / prior) ** 2), torch.zeros_like(mean))

    @property
    def std(self) -> Tensor:
        return self.precision.rsqrt()

    def sample(self, generator: torch.Generator) -> Tensor:
        """One draw of every vector, [V, d]."""
        return self.mean + self.std * torch.randn(self.mean.shape, generator=generator)

    def divergence(self, prior: float) -> float:
        """KL divergence from the prior N(0, prior²), in nats, over all words."""
        scaled = self.precision.double() * prior**2
        terms = 1 / scaled + (self.mean.double() / prior) ** 2 - 1 + scaled.log()
        return 0.5 * float(terms.sum())


class Pairs:
    """Positive counts by blocks of words, and the two factors of the negative counts, as one side sees them.

    Args:
        counts: of pairs, symmetric.
        block: words in a block.
        rows: float32 [V], rate of each word of this side.
        columns: float32 [V], rate of each word of the other side: n⁻_ij = rows_i * columns_j.
    """

    def __init__(self, counts: PairCounts, block: int, rows: Tensor, columns: Tensor) -> None:
        self.size, self.block, self.row_rate, self.column_rate = len(rows), block, rows, columns
        index = np.repeat(np.arange(self.size), np.diff(counts.starts))
        self._places = torch.from_numpy((index % block * self.size + counts.columns).astype(np.int32))
        negatives = rows.numpy()[index] * columns.numpy()[counts.columns]
        self._ratios = torch.from_numpy(counts.values / negatives)
        self._bounds = counts.starts[np.minimum(np.arange(0, self.size + block, block), self.size)]

    def blocks(self) -> range:
        return range(-(-self.size // self.block))

    def rows(self, number: int) -> slice:
        return slice(number * self.block, min((number + 1) * self.block, self.size))

    def entries(self, number: int) -> tuple[Tensor, Tensor]:
        """Where the block's [rows, V] matrix has n⁺ > 0 (flat, int64), and n⁺/n⁻ there (float32)."""
        span = slice(int(self._bounds[number]), int(self._bounds[number + 1]))
        return self._places[span].long(), self._ratios[span]


def both_sides(counts: PairCounts, block: int, negatives: float, exponent: float) -> tuple[Pairs, Pairs]:
    """The counts as input vectors and as context vectors see them: n⁻_ij = n_i times k·p_j, and the transpose."""
    marginals = np.maximum(counts.marginals, 1e-3)  # a word may have lost all its neighbours to subsampling
    powers = marginals**exponent
    words = torch.from_numpy(marginals.astype(np.float32))
    contexts = torch.from_numpy((negatives * powers / powers.sum()).astype(np.float32))
    return Pairs(counts, block, words, contexts), Pairs(counts, block, contexts, words)


@dataclass(frozen=True)
class Update:
    """How far one sweep goes: see ``recipe.Schedule``. ``precision`` 0 leaves the precisions as they are."""

    step: float
    momentum: float
    precision: float
    limit: float
    prior: float
    dtype: torch.dtype = torch.float32  # of the large matrix products


def update_side(side: Side, other: Tensor, pairs: Pairs, update: Update, generator: torch.Generator) -> None:
    """Move every posterior of one side once, given a sample of the other side.

    Args:
        side: changed in place.
        other: float32 [V, d], a sample of the vectors that these are multiplied with.
        pairs: the counts as this side sees them.
        update: step sizes.
        generator: of the noise.
    """
    weight = pairs.column_rate[:, None]
    columns, weighted = other.to(update.dtype), (weight * other).to(update.dtype)
    squares = (weight * other.square()).to(update.dtype)
    here = side.sample(generator).to(update.dtype)
    for number in pairs.blocks():
        rows = pairs.rows(number)
        positions, ratio = pairs.entries(number)
        rate = pairs.row_rate[rows, None]
        s = torch.sigmoid_(here[rows] @ columns.T)
        at = s.view(-1)[positions].float()
        if update.precision:
            # Minus the second derivative by the logit, and below minus the first, both divided by n⁻.
            curvature = torch.addcmul(s, s, s, value=-1)
            curvature.view(-1)[positions] = (at * (1 - at) * (1 + ratio)).to(update.dtype)
            precision = (curvature @ squares).float().mul_(rate).add_(1 / update.prior**2)
            side.precision[rows].lerp_(precision, update.precision)
        s.view(-1)[positions] = (at - ratio * (1 - at)).to(update.dtype)
        gradient = (s @ weighted).float().mul_(-rate) - side.mean[rows] / update.prior**2
        velocity = side.velocity[rows]
        velocity.mul_(update.momentum).add_(gradient / side.precision[rows])
        side.mean[rows] += (update.step * velocity).clamp_(-update.limit, update.limit)


def evidence(left: Side, right: Side, pairs: Pairs, prior: float, generator: torch.Generator) -> float:
    """The evidence lower bound in nats per positive pair: one sample of the likelihood, the exact divergence.

    -inf where it is not a number, as in a training that diverged. ``left`` are the input vectors and ``pairs`` the
    counts as these see them.
    """
    total = 0.0
    u, v = left.sample(generator), right.sample(generator)
    for number in pairs.blocks():
        rows = pairs.rows(number)
        positions, ratio = pairs.entries(number)
        logits = u[rows] @ v.T
        # log s = x - softplus(x) and log(1 - s) = -softplus(x), with n⁺ = ratio * n⁻ where it is not 0.
        losses = torch.nn.functional.softplus(logits)
        losses.view(-1)[positions] += ratio * (losses.view(-1)[positions] - logits.view(-1)[positions])
        total -= float((losses @ pairs.column_rate).double() @ pairs.row_rate[rows].double())
    bound = total - left.divergence(prior) - right.divergence(prior)
    if not math.isfinite(bound):
        return -math.inf
    return bound / float(pairs.row_rate.sum(dtype=torch.float64))
