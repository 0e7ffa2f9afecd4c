"""The rule that gives each symbol's table, as docs/format.md tells it: plain Python integers, one at a time.

Slow, plain, independent of the package. Grids are nested lists [row][column][channel].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Grid = list[list[list[int]]]


def clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def level(table: Sequence[Sequence[int]], u: int) -> list[int]:
    """T(u), section "Levels"."""
    levels = len(table)
    p = u * (levels - 1)
    i = min(p // 25600, levels - 2)
    f = p - 25600 * i
    return [(a * (25600 - f) + b * f + 12800) // 25600 for a, b in zip(table[i], table[i + 1], strict=True)]


def mantissa(part: int) -> int:
    """⌊2^(15 + part/256)⌋: the largest integer whose 256th power is at most 2^(15·256 + part)."""
    goal = 1 << (15 * 256 + part)
    low, high = 1 << 15, 1 << 16
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**256 <= goal else (low, middle)
    return low


def dequantised(k: int, g: int) -> int:
    """k·2^(−g/256) in units of 1/32, section "The integer scale network"."""
    e = -g
    m = mantissa(e % 256)
    h = 10 - e // 256
    x = max(1 - h, 0)
    return clip((k * m * 2**x + 2 ** (h + x - 1)) >> (h + x), -1023, 1023)


def table(scale: int, first_table: Sequence[int], family: int) -> int:
    """Section "From scale to table"."""
    t = min((scale + 1024 + 16) // 32, 95)
    return -1 if t < first_table[family] else 96 * family + t


class ScaleReference:
    """The network; ``totals`` keeps the largest |total| that each layer has reached."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self.arrays = {name: array.tolist() for name, array in arrays.items()}
        self.totals: dict[str, int] = {}

    def layer(self, name: str, x: Grid, depthwise: bool = False) -> Grid:
        weight, bias = self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]
        kernel = len(weight[0][0])
        margin = kernel // 2
        rows, columns = len(x), len(x[0])
        taps = [(i, j) for i in range(kernel) for j in range(kernel)]
        out = []
        for r in range(rows):
            line = []
            for c in range(columns):
                near = [(i, j, r + i - margin, c + j - margin) for i, j in taps]
                near = [(i, j, a, b) for i, j, a, b in near if 0 <= a < rows and 0 <= b < columns]
                values = []
                for o, planes in enumerate(weight):
                    total = bias[o]
                    for i, j, a, b in near:
                        if depthwise:
                            total += planes[0][i][j] * x[a][b][o]
                        else:
                            total += sum(plane[i][j] * v for plane, v in zip(planes, x[a][b], strict=True))
                    self.totals[name] = max(self.totals.get(name, 0), abs(total))
                    y = (total + 2) >> 2 if name == "near" else (total + 64) >> 7
                    values.append(y if name.endswith("_out") else clip(y, 0, 1023))
                line.append(values)
            out.append(line)
        return out

    @staticmethod
    def upshuffle(x: Grid) -> Grid:
        rows, columns, channels = len(x), len(x[0]), len(x[0][0]) // 4
        return [
            [[x[r // 2][c // 2][4 * k + 2 * (r % 2) + c % 2] for k in range(channels)] for c in range(2 * columns)]
            for r in range(2 * rows)
        ]

    def first(self, z: Grid) -> Grid:
        """Scales of the first pass in 1/256 octave, ``scale_offset`` not yet added."""
        x = self.upshuffle(self.layer("z_up", self.layer("z_mix", z)))
        x = self.upshuffle(self.layer("mid_up", self.layer("mid_mix", x)))
        return [[[8 * v for v in values] for values in line] for line in self.layer("first_out", x)]

    def second(self, symbols: Grid, scales: Grid) -> Grid:
        """What the second pass adds to ``scales``; ``symbols`` of the first pass, zero elsewhere."""
        near = self.layer("near", [[[min(abs(k), 15) for k in values] for values in line] for line in symbols], True)
        both = [
            [n + [clip((s + 4) >> 3, -1023, 1023) for s in values] for n, values in zip(ns, line, strict=True)]
            for ns, line in zip(near, scales, strict=True)
        ]
        out = self.layer("second_out", self.layer("second_mix", both))
        return [[[8 * v for v in values] for values in line] for line in out]
