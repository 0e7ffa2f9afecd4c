"""Which units work: counted on networks whose answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from benchmarks.units import active_shares, main, markdown  # noqa: E402
from glissando.families.gains.config import GainsConfig  # noqa: E402
from glissando.families.gains.network import GainsNetwork  # noqa: E402
from glissando.networks.integer import IntegerConv  # noqa: E402
from glissando.networks.layers import DepthConvBlock  # noqa: E402


@pytest.mark.parametrize("leak", [0.0, 0.1])
@torch.no_grad()
def test_units_that_are_never_positive_are_seen(leak: float) -> None:
    block = DepthConvBlock(4, leak=leak)
    for layer in (block.enter, block.widen):
        layer.weight.zero_()
        assert layer.bias is not None
        layer.bias.fill_(1.0)
        layer.bias[1] = -1.0
    shares = active_shares(block, lambda: block(torch.rand(2, 4, 4, 4)))
    assert {name: share.tolist() for name, share in shares.items()} == {
        ", 1": [1.0, 0.0, 1.0, 1.0],
        ", 2": [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    }


@torch.no_grad()
def test_shares_are_of_all_places() -> None:
    layer = IntegerConv(1, 2)
    layer.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
    layer.bias.zero_()
    x = torch.tensor([1.0, -1.0, -1.0, 0.0]).view(1, 1, 2, 2)
    network = torch.nn.Sequential(layer)
    assert {k: v.tolist() for k, v in active_shares(network, lambda: network(x)).items()} == {"0": [0.25, 0.5]}


def test_every_activation_of_a_model_is_counted_once() -> None:
    shape = {"width": 16, "latents": 16, "hyper": 8, "levels": 3, "means_width": 16, "context_width": 16}
    network = GainsNetwork(GainsConfig(**shape))
    weights = [value.clone() for value in network.state_dict().values()]
    shares = active_shares(network, lambda: network(torch.rand(1, 3, 64, 64), torch.tensor([50.0]), noise=False))
    assert {"analysis.blocks.1, 2", "hyper_analysis, 2", "context, 1", "scales.second_mix"} <= set(shares)
    assert [len(shares[f"synthesis.blocks.0, {i}"]) for i in (1, 2)] == [16, 32]
    assert all(((share >= 0) & (share <= 1)).all() for share in shares.values())
    assert all(torch.equal(a, b) for a, b in zip(weights, network.state_dict().values(), strict=True))
    network(torch.rand(1, 3, 64, 64), torch.tensor([50.0]))  # nothing watches it any more
    assert len(shares) == len(markdown(shares).splitlines()) - 3


def test_the_table_tells_never_from_rarely() -> None:
    table = markdown({"a": torch.tensor([0.0, 0.0005, 0.5, 1.0]), "b": torch.tensor([0.0, 0.5, 0.5, 0.5])})
    assert table.splitlines()[2:] == [
        "| a | 4 | 25 % | 50 % |",
        "| b | 4 | 25 % | 25 % |",
        "| all | 8 | 25 % | 38 % |",
    ]


def test_what_is_no_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "is not a shipped model" in capsys.readouterr().err
