"""Codecs of a comparison: each round-trips a picture with sizes and quality that rise, or says what to install."""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import glissando
from glissando import zoo
from glissando.bench import programs
from glissando.bench.codecs import DEFAULTS, Codec, open_codec, registered, vips
from glissando.bench.codecs.base import register, rgb8
from glissando.errors import BenchmarkError, CodecUnavailableError

Pixels = NDArray[np.uint8]
WITH_PILLOW = (
    *("jpeg", "jpeg-444", "webp", "webp-best"),
    *("avif", "avif-psnr", "avif-slow", "avif-psnr-slow", "avif-slowest"),
)
WITH_PYVIPS = ("jpeg-best", "webp-sharp")
WITH_PILLOW_HEIF = ("heic", "heic-psnr")
WITH_IMAGECODECS = ("jxl", "jxl-best", "jxl-fast", "jp2")
EXTERNAL = ("hevc", "av1", "vvc", "bpg")
NAMES = list(registered())


def opened(name: str) -> Codec:
    """The codec, or a skip with what it says is missing, which must help whoever reads it."""
    try:
        return open_codec(name, 1)
    except CodecUnavailableError as error:
        reason = str(error)
    assert any(hint in reason for hint in ("pip install", "not found on PATH; see https://", "built with"))
    pytest.skip(reason)


def test_all_codecs_are_known() -> None:
    assert set(registered()) >= {
        *("glissando:medium", *WITH_PILLOW, *WITH_PYVIPS, *WITH_IMAGECODECS, *WITH_PILLOW_HEIF, *EXTERNAL)
    }
    assert [name for name, codec in registered().items() if not codec.on_request] == DEFAULTS
    assert "avif-slowest" not in DEFAULTS  # it would take hours for two dozen pictures
    assert DEFAULTS[0].startswith("glissando:")  # ours come first in every table


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_a_rising_curve(name: str) -> None:
    codec = registered()[name]
    assert codec.name == name
    assert 9 <= len(codec.settings) <= 13
    assert 5 <= len(codec.quick) <= 6
    for settings in (codec.settings, codec.quick):
        assert list(settings) == sorted(set(settings))
        assert not codec.whole or all(setting == int(setting) for setting in settings)
    assert codec.settings[0] <= codec.quick[0]
    assert codec.quick[-1] <= codec.settings[-1]


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name: str, natural: Callable[..., Pixels], psnr: Callable[..., float]) -> None:
    codec = opened(name)
    height, width = (48, 64) if codec.on_request else (144, 176)
    picture = natural(height, width, seed=3)
    files = [codec.encode(picture, setting) for setting in codec.quick]
    decoded = [codec.decode(data) for data in files]
    assert all(pixels.shape == picture.shape and pixels.dtype == np.uint8 for pixels in decoded)
    quality = [psnr(picture, pixels) for pixels in decoded]
    assert quality == sorted(set(quality))
    assert 18 < quality[0] < quality[-1] - 4
    sizes = [len(data) for data in files]
    assert sizes == sorted(set(sizes))
    assert any(character.isdigit() for character in codec.version)
    assert codec.thread_note.startswith("1")


@pytest.mark.parametrize("name", NAMES)
def test_odd_sizes(name: str, natural: Callable[..., Pixels], psnr: Callable[..., float]) -> None:
    codec = opened(name)
    picture = natural(37, 51, seed=4)[:, ::-1]  # neither even nor contiguous
    if name == "vvc":
        with pytest.raises(BenchmarkError, match="51x37; VVC 4:2:0 needs both sides even"):
            codec.encode(picture, codec.quick[-1])
        return
    decoded = codec.decode(codec.encode(picture, codec.quick[-1]))
    assert decoded.shape == picture.shape
    assert psnr(picture, decoded) > 28


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_errors_of_the_comparison(name: str) -> None:
    codec = opened(name)
    with pytest.raises(BenchmarkError) as caught:
        codec.decode(b"no picture at all")
    assert not isinstance(caught.value, CodecUnavailableError)


@pytest.mark.parametrize("name", ["jpeg", "webp", "jpeg-best", "webp-sharp"])
def test_what_a_codec_refuses_is_an_error_of_the_comparison(name: str) -> None:
    with pytest.raises(BenchmarkError, match="cannot write"):
        opened(name).encode(np.zeros((2, 70_000, 3), np.uint8), 50)


def test_a_model_refuses_a_quality_beyond_its_range(natural: Callable[..., Pixels]) -> None:
    with pytest.raises(BenchmarkError, match="glissando:medium: quality"):
        open_codec("glissando:medium", 1).encode(natural(32, 32), 101)


def test_avif_says_what_it_is_tuned_for(natural: Callable[..., Pixels], psnr: Callable[..., float]) -> None:
    eye, error = opened("avif"), opened("avif-psnr")
    assert "tune=psnr" in error.label
    assert error.tuned_for == "squared error"
    picture = natural(256, 256, seed=5)
    ours, theirs = (codec.encode(picture, 50) for codec in (eye, error))
    version = eye.version.removeprefix("libavif ").split(".")
    if (int(version[0]), int(version[1])) >= (1, 4):
        assert "tune=iq" in eye.tuned_for
        assert ours != theirs
    assert psnr(picture, error.decode(theirs)) > 25


def test_a_slower_avif_is_smaller_at_the_same_error(natural: Callable[..., Pixels], psnr: Callable[..., float]) -> None:
    """What the search wins is bits, and so a slow one is told from a fast one by the sum of both."""
    picture = natural(128, 128, seed=6)
    costs = []
    for name in ("avif-psnr", "avif-psnr-slow"):
        codec = opened(name)
        data = codec.encode(picture, 60)
        # 6.02 dB are one bit for each sample; here 128x128 pixels, of which the luma counts most.
        costs.append(math.log2(len(data)) - psnr(picture, codec.decode(data)) / 6.02)
    assert costs[1] < costs[0]
    assert "speed 3" in opened("avif-psnr-slow").label
    assert "speed 0" in opened("avif-slowest").label


def test_mozjpeg_is_smaller_at_the_same_error(natural: Callable[..., Pixels], psnr: Callable[..., float]) -> None:
    ours, theirs = opened("jpeg-best"), opened("jpeg")
    picture = natural(192, 256, seed=7)
    data = ours.encode(picture, 50)
    assert data[:2] == b"\xff\xd8"
    assert b"\xff\xc2" in data  # a progressive frame
    reached = psnr(picture, ours.decode(data))
    sizes = [
        len(file)
        for file in (theirs.encode(picture, q) for q in range(5, 95, 5))
        if psnr(picture, theirs.decode(file)) >= reached
    ]
    assert len(data) < min(sizes)


def test_the_sharp_webp_keeps_more_of_an_edge_between_colours(psnr: Callable[..., float]) -> None:
    """Chroma in half the resolution blurs a blue disc's edge; the sharp conversion makes up for it in luma."""
    rows, columns = np.mgrid[:96, :96]
    inside = (rows - 47.3) ** 2 + (columns - 48.1) ** 2 < 30**2
    picture = np.where(inside[..., None], [0, 0, 255], [255, 255, 255]).astype(np.uint8)
    plain, sharp = (opened(name) for name in ("webp-best", "webp-sharp"))
    scores = [psnr(picture, codec.decode(codec.encode(picture, 90))) for codec in (plain, sharp)]
    assert scores[1] > scores[0] + 1


def test_heic_is_a_file_of_hevc_with_10_bits(natural: Callable[..., Pixels]) -> None:
    codec = opened("heic")
    assert codec.version.startswith("x265 ")
    assert all(library in codec.version for library in ("libheif ", "libde265 ", "pillow-heif "))
    data = codec.encode(natural(48, 64), 50)
    assert data[4:8] == b"ftyp"
    assert b"hvcC" in data
    assert b"pixi\x00\x00\x00\x00\x03\x0a\x0a\x0a" in data  # three channels of 10 bits


def test_heic_keeps_what_its_rounding_allows(psnr: Callable[..., float]) -> None:
    """At the largest quality little is lost, so that what is lost at others is lost by HEVC and not by us."""
    codec = opened("heic-psnr")
    ramp = np.linspace(0, 255, 128)
    picture = np.broadcast_to(np.stack([ramp, ramp[::-1], 0.5 * ramp], axis=-1), (64, 128, 3)).astype(np.uint8)
    assert psnr(picture, codec.decode(codec.encode(picture, 100))) > 48


def test_heic_says_what_it_is_tuned_for(natural: Callable[..., Pixels], psnr: Callable[..., float]) -> None:
    eye, error = opened("heic"), opened("heic-psnr")
    assert "tune=ssim" in eye.tuned_for
    assert error.tuned_for == "squared error"
    picture = natural(128, 160, seed=5)
    files = [codec.encode(picture, 50) for codec in (eye, error)]
    assert files[0] != files[1]
    assert psnr(picture, error.decode(files[1])) > 28


@pytest.mark.parametrize("name", NAMES)
def test_codecs_say_what_they_are_tuned_for(name: str) -> None:
    if name != "bpg":  # its authors do not say
        assert opened(name).tuned_for


@pytest.mark.parametrize("name", ["avif", "jxl", "jp2", "heic"])
def test_threads_do_not_change_the_pixels(name: str, natural: Callable[..., Pixels]) -> None:
    one = opened(name)
    two = open_codec(name, 2)
    assert (one.thread_note, two.thread_note) == ("1", "2")
    data = one.encode(natural(96, 128), one.quick[2])
    np.testing.assert_array_equal(one.decode(data), two.decode(data))


@pytest.mark.parametrize("name", ["jpeg", "webp", "jpeg-best", "webp-sharp"])
def test_codecs_of_one_thread_say_so(name: str) -> None:
    opened(name)
    assert open_codec(name, 4).thread_note == "1 (cannot use more)"


@pytest.mark.parametrize(
    ("name", "sharp"),
    [
        *(("jpeg", False), ("jpeg-best", False), ("jpeg-444", True)),
        *(("avif", True), ("avif-psnr", True), ("heic", True), ("hevc", True)),
    ],
)
def test_chroma_is_subsampled_where_the_label_says_so(name: str, sharp: bool, psnr: Callable[..., float]) -> None:
    """Stripes of colour one pixel wide survive 4:4:4 alone."""
    codec = opened(name)
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, 0::2, 0] = 255
    stripes[:, 1::2, 1] = 130  # about as bright as the red
    assert ("4:4:4" in codec.label) is sharp
    assert (psnr(stripes, codec.decode(codec.encode(stripes, codec.settings[-1]))) > 28) is sharp


# Names --------------------------------------------------------------------------------------------------


def test_a_model_at_an_effort(natural: Callable[..., NDArray[np.uint8]]) -> None:
    codec = open_codec("glissando:medium-psnr@6", 1)
    assert codec.name == "glissando:medium-psnr@6"
    assert codec.label == "Glissando medium-psnr, effort 6"
    assert codec.slow
    assert codec.version.endswith(", effort 6)")
    picture = natural(64, 96)
    usual = open_codec("glissando:medium-psnr", 1)
    assert "effort" not in usual.version
    assert codec.encode(picture, 40) == glissando.encode(picture, 40, model="medium-psnr", effort=6, threads=1)
    assert codec.encode(picture, 40) != usual.encode(picture, 40)
    with pytest.raises(BenchmarkError, match="effort must be a whole number from 0 to 10, not 11"):
        open_codec("glissando:medium@11", 1)


@pytest.mark.parametrize("name", ["tiff", "", "glissando", "glissando:", "jpeg:90"])
def test_unknown_names_list_the_known_ones(name: str) -> None:
    with pytest.raises(BenchmarkError, match=r"no codec called .*known: .*glissando:medium.*jpeg"):
        open_codec(name, 1)


def test_an_exported_folder_is_a_codec(natural: Callable[..., Pixels]) -> None:
    folder = zoo.find("medium").folder
    codec = open_codec(f"glissando:{folder}", 1)
    assert codec.name == f"glissando:{folder}"
    assert codec.name not in registered()
    assert codec.ours
    assert codec.label == f"Glissando medium ({folder.name})"
    picture = natural(64, 64)
    assert codec.encode(picture, 40) == open_codec("glissando:medium", 1).encode(picture, 40)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no model called"):
        open_codec(f"glissando:{tmp_path}", 1)


def test_names_are_taken_once() -> None:
    with pytest.raises(ValueError, match="two codecs are called jpeg"):
        register(registered()["jpeg"])
    assert DEFAULTS.count("jpeg") == 1


@pytest.mark.parametrize(
    "array", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 4), np.uint8), np.zeros((4, 5, 3), np.uint16)]
)
def test_only_rgb_of_8_bits_passes(array: NDArray[np.uint8]) -> None:
    with pytest.raises(BenchmarkError, match=r"some codec decoded to .* not to 8-bit RGB"):
        rgb8(array, "some codec")


# What is missing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_IMAGECODECS)
def test_without_imagecodecs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(CodecUnavailableError, match=r"imagecodecs: pip install 'glissando\[bench\]'"):
        open_codec(name, 1)


@pytest.mark.parametrize("name", WITH_PYVIPS)
def test_without_pyvips(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvips", None)
    with pytest.raises(CodecUnavailableError, match=r"pyvips with libvips: pip install 'glissando\[bench\]'"):
        open_codec(name, 1)


def test_with_a_libvips_without_mozjpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    opened("jpeg-best")
    monkeypatch.setattr(vips.JpegBest, "_save", lambda self, pixels, **options: b"the same whatever is asked for")
    with pytest.raises(CodecUnavailableError, match="built with mozjpeg: pip install"):
        open_codec("jpeg-best", 1)


@pytest.mark.parametrize("name", WITH_PILLOW_HEIF)
def test_without_pillow_heif(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(CodecUnavailableError, match=r"pillow-heif: pip install 'glissando\[bench\]'"):
        open_codec(name, 1)


def test_with_a_pillow_heif_without_x265(monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the package: pip install 'glissando[bench]'")
    monkeypatch.setattr(pillow_heif, "libheif_info", lambda: {"encoders": {"kvazaar": "kvazaar"}, "decoders": {}})
    with pytest.raises(CodecUnavailableError, match="built with x265: pip install"):
        open_codec("heic", 1)


def test_without_avif_in_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glissando.bench.codecs.pillow.features.check", lambda feature: False)
    with pytest.raises(CodecUnavailableError, match="no AVIF; pip install"):
        open_codec("avif", 1)


@pytest.mark.parametrize(
    ("name", "program"), [("hevc", "ffmpeg"), ("av1", "ffmpeg"), ("vvc", "vvdecapp"), ("bpg", "bpgdec")]
)
def test_without_programs(name: str, program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CodecUnavailableError, match=f"{name} needs .*{program}.* not found on PATH; see https://"):
        open_codec(name, 1)


# Programs, by stand-ins ---------------------------------------------------------------------------------

Script = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Puts a Python script on PATH, under the name of a program."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, body: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nimport sys\nargs = sys.argv[1:]\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return write


BPGENC = """
if "-h" in args: print("BPG Image Encoder version 0.9.8"); sys.exit(1)
from PIL import Image
after = lambda option: args[args.index(option) + 1]
assert after("-f") == "444"
Image.open(args[-1]).save(after("-o"), "JPEG", quality=60 - int(after("-q")), subsampling=0)
"""
BPGDEC = """
from PIL import Image
Image.open(args[-1]).save(args[args.index("-o") + 1], "PNG")
"""
VVENCAPP = """
if "--version" in args: print("vvencapp: Fraunhofer VVC Encoder ver. 1.14.0, VVenC version 1.14.0"); sys.exit(0)
after = lambda option: args[args.index(option) + 1]
width, height = map(int, after("-s").split("x"))
raw = open(after("-i"), "rb").read()
assert len(raw) == 2 * (width * height + 2 * (width // 2) * (height // 2)) and after("-c") == "yuv420_10"
assert 0 <= int(after("-q")) <= 63
open(after("-o"), "wb").write(f"{width} {height}\\n".encode() + raw)
"""
VVDECAPP = """
if "--version" in args: print("VVdeC version 3.1.0"); sys.exit(0)
after = lambda option: args[args.index(option) + 1]
size, raw = open(after("-b"), "rb").read().split(b"\\n", 1)
width, height = size.decode().split()
header = f"YUV4MPEG2 W{width} H{height} F50:1 Ip C420p10\\nFRAME\\n"
open(after("-o"), "wb").write(header.encode() + raw)
"""


def test_bpg_by_stand_ins(program: Script, natural: Callable[..., Pixels], psnr: Callable[..., float]) -> None:
    program("bpgenc", BPGENC)
    program("bpgdec", BPGDEC)
    codec = open_codec("bpg", 1)
    assert codec.version == "bpgenc 0.9.8"
    picture = natural(33, 47)
    small, large = (codec.encode(picture, setting) for setting in (codec.quick[0], codec.quick[-1]))
    assert len(small) < len(large)
    assert psnr(picture, codec.decode(large)) > 30


def test_vvc_by_stand_ins(program: Script, psnr: Callable[..., float]) -> None:
    """The stand-ins keep every sample, so that what is lost is lost by our own conversion of colours."""
    opened("hevc")  # needs ffmpeg too
    program("vvencapp", VVENCAPP)
    program("vvdecapp", VVDECAPP)
    codec = open_codec("vvc", 1)
    assert codec.version == "VVenC 1.14.0, VVdeC 3.1.0"
    ramp = np.linspace(0, 255, 96)
    picture = np.broadcast_to(np.stack([ramp, ramp[::-1], 0.5 * ramp], axis=-1), (64, 96, 3)).astype(np.uint8)
    decoded = codec.decode(codec.encode(picture, 30))
    assert decoded.shape == picture.shape
    assert psnr(picture, decoded) > 45


def test_a_program_that_fails_is_quoted(program: Script, natural: Callable[..., Pixels]) -> None:
    program("bpgenc", 'print("first line\\nout of luck", file=sys.stderr); sys.exit(3)')
    program("bpgdec", "pass")
    codec = open_codec("bpg", 1)
    with pytest.raises(BenchmarkError, match=r"bpgenc failed: out of luck$"):
        codec.encode(natural(16, 16), 20)
    with pytest.raises(BenchmarkError, match="cannot be read"):  # bpgdec wrote nothing
        codec.decode(b"")


def test_a_program_that_writes_nothing(program: Script, natural: Callable[..., Pixels]) -> None:
    program("bpgenc", "pass")
    program("bpgdec", "pass")
    with pytest.raises(BenchmarkError, match="bpgenc wrote no file"):
        open_codec("bpg", 1).encode(natural(16, 16), 20)


def test_a_program_that_hangs(program: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    program("bpgenc", "pass")
    program("bpgdec", "import time; time.sleep(30)")
    codec = open_codec("bpg", 1)
    monkeypatch.setattr(programs, "LIMIT_S", 0.2)
    with pytest.raises(BenchmarkError, match=r"bpgdec took longer than 0\.2 s"):
        codec.decode(b"")


def test_an_ffmpeg_without_the_encoder(program: Script) -> None:
    program("ffmpeg", 'print(" V....D libx264   H.264")')
    with pytest.raises(CodecUnavailableError, match="built with libx265"):
        open_codec("hevc", 1)
