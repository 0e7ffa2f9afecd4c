"""The main family's objective: distortions, one rate alone, and what stands in for rounding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from glissando.bench.metrics import ms_ssim as ms_ssim_of_bytes  # noqa: E402
from glissando.errors import RecipeError  # noqa: E402
from glissando.families.content.objective import ContentObjective  # noqa: E402
from glissando.families.gains.network import GainsNetwork  # noqa: E402
from glissando.families.gains.objective import GainsObjective  # noqa: E402
from glissando.families.gains.recipe import GainsRate, GainsRecipe  # noqa: E402
from glissando.training import distortion, run  # noqa: E402
from glissando.training.linear_start import dct_bases  # noqa: E402
from glissando.training.loop import load_checkpoint  # noqa: E402
from glissando.training.recipe import from_dict, read_recipe  # noqa: E402

Pixels = NDArray[np.uint8]
RECIPES = Path(__file__).parents[2] / "recipes"
NETWORK = {"latents": 16, "hyper": 8, "levels": 3, "analysis_blocks": 1, "synthesis_blocks": 1, "means_width": 16,
    "context_width": 16}  # fmt: skip


def objective(seed: int = 0, **changes: dict[str, Any]) -> tuple[GainsObjective, Any]:
    """Of a tiny network, whose latents and hyper-latents are some steps wide."""
    found = GainsObjective(from_dict({"family": "gains", "network": NETWORK, **changes}))
    assert isinstance(found, GainsObjective)
    torch.manual_seed(seed)
    network: Any = found.build(None)
    with torch.no_grad():
        network.gain.table.add_(3.0)
        network.inverse_gain.table.sub_(3.0)
        network.hyper_gain.table.add_(3.0)
        network.first_means.weight.normal_(std=0.1)
        network.context.out.weight.normal_(std=0.1)
    found.begin(10_000, 0.0)
    return found, network


@pytest.fixture(scope="module")
def pictures(natural: Callable[..., Pixels]) -> Any:
    """Two pictures (2, 3, 192, 192) in [0, 1]."""
    stack = np.stack([natural(192, 192, seed=i) for i in range(2)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255


QUALITY = torch.tensor([20.0, 80.0])


# --- MS-SSIM -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(192, 192), (161, 203)])
def test_ms_ssim_is_that_of_the_benchmarks(shape: tuple[int, int], natural: Callable[..., Pixels]) -> None:
    """Also where sides are odd on the way down."""
    picture = natural(*shape, seed=3)
    random = np.random.default_rng(0)
    decoded = np.clip(picture + random.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
    ours, theirs = (torch.from_numpy(x.copy()).permute(2, 0, 1)[None].float() / 255 for x in (decoded, picture))
    assert float(distortion.ms_ssim(ours, theirs)) == pytest.approx(ms_ssim_of_bytes(picture, decoded), abs=1e-5)


def test_ms_ssim_has_the_gradient_of_pytorch_msssim(pictures: Any) -> None:
    library = pytest.importorskip("pytorch_msssim", reason="the reference: pip install pytorch-msssim")
    noisy = pictures + 0.05 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    found = []
    for function in (distortion.ms_ssim, lambda a, b: library.ms_ssim(a, b, data_range=1.0, size_average=False)):
        out = noisy.clone().requires_grad_()
        value = function(out, pictures)
        (value * torch.tensor([1.0, 3.0])).sum().backward()
        found.append((value.detach(), out.grad))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-3 * float(found[1][1].abs().max()))


def test_its_gradient_is_that_of_differences() -> None:
    """In float64, along random directions, in every scale with and without luminance."""
    generator = torch.Generator().manual_seed(1)
    picture = torch.rand(2, 3, 14, 17, generator=generator, dtype=torch.float64)
    out = picture + 0.1 * torch.randn(picture.shape, generator=generator, dtype=torch.float64)
    for luminance in (False, True):
        assert torch.autograd.gradcheck(
            lambda x, luminance=luminance: distortion._Similarity.apply(x, picture, luminance),
            out.requires_grad_(),
            fast_mode=True,
        )


def test_ms_ssim_of_unlike_pictures_has_a_finite_gradient() -> None:
    """Negative similarities, whose power would be not a number."""
    picture = torch.rand(1, 3, 192, 192, generator=torch.Generator().manual_seed(0))
    for start in (1 - picture, torch.zeros_like(picture), picture):
        out = start.clone().requires_grad_()
        distortion.ms_ssim(out, picture).sum().backward()
        assert out.grad is not None
        assert torch.isfinite(out.grad).all()


def test_ms_ssim_stays_in_float32_under_autocast(pictures: Any) -> None:
    noisy = pictures + 1e-3
    plain = distortion.ms_ssim(noisy, pictures)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(distortion.ms_ssim(noisy, pictures), plain)


def test_the_loss_falls_as_the_reconstruction_improves(pictures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, network = objective(rate={"distortion": "ms-ssim", "lambda_low": 1.0, "lambda_high": 500.0})
    forward = network.forward
    each = []
    for share in (0.0, 0.5, 0.9):

        def nearer(*args: Any, share: float = share, **kwargs: Any) -> Any:
            out = forward(*args, **kwargs)
            out.reconstruction = torch.lerp(out.reconstruction, pictures, share)
            return out

        monkeypatch.setattr(network, "forward", nearer)
        torch.manual_seed(1)
        loss, bpp, mse = found.loss(network, pictures, QUALITY)
        each.append((loss, mse))
        rate = found.recipe.rate
        seen = 1 - distortion.ms_ssim(torch.lerp(forward_of(forward, pictures), pictures, share), pictures)
        torch.testing.assert_close(loss, rate.weight_of(QUALITY) * (bpp + rate.lambda_of(QUALITY) * seen))
    for worse, better in ((0, 1), (1, 2)):
        assert (each[better][0] < each[worse][0]).all()
        assert (each[better][1] < each[worse][1]).all()  # MSE is told all the same


def forward_of(forward: Callable[..., Any], pictures: Any) -> Any:
    """The reconstruction with the noise of the seed that the test sets."""
    torch.manual_seed(1)
    return forward(pictures, QUALITY).reconstruction


def test_every_part_learns_from_ms_ssim(pictures: Any) -> None:
    found, network = objective(rate={"distortion": "ms-ssim", "lambda_low": 1.0, "lambda_high": 500.0})
    found.loss(network, pictures, QUALITY)[0].mean().backward()
    for part in ("analysis", "synthesis", "hyper_analysis", "gain", "inverse_gain"):
        total = sum(float(p.grad.abs().sum()) for p in getattr(network, part).parameters() if p.grad is not None)
        assert np.isfinite(total)
        assert total > 0, part


def test_mse_is_what_it_was(pictures: Any) -> None:
    found, network = objective()
    torch.manual_seed(2)
    loss, bpp, mse = found.loss(network, pictures, QUALITY)
    torch.manual_seed(2)
    out = network(pictures, QUALITY)
    torch.testing.assert_close(mse, (out.reconstruction - pictures).square().mean((1, 2, 3)))
    torch.testing.assert_close(bpp, (out.latent_bits + out.hyper_bits) / 192**2)
    lambdas = 0.0003 * (0.2 / 0.0003) ** (QUALITY / 100)
    torch.testing.assert_close(loss, (lambdas / (0.0003 * 0.2) ** 0.5) ** -0.4 * (bpp + lambdas * 255**2 * mse))


@pytest.mark.parametrize("kind", ["pca", "dct"])
def test_it_begins_as_the_recipe_says(kind: str, natural: Callable[..., Pixels]) -> None:
    """With steps for MSE, whatever the distortion: a λ of MS-SSIM would give steps of nearly nothing."""
    stack = np.stack([natural(128, 128, seed=i) for i in range(8)])
    sample = torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255
    gains = []
    for rate in ({}, {"distortion": "ms-ssim", "lambda_low": 1.0, "lambda_high": 500.0}):
        network = GainsObjective(
            from_dict({"family": "gains", "network": NETWORK, "rate": rate, "run": {"initial": kind}})
        ).build(sample)
        assert isinstance(network, GainsNetwork)
        gains.append(network.gain.table.detach())
        weight = network.analysis.enter.weight.detach()[:, :, 0, 0]
        fixed = torch.allclose(weight / weight.norm(dim=1, keepdim=True), dct_bases()[0], atol=1e-5)
        assert fixed == (kind == "dct")
    torch.testing.assert_close(gains[0], gains[1])


# --- One rate alone ----------------------------------------------------------------------------------------


def test_one_rate_alone_ignores_the_quality_drawn(pictures: Any) -> None:
    found, network = objective(rate={"single": True, "quality": 30.0})
    assert found.qualities == (30.0,)
    each = []
    for drawn in (0.0, 30.0, 100.0):
        torch.manual_seed(3)
        each.append(found.loss(network, pictures, torch.full((2,), drawn))[0])
    assert torch.equal(each[0], each[1])
    assert torch.equal(each[1], each[2])
    everywhere, _ = objective()
    torch.manual_seed(3)
    assert torch.equal(everywhere.loss(network, pictures, torch.full((2,), 30.0))[0], each[0])
    assert everywhere.qualities == (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)


def test_both_families_share_the_keys_of_one_rate() -> None:
    content = ContentObjective(from_dict({"family": "content", "rate": {"single": True, "quality": 30.0}}))
    assert isinstance(content, ContentObjective)
    assert content.qualities == (30.0,)


# --- What stands in for rounding ---------------------------------------------------------------------------


def coded(mode: str, pictures: Any, share: float = 0.0) -> tuple[Any, Any, dict[str, float]]:
    """bpp and MSE of one batch, and what each part learns from it."""
    found, network = objective(quantisation={"mode": mode})
    found.begin(10_000, share)
    torch.manual_seed(4)
    loss, bpp, mse = found.loss(network, pictures, QUALITY)
    loss.mean().backward()
    learnt = {
        name: sum(float(p.grad.abs().sum()) for p in part.parameters() if p.grad is not None)
        for name, part in network.named_children()
    }
    return bpp.detach(), mse.detach(), learnt


def test_straight_through_trains_on_what_is_measured(pictures: Any) -> None:
    bpp, mse, learnt = coded("straight-through", pictures)
    found, network = objective()
    with torch.no_grad():
        bits, reconstruction = found.measure(network, pictures, QUALITY)
    torch.testing.assert_close(bpp, bits / 192**2)
    torch.testing.assert_close(mse, distortion.mse(reconstruction, pictures))
    assert min(learnt[part] for part in ("analysis", "hyper_analysis", "synthesis", "gain")) > 0


def test_mixed_reconstructs_what_is_measured_and_pays_for_noise(pictures: Any) -> None:
    straight, mixed, noise = (coded(mode, pictures) for mode in ("straight-through", "mixed", "noise"))
    assert torch.equal(mixed[1], straight[1])
    assert not torch.equal(mixed[0], straight[0])
    assert not torch.equal(noise[1], mixed[1])
    assert not torch.equal(noise[0], mixed[0])
    # Noise is as large as rounding errors are: neither rates nor errors are far apart.
    torch.testing.assert_close(noise[0], mixed[0], rtol=0.2, atol=0)
    torch.testing.assert_close(noise[1], mixed[1], rtol=0.2, atol=0)


def test_the_default_is_mixed(pictures: Any) -> None:
    found, network = objective()
    torch.manual_seed(4)
    assert torch.equal(found.loss(network, pictures, QUALITY)[1].detach(), coded("mixed", pictures)[0])


def test_soft_then_hard_leaves_the_encoder_alone_in_the_end(pictures: Any) -> None:
    soft, still_soft = coded("noise", pictures), coded("soft-then-hard", pictures, 0.74)
    for one, other in zip(soft[:2], still_soft[:2], strict=True):
        assert torch.equal(one, other)
    assert still_soft[2]["analysis"] > 0 < still_soft[2]["hyper_analysis"]
    hard = coded("soft-then-hard", pictures, 0.75)
    straight = coded("straight-through", pictures)
    for one, other in zip(hard[:2], straight[:2], strict=True):
        assert torch.equal(one, other)
    assert hard[2]["analysis"] == hard[2]["hyper_analysis"] == 0
    for part in ("synthesis", "hyper_synthesis", "first_means", "context", "scales", "likelihood", "gain"):
        assert hard[2][part] > 0, part


# --- Recipes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [
        ("rate", {"distortion": "ssim"}, "must be one of mse, ms-ssim, eye"),
        ("rate", {"quality": 100.5}, r"rate\.quality must be in \[0, 100\]"),
        ("rate", {"single": 1}, "must be bool"),
        ("quantisation", {"mode": "hard"}, "mixed, noise, straight-through, soft-then-hard"),
        ("quantisation", {"hard_from": 1.5}, "hard_from"),
    ],
)
def test_bad_recipes_are_named(table: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        from_dict({"family": "gains", table: values})


def test_ms_ssim_needs_crops_that_it_can_halve() -> None:
    values = {"family": "gains", "rate": {"distortion": "ms-ssim"}, "data": {"crop": 128}}
    with pytest.raises(RecipeError, match=r"data\.crop must be 192 at least"):
        from_dict(values)
    assert isinstance(from_dict({**values, "data": {"crop": 192}}), GainsRecipe)
    with pytest.raises(RecipeError, match=r"unknown key 'rate\.distortion'"):
        from_dict({"family": "content", "rate": {"distortion": "ms-ssim"}})


def test_weights_are_even_about_the_middle() -> None:
    rate = GainsRate(lambda_low=1.0, lambda_high=400.0, balance=0.5)
    assert [rate.weight_of(q) for q in (0.0, 50.0, 100.0)] == pytest.approx([20**0.5, 1.0, 20**-0.5])


def test_the_recipe_for_ms_ssim_goes_on_from_the_one_for_mse() -> None:
    msssim, medium = (read_recipe(RECIPES / f"{name}.toml") for name in ("medium-msssim", "medium-psnr"))
    assert isinstance(msssim, GainsRecipe)
    assert isinstance(medium, GainsRecipe)
    assert msssim.network == medium.network
    assert msssim.rate.distortion == "ms-ssim"


def test_a_model_for_ms_ssim_is_trained_on_from_one_for_mse(shards: Path, tmp_path: Path) -> None:
    start = """
family = "gains"
[run]
initial = "random"
log_every = 1
[network]
latents = 16
hyper = 8
levels = 3
analysis_blocks = 1
synthesis_blocks = 1
means_width = 16
context_width = 16
[data]
crop = 192
batch = 2
[schedule]
samples = {samples}
warmup = 1
"""
    rate = '[rate]\ndistortion = "ms-ssim"\nlambda_low = 1.0\nlambda_high = 500.0\n[quantisation]\nmode = "{mode}"\n'
    (tmp_path / "mse.toml").write_text(start.format(samples=2))
    first = run(tmp_path / "mse.toml", shards, tmp_path / "mse", threads=1)
    text = start.format(samples=6) + rate.format(mode="soft-then-hard")
    (tmp_path / "msssim.toml").write_text(text)
    second = run(tmp_path / "msssim.toml", shards, tmp_path / "msssim", resume=first, threads=1)
    before, after = load_checkpoint(first), load_checkpoint(second)
    assert after["progress"]["samples"] == 6
    log = (tmp_path / "msssim" / "log.jsonl").read_text()
    assert "validation/ms-ssim@100" in log
    assert "ms-ssim" not in (tmp_path / "mse" / "log.jsonl").read_text()
    assert after["progress"]["skipped"] == 0
    assert not torch.equal(before["network"]["synthesis.leave.weight"], after["network"]["synthesis.leave.weight"])


# --- Integers ----------------------------------------------------------------------------------------------


def test_integers_begin_where_the_recipe_says(pictures: Any) -> None:
    ours, network = objective(integers={"from_step": 3})
    _, other = objective()
    outcomes = {}
    for step in (2, 3):
        ours.begin(step, 0.0)
        for call in (ours.loss, ours.measure):
            outcomes[step, call.__name__] = call(network, pictures, QUALITY)[0].detach()
            assert network.scales.exact == (step >= 3)
            assert {layer.exact for layer in network.scales.children()} == {step >= 3}
            assert other.scales.exact  # a switch of one network alone
    assert not torch.equal(outcomes[2, "measure"], outcomes[3, "measure"])
