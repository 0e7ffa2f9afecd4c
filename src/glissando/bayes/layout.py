"""An array as rows of one value per group: the order in which its symbols are coded.

Along the groups' axis each index has its own prior and tables; all other axes, in C order, make the rows. So every
stretch of rows holds equally many values of each group, and a decoder learns all groups at the same pace.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bayes.grid import group_axis

__all__ = ["Layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The rows of an array of this shape; ``axis`` is the groups' axis, None for one group of all values."""

    shape: tuple[int, ...]
    axis: int | None = None

    def __post_init__(self) -> None:
        if self.axis is not None:
            object.__setattr__(self, "axis", group_axis(self.shape, self.axis))

    @property
    def groups(self) -> int:
        return 1 if self.axis is None else self.shape[self.axis]

    @property
    def rows(self) -> int:
        if self.axis is None:
            return prod(self.shape)
        return self._before * self._after

    @property
    def _before(self) -> int:
        return 1 if self.axis is None else prod(self.shape[: self.axis])

    @property
    def _after(self) -> int:
        return prod(self.shape) if self.axis is None else prod(self.shape[self.axis + 1 :])

    def take(self, array: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
        """Rows start .. stop of a C-contiguous array of this shape, [stop - start, groups], perhaps a view."""
        cube = array.reshape(self._before, self.groups, self._after)
        pieces = [cube[i, :, a:b].T for i, a, b in self._spans(start, stop)]
        if self._after == 1:
            return cube[start:stop, :, 0]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces) if pieces else cube[0:0, :, 0]

    def put(self, array: NDArray[Any], start: int, rows: NDArray[Any]) -> None:
        """Write rows from ``start`` on into a C-contiguous array of this shape."""
        cube = array.reshape(self._before, self.groups, self._after)
        if self._after == 1:
            cube[start : start + len(rows), :, 0] = rows
            return
        done = 0
        for i, a, b in self._spans(start, start + len(rows)):
            cube[i, :, a:b] = rows[done : done + b - a].T
            done += b - a

    def _spans(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Where rows lie: (index before the axis, first and last index after it)."""
        if self._after == 1:
            return []
        spans = []
        while start < stop:
            i, a = divmod(start, self._after)
            b = min(a + stop - start, self._after)
            spans.append((i, a, b))
            start += b - a
        return spans
