"""How finely each weight of an exported model is stored: as finely as pictures and file sizes require.

The error of a rounded weight matters as much as it changes the output. To first order the squared error of all pixels
grows by h·δ² for each weight's error δ, with h = Σ (∂pixel/∂weight)² over all pixels, and the bits by half their Fisher
information. Both are measured on training pictures: the first with random signs in place of the pixels' errors (their
product with the Jacobian has the squared norm h in expectation), the second from the bits' gradients. With a budget of
error shared by all weights, the step of a weight is proportional to h^(−1/2).

A step for each weight would have to be stored as well. A layer's h is about a product of what its outputs do to the
picture and of how large its inputs are, so that a factor for each row and one for each column suffice. Of all such
factors with the same product, those have the least error with which all rows add equally to it, and all columns as well
(Sinkhorn's scaling of the matrix h). Otherwise a longer step for one and a shorter step for another would be better.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glissando.zoo.arrays import MAX_SYMBOL, STEPS_PER_OCTAVE, Stepped

from .family import Objective

__all__ = ["plain_steps", "round_to_steps", "sensitivities"]

PICTURES, CROP = 10, 256
QUALITIES = (20.0, 50.0, 80.0, 100.0)
SQUARED_ERROR, BITS = 0.00115, 0.0005  # relative increases that count as 1: 0.005 dB, and 0.05 % of the bits
STEP = 0.002  # the step of a weight whose sensitivity is 1, chosen from the table in docs/weights.md
LEAST = 0.03  # of the mean: the least that the sensitivity of a row or a column counts
ROUNDS = 30  # of finding the factors of rows and of columns in turn
COARSEST = 1 / 8  # the longest step relative to a matrix's root mean square, for units that no picture activates
PLAIN = 2.0**-10  # the step relative to each row's root mean square where no pictures are at hand


def sensitivities(objective: Objective, network: nn.Module, pictures: Tensor) -> dict[str, Tensor]:
    """What a squared error of one in each parameter does to pixels and bits, in shares of SQUARED_ERROR and of BITS.

    ``pictures``: (N, 3, S, S) uint8, S at least 256; ten of them are used. The answer has the parameters' shapes.
    """
    generator = torch.Generator().manual_seed(0)
    parameters = dict(network.named_parameters())
    before = {name: value.requires_grad for name, value in parameters.items()}
    found = {name: torch.zeros_like(value) for name, value in parameters.items()}
    chosen = pictures[:: max(1, len(pictures) // PICTURES)][:PICTURES]
    network.requires_grad_(True)

    def add(loss: Tensor, factor: float) -> None:
        gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                found[name] += gradient.square() * (factor / (len(chosen) * len(QUALITIES)))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for families that draw random numbers
        for quality in QUALITIES:
            for picture in chosen:
                top, left = (
                    16 * int(torch.randint((side - CROP) // 16 + 1, (), generator=generator))
                    for side in picture.shape[1:]
                )
                crop = picture[None, :, top : top + CROP, left : left + CROP].float() / 255
                bits, out = objective.measure(network, crop, torch.tensor([quality]))
                squares = float((out.detach() - crop).square().sum())
                signs = torch.randint(2, out.shape, generator=generator).float() * 2 - 1
                add((signs * out).sum(), 1 / (SQUARED_ERROR * max(squares, 1e-9)))
                if bits.requires_grad and float(bits.detach()) > 0:
                    add(bits.sum(), 0.5 * math.log(2) / (BITS * float(bits.detach())))
    for name, value in parameters.items():
        value.requires_grad_(before[name])
    return {name: value.detach() for name, value in found.items()}


def round_to_steps(weight: Tensor, sensitivity: Tensor) -> Stepped:
    """A weight of two or more axes, rounded to the steps that its sensitivity, of the same shape, asks for."""
    values = weight.detach().double().reshape(len(weight), -1).numpy()
    h = sensitivity.double().reshape(values.shape).numpy() + 1e-30
    rows, columns = h.mean(axis=1), h.mean(axis=0)
    rows, columns = (np.maximum(each, LEAST * each.mean()) for each in (rows, columns))
    h = np.maximum(h, LEAST * np.outer(rows, columns) / h.mean())
    squared_rows, squared_columns = 1 / rows, np.ones(len(columns))
    for _ in range(ROUNDS):
        squared_columns = 1 / (squared_rows @ h / len(rows))
        squared_rows = 1 / (h @ squared_columns / len(columns))
    step_rows, step_columns = STEP * np.sqrt(squared_rows), np.sqrt(squared_columns)
    longest = math.sqrt(float(np.square(step_rows).mean() * np.square(step_columns).mean()))
    allowed = COARSEST * math.sqrt(float(np.square(values).mean()))
    return _rounded(values, step_rows * min(1.0, allowed / longest), step_columns, tuple(weight.shape))


def plain_steps(weight: Tensor) -> Stepped:
    """The weight rounded to steps of 2^−10 of each row's root mean square, for where no pictures are at hand."""
    values = weight.detach().double().reshape(len(weight), -1).numpy()
    rms = np.sqrt(np.square(values).mean(axis=1))
    return _rounded(values, PLAIN * np.maximum(rms, 1e-3 * rms.max()), np.ones(values.shape[1]), tuple(weight.shape))


def _rounded(
    values: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64], shape: tuple[int, ...]
) -> Stepped:
    # Both factors are brought to a similar size, so that their exponents fit into a byte.
    middle = math.sqrt(float(np.median(columns) / max(float(np.median(rows)), 1e-30)))
    in_rows, in_columns = (_exponents(each) for each in (rows * middle, columns / middle))
    ones = np.ones(shape, np.int16)
    while True:
        unit = Stepped(ones, in_rows, in_columns).values.reshape(values.shape).astype(np.float64)
        symbols = np.rint(values / unit)
        beyond = np.abs(symbols) > MAX_SYMBOL
        if not beyond.any():
            break
        # Double the step of the row or column that has most symbols beyond what a file can hold.
        by_row, by_column = beyond.sum(axis=1), beyond.sum(axis=0)
        if by_row.max() > by_column.max():
            in_rows[by_row.argmax()] += STEPS_PER_OCTAVE
        else:
            in_columns[by_column.argmax()] += STEPS_PER_OCTAVE
    return Stepped(symbols.astype(np.int16).reshape(shape), in_rows, in_columns)


def _exponents(steps: NDArray[np.float64]) -> NDArray[np.int8]:
    found: NDArray[np.int8] = np.clip(np.rint(STEPS_PER_OCTAVE * np.log2(np.maximum(steps, 1e-30))), -128, 100).astype(
        np.int8
    )
    return found
