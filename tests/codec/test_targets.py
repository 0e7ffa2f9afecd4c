"""Files of a wanted size or score, and one size shared over several."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import glissando
from glissando.codec import Codec
from glissando.codec.quality import Quality
from glissando.codec.scores import Ssimulacra2, psnr
from glissando.codec.seeking import Made, seek_score, seek_size
from glissando.codec.sharing import KNOTS, Budget, Rates, shared_sizes
from glissando.codec.targets import Targets, bytes_in
from glissando.codec.typical import Curve, log_bpp_of, psnr_of, ssimulacra2
from glissando.errors import InputError, TargetError

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def picture(natural: Callable[..., Pixels]) -> Pixels:
    return natural(192, 256)


def near(data: bytes, size: int) -> bool:
    return 0.995 * size <= len(data) <= size


# --- Sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [3, 31, 64, 94])
def test_a_size_is_met_from_below(codec: Codec, picture: Pixels, quality: float) -> None:
    size = len(codec.encode(picture, quality)) + 1
    data = codec.encode(picture, target_size=size)
    assert near(data, size)
    assert codec.decode(data).shape == picture.shape
    assert glissando.probe(data).quality == pytest.approx(quality, abs=0.5)


def test_sizes_as_text_and_by_the_pixel(codec: Codec, picture: Pixels) -> None:
    assert near(codec.encode(picture, target_size="3.5kB"), 3500)
    assert near(codec.encode(picture, target_size="4 KiB"), 4096)
    assert near(codec.encode(picture, target_bpp=0.7), int(0.7 * picture.shape[0] * picture.shape[1] / 8))


def test_any_picture(codec: Codec, picture: Pixels) -> None:
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:40] = 0
    alpha[40:80] = np.arange(256)[None]
    seen = np.dstack([picture, alpha])
    deep = picture.astype(np.uint16) * 257 + 3
    tagged = glissando.Picture(picture, xmp=b"x" * 3000)
    mask = np.repeat([[0, 255]], 4, axis=0).astype(np.uint8)
    assert near(codec.encode(seen, target_size=4000), 4000)
    assert near(codec.encode(seen, target_size=4000, exact=True, alpha_quality=40), 4000)
    assert near(codec.encode(deep, target_size=4000), 4000)
    assert near(codec.encode(picture[..., 0], target_size=2500), 2500)
    assert near(codec.encode(tagged, target_size=6000), 6000)
    assert near(codec.encode(picture, target_size=4000, importance=mask), 4000)
    assert near(codec.encode(picture, target_size=4000, importance="auto"), 4000)


def test_refined_files_keep_within_the_size(codec: Codec, picture: Pixels) -> None:
    part = picture[:64, :64]
    told: list[float] = []
    data = codec.encode(part, target_size=800, effort=5, progress=told.append)
    assert near(data, 800)
    assert told[-1] == pytest.approx(1)
    assert data != codec.encode(part, target_size=800)


@pytest.fixture(scope="module")
def drawing() -> Pixels:
    """Circles with smooth edges on white: a tile that is exact from some quality on, where its bytes jump."""
    draws = np.random.default_rng(5)
    image = Image.new("RGB", (480, 480), (255, 255, 255))
    for _ in range(25):
        x, y, radius = (int(number) for number in draws.integers((0, 0, 20), (480, 480, 150)))
        ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), outline=(0, 0, 0), width=5)
    return np.asarray(image.resize((160, 160), Image.Resampling.LANCZOS))


def test_a_jump_of_bytes_is_filled(codec: Codec, drawing: Pixels) -> None:
    pixels = drawing
    sizes = [len(codec.encode(pixels, quality)) for quality in range(0, 96, 5)]
    exact = sizes[-1]
    below = max(size for size in sizes if size < exact)
    assert below < 0.9 * exact, "the drawing has no jump; the test needs another"
    wanted = (below + exact) // 2
    assert near(codec.encode(pixels, target_size=wanted), wanted)
    assert len(codec.encode(pixels, target_size=exact)) == exact
    np.testing.assert_array_equal(codec.decode(codec.encode(pixels, target_size=exact)), pixels)


def test_sizes_out_of_reach_are_errors(codec: Codec, picture: Pixels) -> None:
    with pytest.raises(TargetError, match=r"at most 60 bytes: at quality 0 it has \d+ already"):
        codec.encode(picture, target_size=60)
    with pytest.raises(TargetError, match=r"has 1,000,000 bytes: at quality 100, the highest, it has"):
        codec.encode(picture, target_size="1MB")
    with pytest.raises(TargetError, match="at most 60 bytes"):
        codec.encode(picture, max_size=60)


@pytest.mark.parametrize("pixels", [np.full((1, 1, 3), 77, np.uint8), np.full((60, 70), 200, np.uint8)])
def test_tiny_and_flat_pictures(codec: Codec, pixels: Pixels) -> None:
    smallest = len(codec.encode(pixels, 0))
    assert len(codec.encode(pixels, target_size=smallest)) == smallest
    assert codec.encode(pixels, max_size=smallest + 50) == codec.encode(pixels, 60)
    with pytest.raises(TargetError, match="at most 10 bytes"):
        codec.encode(pixels, target_size=10)
    with pytest.raises(TargetError, match="the highest"):
        codec.encode(pixels, target_size=100_000)


# --- Scores --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [26.5, 32, 36])
def test_psnr_is_met(codec: Codec, picture: Pixels, target: float) -> None:
    data = codec.encode(picture, target_psnr=target)
    assert psnr(picture, codec.decode(data), 8) == pytest.approx(target, abs=0.05)


@pytest.mark.parametrize("target", [20, 55, 75])
def test_ssimulacra2_is_met(codec: Codec, natural: Callable[..., Pixels], target: float) -> None:
    large = natural(256, 260)
    data = codec.encode(large, target_ssimulacra2=target)
    assert Ssimulacra2(large, 8)(codec.decode(data)) == pytest.approx(target, abs=0.5)


def test_scores_count_what_is_seen(codec: Codec, picture: Pixels) -> None:
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:64] = 0
    shown = codec.decode(codec.encode(np.dstack([picture, alpha]), target_psnr=33))
    assert psnr(picture[64:], shown[64:, :, :3], 8) == pytest.approx(33, abs=0.05)
    deep = (picture.astype(np.uint16) << 2) + 1
    assert psnr(deep, codec.decode(codec.encode(deep, target_psnr=33, depth=10)), 10) == pytest.approx(33, abs=0.05)
    grey = picture[..., 1]
    assert psnr(grey, codec.decode(codec.encode(grey, target_psnr=33)), 8) == pytest.approx(33, abs=0.05)


def test_scores_that_jump_are_met_from_above(codec: Codec, drawing: Pixels) -> None:
    notes: list[str] = []
    data = codec.encode(drawing, target_psnr=60, notes=notes)
    np.testing.assert_array_equal(codec.decode(data), drawing)
    assert "no file comes nearer to 60 from above" in " ".join(notes)


def test_scores_out_of_reach_are_errors(codec: Codec, picture: Pixels) -> None:
    with pytest.raises(TargetError, match=r"has 8 dB of PSNR: at quality 0 it has .* dB of PSNR already"):
        codec.encode(picture, target_psnr=8)
    with pytest.raises(TargetError, match=r"has 90 dB of PSNR: at quality 100 it has"):
        codec.encode(picture, target_psnr=90)
    with pytest.raises(InputError, match="5x7"):
        codec.encode(picture[:7, :5], target_ssimulacra2=50)


# --- A largest size ------------------------------------------------------------------------------------------------


def test_a_largest_size(codec: Codec, picture: Pixels) -> None:
    plain = codec.encode(picture, 60)
    notes: list[str] = []
    assert codec.encode(picture, max_size=len(plain), notes=notes) == plain
    assert "already" in notes[0]
    notes.clear()
    assert near(codec.encode(picture, 60, max_size=len(plain) - 300, notes=notes), len(plain) - 300)
    assert "with quality 60 it would have" in notes[0]
    scored = codec.encode(picture, target_psnr=33)
    assert codec.encode(picture, target_psnr=33, max_size=len(scored)) == scored
    assert near(codec.encode(picture, target_psnr=33, max_size=2000), 2000)
    # A range that ends below the size is no error here.
    assert len(codec.encode(picture, 100, max_size="1MB")) < 10**6


# --- Arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_size": 1000, "target_psnr": 30}, "exclude each other"),
        ({"target_size": 1000, "max_size": 900}, "largest size already"),
        ({"target_size": 1000, "quality": 40}, "exclude each other"),
        ({"target_size": 1000, "lossless": True}, "lossless loses nothing"),
        ({"max_size": 1000, "lossless": True}, "lossless loses nothing"),
        ({"target_size": 1000, "importance": "auto", "keep_size": True}, "keep_size"),
        ({"target_size": 0}, "one byte at least"),
        ({"target_size": "forty"}, "target_size"),
        ({"target_size": "4 k"}, "unit"),
        ({"max_size": 3.5}, "max_size"),
        ({"target_size": True}, "target_size"),
        ({"target_bpp": 0}, "above 0"),
        ({"target_psnr": math.nan}, "target_psnr"),
        ({"target_psnr": "x"}, "must be a number"),
        ({"target_ssimulacra2": 100.5}, "at most 100"),
    ],
)
def test_arguments_that_exclude_each_other_or_are_none(codec: Codec, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        codec.encode(np.zeros((8, 8, 3), np.uint8), **arguments)


@pytest.mark.parametrize(
    ("text", "size"),
    [("40kB", 40_000), ("40 KB", 40_000), ("64KiB", 65_536), ("1.5MB", 1_500_000), (".1kb", 100), ("1GiB", 1 << 30)],
)
def test_units(text: str, size: int) -> None:
    assert bytes_in(text) == size
    assert bytes_in(np.int64(size)) == size


def test_bits_for_each_pixel() -> None:
    assert Targets(bpp=0.5).bytes_of(1001) == 62
    assert Targets(bpp=1e-9).bytes_of(1) == 1
    assert Targets(size="2kB").bytes_of(1) == 2000
    assert Targets(psnr=30).bytes_of(1) is None


# --- The search, over made-up files --------------------------------------------------------------------------------

CURVE = Curve(tuple(range(12)))


@given(
    least=st.integers(1, 5000),
    octaves=st.floats(0, 7),
    jumps=st.lists(st.tuples(st.integers(0, 25600), st.integers(0, 3000)), max_size=4),
    word=st.sampled_from([1, 4, 64]),
    size=st.integers(1, 200_000),
    start=st.integers(0, 25600),
    fixed=st.integers(0, 300),
)
@settings(deadline=None)
def test_the_search_for_a_size(
    least: int, octaves: float, jumps: list[tuple[int, int]], word: int, size: int, start: int, fixed: int
) -> None:
    """Sizes that never fall, with steps: the largest that is not above is found, or one within 0.5 % of the size."""

    units = np.arange(25601)
    jumped = sum(high * (units >= place) for place, high in jumps)
    lengths = -(-np.rint(least * 2 ** (octaves * units / 25600) + jumped).astype(int) // word) * word
    made: list[Quality] = []

    def make(quality: Quality) -> bytes:
        made.append(quality)
        return bytes(lengths[quality.units])

    between = seek_size(make, size, fixed, CURVE, Quality(start))
    assert len(made) == len(set(made)) <= 60
    fitting = lengths[lengths <= size]
    if between.found is not None:
        assert 0.995 * size <= len(between.found.data) <= size
    elif not fitting.size:
        assert between.below is None
    else:
        assert between.below is not None
        assert len(between.below.data) == max(fitting)
        assert (between.above is None) == (lengths.max() <= size)


@given(st.lists(st.floats(-50, 100), min_size=1, max_size=60), st.floats(-50, 100), st.floats(0.001, 2))
@settings(deadline=None)
def test_the_search_for_a_score(scores: list[float], target: float, tolerance: float) -> None:
    scores.sort()

    def make(quality: Quality) -> Made:
        return Made(b"", quality, scores[min(quality.units * len(scores) // 25600, len(scores) - 1)])

    between = seek_score(make, target, tolerance, ssimulacra2())
    if between.found is not None:
        assert abs(between.found.score - target) <= tolerance
    else:
        assert (between.below is None) == (scores[0] >= target)
        assert (between.above is None) == (scores[-1] < target)
        if between.below and between.above:
            assert between.above.score == min(score for score in scores if score >= target)


@given(
    st.integers(1, 40), st.integers(1, 40), st.booleans(), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 40, 255])
)
@settings(deadline=None)
def test_curves_of_any_picture_rise(height: int, width: int, grey: bool, seed: int, spread: int) -> None:
    shape = (height, width) if grey else (height, width, 3)
    pixels = np.random.default_rng(seed).integers(0, spread + 1, shape, dtype=np.uint8)
    for curve in (log_bpp_of(pixels, 8), psnr_of(pixels, 8)):
        assert np.isfinite(curve.values).all()
        assert (np.diff(curve.values) > 0).all()


# --- One size for several ------------------------------------------------------------------------------------------


@st.composite
def curves(draw: st.DrawFn) -> Rates:
    """Bytes that rise and distortions that fall, as those of pictures do."""
    growth = draw(st.lists(st.floats(1.2, 3), min_size=len(KNOTS) - 1, max_size=len(KNOTS) - 1))
    sizes = draw(st.floats(50, 5000)) * np.cumprod([1.0, *growth])
    distortions = draw(st.floats(1e3, 1e7)) / np.cumprod([1.0, *(draw(st.floats(0.5, 1.5)) * np.array(growth))]) ** 0.8
    return Rates(tuple(sizes.tolist()), tuple(distortions.tolist()))


@given(st.lists(curves(), min_size=1, max_size=6), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_a_shared_size_is_spent(rates: list[Rates], share: float) -> None:
    least, most = (sum(one.bytes[end] for one in rates) for end in (0, -1))
    total = min(max(math.floor(least + share * (most - least)), math.ceil(least)), math.floor(most))
    sizes = shared_sizes(rates, total)
    assert sum(sizes) == pytest.approx(total, rel=1e-6)
    assert all(one.bytes[0] * 0.999 <= size <= one.bytes[-1] * 1.001 for one, size in zip(rates, sizes, strict=True))
    for outside in (math.floor(least) - 1, math.ceil(most) + 1):
        with pytest.raises(TargetError, match="cannot have"):
            shared_sizes(rates, outside)


def test_equal_slopes() -> None:
    """With distortion c/bytes the slope is −c/bytes², so that shares are as the square roots of c."""
    sizes = 1000.0 * 2 ** np.arange(len(KNOTS))
    rates = [Rates(tuple(sizes), tuple(c / sizes)) for c in (1e6, 4e6, 9e6)]
    shares = shared_sizes(rates, 24_000)
    assert np.array(shares) / shares[0] == pytest.approx([1, 2, 3], rel=0.03)
    assert shared_sizes([], 5) == []


def test_what_a_file_leaves_is_shared_by_the_others() -> None:
    sizes = 1000.0 * 2 ** np.arange(len(KNOTS))
    rates = [Rates(tuple(sizes), tuple(1e6 / sizes))] * 3
    budget = Budget(rates, 24_000)
    assert [budget.share(number) for number in range(3)] == [8000] * 3
    budget.used(0, 7000)
    assert [budget.share(number) for number in (1, 2)] == [8500] * 2
    budget.used(1, 0)  # it could not be made
    assert budget.share(2) == 17_000
    budget = Budget(rates, 90_000)
    budget.used(1, 0)
    assert budget.share(0) == 32_000, "no more than the picture has a use for"
    assert [Budget(rates, 3000).share(number) for number in range(3)] == [1000] * 3


def test_a_batch_has_its_total_and_looks_better(codec: Codec, natural: Callable[..., Pixels]) -> None:
    pictures = [natural(256, 256, seed=1), natural(256, 256, seed=2) // 4 + 100]
    equal = [codec.encode(picture, 45) for picture in pictures]
    total = sum(map(len, equal))
    opened: list[int] = []

    def opener(number: int) -> Callable[[], Pixels]:
        def load() -> Pixels:
            opened.append(number)
            return pictures[number]

        return load

    shared = list(codec.encode_batch([opener(0), pictures[1]], total))
    assert opened == [0, 0]
    assert 0.995 * total <= sum(map(len, shared)) <= total

    def score(files: list[bytes]) -> float:
        return sum(Ssimulacra2(p, 8)(codec.decode(data)) for p, data in zip(pictures, files, strict=True))

    assert score(shared) > score(equal)
    with pytest.raises(TargetError, match="the files cannot have 9 bytes"):
        list(codec.encode_batch(pictures[:1], 9))
