"""Up to which qualities bfloat16 may be used."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.bf16 import trusted_qualities
from benchmarks.data import Picture


class Fake:
    """A file is its quality and its encoder's error; decoded, it is the picture and both errors, in levels."""

    def __init__(self, pixels, encoder_from, decoder_from):
        self.pixels, self.encoder_from, self.decoder_from = pixels, encoder_from, decoder_from

    def encode(self, pixels, quality):
        return quality, int(quality >= self.encoder_from)

    def decode(self, data):
        quality, error = data
        return self.pixels + np.uint8(2 + error + (quality >= self.decoder_from))


@pytest.mark.parametrize(
    ("decoder_from", "encoder_from", "expected"),
    [(0, 0, (-1, -1)), (1, 11, (0, 10)), (31, 26, (30, 25)), (101, 101, (100, 100))],
)
def test_it_stops_where_a_picture_changes(decoder_from, encoder_from, expected):
    pixels = np.full((8, 8, 3), 100, np.uint8)
    exact = Fake(pixels, 1000, 1000)
    rounded = Fake(pixels, encoder_from, decoder_from)
    assert trusted_qualities(exact, rounded, [Picture("a", pixels)]) == expected
