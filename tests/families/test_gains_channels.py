"""Groups of channels: masks, cutting and growing leave alone what a network computes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the networks need PyTorch: pip install glissando[train]")

from glissando.errors import TrainingError  # noqa: E402
from glissando.families.gains import FAMILY  # noqa: E402
from glissando.families.gains.channels import channel_groups, is_decoders, with_widths  # noqa: E402
from glissando.families.gains.config import GainsConfig  # noqa: E402
from glissando.families.gains.growing import grow  # noqa: E402
from glissando.families.gains.network import GainsNetwork  # noqa: E402
from glissando.networks.channels import FOLLOWS, READS, WRITES, cut, first_channels  # noqa: E402
from glissando.networks.masks import MaskedNetwork  # noqa: E402

SMALL = GainsConfig(
    width=16, latents=16, hyper=8, levels=3, analysis_blocks=2, analysis_latent_blocks=1, synthesis_blocks=2,
    synthesis_latent_blocks=1, means_width=16, context_width=12, scale_width=12, scale_hyper_width=8, leak=0.1,
)  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "gated": {"block": "gated"},
    "another analysis": {"analysis_width": 24, "analysis_ratio": 3},
    "one step": {"context_steps": 1},
    "four steps": {"context_steps": 4},
    "ReLU": {"leak": 0.0},
    "stages": {"analysis_stages": 2},
}
every_variant = pytest.mark.parametrize("keys", VARIANTS.values(), ids=VARIANTS.keys())


def network_of(config: GainsConfig, seed: int = 0) -> GainsNetwork:
    """A network in which no weight is zero, at gains at which symbols are not zero."""
    torch.manual_seed(seed)
    network = GainsNetwork(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        network.hyper_gain.table.fill_(4.0)
        network.gain.table.add_(3.0)
        network.inverse_gain.table.sub_(3.0)
    network.scales.keep_exact()
    return network.eval().requires_grad_(False)


def results(network: Any) -> list[Any]:
    """What a network computes of a picture; the scales are integers, all else real numbers."""
    torch.manual_seed(5)
    out = network(torch.rand(2, 3, 64, 128), torch.tensor([20.0, 80.0]), noise=False)
    return [out.reconstruction, out.latent_bits, out.hyper_bits]


def assert_alike(a: list[Any], b: list[Any]) -> None:
    for left, right in zip(a, b, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-4)


@every_variant
def test_every_channel_that_is_written_is_read(keys: dict[str, Any]) -> None:
    """Each group has writers and readers, and all of its places lie inside the parameters that they name."""
    sizes = {"width": 20, "means_width": 28, "scale_widths": (10, 14, 18, 22), "hyper_widths": (26, 30, 34)}
    config = dataclasses.replace(SMALL, **sizes, **keys)
    shapes = {name: value.shape for name, value in GainsNetwork(config).state_dict().items()}
    seen = set()
    for group in channel_groups(config):
        assert {WRITES, READS} <= {place.role for place in group.places} <= {WRITES, READS, FOLLOWS}
        for place in group.places:
            assert place.offset + place.copies * group.width <= shapes[place.parameter][place.axis]
            seen.add((place.parameter, place.axis))
    # All that remains are pixels, latents, hyper-latents, which keep their number, kernels, levels and the likelihood.
    fixed = {192, 16, 8, 1, 2, 3}
    for name, shape in shapes.items():
        for axis in range(min(2, len(shape))):
            experimental = config.context_steps != 2 and "second" in name
            assert (name, axis) in seen or shape[axis] in fixed or name == "scales.second_mix.weight" or experimental


@every_variant
def test_the_configuration_says_all_widths(keys: dict[str, Any]) -> None:
    """Also of one side alone, whose shrinking leaves the other's keys as they are."""
    config = dataclasses.replace(SMALL, **keys)
    own = {group.name: group.width for group in channel_groups(config)}
    assert with_widths(config, own) == config
    for side in (True, False):
        widths = {name: width // 2 if is_decoders(name) == side else width for name, width in own.items()}
        small = with_widths(config, widths)
        assert {group.name: group.width for group in channel_groups(small)} == widths
        network = GainsNetwork(small).state_dict()
        shapes = [tuple(value.shape) for value in network.values()]
        kept = first_channels(channel_groups(config), widths)
        assert [
            tuple(v.shape) for v in cut(GainsNetwork(config).state_dict(), channel_groups(config), kept).values()
        ] == shapes
        if not side:
            before, after = (FAMILY.decoder_configuration(each.to_dict()) for each in (config, small))
            assert before == after


def test_decoders_channels_are_told_from_encoders() -> None:
    names = {group.name: is_decoders(group.name) for group in channel_groups(SMALL)}
    assert all(names[name] for name in ("synthesis.stream", "hyper_synthesis.stream", "context", "scales.z_mix"))
    assert not any(names[name] for name in ("analysis.blocks.0.inner", "hyper_analysis.first"))


# --- Masks and cutting -------------------------------------------------------------------------------------


def keep_randomly(config: GainsConfig, draw: Any) -> dict[str, Any]:
    """For each group at least one channel that remains."""
    kept = {}
    for group in channel_groups(config):
        chosen = draw(st.lists(st.booleans(), min_size=group.width, max_size=group.width).filter(any))
        kept[group.name] = torch.tensor(chosen)
    return kept


@settings(max_examples=12, deadline=None)
@given(data=st.data(), keys=st.sampled_from(list(VARIANTS.values())))
def test_a_cut_network_is_the_one_whose_masks_are_zero(data: st.DataObject, keys: dict[str, Any]) -> None:
    """Over random masks: applied, folded into the weights, and with the channels of mask zero cut off."""
    config = dataclasses.replace(SMALL, **keys)
    network = network_of(config)
    groups = channel_groups(config)
    kept = keep_randomly(config, data.draw)
    masked = MaskedNetwork(network, groups)
    with torch.no_grad():
        for name, mask in masked.masks.items():
            mask.copy_(kept[name] * (0.3 + torch.rand(len(mask))))
        applied = results(masked)
        folded = GainsNetwork(config)
        folded.load_state_dict(masked.folded())
        assert_alike(results(folded), applied)
        widths = {name: int(chosen.sum()) for name, chosen in kept.items()}
        small = GainsNetwork(with_widths(config, widths))
        small.load_state_dict(cut(masked.folded(), groups, kept))
        assert_alike(results(small), applied)
    assert {group.name: group.width for group in channel_groups(small.config)} == widths


def test_a_mask_is_a_mask_behind_the_convolution() -> None:
    """A literal product behind a layer gives what the product of its weights gives."""
    network = network_of(SMALL)
    masked = MaskedNetwork(network, channel_groups(SMALL))
    factor = torch.rand(16)
    with torch.no_grad():
        masked.masks["analysis.blocks.1.inner"].copy_(factor)
        applied = results(masked)
        hook = network.analysis.blocks[1].depthwise.register_forward_hook(
            lambda module, inputs, out: out * factor[:, None, None]
        )
        assert_alike(results(network), applied)
        hook.remove()
        with pytest.raises(AssertionError):
            assert_alike(results(network), applied)


def test_gradients_reach_masks_and_weights() -> None:
    network = network_of(SMALL).requires_grad_(True)
    masked = MaskedNetwork(network, channel_groups(SMALL))
    out = masked(torch.rand(2, 3, 128, 64), torch.tensor([20.0, 80.0]))
    (out.latent_bits.sum() + out.hyper_bits.sum() + (out.reconstruction - 0.3).square().sum()).backward()
    assert [name for name, p in masked.named_parameters() if p.grad is None or not p.grad.any()] == []
    # A mask of a group with one writer: ∂L/∂m at m = 1 is the sum of weight times gradient over its row.
    context = network.context
    rows = (context.depthwise.weight.grad * context.depthwise.weight).sum((1, 2, 3))
    rows = rows + context.depthwise.bias.grad * context.depthwise.bias
    torch.testing.assert_close(masked.masks["context"].grad, rows.detach(), rtol=1e-3, atol=1e-3)


# --- Growing -----------------------------------------------------------------------------------------------

LARGE: dict[str, dict[str, Any]] = {
    "wider": {"width": 24, "means_width": 24, "context_width": 20, "scale_width": 16, "scale_hyper_width": 12},
    "deeper": {"synthesis_blocks": 3, "synthesis_latent_blocks": 2, "analysis_blocks": 4},
    "both": {"width": 20, "analysis_width": 28, "synthesis_blocks": 3, "analysis_latent_blocks": 2, "ratio": 3},
    "single layers": {"scale_widths": (100, 8, 12, 8), "hyper_widths": (12, 8, 20)},
}
every_growth = pytest.mark.parametrize("keys", LARGE.values(), ids=LARGE.keys())


@every_growth
@pytest.mark.parametrize("block", ["depthconv", "gated"])
def test_a_grown_network_computes_the_same(keys: dict[str, Any], block: str) -> None:
    config = dataclasses.replace(SMALL, block=block)
    small, large = network_of(config), GainsNetwork(dataclasses.replace(config, **keys)).requires_grad_(False)
    grown = grow(small.state_dict(), config, large)
    large.load_state_dict(grown)
    assert_alike(results(large.eval()), results(small))
    # Growing is what cutting undoes.
    groups = channel_groups(large.config)
    before = {group.name: group.width for group in channel_groups(config)}
    kept = first_channels(groups, {group.name: before.get(group.name, group.width) for group in groups})
    again = cut(grown, groups, kept)
    assert all(torch.equal(again[name], value) for name, value in small.state_dict().items())


@every_growth
def test_new_units_are_alive(keys: dict[str, Any]) -> None:
    """After one step of plain gradient descent every new channel takes part, and every parameter has a gradient."""
    small, large = network_of(SMALL), GainsNetwork(dataclasses.replace(SMALL, **keys))
    large.load_state_dict(grow(small.state_dict(), SMALL, large))
    for _ in range(3):
        large.zero_grad()
        torch.manual_seed(1)
        out = large(torch.rand(2, 3, 128, 64), torch.tensor([20.0, 80.0]))
        (0.01 * (out.latent_bits + out.hyper_bits).sum() + (out.reconstruction - 0.3).square().sum()).backward()
        with torch.no_grad():
            for parameter in large.parameters():
                parameter.sub_(1e-3 * parameter.grad / (parameter.grad.norm() + 1e-9))
    silent = []
    for group in channel_groups(large.config):
        for place in group.places:
            gradient = dict(large.named_parameters())[place.parameter].grad.movedim(place.axis, 0)
            part = gradient[place.offset : place.offset + place.copies * group.width]
            part = part.reshape(len(part), -1).abs().sum(1)
            if not part.all() and place.role != FOLLOWS and not group.name.startswith("scales."):
                silent.append((group.name, place.parameter, int((part == 0).sum())))
    assert silent == []


def test_what_does_not_fit_is_not_grown() -> None:
    small = network_of(SMALL)
    with pytest.raises(TrainingError, match=r"context has 12 channels, and should grow to 8"):
        grow(small.state_dict(), SMALL, GainsNetwork(dataclasses.replace(SMALL, context_width=8)))
    with pytest.raises(TrainingError, match=r"has no analysis\.blocks\.1"):
        grow(small.state_dict(), SMALL, GainsNetwork(dataclasses.replace(SMALL, analysis_blocks=1)))
    with pytest.raises(TrainingError, match="does not fit"):
        grow(small.state_dict(), SMALL, GainsNetwork(dataclasses.replace(SMALL, latents=32)))
    with pytest.raises(TrainingError, match=r"it has no scales\.second_hidden\.weight"):
        grow(small.state_dict(), SMALL, GainsNetwork(dataclasses.replace(SMALL, scale_layers=3)))
