"""Refinement's graphs against PyTorch: distortions, decoder, rounding networks and scales, values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install glissando[train]")

from glissando import zoo  # noqa: E402
from glissando.families.gains.config import GainsConfig  # noqa: E402
from glissando.families.gains.graphs import DecodeGraph, QuantiseGraph  # noqa: E402
from glissando.families.gains.network import GainsNetwork  # noqa: E402
from glissando.families.gains.refinement import ScaleNetwork  # noqa: E402
from glissando.graphs import Builder, distortions, gradients  # noqa: E402
from glissando.runtime import open_graph  # noqa: E402
from glissando.training.distortion import ms_ssim, mse  # noqa: E402
from glissando.training.eye import ssimulacra2_sum  # noqa: E402

DECODER = ("synthesis.", "hyper_synthesis.", "first_means.", "context.")
Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> zoo.Model:
    return zoo.find("medium")


@pytest.fixture(scope="module")
def network(model: zoo.Model) -> GainsNetwork:
    """The shipped decoder in PyTorch."""
    network = GainsNetwork(GainsConfig(**model.card.configuration))
    state = network.state_dict()
    names = tuple(name for name in state if name.startswith(DECODER))
    floats = {name: torch.from_numpy(array) for name, array in model.floats(names).items()}
    network.load_state_dict({**state, **{name: value.view_as(state[name]) for name, value in floats.items()}})
    network.scales.take_integers(
        {name.removeprefix("scales."): torch.from_numpy(array) for name, array in model.integers.items()}
    )
    network.scales.set_exact(False)
    return network.eval().requires_grad_(False)


def close(found: Array, expected: Any, tolerance: float = 1e-4) -> None:
    """Within ``tolerance`` of the largest expected value."""
    wanted = expected.detach().numpy()
    assert np.abs(wanted).max() > 0
    assert np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def picture(natural: Callable[..., Any], height: int, width: int) -> tuple[Array, Array]:
    """A picture and a worse one, (1, 3, height, width)."""
    theirs = natural(height, width).transpose(2, 0, 1)[None].astype(np.float32) / 255
    noise = np.random.default_rng(0).normal(0, 0.03, theirs.shape)
    return theirs, (0.95 * theirs + 0.05 * np.roll(theirs, 3, 2) + noise).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(192, 256), (144, 160)])
@pytest.mark.parametrize(
    ("name", "build", "reference", "tolerance"),
    [
        ("mse", distortions.mse, mse, 1e-4),
        # Variances are small differences of large means, in which both lose digits of float32.
        ("ms-ssim", distortions.ms_ssim, lambda a, b: 1 - ms_ssim(a, b), 5e-4),
        ("ssimulacra2", distortions.ssimulacra2, ssimulacra2_sum, 5e-3),
    ],
)
def test_distortions_are_those_of_training(
    natural: Callable[..., Any],
    height: int,
    width: int,
    name: str,
    build: Callable[..., str],
    reference: Callable[..., Any],
    tolerance: float,
) -> None:
    if name == "ms-ssim" and min(height, width) <= 160:
        pytest.skip("training compares no pictures as small as this by MS-SSIM")
    theirs, ours = picture(natural, height, width)
    graph = Builder()
    values = graph.input("ours", ours.shape), graph.input("theirs", ours.shape)
    distortion = graph.total(build(graph, *values))
    (slope,) = gradients(graph, distortion, ["ours"])
    run = open_graph(graph.finished({"distortion": distortion, "slope": slope}, "test"), precision="f32")
    found, by = run(ours=ours, theirs=theirs)
    tensor = torch.from_numpy(ours).requires_grad_()
    expected = reference(tensor, torch.from_numpy(theirs))
    expected.sum().backward()
    assert float(found[0]) == pytest.approx(expected.item(), rel=max(1e-3, tolerance))
    close(by, tensor.grad, tolerance)


def arrays_of(network: GainsNetwork, rows: int = 2, columns: int = 3) -> dict[str, Array]:
    c, random = network.config, np.random.default_rng(0)
    even = (np.add.outer(np.arange(4 * rows), np.arange(4 * columns)) % 2 == 0).astype(np.float32)
    return {
        "residual": random.normal(0, 0.3, (1, 4 * rows, 4 * columns, c.latents)).astype(np.float32),
        "y": random.normal(0, 1, (1, 4 * rows, 4 * columns, c.latents)).astype(np.float32),
        "z": random.normal(0, 1, (1, rows, columns, c.hyper)).astype(np.float32),
        "gain": np.full((1, 4 * rows, 4 * columns, c.latents), 2, np.float32),
        "inverse_gain": np.full((1, 1, 1, c.latents), 0.5, np.float32),
        "even": even[None, :, :, None],
        "means_offset": random.normal(0, 0.1, c.means_width).astype(np.float32),
        "synthesis_factor": np.ones(c.width, np.float32),
        "synthesis_offset": random.normal(0, 0.1, c.width).astype(np.float32),
    }


@pytest.mark.parametrize(("name", "by"), [("decode", ("residual", "z")), ("quantise", ("y", "z"))])
def test_the_models_graphs_have_the_gradients_of_autograd(
    network: GainsNetwork, model: zoo.Model, monkeypatch: pytest.MonkeyPatch, name: str, by: tuple[str, ...]
) -> None:
    """The decoder, and what makes symbols, with rounding replaced by nothing on both sides."""
    monkeypatch.setattr(torch, "round", lambda x: x)
    module = {"decode": DecodeGraph, "quantise": QuantiseGraph}[name](network)
    inputs = {key: arrays_of(network)[key] for key in module.inputs}
    tensors = {key: torch.from_numpy(array).requires_grad_(key in by) for key, array in inputs.items()}
    expected = module(**tensors)
    weights = torch.from_numpy(np.random.default_rng(1).normal(size=expected.shape).astype(np.float32))
    (expected * weights).sum().backward()

    graph = Builder()
    values = {key: graph.input(key, array.shape) for key, array in inputs.items()}
    (out,) = graph.inline(model.graph(name), values, {"Round": lambda x: x})
    slopes = gradients(graph, graph.total(graph.multiply(out, graph.constant(weights.numpy()))), by)
    outputs = {"out": out, **{f"{key}.slope": slope for key, slope in zip(by, slopes, strict=True)}}
    found, *slope_arrays = open_graph(graph.finished(outputs, "test"), precision="f32")(**inputs)
    close(found, expected)
    for key, array in zip(by, slope_arrays, strict=True):
        close(array, tensors[key].grad)


def test_the_scale_network_in_real_numbers_is_the_trained_one(network: GainsNetwork, model: zoo.Model) -> None:
    random = np.random.default_rng(0)
    z = random.normal(0, 2, (1, network.config.hyper, 3, 2)).astype(np.float32)
    symbols = np.rint(random.normal(0, 1, (1, network.config.latents, 12, 8))).astype(np.float32)
    tensors = torch.from_numpy(z).requires_grad_(), torch.from_numpy(symbols).requires_grad_()
    first = network.scales.first(tensors[0])
    both = first + network.scales.second(tensors[1], first)
    both.sum().backward()

    graph = Builder()
    values = graph.input("z", z.shape), graph.input("symbols", symbols.shape)
    scales = ScaleNetwork(graph, model.integers)
    found_first = scales.first(values[0])
    found = graph.add(found_first, scales.second(values[1], found_first))
    slopes = gradients(graph, graph.total(found), ["z", "symbols"])
    outputs = {"found": found, "z.slope": slopes[0], "symbols.slope": slopes[1]}
    out, by_z, by_symbols = open_graph(graph.finished(outputs, "test"), precision="f32")(z=z, symbols=symbols)
    close(out, both)
    close(by_z, tensors[0].grad)
    close(by_symbols, tensors[1].grad)
