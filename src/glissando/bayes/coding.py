"""Rows of symbols to streams and back, with the cheapest kind of tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glissando.bayes.frequencies import (
    Adaptive,
    count_symbols,
    estimate_learnt,
    level_weights,
    make_tables,
    pack_levels,
    to_levels,
    unpack_levels,
)
from glissando.bitstream import SymbolTables, ans
from glissando.bitstream.arrays import LEARNT, OWN, SHARED, Chunk, Coded, chunk_rows
from glissando.errors import CorruptError
from glissando.frequencies import PRECISION

__all__ = ["MODES", "CodedRows", "decode_rows", "encode_rows"]

MODES = {SHARED: "shared", OWN: "own", LEARNT: "learnt"}


@dataclass(frozen=True, slots=True)
class CodedRows:
    """Symbols as a file holds them; the names are those of ``bitstream.arrays.Coded``."""

    depth: int
    mode: int
    pooled: int
    own: int
    tables: bytes
    chunks: list[Chunk]

    @property
    def size(self) -> int:
        """Bytes of tables and streams."""
        return len(self.tables) + sum(len(chunk.stream) for chunk in self.chunks)


def schedule(start: int, stop: int, groups: int) -> Iterator[tuple[int, int]]:
    """Blocks of a chunk's rows start .. stop for tables that are learnt.

    The first block of an array has about 64 values, and each later one a quarter of all rows before it.
    """
    while start < stop:
        end = min(stop, start + max(-(-64 // groups), start // 4))
        yield start, end
        start = end


def _chunks(rows: int, groups: int) -> Iterator[tuple[int, int]]:
    step = chunk_rows(groups)
    return ((start, min(start + step, rows)) for start in range(0, rows, step))


def deepest(symbols: NDArray[np.int16], max_bits: int) -> int:
    """D, the largest depth that occurs: N minus the number of trailing zeros that all symbols have."""
    bits = int(np.bitwise_or.reduce(symbols, axis=None)) & ((1 << max_bits) - 1)
    return max_bits - ((bits & -bits).bit_length() - 1) if bits else 0


def encode_rows(symbols: NDArray[np.int16], max_bits: int) -> CodedRows:
    """Code the symbols of an array with whichever tables need the fewest bytes.

    Args:
        symbols: int16 [R, G], R > 0: rows of one symbol for each group.
        max_bits: N.
    """
    groups = symbols.shape[1]
    depth = deepest(symbols, max_bits)
    shift = max_bits - depth
    counts = _count_all(symbols, depth, shift)
    fixed = [_fixed(counts.sum(axis=0, keepdims=True), SHARED)]
    if groups > 1:
        fixed.append(_fixed(counts, OWN))
    best = min(fixed, key=lambda candidate: candidate.bits)
    learnt = None
    bits, pooled, own = estimate_learnt(counts, depth)
    if bits < 1.01 * best.bits:  # the estimate may be off by 1 %
        learnt = CodedRows(depth, LEARNT, pooled, own, b"", _encode_learnt(symbols, depth, shift, pooled, own))
        if 8 * learnt.size < best.bits:
            return learnt
    chunks = []
    for start, stop in _chunks(*symbols.shape):
        part = symbols[start:stop].ravel()
        stream = ans.encode([(part >> shift, _index(stop - start, groups, best.mode))], best.tables)
        chunks.append(Chunk(stream, ans.checksum([part])))
    coded = CodedRows(depth, best.mode, 0, 0, best.packed, chunks)
    return learnt if learnt is not None and learnt.size < coded.size else coded


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Tables for a file, and the bits of everything coded with them."""

    mode: int
    packed: bytes
    tables: SymbolTables
    bits: float


def _fixed(counts: NDArray[np.int64], mode: int) -> _Fixed:
    levels = to_levels(counts)
    packed = pack_levels(levels)
    tables = make_tables(level_weights(levels))
    frequencies = tables.frequencies.reshape(len(counts), -1)[:, :-1]
    used = counts > 0
    bits = float((counts[used] * (PRECISION - np.log2(frequencies[used]))).sum())
    return _Fixed(mode, packed, tables, bits + 8 * len(packed))


def _count_all(symbols: NDArray[np.int16], depth: int, shift: int) -> NDArray[np.int64]:
    parts = (count_symbols(symbols[start:stop] >> shift, depth) for start, stop in _chunks(*symbols.shape))
    total = next(parts)
    for part in parts:
        total += part
    return total


def _index(rows: int, groups: int, mode: int) -> NDArray[np.int16]:
    """The table of each symbol of some rows."""
    if mode == SHARED:
        return np.zeros(rows * groups, np.int16)
    return np.tile(np.arange(groups, dtype=np.int16), rows)


def _encode_learnt(symbols: NDArray[np.int16], depth: int, shift: int, pooled: int, own: int) -> list[Chunk]:
    groups = symbols.shape[1]
    model = Adaptive(groups, depth, pooled, own)
    chunks = []
    for start, stop in _chunks(*symbols.shape):
        part = symbols[start:stop]
        whole = count_symbols(part >> shift, depth)
        model.learn(whole)

        def passes(
            start: int = start, stop: int = stop
        ) -> Iterator[tuple[NDArray[np.int16], NDArray[np.int16], SymbolTables]]:
            for a, b in reversed(list(schedule(start, stop, groups))):
                block = symbols[a:b] >> shift
                model.forget(count_symbols(block, depth))
                yield block.ravel(), _index(b - a, groups, LEARNT), make_tables(model.weights())

        chunks.append(Chunk(ans.encode_reversed(passes()), ans.checksum([part])))
        model.learn(whole)
    return chunks


def decode_rows(coded: Coded, rows: int, groups: int) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Decode an array chunk by chunk: (first row, symbols int16 [n, groups]).

    Raises:
        CorruptError: tables or streams are damaged.
    """
    shift = coded.max_bits - coded.depth
    model = Adaptive(groups, coded.depth, coded.pooled, coded.own)
    if coded.mode == LEARNT:
        if len(coded.tables):
            raise CorruptError(f"tables are learnt, but the file has {len(coded.tables)} bytes of them")
        tables = make_tables(model.weights())
    else:
        levels = unpack_levels(bytes(coded.tables), groups if coded.mode == OWN else 1, coded.depth)
        tables = make_tables(level_weights(levels))
    for number, ((start, stop), chunk) in enumerate(zip(_chunks(rows, groups), coded.chunks, strict=True)):
        decoder = ans.Decoder(chunk.stream, tables)
        symbols = np.empty((stop - start, groups), np.int16)
        if coded.mode == LEARNT:
            for a, b in schedule(start, stop, groups):
                if a:
                    tables = make_tables(model.weights())
                block = decoder.decode(_index(b - a, groups, LEARNT), tables).reshape(b - a, groups)
                symbols[a - start : b - start] = block
                model.learn(count_symbols(_known(block, coded.depth), coded.depth))
        else:
            flat = decoder.decode(_index(stop - start, groups, coded.mode))
            symbols[:] = _known(flat, coded.depth).reshape(stop - start, groups)
        decoder.finish()
        symbols <<= shift
        if ans.checksum([symbols]) != chunk.checksum:
            raise CorruptError(f"chunk {number} decodes to symbols that do not have its checksum")
        yield start, symbols


def _known(symbols: NDArray[np.int16], depth: int) -> NDArray[np.int16]:
    """The symbols. Raises CorruptError where one is an escape, which only a damaged file can hold."""
    if np.abs(symbols).max(initial=0) >> depth:
        raise CorruptError("a symbol lies outside the code points")
    return symbols
