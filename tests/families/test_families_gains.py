"""The torch networks: the scale network equals the integers, budgets are kept, gradients pass."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install glissando[train]")

from glissando.entropy import dequantise  # noqa: E402
from glissando.entropy.checkerboard import even_squares, joined, split  # noqa: E402
from glissando.entropy.fixed_point import STEPS_PER_OCTAVE, TABLES  # noqa: E402
from glissando.families.gains.cost import PATHS, kmac_per_pixel  # noqa: E402
from glissando.families.gains.graphs import DecodeGraph  # noqa: E402
from glissando.families.gains.network import (  # noqa: E402
    GainsConfig,
    GainsNetwork,
)
from glissando.families.gains.reach import decoder_halo, encoder_halo  # noqa: E402
from glissando.families.gains.scale_network import ScaleNetwork  # noqa: E402
from glissando.families.gains.scales import ScaleNetwork as IntegerNetwork  # noqa: E402
from glissando.networks.integer import IntegerConv  # noqa: E402
from glissando.networks.layers import (  # noqa: E402
    DepthConvBlock,
    LevelTable,
    Pointwise,
    first_pass_mask,
    ste_floor,
    ste_round,
)
from glissando.networks.likelihood import SCALE_HIGH, Likelihood  # noqa: E402
from glissando.training.recipe import read_recipe  # noqa: E402

SMALL = GainsConfig(
    latents=16,
    hyper=8,
    levels=3,
    analysis_blocks=1,
    analysis_latent_blocks=0,
    synthesis_blocks=1,
    synthesis_latent_blocks=0,
    means_width=16,
    context_width=16,
)
MEDIUM = Path(__file__).parents[2] / "recipes" / "medium-psnr.toml"


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def randomised(network: Any, seed: int = 0) -> Any:
    """Weights of some size everywhere, also where a network starts from zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            fan = max(1, parameter[0].numel()) if parameter.dim() > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / math.sqrt(fan))
    return network.eval().requires_grad_(False)


# --- Scales ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_trained_scale_network_is_the_integer_one(seed: int) -> None:
    network = randomised(ScaleNetwork(12, 6, (96, 8, 8, 8), 10), seed)
    arrays: dict[str, NDArray[Any]] = {}
    for name, layer in network.named_children():
        arrays[f"{name}.weight"] = torch.round(layer.weight.double() * 128).numpy().astype(np.int16)
        arrays[f"{name}.bias"] = torch.round(layer.bias.double() * layer.bias_one).numpy().astype(np.int32)
    integers = IntegerNetwork(arrays)
    random = np.random.default_rng(seed)
    gain = random.integers(-700, 700, 6).astype(np.int32)
    z = dequantise(random.integers(-60, 61, (3, 5, 6)).astype(np.int16), gain)

    def planes(array: NDArray[Any], one: int) -> Any:
        return torch.from_numpy(array / one).float().permute(2, 0, 1)[None]

    def whole(tensor: Any) -> NDArray[Any]:
        octaves = tensor[0].permute(1, 2, 0) * 256
        assert torch.equal(octaves, octaves.round())
        return octaves.numpy().astype(np.int32)

    first = integers.first(z)
    np.testing.assert_array_equal(whole(network.first(planes(z, 32))), first)
    assert first.std() > 0
    magnitudes = random.integers(0, 30, first.shape).astype(np.int16)
    scales = first + random.integers(-999, 999, 12).astype(np.int32)
    second = integers.second(magnitudes, scales)
    np.testing.assert_array_equal(whole(network.second(planes(magnitudes, 1), planes(scales, 256))), second)
    assert second.std() > 0


@pytest.mark.parametrize("size", [0.01, 3.0, 100.0])
def test_weights_are_kept_where_sums_are_exact(size: float) -> None:
    torch.manual_seed(3)
    network = ScaleNetwork(16, 8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=size)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.keep_exact()
    layers = {}
    for name, layer in network.named_children():
        assert isinstance(layer, IntegerConv)
        scaled = [torch.round(layer.weight.detach() * 128), torch.round(layer.bias.detach() * layer.bias_one)]
        layers[name] = tuple(part.numpy().astype(np.int64) for part in scaled)
    bounds = IntegerNetwork.check_bounds(layers)
    after = network.state_dict()
    if size == 0.01:  # nothing to do
        assert all(torch.equal(after[name], before[name]) for name in before)
    else:
        assert bounds["z_mix"] > 0.9 * 2**24  # no more is taken away than has to be
    network.keep_exact()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, after[name], rtol=1e-5, atol=0)


def test_rounding_the_scale_network_is_optional_in_training() -> None:
    network = randomised(ScaleNetwork(8, 4))
    z = torch.randn(1, 4, 2, 2)
    rounded = network.first(z)
    network.set_exact(False)
    smooth = network.first(z)
    assert not torch.equal(rounded, smooth)
    assert (rounded - smooth).abs().max() < 0.5
    assert torch.equal(randomised(ScaleNetwork(8, 4)).first(z), rounded)  # other networks are not concerned
    assert torch.equal(copy.deepcopy(network).first(z), smooth)
    network.set_exact(True)
    assert torch.equal(network.first(z), rounded)


# --- Gradients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [ste_round, ste_floor])
def test_rounding_passes_the_gradient(function: Callable[..., Any]) -> None:
    x = torch.tensor([-1.5, -0.2, 0.0, 0.5, 2.7], requires_grad=True)
    y = function(x)
    assert torch.equal(y.detach(), (torch.round if function is ste_round else torch.floor)(x.detach()))
    (y * torch.arange(5.0)).sum().backward()
    assert torch.equal(x.grad, torch.arange(5.0))


def test_gradients_reach_every_parameter() -> None:
    network = GainsNetwork(SMALL)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        network.hyper_gain.table.fill_(4.0)  # hyper-latents that are not all zero
    out = network(torch.rand(2, 3, 128, 64), torch.tensor([20.0, 80.0]))
    (out.latent_bits.sum() + out.hyper_bits.sum() + (out.reconstruction - 0.3).square().sum()).backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_shapes_and_signs() -> None:
    network = GainsNetwork(SMALL).eval()
    out = network(torch.rand(2, 3, 64, 128), torch.tensor([0.0, 100.0]), noise=False)
    assert out.reconstruction.shape == (2, 3, 64, 128)
    assert out.latent_bits.shape == out.hyper_bits.shape == (2,)
    assert (out.latent_bits >= 0).all()
    again = network(torch.rand(2, 3, 64, 128) * 0 + 0.5, torch.tensor([50.0, 50.0]), noise=False)
    assert torch.equal(again.latent_bits[0], again.latent_bits[1])


def test_the_first_pass_codes_half() -> None:
    mask = first_pass_mask(6, 4, 8)
    assert mask.shape == (1, 6, 4, 8)
    assert mask.sum() == mask.numel() // 2
    assert mask[0, 0, 0, 0]
    assert not mask[0, 0, 0, 1]
    assert not mask[0, 3, 0, 0]
    assert (mask[0, :3] != mask[0, 3:]).all()
    ones = np.ones((4, 8, 6), bool)
    first, _ = split(ones, even_squares(4, 8)[..., None])
    coded = joined(first, np.zeros_like(first), even_squares(4, 8)[..., None])  # as the codec has it
    assert np.array_equal(mask[0].permute(1, 2, 0).numpy(), coded)


# --- Layers ------------------------------------------------------------------------------------------------


def test_a_pointwise_layer_is_a_convolution() -> None:
    layer = Pointwise(5, 7)
    x = torch.randn(2, 5, 3, 4)
    expected = torch.nn.functional.conv2d(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected)


def test_a_block_starts_as_the_identity() -> None:
    x = torch.randn(1, 8, 5, 5)
    assert torch.equal(DepthConvBlock(8)(x), x)


def test_levels_are_interpolated_like_their_integers() -> None:
    from glissando.entropy import level_row

    table = LevelTable(5, 3)
    integers = np.random.default_rng(0).integers(-2000, 2000, (5, 3)).astype(np.int16)
    with torch.no_grad():
        table.table.copy_(torch.from_numpy(integers / 256))
    for quality in (0, 1, 25, 33.3, 75, 99.9, 100):
        row = table(torch.tensor([quality * 4 / 100]))[0, :, 0, 0].detach().numpy() * 256
        np.testing.assert_allclose(row, level_row(integers, round(quality * 256)), atol=2)


def test_the_likelihood_is_a_distribution() -> None:
    shape = Likelihood().double().requires_grad_(False)
    symbols = torch.arange(-3000, 3001, dtype=torch.float64)
    for scale in (-4.0, -1.0, 0.0, 3.0, 6.0):
        mass = torch.exp2(-shape.bits(symbols, torch.full_like(symbols, scale)))
        likely = mass > 2e-6  # the rest is the training loss's floor
        assert 0.999 < float(mass[likely].sum()) < 1.0001
        assert torch.equal(mass, mass.flip(0))
    assert (TABLES - 1) / STEPS_PER_OCTAVE - 4 == SCALE_HIGH


# --- Cost --------------------------------------------------------------------------------------------------


def test_the_medium_recipe_keeps_its_budget() -> None:
    network = GainsNetwork(read_recipe(MEDIUM).network)
    decode = kmac_per_pixel(network, "decode")
    assert decode["total"] <= 12
    assert decode["total"] == pytest.approx(sum(decode[name] for name in PATHS["decode"]))
    assert all(decode[name] > 0 for name in PATHS["decode"])
    assert sum(p.numel() for p in network.parameters()) <= 8_000_000


def test_multiply_adds_are_counted_right() -> None:
    """Against the formula for the pieces whose cost can be written down."""
    costs = kmac_per_pixel(GainsNetwork(SMALL), "encode")
    w, n = SMALL.width, SMALL.latents
    block = w * w + 9 * w + w * w + 2 * SMALL.ratio * w * w
    assert costs["analysis"] * 1000 == pytest.approx((192 * w + block) / 64 + 4 * w * n / 256)


def test_nothing_looks_further_than_the_halo() -> None:
    """With random weights, a window with its halo gives the result of the whole, at medium's depth."""
    depth = read_recipe(MEDIUM).network
    config = GainsConfig(
        latents=16,
        hyper=8,
        levels=2,
        means_width=16,
        context_width=16,
        analysis_blocks=depth.analysis_blocks,
        analysis_latent_blocks=depth.analysis_latent_blocks,
        synthesis_blocks=depth.synthesis_blocks,
        synthesis_latent_blocks=depth.synthesis_latent_blocks,
    )
    network = randomised(GainsNetwork(config))
    cells = max(halo(asdict(config)) for halo in (decoder_halo, encoder_halo)) // 64
    size, window = 2 * cells + 4, slice(1, 2 + 2 * cells + 1)  # one cell to keep, and cells around it
    keep = slice(1 + cells, 2 + cells)

    def cut(x: Any, part: slice, per_cell: int) -> Any:
        ends = slice(part.start * per_cell, part.stop * per_cell)
        return x[..., ends, ends]

    inside = slice(keep.start - window.start, keep.stop - window.start)
    picture = torch.rand(1, 3, 64 * size, 64 * size)
    whole = network.analysis(picture)
    part = network.analysis(cut(picture, window, 64))
    torch.testing.assert_close(cut(part, inside, 4), cut(whole, keep, 4), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        cut(network.hyper_analysis(part), inside, 1),
        cut(network.hyper_analysis(whole), keep, 1),
        atol=1e-4,
        rtol=1e-4,
    )

    graph = DecodeGraph(network, eight_bits=True)
    residual = 0.05 * torch.randn(1, config.latents, 4 * size, 4 * size)
    z = torch.randn(1, config.hyper, size, size)
    even = first_pass_mask(2, 4 * size, 4 * size)[:, :1].float()
    vectors = (torch.randn(config.means_width), torch.ones(config.width), 0.1 * torch.randn(config.width))

    def pixels(part: slice) -> Any:
        r, h, e = (cut(x, part, n).permute(0, 2, 3, 1).contiguous() for x, n in ((residual, 4), (z, 1), (even, 4)))
        return graph(r, h, vectors[0], e, *vectors[1:]).permute(0, 3, 1, 2).int()

    gap = (cut(pixels(window), inside, 64) - cut(pixels(slice(0, size)), keep, 64)).abs()
    assert gap.max() <= 1
    assert (gap > 0).float().mean() < 0.001


def test_the_scale_network_is_exact_under_autocast() -> None:
    """In bfloat16 the fixed-point numbers would not fit; the layers must leave autocast by themselves."""
    torch.manual_seed(0)
    network = ScaleNetwork(16, 8)
    torch.nn.init.normal_(network.second_out.weight, std=0.1)
    z = torch.randint(-900, 900, (1, 8, 2, 2)) / 32
    magnitudes = torch.randint(0, 16, (1, 16, 8, 8)).float()
    with torch.no_grad():
        plain = network.first(z)
        both = plain, network.second(magnitudes, plain)
        with torch.autocast("cpu", torch.bfloat16):
            first = network.first(z)
            again = first, network.second(magnitudes, first)
    for expected, found in zip(both, again, strict=True):
        assert found.dtype == torch.float32
        assert torch.equal(expected, found)


def test_sums_stay_in_float32_under_autocast() -> None:
    """Products may be bfloat16, but not what is added up into latents and pixels, nor what is written last."""
    network, picture = GainsNetwork(GainsConfig(width=16, latents=16, hyper=8)), torch.rand(1, 3, 64, 64)
    layer = Pointwise(8, 8, exact=True)
    x = torch.rand(1, 8, 4, 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        exact = layer(x)
        assert Pointwise(8, 8)(x).dtype == torch.bfloat16
        latents = network.analysis(picture)
        out = network(picture, torch.tensor([50.0]))
    assert exact.dtype == latents.dtype == out.reconstruction.dtype == torch.float32
    torch.testing.assert_close(exact, torch.nn.functional.conv2d(x, layer.weight, layer.bias), rtol=1e-5, atol=1e-6)
