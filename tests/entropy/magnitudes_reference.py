"""The rule that gives each symbol of a VAE its table, as docs/format.md tells it: plain Python integers, one at a time.

Slow, plain, independent of the package. ``symbols`` is [row][column][channel], channels in the order they are coded in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Place = tuple[int, int]
Pass = dict[tuple[int, int, int], int]  # (row, column, channel) → table, in coding order


def clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def log2_of(value: int) -> int:
    n = (value + 1).bit_length() - 1
    return 32 * (n - 1) + 32 * (value + 1) // 2**n


def stages(rows: int, columns: int) -> list[tuple[int, bool, list[Place]]]:
    """h, whether of the second kind, positions."""
    size = 1
    while size < max(rows, columns):
        size *= 2
    found: list[tuple[int, bool, list[Place]]] = [(0, False, [(0, 0)])]
    h = size // 2
    while h:
        evens = {n: list(range(0, n, 2 * h)) for n in (rows, columns)}
        odds = {n: list(range(h, n, 2 * h)) for n in (rows, columns)}
        centres = [(r, c) for r in odds[rows] for c in odds[columns]]
        if centres:
            found.append((h, False, centres))
        first = [(r, c) for r in odds[rows] for c in evens[columns]]
        found.append((h, True, first + [(r, c) for r in evens[rows] for c in odds[columns]]))
        h //= 2
    return found


class MagnitudesReference:
    """The context model."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.arrays = {name: array.tolist() for name, array in arrays.items()}

    def level(self, name: str, units: int) -> list[int]:
        table = self.arrays[name]
        p = units * (len(table) - 1)
        i = min(p // 25600, len(table) - 2)
        f = p - 25600 * i
        return [(a * (25600 - f) + b * f + 12800) // 25600 for a, b in zip(table[i], table[i + 1], strict=True)]

    def passes(self, symbols: list[list[list[int]]], units: int) -> list[Pass]:
        rows, columns, channels = len(symbols), len(symbols[0]), len(symbols[0][0])
        size = [[[min(abs(k), 255) for k in place] for place in row] for row in symbols]
        usual, magnitude = self.level("usual", units), self.level("magnitude", units)
        done: list[Place] = []
        found: list[Pass] = []
        for h, between, places in stages(rows, columns):
            offsets = [(-h, 0), (h, 0), (0, -h), (0, h)] if between else [(-h, -h), (-h, h), (h, -h), (h, h)]
            parts: list[Pass] = [{} for _ in self.arrays["groups"]]
            for r, c in places:
                around = [(r + dr, c + dc) for dr, dc in offsets] if h else []
                around = [(y, x) for y, x in around if 0 <= y < rows and 0 <= x < columns]
                assert set(around) <= set(done)
                near, past = (
                    [
                        clip(log2_of(16 * sum(size[y][x][k] for y, x in known) // len(known)) - usual[k], -255, 255)
                        if known
                        else 0
                        for k in range(channels)
                    ]
                    for known in (around, done)
                )
                inputs = [*near, *past, 255 * units // 25600, 32 * min(h.bit_length(), 4), 64 * between]
                first = 0
                for g, count in enumerate(self.arrays["groups"]):
                    answers = self._network(g, inputs)
                    for i, k in enumerate(range(first, first + count)):
                        own = self.arrays["near"][k] * near[k] + self.arrays["past"][k] * past[k]
                        s = magnitude[k] + ((own + 64) >> 7) + answers[i]
                        parts[g][r, c, k] = clip((s + 384 + 2) >> 2, 0, 151)
                    inputs += [
                        clip(log2_of(16 * size[r][c][k]) - usual[k], -255, 255) for k in range(first, first + count)
                    ]
                    first += count
            found += parts
            done += places
        return found

    def _network(self, g: int, x: list[int]) -> list[int]:
        for name in ("hidden", "out"):
            weight, bias = self.arrays[f"{name}.{g}.weight"], self.arrays[f"{name}.{g}.bias"]
            x = [
                (b + sum(w * v for w, v in zip(row, x, strict=True)) + 64) >> 7
                for row, b in zip(weight, bias, strict=True)
            ]
            if name == "hidden":
                x = [clip(v, 0, 1023) for v in x]
        return x
