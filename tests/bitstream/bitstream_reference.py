"""docs/format.md in plain Python integers, one symbol at a time: slow, plain, independent of the package."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MASK24, MASK32 = 2**24 - 1, 2**32 - 1

Table = tuple[int, list[int]]  # radius, frequencies


class Decoder:
    def __init__(self, data: bytes) -> None:
        self.words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
        self.state = 0
        self.refill()
        self.refill()

    def refill(self) -> None:
        if self.state < 2**32 and self.words:
            self.state = (self.state << 32) + self.words.pop()

    def entry(self, frequencies: Sequence[int]) -> int:
        q = self.state & MASK24
        j = c = 0
        while q >= c + frequencies[j]:
            c += frequencies[j]
            j += 1
        self.state = (self.state >> 24) * frequencies[j] + q - c
        self.refill()
        return j

    def raw(self, bits: int) -> int:
        return self.entry([2 ** (24 - bits)] * 2**bits)

    def decode(self, index: Sequence[int], tables: Sequence[Table]) -> list[int]:
        symbols = [0] * len(index)
        escaped = []
        for t, (radius, frequencies) in enumerate(tables):
            for i in range(len(index)):
                if index[i] == t:
                    j = self.entry(frequencies)
                    symbols[i] = j - radius
                    if j == 2 * radius + 1:
                        escaped.append(i)
        negative = {i: self.raw(1) for i in escaped}
        length = {i: self.raw(4) for i in escaped}
        excess = dict(length)
        for n in range(2, 16):
            for i in escaped:
                if length[i] == n:
                    excess[i] = 2 ** (n - 1) + self.raw(n - 1)
        for i in escaped:
            magnitude = tables[index[i]][0] + 1 + excess[i]
            symbols[i] = -magnitude if negative[i] else magnitude
        return symbols

    @property
    def empty(self) -> bool:
        return self.state == 0 and not self.words


def encode(passes: Sequence[tuple[Sequence[int], Sequence[int]]], tables: Sequence[Table]) -> bytes:
    """Lists what a decoder would ask for, then pushes it backwards."""
    pushes: list[tuple[int, int]] = []

    def entry(frequencies: Sequence[int], j: int) -> None:
        pushes.append((frequencies[j], sum(frequencies[:j])))

    def raw(bits: int, value: int) -> None:
        pushes.append((2 ** (24 - bits), value * 2 ** (24 - bits)))

    for symbols, index in passes:
        escaped = []
        for t, (radius, frequencies) in enumerate(tables):
            for symbol in (s for s, i in zip(symbols, index, strict=True) if i == t):
                if abs(symbol) <= radius:
                    entry(frequencies, symbol + radius)
                else:
                    entry(frequencies, 2 * radius + 1)
                    escaped.append((symbol, abs(symbol) - radius - 1))
        for symbol, _ in escaped:
            raw(1, symbol < 0)
        for _, excess in escaped:
            raw(4, excess.bit_length())
        for n in range(2, 16):
            for _, excess in escaped:
                if excess.bit_length() == n:
                    raw(n - 1, excess - 2 ** (n - 1))

    state, words = 0, []
    for f, c in reversed(pushes):
        if state >> 40 >= f:
            words.append(state & MASK32)
            state >>= 32
        state = (state // f << 24) + c + state % f
    while state:
        words.append(state & MASK32)
        state >>= 32
    return b"".join(word.to_bytes(4, "little") for word in words)


def discretised(scale: float, density: Callable[[float], float]) -> Table:
    """A table for a density, out to about five scales, with a rare escape."""
    radius = int(5 * scale)
    weights = [density(k / scale) for k in range(-radius, radius + 1)]
    rest = 2**24 - len(weights) - 1 - 16
    frequencies = [1 + int(rest * w / sum(weights)) for w in weights] + [17]
    frequencies[radius] += 2**24 - sum(frequencies)
    return radius, frequencies
