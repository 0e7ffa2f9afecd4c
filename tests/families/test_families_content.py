"""The content-weighted networks: bits and their feedback, the mask's gradient, the context model in integers."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

sys.path.insert(0, str(Path(__file__).parents[1] / "entropy"))

from bits_reference import BitsReference  # noqa: E402

from glissando.families.content.bit_context import BitContext, bit_costs, inward_clip  # noqa: E402
from glissando.families.content.cost import kmac_per_pixel  # noqa: E402
from glissando.families.content.graphs import AnalysisGraph, DecodeGraph  # noqa: E402
from glissando.families.content.network import (  # noqa: E402  # noqa: E402
    BitCode,
    ContentConfig,
    ContentNetwork,
    _Refine,
    correct_slope,
    map_costs,
    mask_levels,
)
from glissando.families.content.reach import decoder_halo, encoder_halo  # noqa: E402
from glissando.families.content.source_shape import binarise  # noqa: E402

TINY = ContentConfig(
    latents=24, bits=32, importance_levels=4, levels=3, hidden=3, analysis_blocks=1, analysis_latent_blocks=0,
    synthesis_blocks=1, synthesis_latent_blocks=0,
)  # fmt: skip
SOURCE = ContentConfig(shape="source", bits=16, importance_levels=4, levels=2, hidden=3)


# --- Bits --------------------------------------------------------------------------------------------------


def test_the_proxy_is_the_identity_clipped_to_its_range() -> None:
    e = torch.tensor([-0.2, 0.0, 0.3, 0.5, 0.7, 1.0, 1.2], requires_grad=True)
    bits = binarise(e)
    assert bits.tolist() == [0, 0, 0, 0, 1, 1, 1]
    upstream = torch.arange(1.0, 8)
    (bits * upstream).sum().backward()
    assert e.grad.tolist() == [0, 2, 3, 4, 5, 6, 0]


def random_code(seed: int, latents: int = 6, bits: int = 12, levels: int = 3) -> BitCode:
    torch.manual_seed(seed)
    code = BitCode(latents, bits, levels).double()
    level = torch.arange(bits) // (bits // levels)
    with torch.no_grad():
        code.feedback.copy_(torch.randn(bits, bits) * 0.3 * (level < level[:, None]))
    return code


def sequential(code: BitCode, y: torch.Tensor) -> torch.Tensor:
    """Bits by definition, channel by channel at one position, with the binariser's own gradient."""
    given = code.enter.weight[:, :, 0, 0] @ y + code.enter.bias
    group = len(given) // code.levels
    bits: list[torch.Tensor] = []
    for channel in range(len(given)):
        logit = given[channel]
        for earlier in range(channel // group * group):
            logit = logit - code.feedback[channel, earlier] * bits[earlier]
        bits.append(2 * binarise(logit + 0.5) - 1)
    return torch.stack(bits)


@pytest.mark.parametrize("seed", range(4))
def test_feedback_is_what_a_sequential_loop_computes_and_so_is_its_gradient(seed: int) -> None:
    code = random_code(seed)
    y = (0.4 * torch.randn(2, 6, 3, 2, dtype=torch.float64)).requires_grad_()
    upstream = torch.randn(2, 12, 3, 2, dtype=torch.float64)

    def gradients(found: torch.Tensor) -> list[torch.Tensor]:
        wanted = [y, code.enter.weight, code.enter.bias, code.feedback]
        return list(torch.autograd.grad((found * upstream).sum(), wanted))

    # BitCode computes in float32, whatever comes in: compare in the doubles that stay.
    flat = code.enter(y).permute(0, 2, 3, 1).reshape(-1, 12)
    found = _Refine.apply(flat, code.feedback, 3).view(2, 3, 2, 12).permute(0, 3, 1, 2)
    expected = torch.stack(
        [torch.stack([torch.stack([sequential(code, y[b, :, r, c]) for c in range(2)], -1) for r in range(3)], -2)
         for b in range(2)]
    )  # fmt: skip
    assert torch.equal(found, expected)
    assert 0.1 < float((found > 0).double().mean()) < 0.9
    for ours, theirs in zip(gradients(found), gradients(expected), strict=True):
        assert theirs.abs().sum() > 0
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(code.float().encode(y.float()).double(), found)


def test_two_bits_are_a_straight_through_digit() -> None:
    """Thresholds at ∓1/2 of a step: three values, and a slope of one over the line from −1 to 1."""
    r = torch.linspace(-1.6, 1.6, 65, requires_grad=True)
    value = (binarise(r + 1) + binarise(r) - 1) * 1.0
    assert value.tolist() == [-1.0 if x <= -0.5 else 1.0 if x > 0.5 else 0.0 for x in r.tolist()]
    value.sum().backward()
    inside = (r.detach().abs() < 1) & (r.detach() != 0)
    assert (r.grad[inside] == 1).all()
    assert (r.grad[r.detach().abs() > 1] == 0).all()


# --- Importance --------------------------------------------------------------------------------------------


@given(st.floats(0, 1, width=32, allow_subnormal=False), st.integers(1, 32))
def test_the_first_levels_are_kept_and_none_is_fine(fraction: float, levels: int) -> None:
    mask = mask_levels(torch.full((1, 1, 1, 1), fraction), levels).flatten().tolist()
    kept = int(np.floor(np.float32(levels) * np.float32(fraction)))
    assert mask == [1.0] * kept + [0.0] * (levels - kept)
    assert sum(mask_levels(torch.zeros(1, 1, 1, 1), levels).flatten().tolist()) == 0


@given(st.floats(0, 1, width=32, allow_subnormal=False), st.sampled_from([4, 16, 32]))
def test_the_gradient_of_the_mask_is_local(fraction: float, levels: int) -> None:
    """∂m_k/∂p = L if L·p − 1 ≤ ⌈k·L/n⌉ < L·p + 1, else 0, for channels k = 1 … n; here n = 3·L."""
    p = torch.full((1, 1, 1, 1), fraction, requires_grad=True)
    upstream = torch.randn(1, 3 * levels, 1, 1, generator=torch.Generator().manual_seed(levels))
    (mask_levels(p, levels).repeat_interleave(3, 1) * upstream).sum().backward()
    at = np.float32(levels) * np.float32(fraction)
    near = [at - 1 <= np.ceil(k / 3) < at + 1 for k in range(1, 3 * levels + 1)]
    expected = levels * float((upstream.flatten() * torch.tensor(near)).sum())
    assert float(p.grad) == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_the_gradient_is_twice_the_slope_of_the_mask_averaged_around_it() -> None:
    """Averaged over windows of p of width 2/L, m_k rises from 0 to 1 over the window's width: by L/2 per unit of p,
    wherever the cut is within a level of k. LOCAL has L there, twice as much, since it takes two levels for the one
    that a whole level of p brings. Both say which levels, and in which proportion.
    """
    levels, width = 8, 2 / 8
    weights = torch.linspace(-1, 2, levels)[None, :, None, None]
    around = torch.linspace(-width / 2, width / 2, 20_001, dtype=torch.float64)

    def smoothed(fraction: float) -> float:
        at = (fraction + around).float().view(-1, 1, 1, 1)
        return float((mask_levels(at, levels) * weights).sum((1, 2, 3)).double().mean())

    for fraction in (0.19, 0.33, 0.52, 0.7):  # windows inside [0, 1]
        p = torch.full((1, 1, 1, 1), fraction, requires_grad=True)
        (mask_levels(p, levels) * weights).sum().backward()
        slope = (smoothed(fraction + 0.005) - smoothed(fraction - 0.005)) / 0.01
        assert float(p.grad) == pytest.approx(2 * slope, rel=0.02)


def test_dither_moves_the_cut_and_not_the_gradient() -> None:
    p = torch.tensor([0.45, 0.45]).view(2, 1, 1, 1).requires_grad_()
    dither = torch.tensor([-0.5, 0.49]).view(2, 1, 1, 1)
    mask = mask_levels(p, 10, dither)
    assert mask.sum((1, 2, 3)).tolist() == [4, 4]
    assert mask_levels(p, 10, dither - 0.1).sum((1, 2, 3)).tolist() == [3, 4]
    mask.sum().backward()
    assert p.grad.flatten().tolist() == [20, 20]


@pytest.mark.parametrize("kept", [1, 2])
def test_at_a_level_the_mask_sees_the_whole_step(kept: int) -> None:
    """With a linear decoder that keeps energies, the correction makes LOCAL the true difference between two levels."""
    torch.manual_seed(3)
    layers = BitCode(8, 12, 3)
    turn = torch.linalg.qr(torch.randn(8, 8)).Q
    target = torch.randn(1, 8, 1, 1)
    code = (torch.randint(0, 2, (1, 12, 1, 1)) * 2.0) - 1

    def error(mask: torch.Tensor) -> torch.Tensor:
        latents = layers.decode(code * mask.repeat_interleave(4, 1)) - target
        return (turn @ latents[0, :, 0]).square().sum()

    def upto(levels: int) -> float:
        return float(error((torch.arange(3) < levels).float().view(1, 3, 1, 1)).detach())

    fraction = torch.full((1, 1, 1, 1), (kept + 0.4) / 3, requires_grad=True)
    mask = mask_levels(fraction, 3)
    correction = correct_slope(layers, code, mask)
    assert correction.tolist() == [0]
    (error(mask) + correction.sum()).backward()
    assert float(fraction.grad) == pytest.approx(3 * (upto(kept + 1) - upto(kept - 1)), rel=1e-4)


def test_a_clipped_value_can_come_back() -> None:
    x = torch.tensor([-3.0, -3.0, 0.5, 3.0, 3.0], requires_grad=True)
    y = inward_clip(x, 1.0)
    assert y.tolist() == [-1, -1, 0.5, 1, 1]
    (y * torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])).sum().backward()
    assert x.grad.tolist() == [0, -1, 1, 1, 0]  # descent moves against it: back inside, never further out


def test_a_flat_map_costs_nothing() -> None:
    flat = torch.full((2, 1, 5, 7), 3.3)
    assert map_costs(flat).tolist() == [0, 0]
    edge = flat.clone()
    edge[0, 0, :, 3:] += 3
    assert map_costs(edge).tolist() == pytest.approx([0.5 * 5 * 2, 0])


# --- Context model -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "levels", "reach"), [(16, 4, 2), (12, 2, 4)])
def test_the_context_model_computes_what_plain_integers_do(bits: int, levels: int, reach: int) -> None:
    torch.manual_seed(bits)
    group = bits // levels
    context = BitContext(bits, levels, hidden=3, reach=reach)
    with torch.no_grad():
        for weight in context.parameters():
            weight.normal_(std=0.5)
        context.near.mul_((context.near != 0).float())
    random = np.random.default_rng(0)
    kept = random.integers(0, levels + 1, (5, 4))
    code = random.choice([-1, 1], (5, 4, bits)) * (np.arange(bits) // group < kept[..., None])
    arrays = {name: value.numpy() for name, value in context.integers().items()}
    reference = BitsReference(arrays, group, reach)
    with torch.no_grad():
        odds = context(torch.from_numpy(code).permute(2, 0, 1)[None], torch.from_numpy(kept)[None, None])
    tables = ((odds + 12) * 4).round()[0].permute(1, 2, 0).int().numpy()
    found = 0
    for one_pass in reference.passes(code.tolist(), kept.tolist()):
        for place, table in one_pass.items():
            assert tables[place] == table
            found += 1
    assert found == int((code != 0).sum()) > 50
    assert len(np.unique(tables)) > 20


def test_it_sees_nothing_that_a_decoder_does_not_know() -> None:
    """Odds of a bit change with no bit of its own pass, of a later one, or of one that is not kept."""
    torch.manual_seed(0)
    context = BitContext(16, 4, hidden=4, reach=2)
    for weight in context.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    code = torch.randint(0, 2, (1, 16, 6, 6)) * 2.0 - 1
    kept = torch.full((1, 1, 6, 6), 4)
    early = context.first_pass(6, 6).bool()
    level = (torch.arange(16) // 4)[None, :, None, None]
    before = context(code, kept)
    for turn in range(8):
        own, late = turn // 2, turn % 2
        of_turn = (level == own) & (early != bool(late))
        later = (level > own) | ((level == own) & (of_turn | (~early & (late == 0))))
        after = context(torch.where(later, -code, code), kept)
        assert torch.equal(before[of_turn], after[of_turn])
        if turn:
            known = context(torch.where(later, code, -code), kept)
            assert not torch.equal(before[of_turn], known[of_turn])


def test_costs_are_those_of_the_odds() -> None:
    odds = torch.tensor([0.0, 2.0, -3.0, 12.0])
    plus = 1 / (1 + 2.0**-odds)
    torch.testing.assert_close(bit_costs(odds, torch.ones(4)), -torch.log2(plus))
    torch.testing.assert_close(bit_costs(odds, -torch.ones(4)), -torch.log2(1 - plus), rtol=1e-3, atol=1e-6)


def test_sums_are_kept_exact() -> None:
    context = BitContext(16, 4, hidden=3, reach=2)
    with torch.no_grad():
        for weight in context.parameters():
            weight.fill_(3e4)
    context.keep_exact()
    arrays = {name: value.double() for name, value in context.integers().items()}
    hidden = sum(
        (arrays[f"{name}.weight"].abs().flatten(1).sum(1) * most)
        for name, most in (("past", 1), ("near", 1), ("map", 4), ("current", 1))
    )
    assert 0.9 * 2**24 < float((hidden + arrays["bias"].abs() + 2).max()) < 2**24
    for name in ("out_first", "out_second"):
        sums = arrays[f"{name}.weight"].abs().sum(1) * 1023 + arrays[f"{name}.bias"].abs()
        assert 0.9 * 2**24 < float(sums.max()) < 2**24
    before = [weight.clone() for weight in context.parameters()]
    context.keep_exact()
    assert all(torch.allclose(a, b, rtol=1e-4) for a, b in zip(before, context.parameters(), strict=True))


# --- Networks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [TINY, SOURCE], ids=["fast", "source"])
def test_graphs_compute_what_the_network_does(config: ContentConfig) -> None:
    torch.manual_seed(1)
    network = ContentNetwork(config).eval()
    with torch.no_grad():
        torch.nn.init.normal_(network.importance.out.weight, std=0.3)
        if isinstance(network.code, BitCode):
            level = torch.arange(config.bits) // 8
            network.code.feedback.copy_(torch.randn(config.bits, config.bits) * 0.1 * (level < level[:, None]))
        pixels = torch.randint(0, 256, (1, 64, 128, 3), dtype=torch.uint8)
        code, importance = AnalysisGraph(network)(pixels)
        y = network.analysis(pixels.permute(0, 3, 1, 2).float() / 255)
        assert code.shape == (1, 64 // network.pitch, 128 // network.pitch, config.bits)
        assert (code.abs() == 1).all()
        assert float((code.permute(0, 3, 1, 2) == network.code.encode(y)).float().mean()) > 0.99
        torch.testing.assert_close(importance.permute(0, 3, 1, 2), network.importance_of(y), rtol=1e-3, atol=1e-4)
        assert importance.std() > 0
        expected = network.synthesis(network.code.decode(code.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        real, out = DecodeGraph(network)(code), DecodeGraph(network, eight_bits=True)(code)
        assert (out.shape, out.dtype) == (pixels.shape, torch.uint8)
        torch.testing.assert_close(real, expected, rtol=1e-4, atol=1e-4)
        assert (out.float() - expected.clamp(0, 1) * 255).abs().max() <= 0.51


@pytest.mark.parametrize("config", [TINY, SOURCE], ids=["fast", "source"])
def test_everything_gets_a_gradient(config: ContentConfig) -> None:
    torch.manual_seed(2)
    network = ContentNetwork(config)
    torch.nn.init.normal_(network.importance.out.weight, std=0.1)
    for weight in (network.bits.out_first, network.bits.out_second):
        torch.nn.init.normal_(weight, std=0.1)
    picture = torch.rand(2, 3, 64, 64)
    out = network(picture, torch.tensor([30.0, 90.0]))
    loss = (out.reconstruction - picture).square().mean() + 1e-3 * (out.bits + out.map_bits).sum()
    loss.backward()
    untouched = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # Residual branches begin at zero, and what feeds them learns from the second step on.
    assert all("blocks" in name for name in untouched), untouched


def test_a_budget_teaches_only_the_context_model_by_bits() -> None:
    network = ContentNetwork(SOURCE)
    out = network(torch.rand(1, 3, 64, 64), torch.tensor([50.0]), budgeted=True)
    out.bits.sum().backward()
    assert all(p.grad is None for name, p in network.named_parameters() if not name.startswith("bits."))
    assert network.bits.out_first_bias.grad.abs().sum() > 0


def test_quality_keeps_more_and_flat_maps_are_flat() -> None:
    network = ContentNetwork(TINY)
    torch.nn.init.normal_(network.importance.out.weight)
    picture = torch.rand(1, 3, 64, 64).expand(3, -1, -1, -1)
    with torch.no_grad():
        quality = torch.tensor([0.0, 40.0, 100.0])
        kept = network(picture, quality).kept
        assert (kept[1:] >= kept[:-1]).all()
        assert kept[0].std() > 0
        assert network(picture, quality, flat=True).kept[0].std() == 0
        network.map_scale.table.copy_(torch.tensor([[0.0], [-1.0], [0.5]]))
        network.constrain()
    assert network.map_scale.table.flatten().tolist() == [0, 0, 0.5]


@settings(max_examples=5, deadline=None)
@given(st.sampled_from([TINY, SOURCE]))
def test_costs_and_reach(config: ContentConfig) -> None:
    network = ContentNetwork(config)
    costs = {path: kmac_per_pixel(network, path) for path in ("decode", "encode")}
    context = network.bits.multiply_adds / network.pitch**2 / 1000
    assert costs["decode"]["bits"] == costs["encode"]["bits"] == pytest.approx(context)
    assert set(costs["encode"]) == {"analysis", "code.enter", "code.feedback", "importance", "bits", "total"}
    assert costs["decode"]["synthesis"] > 0
    feedback = 32 * 32 * 3 / 8 / 16**2 / 1000 if config is TINY else 0
    assert costs["encode"]["code.feedback"] == pytest.approx(feedback)
    shape = asdict(config)
    assert decoder_halo(shape) == 64
    assert encoder_halo(shape) == (64 if config is TINY else 128)


def test_nothing_beyond_the_halo_matters() -> None:
    network = ContentNetwork(SOURCE).eval()
    with torch.no_grad():
        code = torch.randint(0, 2, (1, 16, 40, 40)) * 2.0 - 1
        other = code.clone()
        other[:, :, :, 20:] *= -1
        differs = (network.synthesis(code) != network.synthesis(other)).any(1)[0].any(0)
        assert int(differs.nonzero()[0]) >= 160 - decoder_halo(asdict(SOURCE))
        picture = torch.rand(1, 3, 256, 256)
        changed = picture.clone()
        changed[:, :, :, 128:] = 0
        features = [network.importance.mix(network.analysis(x)) for x in (picture, changed)]
        differs = (features[0] != features[1]).any(1)[0].any(0)
        assert 8 * int(differs.nonzero()[0]) >= 128 - encoder_halo(asdict(SOURCE))
