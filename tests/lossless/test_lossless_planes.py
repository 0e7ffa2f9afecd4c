"""Planes come back exactly; damage is told; methods and tables are those of the format's page."""

from __future__ import annotations

import contextlib
import io
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import planes_reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from glissando.errors import FormatError, InputError
from glissando.lossless import decode_planes, encode_planes
from glissando.lossless.fitting import best_choices
from glissando.lossless.header import HEADER_LENGTH
from glissando.lossless.planes import FEW_VALUES, PLAIN, PREDICTED, WEBP
from glissando.lossless.pyramid import GRID, Pyramid
from glissando.lossless.stream import decode_stream, encode_stream
from glissando.lossless.symbols import Pass
from glissando.lossless.tables import CHOICES, DECAYS, low_bits_of, plane_tables, table_of
from glissando.lossless.values import LIST_LENGTH, VALUE_COUNT
from glissando.lossless.weights import contexts

Planes = NDArray[np.uint16]
FORMAT = Path(__file__).resolve().parents[2] / "docs" / "format.md"


def drawn(kind: str, shape: tuple[int, int, int], depth: int, seed: int = 0) -> Planes:
    """Planes of a kind: noise, a ramp, both ends alone, one value, or a smooth surface with grain."""
    rng, top = np.random.default_rng(seed), (1 << depth) - 1
    planes, height, width = shape
    if kind == "noise":
        values = rng.integers(0, top + 1, shape)
    elif kind == "ends":
        values = top * rng.integers(0, 2, shape)
    elif kind == "flat":
        values = np.full(shape, rng.integers(0, top + 1))
    else:
        y, x = np.mgrid[:height, :width]
        surface = top * (0.5 + 0.2 * np.sin(x / 9) + 0.2 * np.cos(y / 7))
        grain = rng.normal(0, 0.01 * top, shape) if kind == "grain" else np.zeros(shape)
        values = np.clip(np.rint(surface + grain + np.arange(planes)[:, None, None]), 0, top)
    return values.astype(np.uint16)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["noise", "ends", "flat", "surface", "grain"]),
    st.tuples(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40)),
    st.integers(1, 16),
    st.integers(0, 3),
)
def test_planes_come_back(kind: str, shape: tuple[int, int, int], depth: int, seed: int) -> None:
    planes = drawn(kind, shape, depth, seed)
    data = encode_planes(planes, depth)
    decoded = decode_planes(data, *shape, depth)
    assert decoded.dtype == np.uint16
    assert np.array_equal(decoded, planes)
    assert np.array_equal(decode_stream(encode_stream(planes, depth), *shape, depth), planes)  # its own method, too
    assert len(data) <= 1 + -(-planes.size * depth // 8)


@pytest.mark.parametrize("depth", [8, 12, 16])
@pytest.mark.parametrize("kind", ["noise", "ends", "surface", "grain"])
def test_large_planes_come_back(kind: str, depth: int) -> None:
    planes = drawn(kind, (3, 130, 200), depth)
    assert np.array_equal(decode_stream(encode_stream(planes, depth), 3, 130, 200, depth), planes)


def test_the_farthest_errors_of_16_bits_come_back() -> None:
    """An error of -32768 is no symbol, and needs a choice with plain bits."""
    planes = np.full((1, 64, 64), 32768, np.uint16)
    planes[0, 1::2, 1::2] = 0
    planes[0, 5::8, 3::8] = 65535
    assert np.array_equal(decode_stream(encode_stream(planes, 16), 1, 64, 64, 16), planes)


def test_photographs_take_fewer_bytes_than_by_their_planes_alone(natural: Callable[..., NDArray[np.uint8]]) -> None:
    """Red and blue are predicted with the help of green, which comes first."""
    photo = np.moveaxis(natural(192, 192), -1, 0)[[1, 0, 2]].astype(np.uint16)
    together = len(encode_stream(photo, 8))
    assert together < 0.97 * sum(len(encode_stream(plane[None], 8)) for plane in photo)
    assert together < photo.size


def test_each_content_has_its_method() -> None:
    rng = np.random.default_rng(1)
    letters = np.kron(rng.integers(0, 2, (1, 32, 32)), np.ones((1, 4, 4))).astype(np.uint16) * 200
    assert encode_planes(letters, 8)[0] == WEBP
    assert encode_planes(letters, 9)[0] == FEW_VALUES  # WebP has 8 bits
    assert encode_planes(drawn("grain", (1, 64, 64), 9), 9)[0] == PREDICTED
    assert encode_planes(drawn("grain", (3, 64, 64), 8), 8)[0] == PREDICTED
    assert encode_planes(drawn("noise", (1, 64, 64), 8), 8)[0] == PLAIN


@pytest.mark.parametrize("depth", [10, 12, 16])
@pytest.mark.parametrize("kind", ["noise", "ends", "flat", "surface", "grain"])
@pytest.mark.parametrize("planes", [1, 3])
def test_samples_spread_over_more_bits_take_no_more_bytes(kind: str, depth: int, planes: int) -> None:
    """Those of 8 bits, as values of more: all that is added is the list of these."""
    eight = drawn(kind, (planes, 60, 70), 8)
    spread = (eight.astype(np.uint32) * ((1 << depth) - 1) // 255).astype(np.uint16)
    data = encode_planes(spread, depth)
    assert data[0] == FEW_VALUES or kind == "flat"
    assert np.array_equal(decode_planes(data, planes, 60, 70, depth), spread)
    assert len(data) < 1.01 * len(encode_planes(eight, 8)) + 120


def test_ten_bits_in_sixteen_take_what_ten_take() -> None:
    ten = drawn("grain", (3, 120, 130), 10)
    assert len(encode_planes(ten << 6, 16)) < 1.01 * len(encode_planes(ten, 10)) + 120


def test_a_flat_plane_takes_almost_nothing() -> None:
    assert len(encode_planes(np.full((1, 512, 512), 65535, np.uint16), 16)) < 100


@pytest.mark.parametrize(
    ("planes", "depth", "message"),
    [
        (np.zeros((1, 4), np.uint16), 8, "not uint16 of shape"),
        (np.zeros((1, 4, 4), np.int16), 8, "unsigned integers"),
        (np.zeros((1, 4, 4), np.uint16), 17, "17 bits"),
        (np.zeros((5, 4, 4), np.uint16), 8, "1 to 4 planes"),
        (np.zeros((1, 0, 4), np.uint16), 8, "sides of 1 to 1024"),
        (np.zeros((1, 1025, 1), np.uint16), 8, "sides of 1 to 1024"),
        (np.full((1, 4, 4), 16, np.uint16), 4, "a sample is 16, which has more than 4 bits"),
    ],
)
def test_what_is_no_planes_is_refused(planes: Planes, depth: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_planes(planes, depth)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(["noise", "grain", "flat"]), st.integers(0, 10**6), st.integers(0, 7), st.booleans())
def test_damage_is_told_or_changes_samples_only(kind: str, place: int, bit: int, cut: bool) -> None:
    """Nothing but a FormatError, and never other than the shape asked for."""
    data = bytearray(encode_planes(drawn(kind, (3, 24, 24), 8), 8))
    if cut:
        del data[place % len(data) :]
    else:
        data[place % len(data)] ^= 1 << bit
    try:
        decoded = decode_planes(bytes(data), 3, 24, 24, 8)
    except FormatError:
        return
    assert decoded.shape == (3, 24, 24)
    assert decoded.max() < 256


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 3), st.binary(max_size=200))
def test_foreign_bytes_are_told(method: int, data: bytes) -> None:
    with contextlib.suppress(FormatError):
        assert decode_planes(bytes([method]) + data, 1, 8, 8, 8).shape == (1, 8, 8)
    with pytest.raises(FormatError):
        decode_planes(b"", 1, 8, 8, 8)


def test_planes_of_another_shape_are_refused() -> None:
    letters = np.kron(np.eye(16), np.ones((4, 4))).astype(np.uint16)[None]
    for planes, depth in ((letters, 8), (drawn("noise", (1, 64, 64), 8), 8)):
        data = encode_planes(planes, depth)
        for shape in ((1, 64, 32), (1, 65, 64)):
            with pytest.raises(FormatError):
                decode_planes(data, *shape, depth)
    with pytest.raises(FormatError, match="1 bits"):
        decode_planes(encode_planes(200 * letters, 8), 1, 64, 64, 1)


def test_nothing_but_a_lossless_picture_reaches_the_decoder_of_webp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a lossy one, an animation, one with opacity, one of another size, nor one with something behind it."""
    image = Image.fromarray(drawn("grain", (3, 16, 16), 8).astype(np.uint8).transpose(1, 2, 0))
    see_through = image.copy()
    see_through.putalpha(7)

    def webp(image: Image.Image, **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, "WEBP", **options)
        return bytes([WEBP]) + file.getvalue()

    good = webp(image, lossless=True)
    assert decode_planes(good, 3, 16, 16, 8).shape == (3, 16, 16)
    longer = good + bytes(4)
    said = longer[:5] + (len(longer) - 9).to_bytes(4, "little") + longer[9:]
    monkeypatch.setattr(Image, "open", None)
    for data in (
        webp(image, quality=90),
        webp(image, lossless=True, save_all=True, append_images=[see_through]),
        webp(see_through, lossless=True),
        webp(image, lossless=True, icc_profile=b"profile"),
        webp(image.resize((16, 15)), lossless=True),
        longer,
        said,
        good[:24],
        good[:1],
    ):
        with pytest.raises(FormatError, match="16x16 should be coded as a lossless WebP picture"):
            decode_planes(data, 3, 16, 16, 8)


def test_values_that_are_none_are_refused() -> None:
    planes = np.array([[[7, 9], [500, 7]]], np.uint16)
    numbers = bytes([PLAIN]) + bytes([0b00011000])  # 0, 1, 2, 0 of 2 bits each

    def coded(*steps: int, count: int | None = None, rest: bytes = numbers) -> bytes:
        packer = zlib.compressobj(wbits=-15)
        packed = packer.compress(np.array(steps, "<u2").tobytes()) + packer.flush()
        head = VALUE_COUNT.write(len(steps) if count is None else count) + LIST_LENGTH.write(len(packed))
        return bytes([FEW_VALUES]) + head + packed + rest

    assert np.array_equal(decode_planes(coded(7, 2, 491), 1, 2, 2, 9), planes)
    for data, message in (
        (coded(7, 2, 505), "the values of planes of 9 bits do not ascend, or go up to 514"),
        (coded(7, 0, 491), "do not ascend"),
        (coded(7, 65535, 65535), "do not ascend, or go up to 131077"),
        (coded(7, 2, 491, count=4), "does not inflate to 4"),
        (coded(7, 2, 491, count=2), "does not inflate to 2"),
        (coded(*[1] * 60_000, count=1), "does not inflate to 1"),
        (coded(7, 2, 491, rest=bytes([PLAIN]) + bytes([0b00011100])), "value number 3 of 3"),
        (coded(7, 2, 491, rest=coded(0, 1, 2)), "method 3 twice over"),
        (coded(7, 2, 491, rest=b""), "no byte"),
        (coded(7, 2, 491)[:9], "ends at byte"),
        (bytes([FEW_VALUES, 3, 3]) + b"\xff" * 3 + numbers, "cannot be inflated"),
        (bytes([FEW_VALUES]), "value_count"),
    ):
        with pytest.raises(FormatError, match=message):
            decode_planes(data, 1, 2, 2, 9)


def test_a_header_that_inflates_without_end_is_refused() -> None:
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(bytes(1 << 24)) + packer.flush()
    with pytest.raises(FormatError, match="does not inflate to"):
        decode_planes(bytes([PREDICTED]) + HEADER_LENGTH.write(len(bomb)) + bomb, 1, 8, 8, 8)


@pytest.mark.parametrize("depth", [1, 2, 8, 12, 16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 20, 31), (1, 33, 8), (2, 5, 5)])
@pytest.mark.parametrize("kind", ["noise", "ends", "flat", "surface", "grain"])
def test_a_decoder_written_from_the_specification_agrees(kind: str, shape: tuple[int, int, int], depth: int) -> None:
    """docs/format.md alone, in plain Python integers, decodes the same planes."""
    planes = drawn(kind, shape, depth)
    for data in (encode_planes(planes, depth), bytes([PREDICTED]) + encode_stream(planes, depth)):
        assert planes_reference.decode_planes(data, *shape, depth) == planes.tolist()


# What the format's page says -----------------------------------------------------------------------------------


def test_the_page_has_the_decays() -> None:
    text = FORMAT.read_text(encoding="utf-8").split("`decay` is, from i = 0 on:")[1].split("Table 179")[0]
    assert tuple(map(int, re.findall(r"\d+", text))) == DECAYS
    for i, decay in enumerate(DECAYS):  # 2θ / (1 - θ²) = 2^(i/4 - 10), the mean magnitude
        mean = 2 ** (i / 4 - 10)
        assert decay == round(65536 * ((1 + mean**2) ** 0.5 - 1) / mean)


def test_tables_are_as_the_page_says() -> None:
    tables = plane_tables()
    assert len(tables) == 191
    for number, (width, tail) in ((0, (0, 0)), (100, (33, 1)), (179, (59, 3))):
        radius = min(255, 8 + 2 ** (width // 4) // 64)
        assert tables.radii[number] == radius
        found = tables.frequencies[tables.offsets[number] :][: 2 * radius + 2].astype(int)
        narrow, wide = (_page_frequencies(DECAYS[i]) for i in (width, width + 7))
        mixed = [((16 - tail) * _at(narrow, m) + tail * _at(wide, m)) // 16 for m in range(len(wide))]
        assert found[radius + 1 : 2 * radius + 1].tolist() == [1 + _at(mixed, m) for m in range(1, radius + 1)]
        assert found[:radius].tolist() == found[radius + 1 : 2 * radius + 1][::-1].tolist()
        assert found[-1] == 1 + 2 * sum(mixed[radius + 1 :])
        assert found.sum() == 1 << 24
    every = np.arange(CHOICES, dtype=np.uint8)
    assert table_of(every)[[0, 179, 180, 223]].tolist() == [0, 179, 157, 166]
    assert low_bits_of(every)[[0, 179, 180, 183, 184, 223]].tolist() == [0, 0, 1, 1, 2, 11]


def _at(values: list[int], place: int) -> int:
    return values[place] if place < len(values) else 0


def _page_frequencies(decay: int) -> list[int]:
    shares = [2**32]
    while shares[-1]:
        shares.append(shares[-1] * decay // 2**16)
    whole = 2 * sum(shares) - shares[0]
    return [2**24 * share // whole for share in shares]


def test_stages_cover_every_sample_once() -> None:
    for height, width in ((1, 1), (1, 9), (6, 1), (5, 8), (33, 17), (70, 40)):
        numbers = np.arange(2 * height * width, dtype=np.uint16).reshape(2, height, width)
        seen = numbers[:, ::GRID, ::GRID].reshape(-1).tolist()
        for stage in Pyramid(numbers, 16).stages():
            assert stage.samples.shape == (2, stage.rows, stage.columns)
            seen += stage.samples.reshape(-1).tolist()
            for plane in (0, 1):
                stage.put(plane, stage.samples[plane], np.zeros((stage.rows, stage.columns), np.uint16))
        assert sorted(seen) == list(range(numbers.size))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 70), (9, 8), (70, 41)])
def test_stages_look_at_the_neighbours_that_the_page_names(size: tuple[int, int]) -> None:
    planes = np.random.default_rng(0).integers(0, 256, (2, *size)).astype(np.uint8)
    magnitudes = np.zeros(planes.shape, np.uint8)
    for stage in Pyramid(planes, 8).stages():
        for plane in (0, 1):
            error = np.random.default_rng(stage.rows + plane).integers(0, 128, (stage.rows, stage.columns))
            stage.put(plane, stage.samples[plane], error.astype(np.uint8))
            number, h = stage.kind % 3, stage.distance
            for i, j in {(0, 0), (stage.rows - 1, stage.columns - 1), (stage.rows // 2, stage.columns // 2)}:
                y, x = h * (2 * i + (number < 2)), h * (2 * j + (number != 1))
                place = i * stage.pitch + j
                found = _page_numbers(planes[plane].astype(int) - 128, magnitudes[plane], y, x, h, number)
                features = stage.features[1 + 4 * plane : 5 + 4 * plane, place].tolist()
                assert [*features, *stage.spreads[plane, :, place].tolist()] == found
                assert stage.errors[plane, place] == error[i, j]
            own = (np.arange(stage.rows) * 2 + (number < 2)) * h, (np.arange(stage.columns) * 2 + (number != 1)) * h
            magnitudes[plane][np.ix_(*own)] = error


def _page_numbers(
    samples: NDArray[np.int64], errors: NDArray[np.uint8], y: int, x: int, h: int, number: int
) -> list[float]:
    """The three sums, the sample and the three magnitudes that the page describes, of the sample at y and x."""
    first = [(-1, -1), (1, 1)], [(-1, 0), (1, 0)], [(-1, 0), (1, 0)]
    second = [(-1, 1), (1, -1)], [(0, -1), (0, 1)], [(0, -1), (0, 1)]
    knights = [(s * a, t * b) for s in (-1, 1) for t in (-1, 1) for a, b in ((1, 2), (2, 1))]
    wide = [(s * a, t * b) for s in (-1, 1) for t in (-1, 1) for a, b in ((1, 3), (3, 1))]
    far = wide, knights, [(s, t) for s in (-1, 1) for t in (-1, 1)]

    def at(array: NDArray[np.integer], down: int, right: int) -> int:
        """The neighbour, or in its stead the nearest sample of its lattice; 0 where that has none."""
        places = []
        for place, step, side in ((y, down, samples.shape[0]), (x, right, samples.shape[1])):
            lattice = [p for p in range(0, side, h) if (p // h - place // h - step) % 2 == 0]
            if not lattice:
                return 0
            places.append(min(lattice, key=lambda p: abs(p - place - step * h)))
        return int(array[places[0], places[1]])

    (a, b), (c, d) = ([at(samples, *offset) for offset in pair[number]] for pair in (first, second))
    sums = [a + b, c + d, sum(at(samples, *offset) for offset in far[number]), int(samples[y, x])]
    nearest = sum(at(errors, *offset) for offset in (*first[number], *second[number]))
    return [*sums, abs(a - b) + abs(c - d), abs(a + b - c - d), nearest]


def test_the_cheapest_choice_is_found() -> None:
    rng = np.random.default_rng(0)
    errors = (rng.geometric(0.2, 4000) * rng.choice([-1, 1], 4000) * 3).astype(np.int16)
    counts = np.bincount([5], minlength=contexts(8)) * 4000
    (choices,) = best_choices([Pass(0, errors, counts)], (1, contexts(8)))
    costs = [plane_tables().symbol_bits(errors, np.full(4000, table)).sum() for table in range(180)]
    assert costs[choices[5]] <= 1.001 * min(costs)


def test_a_context_that_was_not_counted_has_a_table_of_its_size() -> None:
    """Of large passes only a part is counted."""
    counts = np.zeros(contexts(8), np.intp)
    counts[20] = 1 << 16
    (choices,) = best_choices([Pass(0, np.ones(1 << 16, np.int8), counts)], (1, contexts(8)))
    for context in (0, 16, 30, 44):  # expected errors of 2^(context / 4 - 4)
        costs = [plane_tables().symbol_bits([int(2 ** (context / 4 - 4))], [table])[0] for table in range(180)]
        assert costs[choices[context]] == min(costs)


def test_weights_are_not_misled_by_a_few_samples_or_the_edges() -> None:
    """Dots that nothing announces, and the last row and column, cost what they cost, and not more elsewhere."""
    y, x = np.mgrid[:256, :256]
    surface = 128 + 60 * np.sin(x / 5) * np.cos(y / 6) + np.random.default_rng(0).normal(0, 2, (256, 256))
    plain = np.clip(np.rint(surface), 0, 255).astype(np.uint8)[None]
    dotted = plain.copy()
    places = np.random.default_rng(1).integers(0, 256, (2, 300))
    dotted[0, places[0], places[1]] = 255
    assert len(encode_stream(dotted, 8)) < len(encode_stream(plain, 8)) + 300 * 8
