"""What a training is made of: data, initialisation, optimiser, probability tables."""

from __future__ import annotations

import copy
import csv
import functools
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install glissando[train]")

from glissando.bitstream import SymbolTables  # noqa: E402
from glissando.errors import TrainingError  # noqa: E402
from glissando.families.gains.entropy_start import fit_entropy  # noqa: E402
from glissando.families.gains.export import TABLES, integer_arrays, probability_tables  # noqa: E402
from glissando.families.gains.initial import balance, initialise, step_of  # noqa: E402
from glissando.families.gains.network import (  # noqa: E402
    GainsConfig,
    GainsNetwork,
    SpatialContext,
)
from glissando.families.gains.recipe import GainsRate  # noqa: E402
from glissando.networks.layers import DepthConvBlock  # noqa: E402
from glissando.networks.likelihood import Likelihood  # noqa: E402
from glissando.training.data import Crops, load_tiles  # noqa: E402
from glissando.training.linear_start import dct_bases  # noqa: E402
from glissando.training.optimiser import Muon, WhitenedMuon, build_optimisers, orthogonalise, set_rates, share_out  # noqa: E402
from glissando.training.recipe import Optimisation  # noqa: E402
from glissando.training.whitening import look_due, moments_of, whitener  # noqa: E402

Pixels = NDArray[np.uint8]
Write = Callable[..., Path]


# --- Data --------------------------------------------------------------------------------------------------


def png(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def tile(number: int, size: int = 64) -> Pixels:
    return np.random.default_rng(number).integers(0, 256, (size, size, 3), dtype=np.uint8)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Shards of numbered tiles and their manifest."""

    def shards(blobs: list[str], per_shard: int = 8, data: dict[int, bytes] | None = None, **columns: str) -> Path:
        for start in range(0, len(blobs), per_shard):
            with tarfile.open(tmp_path / f"train-{start:03d}.tar", "w") as tar:
                for number in range(start, min(start + per_shard, len(blobs))):
                    content = (data or {}).get(number) or png(tile(number))
                    info = tarfile.TarInfo(f"tiles/t{number:04d}.png")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
                note = tarfile.TarInfo("tiles/README.txt")
                note.size = 2
                tar.addfile(note, io.BytesIO(b"no"))
        with (tmp_path / "manifest.csv").open("w", newline="") as lines:
            names = [columns.get("tile", "tile"), "licence", columns.get("blob", "source_git_blob")]
            table = csv.writer(lines)
            table.writerow(names)
            table.writerows((f"t{i:04d}.png", "CC0", blob) for i, blob in enumerate(blobs))
        return tmp_path

    return shards


def held_out(blob: str) -> bool:
    return int.from_bytes(hashlib.sha256(blob.encode()).digest()[:4], "big") % 32 == 0


def test_the_split_is_by_picture(write: Write) -> None:
    """All tiles of a picture are on the same side, whatever shard they lie in."""
    blobs = [f"picture{i % 70}" for i in range(140)]
    assert {held_out(b) for b in blobs} == {True, False}
    tiles = load_tiles(write(blobs), size=64)
    expected = {True: [], False: []}
    for number, blob in enumerate(blobs):
        expected[held_out(blob)].append(tile(number))
    for found, side in ((tiles.training, False), (tiles.validation, True)):
        assert found.dtype == torch.uint8
        np.testing.assert_array_equal(found.permute(0, 2, 3, 1).numpy(), np.stack(expected[side]))


def test_about_one_picture_in_32_is_held_out() -> None:
    share = np.mean([held_out(f"{i:040x}") for i in range(4000)])
    assert 0.02 < share < 0.045


def test_data_that_cannot_be_used(write: Write, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no tar shards"):
        load_tiles(tmp_path, size=64)
    folder = write(["a", "b"])
    with pytest.raises(TrainingError, match=r"t0000\.png is 64x64, not 512x512"):
        load_tiles(folder)
    with pytest.raises(TrainingError, match=r"more than limit_gb"):
        load_tiles(folder, size=64, limit_gb=1e-6)
    (folder / "manifest.csv").write_text("tile,source_git_blob\nt0000.png,a\n")
    with pytest.raises(TrainingError, match=r"t0001\.png is not in .*manifest\.csv"):
        load_tiles(folder, size=64)
    (folder / "manifest.csv").unlink()
    with pytest.raises(TrainingError, match=r"manifest\.csv is missing"):
        load_tiles(folder, size=64)


@pytest.mark.parametrize("column", ["tile", "blob"])
def test_a_manifest_without_its_columns(write: Write, column: str) -> None:
    with pytest.raises(TrainingError, match=r"manifest\.csv"):
        load_tiles(write(["a"], **{column: "something"}), size=64)


def test_a_manifest_that_is_no_text(write: Write) -> None:
    folder = write(["a"])
    (folder / "manifest.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(TrainingError, match=r"manifest\.csv"):
        load_tiles(folder, size=64)


@pytest.mark.parametrize("content", [b"not a picture", png(tile(0))[:3000]])
def test_a_damaged_tile_is_named(write: Write, content: bytes) -> None:
    with pytest.raises(TrainingError, match=r"t0001\.png cannot be decoded"):
        load_tiles(write(["a", "b"], data={1: content}), size=64)


def test_a_damaged_shard_is_named(write: Write) -> None:
    folder = write(["a", "b"])
    shard = folder / "train-000.tar"
    content = shard.read_bytes()
    for damage in (b"rubbish" * 1000, content[: len(content) // 3]):
        shard.write_bytes(damage)
        with pytest.raises(TrainingError, match=r"train-000\.tar"):
            load_tiles(folder, size=64)


def test_nothing_to_train_on(write: Write) -> None:
    blob = next(f"p{i}" for i in range(1000) if held_out(f"p{i}"))
    with pytest.raises(TrainingError, match="none of them"):
        load_tiles(write([blob]), size=64)


def test_crops_are_cut_from_the_tiles_and_repeat_with_their_seed() -> None:
    tiles = torch.from_numpy(np.stack([tile(i, 256) for i in range(3)])).permute(0, 3, 1, 2)

    def batches() -> Any:
        crops = Crops(tiles, 64, 6, torch.Generator().manual_seed(4))
        return torch.cat([crops.next() for _ in range(4)])

    batch = batches()
    assert batch.shape == (24, 3, 64, 64)
    assert batch.dtype == torch.float32
    assert 0 <= batch.min() < batch.max() <= 1
    assert torch.equal(batch, batches())
    assert torch.equal((batch * 255).round(), (batch * 255 * 4).round() / 4)  # whole levels, none halved by default

    def is_somewhere(crop: Any) -> bool:
        """Up to mirroring and turning, the crop's bytes occur in a tile."""
        for turned in (crop, crop.transpose(1, 2)):
            for view in (turned, turned.flip(2), turned.flip(1)):
                corner = view[:, :8, :8]
                spots = tiles.unfold(2, 8, 1).unfold(3, 8, 1)
                if (spots == corner[None, :, None, None]).all(-1).all(-1).all(1).any():
                    return True
        return False

    assert all(is_somewhere((crop * 255).round().to(torch.uint8)) for crop in batch[:4])


@pytest.mark.parametrize("crop", [128, 100, 1])
def test_crops_that_do_not_fit(crop: int) -> None:
    with pytest.raises(TrainingError, match=f"crop {crop}"):
        Crops(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), crop, 1, torch.Generator())


# --- Initialisation ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(natural: Callable[..., Pixels]) -> Any:
    stack = np.stack([natural(128, 128, seed=i) for i in range(24)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def initialised(pictures: Any) -> Any:
    torch.manual_seed(0)
    network = GainsNetwork(GainsConfig(levels=3, synthesis_blocks=1, analysis_blocks=1)).eval().requires_grad_(False)
    initialise(network, pictures[:16], torch.tensor([0.0003, 0.008, 0.2]))
    return network


def test_the_entropy_model_is_fitted_and_the_transforms_rest(initialised: Any, pictures: Any) -> None:
    network = copy.deepcopy(initialised).requires_grad_(True)
    quality = torch.full((8,), 60.0)
    contrast = torch.ones(128)
    contrast[:64] = 0.1
    pictures = 0.5 + (pictures - 0.5) * contrast  # half of each is calm, which a single scale does not know

    def held() -> tuple[float, float, float]:
        with torch.no_grad():
            out = network(pictures[16:], quality, noise=False)
        error = float((out.reconstruction - pictures[16:]).square().mean())
        return float(out.latent_bits.mean()), float(out.hyper_bits.mean()), error

    before = held()
    torch.manual_seed(1)
    some = pictures[:16]
    turned = [view for x in (some, some.transpose(2, 3)) for view in (x, x.flip(2), x.flip(3), x.flip(2, 3))]
    fit_entropy(network, torch.cat(turned), GainsRate(), 1.0, 100)
    after = held()
    assert after[0] < 0.9 * before[0]
    assert after[1] < before[1]
    assert after[2] < 1.05 * before[2]  # steps of the quantiser stay
    moved = {name for name, p in network.named_parameters() if not torch.equal(p, initialised.get_parameter(name))}
    assert all(p.requires_grad for p in network.parameters())
    assert not any(name.startswith(("analysis.", "synthesis", "gain.", "inverse_gain.")) for name in moved)
    assert {"scales.first_out.weight", "hyper_gain.table", "context.out.weight"} <= moved


def test_analysis_and_synthesis_are_orthonormal(initialised: Any) -> None:
    enter, down = initialised.analysis.enter.weight[:, :, 0, 0], initialised.analysis.down[1].weight[:, :, 0, 0]
    up, leave = initialised.synthesis.up[0].weight[:, :, 0, 0], initialised.synthesis.leave.weight[:, :, 0, 0]
    torch.testing.assert_close(enter @ enter.T, torch.eye(192), atol=1e-4, rtol=0)
    torch.testing.assert_close(down @ down.T, torch.eye(256), atol=1e-4, rtol=0)
    torch.testing.assert_close(up, down.T)
    torch.testing.assert_close(leave, enter.T)


def test_analysis_and_synthesis_keep_what_the_latents_span(initialised: Any, pictures: Any) -> None:
    held = pictures[16:]
    one = torch.ones(1, 192, 1, 1)
    y = initialised.analysis(held)
    back = initialised.synthesis(y, one, 0 * one)
    torch.testing.assert_close(initialised.analysis(back), y, atol=1e-4, rtol=0)
    # 256 of 768 components: what is left out is the little that smooth pictures have at high frequencies.
    error = (back - held).square().mean()
    assert error < 0.05 * (held - held.mean()).square().mean()
    # An orthonormal transform keeps energy.
    energy = (held - 0.5).square().sum() - (back - held).square().sum()
    assert float(y.square().sum()) == pytest.approx(float(energy), rel=1e-3)


def test_before_training_it_is_a_working_codec(initialised: Any, pictures: Any) -> None:
    held = pictures[16:]
    curve = []
    for quality in (0.0, 50.0, 100.0):
        out = initialised(held, torch.full((len(held),), quality), noise=False)
        bpp = float((out.latent_bits + out.hyper_bits).mean()) / 128**2
        mse = float((out.reconstruction - held).square().mean())
        curve.append((bpp, -10 * np.log10(mse)))
    (low, worst), (middle, fair), (high, best) = curve
    assert low < middle < high < 4
    assert worst < fair < best
    assert worst > 18
    assert best > 32


@pytest.fixture(scope="module")
def fixed(pictures: Any) -> Any:
    """Fixed bases, as many latents as there are samples."""
    torch.manual_seed(0)
    config = GainsConfig(latents=768, levels=3, synthesis_blocks=1, analysis_blocks=1)
    network = GainsNetwork(config).eval().requires_grad_(False)
    initialise(network, pictures[:16], torch.tensor([0.0003, 0.008, 0.2]), "dct")
    return network


def test_fixed_bases_lose_nothing(fixed: Any, pictures: Any) -> None:
    enter, down = fixed.analysis.enter.weight[:, :, 0, 0], fixed.analysis.down[1].weight[:, :, 0, 0]
    torch.testing.assert_close(enter @ enter.T, torch.eye(192), atol=1e-5, rtol=0)
    torch.testing.assert_close(down @ down.T, torch.eye(768), atol=1e-5, rtol=0)
    one, held = torch.ones(1, 192, 1, 1), pictures[16:]
    y = fixed.analysis(held)
    torch.testing.assert_close(fixed.synthesis(y, one, 0 * one), held, atol=1e-5, rtol=0)
    step = 1 / 255
    coarse = fixed.synthesis((y / step).round() * step, one, 0 * one)
    psnr = float(-10 * torch.log10((coarse - held).square().mean()))
    assert psnr == pytest.approx(-10 * np.log10(step**2 / 12), abs=3)  # 59 dB, more where zeros are exact
    assert psnr > 55


def test_fixed_bases_are_the_dct_of_colours() -> None:
    first, second = dct_bases()
    torch.testing.assert_close(first @ first.T, torch.eye(192), atol=1e-5, rtol=0)
    torch.testing.assert_close(second @ second.T, torch.eye(768), atol=1e-5, rtol=0)
    grey, wave = torch.ones(3, 8, 8), torch.zeros(3, 8, 8)
    wave[0], wave[2] = 1.0, -1.0  # red against blue, a whole wave along each row
    wave *= torch.cos(2 * torch.pi / 8 * (torch.arange(8) + 0.5))
    for patch, place in ((grey, 0), (wave, 64 + 2)):
        coefficients = first @ torch.nn.functional.pixel_unshuffle(patch[None], 8).reshape(192)
        others = torch.arange(192) != place
        assert coefficients[place] == pytest.approx(float(patch.norm()), rel=1e-5)
        torch.testing.assert_close(coefficients[others], torch.zeros(191), atol=1e-4, rtol=0)
    # The same coefficient at 2×2 places, all alike: one number.
    flat = torch.zeros(1, 192, 2, 2)
    flat[0, 5] = 3.0
    found = second @ torch.nn.functional.pixel_unshuffle(flat, 2).reshape(768)
    assert found[20] == pytest.approx(6.0)
    assert int((found.abs() > 1e-5).sum()) == 1


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("kind", ["pca", "dct"])
def test_balance_changes_nothing_that_is_computed(pictures: Any, kind: str, steps: int) -> None:
    torch.manual_seed(0)
    config = GainsConfig(latents=64, levels=2, synthesis_blocks=1, block="gated", context_steps=steps)
    network = GainsNetwork(config).eval().requires_grad_(False)
    initialise(network, pictures[:16], torch.tensor([0.001, 0.1]), kind)
    for module in network.modules():
        if isinstance(module, DepthConvBlock | SpatialContext):  # as if they had learnt something
            for layer in (module.narrow, module.leave) if isinstance(module, DepthConvBlock) else (module.out,):
                torch.nn.init.normal_(layer.weight, std=0.002)
    quality = torch.tensor([30.0, 80.0])

    def run() -> Any:
        out = network(pictures[16:18], quality, noise=False)
        return out.latent_bits, out.reconstruction

    (bits, before), weights = run(), {k: v.clone() for k, v in network.state_dict().items()}
    balance(network, pictures[:16], 0.5, 0.25)
    after_bits, after = run()
    torch.testing.assert_close(after_bits, bits, rtol=2e-3, atol=1)  # some symbol may be a tie
    assert (after - before).abs().mean() < 1e-4
    moved = network.state_dict()
    assert any(not torch.equal(moved[k], v) for k, v in weights.items() if ".widen." in k)
    assert all(not torch.equal(moved[k], v) for k, v in weights.items() if k.startswith("context") and "mix.w" in k)


def test_the_step_is_the_high_rate_optimum() -> None:
    """Δ minimises bpp + λ·255²·MSE: checked by moving it a little."""
    lam, n = 0.01, 256

    def cost(step: Any) -> Any:
        return -n / 256 * torch.log2(step) + lam * 255**2 * step**2 * n / (12 * 768)

    best = step_of(torch.tensor([lam], dtype=torch.float64))
    assert cost(best) < cost(best * 1.01)
    assert cost(best) < cost(best * 0.99)


# --- Optimiser ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 64), (192, 768), (256, 96), (8, 3)])
def test_orthogonalised_matrices_treat_all_directions_alike(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    u, _, v = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    spread = u @ torch.diag(torch.linspace(0.02, 1, min(shape))) @ v
    for matrix in (spread, 1e-4 * spread, 1e4 * spread):
        values = torch.linalg.svdvals(orthogonalise(matrix))
        assert values.min() > 0.6
        assert values.max() < 1.3
    # The directions are kept.
    assert torch.trace(u.T @ orthogonalise(spread) @ v.T) > 0.6 * min(shape)


def test_orthogonalising_nothing_is_nothing() -> None:
    assert not orthogonalise(torch.zeros(4, 6)).any()


def test_every_parameter_has_one_optimiser() -> None:
    network = GainsNetwork(GainsConfig(latents=8, hyper=4, levels=2, synthesis_blocks=1, analysis_blocks=1))
    for kind in ("muon", "adamw"):
        optimisers = build_optimisers(network, Optimisation(kind=kind, lr=1.0, table_lr=2.0, matrix_lr=3.0))
        owned = [p for o in optimisers for g in o.param_groups for p in g["params"]]
        assert len(owned) == len({id(p) for p in owned}) == len(list(network.parameters()))
        peaks = {id(p): g["peak"] for o in optimisers for g in o.param_groups for p in g["params"]}
        assert peaks[id(network.gain.table)] == peaks[id(network.likelihood.tail_ratio)] == 2.0
        assert peaks[id(network.analysis.enter.weight)] == (3.0 if kind == "muon" else 1.0)
        assert peaks[id(network.analysis.enter.bias)] == peaks[id(network.scales.z_up.weight)] == 1.0
    assert any(isinstance(o, Muon) for o in build_optimisers(network, Optimisation(kind="muon")))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_muon_learns_a_matrix(precision: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, goal = torch.nn.Conv2d(6, 5, 1, bias=False), torch.randn(5, 6, 1, 1)
    optimiser = Muon(layer.parameters(), lr=0.05)
    optimiser.precision = precision
    before = float((layer.weight.detach() - goal).square().sum())
    for _ in range(200):
        optimiser.zero_grad()
        (layer.weight - goal).square().sum().backward()
        optimiser.step()
    assert float((layer.weight.detach() - goal).square().sum()) < 0.02 * before


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_whitener_evens_what_a_layer_reads(power: float) -> None:
    torch.manual_seed(0)
    spread = torch.linalg.qr(torch.randn(12, 12))[0] * torch.logspace(0, -0.5, 12)
    moments = spread @ spread.T
    white = whitener(moments, power)
    after = white @ moments @ white
    assert torch.trace(after) == pytest.approx(float(torch.trace(moments)), rel=1e-4)
    before, seen = (torch.linalg.cond(m).item() for m in (moments, after))
    assert seen == pytest.approx(before ** (1 - power), rel=0.2)  # a damping of 1 % is all that is missing


def test_whiteners_of_nothing_and_of_too_little_are_finite() -> None:
    one = torch.zeros(6, 6)
    one[2, 2] = 9.0
    for moments in (torch.zeros(6, 6), one):
        assert whitener(moments, 0.5).isfinite().all()
    assert whitener(one, 1.0)[2, 2] < 0.2 * whitener(one, 1.0)[0, 0]


def test_moments_are_of_what_layers_read() -> None:
    layers = [torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 2, 1)]
    x = torch.rand(2, 3, 5, 7)
    first, second = moments_of(layers, lambda: layers[1](layers[0](x)))
    torch.testing.assert_close(first, torch.einsum("nahw,nbhw->ab", x, x) / 70)
    y = layers[0](x).detach()
    torch.testing.assert_close(second, torch.einsum("nahw,nbhw->ab", y, y) / 70)
    assert not layers[0]._forward_pre_hooks
    with torch.autocast("cpu", torch.bfloat16):
        again, coarse = moments_of(layers, lambda: layers[1](layers[0](x)))
    assert torch.equal(again, first)
    assert coarse.dtype == torch.float32
    torch.testing.assert_close(coarse, second, rtol=0.02, atol=1e-3)


def test_work_is_dealt_evenly() -> None:
    work = [3.0, 1.0, 1.0, 9.0, 2.0, 2.0]
    owners = share_out(work, 2)
    assert sorted(sum(w for w, o in zip(work, owners, strict=True) if o == hand) for hand in range(2)) == [9, 9]
    assert share_out(work, 1) == [0] * 6
    assert share_out([], 3) == []


def test_looks_become_rare() -> None:
    looks = [step for step in range(5000) if look_due(step)]
    assert looks[:5] == [0, 1, 2, 3, 4]
    gaps = np.diff(looks)
    assert (np.diff(gaps) >= 0).all()
    assert gaps[-1] == 32


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_whitened_muon_learns_what_varies_little_as_fast(precision: torch.dtype) -> None:
    """Of eight inputs one is thirty times as large. At equal rates Muon moves all weights alike, and most of what its
    steps do is in that one."""

    def learn(power: float) -> torch.Tensor:
        torch.manual_seed(1)
        layer = torch.nn.Conv2d(8, 8, 1, bias=False)
        goal = torch.randn(8, 8)
        optimiser = WhitenedMuon([layer], 0.005, power)
        optimiser.precision = precision
        pictures = torch.randn(100, 4, 8, 4, 4)
        pictures[:, :, 0] *= 30
        for step, x in enumerate(pictures):
            optimiser.look(functools.partial(layer, x), step)
            optimiser.zero_grad()
            (layer(x) - torch.einsum("ab,nbhw->nahw", goal, x)).square().mean().backward()
            set_rates(optimiser, 1 - step / len(pictures))
            optimiser.step()
        return (layer.weight.detach()[:, :, 0, 0] - goal).square().mean(0)

    plain, white = learn(0.0), learn(1.0)
    assert white[1:].mean() < 0.5 * plain[1:].mean()
    assert white.mean() < 0.5 * plain.mean()


def test_a_look_that_is_not_finite_leaves_no_trace() -> None:
    torch.manual_seed(1)
    layer = torch.nn.Conv2d(3, 3, 1)
    optimiser = WhitenedMuon([layer], 0.1, 0.5)
    optimiser.look(lambda: layer(torch.full((1, 3, 2, 2), float("nan"))), 0)
    assert not optimiser.state[layer.weight]
    optimiser.look(lambda: layer(torch.rand(1, 3, 2, 2)), 1)
    before = optimiser.state[layer.weight]["moments"].clone()
    optimiser.look(lambda: layer(torch.full((1, 3, 2, 2), float("inf"))), 2)
    assert torch.equal(optimiser.state[layer.weight]["moments"], before)


# --- Tables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weight", "ratio"), [(-2.0, 1.0), (-6.0, 0.0), (3.0, 2.0)])
def test_probability_tables(weight: float, ratio: float) -> None:
    shape = Likelihood()
    with torch.no_grad():
        shape.tail_weight.copy_(torch.tensor([weight, weight - 1]))
        shape.tail_ratio.copy_(torch.tensor([ratio, ratio / 2]))
    frequencies, radii, first = probability_tables(shape)
    tables = SymbolTables(frequencies, radii)  # checks entries and sums itself, too
    assert len(tables) == 2 * TABLES == 192
    assert frequencies.min() >= 1
    sizes = 2 * radii + 2
    for table, start in enumerate(np.cumsum(sizes) - sizes):
        row = frequencies[start : start + sizes[table]].astype(np.int64)
        assert row.sum() == 2**24
        symbols = row[:-1]
        np.testing.assert_array_equal(symbols, symbols[::-1])
        # Falling from the centre, which alone takes what rounding leaves.
        assert (np.diff(symbols[radii[table] + 1 :]) <= 0).all()
        assert symbols[radii[table]] >= symbols.max() - len(row)
    zero = np.array([frequencies[tables.offsets[t] + radii[t]] / 2**24 for t in range(2 * TABLES)])
    for family in range(2):
        mine = slice(TABLES * family, TABLES * (family + 1))
        assert (np.diff(radii[mine]) >= 0).all()
        assert (np.diff(zero[mine]) <= 0).all()
        start = int(first[family])
        assert 0 <= start < 40
        assert zero[mine][start] < 0.998
        assert start == 0 or zero[mine][start - 1] >= 0.998


def test_tables_say_what_the_loss_says() -> None:
    """Bits under the integers are those of the training loss, in each family."""
    shape = Likelihood().requires_grad_(False)
    shape.tail_weight.copy_(torch.tensor([0.0, -4.0]))
    tables = SymbolTables(*probability_tables(shape)[:2])
    random = np.random.default_rng(0)
    for family, table in ((0, 24), (0, 56), (1, 24), (1, 56), (1, 80)):
        scale = table / 8 - 4
        symbols = np.rint(random.normal(scale=2**scale, size=500)).astype(np.int16)
        late = torch.full((500,), bool(family))
        loss = shape.bits(torch.from_numpy(symbols).float(), torch.full((500,), scale), late).sum()
        ideal = tables.ideal_bits(symbols, np.full(500, TABLES * family + table))
        assert ideal == pytest.approx(float(loss), rel=0.002)


def test_integers_that_overflow_are_named() -> None:
    network = GainsNetwork(GainsConfig(latents=8, hyper=4, levels=2, synthesis_blocks=1, analysis_blocks=1))
    with torch.no_grad():
        network.scale_offset.table[0, 0] = 200.0
    with pytest.raises(TrainingError, match=r"scale_offset reaches 200\.0"):
        integer_arrays(network)
    with torch.no_grad():
        network.scale_offset.table[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="scale_offset"):
        integer_arrays(network)


def test_balance_changes_no_result(pictures: torch.Tensor) -> None:
    """Channels get more equal deviations, none a smaller one; rates and reconstruction stay what they were."""
    torch.manual_seed(0)
    network = GainsNetwork(GainsConfig(latents=64, hyper=16, levels=3, analysis_blocks=1, synthesis_blocks=1))
    initialise(network, pictures[:16], torch.tensor([0.0003, 0.008, 0.2]))
    for parameter in network.parameters():  # nothing may be zero by luck
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    quality = torch.tensor([5.0, 40.0, 95.0, 70.0])
    with torch.no_grad():
        before = network(pictures[:4], quality, noise=False)
        spread = network.analysis(pictures[:4]).std((0, 2, 3))
        balance(network, pictures[:4], 0.5, 0.25)
        after = network(pictures[:4], quality, noise=False)
        balanced = network.analysis(pictures[:4]).std((0, 2, 3))
    torch.testing.assert_close(after.latent_bits, before.latent_bits, rtol=2e-3, atol=1.0)
    torch.testing.assert_close(after.reconstruction, before.reconstruction, rtol=0, atol=2e-2)
    assert float((after.reconstruction - before.reconstruction).abs().mean()) < 1e-3
    assert balanced.log().std() < 0.8 * spread.log().std()
    # No channel is made smaller: whatever a step does to the weights that write it would count for more.
    assert (balanced > 0.99 * spread).all()
    torch.testing.assert_close(balanced.max(), spread.max(), rtol=0.01, atol=0)
