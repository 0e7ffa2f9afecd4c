"""The main family's variants: what every recipe key changes, what it must not, and what its files cannot say."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install glissando[train]")

from glissando.errors import RecipeError, TrainingError  # noqa: E402
from glissando.families.gains.config import GainsConfig  # noqa: E402
from glissando.families.gains.cost import kmac_per_pixel  # noqa: E402
from glissando.families.gains.export import GainsExport  # noqa: E402
from glissando.families.gains.graphs import DecodeGraph  # noqa: E402
from glissando.families.gains.network import GainsNetwork, step_masks  # noqa: E402
from glissando.families.gains.reach import decoder_halo  # noqa: E402
from glissando.families.gains.recipe import GainsRecipe  # noqa: E402
from glissando.families.gains.scale_network import ScaleNetwork  # noqa: E402
from glissando.families.gains.scales import ScaleNetwork as IntegerNetwork  # noqa: E402
from glissando.networks.layers import DepthConvBlock, first_pass_mask, gated_width  # noqa: E402
from glissando.training.export import store_weights  # noqa: E402
from glissando.training.graph_export import ENCODER_FOLDER, compare_graph, run_graph, write_graph  # noqa: E402
from glissando.training.recipe import from_dict  # noqa: E402
from glissando.zoo.arrays import values_of, write_arrays  # noqa: E402

SMALL = GainsConfig(
    width=16,
    latents=16,
    hyper=8,
    levels=3,
    analysis_blocks=1,
    analysis_latent_blocks=1,
    synthesis_blocks=1,
    synthesis_latent_blocks=1,
    means_width=16,
    context_width=16,
    scale_width=12,
    scale_hyper_width=8,
)
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "gated": {"block": "gated"},
    "leaky": {"leak": 0.1},
    "one step": {"context_steps": 1},
    "four steps": {"context_steps": 4},
    "kernel 3": {"scale_kernel": 3},
    "kernel 7": {"scale_kernel": 7},
    "widths": {"scale_width": 20, "scale_hyper_width": 12},
    "three layers": {"scale_layers": 3},
    "signed": {"scale_sees": "signed"},
    "own half": {"scale_sees": "own-half"},
    "larger analysis": {"analysis_ratio": 5},
    "all at once": {"block": "gated", "context_steps": 4, "scale_layers": 3, "scale_sees": "signed"},
    "own halves, four steps": {"context_steps": 4, "scale_layers": 3, "scale_sees": "own-half"},
}
every_variant = pytest.mark.parametrize("keys", VARIANTS.values(), ids=VARIANTS.keys())
SHIPPED = ("default", "gated", "leaky", "kernel 3", "kernel 7", "widths", "own half", "larger analysis")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def small(**keys: Any) -> GainsNetwork:
    """A network whose branches that start at zero have weights as well."""
    network = GainsNetwork(dataclasses.replace(SMALL, **keys))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        network.hyper_gain.table.fill_(4.0)  # hyper-latents that are not all zero
        network.gain.table.add_(3.0)
        network.inverse_gain.table.sub_(3.0)
    network.scales.keep_exact()
    return network


# --- Keys --------------------------------------------------------------------------------------------------


@every_variant
def test_a_recipe_can_ask_for_it(keys: dict[str, Any]) -> None:
    assert from_dict({"family": "gains", "network": keys}).network == GainsConfig(**keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"block": "dense"}, r"network\.block must be 'depthconv' or 'gated'"),
        ({"leak": 1.0}, r"network\.leak must be below 1"),
        ({"leak": -0.1}, r"'network\.leak' must be a finite number, zero or more"),
        ({"context_steps": 3}, r"network\.context_steps must be 1, 2 or 4"),
        ({"context_steps": 4, "latents": 254}, r"network\.latents must be a multiple of 4"),
        ({"scale_kernel": 4}, r"network\.scale_kernel must be 3, 5 or 7"),
        ({"scale_width": 0}, r"network\.scale_width and scale_hyper_width must be positive"),
        ({"scale_hyper_width": 0}, r"network\.scale_width and scale_hyper_width must be positive"),
        ({"scale_layers": 1}, r"network\.scale_layers must be 2 or 3"),
        ({"scale_sees": "all"}, r"network\.scale_sees must be 'magnitudes', 'signed' or 'own-half'"),
        ({"scale_sees": "own-half", "scale_width": 95}, r"network\.scale_width must be even"),
        ({"analysis_ratio": -1}, r"'network\.analysis_ratio' must be a finite number, zero or more"),
    ],
)
def test_bad_values_are_named(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        from_dict({"family": "gains", "network": keys})


def test_fixed_bases_are_the_main_familys() -> None:
    assert from_dict({"family": "gains", "run": {"initial": "dct"}}).run.initial == "dct"
    for family in ("vae", "content"):
        with pytest.raises(RecipeError, match=r"run\.initial must be one of pca, random in the family"):
            from_dict({"family": family, "run": {"initial": "dct"}})


# --- Every variant -----------------------------------------------------------------------------------------


@every_variant
def test_gradients_reach_every_parameter(keys: dict[str, Any]) -> None:
    network = small(**keys)
    out = network(torch.rand(2, 3, 128, 64), torch.tensor([20.0, 80.0]))
    (out.latent_bits.sum() + out.hyper_bits.sum() + (out.reconstruction - 0.3).square().sum()).backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    assert [name for name, grad in gradients.items() if grad is None or not grad.abs().sum() > 0] == []
    assert all(torch.isfinite(grad).all() for grad in gradients.values())
    for layer in network.scales.children():
        if layer.mask is not None:
            assert not (layer.weight.grad * (1 - layer.mask)).any()


@every_variant
@torch.no_grad()
def test_what_a_file_would_take(keys: dict[str, Any]) -> None:
    """Bits are finite, no fewer than none, and repeat; a picture of one colour takes fewer than noise."""
    network = small(**keys).eval()
    quality = torch.tensor([50.0, 50.0])
    pictures = torch.stack([torch.rand(3, 64, 128), torch.full((3, 64, 128), 0.5)])
    out, again = (network(pictures, quality, noise=False) for _ in range(2))
    assert out.reconstruction.shape == pictures.shape
    assert torch.equal(out.latent_bits, again.latent_bits)
    assert torch.isfinite(out.reconstruction).all()
    assert 0 < out.latent_bits[1] < out.latent_bits[0] < 20 * pictures[0].numel()


@every_variant
def test_it_starts_as_the_linear_codec_that_it_will_be(keys: dict[str, Any]) -> None:
    """No step corrects a scale or a mean yet, and no block anything."""
    network = GainsNetwork(dataclasses.replace(SMALL, **keys)).requires_grad_(False)
    assert len(network.contexts) == network.config.context_steps - 1
    for context in network.contexts:
        assert not context(torch.rand(1, 16, 8, 8), torch.rand(1, 16, 8, 8)).any()
    for step in range(1, network.config.context_steps):
        symbols, scales = torch.randint(-20, 21, (1, 16, 8, 8)).float(), torch.rand(1, 16, 8, 8)
        assert not network.scales.second(symbols, scales, step).any()
    x = torch.rand(1, 16, 8, 8)
    assert torch.equal(network.analysis.blocks(x), x)


# --- Blocks ------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_leaky_activations_let_through_what_is_below_zero() -> None:
    """Every activation of the block, and none where the slope is 0."""
    plain, leaky = DepthConvBlock(8, scale=1.0), DepthConvBlock(8, scale=1.0, leak=0.25)
    for block in (plain, leaky):
        for name, parameter in block.named_parameters():
            # Positive weights, and biases so far below zero that nothing that enters an activation is positive.
            parameter.fill_(-100.0 if name in ("enter.bias", "widen.bias") else 0.01)
    x = torch.rand(1, 8, 4, 4)
    constant = plain(x) - x
    assert torch.allclose(constant, constant[:, :1, 1:2, 1:2].expand_as(constant), atol=1e-5)
    first = x + leaky.leave(leaky.depthwise(0.25 * leaky.enter(x)))
    torch.testing.assert_close(leaky(x), first + leaky.narrow(0.25 * leaky.widen(first)))


@pytest.mark.parametrize(("channels", "ratio", "width"), [(192, 2, 256), (256, 2, 336), (192, 4, 512), (4, 1, 16)])
def test_a_gated_pair_costs_what_a_plain_one_does(channels: int, ratio: int, width: int) -> None:
    assert gated_width(channels, ratio) == width
    if channels > 16:
        assert 3 * width * channels == pytest.approx(2 * ratio * channels**2, rel=0.02)
    block = DepthConvBlock(channels, ratio, gated=True)
    assert block.widen.out_channels == 2 * width
    assert block.narrow.in_channels == width


@torch.no_grad()
def test_a_gate_multiplies_two_halves() -> None:
    block = DepthConvBlock(8, 2, scale=1.0, gated=True)
    block.leave.weight.zero_()
    x = torch.randn(1, 8, 3, 3)
    value, gate = block.widen(x).chunk(2, 1)
    expected = x + block.narrow(value * torch.where(gate > 0, gate, 0.1 * gate))
    torch.testing.assert_close(block(x), expected)


def test_the_analysis_may_be_larger_on_its_own() -> None:
    plain, larger = (kmac_per_pixel(GainsNetwork(GainsConfig(analysis_ratio=r)), "encode") for r in (0, 4))
    more = 2 * 2 * (2 * 192**2 / 64 + 256**2 / 256) / 1000  # two more C² each way in every block
    assert larger["analysis"] - plain["analysis"] == pytest.approx(more)
    assert {k: v for k, v in plain.items() if k not in ("analysis", "total")}.items() <= larger.items()


# --- Steps -------------------------------------------------------------------------------------------------


@given(steps=st.sampled_from([1, 2, 4]), quarter=st.integers(1, 6), height=st.integers(1, 9), width=st.integers(1, 9))
def test_steps_partition_the_latents(steps: int, quarter: int, height: int, width: int) -> None:
    masks = step_masks(steps, 4 * quarter, height, width)
    assert len(masks) == steps
    assert all(mask.shape == (1, 4 * quarter, height, width) for mask in masks)
    assert (torch.stack(masks).sum(0) == 1).all()
    if height % 2 == width % 2 == 0:
        # Every step codes the same share of every channel, and of every place.
        assert (torch.stack(masks).float().mean((3, 4)) == 1 / steps).all()
        assert all((mask.float().mean(1) == 1 / steps).all() for mask in masks)


def test_two_steps_are_the_checkerboard() -> None:
    first, second = step_masks(2, 6, 4, 8)
    assert torch.equal(first, first_pass_mask(6, 4, 8))
    assert torch.equal(second, ~first)


def test_the_second_of_four_steps_codes_the_opposite_corner() -> None:
    first, second, *_ = step_masks(4, 8, 6, 6)
    assert torch.equal(second, first.roll((1, 1), (2, 3)))


class Given(torch.nn.Module):
    """A network that always gives the same answer."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, _: Any) -> Any:
        return self.answer


def steps_of(network: GainsNetwork, y: Any, z: Any) -> list[dict[str, Any]]:
    """Means, and corrections of scales, that each step has in a forward pass over latents ``y``."""
    network.analysis, network.hyper_analysis = Given(y), Given(z)
    seen: list[dict[str, Any]] = [{} for _ in range(network.config.context_steps)]
    modules = {"means": [network.first_means, *network.contexts], "scales": [network.scales.first_out]}
    modules["scales"] += [layer for name, layer in network.scales.named_children() if name.startswith("second_out")]
    hooks = []
    for key, parts in modules.items():
        assert len(parts) == len(seen)
        for step, part in zip(seen, parts, strict=True):
            keep = lambda module, inputs, out, step=step, key=key: step.__setitem__(key, out)  # noqa: E731
            hooks.append(part.register_forward_hook(keep))
    network(torch.rand(1, 3, 16 * y.shape[2], 16 * y.shape[3]), torch.tensor([50.0]), noise=False)
    for hook in hooks:
        hook.remove()
    return seen


@every_variant
@torch.no_grad()
def test_no_step_sees_itself_or_what_follows(keys: dict[str, Any]) -> None:
    """Symbols of step k change means and scales of steps after k, and of no other."""
    network = small(**keys).eval()
    y, z = torch.randn(1, 16, 8, 12), torch.randn(1, 8, 2, 3)
    before = steps_of(network, y, z)
    masks = step_masks(network.config.context_steps, *y.shape[1:])
    for changed, mask in enumerate(masks):
        after = steps_of(network, y + mask * (torch.randn_like(y) + 2), z)
        for step, (old, new) in enumerate(zip(before, after, strict=True)):
            for key in ("means", "scales"):
                assert torch.equal(old[key], new[key]) == (step <= changed), (changed, step, key)


@torch.no_grad()
def test_the_halo_covers_the_reach_of_four_steps() -> None:
    """One value of the first step changes means of the last one as far away as the halo says, and no further."""
    network = small(context_steps=4).eval()
    contexts = len(network.contexts)
    features = torch.randn(1, 16, 32, 32)
    masks = [mask.float() for mask in step_masks(4, 16, 32, 32)]
    residual = torch.randn(1, 16, 32, 32)

    def last_means(residual: Any) -> Any:
        values = residual * masks[0]
        for mask, context in zip(masks[1:], network.contexts, strict=True):
            means = context(features, values)
            values = values + (means + residual) * mask
        return means

    moved = residual.clone()
    moved[0, 0, 16, 16] += 5.0
    _, _, rows, columns = (last_means(residual) != last_means(moved)).nonzero(as_tuple=True)
    reach = max(int((rows - 16).abs().max()), int((columns - 16).abs().max()))
    assert 3 * (contexts - 1) < reach <= 3 * contexts
    deep = dataclasses.replace(SMALL, synthesis_blocks=2)
    for steps, pixels in ((1, 64), (2, 128), (4, 256)):
        expected = 32 + 16 * 3 * (steps - 1) + 16 + 2 * 8
        halo = decoder_halo(dataclasses.asdict(dataclasses.replace(deep, context_steps=steps)))
        assert halo == pixels >= expected > pixels - 64


# --- Scales ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [2, 4])
@pytest.mark.parametrize("sees", ["magnitudes", "signed", "own-half"])
@pytest.mark.parametrize(("kernel", "layers"), [(3, 2), (5, 3), (7, 2)])
@torch.no_grad()
def test_every_layer_is_exact_in_integers(kernel: int, layers: int, sees: str, steps: int) -> None:
    """Each layer's sum is a multiple of its unit, and so small that no order of summation can matter."""
    network = ScaleNetwork(16, 8, (96, 12, 12, 12), 20, kernel=kernel, layers=layers, sees=sees, steps=steps)
    for parameter in network.parameters():
        parameter.normal_(std=0.3)
    network.keep_exact()
    symbols, scales = torch.randint(-30, 31, (2, 16, 8, 12)).float(), 20 * torch.randn(2, 16, 8, 12)
    sums: dict[str, Any] = {}

    def check(name: str) -> Any:
        def hook(layer: Any, inputs: tuple[Any], out: Any) -> None:
            weight = torch.round(layer.weight.double() * 128)
            x = inputs[0].double() * (1 if name.startswith("near") else 32)
            assert torch.equal(x, x.round())
            bias = torch.round(layer.bias.double() * layer.bias_one)
            total = layer._conv_forward(x, weight, bias)
            most = layer._conv_forward(x.abs(), weight.abs(), bias.abs())
            assert most.max() + 128 < layer.limit
            shift = 4 if name.startswith("near") else 128
            whole = torch.floor((total + shift / 2) / shift)
            assert torch.equal(out.double() * 32, whole.clamp(0, 1023) if layer.relu else whole)
            sums[name] = out

        return hook

    for name, layer in network.named_children():
        layer.register_forward_hook(check(name))
    network.first(4 * torch.randn(1, 8, 2, 3))
    corrections = [network.second(symbols, scales, step) for step in range(1, steps)]
    assert set(sums) == {name for name, _ in network.named_children()}
    assert all(out.std() > 0 for out in corrections)


def test_signs_matter_where_they_are_seen() -> None:
    for sees, matters in (("magnitudes", False), ("signed", True), ("own-half", False)):
        network = small(scale_sees=sees).scales.requires_grad_(False)
        network.set_exact(False)  # rounding half up treats the two signs differently
        torch.nn.init.normal_(network.second_out.weight)
        symbols = torch.randint(-5, 6, (1, 16, 8, 8)).float()
        scales = torch.zeros(1, 16, 8, 8)
        plain, turned = network.second(symbols, scales), network.second(symbols.abs(), scales)
        assert torch.equal(plain, turned) != matters
        if matters:
            network.near_signed.bias.zero_()
            # All signs turned at once say nothing: what agreed still agrees.
            torch.testing.assert_close(network.second(symbols, scales), network.second(-symbols, scales))


@pytest.mark.parametrize("layers", [2, 3])
@torch.no_grad()
def test_own_half_is_blind_to_the_other(layers: int) -> None:
    network = ScaleNetwork(16, 8, (96, 12, 12, 12), 20, layers=layers, sees="own-half")
    for parameter in network.parameters():
        parameter.normal_(std=0.3)
    symbols, scales = torch.randint(0, 12, (1, 16, 8, 8)).float(), torch.randn(1, 16, 8, 8)
    before = network.second(symbols, scales)
    symbols[:, 8:] = symbols[:, 8:].flip(2)
    after = network.second(symbols, scales)
    assert torch.equal(before[:, :8], after[:, :8])
    assert not torch.equal(before[:, 8:], after[:, 8:])
    # What is hidden is taken away from the weights as well, which are what is shipped.
    assert any((layer.weight * (1 - layer.mask)).any() for layer in network.children() if layer.mask is not None)
    network.keep_exact()
    for layer in network.children():
        assert layer.mask is None or not (layer.weight * (1 - layer.mask)).any()


# --- Files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"context_steps": 1}, r"network\.context_steps = 1: the file format codes two passes"),
        ({"context_steps": 4}, r"network\.context_steps = 4: the file format codes two passes"),
        ({"scale_layers": 3}, r"network\.scale_layers = 3: the file format has two layers"),
        ({"scale_sees": "signed"}, r"network\.scale_sees = 'signed': the file format's scales see magnitudes alone"),
    ],
)
def test_what_files_cannot_say_is_not_exported(keys: dict[str, Any], message: str) -> None:
    config = dataclasses.replace(SMALL, **keys)
    with pytest.raises(TrainingError, match=message):
        GainsExport(dataclasses.replace(GainsRecipe(), network=config), GainsNetwork(config).state_dict())


@pytest.mark.parametrize("name", SHIPPED)
@torch.no_grad()
def test_the_runtimes_integers_are_the_trained_ones(name: str) -> None:
    """Whatever kernel and widths: the runtime takes them from the arrays."""
    network = small(**VARIANTS[name])
    export = GainsExport(dataclasses.replace(GainsRecipe(), network=network.config), network.state_dict())
    integers = IntegerNetwork({key.removeprefix("scales."): value for key, value in export.integers.items()})
    random = np.random.default_rng(0)
    z = random.integers(-200, 200, (2, 3, SMALL.hyper)).astype(np.int32)
    magnitudes = random.integers(0, 20, (8, 12, SMALL.latents)).astype(np.int16)

    def planes(array: NDArray[Any], one: int) -> Any:
        return torch.from_numpy(array / one).float().permute(2, 0, 1)[None]

    scales = export.network.scales
    first = integers.first(z)
    np.testing.assert_array_equal((scales.first(planes(z, 32))[0] * 256).permute(1, 2, 0), first)
    second = integers.second(magnitudes, first)
    trained = scales.second(planes(magnitudes, 1), planes(first, 256))
    np.testing.assert_array_equal((trained[0] * 256).permute(1, 2, 0), second)
    assert second.std() > 0


@pytest.mark.parametrize("keys", [{"block": "gated"}, {"leak": 0.1}], ids=["gated", "leaky"])
def test_a_variants_graph_computes_what_torch_does(
    keys: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLISSANDO_DATA", raising=False)
    network = small(**keys).eval().requires_grad_(False)
    recipe = dataclasses.replace(GainsRecipe(), network=network.config)
    stored = store_weights(recipe, network.state_dict(), GainsExport.integer_parts, {}, lambda: None)
    rounded = {key: torch.from_numpy(values_of(array)) for key, array in stored.items()}
    export = GainsExport(recipe, {**network.state_dict(), **rounded})
    (tmp_path / ENCODER_FOLDER).mkdir(parents=True)
    write_arrays(tmp_path / ENCODER_FOLDER / "encoder.npz", {})
    write_arrays(tmp_path / "decoder.npz", stored)
    graphs = {name: graph for name, graph in export.graphs().items() if isinstance(graph, DecodeGraph)}
    assert set(graphs) == {"decode", "decode-8bit"}
    random = np.random.default_rng(0)
    rows, columns = 8, 4  # other sides than the example's
    values = {
        "residual": random.normal(size=(1, rows, columns, SMALL.latents)),
        "z": random.integers(-3, 4, (1, rows // 4, columns // 4, SMALL.hyper)),
        "means_offset": random.normal(size=SMALL.means_width),
        "even": first_pass_mask(2, rows, columns)[0, :1].permute(1, 2, 0)[None].numpy(),
        "synthesis_factor": np.ones(SMALL.width),
        "synthesis_offset": np.zeros(SMALL.width),
    }
    given = {k: v.astype(np.float32) for k, v in values.items()}
    for name, graph in graphs.items():
        used = write_graph(name, graph, export.examples(), tmp_path, stored)
        assert "synthesis.leave.weight" in used
        difference = compare_graph(name, graph, given, tmp_path)
        assert difference <= (1 if graph.rounded else 1e-3)
        assert math.isfinite(difference)
    real, levels = (run_graph(name, tmp_path, given)[0] for name in ("decode", "decode-8bit"))
    assert (real.dtype, levels.dtype) == (np.float32, np.uint8)
    assert real.shape == levels.shape == (1, 16 * rows, 16 * columns, 3)
    assert real.min() < 0 or real.max() > 1  # these inputs are no picture's: nothing is clamped
    assert np.abs(np.clip(real, 0, 1) * 255 - levels).max() <= 0.51
