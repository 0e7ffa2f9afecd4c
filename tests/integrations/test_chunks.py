"""Chunks of arrays as pictures: by themselves, in zarr arrays of both formats, and in tifffile's stores of files."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import glissando
from glissando.chunks import ChunkCoding
from glissando.chunks.coding import picture_shape
from glissando.errors import CorruptError, FormatError, InputError, LimitError

ROOT = Path(__file__).parents[2]
LOSSLESS = ChunkCoding(lossless=True)


def noise(shape: tuple[int, ...], dtype: str = "u1") -> NDArray[Any]:
    native = np.dtype(dtype).newbyteorder("=")
    return np.random.default_rng(3).integers(0, np.iinfo(native).max, shape, native, endpoint=True).astype(dtype)


def smooth(*shape: int, top: int = 255) -> NDArray[np.float64]:
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    plane = top * (0.5 + 0.25 * np.sin(x / 9) + 0.25 * np.cos(y / 7))
    return np.broadcast_to(plane, shape)


# A chunk by itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "picture"),
    [
        ((6, 8), (6, 8)),
        ((6, 8, 1), (6, 8, 1)),
        *(((6, 8, channels), (6, 8, channels)) for channels in (2, 3, 4)),
        *(
            ((1, 6, 8), (6, 8)),
            ((1, 1, 1, 6, 8), (6, 8)),
            ((1, 6, 8, 3), (6, 8, 3)),
            ((1, 1, 8), (1, 8)),
            ((1, 1), (1, 1)),
        ),
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2"])
def test_chunks_come_back(shape: tuple[int, ...], picture: tuple[int, ...], dtype: str) -> None:
    assert picture_shape(shape) == picture
    chunk = noise(shape, dtype)
    again = LOSSLESS.decode(LOSSLESS.encode(chunk), shape, chunk.dtype)
    assert (again.shape, again.dtype) == (shape, chunk.dtype)
    np.testing.assert_array_equal(again, chunk)


@settings(max_examples=40, deadline=None)
@given(
    ones=st.integers(0, 3),
    sides=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    channels=st.sampled_from([(), (1,), (2,), (3,), (4,)]),
    dtype=st.sampled_from(["u1", "<u2"]),
)
def test_any_chunk_comes_back(ones: int, sides: tuple[int, int], channels: tuple[int, ...], dtype: str) -> None:
    shape = (1,) * ones + sides + channels
    chunk = noise(shape, dtype)
    assert int(np.prod(picture_shape(shape))) == chunk.size
    np.testing.assert_array_equal(LOSSLESS.decode(LOSSLESS.encode(chunk), shape, chunk.dtype), chunk)


@pytest.mark.parametrize("shape", [(8,), (2, 6, 8), (6, 8, 5), (2, 6, 8, 3), (0, 8), ()])
def test_chunks_that_are_no_pictures(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="shape"):
        LOSSLESS.encode(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("dtype", ["f4", "i2", "u4", "bool"])
def test_types_that_are_no_samples(dtype: str) -> None:
    with pytest.raises(InputError, match="uint8 and uint16"):
        LOSSLESS.encode(np.zeros((8, 8), dtype))


def test_samples_count_below_an_opacity_of_zero() -> None:
    chunk = np.dstack([*[smooth(64, 64).astype(np.uint8)] * 3, np.zeros((64, 64), np.uint8)])
    coding = ChunkCoding(quality=90)
    again = coding.decode(coding.encode(chunk), chunk.shape, chunk.dtype)
    assert np.abs(again.astype(int) - chunk).max() < 20


def test_depth_says_what_the_range_is() -> None:
    """12-bit samples in uint16: by their depth they are as good as 8-bit ones are, and as large."""
    chunk = smooth(64, 64, top=4095).astype(np.uint16)
    coding = ChunkCoding(quality=80, depth=12)
    data = coding.encode(chunk)
    assert glissando.probe(data).format.depth == 12
    again = coding.decode(data, chunk.shape, chunk.dtype)
    assert np.abs(again.astype(int) - chunk).mean() < 4095 * 0.01
    with pytest.raises(InputError, match="12 bits"):
        coding.encode(noise((8, 8), "u2"))


def test_files_that_are_not_of_the_chunk() -> None:
    data = LOSSLESS.encode(noise((6, 8)))
    for shape, dtype in (((8, 6), "u1"), ((6, 8), "u2"), ((6, 8, 3), "u1")):
        with pytest.raises(CorruptError, match="the chunk is"):
            LOSSLESS.decode(data, shape, np.dtype(dtype))
    with pytest.raises(LimitError):
        LOSSLESS.decode(data, (6, 7), np.dtype("u1"))
    with pytest.raises(FormatError):
        LOSSLESS.decode(data[:-1], (6, 8), np.dtype("u1"))


def test_configuration() -> None:
    coding = ChunkCoding(quality=30, effort=2, lossless=False, model="medium-psnr", depth=12)
    text = json.dumps(coding.to_json())
    assert ChunkCoding.from_json(json.loads(text)) == coding
    assert ChunkCoding.from_json({"quality": 30}).model == "medium"
    assert ChunkCoding(quality=30) == ChunkCoding(quality=30.0)
    for wrong in (
        {"quality": 101},
        {"quality": "high"},
        {"effort": 11},
        {"lossless": 1},
        {"model": ""},
        {"model": 3},
        {"depth": 7},
        {"depth": 12.0},
        {"colour": True},
    ):
        with pytest.raises(InputError):
            ChunkCoding.from_json(wrong)


def test_the_entry_points_lead_to_the_codecs() -> None:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    for group, library in (("zarr.codecs", "zarr"), ("numcodecs.codecs", "numcodecs")):
        pytest.importorskip(library, reason=f"{library} is not installed")
        module, name = found[group]["glissando"].split(":")
        assert getattr(import_module(module), name).__name__ == "Glissando"


# zarr and numcodecs ------------------------------------------------------------------------------------


@pytest.fixture
def zarr() -> Any:
    module = pytest.importorskip("zarr", reason="zarr is not installed")
    if not entry_points(group="zarr.codecs", name="glissando"):
        pytest.skip("the glissando that is installed here is older than its entry points; install it again")
    return module


def test_an_array_of_zarrs_format_3(zarr: Any, tmp_path: Path) -> None:
    from glissando.chunks.zarr import Glissando

    pixels = smooth(3, 100, 130, top=65535).astype(np.uint16)
    codec = Glissando(quality=85)
    options = {"shape": pixels.shape, "chunks": (1, 64, 64), "dtype": "uint16"}
    array = zarr.create_array(tmp_path / "a", serializer=codec, compressors=None, **options)
    array[:] = pixels
    (coded,) = json.loads((tmp_path / "a" / "zarr.json").read_text())["codecs"]
    assert coded == {"name": "glissando", "configuration": ChunkCoding(quality=85).to_json()}
    chunk = (tmp_path / "a" / "c" / "2" / "1" / "0").read_bytes()
    assert (glissando.probe(chunk).width, glissando.probe(chunk).format.depth) == (64, 16)
    again = zarr.open_array(tmp_path / "a")[:]
    assert (again.shape, again.dtype) == (pixels.shape, pixels.dtype)
    assert np.abs(again.astype(float) - pixels).mean() < 65535 * 0.01
    with pytest.raises(InputError, match="shape"):
        zarr.create_array(tmp_path / "b", serializer=codec, **(options | {"chunks": (2, 64, 64)}))
    with pytest.raises(InputError, match="uint8 and uint16"):
        zarr.create_array(tmp_path / "c", serializer=codec, **(options | {"dtype": "float32"}))


def test_a_sharded_array_of_colours(zarr: Any) -> None:
    from glissando.chunks.zarr import Glissando

    pixels = noise((40, 50, 3))
    array = zarr.create_array(
        {}, shape=pixels.shape, chunks=(20, 25, 3), shards=(40, 50, 3), dtype="uint8", compressors=None,
        serializer=Glissando(lossless=True),
    )  # fmt: skip
    array[:] = pixels
    np.testing.assert_array_equal(array[:], pixels)
    np.testing.assert_array_equal(array[5:30, 7:9], pixels[5:30, 7:9])


def test_an_array_of_zarrs_format_2(zarr: Any, tmp_path: Path) -> None:
    from glissando.chunks.numcodecs import Glissando

    pixels = noise((1, 40, 50, 3), "<u2")
    array = zarr.create_array(
        tmp_path / "a", shape=pixels.shape, chunks=(1, 20, 25, 3), dtype="<u2", zarr_format=2,
        compressors=Glissando(lossless=True),
    )  # fmt: skip
    array[:] = pixels
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a")[:], pixels)
    assert json.loads((tmp_path / "a" / ".zarray").read_text())["compressor"]["id"] == "glissando"


def test_another_program_reads_what_it_has_no_import_for(zarr: Any, tmp_path: Path) -> None:
    from glissando.chunks.numcodecs import Glissando as OfNumcodecs
    from glissando.chunks.zarr import Glissando as OfZarr

    pixels = noise((32, 32))
    for name, options in {
        "2": {"zarr_format": 2, "compressors": OfNumcodecs(lossless=True)},
        "3": {"serializer": OfZarr(lossless=True), "compressors": None},
    }.items():
        zarr.create_array(tmp_path / name, shape=(32, 32), chunks=(32, 32), dtype="uint8", **options)[:] = pixels
    code = f"import zarr; print(*(int(zarr.open_array({str(tmp_path)!r} + n)[:].sum()) for n in ('/2', '/3')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(int(pixels.sum()))] * 2


def test_numcodecs() -> None:
    numcodecs = pytest.importorskip("numcodecs", reason="numcodecs is not installed")
    from glissando.chunks.numcodecs import Glissando

    codec = Glissando(lossless=True)
    assert eval(repr(codec)) == codec
    assert Glissando.from_config(codec.get_config()) == codec != Glissando()
    if entry_points(group="numcodecs.codecs", name="glissando"):
        assert numcodecs.get_codec(codec.get_config()) == codec
    for dtype in ("u1", "<u2"):
        chunk = noise((20, 30, 3), dtype)
        np.testing.assert_array_equal(codec.decode(codec.encode(chunk)), chunk)
        out = np.empty_like(chunk)
        assert codec.decode(codec.encode(chunk), out) is out
        np.testing.assert_array_equal(out, chunk)
        with pytest.raises(CorruptError, match="room"):
            codec.decode(codec.encode(chunk), out[:-1])
    with pytest.raises(InputError, match="big-endian"):
        codec.encode(noise((4, 4), ">u2"))
    with pytest.raises(InputError, match="Fortran"):
        codec.encode(np.asfortranarray(noise((4, 5))))


def test_many_files_as_one_array_by_tifffile(zarr: Any, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    pixels = noise((3, 20, 30, 3))
    for number, plane in enumerate(pixels):
        (tmp_path / f"t{number}.gliss").write_bytes(glissando.encode(plane, lossless=True))
    files = tifffile.FileSequence(glissando.decode, str(tmp_path / "*.gliss"))
    np.testing.assert_array_equal(files.asarray(), pixels)
    with files.aszarr() as store:
        np.testing.assert_array_equal(zarr.open(store, mode="r")[:], pixels)
        store.write_fsspec(tmp_path / "all.json", url="file://", codec_id="glissando")
    references = json.loads((tmp_path / "all.json").read_text())
    assert json.loads(references[".zarray"])["compressor"] == {"id": "glissando"}
