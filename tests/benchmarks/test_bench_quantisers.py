"""Baselines: what they promise about error and size, and that files decode to what was measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.quantisers import CODERS, Quantised, kmeans, pack, step_for_levels, uniform, unpack
from glissando.errors import CorruptError, InputError


def gaussian(shape: tuple[int, ...] = (500, 6), seed: int = 0) -> np.ndarray:
    """Channels (last axis) of different scales."""
    values = np.random.default_rng(seed).normal(size=shape)
    return (values * np.linspace(0.2, 2.0, shape[-1])).astype(np.float32)


def empirical_bits(symbols: np.ndarray) -> float:
    _, counts = np.unique(symbols, return_counts=True)
    return float(-(counts * np.log2(counts / counts.sum())).sum())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.sampled_from([None, 0, -1]),
    st.sampled_from(CODERS),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_a_file_decodes_to_exactly_what_was_quantised(
    shape: list[int], axis: int | None, coder: str, listed: bool, seed: int
) -> None:
    if coder == "zstd":
        pytest.importorskip("imagecodecs", reason="zstd comes with imagecodecs")
    values = gaussian(tuple(shape), seed)
    quantised = kmeans(values, 3, axis) if listed else uniform(values, 0.25, axis)
    decoded = unpack(pack(quantised, coder))
    assert decoded.shape == values.shape
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, quantised.values)


@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("step", [0.01, 0.3, 5.0])
def test_uniform_errors_are_at_most_half_a_step(step: float, axis: int | None) -> None:
    values = gaussian()
    error = np.abs(uniform(values, step, axis).values - values).max()
    assert error <= step / 2 * (1 + 1e-4)
    assert error > step / 2 * 0.5 or step > 4  # and it does round


def test_each_channel_may_have_its_own_step() -> None:
    values = gaussian()
    steps = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    found = uniform(values, steps, axis=1).values
    np.testing.assert_allclose(found, np.rint(values / steps) * steps, atol=1e-5)


def test_a_symmetric_grid_of_so_many_levels_spans_the_values() -> None:
    values = gaussian()
    quantised = uniform(values, step_for_levels(values, 9, 1), 1)
    assert quantised.points.shape == (6, 9)
    np.testing.assert_allclose(quantised.points[:, -1], np.abs(values).max(0), rtol=1e-5)
    with pytest.raises(InputError, match="odd"):
        step_for_levels(values, 8)


@pytest.mark.parametrize("levels", [2, 5, 16])
def test_kmeans_is_a_local_optimum_and_beats_the_uniform_grid_of_as_many_levels(levels: int) -> None:
    values = gaussian((4000, 1))
    found = kmeans(values, levels)
    for symbol in range(levels):
        np.testing.assert_allclose(
            found.points[0, symbol], values[found.symbols == symbol].mean(), rtol=1e-3, atol=1e-4
        )
    nearest = np.abs(values - found.points[0]).argmin(1)[:, None]
    assert (nearest == found.symbols).mean() > 0.999
    grid = uniform(values, 2 * np.abs(values).max() / max(levels - 1, 1))
    assert np.square(found.values - values).mean() < np.square(grid.values - values).mean()


def test_kmeans_of_two_values_is_exact_and_more_points_than_values_are_no_harm() -> None:
    values = np.array([1.0, 1.0, 4.0, 4.0, 4.0], np.float32)
    for levels in (2, 7):
        np.testing.assert_array_equal(kmeans(values, levels).values, values)


@pytest.mark.parametrize("axis", [None, 1])
def test_arithmetic_coding_comes_close_to_the_entropy_and_its_tables_are_counted(axis: int | None) -> None:
    values = gaussian((20_000, 6))
    quantised = uniform(values, 0.3, axis)
    if axis is None:
        ideal = empirical_bits(quantised.symbols)
    else:
        ideal = sum(empirical_bits(column) for column in quantised.symbols.T)
    size = 8 * len(pack(quantised, "arithmetic"))
    assert ideal < size < 1.01 * ideal + 8 * 250


def test_a_table_for_each_channel_pays_where_channels_differ() -> None:
    values = gaussian((20_000, 6))
    one, each = (len(pack(uniform(values, 0.3, axis), "arithmetic")) for axis in (None, 1))
    assert each < 0.95 * one


@pytest.mark.parametrize("coder", [coder for coder in CODERS if coder not in ("arithmetic", "zstd")])
def test_general_compressors_are_no_better_than_arithmetic_coding_on_noise(coder: str) -> None:
    quantised = uniform(gaussian((5000, 6)), 0.3)
    assert len(pack(quantised, coder)) > len(pack(quantised, "arithmetic"))


def test_more_than_256_levels_take_two_bytes_each_before_compression() -> None:
    values = np.linspace(-1, 1, 1000, dtype=np.float32)
    quantised = uniform(values, 0.001)
    assert quantised.points.shape[1] > 256
    for coder in ("arithmetic", "gzip"):
        np.testing.assert_array_equal(unpack(pack(quantised, coder)), quantised.values)


@pytest.mark.parametrize(
    ("values", "step", "message"),
    [
        (np.zeros(0, np.float32), 1.0, "not empty"),
        (np.zeros(3, np.int32), 1.0, "float array"),
        (np.array([1.0, np.nan]), 1.0, "finite"),
        (np.ones(3), 0.0, "positive"),
        (np.array([-1e6, 1e6]), 1.0, "at most 65535"),
        (np.array([1e30]), 1e-9, "levels"),
    ],
)
def test_unusable_arguments_are_named(values: np.ndarray, step: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        uniform(values, step)


def test_unknown_axes_coders_and_level_counts_are_named() -> None:
    with pytest.raises(InputError, match="axis 2"):
        uniform(gaussian(), 1.0, axis=2)
    with pytest.raises(InputError, match="no coder 'zip'"):
        pack(uniform(gaussian(), 1.0), "zip")
    with pytest.raises(InputError, match="levels"):
        kmeans(gaussian(), 0)


@pytest.mark.parametrize("coder", ["arithmetic", "gzip", "bzip2", "lzma"])
def test_damage_is_an_error_of_ours(coder: str) -> None:
    data = pack(uniform(gaussian((40, 3)), 0.3, axis=1), coder)
    random = np.random.default_rng(1)
    for cut in range(0, len(data), 7):
        with pytest.raises(CorruptError):
            unpack(data[:cut])
    for _ in range(200):
        damaged = bytearray(data)
        damaged[random.integers(len(data))] ^= 1 << int(random.integers(8))
        with pytest.raises(CorruptError):
            unpack(bytes(damaged))
    with pytest.raises(CorruptError):
        unpack(data + b"\0")


def test_the_reconstruction_follows_the_symbols() -> None:
    points = np.array([[0.0, 1.0], [10.0, 20.0]], np.float32)
    quantised = Quantised(np.array([[0, 1], [1, 0]], np.int32), points, axis=1)
    np.testing.assert_array_equal(quantised.values, [[0.0, 20.0], [1.0, 10.0]])
