"""Fixed-point numbers of the entropy path: levels, gains, powers of two. Integers only.

Nothing here may ever touch a float: encoder and decoder, on any machine, must agree to the last bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ACTIVATION_BITS",
    "ACTIVATION_MAX",
    "EARLY",
    "FAMILIES",
    "GAIN_BITS",
    "LATE",
    "MAGNITUDE_MAX",
    "QUALITY_ONE",
    "SCALE_LOW",
    "STEPS_PER_OCTAVE",
    "TABLES",
    "WEIGHT_BITS",
    "dequantise",
    "level_row",
    "power_of_two",
    "quality_units",
    "table_index",
]

QUALITY_ONE = 256  # a quality is stored in units of 1/256
QUALITY_TOP = 100 * QUALITY_ONE
GAIN_BITS = 8  # log-gains are stored in units of 1/256 octave

WEIGHT_BITS = 7  # weights of the scale network are multiples of 2^-7
ACTIVATION_BITS = 5  # its activations, and scales, are multiples of 2^-5 (1/32 octave)
ACTIVATION_MAX = 1023  # ... and at most this many of them
MAGNITUDE_MAX = 15  # |symbol| is clipped here before the network sees it

STEPS_PER_OCTAVE = 8  # probability tables per octave of the scale
SCALE_LOW = -4  # log2 σ of a family's first table
TABLES = 96  # in a family
FAMILIES = 2  # of tables: their shapes differ
EARLY, LATE = 0, 1  # hyper-latents and the first pass; the second pass

_MANTISSA_BITS = 15


def _mantissas() -> NDArray[np.int64]:
    """floor(2^(15 + k/256)) for k = 0 … 255, by eight exact integer square roots each."""
    roots = []
    for k in range(256):
        root = 1 << (_MANTISSA_BITS * 256 + k)
        for _ in range(8):
            root = math.isqrt(root)
        roots.append(root)
    return np.array(roots, dtype=np.int64)


_MANTISSA = _mantissas()


def power_of_two(octaves: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """2^(octaves/256) as m · 2^e, for whole ``octaves`` of any shape: m in 2^15 … 2^16 − 1, rounded down, and e.

    m has 16 bits, so that m · 2^e is also exact as a float32: a factor that every machine computes alike.
    """
    wide = octaves.astype(np.int64)
    return _MANTISSA[wide & 255], (wide >> GAIN_BITS) - _MANTISSA_BITS


def quality_units(quality: float) -> int:
    """A quality in [0, 100] in units of 1/256, rounded to nearest."""
    return round(quality * QUALITY_ONE)


def level_row(table: NDArray[np.int16], units: int) -> NDArray[np.int32]:
    """The row of a level table (levels, channels) at a quality in 1/256 units, rounded half up.

    Entries are in octaves, so this linear interpolation is the exponential interpolation of gain units
    (AG-VAE, arXiv 2003.02012). Below 0 and above 25600 it goes on along the first and the last piece.
    """
    position = units * (table.shape[0] - 1)
    low = max(0, min(position // QUALITY_TOP, table.shape[0] - 2))
    fraction = position - low * QUALITY_TOP
    a, b = table[low].astype(np.int64), table[low + 1].astype(np.int64)
    row: NDArray[np.int32] = ((a * (QUALITY_TOP - fraction) + b * fraction + QUALITY_TOP // 2) // QUALITY_TOP).astype(
        np.int32
    )
    return row


def dequantise(symbols: NDArray[np.int16], log_gain: NDArray[np.int32]) -> NDArray[np.int32]:
    """symbols · 2^(−log_gain/256) in units of 1/32, rounded half up and clipped to ±1023.

    ``symbols`` (…, channels); ``log_gain`` (channels,) in 1/256 octave, within ±16 octaves.
    """
    mantissa, exponent = power_of_two(-log_gain)
    shift = -ACTIVATION_BITS - exponent
    # Keep every shift to the right and positive: multiply first where the gain is small.
    extra = np.maximum(1 - shift, 0)
    product = symbols.astype(np.int64) * (mantissa << extra)
    shift = shift + extra
    result: NDArray[np.int32] = np.clip(
        (product + (np.int64(1) << (shift - 1))) >> shift, -ACTIVATION_MAX, ACTIVATION_MAX
    ).astype(np.int32)
    return result


def table_index(scale: NDArray[np.int32], first: int, family: int) -> NDArray[np.int16]:
    """Table of a scale in 1/256 octave: nearest of 8 an octave in its ``family``, the last one at most.

    −1 below the family's table ``first``: zero is certain enough there not to be coded.
    """
    shift = GAIN_BITS - STEPS_PER_OCTAVE.bit_length() + 1  # 1/256 octave → tables
    index = scale + ((1 << (shift - 1)) - (SCALE_LOW << GAIN_BITS))
    index >>= shift
    np.minimum(index, TABLES - 1, out=index)
    skipped = index < first
    index += family * TABLES
    index[skipped] = -1
    result: NDArray[np.int16] = index.astype(np.int16)
    return result
