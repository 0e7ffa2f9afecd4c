"""The probability tables that all streams of planes share: two-sided geometric distributions of many widths.

Built from integers alone, as docs/format.md, "Planes", specifies, so that every reader has the same. A *choice*, one
byte in a stream, says how the prediction errors of a context are coded: by which table, and how many of their lowest
bits are written as they are, which is for errors so large that these bits are noise.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream.tables import SymbolTables
from glissando.frequencies import PRECISION, WHOLE, complete

__all__ = ["CHOICES", "choice_costs", "low_bits_of", "plane_tables", "raw_tables", "table_of"]

DECAYS = (
    *(32, 38, 45, 54, 64, 76, 91, 108, 128, 152, 181, 215, 256, 304),
    *(362, 431, 512, 609, 724, 861, 1024, 1217, 1447, 1721, 2046, 2432, 2891, 3435),
    *(4080, 4844, 5748, 6814, 8068, 9536, 11244, 13217, 15471, 18012, 20830, 23892, 27146, 30518),
    *(33924, 37278, 40503, 43539, 46341, 48887, 51169, 53191, 54967, 56514, 57854, 59008, 59999, 60846),
    *(61568, 62182, 62704, 63146, 63520, 63836, 64104, 64330, 64520, 64681, 64816),
)
"""How likely a magnitude is relative to the one before, in 1/65536; the expected magnitudes are 2^(i/4 - 10)."""

WIDTHS = 60
TAIL_SHIFT = 7  # a tail is 2^(7/4) times as wide
TAIL_SHARES = (0, 1, 3)  # the tail's share in a table, in 1/16
LARGEST_RADIUS = 255

NOISY_WIDTHS = range(52, 56)  # widths for errors without their low bits: expected magnitudes of 8 to 13
NOISY_TAIL = 1
MOST_LOW_BITS = 11

PLAIN = WIDTHS * len(TAIL_SHARES)
CHOICES = PLAIN + MOST_LOW_BITS * len(NOISY_WIDTHS)
"""Choices are numbered from 0. The first PLAIN write no low bits."""


def _geometric(decay: int) -> list[int]:
    """The frequency of each magnitude from 0 until it vanishes, for one of its signs; all signs sum to about 2^24."""
    shares = [1 << 32]
    while shares[-1]:
        shares.append(shares[-1] * decay >> 16)
    whole = 2 * sum(shares) - shares[0]
    return [(share << PRECISION) // whole for share in shares]


def _frequencies(width: int, tail_share: int) -> tuple[list[int], int]:
    """One table's frequencies and its radius. What is missing from their sum is not yet given to the symbol zero."""
    narrow, wide = _geometric(DECAYS[width]), _geometric(DECAYS[width + TAIL_SHIFT])
    narrow += [0] * (len(wide) - len(narrow))
    mixed = [((16 - tail_share) * n + tail_share * w) >> 4 for n, w in zip(narrow, wide, strict=True)]
    radius = min(LARGEST_RADIUS, 8 + (1 << width // 4 >> 6))
    side = [1 + frequency for frequency in (mixed + [0] * radius)[1 : radius + 1]]
    return [*reversed(side), 0, *side, 1 + 2 * sum(mixed[radius + 1 :])], radius


@cache
def plane_tables() -> SymbolTables:
    """All tables: those of widths and tails, then those of 1 to MOST_LOW_BITS plain bits."""
    tables, radii = [], []
    for width in range(WIDTHS):
        for share in TAIL_SHARES:
            table, radius = _frequencies(width, share)
            tables.append(table)
            radii.append(radius)
    for bits in range(1, MOST_LOW_BITS + 1):
        half = 1 << (bits - 1)  # the values -half … half - 1 are equally likely; half and the escape do not occur
        tables.append([WHOLE >> bits] * (2 * half) + [1, 1])
        radii.append(half)
    for table, radius in zip(tables, radii, strict=True):
        array = np.array([table], np.int64)
        complete(array, radius)
        table[:] = array[0].tolist()
    return SymbolTables(np.concatenate([np.array(table) for table in tables]), np.array(radii))


def table_of(choices: NDArray[np.uint8]) -> NDArray[np.int16]:
    """The table of each choice. Choices must be below CHOICES."""
    noisy = choices.astype(np.int16) - PLAIN
    width = NOISY_WIDTHS.start + noisy % len(NOISY_WIDTHS)
    return np.where(noisy < 0, choices, len(TAIL_SHARES) * width + NOISY_TAIL).astype(np.int16)


def low_bits_of(choices: NDArray[np.uint8]) -> NDArray[np.int32]:
    """How many low bits each choice writes as they are: 0 to MOST_LOW_BITS."""
    noisy = choices.astype(np.int32) - PLAIN
    return np.where(noisy < 0, 0, 1 + noisy // len(NOISY_WIDTHS))


def raw_tables(bits: NDArray[np.int32]) -> NDArray[np.int16]:
    """The tables of so many plain bits each, 1 to MOST_LOW_BITS; a value v is the symbol v - 2^(bits - 1)."""
    return (PLAIN - 1 + bits).astype(np.int16)


@cache
def choice_costs() -> NDArray[np.float32]:
    """Bits of magnitudes 0 … 255, and of 256 for all larger ones, by the tables without low bits: (PLAIN, 257).

    Of either sign. Escapes cost what those of the least magnitude do.
    """
    tables = plane_tables()
    magnitudes = np.arange(257)
    return np.stack([tables.symbol_bits(magnitudes, np.full(257, table)) for table in range(PLAIN)]).astype(np.float32)
