"""How busy a picture is, and what follows from it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training tiles are read by the trainer: pip install glissando[train]")

from benchmarks.typical import fitted


def test_the_fit_leaves_out_what_lies_far_off() -> None:
    random = np.random.default_rng(1)
    busy = random.normal(size=(60, 3))
    by_activity = np.array([[0.1, 1.0, -2.0, 0.5], [0.0, 0.3, 0.2, -1.0]])
    values = np.column_stack([np.ones(60), busy]) @ by_activity.T + random.normal(size=(60, 2)) * 0.01
    values[7] += 50  # a drawing among photographs
    np.testing.assert_allclose(fitted(busy, values), by_activity, atol=0.02)
