"""Three ways through an entropy model: with noise for training, into a file, and out of a file.

An entropy model hands the same calls to each, so that what is trained is what is written and what is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glissando.bitstream import SymbolTables, ans
from glissando.bitstream.tables import MAX_SYMBOL
from glissando.networks.quantisation import MIXED

from .distributions import Distribution

__all__ = ["Coder", "Reader", "Training", "Writer"]


class Coder(Protocol):
    """Codes latents around their means."""

    def code(
        self, latents: Tensor | None, mean: Tensor, parameters: Tensor, coded: Tensor | None, late: bool
    ) -> Tensor:
        """Latents (B, C, h, w), None where they are read, as the decoder has them.

        ``mean`` (B, C, h, w); ``parameters`` of their distribution; ``coded`` bool, which elements this call codes, all
        if None: others are arbitrary. ``late``: whether the tables are those of a second pass.
        """


class Training:
    """Rounds, and counts the bits of latents with noise in place of rounding: (B,), in ``bits``."""

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = distribution
        self.bits: Tensor | float = 0.0

    def code(
        self, latents: Tensor | None, mean: Tensor, parameters: Tensor, coded: Tensor | None, late: bool
    ) -> Tensor:
        assert latents is not None
        residual = latents - mean
        noise = MIXED.draw(residual)
        second = torch.full((), late).expand_as(residual) if late else None
        bits = self.distribution.bits(MIXED.coded(residual, noise), parameters, second)
        self.bits = self.bits + (bits if coded is None else bits * coded).sum((1, 2, 3))
        return mean + MIXED.values(residual, noise)


class Writer:
    """Collects the passes of a file: for one picture, B = 1."""

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = distribution
        self.passes: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def code(
        self, latents: Tensor | None, mean: Tensor, parameters: Tensor, coded: Tensor | None, late: bool
    ) -> Tensor:
        assert latents is not None
        symbols = (latents - mean).round().clamp(-MAX_SYMBOL, MAX_SYMBOL)
        index = _index(self.distribution, parameters, symbols, late)
        chosen = slice(None) if coded is None else _flat(coded.expand_as(symbols))
        self.passes.append((_flat(symbols).astype(np.int16)[chosen], index[chosen]))
        return mean + symbols

    def file(self, tables: SymbolTables) -> bytes:
        """The passes as one stream."""
        return ans.encode(self.passes, tables)


class Reader:
    """Decodes what a ``Writer`` has written, and keeps the symbols of each pass."""

    def __init__(self, distribution: Distribution, file: bytes, tables: SymbolTables) -> None:
        self.distribution = distribution
        self.decoder = ans.Decoder(file, tables)
        self.symbols: list[NDArray[np.int16]] = []

    def code(
        self, latents: Tensor | None, mean: Tensor, parameters: Tensor, coded: Tensor | None, late: bool
    ) -> Tensor:
        index = _index(self.distribution, parameters, mean, late)
        chosen = slice(None) if coded is None else _flat(coded.expand_as(mean))
        whole = np.zeros(index.size, np.float32)
        self.symbols.append(self.decoder.decode(index[chosen]))
        whole[chosen] = self.symbols[-1]
        return mean + torch.from_numpy(whole.reshape(mean.shape))


def same_symbols(writer: Writer, reader: Reader) -> bool:
    """Whether a reader has read what was written, pass by pass."""
    pairs: Iterator[tuple[NDArray[Any], NDArray[Any]]] = zip(
        (symbols for symbols, _ in writer.passes), reader.symbols, strict=True
    )
    return all(np.array_equal(written, read) for written, read in pairs)


def _index(distribution: Distribution, parameters: Tensor, like: Tensor, late: bool) -> NDArray[Any]:
    second = torch.full((), late).expand_as(like) if late else None
    index = distribution.index(parameters, second).expand_as(like)
    return _flat(index).astype(np.int32)


def _flat(values: Tensor) -> NDArray[Any]:
    flat: NDArray[Any] = values.contiguous().numpy().reshape(-1)
    return flat
