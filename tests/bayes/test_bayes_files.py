"""Arrays to files and back: exact, as small as they should be, the same for a reader written from the page."""

from __future__ import annotations

import re
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import array_reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glissando import bayes
from glissando.bayes import CdfTable, Posterior, coding, frequencies, grid, priors
from glissando.bayes.source import points_of
from glissando.bitstream import arrays
from glissando.errors import CorruptError, FormatError, InputError, LimitError

PAGE = (Path(__file__).parents[2] / "docs" / "array-format.md").read_text(encoding="utf-8")

EXAMPLE = np.array([[0, 4, -4], [2, 0, 7]], np.int16)


def lists_of_the_page() -> dict[str, list[int]]:
    """X, Z and the levels' knots, as the page prints them."""
    found: dict[str, list[int]] = {}
    for block in re.findall(r"^    ([XZV012]  .+(?:\n       .+)*(?:\n    [12]  .+)*)$", PAGE, re.MULTILINE):
        for line in re.split(r"\n    (?=[12]  )", block):
            name, *numbers = line.split()
            found[name] = [int(n) for n in numbers]
    return found


LISTS = lists_of_the_page()


def problem(shape: tuple[int, ...], dtype: type = np.float32, seed: int = 0) -> Posterior:
    """Means with heavy tails; deviations over several orders of magnitude."""
    random = np.random.default_rng(seed)
    mean = np.asarray(random.standard_t(4, size=shape)).astype(dtype)
    return Posterior(mean, np.asarray(random.lognormal(-1.5, 1.2, size=shape)).astype(dtype))


# --- The page ----------------------------------------------------------------------------------------------


def test_the_page_lists_every_field() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert rows == [(f.name, f.encoding, f.range, f.meaning) for f in arrays.FIELDS]


def test_the_page_lists_the_knots_and_levels() -> None:
    assert sorted(LISTS) == ["0", "1", "2", "V", "X", "Z"]
    assert LISTS["V"] == frequencies._STEP.tolist()
    for level, positions in enumerate(priors.EMPIRICAL_POSITIONS):
        assert [65536 * x for x in LISTS[str(level)]] == positions[: positions.size // 2 + 1].tolist()
    assert [65536 * x for x in LISTS["X"]] == priors.NORMAL.positions[: len(LISTS["X"])].tolist()
    assert LISTS["Z"] == (65536 * priors.NORMAL.values[0, : len(LISTS["Z"])]).tolist()


def test_the_page_shows_a_file() -> None:
    example = PAGE.partition("## Example")[2]
    shown = bytes.fromhex("".join(re.findall(r"^    ((?:[0-9A-F]{2} )*[0-9A-F]{2})(?:  |$)", example, re.MULTILINE)))
    assert arrays.write(arrays.read(shown)) == shown
    values = bayes.decompress(shown)
    assert values.dtype == np.float32
    points = points_of(priors.read_knots(0, shown[-26:-8], 3, values.dtype), 3, values.dtype, 1)
    assert (values == grid.reconstruct(EXAMPLE, points, 1)).all()
    told = re.findall(r"[−\d][\d.]*", example.rpartition("It decodes to")[2])
    assert [float(t.replace("−", "-").rstrip(".")) for t in told] == pytest.approx(values.ravel().tolist(), rel=1e-7)
    assert array_reference.decode(shown, LISTS) == {"w": ((2, 3), values.ravel().tolist())}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "groups", "prior", "max_bits", "weight"),
    [
        ((), None, "empirical", 10, 1.0),
        ((5,), None, "gaussian", 1, 0.1),
        ((300,), None, "empirical", 6, 0.3),
        ((3, 40, 5), 0, "empirical", 5, 0.3),
        ((3, 40, 5), 1, "gaussian", 4, 3.0),
        ((2, 1030), 0, "zero-gaussian", 5, 0.5),
        ((400, 2), -1, CdfTable([0, 0.3, 0.5, 1], [-9, -0.5, 0, 9]), 5, 0.01),
        ((40, 2), -1, CdfTable([0, 0.5, 1], [[-9, 0.0, 9], [-3, 0, 3]]), 13, 0.5),
    ],
)
def test_a_reader_written_from_the_page_agrees(
    shape: tuple[int, ...], groups: int | None, prior: Any, max_bits: int, weight: float, dtype: type
) -> None:
    given = problem(shape, dtype)
    data = bayes.compress(*given, rate_weight=weight, prior=prior, max_bits=max_bits, groups=groups)
    values = bayes.decompress(data)
    assert array_reference.decode(data, LISTS) == {"": (shape, values.ravel().tolist())}


@pytest.mark.parametrize("mode", [arrays.SHARED, arrays.OWN, arrays.LEARNT])
def test_every_kind_of_tables(mode: int) -> None:
    """The page's reader, and exact symbols, for each mode; the array is one for which that mode is the best."""
    random = np.random.default_rng(mode)
    if mode == arrays.OWN:  # two very different groups, of many values
        symbols = np.stack([random.choice([-4, 4], 3000), random.choice([-2, 0, 6], 3000)], axis=1).astype(np.int16)
    elif mode == arrays.SHARED:  # many points in bulk
        symbols = (random.binomial(14, 0.5, (3000, 1)) - 7).astype(np.int16)
        symbols = np.concatenate([np.repeat(np.arange(-7, 8, dtype=np.int16), 4000)[:, None], symbols])
    else:
        symbols = random.integers(-7, 8, (30, 2)).astype(np.int16)
    rows = coding.encode_rows(symbols, 3)
    assert rows.mode == mode
    coded = arrays.Coded(0, 1, 3, rows.depth, 0, mode, rows.pooled, rows.own, bytes(12), rows.tables, rows.chunks)
    decoded = np.concatenate([part for _, part in coding.decode_rows(coded, *symbols.shape)])
    assert (decoded == symbols).all()
    if len(symbols) < 5000:
        data = arrays.write([arrays.Entry("w", np.dtype(np.float32), symbols.shape, coded)])
        array_reference.decode(data, LISTS)


def test_chunks_go_on_where_the_last_ended() -> None:
    random = np.random.default_rng(0)
    for groups, rows in ((1, (1 << 20) + 70), (1025, 1030)):
        symbols = (random.integers(-1, 2, (rows, groups)) * random.integers(0, 2, (rows, groups))).astype(np.int16)
        whole = coding.encode_rows(symbols, 1)
        learnt = coding._encode_learnt(symbols, 1, 0, 5, 5)
        assert len(whole.chunks) == len(learnt) == 2
        for mode, tables, chunks in ((whole.mode, whole.tables, whole.chunks), (arrays.LEARNT, b"", learnt)):
            concentrations = (whole.pooled, whole.own) if chunks is whole.chunks else (5, 5)
            coded = arrays.Coded(0, None, 1, 1, 0, mode, *concentrations, b"", tables, chunks)
            decoded = np.concatenate([part for _, part in coding.decode_rows(coded, rows, groups)])
            assert (decoded == symbols).all()


# --- Round trips -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 7, 1000])
@pytest.mark.parametrize("prior", ["empirical", "gaussian"])
def test_equal_values_stay_what_they_are(prior: str, count: int) -> None:
    """Their mean, summed up and divided, is not always one of them."""
    mean = np.full(count, 3.7)
    for max_bits in (1, 10):
        data = bayes.compress(mean, np.full(count, 0.1), rate_weight=0.001, prior=prior, max_bits=max_bits)
        assert (bayes.decompress(data) == mean).all()


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.integers(1, 7), max_size=4).map(tuple),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.sampled_from(["empirical", "gaussian", "zero-gaussian"]),
    st.integers(1, 15),
    st.sampled_from([0.0, 1e-3, 0.3, 10.0, 1e6]),
    st.integers(-4, 3),
    st.sampled_from(["normal", "constant", "offset", "huge", "tiny", "outlier"]),
)
def test_what_is_decoded_is_what_was_chosen(
    shape: tuple[int, ...], dtype: type, prior: str, max_bits: int, weight: float, axis: int, kind: str
) -> None:
    mean, std = problem(shape, np.float64, max_bits)
    info = np.finfo(dtype)
    mean = {
        "normal": mean,
        "constant": np.full(shape, 3.7),
        "offset": 1000 + mean / 100,
        "huge": np.tanh(mean) * float(info.max),
        "tiny": np.tanh(mean) * float(info.tiny),
        "outlier": np.where(mean == mean.max(), 6e4, mean),
    }[kind].astype(dtype)
    std = std.astype(dtype)
    groups = axis if -mean.ndim <= axis < mean.ndim else None
    options = {"prior": prior, "max_bits": max_bits, "groups": groups}
    data = bayes.compress(mean, std, rate_weight=weight, **options)
    values = bayes.decompress(data)
    assert values.shape == shape
    assert values.dtype == dtype
    assert np.isfinite(values).all()
    chosen = bayes.quantise(mean, std, weight, **options)
    np.testing.assert_array_equal(values, chosen.values)
    if kind == "constant" and prior != "zero-gaussian":
        assert (values == mean).all()


def test_no_weight_keeps_the_means_and_a_large_one_next_to_nothing() -> None:
    mean, std = problem((20000,))
    errors = []
    for max_bits in (6, 10, 15):
        values = bayes.decompress(bayes.compress(mean, std, rate_weight=0, max_bits=max_bits))
        points = bayes.quantise(mean, std, 0, max_bits=max_bits).points[0].astype(np.float64)
        above = np.clip(np.searchsorted(points, mean), 1, points.size - 1)
        wide = mean.astype(np.float64)
        nearest = np.minimum(np.abs(points[above] - wide), np.abs(points[above - 1] - wide))
        assert (np.abs(values - wide) == nearest).all()
        errors.append(np.abs(values - mean).mean())
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert len(bayes.compress(mean, std, rate_weight=1e9)) < 120


def test_outliers_have_points_near() -> None:
    mean = np.random.default_rng(0).normal(size=5000)
    mean[7], mean[8] = 300, -150
    values = bayes.decompress(bayes.compress(mean, np.zeros(5000), rate_weight=1.0))
    assert np.abs(values - mean).max() < 450 / 16
    assert np.abs(values - mean)[np.abs(mean) < 1.5].max() < 0.1


def test_sharp_values_are_precise_and_broad_ones_cheap() -> None:
    mean = np.random.default_rng(0).normal(size=20000)
    std = np.where(np.arange(20000) % 2, 0.01, 3.0)
    found = bayes.quantise(mean, std, 1.0)
    assert np.quantile(np.abs(found.values - mean)[1::2], 0.99) < 0.05
    depths = grid.depth_of(found.symbols, 10)
    assert depths[1::2].mean() > depths[::2].mean() + 3


def test_memory_maps_and_odd_layouts(tmp_path: Path) -> None:
    mean, std = problem((60, 50))
    expected = bayes.compress(mean, std, rate_weight=0.5, groups=1)
    for name, array in (("m", mean), ("s", std)):
        np.save(tmp_path / f"{name}.npy", array)
    maps = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "ms"]
    assert bayes.compress(*maps, rate_weight=0.5, groups=1) == expected
    assert bayes.compress(np.asfortranarray(mean), std.astype(">f4"), rate_weight=0.5, groups=-1) == expected
    turned = bayes.compress(mean.T, std.T, rate_weight=0.5, groups=0)
    assert (bayes.decompress(expected) == bayes.decompress(turned).T).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem((7, 30, 11))
    for groups in (None, 0, 1, 2):
        expected = bayes.compress(*given, rate_weight=0.3, groups=groups)
        with monkeypatch.context() as patch:
            patch.setattr("glissando.bayes.source.BLOCK", 40)
            assert bayes.compress(*given, rate_weight=0.3, groups=groups) == expected


def test_groups_pay_where_channels_differ() -> None:
    mean, std = problem((3000, 4))
    scale = np.array([1e-3, 1, 30, 1e4], np.float32)
    mean, std = mean * scale, std * scale
    apart = bayes.compress(mean, std, rate_weight=1.0, groups=1)
    together = bayes.compress(mean, std, rate_weight=1.0)

    def cost(data: bytes) -> float:
        return float((np.square((bayes.decompress(data) - mean) / std) / 2).sum() + 8 * len(data))

    assert cost(apart) < 0.8 * cost(together)


# --- Rates -------------------------------------------------------------------------------------------------


def overhead(shape: tuple[int, ...], groups: int | None, weight: float, prior: str = "gaussian") -> tuple[int, float]:
    """Bytes of a file, and what docs/bayes.md promises: 1 % over the entropy, 100 bytes, parameters, points."""
    given = problem(shape)
    data = bayes.compress(*given, rate_weight=weight, groups=groups, prior=prior)
    chosen = bayes.quantise(*given, weight, groups=groups, prior=prior)
    layout = 1 if groups is None else shape[groups]
    rows = chosen.symbols.reshape(-1, 1) if groups is None else np.moveaxis(chosen.symbols, groups, -1)
    counts = frequencies.count_symbols(rows.reshape(-1, layout), 10)
    (content,) = (entry.content for entry in arrays.read(data))
    assert isinstance(content, arrays.Coded)
    used = int(np.count_nonzero(counts))
    return len(data), 1.01 * chosen.bits / 8 + 100 + len(content.parameters) + 0.4 * used


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0, 10.0, 1000.0])
@pytest.mark.parametrize(
    ("shape", "groups"), [((1000,), None), ((10000,), None), ((300000,), None), ((32, 1500), 0), ((3000, 8), 1)]
)
def test_files_are_near_the_entropy(shape: tuple[int, ...], groups: int | None, weight: float) -> None:
    size, promised = overhead(shape, groups, weight)
    assert size <= promised


@pytest.mark.parametrize("weight", [0.0, 1.0, 100.0])
def test_large_files_are_within_one_per_cent(weight: float) -> None:
    given = problem((600_000,))
    ideal = bayes.quantise(*given, weight).bits / 8
    assert len(bayes.compress(*given, rate_weight=weight)) <= 1.01 * ideal + 200


def test_the_second_pass_saves() -> None:
    given = problem((50000,))

    def cost(passes: int) -> float:
        data = bayes.compress(*given, rate_weight=0.5, passes=passes)
        nats = np.square((bayes.decompress(data).astype(float) - given.mean) / given.std) / 2
        return float(nats.sum() + 0.5 * 8 * len(data))

    assert cost(2) < 0.99 * cost(1)


@pytest.mark.parametrize("target", [0.3, 1.0, 2.5, 6.0])
def test_a_wanted_rate_is_met_from_below(target: float) -> None:
    given = problem((30000,))
    size = len(bayes.compress(*given, target_bits_per_value=target))
    assert 0.995 * target <= 8 * size / 30000 <= target


def test_a_wanted_size_is_never_exceeded() -> None:
    given = problem((150,))
    for target in (75, 100, 150, 200):
        assert len(bayes.compress(*given, target_bytes=target)) <= target
    largest = bayes.compress(*given, rate_weight=0)
    assert bayes.compress(*given, target_bytes=10**6) == largest
    with pytest.raises(InputError, match=r"the smallest possible file has (\d+) bytes; the target is 20") as caught:
        bayes.compress(*given, target_bytes=20)
    smallest = int(re.findall(r"has (\d+) bytes", str(caught.value))[0])
    assert len(bayes.compress(*given, target_bytes=smallest)) <= smallest


def test_a_large_array_is_tried_on_a_sample_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glissando.bayes.api.LARGE", 10000)
    monkeypatch.setattr("glissando.bayes.source.FEW", 5000)
    monkeypatch.setattr("glissando.bayes.source.SAMPLE", 9000)
    given = problem((40000, 2))
    size = len(bayes.compress(*given, target_bits_per_value=2, groups=1))
    assert 0.995 * 20000 <= size <= 20000


# --- Several arrays, and those without deviations ------------------------------------------------------------


def test_several_arrays_in_one_file() -> None:
    random = np.random.default_rng(0)
    kept: list[NDArray[Any]] = [
        np.arange(7),
        np.array(True),
        random.normal(size=(3, 4)),
        np.zeros((0, 3), np.float32),
        np.array([1 + 2j], np.complex64),
        random.integers(0, 255, (2, 3, 4), np.uint8).T,
        np.arange(5, dtype=">i4"),
    ]
    named: dict[str, Any] = {f"k{i}": array for i, array in enumerate(kept)}
    named["w"], named["größe"] = problem((40, 3)), problem((), np.float16)
    named["none"] = Posterior(np.zeros((2, 0), np.float32), np.zeros((2, 0), np.float32))
    data = bayes.compress_arrays(named, rate_weight=0.5, groups={"w": 1}, raw=True)
    found = bayes.decompress_arrays(data)
    assert list(found) == list(named)
    for i, array in enumerate(kept):
        assert found[f"k{i}"].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[f"k{i}"], array)
    assert (found["w"] == bayes.quantise(*named["w"], 0.5, groups=1).values).all()
    assert found["none"].shape == (2, 0)
    described = {info.name: info for info in bayes.probe_arrays(data)}
    assert (described["w"].groups, described["w"].prior, described["w"].max_bits) == (3, "empirical", 10)
    assert described["k0"].prior is None
    with pytest.raises(InputError, match="holds 10 arrays"):
        bayes.decompress(data)
    with pytest.raises(InputError, match=r"array 'k0': there are no deviations; raw=True"):
        bayes.compress_arrays(named, rate_weight=0.5)


def test_from_samples() -> None:
    samples = np.random.default_rng(0).normal(3, 2, size=(4, 9, 5)).astype(np.float32)
    mean, std = bayes.from_samples(samples, axis=1)
    np.testing.assert_allclose(mean, samples.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(std, samples.std(axis=1, ddof=1), rtol=1e-6)
    assert mean.dtype == std.dtype == np.float32
    for wrong, axis in ((samples[:1], 0), (samples, 3), (np.float32(3), 0)):
        with pytest.raises(InputError, match="at least two samples"):
            bayes.from_samples(wrong, axis)
    with pytest.raises(InputError, match="floating-point"):
        bayes.from_samples(np.ones((3, 3), int))


# --- What is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": np.array([[0, 1.0], [np.nan, 2]])}, r"mean at \[1, 0\] is nan"),
        ({"mean": np.array([[0, 1.0], [2, np.inf]])}, r"mean at \[1, 1\] is inf"),
        ({"std": np.array([[0, 1.0], [-2, 3]])}, r"deviation at \[1, 0\] is -2.0"),
        ({"std": np.array([[0, np.nan], [2, 3]])}, r"deviation at \[0, 1\] is nan"),
        ({"std": np.ones(2)}, r"deviations have the shape \(2,\), means \(2, 2\)"),
        ({"mean": np.ones((2, 2), int)}, "means must be float16, float32 or float64, not int64"),
        ({"std": np.ones((2, 2), complex)}, "deviations must be real"),
        ({"prior": "cauchy"}, "prior is 'cauchy'; must be empirical"),
        ({"prior": CdfTable([0, 1], [1, 0])}, "must be finite and ascend"),
        ({"prior": CdfTable([0, 0.5], [1, 2])}, "ascend strictly from 0 to 1"),
        ({"prior": CdfTable([0, 0.5, 0.5, 1], [0, 1, 2, 3])}, "ascend strictly from 0 to 1"),
        ({"prior": CdfTable([0, 1e-12, 1], [0, 1, 2])}, r"closer than 2\^-32"),
        ({"prior": CdfTable([0, 1], [[0, 1]] * 3)}, r"2\.\.4096 knots"),
        ({"max_bits": 0}, r"max_bits is 0; it must be an integer in 1\.\.15"),
        ({"max_bits": 16}, "max_bits is 16"),
        ({"max_bits": 2.5}, "max_bits is 2.5"),
        ({"groups": 2}, "axis is 2; the array has 2 axes"),
        ({"passes": 0}, "passes is 0"),
        ({"rate_weight": -0.5}, "rate_weight is -0.5"),
        ({"rate_weight": None}, "exactly one of rate_weight"),
        ({"target_bytes": 100}, "exactly one of rate_weight"),
        ({"rate_weight": None, "target_bytes": 0}, "target is 0 bytes"),
        ({"rate_weight": None, "target_bits_per_value": np.nan}, "target_bits_per_value is nan"),
    ],
)
def test_what_cannot_be_compressed_is_named(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"mean": np.ones((2, 2)), "std": np.ones((2, 2)), "rate_weight": 1.0}
    with pytest.raises(InputError, match=message):
        bayes.compress(**{**good, **change})
    named = {"layer": ({**good, **change}["mean"], {**good, **change}["std"])}
    if change.keys() & {"mean", "std"}:
        with pytest.raises(InputError, match="array 'layer': "):
            bayes.compress_arrays(named, rate_weight=1.0)


def test_too_many_groups_are_refused() -> None:
    with pytest.raises(InputError, match="are too many; at most 32767 groups"):
        bayes.compress(np.zeros(40000), np.zeros(40000), rate_weight=1.0, groups=0, max_bits=1)
    with pytest.raises(InputError, match="are too many"):
        bayes.compress(np.zeros(1000), np.zeros(1000), rate_weight=1.0, groups=0, max_bits=15)
    with pytest.raises(InputError, match="no arrays"):
        bayes.compress_arrays({}, rate_weight=1.0)
    with pytest.raises(InputError, match="no values"):
        bayes.quantise(np.zeros(0), np.zeros(0), 1.0)
    with pytest.raises(InputError, match="type <U1 cannot be carried"):
        bayes.compress_arrays({"text": np.array("a")}, rate_weight=1.0, raw=True)


# --- Damage ------------------------------------------------------------------------------------------------


def some_files() -> dict[str, bytes]:
    learnt = bayes.compress(*problem((12, 5)), rate_weight=0.3, groups=1, prior="gaussian")
    ones = np.tile([1.0] * 39 + [2.0], 100)
    stored = bayes.compress(ones, np.zeros(4000), rate_weight=0.1, max_bits=1, prior="gaussian")
    table = bayes.compress(*problem((9,)), rate_weight=1, prior=CdfTable([0, 0.25, 1], [-4, 0, 4]))
    raw = bayes.compress_arrays({"a": np.arange(9), "b": np.array([True, False])}, rate_weight=1, raw=True)
    modes = [bayes.probe_arrays(data)[0].mode for data in (learnt, stored, table)]
    assert modes == ["learnt", "shared", "learnt"]
    return {"learnt": learnt, "stored": stored, "table": table, "raw": raw}


@pytest.mark.parametrize("kind", ["learnt", "stored", "table", "raw"])
def test_every_flipped_bit_is_an_error(kind: str) -> None:
    data = some_files()[kind]
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            bayes.decompress_arrays(damaged)


def with_crc(data: bytes, change: dict[int, int]) -> bytes:
    """A file with some bytes of its header changed and the header's checksum made right again."""
    for end in range(20, len(data)):
        if zlib.crc32(data[:end]).to_bytes(4, "big") == data[end : end + 4]:
            damaged = bytearray(data)
            for place, byte in change.items():
                damaged[place] = byte
            damaged[end : end + 4] = zlib.crc32(damaged[:end]).to_bytes(4, "big")
            return bytes(damaged)
    raise AssertionError("no header")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["learnt", "stored", "table", "raw"]), st.integers(8, 45), st.integers(0, 255))
def test_impossible_headers_with_right_checksums(kind: str, place: int, byte: int) -> None:
    """Whatever a header says, there is an array or one of our errors, and no allocation beyond the limit."""
    data = with_crc(FILES[kind], {place: byte})
    try:
        found = bayes.decompress_arrays(data, max_values=10000)
    except FormatError:
        return
    assert sum(array.size for array in found.values()) <= 10000


FILES = some_files()


def test_a_small_file_that_declares_much_allocates_little() -> None:
    data = bayes.compress(np.zeros(1000, np.float32), np.ones(1000), rate_weight=1)
    place = data.index(b"\x01\xe8\x07") + 1  # dimensions, then 1000
    damaged = with_crc(data, {place: 0xE8, place + 1: 0x07})
    assert damaged == data
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match="1000 values; the caller's limit is 999"):
            bayes.decompress(data, max_values=999)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
    assert len(bayes.decompress(data, max_values=1000)) == 1000


def test_an_empty_array_of_impossible_shape() -> None:
    shape = (0, *[2**32 - 1] * 4)
    data = arrays.write([arrays.Entry("x", np.dtype(np.int64), shape, arrays.Raw(b"\x03\x00"))])
    with pytest.raises(CorruptError, match="array 'x': there is no array of shape"):
        bayes.decompress(data)


def test_parameters_that_are_no_prior() -> None:
    float32 = np.dtype(np.float32)
    for kind, parameters, message in [
        (0, bytes(5), "need 6 bytes"),
        (0, bytes(7), "1 bytes are left over"),
        (0, np.array([np.nan], np.float32).tobytes() + bytes(2), "no ascending quantile function"),
        (0, np.array([1e30], np.float32).tobytes() + bytes(2), "no ascending quantile function"),
        (1, b"\x03" + bytes(100), "level 3; levels are 0..2"),
        (1, b"\x00" + bytes(4) + b"\1\0\2\0\3\0\1\0\2\0\3\0", "no ascending quantile function"),
        (2, b"\1\0\1\0", "a prior's table of 1 knots"),
        (2, b"\2\0\2\0" + bytes(16), "shared 2"),
        (2, b"\1\0\3\0" + bytes(4 + 24), "no ascending quantile function"),
    ]:
        with pytest.raises(CorruptError, match=message):
            priors.read_knots(kind, parameters, 1, float32)


def test_tables_that_are_none() -> None:
    good = frequencies.pack_levels(np.array([[1, 9, 0]], np.uint8))
    assert frequencies.unpack_levels(good, 1, 1).tolist() == [[1, 9, 0]]
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    large = bomb.compress(bytes(10**7)) + bomb.flush()
    for data in (b"", b"\xff", good[:-1], good + b"\0", large):
        with pytest.raises(CorruptError, match="symbol tables"):
            frequencies.unpack_levels(data, 1, 1)
    with pytest.raises(CorruptError, match="level 250; the largest is 240"):
        frequencies.unpack_levels(frequencies.pack_levels(np.array([[250, 0, 0]], np.uint8)), 1, 1)
