"""What a GPU does otherwise computes the same: crops by gather, steps that look at nothing, compiled passes."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tiny_recipe import NETWORK

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from glissando.families.gains.cost import kmac_per_pixel  # noqa: E402
from glissando.training.crops import Crops  # noqa: E402
from glissando.training.data import Tiles  # noqa: E402
from glissando.training.hardware import describe_device, operations_per_picture  # noqa: E402
from glissando.training.loop import Meter  # noqa: E402
from glissando.training.optimiser import Muon, orthogonalise  # noqa: E402
from glissando.training.recipe import from_dict  # noqa: E402
from glissando.training.trainer import Trainer  # noqa: E402

RECIPE = f"""
family = "gains"
{NETWORK}[data]
crop = 64
batch = 2
[run]
initial = "random"
"""


def random_tiles() -> Any:
    return torch.randint(0, 256, (5, 3, 200, 200), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def build(out: Path, **optimiser: Any) -> Trainer:
    tiles = Tiles(random_tiles(), torch.zeros(5, dtype=torch.bool))
    recipe = from_dict({**tomllib.loads(RECIPE), "optimiser": optimiser})
    return Trainer(recipe, tiles, torch.device("cpu"), out)


# --- Crops -------------------------------------------------------------------------------------------------


def cutter(halved: float, share: slice = slice(None)) -> Crops:
    generator = torch.Generator().manual_seed(7)
    return Crops(random_tiles(), 64, 6, generator, halved=halved, choices=3, share=share)


@pytest.mark.parametrize("halved", [0.0, 0.5, 1.0])
def test_a_gather_cuts_what_slices_cut(halved: float) -> None:
    crops = cutter(halved)
    for _ in range(4):
        positions = crops.draw_positions()
        assert positions.shape == (18, 4)
        assert {0.0: {1}, 0.5: {1, 2}, 1.0: {2}}[halved] == set(positions[:, 3].tolist())
        assert torch.equal(crops.gather(positions), crops.slice(positions))


def test_the_batches_are_the_same_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    sliced = cutter(0.5)
    expected = [sliced.next() for _ in range(3)]
    gathered = cutter(0.5)
    monkeypatch.setattr(gathered, "slice", gathered.gather)
    assert all(torch.equal(gathered.next(), batch) for batch in expected)


def test_shares_make_up_the_batch() -> None:
    whole = cutter(0.5)
    parts = [cutter(0.5, slice(i, None, 3)) for i in range(3)]
    for _ in range(3):
        batch = whole.next()
        for i, part in enumerate(parts):
            assert torch.equal(part.next(), batch[i::3])


# --- Steps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"kind": "muon"}, {"kind": "adamw"}, {"whiten": 0.5}])
def test_a_step_that_looks_at_nothing_skips_what_is_not_finite(tmp_path: Path, settings: dict[str, Any]) -> None:
    """As on a GPU: weights and momenta stay, to the last bit, and the skipped step is counted when asked."""
    weights = []
    for waits in (True, False):
        trainer = build(tmp_path, **settings)
        trainer.waits = waits
        trainer.step(1.0)
        good = trainer.crops.tiles
        trainer.crops.tiles = good.float() * float("nan")
        before = [p.detach().clone() for p in trainer.network.parameters()]
        states = [{k: v.clone() for k, v in s.items()} for o in trainer.optimisers for s in o.state.values()]
        trainer.advance(1.0)
        for old, new in zip(before, trainer.network.parameters(), strict=True):
            torch.testing.assert_close(old, new.detach(), rtol=1e-6, atol=0)  # constraints may round once more
        after = [s for o in trainer.optimisers for s in o.state.values()]
        assert all(torch.equal(old[k], new[k]) for old, new in zip(states, after, strict=True) for k in old)
        assert all(p.isfinite().all() for p in trainer.ema.parameters())
        assert trainer.progress.skipped == 0
        trainer.count_skipped()
        assert trainer.progress.skipped == 1
        trainer.count_skipped()
        assert trainer.progress.skipped == 1
        trainer.crops.tiles = good
        trainer.step(1.0)
        weights.append([p.detach() for p in trainer.network.parameters()])
    for a, b in zip(*weights, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_all_matrices_of_a_shape_at_once() -> None:
    torch.manual_seed(2)
    matrices = torch.randn(4, 24, 40)
    for stack in (matrices, matrices.mT):
        together = orthogonalise(stack)
        for matrix, found in zip(stack, together, strict=True):
            torch.testing.assert_close(found, orthogonalise(matrix), rtol=1e-4, atol=1e-5)

    def weights_after(precision: Any) -> list[Any]:
        torch.manual_seed(3)
        params = [torch.nn.Parameter(torch.randn(m, n, 1, 1)) for m, n in ((6, 4), (4, 6), (6, 4), (5, 5))]
        optimiser = Muon(params, lr=0.1)
        optimiser.precision = precision
        for _ in range(3):
            for p in params[:3]:
                p.grad = torch.randn_like(p)
            optimiser.step()
        return params

    for one, many in zip(weights_after(torch.float32), weights_after(torch.bfloat16), strict=True):
        torch.testing.assert_close(one, many, rtol=0, atol=0.02)


@pytest.mark.parametrize("whiten", [0.0, 0.5])
def test_a_compiled_step_is_one_graph_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whiten: float) -> None:
    """Traced, differentiated and run, but not translated, which takes minutes; the step's number changes nothing."""
    from torch._dynamo.utils import counters

    def half(like: Any, **_: Any) -> Any:
        return torch.full_like(like, 0.5)

    monkeypatch.setattr(torch, "rand_like", half)
    plain, compiled = build(tmp_path, whiten=whiten), build(tmp_path, whiten=whiten)
    counters.clear()
    compiled.compile("aot_eager")
    for _ in range(3):
        expected, found = plain.step(1.0), compiled.step(1.0)
        for key in ("loss", "bpp", "psnr", "norm"):
            assert found[key] == pytest.approx(expected[key], rel=1e-3)
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    torch._dynamo.reset()


def test_what_is_not_finite_is_no_part_of_the_means(tmp_path: Path) -> None:
    meter = Meter(build(tmp_path))
    meter.add(torch.tensor([1.0, 2.0, 30.0, 4.0]))
    meter.add(torch.tensor([float("nan"), float("inf"), 32.0, 4.0]))
    with meter.stopped():
        time.sleep(0.2)
    found = meter.read()
    assert [found[key] for key in ("loss", "bpp", "psnr", "norm")] == [1.0, 2.0, 31.0, 4.0]
    assert found["pictures_per_second"] > 4 / 0.2
    assert found["tflops"] == pytest.approx(found["pictures_per_second"] * meter.operations / 1e12)


# --- Hardware ----------------------------------------------------------------------------------------------


def test_operations_are_those_of_the_layers(tmp_path: Path) -> None:
    trainer = build(tmp_path)
    once = {**kmac_per_pixel(trainer.ema, "encode"), **kmac_per_pixel(trainer.ema, "decode")}
    del once["total"]
    before = torch.get_rng_state()
    found = operations_per_picture(trainer.objective, trainer.ema, 64)
    assert found == pytest.approx(6000 * 64**2 * sum(once.values()), rel=1e-6)
    assert torch.equal(before, torch.get_rng_state())


def test_the_device_is_named() -> None:
    one, two = (describe_device(torch.device("cpu"), n) for n in (1, 2))
    threads = torch.get_num_threads()
    assert one.endswith(f", {threads} thread{'s' * (threads > 1)}")
    assert two.endswith(f", {2 * threads} threads")


@pytest.mark.parametrize(
    ("outlier", "expected"), [(0.0, (1.0 + 2.0 + 3.0 + 300.0) / 4), (2.0, (1.0 + 2.0 + 3.0 + 4.0) / 4)]
)
def test_a_picture_far_above_the_median_counts_no_more_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outlier: float, expected: float
) -> None:
    """Its gradient is as much less as its loss."""
    trainer = build(tmp_path, outlier=outlier)
    factors = torch.ones(4, requires_grad=True)

    def loss(*_: Any) -> tuple[Any, Any, Any]:
        return factors * torch.tensor([1.0, 2.0, 3.0, 300.0]), torch.zeros(4), torch.ones(4)

    monkeypatch.setattr(trainer.objective, "loss", loss)
    total, _, _ = trainer.loss(torch.zeros(4, 3, 64, 64), torch.zeros(4))
    assert float(total.detach()) == pytest.approx(expected)
    (gradient,) = torch.autograd.grad(total, factors)
    assert gradient.tolist() == pytest.approx([0.25, 0.5, 0.75, 1.0 if outlier else 75.0])
