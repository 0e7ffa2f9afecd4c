"""The integer scale network: equal to plain integers, whatever the symbols, the library or the threads."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scale_reference import ScaleReference

from glissando.entropy.dense import product
from glissando.errors import ModelMismatchError
from glissando.families.gains.scales import LAYERS, ScaleNetwork

Arrays = dict[str, NDArray[Any]]
HYPER, LATENTS, WIDTH, MIX, SECOND = 3, 4, 2, 5, 3


def random_arrays(seed: int, size: int = 200) -> Arrays:
    random = np.random.default_rng(seed)
    shapes = {
        "z_mix": (MIX, HYPER, 3, 3),
        "z_up": (4 * WIDTH, MIX, 1, 1),
        "mid_mix": (WIDTH, WIDTH, 3, 3),
        "mid_up": (4 * WIDTH, WIDTH, 1, 1),
        "first_out": (LATENTS, WIDTH, 1, 1),
        "near": (LATENTS, 1, 5, 5),
        "second_mix": (SECOND, 2 * LATENTS, 1, 1),
        "second_out": (LATENTS, SECOND, 1, 1),
    }
    arrays: Arrays = {}
    for name, shape in shapes.items():
        limit = 40 if name == "near" else size
        arrays[f"{name}.weight"] = random.integers(-limit, limit + 1, shape).astype(np.int16)
        arrays[f"{name}.bias"] = random.integers(-20 * limit, 20 * limit + 1, shape[0]).astype(np.int32)
    return arrays


def layers_of(arrays: Arrays) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    return {name: (arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in LAYERS}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 3), st.sampled_from([2, 30, 1023]))
def test_equal_to_plain_integers(seed: int, rows: int, columns: int, reach: int) -> None:
    arrays = random_arrays(seed)
    network, slow = ScaleNetwork(arrays), ScaleReference(arrays)
    random = np.random.default_rng(seed)
    z = random.integers(-reach, reach + 1, (rows, columns, HYPER)).astype(np.int32)
    scales = network.first(z)
    assert scales.dtype == np.int32
    assert scales.tolist() == slow.first(z.tolist())

    symbols = random.integers(-2 * reach, 2 * reach + 1, (4 * rows, 4 * columns, LATENTS)).astype(np.int16)
    scales += random.integers(-3000, 3001, LATENTS).astype(np.int32)
    found = network.second(np.abs(symbols), scales)
    assert found.tolist() == slow.second(symbols.tolist(), scales.tolist())

    bounds = ScaleNetwork.check_bounds(layers_of(arrays))
    assert all(slow.totals[name] <= bounds[name] for name in LAYERS)


def test_inputs_are_left_alone() -> None:
    network = ScaleNetwork(random_arrays(0))
    z = np.full((1, 2, HYPER), -7, np.int32)
    magnitudes, scales = np.full((4, 8, LATENTS), 3, np.int16), np.full((4, 8, LATENTS), 50, np.int32)
    network.first(z)
    network.second(magnitudes, scales)
    assert (z == -7).all()
    assert (magnitudes == 3).all()
    assert (scales == 50).all()


def on_the_edge(name: str, signs: int) -> Arrays:
    """Weights whose bound is as close below the limit as integers allow, in one layer."""
    arrays = random_arrays(5, 100)
    weight = arrays[f"{name}.weight"]
    random = np.random.default_rng(signs)
    limit, largest = (2**15, 15) if name == "near" else (2**24, 1023)
    inputs = weight[0].size
    magnitude = min((limit - 1 - 128) // largest // inputs, 32767)
    sign = random.choice([-1, 1], weight.shape) if signs else 1
    arrays[f"{name}.weight"] = (magnitude * sign * np.ones_like(weight)).astype(np.int16)
    rest = limit - 1 - 128 - magnitude * inputs * largest
    arrays[f"{name}.bias"] = np.full(len(weight), rest, np.int32)
    return arrays


@pytest.mark.parametrize("signs", [0, 1, 2])
@pytest.mark.parametrize("name", LAYERS)
def test_exact_up_to_the_bound(name: str, signs: int) -> None:
    arrays = on_the_edge(name, signs)
    bounds = ScaleNetwork.check_bounds(layers_of(arrays))
    limit = (2**15 if name == "near" else 2**24) - 1
    # With weights of both signs, inputs that are never negative cannot add up to as much.
    assert bounds[name] == limit if signs == 0 or name == "z_mix" else bounds[name] <= limit
    network, slow = ScaleNetwork(arrays), ScaleReference(arrays)
    for extreme in (1023, -1023):
        z = np.full((2, 1, HYPER), extreme, np.int32)
        scales = network.first(z)
        assert scales.tolist() == slow.first(z.tolist())
        symbols = np.full((8, 4, LATENTS), 32767, np.int16)
        scales[...] = 9000 * np.sign(extreme)
        assert network.second(symbols, scales).tolist() == slow.second(symbols.tolist(), scales.tolist())
    assert all(slow.totals[layer] <= bounds[layer] for layer in LAYERS)


@pytest.mark.parametrize("name", ["z_mix", "mid_mix", "second_mix"])
def test_the_worst_input_reaches_the_bound(name: str) -> None:
    """Inputs chosen against the weights, within what a layer can read: the bound is not only safe but tight."""
    arrays = random_arrays(11)
    weight, bias = (arrays[f"{name}.{part}"].astype(np.int64) for part in ("weight", "bias"))
    signed = {"z_mix": 0, "mid_mix": weight.shape[1], "second_mix": LATENTS}[name]
    either = np.abs(weight[:, signed:]).reshape(len(weight), -1).sum(1)
    one_sign = [np.maximum(s * weight[:, :signed], 0).reshape(len(weight), -1).sum(1) + either for s in (1, -1)]
    worst = np.maximum(*one_sign) * 1023 + np.abs(bias)
    bound = ScaleNetwork.check_bounds(layers_of(arrays))[name]
    assert worst.max() <= bound <= worst.max() + 128
    if name == "z_mix":
        output = int(worst.argmax())
        sign = np.sign(bias[output]) or 1
        z = (1023 * sign * np.sign(weight[output])).transpose(1, 2, 0).astype(np.int32)
        slow = ScaleReference(arrays)
        assert ScaleNetwork(arrays).first(z).tolist() == slow.first(z.tolist())
        assert slow.totals["z_mix"] == worst.max()


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_could_overflow_is_refused(name: str) -> None:
    arrays = on_the_edge(name, 0)
    arrays[f"{name}.bias"] = arrays[f"{name}.bias"] + 1
    with pytest.raises(ModelMismatchError, match=rf"layer {name}: sums may reach {2**15 if name == 'near' else 2**24}"):
        ScaleNetwork(arrays)


@pytest.mark.parametrize("part", ["weight", "bias"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_missing_layer_is_named(name: str, part: str) -> None:
    arrays = random_arrays(0)
    del arrays[f"{name}.{part}"]
    with pytest.raises(ModelMismatchError, match=rf"{name}\.{part}"):
        ScaleNetwork(arrays)


def test_a_tile_sees_nothing_outside_itself() -> None:
    """Cutting the grid changes results at the cut only where the kernel reaches over it: zeros are outside."""
    network = ScaleNetwork(random_arrays(3))
    z = np.random.default_rng(3).integers(-500, 500, (4, 6, HYPER)).astype(np.int32)
    padded = np.zeros((8, 10, HYPER), np.int32)
    padded[2:6, 2:8] = z
    whole, alone = network.first(padded), network.first(z)
    # Biases make the outside different from zero after a layer, so only positions away from the edge agree.
    np.testing.assert_array_equal(whole[16:20, 16:24], alone[8:12, 8:16])
    assert alone.shape == (16, 24, LATENTS)


THREADED = """
import hashlib, sys
import numpy as np
from glissando import zoo
from glissando.families.gains.scales import ScaleNetwork
arrays = {k.removeprefix("scales."): v for k, v in zoo.find("medium").integers.items() if k.startswith("scales.")}
network = ScaleNetwork(arrays)
random = np.random.default_rng(1)
scales = network.first(random.integers(-1023, 1024, (9, 11, arrays["z_mix.weight"].shape[1])).astype(np.int32))
magnitudes = random.integers(0, 40, scales.shape).astype(np.int16)
print(hashlib.sha256(scales.tobytes() + network.second(magnitudes, scales).tobytes()).hexdigest())
"""


def test_threads_and_summation_order_do_not_matter() -> None:
    def run(threads: str, core: str = "") -> str:
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, threads)}
        if core:  # another kernel of OpenBLAS, made for an older processor: it sums in another order
            environment["OPENBLAS_CORETYPE"] = core
        done = subprocess.run([sys.executable, "-c", THREADED], env=environment, capture_output=True, check=True)
        return done.stdout.decode()

    results = {run("1"), run("2"), run("4"), run("1", "Prescott")}
    assert len(results) == 1


@given(rows=st.integers(0, 70), inputs=st.sampled_from([1, 64, 1152, 3000]), outputs=st.sampled_from([1, 96, 256]))
@settings(deadline=None, max_examples=60)
def test_a_product_in_pieces_is_the_product(rows: int, inputs: int, outputs: int) -> None:
    random = np.random.default_rng(rows)
    x = random.integers(-15, 16, (rows, inputs)).astype(np.float32)
    weight = random.integers(-127, 128, (inputs, outputs)).astype(np.float32)
    np.testing.assert_array_equal(product(x, weight), x.astype(np.int64) @ weight.astype(np.int64))
