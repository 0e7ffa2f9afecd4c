"""Gain units: exponential between levels, the same integers on both sides, levels from the lowest rate up."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="gain units need PyTorch: pip install glissando[train]")

from glissando.errors import InputError, TrainingError  # noqa: E402
from glissando.gain import FixedGains, GainUnit  # noqa: E402

LEVELS, CHANNELS = 4, 5


@pytest.fixture
def unit() -> GainUnit:
    """A trained unit: tables that differ from channel to channel, and inverse gains that are no reciprocals."""
    unit = GainUnit(LEVELS, CHANNELS)
    random = torch.Generator().manual_seed(3)
    rising = torch.linspace(-3, 0, LEVELS)[:, None]
    with torch.no_grad():
        unit.gain.table.copy_(rising + torch.randn(LEVELS, CHANNELS, generator=random) / 4)
        unit.inverse_gain.table.copy_(-rising + torch.randn(LEVELS, CHANNELS, generator=random) / 4)
    return unit


def test_a_new_unit_changes_nothing() -> None:
    factors = GainUnit(3, 2).at(37.5)
    assert factors.gain.shape == (1, 2, 1, 1)
    assert torch.equal(factors.gain, torch.ones(1, 2, 1, 1))
    assert torch.equal(factors.inverse, factors.gain)


@pytest.mark.parametrize("level", range(LEVELS - 1))
@pytest.mark.parametrize("share", [0.25, 0.5, 0.875])
def test_gains_between_levels_are_exponential(unit: GainUnit, level: int, share: float) -> None:
    """m_r^l · m_t^(1−l) for gains and for inverse gains: one side that is linear instead is a mistake others made."""
    step = 100 / (LEVELS - 1)
    low, high = (unit.learning(torch.tensor([step * s])) for s in (level, level + 1))
    between = unit.learning(torch.tensor([step * (level + share)]))
    for name in ("gain", "inverse"):
        t, r, v = (getattr(factors, name) for factors in (low, high, between))
        torch.testing.assert_close(v, r**share * t ** (1 - share), rtol=1e-5, atol=0)
        linear = share * r + (1 - share) * t
        assert ((linear - v).abs() > 1e-3 * v).any()


def test_what_is_restored_is_constant_between_levels_where_it_is_at_them(unit: GainUnit) -> None:
    """m·m' = C at two levels is kept in between. Inverse gains that are linear would break it by a tenth."""
    with torch.no_grad():
        unit.inverse_gain.table.copy_(0.2 - unit.gain.table)
    for quality in torch.linspace(0, 100, 41):
        factors = unit.at(float(quality))
        # Each factor is rounded to 1/256 octave.
        torch.testing.assert_close(factors.gain * factors.inverse, torch.full((1, 5, 1, 1), 2**0.2), rtol=5e-3, atol=0)


@settings(deadline=None)
@given(units=st.integers(0, 100 * 256))
def test_files_and_training_agree(units: int) -> None:
    unit = GainUnit(3, 2)
    with torch.no_grad():
        unit.gain.table.copy_(torch.tensor([[-2.5, -3.0], [-1.0, 0.25], [0.5, 1.75]]))
        unit.inverse_gain.table.copy_(torch.tensor([[2.25, 3.0], [1.0, -0.5], [-0.5, -1.5]]))
    quality = units / 256
    exact, learning = unit.at(quality), unit.learning(torch.tensor([quality], dtype=torch.float64))
    for name in ("gain", "inverse"):
        ratio = getattr(exact, name).double() / getattr(learning, name)
        assert (ratio.log2().abs() <= 0.51 / 256 + 2**-14).all()


def test_both_sides_have_the_same_bits(unit: GainUnit) -> None:
    """A decoder that has the integers alone, in another process, without PyTorch, computes the encoder's bits."""
    fixed = unit.fixed()
    code = (
        "import sys, numpy as np\n"
        "sys.modules['torch'] = None\n"
        "import importlib.util as u\n"
        "spec = u.find_spec('glissando')\n"
        "path = spec.submodule_search_locations[0] + '/gain/fixed.py'\n"
        "spec = u.spec_from_file_location('fixed', path)\n"
        "fixed = u.module_from_spec(spec); sys.modules['fixed'] = fixed; spec.loader.exec_module(fixed)\n"
        f"g = fixed.FixedGains(np.array({fixed.gain.tolist()}, np.int16), "
        f"np.array({fixed.inverse_gain.tolist()}, np.int16))\n"
        "print(*(b''.join(f.tobytes() for f in g.factors(u)).hex() for u in range(0, 25601, 997)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    theirs = run.stdout.split()
    ours = []
    for units in range(0, 25601, 997):
        factors = unit.at(units / 256)
        ours.append((factors.gain.numpy().tobytes() + factors.inverse.numpy().tobytes()).hex())
    assert theirs == ours


def test_factors_are_powers_of_two_rounded_down_to_16_bits() -> None:
    octaves = np.arange(-(1 << 12), 1 << 12, dtype=np.int16)
    gains = FixedGains(np.stack([octaves, octaves]), np.stack([octaves, octaves])).factors(0)[0]
    exact = np.exp2(octaves / 256)
    assert (gains <= exact * (1 + 1e-12)).all()
    assert (gains > exact * (1 - 2.0**-15)).all()
    mantissa = np.frexp(gains)[0] * 2**16
    assert (mantissa == np.rint(mantissa)).all()
    assert (gains[octaves % 256 == 0] == exact[octaves % 256 == 0]).all()


def test_a_tied_unit_takes_reciprocals() -> None:
    unit = GainUnit(2, 1, tied=True)
    unit.start([-1.0, 1.0])
    assert unit.inverse_gain is None
    for quality, gain in ((0, 0.5), (50, 1.0), (100, 2.0)):
        factors = unit.at(quality)
        assert (float(factors.gain), float(factors.inverse)) == (gain, 1 / gain)
    rows = unit.fixed().rows(3333)
    assert (rows[0] == -rows[1]).all()


def test_level_zero_has_the_lowest_rate(unit: GainUnit) -> None:
    """Tables whose first level is the highest rate, as others have them, are told apart."""
    unit.fixed().check_order()
    with torch.no_grad():
        unit.gain.table.copy_(unit.gain.table.flip(0))
    with pytest.raises(InputError, match="upside down"):
        unit.fixed().check_order()


@pytest.mark.parametrize("quality", [-0.01, 100.01, float("nan"), float("inf")])
def test_qualities_outside_the_trained_range_are_refused(unit: GainUnit, quality: float) -> None:
    with pytest.raises(InputError, match="from 0 to 100"):
        unit.at(quality)


def test_extrapolation_goes_on_along_the_last_line(unit: GainUnit) -> None:
    step = 100 / (LEVELS - 1)
    table = unit.gain.table.detach()
    for quality, expected in ((-step, 2 * table[0] - table[1]), (100 + step, 2 * table[-1] - table[-2])):
        found = unit.at(quality, extrapolate=True).gain.flatten().log2()
        torch.testing.assert_close(found, expected, rtol=0, atol=0.02)
        learnt = unit.learning(torch.tensor([quality])).gain.flatten().log2()
        torch.testing.assert_close(learnt, expected, rtol=0, atol=1e-4)
    with pytest.raises(InputError, match="float32"):
        unit.at(1e5, extrapolate=True)


def test_both_tables_learn(unit: GainUnit) -> None:
    factors = unit.learning(torch.tensor([10.0, 90.0]))
    assert factors.gain.shape == (2, CHANNELS, 1, 1)
    (factors.gain.sum() + factors.inverse.sum()).backward()
    for table in (unit.gain, unit.inverse_gain):
        assert (table.table.grad != 0).all(dim=1).tolist() == [True, True, True, True]


def test_tables_that_are_no_gains_are_refused(unit: GainUnit) -> None:
    with torch.no_grad():
        unit.gain.table[1, 2] = float("nan")
    with pytest.raises(TrainingError, match=r"gain reaches nan, more than 128\.0"):
        unit.fixed()
    whole = np.zeros((2, 3), np.int16)
    with pytest.raises(InputError, match="int16"):
        FixedGains(whole.astype(np.int32), whole)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two levels"):
        FixedGains(whole[:1], whole[:1])
    with pytest.raises(InputError, match=r"inverse_gain \(2, 2\)"):
        FixedGains(whole, whole[:, :2])
    with pytest.raises(InputError, match="2 levels"):
        GainUnit(1, 3)
    with pytest.raises(InputError, match="as many gains"):
        GainUnit(3, 3).start([0.0, 1.0])
