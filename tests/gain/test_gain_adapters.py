"""Gain units for our families: those of ``gains`` are the network's own, ``vae`` takes them by composition."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="gain units need PyTorch: pip install glissando[train]")

from toy_codec import ToyCodec  # noqa: E402

from glissando.entropy.fixed_point import level_row  # noqa: E402
from glissando.errors import InputError  # noqa: E402
from glissando.families.gains.export import integer_arrays  # noqa: E402
from glissando.families.gains.network import GainsConfig, GainsNetwork  # noqa: E402
from glissando.families.vae.network import VaeConfig, VaeNetwork  # noqa: E402
from glissando.gain import gained_compressai, gained_vae, units_of  # noqa: E402

PICTURE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
GAINS = GainsConfig(
    width=32, latents=32, hyper=8, levels=3, means_width=16, context_width=16, scale_width=8, scale_hyper_width=8
)


@pytest.fixture
def network() -> GainsNetwork:
    torch.manual_seed(0)
    network = GainsNetwork(GAINS)
    with torch.no_grad():
        for name, middle in (("gain", 2.0), ("inverse_gain", -2.0), ("hyper_gain", 0.0)):
            table = getattr(network, name).table
            sign = -1 if name == "inverse_gain" else 1
            table.copy_(middle + sign * torch.linspace(-1, 1, 3)[:, None] + torch.randn(table.shape) / 9)
    return network


def test_units_of_the_gains_family_are_those_of_its_files(network: GainsNetwork) -> None:
    """The same integers, to the last bit, as the codec reads from an exported model at any quality."""
    unit, hyper_unit = units_of(network)
    arrays = integer_arrays(network)
    for units in (0, 1, 6399, 12800, 20001, 25600):
        gain, inverse = unit.fixed().rows(units)
        assert np.array_equal(gain, level_row(arrays["gain"], units))
        assert np.array_equal(inverse, level_row(arrays["inverse_gain"], units))
        hyper_gain, hyper_inverse = hyper_unit.fixed().rows(units)
        assert np.array_equal(hyper_gain, level_row(arrays["hyper_gain"], units))
        assert np.array_equal(hyper_inverse, -hyper_gain)


def test_units_of_the_gains_family_share_its_tables(network: GainsNetwork) -> None:
    unit, hyper_unit = units_of(network)
    before = network(PICTURE, torch.tensor([100.0, 100.0]), noise=False)
    names = set(network.state_dict())
    with torch.no_grad():
        unit.gain.table.add_(1)
        hyper_unit.gain.table.add_(1)
    after = network(PICTURE, torch.tensor([100.0, 100.0]), noise=False)
    assert (after.latent_bits > before.latent_bits).all()
    assert (after.hyper_bits > before.hyper_bits).all()
    assert set(network.state_dict()) == names
    out = network(PICTURE, torch.tensor([10.0, 90.0]))
    (out.latent_bits.sum() + out.reconstruction.square().sum()).backward()
    assert unit.gain.table.grad is not None
    assert (unit.gain.table.grad != 0).any()


def test_the_vae_gets_a_rate_before_training() -> None:
    torch.manual_seed(0)
    network = VaeNetwork(VaeConfig(width=32, latents=24))
    codec = gained_vae(network, [0.001, 0.01, 0.1])
    bits = []
    for quality in (0.0, 33.0, 66.0, 100.0):
        torch.manual_seed(1)
        picture, divergence = codec(PICTURE, quality)
        assert picture.shape == PICTURE.shape
        bits.append(float(divergence.detach().sum()))
    assert bits == sorted(set(bits))
    optimiser = torch.optim.Adam(codec.parameters(), 1e-3)
    picture, divergence = codec(PICTURE, torch.tensor([20.0, 80.0]))
    (divergence.mean() / 4096 + 255**2 * 0.01 * (picture - PICTURE).square().mean()).backward()
    before = codec.unit.gain.table.detach().clone()
    optimiser.step()
    assert (codec.unit.gain.table != before).any()


def test_adapters_refuse_other_networks(network: GainsNetwork) -> None:
    with pytest.raises(InputError, match=r"ToyCodec has no config\.latents"):
        gained_vae(ToyCodec(), [0.1, 1.0])
    with pytest.raises(InputError, match="no level tables"):
        units_of(ToyCodec())
    with pytest.raises(InputError, match="no whole number M"):
        gained_compressai(network, [0.1, 1.0])
