"""Where the words' vectors start."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .corpus import PairCounts
from .model import Pairs

__all__ = ["random_start", "svd_start"]

OVERSAMPLED = 16
POWER_ITERATIONS = 3
UNSEEN = 3.0  # pairs of words never seen together start with log-odds of minus this


def random_start(
    counts: PairCounts, pairs: Pairs, dimensions: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Small Gaussian vectors, [V, d] each."""
    u, v = (torch.randn(pairs.size, dimensions, generator=generator) * 0.1 for _ in range(2))
    return offset(u, v, generator)


def svd_start(counts: PairCounts, pairs: Pairs, dimensions: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Factors of the positive part of log n⁺/n⁻, the shifted PMI, [V, d] each.

    Skip-gram with negative sampling factors the shifted PMI (Levy & Goldberg 2014). The truncated SVD is the
    randomised one (Halko et al. 2011, algorithm 4.4), each side taking the root of the singular values.
    """
    rows = np.repeat(np.arange(pairs.size), np.diff(counts.starts))
    negatives = pairs.row_rate.numpy()[rows] * pairs.column_rate.numpy()[counts.columns]
    shifted = np.log(counts.values / negatives)
    kept = shifted > 0
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=pairs.size))])
    columns, index = counts.columns[kept].astype(np.int64), rows[kept]
    matrix = _sparse(starts, columns, shifted[kept])
    back = np.argsort(columns, kind="stable")
    back_starts = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=pairs.size))])
    transposed = _sparse(back_starts, index[back], shifted[kept][back])
    width = min(dimensions + OVERSAMPLED, pairs.size)
    basis = torch.linalg.qr(matrix @ torch.randn(pairs.size, width, generator=generator)).Q
    for _ in range(POWER_ITERATIONS):
        basis = torch.linalg.qr(transposed @ basis).Q
        basis = torch.linalg.qr(matrix @ basis).Q
    left, values, right = torch.linalg.svd((transposed @ basis).T, full_matrices=False)
    rank = min(dimensions, width)
    root = values[:rank].sqrt()
    u, v = torch.zeros(pairs.size, dimensions), torch.zeros(pairs.size, dimensions)
    u[:, :rank], v[:, :rank] = (basis @ left[:, :rank]) * root, right[:rank].T * root
    return offset(u, v, generator)


def _sparse(starts: NDArray[np.int64], columns: NDArray[np.int64], values: NDArray[np.float32]) -> Tensor:
    """A square matrix in compressed rows."""
    size = starts.size - 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse", category=UserWarning)  # the layout is in beta state
        return torch.sparse_csr_tensor(
            torch.from_numpy(starts), torch.from_numpy(columns), torch.from_numpy(values), (size, size)
        )


def offset(u: Tensor, v: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift both sides apart along one direction, so that most pairs start out unlikely, as they are."""
    signs = torch.randint(0, 2, u.shape[1:], generator=generator) * 2.0 - 1.0
    shift = signs * math.sqrt(UNSEEN / u.shape[1])
    return u + shift, v - shift
