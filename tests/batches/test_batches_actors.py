"""How many pictures an actor of a cluster gets at once; no cluster is needed to tell that."""

from __future__ import annotations

from collections import deque

import pytest

from glissando.batches.actors import CALL_BYTES, CALL_SECONDS, TOGETHER, Actors
from glissando.batches.messages import Look


@pytest.mark.parametrize(
    ("looks", "actors", "seconds", "expected"),
    [
        ([Look("a", 10)] * 1000, 10, 0.01, TOGETHER),
        ([Look("a", 10)] * 1000, 10, CALL_SECONDS / 5, 5),  # no more than take so long
        ([Look("a", 10)] * 1000, 10, 60.0, 1),
        ([Look("a", 10)] * 20, 10, 0.01, 2),  # at the end each actor gets its share
        ([Look("a", CALL_BYTES // 3)] * 1000, 10, 0.01, 3),  # no more than take so much memory
        ([Look("a", 2 * CALL_BYTES)] * 1000, 10, 0.01, 1),
        ([Look("a", None)] * 1000, 10, 0.01, 1),
        ([Look("a", 10), Look("b", 10, alone=True), *[Look("c", 10)] * 1000], 10, 0.01, 1),
        ([Look("b", 10, alone=True), *[Look("c", 10)] * 1000], 10, 0.01, 1),
    ],
)
def test_chunks(looks: list[Look], actors: int, seconds: float, expected: int) -> None:
    pool = Actors.__new__(Actors)
    pool._queue, pool._number, pool._pace = deque(enumerate(looks)), actors, seconds
    assert [look for _, look in pool._chunk()] == looks[:expected]
    assert len(pool._queue) == len(looks) - expected
