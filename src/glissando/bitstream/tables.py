"""Integer probability tables: all that the entropy coder knows of the symbols' distribution.

No float takes part in what is written or read. A model ships its tables as integers, and every reader codes
with exactly these integers, so that no machine can disagree with another (``docs/format.md``, Symbol tables).
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.errors import InputError, ModelMismatchError
from glissando.frequencies import PRECISION, WHOLE

__all__ = ["MAX_SYMBOL", "SymbolTables"]

MAX_SYMBOL = 32767
"""Largest magnitude of a symbol; the least int16 is left out, so that every symbol can be negated."""

MAX_TABLES = 32767  # so that a table index fits in an int16
SIGN_BITS = 1
LENGTH_BITS = 4  # an excess over the radius is below 2^15: bit lengths 0 .. 15

_POWERS = 1 << np.arange(15)


def bit_lengths(values: NDArray[Any]) -> NDArray[np.int32]:
    """Binary digits of each integer in 0 .. 32767: 0 for 0, 1 for 1, 2 for 2 and 3."""
    return np.searchsorted(_POWERS, values, side="right").astype(np.int32)


class SymbolTables:
    """A fixed family of tables for symbols that are integers around zero.

    Table t has a radius K >= 0 and 2K + 2 frequencies: one each for the symbols -K .. K, then one for the
    escape, which stands for all other symbols.

    Args:
        frequencies: integers, 1-D: the tables one after the other, each frequency >= 1, each table summing
            to 2^24.
        radii: integers, 1-D: K of each table, 0 .. 32767.

    Attributes:
        frequencies: uint32, read-only.
        radii: int32 [T], read-only.
        offsets: int64 [T], read-only: where each table begins in ``frequencies``.

    Raises:
        ModelMismatchError: the arrays are not such tables; the message names the table.
    """

    def __init__(self, frequencies: NDArray[Any], radii: NDArray[Any]) -> None:
        frequencies, radii = np.asarray(frequencies), np.asarray(radii)
        for name, array in ("frequencies", frequencies), ("radii", radii):
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise ModelMismatchError(
                    f"{name} must be integers in one dimension, not {array.dtype} with shape {array.shape}"
                )
        if not 1 <= radii.size <= MAX_TABLES:
            raise ModelMismatchError(f"a model has 1..{MAX_TABLES} symbol tables, not {radii.size}")
        if radii.min() < 0 or radii.max() > MAX_SYMBOL:
            raise ModelMismatchError(f"radii are {radii.min()}..{radii.max()}; must be in 0..{MAX_SYMBOL}")
        sizes = 2 * radii.astype(np.int64) + 2
        if frequencies.size != sizes.sum():
            raise ModelMismatchError(f"radii ask for {sizes.sum()} frequencies; there are {frequencies.size}")
        if frequencies.min() < 1 or frequencies.max() >= WHOLE:
            where = int(np.flatnonzero((frequencies < 1) | (frequencies >= WHOLE))[0])
            raise ModelMismatchError(f"frequency {where} is {frequencies[where]}; must be in 1..{WHOLE - 1}")
        offsets = np.cumsum(sizes) - sizes
        sums = np.add.reduceat(frequencies.astype(np.int64), offsets)
        if wrong := np.flatnonzero(sums != WHOLE).tolist():
            raise ModelMismatchError(f"table {wrong[0]} sums to {sums[wrong[0]]}; must be 2^{PRECISION}")

        self.frequencies: NDArray[np.uint32] = frequencies.astype(np.uint32)
        self.radii: NDArray[np.int32] = radii.astype(np.int32)
        self.offsets: NDArray[np.int64] = offsets
        for kept in (self.frequencies, self.radii, self.offsets):
            kept.flags.writeable = False
        self._models: list[Any] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """T, the number of tables."""
        return self.radii.size

    @property
    def models(self) -> list[Any]:
        """The tables as the coder's own models, built at first use and shared by all threads.

        Only here are tables tied to the coder: its package is imported when it is first needed.
        """
        if self._models is None:
            with self._lock:
                if self._models is None:
                    self._models = [self._model(t) for t in range(len(self))]
        return self._models

    def _model(self, table: int) -> Any:
        import constriction

        size = 2 * int(self.radii[table]) + 2
        frequencies = self.frequencies[self.offsets[table] :][:size]
        # constriction gives each entry 1, and shares the remaining 2^24 - size in proportion to its argument.
        # That argument sums to exactly 2^24 - size here, so the scale is exactly 1.0, nothing is rounded, and
        # the model is the integer table itself (the tests compare it with a decoder in plain integers).
        return constriction.stream.model.Categorical((frequencies - 1).astype(np.float64), perfect=False)

    def symbol_bits(self, symbols: NDArray[Any], index: NDArray[Any]) -> NDArray[np.float64]:
        """What each symbol costs under these tables in bits, its escape included: [n], 0 where it is not coded.

        Args:
            symbols: integers [n], -32767 .. 32767.
            index: integers [n]: each symbol's table; negative where the symbol is not coded.

        Raises:
            InputError: as ``ans.encode``.
        """
        symbols, index = self.check(symbols, index)
        coded = index >= 0
        values, tables = symbols[coded].astype(np.int64), index[coded]
        radii = self.radii[tables]
        excess = np.abs(values) - radii - 1
        escaped = excess >= 0
        entries = np.where(escaped, 2 * radii + 1, values + radii)
        costs = self._costs[self.offsets[tables] + entries]
        costs[escaped] += SIGN_BITS + LENGTH_BITS + np.maximum(bit_lengths(excess[escaped]) - 1, 0)
        bits = np.zeros(symbols.shape)
        bits[coded] = costs
        return bits

    @cached_property
    def _costs(self) -> NDArray[np.float64]:
        """What each entry of ``frequencies`` costs in bits."""
        return PRECISION - np.log2(self.frequencies)

    def ideal_bits(self, symbols: NDArray[Any], index: NDArray[Any]) -> float:
        """The sum of ``symbol_bits``: a stream's ideal size."""
        return float(self.symbol_bits(symbols, index).sum())

    def check(self, symbols: NDArray[Any], index: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The two arrays of a pass, if they can be coded with these tables; InputError otherwise."""
        symbols, index = np.asarray(symbols), self.check_index(index)
        if symbols.shape != index.shape or symbols.dtype.kind not in "iu":
            raise InputError(
                f"symbols must be {index.size} integers in one dimension, one for each table index, not "
                f"{symbols.dtype} with shape {symbols.shape}"
            )
        if symbols.size and (symbols.min() < -MAX_SYMBOL or symbols.max() > MAX_SYMBOL):
            raise InputError(f"symbols are {symbols.min()}..{symbols.max()}; must be in {-MAX_SYMBOL}..{MAX_SYMBOL}")
        lost = (index < 0) & (symbols != 0)
        if lost.any():
            where = int(lost.argmax())
            raise InputError(
                f"symbol {where} is {symbols[where]}, but its table index {index[where]} says that it is not "
                f"coded, which is for zeros only"
            )
        return symbols, index

    def check_index(self, index: NDArray[Any]) -> NDArray[Any]:
        """The table index of a pass, if these tables have it; InputError otherwise."""
        index = np.asarray(index)
        if index.ndim != 1 or index.dtype.kind not in "iu":
            raise InputError(f"index must be integers in one dimension, not {index.dtype} with shape {index.shape}")
        if index.size and index.max() >= len(self):
            raise InputError(f"index {index.max()} names a table; there are {len(self)}, from 0")
        return index
