"""A small model and symbols for it, from integers alone: no weights, no floats, no random number library."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.bitstream import Container, Header, PixelFormat
from glissando.bitstream.tiles import encode_tile
from glissando.codec.geometry import Grid
from glissando.families.gains.symbols import SymbolModel, TileCoder

LATENTS, HYPER, LEVELS, WIDTH = 8, 4, 3, 4
PER_CELL = 4  # latents of a cell, each way
MODEL_HASH = b"golden 1"
PICTURES = ((150, 100, 7, 0, False), (150, 100, 7, 6789, True), (70, 65, 6, 25600, False), (1, 1, 9, 12800, True))


class Lcg:
    """x ← 1664525·x + 1013904223 mod 2^32 (Numerical Recipes); the upper 16 bits are given out."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, n: int) -> int:
        self.state = (1664525 * self.state + 1013904223) % 2**32
        return (self.state >> 16) % n

    def between(self, low: int, high: int, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        count = int(np.prod(shape))
        values = [low + self.below(high - low + 1) for _ in range(count)]
        return np.array(values, dtype=dtype).reshape(shape)


def triangle(radius: int, family: int) -> list[int]:
    """Frequencies radius + 1 − |k| for k = −radius … radius, and an escape, scaled to sum 2^24.

    In family 1 the triangle stands on a pedestal of its own height.
    """
    weights = [radius + 1 - abs(k) + family * (radius + 1) for k in range(-radius, radius + 1)]
    rest = 2**24 - len(weights) - 2048
    counts = [1 + rest * weight // sum(weights) for weight in weights] + [2048]
    counts[radius] += 2**24 - sum(counts)
    return counts


def synthetic_integers() -> dict[str, NDArray[Any]]:
    """What integers.npz of a model holds."""
    random = Lcg(2024)
    shapes_of_tables = [(t * t // (400 + 100 * family), family) for family in (0, 1) for t in range(96)]
    arrays: dict[str, NDArray[Any]] = {
        "frequencies": np.array([f for shape in shapes_of_tables for f in triangle(*shape)], np.uint32),
        "radii": np.array([radius for radius, _ in shapes_of_tables], np.int32),
        "first_table": np.array([9, 14], np.int32),
        "gain": random.between(-256, 1024, (LEVELS, LATENTS), np.int16),
        "inverse_gain": random.between(-1024, 256, (LEVELS, LATENTS), np.int16),
        "scale_offset": random.between(-2600, 600, (LEVELS, LATENTS), np.int16),
        "hyper_gain": random.between(-600, 600, (LEVELS, HYPER), np.int16),
        "hyper_scale": random.between(-1100, 500, (LEVELS, HYPER), np.int16),
    }
    shapes = {
        "z_mix": (WIDTH, HYPER, 3, 3),
        "z_up": (4 * WIDTH, WIDTH, 1, 1),
        "mid_mix": (WIDTH, WIDTH, 3, 3),
        "mid_up": (4 * WIDTH, WIDTH, 1, 1),
        "first_out": (LATENTS, WIDTH, 1, 1),
        "near": (LATENTS, 1, 5, 5),
        "second_mix": (WIDTH, 2 * LATENTS, 1, 1),
        "second_out": (LATENTS, WIDTH, 1, 1),
    }
    for name, shape in shapes.items():
        largest = 3 if name == "near" else 60
        arrays[f"scales.{name}.weight"] = random.between(-largest, largest, shape, np.int16)
        arrays[f"scales.{name}.bias"] = random.between(-20, 2000, shape[:1], np.int32)
    return arrays


def synthetic_symbols(model: SymbolModel, header: Header) -> tuple[NDArray[np.int16], NDArray[np.int16], list[Any]]:
    """Hyper-latents z, latents y as a decoder gives them, and what each tile's coder has to code."""
    random = Lcg(header.width + 7 * header.quality)
    grid = Grid(header.width, header.height, header.tile_log2, PER_CELL)
    z = random.between(-3, 3, (*grid.cells, HYPER), np.int16)
    y = random.between(-4, 4, (*grid.whole.latents_shape, LATENTS), np.int16)
    y[::3, ::5, ::4] *= 700  # outliers, which need an escape
    y[-(-header.height // 16) :] = 0
    y[:, -(-header.width // 16) :] = 0
    coders = [TileCoder(model, model.at(header.quality), area) for area in grid.tiles]
    parts = []
    for coder in coders:
        z[coder.area.cells()][coder.hyper_index() < 0] = 0
        scales = coder.first_scales(z[coder.area.cells()])
        first, second = coder.split(y[coder.area.latents()])
        y[coder.area.latents()] = coder.joined(np.where(coder.first_index(scales) < 0, 0, first), second)
        parts.append((coder, coder.final_passes(z[coder.area.cells()], y[coder.area.latents()], scales)))
    assert y.shape == (PER_CELL * z.shape[0], PER_CELL * z.shape[1], LATENTS)
    return z, y, parts


def header_of(picture: tuple[int, int, int, int, bool]) -> Header:
    width, height, tile_log2, quality, grey = picture
    return Header(width, height, quality, PixelFormat(1 if grey else 3), MODEL_HASH, tile_log2)


def synthetic_container(model: SymbolModel, header: Header) -> Container:
    _, _, parts = synthetic_symbols(model, header)
    boxes = {"icc ": b"profile"} if header.format.grey else {}
    return Container(header, boxes, [encode_tile(passes, model.tables) for _, passes in parts])
