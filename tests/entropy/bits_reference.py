"""The rule that gives each bit's table, as docs/format.md tells it: plain Python integers, one bit at a time.

Slow, plain, independent of the package. ``code`` is [row][column][channel], −1, 0 or +1; ``kept`` is [row][column].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Pass = dict[tuple[int, int, int], int]  # (row, column, channel) → table, of the coded bits in coding order


def clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


class BitsReference:
    """The context model; ``totals`` keeps the largest |total| of hidden and output units."""

    def __init__(self, arrays: Mapping[str, Any], group: int, reach: int) -> None:
        self.arrays = {name: array.tolist() for name, array in arrays.items()}
        self.group, self.reach = group, reach
        self.hidden = len(self.arrays["out_first.weight"][0])
        self.levels = len(self.arrays["out_first.weight"]) // group
        self.totals = {"hidden": 0, "out_first": 0, "out_second": 0}

    def passes(self, code: list[list[list[int]]], kept: list[list[int]]) -> list[Pass]:
        """Tables of all 2·L passes, in their order."""
        rows, columns = len(kept), len(kept[0])
        return [
            self._pass(code, kept, level, late, rows, columns) for level in range(self.levels) for late in (False, True)
        ]

    def _pass(
        self, code: list[list[list[int]]], kept: list[list[int]], level: int, late: bool, rows: int, columns: int
    ) -> Pass:
        found: Pass = {}
        for r in range(rows):
            for c in range(columns):
                if kept[r][c] <= level:
                    continue
                hidden = [self._hidden(code, kept, level, late, r, c, h) for h in range(self.hidden)]
                low = ((r + c) % 2 == 0) != late
                first = level * self.group + (0 if low else self.group // 2)
                for channel in range(first, first + self.group // 2):
                    found[r, c, channel] = self._table(hidden, channel, "out_second" if late else "out_first")
        return found

    def _hidden(
        self, code: list[list[list[int]]], kept: list[list[int]], level: int, late: bool, r: int, c: int, h: int
    ) -> int:
        unit, g, rows, columns = level * self.hidden + h, self.group, len(kept), len(kept[0])
        total = self.arrays["bias"][unit]
        for channel in range(level * g):
            total += self.arrays["past.weight"][unit][channel] * code[r][c][channel]
        for dr in range(-2, 3):
            for dc in range(-2, 3):
                y, x = r + dr, c + dc
                if not (0 <= y < rows and 0 <= x < columns):
                    continue
                if abs(dr) <= 1 and abs(dc) <= 1:
                    total += self.arrays["map.weight"][unit][0][dr + 1][dc + 1] * kept[y][x]
                    for plane in range(self.reach * g):
                        channel = (level - self.reach) * g + plane
                        if channel >= 0:
                            total += self.arrays["near.weight"][unit][plane][dr + 1][dc + 1] * code[y][x][channel]
                if late:
                    low = (y + x) % 2 == 0
                    for plane in range(0, g // 2) if low else range(g // 2, g):
                        weight = self.arrays["current.weight"][unit][plane][dr + 2][dc + 2]
                        total += weight * code[y][x][level * g + plane]
        self.totals["hidden"] = max(self.totals["hidden"], abs(total))
        return clip((total + 2) >> 2, 0, 1023)

    def _table(self, hidden: list[int], channel: int, name: str) -> int:
        total = self.arrays[f"{name}.bias"][channel]
        total += sum(w * h for w, h in zip(self.arrays[f"{name}.weight"][channel], hidden, strict=True))
        self.totals[name] = max(self.totals[name], abs(total))
        out = (total + 64) >> 7
        return clip((out + 4) >> 3, -48, 48) + 48
