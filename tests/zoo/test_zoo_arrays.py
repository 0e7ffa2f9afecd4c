"""The format of weights and integers (docs/weights.md): exact, small, and safe against damage."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glissando import zoo
from glissando.errors import InputError, ModelMismatchError
from glissando.zoo.arrays import Stepped, read_arrays, values_of, write_arrays

RANDOM = np.random.default_rng(0)


def weight(shape: tuple[int, ...], spread: float = 20.0, seed: int = 0) -> Stepped:
    random = np.random.default_rng(seed)
    columns = int(np.prod(shape[1:]))
    scale = spread * np.exp2(random.uniform(-2, 2, (shape[0], 1)) + random.uniform(-2, 2, (1, columns)))
    symbols = np.clip(np.rint(random.laplace(size=(shape[0], columns)) * scale), -32767, 32767)
    exponents = (random.integers(-60, 0, shape[0]), random.integers(-20, 20, columns))
    return Stepped(symbols.astype(np.int16).reshape(shape), *(each.astype(np.int8) for each in exponents))


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, Stepped):
        return all(
            np.array_equal(getattr(found, part), getattr(expected, part)) for part in ("symbols", "rows", "columns")
        )
    return bool(found.dtype == expected.dtype and found.shape == expected.shape and np.array_equal(found, expected))


@given(
    seed=st.integers(0, 1 << 30),
    shapes=st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple), max_size=4),
    spread=st.floats(0, 3000),
    kinds=st.lists(st.sampled_from(["int8", "int16", "int32", "uint8", "uint32", "float16", "float32"]), max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(
    seed: int, shapes: list[tuple[int, ...]], spread: float, kinds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    random = np.random.default_rng(seed)
    arrays: dict[str, Any] = {f"w{n}": weight(shape, spread, seed + n) for n, shape in enumerate(shapes)}
    for number, kind in enumerate(kinds):
        shape = tuple(random.integers(0, 5, random.integers(0, 4)))
        arrays[f"a{number}"] = (random.normal(size=shape) * 100).astype(kind)
    path = tmp_path_factory.mktemp("arrays") / "file.npz"
    write_arrays(path, arrays)
    found = read_arrays(path)
    assert list(found) == list(arrays)
    assert all(same(found[name], arrays[name]) for name in arrays)


def test_extremes(tmp_path: Path) -> None:
    arrays = {
        "zeros": np.zeros((50, 60), np.int16),
        "wide": np.array([[32767, -32767], [0, 1]], np.int16),
        "widest": np.array([[-32768, 0]], np.int16),
        "one": np.array([[1]], np.int8),
        "empty": np.zeros((0, 3), np.int16),
        "scalar": np.array(7, np.int32),
        "exponents": Stepped(np.ones((2, 2), np.int16), np.array([-128, 100], np.int8), np.array([-128, 100], np.int8)),
    }
    write_arrays(tmp_path / "file.npz", arrays)
    found = read_arrays(tmp_path / "file.npz")
    assert all(same(found[name], arrays[name]) for name in arrays)


def test_a_weights_values() -> None:
    """symbol · 2^((row + column) / 4), in float32: powers of two exactly."""
    symbols = np.array([[1, -3, 0], [2, 5, 7]], np.int16)
    found = Stepped(symbols, np.array([-8, -7], np.int8), np.array([0, 4, -4], np.int8)).values
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], np.array([1 / 4, -3 / 2, 0], np.float32))
    np.testing.assert_allclose(found[1], np.array([2, 5 * 2, 7 / 2]) * 2 ** (-7 / 4), rtol=1e-7)
    assert values_of(np.array([0.5], np.float16)).dtype == np.float32
    assert values_of(np.array([5], np.int16)).dtype == np.int16


def test_values_are_pinned() -> None:
    """Every machine computes these bits: a model's hash is made of them."""
    exponents = np.arange(-40, 40, dtype=np.int8)
    values = Stepped(np.full((80, 1), 12345, np.int16), exponents, np.zeros(1, np.int8)).values

    assert zlib.crc32(values.astype("<f4").tobytes()) == 304634100


def test_integers_take_fewer_bytes_than_deflated(tmp_path: Path) -> None:
    model = zoo.find("content-weighted")
    np.savez_compressed(tmp_path / "deflated.npz", **model.integers)  # type: ignore[arg-type]
    ours = (model.folder / "integers.npz").stat().st_size
    assert ours < 0.8 * (tmp_path / "deflated.npz").stat().st_size


def test_symbols_take_about_their_entropy(tmp_path: Path) -> None:
    """Laplacian symbols of known scales: within 2 % of what an ideal coder that knows the scales needs, and 3 kB."""
    random = np.random.default_rng(1)
    scale = 12 * np.exp2(random.uniform(-2, 2, (400, 1)) + random.uniform(-2, 2, (1, 500)))
    symbols = np.rint(random.laplace(size=scale.shape) * scale)
    low, high = symbols - 0.5, symbols + 0.5

    def cdf(x: Any) -> Any:
        return np.where(x < 0, 0.5 * np.exp(-np.abs(x) / scale), 1 - 0.5 * np.exp(-np.abs(x) / scale))

    mass = np.where(symbols > 0, cdf(-low) - cdf(-high), cdf(high) - cdf(low))
    ideal = -np.log2(np.maximum(mass, 1e-30)).sum() / 8
    write_arrays(tmp_path / "file.npz", {"w": symbols.astype(np.int16)})
    assert (tmp_path / "file.npz").stat().st_size < 1.02 * ideal + 3000


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool", "complex64"])
def test_types_that_a_file_cannot_hold(dtype: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"'x' is {dtype}"):
        write_arrays(tmp_path / "file.npz", {"x": np.zeros(3, dtype)})


# --- Damage ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def members(tmp_path: Path) -> dict[str, Any]:
    large = weight((30, 400))
    large.symbols[0, 0] = 32767  # far beyond what its row and column say
    write_arrays(
        tmp_path / "file.npz",
        {"w": large, "i": np.arange(12, dtype=np.int16).reshape(3, 4), "v": np.ones(5, np.float16)},
    )
    with np.load(tmp_path / "file.npz") as archive:
        return dict(archive)


def refused(members: dict[str, Any], path: Path) -> None:
    np.savez_compressed(path, **members)
    with pytest.raises(ModelMismatchError, match="cannot be read"):
        read_arrays(path)


@pytest.mark.parametrize(
    "member", ["index", "plain.float16", "rows", "columns", "high", "low", "far", "steps", "checksum"]
)
def test_a_missing_or_shorter_member(member: str, members: dict[str, Any], tmp_path: Path) -> None:
    refused({key: value for key, value in members.items() if key != member}, tmp_path / "bad.npz")
    if members[member].ndim:
        refused({**members, member: members[member][:-1]}, tmp_path / "bad.npz")
        refused({**members, member: members[member][:0]}, tmp_path / "bad.npz")


@pytest.mark.parametrize("member", ["high", "low", "far", "rows", "columns", "checksum"])
def test_a_changed_member(member: str, members: dict[str, Any], tmp_path: Path) -> None:
    """Whatever changes, the symbols' checksum notices it."""
    for at in np.linspace(0, members[member].size - 1, 5).astype(int):
        changed = members[member].copy()
        changed.flat[at] ^= 1
        refused({**members, member: changed}, tmp_path / "bad.npz")


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [1 << 40, 1 << 40]},
        {"shape": [-1, 5]},
        {"shape": "ab"},
        {"shape": [30]},
        {"shape": [40, 30, 2]},
        {"kind": "other"},
        {"kind": "integers", "type": "int8"},
        {"kind": "plain", "type": "float64"},
        {"type": 5, "kind": "plain"},
        {"kind": None},
    ],
)
def test_an_index_that_cannot_be_right(entry: dict[str, Any], members: dict[str, Any], tmp_path: Path) -> None:
    index = json.loads(members["index"].tobytes())
    index[0] |= entry
    text = np.frombuffer(json.dumps(index).encode(), np.uint8)
    refused({**members, "index": text}, tmp_path / "bad.npz")


@pytest.mark.parametrize("text", [b"", b"{", b"5", b'["a"]', b"[{}]", b"\xff"])
def test_an_index_that_is_none(text: bytes, members: dict[str, Any], tmp_path: Path) -> None:
    refused({**members, "index": np.frombuffer(text, np.uint8)}, tmp_path / "bad.npz")


def test_no_pickles(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.save(out, np.array([print], object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.writestr("index.npy", out.getvalue())
    with pytest.raises(ModelMismatchError):
        read_arrays(tmp_path / "bad.npz")
