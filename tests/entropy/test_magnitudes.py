"""The context model of a VAE's symbols against its specification; what it refuses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from magnitudes_reference import MagnitudesReference
from magnitudes_reference import log2_of as reference_log2
from numpy.typing import NDArray

from glissando.errors import ModelMismatchError
from glissando.families.vae.magnitudes import MagnitudeContext, log2_of, stages

GROUPS, HIDDEN = [2, 1, 3], 4


def arrays(random: np.random.Generator) -> dict[str, NDArray[Any]]:
    """A model with six channels and weights as large as trained ones."""
    n = sum(GROUPS)
    found: dict[str, NDArray[Any]] = {
        "order": random.permutation(n),
        "groups": np.array(GROUPS),
        "usual": random.integers(0, 160, (3, n)),
        "magnitude": random.integers(-200, 100, (3, n)),
        "near": random.integers(-20, 90, n),
        "past": random.integers(-20, 90, n),
    }
    for g, start in enumerate(np.cumsum([0, *GROUPS[:-1]]).tolist()):
        found[f"hidden.{g}.weight"] = random.integers(-60, 60, (HIDDEN, 2 * n + start + 3))
        found[f"hidden.{g}.bias"] = random.integers(-4000, 4000, HIDDEN)
        found[f"out.{g}.weight"] = random.integers(-60, 60, (GROUPS[g], HIDDEN))
        found[f"out.{g}.bias"] = random.integers(-4000, 4000, GROUPS[g])
    return found


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    units=st.integers(0, 25600),
    octaves=st.floats(-2, 11),
)
def test_tables_are_those_of_the_specification(seed: int, rows: int, columns: int, units: int, octaves: float) -> None:
    random = np.random.default_rng(seed)
    model = arrays(random)
    symbols = np.rint(random.laplace(scale=2**octaves, size=(rows, columns, sum(GROUPS)))).clip(-32767, 32767)
    expected = MagnitudesReference(model).passes(symbols.astype(int).tolist(), units)
    known = np.zeros(symbols.shape, np.int16)
    flat = known.reshape(rows * columns, -1)
    for turn, reference in itertools.zip_longest(MagnitudeContext(model).walk(known, units), expected):
        places = [(*divmod(int(p), columns), k) for p in turn.positions for k in range(*turn.channels.indices(99))]
        assert places == list(reference)
        assert turn.index.reshape(-1).tolist() == list(reference.values())
        # Only now does the model see what the turn codes.
        flat[turn.positions, turn.channels] = symbols.reshape(rows * columns, -1)[turn.positions, turn.channels]
    np.testing.assert_array_equal(known, symbols)


@given(st.integers(0, 16 * 255))
def test_logarithms(value: int) -> None:
    found = int(log2_of(np.array(value)))
    assert found == reference_log2(value)
    assert abs(found - 32 * np.log2(1 + value)) < 4


def test_most_positions_have_four_neighbours() -> None:
    known = np.zeros((32 * 32, 1), np.uint8)
    seen = [stage for stage in stages(known, 32, 32)]
    assert sorted(np.concatenate([stage.positions for stage in seen]).tolist()) == list(range(1024))
    assert sum(stage.positions.size for stage in seen if stage.distance == 1) == 768
    assert sum(int(stage.alone.sum()) for stage in seen) < 4


def test_what_the_model_refuses() -> None:
    good = arrays(np.random.default_rng(0))
    MagnitudeContext(good)
    with pytest.raises(ModelMismatchError, match=r"has no 'out\.1\.bias'"):
        MagnitudeContext({name: array for name, array in good.items() if name != "out.1.bias"})
    for name, array, message in (
        ("order", np.zeros(6, int), "each channel once"),
        ("groups", np.array([2, 1, 2]), "each channel once"),
        ("groups", np.array([7, -4, 3]), "each channel once"),
        ("usual", np.zeros((3, 5), int), "level tables"),
        ("usual", np.zeros((1, 6), int), "level tables"),
        ("near", np.zeros(5, int), "near and past"),
        ("past", np.full(6, 1 << 20), "near and past"),
        ("hidden.1.weight", np.zeros((HIDDEN, 9), int), "group 1 do not agree"),
        ("out.2.bias", np.zeros(2, int), "group 2 do not agree"),
        ("hidden.0.weight", np.full((HIDDEN, 15), 1 << 14), "group 0: sums may reach"),
        ("out.0.bias", np.full(2, 1 << 24), "group 0: sums may reach"),
        ("usual", np.full((3, 6), 0.5), "integers"),
    ):
        with pytest.raises(ModelMismatchError, match=message):
            MagnitudeContext({**good, name: array})
