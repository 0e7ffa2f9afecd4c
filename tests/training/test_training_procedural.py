"""Pictures that are drawn: every kind, from seeds, and in the batches of a training."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from glissando.errors import RecipeError  # noqa: E402
from glissando.training.crops import Crops  # noqa: E402
from glissando.training.procedural import KINDS, PART, draw, draw_many  # noqa: E402
from glissando.training.recipe import from_dict  # noqa: E402


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [64, 192, 250])
def test_every_kind_fills_its_picture(kind: str, side: int) -> None:
    differ = 0
    for seed in range(8):
        picture = KINDS[kind](np.random.default_rng(seed), side)
        assert picture.shape == (side, side, 3)
        assert picture.dtype == np.uint8
        differ += np.ptp(picture) > 0
    assert differ >= 6


def test_seeds_decide() -> None:
    pictures = [draw(seed, 64) for seed in range(40)]
    assert all(np.array_equal(draw(seed, 64), picture) for seed, picture in enumerate(pictures))
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_hard_patterns_are_among_them() -> None:
    """One-pixel patterns, of two colours alone, which no latent of 16×16 pixels can say."""
    found = 0
    for seed in range(40):
        picture = KINDS["stripes"](np.random.default_rng(seed), 64)
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= 2
        rows, columns = (np.any(np.diff(picture.astype(int), axis=axis) != 0, axis=2) for axis in (0, 1))
        found += bool(rows.all() or columns.all())
    assert found >= 5


def batches(share: float, part: slice = slice(None)) -> torch.Tensor:
    tiles = torch.full((3, 3, 128, 128), 77, dtype=torch.uint8)
    crops = Crops(tiles, 64, 8, torch.Generator().manual_seed(5), procedural=share, share=part)
    return torch.stack([crops.next() for _ in range(12)])


def test_a_share_of_each_batch_is_drawn() -> None:
    plain, mixed, drawn = (batches(share) for share in (0.0, 0.25, 1.0))
    assert (plain == 77 / 255).all()
    cut = (mixed == 77 / 255).flatten(2).all(2)
    assert 0.6 < cut.float().mean() < 0.9
    assert not (drawn == 77 / 255).flatten(2).all(2).any()
    assert 0 <= drawn.min() <= drawn.max() <= 1


def test_processes_draw_the_same_pictures_between_them() -> None:
    whole = batches(0.5)
    torch.testing.assert_close(torch.cat([batches(0.5, slice(i, None, 2)) for i in (0, 1)], 1),
                               torch.cat([whole[:, i::2] for i in (0, 1)], 1))  # fmt: skip


def test_a_share_above_one_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"data\.procedural"):
        from_dict({"family": "gains", "data": {"procedural": 1.5}})


@pytest.mark.parametrize("count", [3, PART + 2])
def test_many_are_the_same_pictures(count: int) -> None:
    """Also where several processes draw them."""
    many = draw_many(count, 64)
    assert many.shape == (count, 64, 64, 3)
    assert all(np.array_equal(picture, draw(seed, 64)) for seed, picture in enumerate(many))


def test_crops_choose_of_the_pictures_drawn_at_the_start() -> None:
    tiles = torch.full((3, 3, 128, 128), 77, dtype=torch.uint8)
    crops = Crops(tiles, 64, 8, torch.Generator().manual_seed(5), procedural=1.0, drawn=4)
    known = {draw(seed, 64).tobytes() for seed in range(4)}
    found = {
        (255 * picture).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy().tobytes()
        for _ in range(6)
        for picture in crops.next()
    }
    assert found == known


def test_more_drawn_pictures_than_fit_are_an_error() -> None:
    with pytest.raises(RecipeError, match=r"data\.drawn"):
        from_dict({"family": "gains", "data": {"drawn": 100_000}})
