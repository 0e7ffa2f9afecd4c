"""Symbols to bytes and back: asymmetric numeral systems with integer tables.

Symbols come in passes: the tables that a pass uses may depend on the symbols of the passes before it. Within
a pass symbols are sorted by table, and each table codes all its symbols in one call, which is several times
faster than a table per symbol and costs not one bit. ``docs/format.md``, Symbol streams, is the
specification; rANS is from Duda, "Asymmetric numeral systems" (2013), and the coder is ``constriction``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.tables import LENGTH_BITS, MAX_SYMBOL, SIGN_BITS, SymbolTables, bit_lengths
from glissando.errors import CorruptError

__all__ = ["Decoder", "Runs", "checksum", "encode", "encode_reversed", "encode_runs_reversed"]

Runs = tuple[NDArray[Any], NDArray[Any], NDArray[Any], SymbolTables]
"""Symbols of a pass in the order of coding, the table of each run of them, the length of each run, and the tables."""


def _new_coder(*words: NDArray[np.uint32]) -> Any:
    """The coder, empty or with the words of a stream. Its package is imported when it is first needed."""
    import constriction

    return constriction.stream.stack.AnsCoder(*words)


@cache
def _raw(bits: int) -> Any:
    """The model that codes 1 to 14 plain bits: 2^bits values with frequency 2^(24 - bits) each."""
    import constriction

    return constriction.stream.model.Uniform(1 << bits)


def encode(passes: Sequence[tuple[NDArray[Any], NDArray[Any]]], tables: SymbolTables) -> bytes:
    """Code one stream.

    Args:
        passes: (symbols, index) pairs in decoding order. symbols: integers [n], -32767 .. 32767; index:
            integers [n], each symbol's table, negative where a symbol is not coded and must be 0. n may be 0.
        tables: the model's tables.

    Returns:
        The stream: a multiple of 4 bytes, none if there is nothing to say.

    Raises:
        InputError: the arrays are not of this kind; the message names the first offence.
    """
    return encode_reversed((symbols, index, tables) for symbols, index in reversed(passes))


def encode_reversed(passes: Iterable[tuple[NDArray[Any], NDArray[Any], SymbolTables]]) -> bytes:
    """Code one stream whose passes each have tables of their own.

    Args:
        passes: (symbols, index, tables), the last that is decoded first: the coder is a stack, and takes them one
            by one, so that a caller can make them as they are needed. Otherwise as for ``encode``.

    Raises:
        InputError: as ``encode``.
    """
    return encode_runs_reversed(_in_runs(*one) for one in passes)


def encode_runs_reversed(passes: Iterable[Runs]) -> bytes:
    """Code one stream whose symbols are in the order of coding: runs of symbols that share a table.

    Args:
        passes: (symbols, run_tables, counts, tables), the last that is decoded first. symbols: integers [n], -32767 ..
            32767; run_tables: the table of each run; counts: how many symbols each run has, which sum to n.
    """
    coder = _new_coder()
    for symbols, run_tables, counts, tables in passes:
        _push_runs(coder, symbols, run_tables, counts, tables)
    words: NDArray[np.uint32] = coder.get_compressed()
    return words.astype("<u4").tobytes()


class Decoder:
    """Decodes one stream pass by pass.

    Args:
        data: the stream.
        tables: the tables it was coded with.

    Raises:
        CorruptError: the bytes cannot be a stream.
    """

    def __init__(self, data: bytes | bytearray | memoryview, tables: SymbolTables) -> None:
        if len(data) % 4:
            raise CorruptError(f"a symbol stream is made of 4-byte words; this one has {len(data)} bytes")
        words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
        if words.size and words[-1] == 0:
            raise CorruptError("the last word of a symbol stream is never zero; in this one it is")
        self._coder = _new_coder(words)
        self._tables = tables

    def decode(self, index: NDArray[Any], tables: SymbolTables | None = None) -> NDArray[np.int16]:
        """Decode the next pass.

        Args:
            index: integers [n], the same as at encoding: each symbol's table, negative where it is not coded.
            tables: this pass's own, where it was coded with others than the stream.

        Returns:
            The symbols, int16 [n], -32767 .. 32767.

        Raises:
            InputError: index is not of this kind, or names a table that does not exist.
            CorruptError: a symbol is out of range. Most damage shows only as wrong symbols; the tile's
                checksum and ``finish`` catch it.
        """
        tables = self._tables if tables is None else tables
        index = tables.check_index(index)
        order, run_tables, counts = _sort(index, tables)
        symbols = np.zeros(index.size, np.int16)
        symbols[order] = self.decode_runs(run_tables, counts, tables)
        return symbols

    def decode_runs(
        self, run_tables: NDArray[Any], counts: NDArray[Any], tables: SymbolTables | None = None
    ) -> NDArray[np.int32]:
        """Decode the next pass of a stream that ``encode_runs_reversed`` made: all symbols, run after run.

        Args:
            run_tables: the table of each run.
            counts: how many symbols each run has.
            tables: this pass's own, where it was coded with others than the stream.

        Raises:
            CorruptError: as ``decode``.
        """
        tables = self._tables if tables is None else tables
        values = np.empty(int(counts.sum()), np.int32)
        start = 0
        for table, count in zip(run_tables.tolist(), counts.tolist(), strict=True):
            values[start : start + count] = self._coder.decode(tables.models[table], count)
            start += count
        radii = np.repeat(tables.radii[run_tables], counts)
        values -= radii
        escaped = np.flatnonzero(values > radii)
        if escaped.size:
            values[escaped] = _pop_escapes(self._coder, radii[escaped])
        return values

    def finish(self) -> None:
        """Check that nothing is left after the last pass.

        Decoding is one-to-one, so that a stream with a changed bit either decodes to other symbols or leaves
        something over.

        Raises:
            CorruptError: something is left.
        """
        if not self._coder.is_empty():
            bits = self._coder.num_valid_bits()
            raise CorruptError(f"{bits} bits are left over after a stream's last symbol")


def checksum(symbols: Iterable[NDArray[Any]]) -> int:
    """The checksum of a tile: CRC-32 of its symbols as little-endian int16.

    Args:
        symbols: integers -32767 .. 32767 of any shape, in decoding order: stream by stream, pass by pass.
    """
    crc = 0
    for array in symbols:
        crc = crc32(array.astype("<i2").tobytes(), crc)
    return crc


def _sort(index: NDArray[Any], tables: SymbolTables) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Coding order of a pass: positions of the coded symbols by table; the tables, and how many symbols each has."""
    coded = index >= 0
    # numpy's stable sort is a radix sort for integers of up to 16 bits.
    keys = index[coded].astype(np.uint8 if len(tables) <= 256 else np.uint16)
    order = np.flatnonzero(coded)[np.argsort(keys, kind="stable")]
    counts = np.bincount(keys, minlength=len(tables))
    used = np.flatnonzero(counts)
    return order, used, counts[used]


def _in_runs(symbols: NDArray[Any], index: NDArray[Any], tables: SymbolTables) -> Runs:
    symbols, index = tables.check(symbols, index)
    order, run_tables, counts = _sort(index, tables)
    return symbols[order], run_tables, counts, tables


def _push_runs(
    coder: Any, symbols: NDArray[Any], run_tables: NDArray[Any], counts: NDArray[Any], tables: SymbolTables
) -> None:
    values = symbols.astype(np.int32)
    radii = np.repeat(tables.radii[run_tables], counts)
    escape = 2 * radii + 1
    # -K..K become 0..2K. Seen as unsigned, what lies below is huge, so one comparison finds both ends.
    entries = np.minimum((values + radii).view(np.uint32), escape.view(np.uint32)).view(np.int32)
    escaped = np.flatnonzero(entries == escape)
    if escaped.size:
        _push_escapes(coder, values[escaped], radii[escaped])
    stop = len(entries)
    for table, count in zip(run_tables[::-1].tolist(), counts[::-1].tolist(), strict=True):
        coder.encode_reverse(entries[stop - count : stop], tables.models[table])
        stop -= count


def _push_escapes(coder: Any, values: NDArray[np.int32], radii: NDArray[np.int32]) -> None:
    excess = np.abs(values) - radii - 1
    lengths = bit_lengths(excess)
    for n in range(int(lengths.max()), 1, -1):
        remainders = excess[lengths == n] - (1 << (n - 1))
        if remainders.size:
            coder.encode_reverse(remainders, _raw(n - 1))
    coder.encode_reverse(lengths, _raw(LENGTH_BITS))
    coder.encode_reverse((values < 0).astype(np.int32), _raw(SIGN_BITS))


def _pop_escapes(coder: Any, radii: NDArray[np.int32]) -> NDArray[np.int32]:
    negative = coder.decode(_raw(SIGN_BITS), radii.size)
    lengths = coder.decode(_raw(LENGTH_BITS), radii.size)
    excess = np.minimum(lengths, 1)  # 0 and 1 have no digits below the leading one
    for n in range(2, int(lengths.max()) + 1):
        group = np.flatnonzero(lengths == n)
        if group.size:
            excess[group] = coder.decode(_raw(n - 1), group.size) + (1 << (n - 1))
    magnitudes = radii + 1 + excess
    if magnitudes.max() > MAX_SYMBOL:
        raise CorruptError(f"a symbol of magnitude {magnitudes.max()}; the largest is {MAX_SYMBOL}")
    values: NDArray[np.int32] = np.where(negative == 1, -magnitudes, magnitudes)
    return values
