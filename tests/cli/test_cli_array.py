"""``glissando array`` and what ``glissando info`` says of its files."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glissando import bayes
from glissando.bayes import files
from glissando.errors import InputError

Invoke = Callable[..., Any]


@pytest.fixture
def network(invoke: Invoke) -> dict[str, np.ndarray]:
    """In an empty folder: m.npy and s.npy, and net.npz with two arrays, their deviations, and a counter."""
    random = np.random.default_rng(0)
    arrays = {
        "w": random.normal(size=(40, 30)).astype(np.float32),
        "w.std": random.lognormal(-1, 1, (40, 30)).astype(np.float32),
        "b": random.normal(size=50),
        "b.std": np.full(50, 0.1),
    }
    np.save("m.npy", arrays["w"])
    np.save("s.npy", arrays["w.std"])
    np.savez("plain.npz", **arrays)
    np.savez("net.npz", **arrays, step=np.array(7))
    return arrays


def test_one_array(invoke: Invoke, network: dict[str, np.ndarray]) -> None:
    result = invoke("array", "encode", "m.npy", "w.glissa", "--std", "s.npy", "--rate-weight", "0.1")
    assert result.exit_code == 0, result.output
    size = Path("w.glissa").stat().st_size
    expected = f"m.npy -> w.glissa: 1 array, 1,200 values, {size:,} bytes, {8 * size / 1200:.3f} bits per value\n"
    assert (result.stdout, result.stderr) == ("", expected)
    assert Path("w.glissa").read_bytes() == bayes.compress(network["w"], network["w.std"], rate_weight=0.1)

    result = invoke("array", "decode", "w.glissa", "out.npy")
    assert result.stderr == "w.glissa -> out.npy: array: 40x30 float32\n"
    found = np.load("out.npy")
    np.testing.assert_array_equal(found, bayes.quantise(network["w"], network["w.std"], 0.1).values)


@pytest.mark.parametrize(
    ("option", "value", "largest"), [("--bits-per-value", "2.5", 375), ("--bytes", "400", 400), ("--bytes", "90", 90)]
)
def test_a_wanted_size(invoke: Invoke, network: Any, option: str, value: str, largest: int) -> None:
    assert invoke("array", "encode", "m.npy", "w.glissa", "--std", "s.npy", option, value).exit_code == 0
    assert 0.95 * largest <= Path("w.glissa").stat().st_size <= largest


def test_a_size_that_is_impossible(invoke: Invoke, network: Any) -> None:
    result = invoke("array", "encode", "m.npy", "w.glissa", "--std", "s.npy", "--bytes", "9")
    assert result.exit_code == 1
    assert "glissando: m.npy: the smallest possible file has" in result.stderr
    assert not Path("w.glissa").exists()


def test_options_are_those_of_the_library(invoke: Invoke, network: dict[str, np.ndarray]) -> None:
    options = ("--max-bits", "6", "--prior", "gaussian", "--groups-axis", "-1", "--quiet")
    result = invoke("array", "encode", "m.npy", "w.glissa", "--std", "s.npy", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    expected = bayes.compress(network["w"], network["w.std"], rate_weight=1.0, max_bits=6, prior="gaussian", groups=-1)
    assert Path("w.glissa").read_bytes() == expected


def test_several_arrays_and_info(invoke: Invoke, network: dict[str, np.ndarray]) -> None:
    assert invoke("array", "encode", "net.npz", "net.glissa", "--keep-raw").exit_code == 0
    result = invoke("array", "decode", "net.glissa", "out.npz")
    assert result.exit_code == 0, result.output
    found = np.load("out.npz")
    assert sorted(found.files) == ["b", "step", "w"]
    assert found["step"] == 7
    np.testing.assert_array_equal(found["w"], bayes.quantise(network["w"], network["w.std"], 1.0).values)
    assert found["b"].dtype == np.float64

    result = invoke("info", "net.glissa")
    size = Path("net.glissa").stat().st_size
    assert result.exit_code == 0
    for expected in (
        "net.glissa",
        f"3 arrays, 1,251 values, {size:,} bytes",
        "40x30",
        "float64",
        "empirical",
        "as it is",
    ):
        assert expected in result.stdout
    told = json.loads(invoke("info", "-", "--json", input=Path("net.glissa").read_bytes()).stdout)
    assert (told["file_bytes"], told["values"]) == (size, 1251)
    assert told["bits_per_value"] == pytest.approx(8 * size / 1251)
    assert {array["name"]: array["max_bits"] for array in told["arrays"]} == {"w": 10, "b": 10, "step": None}
    assert told["arrays"][0]["shape"] == [40, 30]
    assert told["arrays"][0]["bits_per_value"] == pytest.approx(8 * told["arrays"][0]["payload_bytes"] / 1200)


def test_deviations_in_a_file_of_their_own_or_by_another_suffix(invoke: Invoke, network: dict[str, Any]) -> None:
    assert invoke("array", "encode", "plain.npz", "expected.glissa").exit_code == 0
    np.savez("means.npz", w=network["w"], b=network["b"])
    np.savez("stds.npz", b=network["b.std"], w=network["w.std"])
    assert invoke("array", "encode", "means.npz", "a.glissa", "--std", "stds.npz").exit_code == 0
    assert Path("a.glissa").read_bytes() == Path("expected.glissa").read_bytes()
    np.savez("other.npz", w=network["w"], b=network["b"], b_sd=network["b.std"], w_sd=network["w.std"])
    assert invoke("array", "encode", "other.npz", "b.glissa", "--suffix", "_sd").exit_code == 0
    assert Path("b.glissa").read_bytes() == Path("expected.glissa").read_bytes()


def test_standard_streams(invoke: Invoke, network: dict[str, Any]) -> None:
    encoded = invoke("array", "encode", "-", "-", input=Path("plain.npz").read_bytes())
    assert encoded.exit_code == 0, encoded.stderr
    decoded = invoke("array", "decode", "-", "-", input=encoded.stdout_bytes)
    assert sorted(np.load(io.BytesIO(decoded.stdout_bytes)).files) == ["b", "w"]
    one = invoke("array", "encode", "-", "-", "--std", "s.npy", input=Path("m.npy").read_bytes())
    decoded = invoke("array", "decode", "-", "-", input=one.stdout_bytes)
    assert np.load(io.BytesIO(decoded.stdout_bytes)).shape == (40, 30)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("net.npz", "x.glissa"), "net.npz: array 'step': there are no deviations; raw=True (--keep-raw)"),
        (("m.npy", "x.glissa", "--std", "m.npy"), r"m.npy: the deviation at [0, "),
        (("m.npy", "x.glissa", "--std", "net.npz"), "there are deviations 'w', but no array of that name"),
        (("only.npz", "x.glissa"), "there are deviations 'w.std', but no array 'w'"),
        (("none.npy", "x.glissa", "--std", "s.npy"), "none.npy: No such file or directory"),
        (("m.npy", "x.glissa", "--std", "none.npy"), "none.npy: No such file or directory"),
        (("text.npy", "x.glissa", "--std", "s.npy"), "text.npy: is none of the files that arrays are read from"),
        (("cut.npy", "x.glissa", "--std", "s.npy"), "cut.npy: is no readable NumPy file"),
        (("cut.npz", "x.glissa"), "cut.npz: is no readable NumPy file"),
        (("objects.npy", "x.glissa", "--std", "s.npy"), "objects.npy: is no readable NumPy file"),
        (("objects.npz", "x.glissa"), "objects.npz: array 'a.npy' cannot be read: it holds Python objects"),
        (("bomb.npz", "x.glissa"), "bomb.npz: array 'a.npy' cannot be read: its header declares 8000000000000 bytes"),
        (("m.npy", "x.glissa", "--std", "s.npy", "--groups-axis", "2"), "axis is 2; the array has 2 axes"),
        (("m.npy", "kept.glissa", "--std", "s.npy", "--no-overwrite"), "kept.glissa: exists already"),
    ],
)
def test_what_fails_says_why(invoke: Invoke, network: dict[str, Any], args: tuple[str, ...], message: str) -> None:
    np.savez("only.npz", **{"w.std": network["w.std"]})
    Path("text.npy").write_text("these are no numbers")
    Path("cut.npy").write_bytes(Path("m.npy").read_bytes()[:500])
    Path("cut.npz").write_bytes(Path("net.npz").read_bytes()[:900])
    objects = np.array([{}], dtype=object)
    np.save("objects.npy", objects, allow_pickle=True)
    np.savez("objects.npz", a=objects, allow_pickle=True)
    Path("kept.glissa").write_bytes(b"kept")
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile("bomb.npz", "w") as archive:
        archive.writestr("a.npy", head.getvalue() + bytes(100))
    result = invoke("array", "encode", *args)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("x.glissa").exists()
    assert Path("kept.glissa").read_bytes() == b"kept"


@pytest.mark.parametrize(
    "args",
    [
        ("encode", "m.npy"),
        ("encode", "m.npy", "x.glissa"),
        ("encode", "m.npy", "s.npy"),
        ("encode", "m.npy", "x.glissa", "--std", "s.npy", "--bytes", "99", "--rate-weight", "1"),
        ("encode", "m.npy", "x.glissa", "--std", "s.npy", "--max-bits", "16"),
        ("encode", "m.npy", "x.glissa", "--std", "s.npy", "--prior", "cauchy"),
        ("encode", "-", "x.glissa", "--std", "-"),
        ("encode", "m.npy", "m.npy", "--std", "s.npy"),
        ("decode", "m.npy", "x.png"),
        ("nonsense",),
    ],
)
def test_wrong_usage(invoke: Invoke, network: Any, args: tuple[str, ...]) -> None:
    assert invoke("array", *args).exit_code == 2


def test_decoding_what_is_damaged_or_too_large(invoke: Invoke, network: Any) -> None:
    invoke("array", "encode", "plain.npz", "net.glissa")
    data = Path("net.glissa").read_bytes()
    Path("cut.glissa").write_bytes(data[:-1])
    for args, message in (
        (("cut.glissa", "x.npz"), f"cut.glissa: the file needs {len(data)} bytes; {len(data) - 1} are present"),
        (("net.glissa", "x.npy"), "a .npy file holds one array; there are 2: write .npz or .safetensors"),
        (("net.glissa", "x.npz", "--max-values", "1249"), "the file declares 1250 values; the caller's limit is 1249"),
        (("m.npy", "x.npz"), "not a Glissando file of arrays"),
    ):
        result = invoke("array", "decode", *args)
        assert (result.exit_code, result.stdout) == (1, "")
        assert message in result.stderr
        assert not Path(args[1]).exists()
    result = invoke("info", "cut.glissa")
    assert result.exit_code == 1
    assert result.stderr.startswith("glissando: cut.glissa: the file needs")


def test_safetensors(invoke: Invoke, network: dict[str, np.ndarray]) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="the optional package safetensors is not installed")
    library.save_file(network, "net.safetensors")
    for source in ("net.safetensors", "-"):
        result = invoke("array", "encode", source, "net.glissa", input=Path("net.safetensors").read_bytes())
        assert result.exit_code == 0, result.output
        assert invoke("array", "decode", "net.glissa", "out.safetensors").exit_code == 0
        found = library.load_file("out.safetensors")
        np.testing.assert_array_equal(found["w"], bayes.quantise(network["w"], network["w.std"], 1.0).values)
    Path("cut.safetensors").write_bytes(Path("net.safetensors").read_bytes()[:90])
    result = invoke("array", "encode", "cut.safetensors", "x.glissa")
    assert result.exit_code == 1
    assert "cut.safetensors: is no readable .safetensors file" in result.stderr


def test_safetensors_without_the_package(invoke: Invoke, network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    Path("net.safetensors").write_bytes(bytes(8) + b"{}")
    for args in (("encode", "net.safetensors", "x.glissa"), ("decode", "net.glissa", "x.safetensors")):
        invoke("array", "encode", "plain.npz", "net.glissa")
        result = invoke("array", *args)
        assert result.exit_code == 1
        assert "need a package more: pip install safetensors" in result.stderr


def test_npy_files_are_read_in_every_shape(tmp_path: Path) -> None:
    for array in (np.zeros((0, 3)), np.array(3.5), np.asfortranarray(np.arange(6.0).reshape(2, 3))):
        np.save(tmp_path / "a.npy", array)
        np.savez_compressed(tmp_path / "a.npz", a=array)
        for source in (tmp_path / "a.npy", (tmp_path / "a.npy").read_bytes()):
            np.testing.assert_array_equal(files.load_arrays(source)[""], array)
        np.testing.assert_array_equal(files.load_arrays((tmp_path / "a.npz").read_bytes())["a"], array)
    with pytest.raises(InputError, match="suffix of deviations is empty"):
        files.pair({}, "")
    with pytest.raises(InputError, match=r"cannot be written to \.txt; known: \.npy, \.npz"):
        files.dump_arrays({}, ".txt")


def test_help_teaches_by_example(invoke: Invoke) -> None:
    assert "Exit codes: 0" in invoke("array", "--help").stdout
    for command in ("encode", "decode"):
        result = invoke("array", command, "--help")
        assert result.exit_code == 0
        assert f"  glissando array {command}" in result.stdout
