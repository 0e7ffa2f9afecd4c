"""docs/array-format.md in plain Python, one symbol at a time: slow, independent of the package, and only for floats."""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import bitstream_reference

FLOATS = {1: ("e", 65504.0), 2: ("f", 3.4028234663852886e38), 3: ("d", 1.7976931348623157e308)}
STEPS = [256, 279, 304, 332, 362, 395, 431, 470]


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def take(self, size: int) -> bytes:
        assert self.offset + size <= len(self.data)
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def big(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.big(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def little(self, code: str, count: int) -> list[Any]:
        return list(struct.unpack(f"<{count}{code}", self.take(struct.calcsize(code) * count)))


def single(value: float, code: str) -> float:
    """Rounded to a type."""
    return float(struct.unpack(f"<{code}", struct.pack(f"<{code}", value))[0])


def halves(codes: list[int]) -> list[float]:
    return [struct.unpack("<f", struct.pack("<I", code << 16))[0] for code in codes]


def depth_of(t: int, bits: int) -> int:
    return 0 if t == 0 else bits - ((t & -t).bit_length() - 1)


def knots(prior: int, data: bytes, groups: int, code: str, lists: dict[str, list[int]]) -> list[tuple[list[int], Any]]:
    source = Reader(data)
    if prior == 0:
        means, spreads = source.little(code, groups), halves(source.little("H", groups))
        x, z = lists["X"], lists["Z"]
        positions = [65536 * v for v in x] + [65536 * (65536 - v) for v in x[-2::-1]]
        normal = z + [-v for v in z[-2::-1]]
        found = [(positions, [v / 65536 * s + m for v in normal]) for m, s in zip(means, spreads, strict=True)]
    elif prior == 1:
        (level,) = source.little("B", 1)
        x = lists[str(level)]
        positions = [65536 * v for v in x] + [65536 * (65536 - v) for v in x[-2::-1]]
        half = len(x) - 1
        found = []
        medians = source.little(code, groups)
        for median in medians:
            away = halves(source.little("H", 2 * half))
            found.append((positions, [median - d for d in away[:half]] + [median] + [median + d for d in away[half:]]))
    else:
        shared, count = source.little("H", 2)
        positions = [0, *source.little("I", count - 2), 2**32]
        rows = [source.little("d", count) for _ in range(1 if shared else groups)]
        found = [(positions, row) for row in (rows * groups if shared else rows)]
    assert source.offset == len(data)
    return found


def value_of(symbol: int, knots: tuple[list[int], list[float]], bits: int, exponent: int, dtype: int) -> float:
    positions, values = knots
    x = (symbol + 2**bits) * 2 ** (31 - bits)
    i = max(k for k, position in enumerate(positions) if position <= x)
    y = ((values[i + 1] - values[i]) * (x - positions[i])) / (positions[i + 1] - positions[i]) + values[i]
    code, largest = FLOATS[dtype]
    try:
        scaled = math.ldexp(min(y, values[i + 1]), exponent)
    except OverflowError:
        scaled = math.copysign(math.inf, y)
    return single(max(-largest, min(largest, scaled)), code)


def table(weights: list[int]) -> bitstream_reference.Table:
    size, total = len(weights), sum(weights)
    frequencies = [1 + w * (2**24 - size - 1) // total for w in weights]
    frequencies[weights.index(max(weights))] += 2**24 - 1 - sum(frequencies)
    return size // 2, [*frequencies, 1]


def stored_tables(data: bytes, count: int, depth: int) -> list[bitstream_reference.Table]:
    size = 2 ** (depth + 1) - 1
    raw = zlib.decompress(data, -15)
    assert len(raw) == count * size
    order = sorted(range(size), key=lambda j: depth_of(j - size // 2, depth))
    tables = []
    for k in range(count):
        weights, level = [0] * size, 0
        for j, byte in zip(order, raw[k * size : (k + 1) * size], strict=True):
            level = (level + byte) % 256
            weights[j] = 0 if level == 0 else STEPS[(level - 1) % 8] << (level - 1) // 8
        tables.append(table(weights if any(weights) else [1] * size))
    return tables


def learnt_tables(counts: list[list[int]], depth: int, a: int, b: int) -> list[bitstream_reference.Table]:
    size, groups = 2 ** (depth + 1) - 1, len(counts)
    depths = [depth_of(j - size // 2, depth) for j in range(size)]
    every = [sum(row[j] for row in counts) for j in range(size)]
    total = sum(every)
    each = [0] * (depth + 1)
    for count, n in zip(every, depths, strict=True):
        each[n] += count
    base = [(each[n] + 1) * 2 ** (30 - n) // (total + depth + 1) for n in range(depth + 1)]
    pooled = [(every[j] * 2**30 + a * base[depths[j]]) // (total + a) for j in range(size)]
    if groups == 1:
        return [table([max(1, p) for p in pooled])]
    return [
        table([max(1, (row[j] * 2**30 + b * pooled[j]) // (total // groups + b)) for j in range(size)])
        for row in counts
    ]


def decode(data: bytes, lists: dict[str, list[int]]) -> dict[str, tuple[tuple[int, ...], list[float]]]:
    """Name -> (shape, values in C order). ``lists``: the page's X, Z and the levels' lists, by their first words."""
    file = Reader(data)
    assert file.take(8) == b"\x89GLA\r\n\x1a\n"
    assert file.big(1) == 1
    headers = []
    for _ in range(file.varint()):
        header: dict[str, Any] = {"name": file.take(file.varint()).decode()}
        header["dtype"], coding, dimensions = file.big(1), file.big(1), file.big(1)
        assert coding == 1
        header["shape"] = tuple(file.varint() for _ in range(dimensions))
        header["exponent"] = file.big(2) - 2048
        for field in ("axis", "bits", "depth", "prior", "mode", "pooled", "own"):
            header[field] = file.big(1)
        for part in ("prior", "tables"):
            header[f"{part}_length"], header[f"{part}_crc"] = file.varint(), file.big(4)
        header["groups"] = header["shape"][header["axis"] - 1] if header["axis"] else 1
        header["rows"] = math.prod(header["shape"]) // header["groups"]
        step = max(1024, 2**20 // header["groups"])
        header["step"] = step
        header["chunks"] = [(file.varint(), file.big(4)) for _ in range(0, header["rows"], step)]
        headers.append(header)
    end = file.offset
    assert file.big(4) == zlib.crc32(data[:end])
    found = {h["name"]: (h["shape"], decode_array(file, h, lists)) for h in headers}
    assert file.offset == len(data)
    return found


def decode_array(file: Reader, h: dict[str, Any], lists: dict[str, list[int]]) -> list[float]:
    parameters, packed = file.take(h["prior_length"]), file.take(h["tables_length"])
    assert (zlib.crc32(parameters), zlib.crc32(packed)) == (h["prior_crc"], h["tables_crc"])
    groups, depth, bits = h["groups"], h["depth"], h["bits"]
    size = 2 ** (depth + 1) - 1
    counts = [[0] * size for _ in range(groups)]
    rows: list[list[int]] = []
    for length, checksum in h["chunks"]:
        decoder = bitstream_reference.Decoder(file.take(length))
        first, stop = len(rows), min(len(rows) + h["step"], h["rows"])
        while len(rows) < stop:
            if h["mode"] == 2:
                count = min(max(-(-64 // groups), len(rows) // 4), stop - len(rows))
                tables = learnt_tables(counts, depth, 2 ** h["pooled"], 2 ** h["own"])
            else:
                count = stop - len(rows)
                tables = stored_tables(packed, groups if h["mode"] == 1 else 1, depth)
            symbols = decoder.decode([g * (h["mode"] != 0) for _ in range(count) for g in range(groups)], tables)
            for row in batched(symbols, groups):
                for g, t in enumerate(row):
                    counts[g][t + size // 2] += 1
                rows.append([t << (bits - depth) for t in row])
        assert decoder.empty
        coded = b"".join(struct.pack("<h", s) for row in rows[first:] for s in row)
        assert zlib.crc32(coded) == checksum
    every = knots(h["prior"], parameters, groups, FLOATS[h["dtype"]][0], lists)
    values = {}
    shape, axis = h["shape"], h["axis"] - 1
    others = [n for i, n in enumerate(shape) if not h["axis"] or i != axis]
    for row, place in zip(rows, itertools.product(*map(range, others)), strict=True):
        for g, s in enumerate(row):
            where = (*place[:axis], g, *place[axis:]) if h["axis"] else place
            values[where] = value_of(s, every[g], bits, h["exponent"], h["dtype"])
    return [values[where] for where in itertools.product(*map(range, shape))]


def batched(values: list[int], size: int) -> Iterator[list[int]]:
    return (values[i : i + size] for i in range(0, len(values), size))
