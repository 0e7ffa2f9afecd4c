"""Gain units put onto codecs by composition: what is multiplied where, and that nothing else changes."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="gain units need PyTorch: pip install glissando[train]")

from toy_codec import ToyCodec  # noqa: E402

from glissando.errors import InputError  # noqa: E402
from glissando.gain import Gained, GainUnit, Parts, gained, lambda_at  # noqa: E402

PLAIN = Parts("analysis", "synthesis")
HYPER = Parts("analysis", "synthesis", "hyper_analysis", "hyper_synthesis")
LAMBDAS = (0.001, 0.01, 0.1)
PICTURE = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def test_the_codec_is_the_same_at_the_highest_quality() -> None:
    model = ToyCodec()
    latents = model.analysis(PICTURE)
    codec = gained(model, PLAIN, channels=12, lambdas=LAMBDAS)
    with codec.at(100):
        assert torch.equal(model.analysis(PICTURE), latents)
    with codec.at(0):
        torch.testing.assert_close(model.analysis(PICTURE), latents / 10, rtol=2e-3, atol=0)  # √(0.001/0.1)


def test_gains_stand_around_the_entropy_model() -> None:
    model = ToyCodec()
    plain = model.analysis(PICTURE)
    codec = gained(model, PLAIN, channels=12, lambdas=LAMBDAS)
    with torch.no_grad():
        codec.unit.gain.table.add_(torch.randn(3, 12) / 5 + 4)
        codec.unit.inverse_gain.table.add_(torch.randn(3, 12) / 5 - 4)
    with codec.at(30):
        factors = codec.factors
        symbols = model.symbols(PICTURE)
        decoded = model.decode(symbols)
    assert torch.equal(symbols, torch.round(plain * factors.gain))
    codec.remove()
    assert torch.equal(decoded, model.synthesis(symbols * factors.inverse))
    assert torch.equal(model.analysis(PICTURE), plain)


@pytest.mark.parametrize("sees", ["gained", "ungained"])
def test_hyper_latents_have_gains_of_their_own(sees: str) -> None:
    model = ToyCodec(hyper=True)
    y = model.analysis(PICTURE)
    codec = gained(model, HYPER, channels=12, lambdas=LAMBDAS, hyper_channels=4, hyper_sees=sees)
    assert codec.hyper_unit is not None
    codec.hyper_unit.start([3.0, 4.0, 5.0])
    with codec.at(50):
        model.symbols(PICTURE)
        gain = codec.factors.gain
    codec.remove()
    z = 16 * model.hyper_analysis(y * gain if sees == "gained" else y * gain / gain)
    assert torch.equal(model.seen["y"], y * gain)
    torch.testing.assert_close(model.seen["z"], z)
    torch.testing.assert_close(model.seen["scales"], model.hyper_synthesis(z.round() / 16))


def test_a_batch_trains_many_rates_at_once() -> None:
    model = ToyCodec()
    codec = gained(model, PLAIN, channels=12, lambdas=LAMBDAS)
    quality = torch.tensor([0.0, 100.0])
    picture, bits = codec(PICTURE, quality)
    (bits.sum() + (picture - PICTURE).square().sum() * lambda_at(LAMBDAS, quality).sum()).backward()
    for parameter in codec.parameters():
        assert parameter.grad is not None
        assert (parameter.grad != 0).any()
    assert (codec.unit.gain.table.grad[1] == 0).all()  # the level between the two was not drawn
    assert bits[0] < bits[1]


def test_lambdas_between_levels() -> None:
    torch.testing.assert_close(
        lambda_at(LAMBDAS, torch.tensor([0.0, 25.0, 50.0, 75.0, 100.0])), 10 ** torch.tensor([-3, -2.5, -2, -1.5, -1])
    )


def test_weights_keep_their_names_and_copies_are_their_own() -> None:
    model = ToyCodec()
    before = set(model.state_dict())
    codec = gained(model, PLAIN, channels=12, lambdas=LAMBDAS)
    assert set(model.state_dict()) == before
    model.load_state_dict(ToyCodec().state_dict())
    other = copy.deepcopy(codec)
    with codec.at(0):
        assert not torch.equal(model.analysis(PICTURE), ToyCodec().analysis(PICTURE))
        with pytest.raises(InputError, match="no quality is set"):
            other.model.analysis(PICTURE)


def test_without_a_quality_nothing_runs() -> None:
    model = ToyCodec()
    codec = gained(model, PLAIN, channels=12, lambdas=LAMBDAS)
    with pytest.raises(InputError, match=r"codec\.at\(quality\)"):
        model(PICTURE)
    with codec.at(20):
        with codec.at(80):
            pass
        assert torch.equal(codec.factors.gain, codec.unit.at(20).gain)
    with pytest.raises(InputError, match="no quality"):
        _ = codec.factors


def test_tables_upside_down_are_refused() -> None:
    """Level 0 is the lowest rate. Others have their highest there: such tables would be read the wrong way round."""
    model = ToyCodec(hyper=True)
    codec = gained(model, HYPER, channels=12, lambdas=LAMBDAS, hyper_channels=4)
    assert codec.hyper_unit is not None
    codec.hyper_unit.start([1.0, 0.5, 0.0])  # these may fall
    with codec.at(50):
        model.symbols(PICTURE)
    codec.unit.start([0.0, -1.5, -3.0])
    with pytest.raises(InputError, match="upside down"), codec.at(50):
        pass


@pytest.mark.parametrize("lambdas", [(), (0.1,), (0.1, 0.01), (0.0, 0.1), (0.1, float("inf")), (0.1, float("nan"))])
def test_levels_upside_down_are_refused(lambdas: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="lambdas are"):
        gained(ToyCodec(), PLAIN, channels=12, lambdas=lambdas)


def test_errors_name_what_is_wrong() -> None:
    model, unit = ToyCodec(), GainUnit(2, 12)
    with pytest.raises(InputError, match="ToyCodec has no module 'g_a'; it has analysis, synthesis"):
        Gained(model, Parts("g_a", "g_s"), unit)
    with pytest.raises(InputError, match="must name an analysis and a synthesis"):
        Gained(model, Parts("analysis", ""), unit)
    with pytest.raises(InputError, match="hyper unit needs"):
        Gained(model, PLAIN, unit, unit)
    with pytest.raises(InputError, match="hyper_sees"):
        Gained(model, PLAIN, unit, hyper_sees="both")
    with pytest.raises(InputError, match="ungained"):
        Gained(model, PLAIN, unit, hyper_sees="ungained")
    with pytest.raises(InputError, match="no module 'h_s'"):
        Gained(model, Parts("analysis", "h_s"), unit)
    codec = Gained(model, PLAIN, unit)
    with pytest.raises(InputError, match="has gain units already"):
        Gained(model, PLAIN, unit)
    with pytest.raises(InputError, match=r"tensor \(B,\)"), codec.at(torch.zeros(1, 1)):
        pass
    with codec.at(50), pytest.raises(InputError, match="first, unnamed argument"):
        model.synthesis(input=PICTURE)


def test_an_analysis_with_two_results_is_refused() -> None:
    model = ToyCodec()
    model.analysis = torch.nn.LSTM(3, 3)
    codec = Gained(model, PLAIN, GainUnit(2, 3))
    with codec.at(50), pytest.raises(InputError, match="LSTM returns tuple"):
        model.analysis(torch.zeros(1, 1, 3))


def test_the_page_shows_code_that_runs() -> None:
    """The example of docs/gain-units.md, in ten lines at most, with the toy codec as the user's own."""
    page = (Path(__file__).parents[2] / "docs" / "gain-units.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"<!-- example:begin -->\n+```python\n(.*?)```\n+<!-- example:end -->", page, re.S)
    assert len([line for line in example.splitlines() if line]) <= 10
    losses = []

    def step(codec: Gained, loss: torch.Tensor) -> None:
        optimiser = torch.optim.Adam(codec.parameters(), 1e-3)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))

    def distortion(decoded: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
        return 255**2 * (decoded - picture).square().sum((1, 2, 3))

    model = ToyCodec()
    before = model.analysis.weight.detach().clone()
    names = {
        "torch": torch,
        "model": model,
        "pictures": [PICTURE, PICTURE],
        "step": step,
        "distortion": distortion,
    }
    exec(compile(example, "docs/gain-units.md", "exec"), names)
    assert len(losses) == 2
    assert (model.analysis.weight != before).any()
    assert names["decoded"].shape == PICTURE.shape
