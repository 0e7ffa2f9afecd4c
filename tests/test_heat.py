"""The picture of where the bits went."""

from __future__ import annotations

import numpy as np
import pytest

from glissando.picture.heat import LEGEND, draw_bits


@pytest.mark.parametrize("shape", [(40, 300, 3), (40, 300), (1, 1, 3), (33, 17)])
def test_size_and_legend(shape: tuple[int, ...]) -> None:
    height, width = shape[:2]
    bits = np.ones((-(-height // 16), -(-width // 16)))
    drawn = draw_bits(np.full(shape, 90, np.uint8), bits, side=16)
    assert drawn.dtype == np.uint8
    assert drawn.shape == (height + LEGEND, max(width, 240), 3)
    bar = drawn[height + 10, 12:-13].astype(int).sum(axis=1)
    assert (np.diff(bar) >= -2).all()  # from dark to bright
    assert drawn[height + 24 :].max() > 200  # text


def test_more_bits_are_brighter_and_the_picture_shines_through() -> None:
    bits = np.array([[0.0, 100.0, 400.0]])
    dark, bright = (
        draw_bits(np.full((16, 48), shade, np.uint8), bits, side=16)[:16, :48].astype(int) for shade in (0, 255)
    )
    means = dark.reshape(16, 3, 16, 3).mean(axis=(0, 2, 3))
    assert means[0] < means[1] < means[2]
    assert (bright - dark == 102).all()


def test_a_common_scale_and_a_smaller_copy() -> None:
    pixels = np.zeros((8, 16), np.uint8)
    one = draw_bits(pixels, np.array([[64.0, 256.0]]), side=16, drawn_side=8)
    other = draw_bits(pixels, np.array([[64.0, 64.0]]), side=16, drawn_side=8, top=1.0)
    np.testing.assert_array_equal(one[:8, :8], other[:8, :8])
    assert (one[:8, 8:16] != other[:8, 8:16]).any()


def test_a_picture_that_costs_nothing_is_dark() -> None:
    assert draw_bits(np.zeros((16, 16), np.uint8), np.zeros((1, 1)), side=16)[:16, :16].max() < 5
