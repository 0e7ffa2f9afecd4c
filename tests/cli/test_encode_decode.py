from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glissando.cli.patience import patience


def test_there_and_back(invoke, photo, tmp_path):
    pixels = photo("a.png")
    result = invoke("encode", "a.png", "a.gliss")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.startswith("a.png -> a.gliss: ")
    assert "bpp" in result.stderr
    assert "% of the input" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    result = invoke("decode", "a.gliss", "b.png")
    assert result.exit_code == 0
    assert result.stderr.startswith("a.gliss -> b.png: 20x10, ")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), pixels)


def test_grey_stays_grey(invoke, photo, tmp_path):
    pixels = photo("a.png", mode="L")
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    assert invoke("decode", "a.gliss", "b.png").exit_code == 0
    back = Image.open(tmp_path / "b.png")
    assert back.mode == "L"
    np.testing.assert_array_equal(np.asarray(back), pixels)


def test_quality_reaches_the_codec(invoke, photo, tmp_path):
    photo("a.png")
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    assert b'"quality": 60.0' in (tmp_path / "a.gliss").read_bytes()
    assert invoke("encode", "-q", "32.5", "a.png", "a.gliss").exit_code == 0
    assert b'"quality": 32.5' in (tmp_path / "a.gliss").read_bytes()


def test_effort(invoke, photo, tmp_path):
    photo("a.png")
    for option, expected in (
        ([], b"[4, null]"),
        (["-e", "3"], b"[3, null]"),
        (["-e", "5"], b"[5, 1.0]"),
        (["--effort", "8"], b"[8, 1.0]"),
    ):
        assert invoke("encode", "a.png", "a.gliss", *option).exit_code == 0
        assert b'"effort": ' + expected in (tmp_path / "a.gliss").read_bytes()
    result = invoke("encode", "a.png", "a.gliss", "--lossless", "--effort", "9")
    assert result.exit_code == 0
    assert b'"effort": [9, null]' in (tmp_path / "a.gliss").read_bytes()
    assert invoke("encode", "a.png", "a.gliss", "--effort", "11").exit_code == 2
    result = invoke("encode", "a.png", "a.gliss", "--effort", "5", "--quality-map", "b.png")
    assert result.exit_code == 2
    assert "--effort" in result.stderr


def test_ctrl_c_ends_refinement_and_the_file_is_written(invoke, photo, tmp_path):
    photo("a.png", width=17)
    photo("b.png")
    before = signal.getsignal(signal.SIGINT)
    result = invoke("encode", "a.png", "b.png", "out/", "--effort", "8")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert b'"effort": [8, 0.25]' in (tmp_path / "out" / "a.gliss").read_bytes()
    assert not (tmp_path / "out" / "b.gliss").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_stops_at_once():
    with patience(threading.Event(), show=False) as progress:
        assert progress(0.1)
        signal.raise_signal(signal.SIGINT)
        assert not progress(0.2)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_lossless(invoke, photo, tmp_path):
    photo("a.png")
    for option in (["--lossless"], ["-q", "lossless"]):
        assert invoke("encode", "a.png", "a.gliss", *option).exit_code == 0
        assert b'"lossless": true' in (tmp_path / "a.gliss").read_bytes()
        for other in (["--importance", "a.png"], ["--quality-map", "b.png"]):
            result = invoke("encode", "a.png", "a.gliss", *option, *other)
            assert result.exit_code == 2
            assert other[0] in result.stderr
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    assert b'"lossless": false' in (tmp_path / "a.gliss").read_bytes()


def test_tune(invoke, photo, tmp_path):
    photo("a.png")
    for options, model in (([], "medium"), (["--tune", "eye"], "medium"), (["--tune", "psnr"], "medium-psnr")):
        assert invoke("encode", "a.png", "a.gliss", *options).exit_code == 0
        assert f'"model": "{model}"'.encode() in (tmp_path / "a.gliss").read_bytes()
    for options in (["--tune", "ssim"], ["--tune", "psnr", "--model", "medium"]):
        result = invoke("encode", "a.png", "a.gliss", *options)
        assert result.exit_code == 2
        assert "--tune" in result.stderr


def test_encoder(invoke, photo, tmp_path):
    photo("a.png")
    for options, encoder in (([], "null"), (["--encoder", "slow"], '"slow"')):
        assert invoke("encode", "a.png", "a.gliss", *options).exit_code == 0
        assert f'"encoder": {encoder}'.encode() in (tmp_path / "a.gliss").read_bytes()


def test_quiet(invoke, photo):
    photo("a.png")
    assert invoke("encode", "a.png", "a.gliss", "--quiet").output == ""
    assert invoke("decode", "a.gliss", "b.png", "--quiet").output == ""


def test_metadata_survive_and_losses_are_announced(invoke, photo, tmp_path):
    photo("a.png", icc_profile=b"profile")
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    assert invoke("decode", "a.gliss", "b.png").exit_code == 0
    assert Image.open(tmp_path / "b.png").info["icc_profile"] == b"profile"
    result = invoke("decode", "a.gliss", "b.bmp")
    assert result.exit_code == 0
    assert "glissando: b.bmp: note: BMP carries no ICC profile; left out" in result.stderr


def test_many_into_a_folder_with_one_bad(invoke, photo, tmp_path):
    photo("a.png")
    photo("b.jpg")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    result = invoke("encode", "a.png", "bad.png", "missing.png", "b.jpg", "out")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("glissando: bad.png: damaged")
    assert lines[1] == "glissando: missing.png: No such file or directory"
    assert lines[2].startswith("2 files: ")
    assert lines[2].endswith("; 2 failed")
    assert sorted(os.listdir("out")) == ["a.gliss", "b.gliss"]

    (tmp_path / "out" / "bad.gliss").write_bytes(b"nothing")
    result = invoke("decode", "out/a.gliss", "out/b.gliss", "out/bad.gliss", "back/", "-v", "-f", "jpg")
    assert result.exit_code == 1
    assert "glissando: out/bad.gliss: not a Glissando file" in result.stderr
    assert "out/a.gliss -> back/a.jpg" in result.stderr
    assert sorted(os.listdir("back")) == ["a.jpg", "b.jpg"]


def test_one_input_into_a_folder(invoke, photo):
    photo("a.png")
    os.mkdir("there")
    assert invoke("encode", "a.png", "there").exit_code == 0
    assert invoke("encode", "a.png", "new/").exit_code == 0
    assert os.listdir("there") == os.listdir("new") == ["a.gliss"]


def test_an_unexpected_error_is_one_line_too(invoke, photo):
    photo("a.png", width=13)
    result = invoke("encode", "a.png", "a.gliss")
    assert result.exit_code == 1
    assert result.stderr.startswith("glissando: a.png: unexpected RuntimeError: thirteen columns (")
    assert "Traceback" not in result.stderr
    assert not os.path.exists("a.gliss")
    assert "Traceback" in invoke("encode", "a.png", "a.gliss", "--debug").stderr


def test_debug_by_environment(invoke, monkeypatch):
    monkeypatch.setenv("GLISSANDO_DEBUG", "1")
    result = invoke("encode", "none.png", "a.gliss")
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1] == "glissando: none.png: No such file or directory"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "Missing argument"),
        (("a.png",), "Missing argument"),
        (("a.png", "b.png"), "was the output forgotten"),
        (("a.png", "b.png", "c.png"), "was the output forgotten"),
        (("a.png", "b.png", "c.gliss"), "need a folder"),
        (("a.png", "b.png", "-"), "need a folder"),
        (("-", "-", "out/"), "only once"),
        (("-", "out/"), "no name"),
        (("a.png", "a.png"), "was the output forgotten"),
        (("plain", "plain"), "an input as well as an output"),
        (("a.png", "a.gliss", "-q", "101"), "--quality"),
        (("a.png", "a.gliss", "-q", "-1"), "--quality"),
        (("a.png", "a.gliss", "-q", "nan"), "--quality"),
        (("a.png", "a.gliss", "-q", "high"), "--quality"),
        (("a.png", "a.gliss", "--threads", "0"), "--threads"),
        (("a.png", "a.gliss", "--model", "huge"), "no model 'huge'"),
        (("a.png", "a.gliss", "--encoder", "fast"), "no encoder 'fast'; installed: default, slow"),
        (("a.png", "a.gliss", "--nonsense"), "No such option"),
    ],
)
def test_usage_errors(invoke, photo, args, message):
    photo("a.png")
    Path("plain").write_bytes(b"")
    before = sorted(os.listdir())
    result = invoke("encode", *args)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("args", [("a.gliss", "b.xyz"), ("a.gliss", "out/", "-f", "gif"), ("a.gliss", "-", "-f", "x")])
def test_unknown_output_formats(invoke, args):
    Path("a.gliss").write_bytes(b"")
    result = invoke("decode", *args)
    assert result.exit_code == 2
    assert "known: png" in " ".join(result.stderr.split())
    assert os.listdir() == ["a.gliss"]


def test_overwriting(invoke, photo):
    photo("a.png")
    Path("a.gliss").write_bytes(b"before")
    result = invoke("encode", "a.png", "a.gliss", "--no-overwrite")
    assert result.exit_code == 1
    assert result.stderr == "glissando: a.gliss: exists already; nothing was written\n"
    assert Path("a.gliss").read_bytes() == b"before"
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    assert Path("a.gliss").read_bytes() != b"before"


def test_a_failure_leaves_the_old_file(invoke, photo):
    photo("a.png", width=13)
    Path("a.gliss").write_bytes(b"before")
    assert invoke("encode", "a.png", "a.gliss").exit_code == 1
    assert Path("a.gliss").read_bytes() == b"before"
    Path("b.png").write_bytes(b"old")
    assert invoke("decode", "a.gliss", "b.png").exit_code == 1
    assert Path("b.png").read_bytes() == b"old"
    assert sorted(os.listdir()) == ["a.gliss", "a.png", "b.png"]


def test_output_folder_that_is_missing(invoke, photo):
    photo("a.png")
    result = invoke("encode", "a.png", "nowhere/a.gliss")
    assert result.exit_code == 1
    assert result.stderr == "glissando: nowhere/a.gliss: No such file or directory\n"


def test_convert(invoke):
    Image.new("CMYK", (20, 10), (10, 90, 200, 30)).save("a.tif")
    result = invoke("encode", "a.tif", "a.gliss")
    assert result.exit_code == 1
    assert "CMYK" in result.stderr
    assert "--convert" in result.stderr
    assert result.stderr.count("a.tif") == 1
    result = invoke("encode", "a.tif", "a.gliss", "--convert")
    assert result.exit_code == 0
    assert "glissando: a.tif: note: CMYK is converted to RGB without a profile" in result.stderr


def test_what_the_output_cannot_have_is_told(invoke, photo):
    photo("a.png", mode="RGBA")
    result = invoke("encode", "a.png", "a.gliss")
    assert result.exit_code == 0
    assert "note" not in result.stderr
    assert "note" not in invoke("decode", "a.gliss", "b.png").stderr
    with Image.open("b.png") as back, Image.open("a.png") as image:
        assert back.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(back), np.asarray(image))
    result = invoke("decode", "a.gliss", "b.jpg")
    assert "glissando: b.jpg: note: JPEG carries no transparency; it is blended over white" in result.stderr


def test_max_pixels(invoke, photo):
    photo("a.png")
    result = invoke("encode", "a.png", "a.gliss", "--max-pixels", "199")
    assert result.exit_code == 1
    assert "more than the limit of 199 pixels" in result.stderr
    assert invoke("encode", "a.png", "a.gliss", "--max-pixels", "200").exit_code == 0
    assert invoke("decode", "a.gliss", "b.png", "--max-pixels", "199").exit_code == 1
    assert invoke("decode", "a.gliss", "b.png", "--max-pixels", "200").exit_code == 0


def test_standard_streams(spawn, photo, tmp_path):
    pixels = photo("a.png")
    process = spawn("encode", "-", "-")
    out, err = process.communicate((tmp_path / "a.png").read_bytes(), 30)
    assert process.returncode == 0
    assert err.startswith(b"standard input -> standard output: ")
    process = spawn("decode", "-", "-")
    picture, err = process.communicate(out, 30)
    assert process.returncode == 0, err
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(picture))), pixels)

    process = spawn("encode", "-", "-")
    out, err = process.communicate(b"no picture", 30)
    assert (process.returncode, out) == (1, b"")
    assert err == b"glissando: standard input: not a picture in a format that can be read\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_no_picture_on_a_terminal(spawn, photo):
    import pty

    photo("a.png")
    master, slave = pty.openpty()
    try:
        process = spawn("encode", "a.png", "-", stdout=slave)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 2
        assert b"standard output is a terminal" in b" ".join(err.split())
        process = spawn("encode", "-", "a.gliss", stdin=slave)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 2
        assert b"standard input is a terminal" in b" ".join(err.split())
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_interrupted(spawn, tmp_path):
    os.mkfifo(tmp_path / "never.gliss")  # reading it waits for a writer
    process = spawn("decode", "never.gliss", "a.png", stdin=subprocess.DEVNULL)
    writer = None
    for _ in range(500):  # opens as soon as the command has the other end open
        try:
            writer = os.open(tmp_path / "never.gliss", os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:
            time.sleep(0.02)
    assert writer is not None
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    os.close(writer)
    assert process.returncode == 130
    assert err == b"glissando: interrupted\n"
    assert os.listdir(tmp_path) == ["never.gliss"]


# --------------------------------------------------------------------------------------------- regions


def test_a_region_alone(invoke, photo, tmp_path):
    pixels = photo("a.png")  # 20x10
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    result = invoke("decode", "a.gliss", "b.png", "--region", "4,2,10,5")
    assert result.exit_code == 0
    assert result.stderr.startswith("a.gliss -> b.png: 10x5, ")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), pixels[2:7, 4:14])


@pytest.mark.parametrize(("size", "expected"), [("8", (8, 4)), ("100x3", (6, 3)), ("4000", (20, 10))])
def test_scaled_down(invoke, photo, tmp_path, size, expected):
    photo("a.png")  # 20x10
    invoke("encode", "a.png", "a.gliss")
    assert invoke("decode", "a.gliss", "b.png", "--max-size", size).exit_code == 0
    with Image.open(tmp_path / "b.png") as small:
        assert small.size == expected


@pytest.mark.parametrize("text", ["0", "-4", "a", "4x", "4x5x6", "4.5"])
def test_what_is_no_size_is_wrong_usage(invoke, photo, text):
    photo("a.png")
    invoke("encode", "a.png", "a.gliss")
    result = invoke("decode", "a.gliss", "b.png", "--max-size", text)
    assert result.exit_code == 2
    assert "--max-size" in result.stderr


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,0,2,2", "", "1 2 3 4"])
def test_what_is_no_region_is_wrong_usage(invoke, photo, text):
    photo("a.png")
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    result = invoke("decode", "a.gliss", "b.png", "--region", text)
    assert result.exit_code == 2
    assert "X,Y,WIDTH,HEIGHT" in result.stderr
