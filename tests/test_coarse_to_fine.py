"""The order of positions, coarse to fine."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from glissando.coarse_to_fine import stages


@given(rows=st.integers(0, 40), columns=st.integers(0, 40))
def test_each_position_comes_once_after_its_neighbours(rows: int, columns: int) -> None:
    turn = np.full((rows, columns), -1)
    number_of = np.arange(turn.size).reshape(turn.shape)
    for number, stage in enumerate(stages(rows, columns)):
        down, right = stage.positions(rows, columns)
        parts = [number_of[lattice.slices].ravel() for lattice in stage.lattices]
        assert np.array_equal(down * columns + right, np.concatenate(parts))
        for lattice in stage.lattices:
            assert (turn[lattice.slices] == -1).all()
            turn[lattice.slices] = number
        for row, column in np.argwhere(turn == number):
            around = [(row + down, column + right) for down, right in stage.neighbours]
            inside = [turn[r, c] for r, c in around if 0 <= r < rows and 0 <= c < columns]
            assert all(0 <= earlier < number for earlier in inside)
            assert len(inside) > 0 or number == 0
    assert (turn >= 0).all()


def test_a_small_grid_in_full() -> None:
    turn = np.full((3, 5), -1)
    for number, stage in enumerate(stages(3, 5)):
        for lattice in stage.lattices:
            turn[lattice.slices] = number
    assert turn.tolist() == [[0, 5, 3, 5, 1], [5, 4, 5, 4, 5], [3, 5, 2, 5, 3]]
    assert [(stage.distance, stage.between) for stage in stages(3, 5)] == [
        (0, False),
        (4, True),
        (2, False),
        (2, True),
        (1, False),
        (1, True),
    ]
