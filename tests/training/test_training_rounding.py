"""How finely an export stores each weight: as the picture and the file need it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from torch import Tensor, nn  # noqa: E402

from glissando.training.steps import (  # noqa: E402
    BITS,
    COARSEST,
    PLAIN,
    SQUARED_ERROR,
    STEP,
    plain_steps,
    round_to_steps,
    sensitivities,
)


def steps_of(stored: Any) -> Any:
    exponents = stored.rows.astype(float)[:, None] + stored.columns
    return 2 ** (exponents / 4)


def random_weight(shape: tuple[int, ...] = (60, 80), spread: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A weight and a sensitivity that is a product of rows and columns, both spread over some octaves."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator)
    rows, columns = (torch.exp2(spread * torch.randn(n, generator=generator)) for n in (shape[0], weight[0].numel()))
    return weight, 1e-3 * torch.outer(rows, columns).reshape(shape)


@pytest.mark.parametrize("shape", [(60, 80), (40, 30, 3, 3), (50, 1, 5, 5)])
def test_all_rows_and_columns_share_the_error(shape: tuple[int, ...]) -> None:
    weight, h = random_weight(shape, spread=1.0)
    stored = round_to_steps(weight, h)
    assert stored.symbols.shape == shape
    error = (h.reshape(shape[0], -1).numpy() * steps_of(stored) ** 2) / 12
    for axis in (0, 1):
        each = error.mean(axis=axis) / (STEP**2 / 12)
        assert 0.5 < each.min() <= each.max() < 2
    found = float((h * (torch.from_numpy(stored.values) - weight).square()).sum())
    assert found == pytest.approx(weight.numel() * STEP**2 / 12, rel=0.2)


def test_factors_are_the_best_even_where_no_product_fits() -> None:
    """One entry that matters far more than its row and its column: both get shorter steps."""
    weight, h = random_weight(spread=0.5)
    h[7, 9] *= 1e6
    stored = round_to_steps(weight, h)
    found = h * (torch.from_numpy(stored.values) - weight).square()
    assert float(found.sum()) < 2 * weight.numel() * STEP**2 / 12
    steps = steps_of(stored)
    assert steps[7].mean() < 0.5 * np.median(steps)
    assert steps[:, 9].mean() < 0.5 * np.median(steps)


def test_what_no_picture_wakes_is_not_forgotten() -> None:
    weight, h = random_weight()
    h[5], h[:, 6] = 0, 0
    nothing = round_to_steps(weight, torch.zeros_like(h))
    for stored, longest in ((round_to_steps(weight, h), 8.0), (nothing, 1.2)):
        assert np.isfinite(stored.values).all()
        assert np.sqrt(np.square(steps_of(stored)).mean()) <= longest * COARSEST
    assert np.abs(nothing.values - weight.numpy()).max() <= 0.6 * COARSEST


def test_no_symbol_is_beyond_the_coder() -> None:
    weight, h = random_weight()
    weight[3, 4], h[:, 4] = 1e4, 1e6
    stored = round_to_steps(weight, h)
    assert np.abs(stored.symbols.astype(int)).max() <= 32767
    others = np.ones(weight.shape, bool)
    others[3], others[:, 4] = False, False
    unchanged = round_to_steps(torch.where(torch.from_numpy(others), weight, torch.tensor(0.1)), h)
    assert np.median(steps_of(stored)[others] / steps_of(unchanged)[others]) <= 1.5
    assert abs(float(stored.values[3, 4]) - 1e4) < 1


def test_rounding_again_changes_little_and_is_the_same_twice() -> None:
    weight, h = random_weight()
    first, second = round_to_steps(weight, h), round_to_steps(weight, h)
    for part in ("symbols", "rows", "columns"):
        assert np.array_equal(getattr(first, part), getattr(second, part))


def test_without_pictures_steps_are_short() -> None:
    weight, _ = random_weight()
    weight[2] *= 100
    weight[3] = 0
    stored = plain_steps(weight)
    rms = weight.square().mean(1, keepdim=True).sqrt().numpy()
    error = np.abs(stored.values - weight.numpy())
    assert (error <= 0.6 * PLAIN * np.maximum(rms, 1e-3 * rms.max())).all()


class Linear(nn.Module):
    """A picture's pixels mixed within each position, and a bias that costs bits."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 1, bias=False)
        self.price = nn.Parameter(torch.tensor(2.0))
        self.unused = nn.Parameter(torch.ones(4))


class LinearObjective:
    """``training.family.Objective``, as far as it is used."""

    def measure(self, network: nn.Module, picture: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(network, Linear)
        return (network.price * 100).reshape(1), network.mix(picture)


def test_sensitivities_are_those_of_the_jacobian() -> None:
    """For a linear network: Σ (∂pixel/∂weight)² is the input's energy, and the bits' gradient is known."""
    torch.manual_seed(3)
    network = Linear()
    pictures = torch.randint(0, 256, (4, 3, 256, 256), dtype=torch.uint8)
    pictures[:, 1] //= 4  # a channel that matters less
    found = sensitivities(LinearObjective(), network, pictures)  # type: ignore[arg-type]
    expected = torch.zeros(3, 3)
    for picture in pictures:
        x = picture[None].float() / 255
        with torch.no_grad():
            error = (network.mix(x) - x).square().sum()
        expected += x.square().sum((0, 2, 3))[None] / (SQUARED_ERROR * error) / len(pictures)
    # Random signs: each of the nine numbers is right to some per cent.
    assert torch.allclose(found["mix.weight"][:, :, 0, 0].mean(0), expected.mean(0), rtol=0.5)
    assert float(found["mix.weight"][:, 1].mean()) < 0.3 * float(found["mix.weight"][:, 0].mean())
    assert float(found["price"]) == pytest.approx(0.5 * np.log(2) * 100**2 / (BITS * 200))
    assert not found["unused"].any()
    assert all(value.requires_grad for value in network.parameters())
    again = sensitivities(LinearObjective(), network, pictures)  # type: ignore[arg-type]
    assert all(torch.equal(found[name], again[name]) for name in found)
