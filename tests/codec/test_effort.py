"""Effort: refinement lowers the cost, at every quality and for all kinds of pictures, and files stay ordinary files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import glissando
from glissando.codec import Codec
from glissando.codec.aim import Aim
from glissando.codec.effort import SCHEDULES, check_effort, schedule_of
from glissando.codec.engine import KEPT
from glissando.codec.geometry import CELL
from glissando.codec.quality import LocalQuality, Quality
from glissando.codec.refinement import EvenDraws, Refiner, Target, halves
from glissando.errors import InputError, ModelError
from glissando.zoo import Card

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def codecs() -> Iterator[Callable[[str], Codec]]:
    opened: dict[str, Codec] = {}

    def named(name: str) -> Codec:
        if name not in opened:
            opened[name] = glissando.open_model(name, precision="f32", threads=1)
        return opened[name]

    yield named
    for codec in opened.values():
        codec.close()


def refiner_of(codec: Codec) -> Refiner:
    return Refiner(codec.engine, codec.family.refinement(codec.engine.model, codec.coding))


def cost(codec: Codec, refiner: Refiner, picture: Pixels, data: bytes, quality: float) -> float:
    """bits + λ·D of a file, as a reader sees it."""
    seen = Target(picture, 8, codec.analyse(picture).grid)
    return 8 * len(data) + refiner.loss(codec.decode(data), seen, LocalQuality(Quality.of(quality)))


@pytest.mark.parametrize("model", ["medium", "medium-msssim"])
def test_more_effort_costs_less(codecs: Callable[[str], Codec], natural: Callable[..., Pixels], model: str) -> None:
    """For three pictures on average, and never more than without refinement."""
    codec, totals = codecs(model), np.zeros(4)
    refiner = refiner_of(codec)
    for seed, quality in enumerate((20, 45, 75)):
        picture = natural(128, 128, seed)
        costs = [
            cost(codec, refiner, picture, codec.encode(picture, quality, effort=effort), quality)
            for effort in (4, 5, 6, 7)
        ]
        assert max(costs[1:]) <= costs[0]
        totals += np.array(costs) / costs[0]
    assert totals[1] < 0.99 * totals[0]
    assert (np.diff(totals) < 0).all()


def test_below_five_files_are_the_same(codecs: Callable[[str], Codec], natural: Callable[..., Pixels]) -> None:
    codec, picture = codecs("medium"), natural(60, 70)
    files = {codec.encode(picture, 50, effort=effort) for effort in range(5)}
    assert files == {codec.encode(picture, 50)}


def test_files_of_every_effort_are_decoded_alike(
    codecs: Callable[[str], Codec], natural: Callable[..., Pixels]
) -> None:
    """The symbols that a reader finds are those that were written, whatever runs the networks."""
    codec, picture = codecs("medium-psnr"), natural(70, 90)
    analysed = codec.analyse(picture, 40)
    for effort in (4, 6, 7):
        refined = codec.refine(analysed, 40, effort)
        data = codec.encode_analysed(refined, 40)
        assert data == codec.encode(picture, 40, effort=effort)
        symbols = codec.decode_symbols(data).latents
        with glissando.open_model("medium-psnr", backend="onnxruntime", precision="f32") as other:
            assert all(
                np.array_equal(a, b)
                for a, b in zip(vars(symbols).values(), vars(other.decode_symbols(data).latents).values(), strict=True)
            )
        assert (refined is analysed) == (effort == 4)


def test_the_same_picture_gives_the_same_file(codecs: Callable[[str], Codec], natural: Callable[..., Pixels]) -> None:
    codec, picture = codecs("medium-psnr"), natural(80, 90)
    assert codec.encode(picture, 30, effort=6) == codec.encode(picture, 30, effort=6)


def test_progress_is_told_and_may_end_it(codecs: Callable[[str], Codec], natural: Callable[..., Pixels]) -> None:
    codec, picture = codecs("medium-psnr"), natural(100, 120)
    shares: list[float] = []
    whole = codec.encode(picture, 30, effort=6, progress=shares.append)
    assert shares == pytest.approx(np.arange(1, SCHEDULES[6].steps + 1) / SCHEDULES[6].steps)

    calls: list[float] = []

    def stop(share: float) -> bool:
        calls.append(share)
        return len(calls) < 3

    ended = codec.encode(picture, 30, effort=10, progress=stop)
    assert len(calls) == 3
    refiner = refiner_of(codec)
    costs = [cost(codec, refiner, picture, data, 30) for data in (whole, ended, codec.encode(picture, 30))]
    assert costs[0] < costs[2]
    assert costs[1] <= costs[2]


def test_an_interrupt_passes_through(codecs: Callable[[str], Codec], natural: Callable[..., Pixels]) -> None:
    def interrupt(share: float) -> None:
        raise KeyboardInterrupt

    codec = codecs("medium-psnr")
    with pytest.raises(KeyboardInterrupt):
        codec.encode(natural(64, 64), 30, effort=6, progress=interrupt)
    assert codec.decode(codec.encode(natural(64, 64), 30)).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((7, 5, 3), {}),
        ((90, 33), {}),
        ((120, 130, 4), {}),
        ((120, 130, 4), {"exact": True, "alpha_quality": 50}),
        ((100, 90, 3), {"importance": "auto"}),
    ],
)
def test_all_kinds_of_pictures(
    codecs: Callable[[str], Codec], natural: Callable[..., Pixels], shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    codec, picture = codecs("medium"), natural(shape[0], shape[1])
    if len(shape) == 2:
        picture = picture[..., 0]
    elif shape[2] == 4:
        alpha = np.full(shape[:2], 255, np.uint8)
        alpha[:60, :70] = 0
        picture = np.dstack([picture, alpha])
    plain, refined = (codec.encode(picture, 50, effort=effort, **options) for effort in (4, 6))
    decoded = codec.decode(refined)
    assert decoded.shape == picture.shape
    assert len(refined) <= 1.03 * len(plain)
    errors = [np.abs(of.astype(int) - picture).mean() for of in (decoded, codec.decode(plain))]
    assert errors[0] < 1.3 * errors[1]


def test_a_page_with_a_photograph(codecs: Callable[[str], Codec], natural: Callable[..., Pixels]) -> None:
    """Beside exact tiles, which the networks see otherwise, refined latents stay."""
    codec = codecs("medium-psnr")
    picture = np.full((512, 640, 3), 255, np.uint8)
    picture[:, 512:] = natural(512, 128)
    picture[::8, 32:480:3] = (0, 0, 160)
    plain = codec.encode(picture, 50)
    refined = codec.encode(picture, 50, effort=6, progress=lambda share: share < 0.9)
    for data in (plain, refined):
        assert np.array_equal(codec.decode(data)[:, :512], picture[:, :512])
    price = Aim.of(codec.card).price(Quality.of(50))
    costs = [
        8 * len(data) + price * float(np.square(codec.decode(data).astype(float) - picture).sum()) / 3
        for data in (plain, refined)
    ]
    assert costs[1] < 0.998 * costs[0]  # the text costs the same in both


def test_deep_pictures(codecs: Callable[[str], Codec], natural: Callable[..., Pixels]) -> None:
    codec, picture = codecs("medium-psnr"), natural(100, 120).astype(np.uint16) << 4
    plain, refined = (codec.encode(picture, 60, effort=effort, depth=12) for effort in (4, 6))
    assert plain != refined
    error = [float(np.square(codec.decode(data).astype(float) - picture).mean()) for data in (plain, refined)]
    price = Aim.of(codec.card).price(Quality.of(60)) * 100 * 120 / (4095 / 255) ** 2
    assert 8 * len(refined) + price * error[1] < 8 * len(plain) + price * error[0]


def test_importance_keeps_its_size(codecs: Callable[[str], Codec], natural: Callable[..., Pixels]) -> None:
    """What is important stays better than without the map, at the size that refinement makes without it."""
    codec, picture = codecs("medium-psnr"), natural(160, 160)
    mask = np.zeros((160, 160), np.uint8)
    mask[40:120, 40:120] = 255
    plain = codec.encode(picture, 50, effort=6)
    data = codec.encode(picture, 50, effort=6, importance=mask, keep_size=True)
    assert len(data) == pytest.approx(len(plain), rel=0.01, abs=4)
    inside = mask > 0

    def error(data: bytes) -> float:
        return float(np.square(codec.decode(data).astype(float) - picture)[inside].mean())

    assert error(data) < 0.8 * error(plain)
    assert error(data) < 1.02 * error(codec.encode(picture, 50, importance=mask, keep_size=True))


def test_large_pictures_are_refined_in_windows(natural: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch) -> None:
    """No graph is larger than a window and its margin, and all windows together cover the picture once."""
    with glissando.open_model("medium-psnr", precision="f32", threads=1) as codec:
        picture = np.tile(natural(512, 512), (5, 3, 1))[:2400, :1200]
        analysed = codec.analyse(picture, 20)
        sizes: list[tuple[int, int]] = []

        def other_graph(key: Any, build: Any) -> Any:
            def run(**inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
                sizes.append(inputs["theirs"].shape[2:])
                # One cost before, a lower one after; every latent is to be lowered.
                return (np.array([-float(len(sizes))]), *(np.ones_like(inputs[name]) for name in ("y", "z")))

            return run

        monkeypatch.setattr(codec.engine, "other_graph", other_graph)
        refiner = refiner_of(codec)
        quality = LocalQuality(Quality.of(20))
        one = replace(SCHEDULES[6], steps=1)
        refined = refiner.refine(analysed.latents, Target(picture, 8, analysed.grid), quality, one)
        assert max(max(size) for size in sizes) <= (12 + 2 * codec.engine.halo) * CELL
        moved = refiner._refinement.variables(refined, quality)
        before = refiner._refinement.variables(analysed.latents, quality)
        for name, array in moved.items():
            np.testing.assert_allclose(array, before[name] - one.rate_at(0), atol=2e-3)


@pytest.mark.parametrize("effort", [-1, 11, 4.5, "high", None, True])
def test_efforts_that_there_are_not(codecs: Callable[[str], Codec], effort: Any) -> None:
    with pytest.raises(InputError, match="effort must be a whole number from 0 to 10"):
        codecs("medium").encode(np.zeros((8, 8, 3), np.uint8), effort=effort)


def test_efforts_are_checked_whatever_else_is_asked_for(codecs: Callable[[str], Codec]) -> None:
    codec, picture = codecs("medium"), np.zeros((64, 64, 3), np.uint8)
    analysed, field = codec.analyse(picture), codec.quality_field(picture, np.eye(8))
    with pytest.raises(InputError, match="effort must be a whole number"):
        codec.encode_analysed(analysed, 50, quality_field=field, keep_size=True, effort=11)


def test_numpy_integers_are_efforts() -> None:
    assert check_effort(np.int64(7)) == 7
    assert schedule_of(4) is None


def test_families_that_cannot_refine_say_so(natural: Callable[..., Pixels]) -> None:
    with glissando.open_model("vae") as codec, pytest.raises(InputError, match=r"cannot refine pictures.* is 4"):
        codec.encode(natural(64, 64), effort=6)


def test_a_card_without_a_recipe_says_so(codecs: Callable[[str], Codec]) -> None:
    card: Card = replace(codecs("medium").card, training={})
    with pytest.raises(ModelError, match="does not say what it was trained for"):
        Aim.of(card)


def test_few_graphs_are_kept_and_closing_lets_them_go(natural: Callable[..., Pixels]) -> None:
    with glissando.open_model("medium-psnr", precision="f32", threads=1) as codec:
        for width in (16, 32, 48):
            codec.encode(natural(32, width), 30, effort=6, progress=lambda share: False)
        assert len(codec.engine._others) == KEPT
    with pytest.raises(InputError, match="closed"):
        codec.encode(natural(32, 32), 30, effort=6)


def test_two_refinements_are_one_progress() -> None:
    told: list[float] = []
    first, second = halves(told.append)
    assert first is not None
    assert second is not None
    for part in (first, second):
        part(0.5)
        part(1.0)
    assert told == [0.25, 0.5, 0.75, 1.0]
    assert halves(None) == (None, None)


def test_draws_are_even() -> None:
    """Every pair cancels out, and few pairs fill ±½ evenly."""
    draws = EvenDraws({"x": (4, 5)})
    found = np.stack([draws.draw()["x"] for _ in range(32)])
    np.testing.assert_allclose(found[::2] + found[1::2], 0, atol=1e-6)
    assert np.abs(found).max() <= 0.5
    gaps = np.diff(np.sort(found, axis=0), axis=0)
    assert gaps.max() < 0.1  # of independent draws, among 32 the widest gap is wider almost always
