"""Files from strangers: every damage is a FormatError, and none costs more memory than its size warrants."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import glissando
from glissando.bitstream import (
    ALPHA,
    CORRECTIONS,
    NO_MODEL,
    PIXELS,
    RGB_8,
    Container,
    Header,
    PixelFormat,
    Reader,
    Tile,
    container,
)
from glissando.bitstream.fields import ALPHA_STEP, CORRECTION_STEP
from glissando.bitstream.tiles import with_planes
from glissando.codec import Codec
from glissando.errors import CorruptError, FormatError, LimitError, TruncatedError, UnknownModelError
from glissando.lossless.planes import PREDICTED
from glissando.lossless.stream import encode_stream

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def small(codec: Codec, natural: Callable[..., Pixels]) -> bytes:
    """A small file with metadata."""
    data = codec.encode(glissando.Picture(natural(40, 50), icc=b"profile", xmp=b"<x/>"), 30)
    assert len(data) < 500
    return data


@pytest.fixture(scope="module")
def deep(codec: Codec) -> bytes:
    """A small file with corrections and opacity, of 12 bits: noise at the highest quality."""
    noise = np.random.default_rng(0).integers(0, 4096, (6, 7, 2), dtype=np.uint16)
    data = codec.encode(glissando.Picture(noise, depth=12), 100)
    assert {CORRECTIONS, ALPHA} < set(Reader(data).layout.stream_ids)
    assert len(data) < 400
    return data


@pytest.fixture(scope="module")
def exact(codec: Codec) -> bytes:
    """A small file without a model: planes of pixels and of opacity alone."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 7, 4), dtype=np.uint8)
    data = codec.encode(noise, lossless=True)
    assert Reader(data).layout.stream_ids == (PIXELS, ALPHA)
    return data


@pytest.fixture(scope="module")
def busy(codec: Codec) -> bytes:
    """A file of escapes and large symbols: noise at the highest quality."""
    return codec.encode(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8), 100)


@pytest.mark.parametrize("file", ["small", "deep", "exact"])
def test_every_truncation_is_an_error(codec: Codec, file: str, request: pytest.FixtureRequest) -> None:
    data: bytes = request.getfixturevalue(file)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            codec.decode(data[:length])
        with pytest.raises(FormatError):
            glissando.decode(data[:length])


def test_a_truncated_file_says_so(codec: Codec, small: bytes) -> None:
    for length in (10, 30, len(small) - 1):
        with pytest.raises(TruncatedError):
            codec.decode(small[:length])


@pytest.mark.parametrize("tail", [b"\0", b"\n", b"x" * 1000])
def test_trailing_bytes_are_an_error(codec: Codec, small: bytes, tail: bytes) -> None:
    with pytest.raises(CorruptError):
        codec.decode(small + tail)


@pytest.mark.parametrize("file", ["small", "deep", "exact"])
def test_every_flipped_bit_is_an_error(codec: Codec, file: str, request: pytest.FixtureRequest) -> None:
    data: bytes = request.getfixturevalue(file)
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(FormatError):
            codec.decode(bytes(damaged))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_random_damage_is_an_error(
    codec: Codec, small: bytes, busy: bytes, deep: bytes, exact: bytes, data: st.DataObject
) -> None:
    original = data.draw(st.sampled_from([small, busy, deep, exact]))
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["flip", "set", "insert", "delete", "swap"]))
        place = data.draw(st.integers(0, len(damaged) - 1))
        if kind == "flip":
            damaged[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "set":
            damaged[place] = data.draw(st.integers(0, 255))
        elif kind == "insert":
            damaged[place:place] = data.draw(st.binary(min_size=1, max_size=9))
        elif kind == "delete":
            del damaged[place : place + data.draw(st.integers(1, 9))]
        else:
            other = data.draw(st.integers(0, len(damaged) - 1))
            damaged[place], damaged[other] = damaged[other], damaged[place]
    if bytes(damaged) == original:
        return
    for decode in (codec.decode, glissando.decode):
        with pytest.raises(FormatError):
            decode(bytes(damaged))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_streams_of_rubbish_with_a_valid_header_are_an_error(codec: Codec, small: bytes, data: st.DataObject) -> None:
    """An attacker can make every CRC right; the symbols' checksum is all that is left."""
    file = Reader(small).read_all()
    streams = {i: data.draw(st.binary(max_size=200).map(lambda b: b[: len(b) // 4 * 4])) for i in (1, 2)}
    tile = Tile(streams, data.draw(st.integers(0, 2**32 - 1)))
    quality = data.draw(st.sampled_from([0, 100, 12800, 25600]))
    forged = container.write(Container(replace(file.header, quality=quality), {}, [tile]))
    with pytest.raises(CorruptError):
        codec.decode(forged)


PLANES = st.one_of(
    st.binary(max_size=60),
    # A step, a method, and what the method makes of the rest.
    st.tuples(st.binary(max_size=2), st.sampled_from([b"\0", b"\1", b"\2"]), st.binary(max_size=60)).map(b"".join),
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_planes_of_rubbish_are_an_error_or_a_picture(codec: Codec, data: st.DataObject) -> None:
    """A tile's checksum is over the bytes of its planes, so that an attacker can make it right for any of them."""
    grey = np.arange(42, dtype=np.uint16).reshape(6, 7) * 90
    file = Reader(codec.encode(grey, 60, depth=12)).read_all()
    assert not {PIXELS, CORRECTIONS, ALPHA} & set(file.tiles[0].streams)
    tile, header = file.tiles[0], replace(file.header, format=PixelFormat(1, 12, "straight"))
    kinds: set[int] = {ALPHA} | data.draw(st.sets(st.sampled_from([PIXELS, CORRECTIONS])))
    if kinds == {PIXELS, ALPHA} and data.draw(st.booleans()):
        tile, header = Tile({}, 0), replace(header, model_hash=NO_MODEL)
    planes = {kind: data.draw(PLANES) for kind in kinds}
    with contextlib.suppress(FormatError):
        forged = container.write(Container(header, {}, [with_planes(tile, planes)]))
        assert codec.decode(forged).shape == (6, 7, 2)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_rubbish_is_an_error(codec: Codec, small: bytes, rubbish: bytes) -> None:
    for data in (rubbish, small[:9] + rubbish, small[:30] + rubbish):
        with pytest.raises(FormatError):
            codec.decode(data)


def test_the_quality_of_another_file_is_noticed(codec: Codec, small: bytes) -> None:
    """Another quality means other tables: the checksum of the symbols catches it."""
    file = Reader(small).read_all()
    for quality in (0, 20000):
        with pytest.raises(CorruptError):
            codec.decode(container.write(replace(file, header=replace(file.header, quality=quality))))


def test_another_model_is_named(codec: Codec, small: bytes) -> None:
    file = Reader(small).read_all()
    other = container.write(replace(file, header=replace(file.header, model_hash=b"\x01\x23\x45\x67\x89\xab\xcd\xef")))
    for decode in (codec.decode, glissando.decode, glissando.open_for):
        with pytest.raises(UnknownModelError, match=r"0123456789abcdef.*medium"):
            decode(other)
    info = glissando.probe(other)
    assert info.model is None
    assert info.model_hash == "0123456789abcdef"


# --- Limits and memory -------------------------------------------------------------------------------------


def declaring(codec: Codec, width: int, height: int, stream: bytes = b"", format: PixelFormat = RGB_8) -> bytes:
    """A file with a valid header for a picture of that size, and the same stream in each tile."""
    header = Header(width, height, 12800, format, bytes.fromhex(codec.card.hash), 9)
    kinds = {1: stream, 2: b""} | ({} if format == RGB_8 else {PIXELS: stream, CORRECTIONS: stream, ALPHA: stream})
    return container.write(Container(header, {}, [Tile(kinds, 0)] * header.tile_count))


def flat_planes(number: int, side: int) -> bytes:
    """A few bytes that are large planes of 16 bits: of one value, which takes no bit after their header."""
    return bytes([PREDICTED]) + encode_stream(np.full((number, side, side), 7, np.uint16), 16)


def exact_tiles(side: int) -> bytes:
    """A small file of the largest samples, tiles and number of planes that a reader knows."""
    header = Header(side, side, 25600, DEEP, NO_MODEL, 10)
    planes = {PIXELS: flat_planes(3, 1024), ALPHA: ALPHA_STEP.write(1) + flat_planes(1, 1024)}
    return container.write(Container(header, {}, [with_planes(Tile({}, 0), planes)] * header.tile_count))


def corrected_tiles(codec: Codec, height: int, width: int) -> bytes:
    """A small file of the largest samples, and of corrections of all of them."""
    grain = np.random.default_rng(0).integers(30000, 31000, (height, width, 3), dtype=np.uint16)
    file = Reader(codec.encode(grain, 30)).read_all()
    assert PIXELS not in file.tiles[0].streams
    more = {CORRECTIONS: CORRECTION_STEP.write(1) + flat_planes(3, 512), ALPHA: b""}
    tiles = [with_planes(tile, more) for tile in file.tiles]
    return container.write(Container(replace(file.header, format=DEEP), {}, tiles))


DEEP = PixelFormat(3, 16, "straight")


def test_limits_are_the_callers(codec: Codec, small: bytes) -> None:
    for decode in (codec.decode, codec.decode_picture, glissando.decode):
        with pytest.raises(LimitError, match=r"2000 pixels.*limit is 1999"):
            decode(small, max_pixels=1999)
        decode(small, max_pixels=2000)


def test_the_default_limit_can_be_raised(codec: Codec) -> None:
    data = declaring(codec, 20_000, 20_000, stream=b"\1\0\0\0")[:-1]
    for decode in (codec.decode, glissando.decode):
        with pytest.raises(LimitError):
            decode(data)
        with pytest.raises(TruncatedError):
            decode(data, max_pixels=400_000_000)
    assert glissando.open_for(data).name == codec.name


def test_a_declared_size_alone_allocates_nothing(codec: Codec) -> None:
    """16,384 × 16,384 pixels declared, with every kind of cut: an error before anything of that size exists."""
    codec.decode(codec.encode(np.zeros((8, 8, 3), np.uint8), 50))  # whatever is loaded once
    for format in (RGB_8, DEEP):
        whole = declaring(codec, 16384, 16384, stream=b"\1\0\0\0", format=format)
        for data in (whole[:-1], whole[: len(whole) // 2], whole[:40], whole + b"\0"):
            tracemalloc.start()
            with pytest.raises(FormatError):
                codec.decode(data)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 100 * len(whole)  # of the file's own bytes, 1,024 tiles and their table


MEASURE = """
import json, sys
import numpy as np
import glissando
from glissando.errors import FormatError

codec = glissando.open_model("medium", backend="openvino", precision="f32", threads=1)
codec.decode(codec.encode(np.zeros((640, 640, 3), np.uint8), 50))

def resident(kind):
    with open("/proc/self/status") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(kind))

results = []
for path in sys.argv[1:]:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts again
    before = resident("VmRSS")
    with open(path, "rb") as file:
        try:
            codec.decode(file.read())
            error = ""
        except FormatError as found:
            error = type(found).__name__
    results.append((error, resident("VmHWM") - before))
print(json.dumps(results))
"""

BYTES_PER_PIXEL = 8  # measured: 5.1, of which symbols are 2.1 and the picture itself 3
DEEP_BYTES_PER_PIXEL = 20  # measured: 14, of which the picture is 8
FIXED_BYTES = 5e8  # measured: 2.2e8, the feature maps of a window of 28 × 28 cells, whatever the picture is
PLANES_BYTES = 1.5e8  # measured: 0.9e8, the planes of a tile of 1024 × 1024 while they are decoded


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux to measure resident memory")
def test_memory_is_bounded_by_the_declared_size(codec: Codec, tmp_path: Any) -> None:
    """So many bytes for each pixel that the header declares, plus a window's feature maps or a tile's planes."""
    large = np.random.default_rng(0).integers(100, 104, (1984, 2112, 3), dtype=np.uint8)
    forged, flat = declaring(codec, 16384, 16384, stream=b"\1\0\0\0"), codec.encode(large, 30)
    files = {
        "forged": (forged, BYTES_PER_PIXEL * 16384 * 16384 + FIXED_BYTES),
        "flat": (flat, BYTES_PER_PIXEL * 1984 * 2112 + FIXED_BYTES),
        "exact": (exact_tiles(2048), DEEP_BYTES_PER_PIXEL * 2048 * 2048 + PLANES_BYTES),
        "corrected": (corrected_tiles(codec, 1024, 1536), DEEP_BYTES_PER_PIXEL * 1024 * 1536 + FIXED_BYTES),
    }
    for name, (data, _) in files.items():
        assert len(data) < 100_000
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *(str(tmp_path / name) for name in files)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
    )
    results = json.loads(done.stdout)
    assert [error for error, _ in results] == ["CorruptError", "", "", ""]
    for (_, used), (_, bound) in zip(results, files.values(), strict=True):
        assert used <= bound
    assert results[0][1] < 16384 * 16384  # forged: not even one byte a pixel is touched before the error
