"""Many files: what becomes of which, what is told, and what is left by runs that were killed."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
from pathlib import Path

import fake_codec
import numpy as np
import pytest
from PIL import Image

import glissando
from glissando.cli.planning import plan
from glissando.errors import PictureError
from glissando.picture import Picture, encode_picture


@pytest.fixture
def folders(photo, tmp_path):
    """Pictures in a folder and in the folders in it, with something between that is no picture."""
    for folder in ("photos", "photos/sub", "photos/sub/deep", "photos/empty"):
        (tmp_path / folder).mkdir()
    for name in ("photos/a.png", "photos/b.PNG", "photos/sub/a.png", "photos/sub/deep/c.jpg"):
        photo(name)
    (tmp_path / "photos" / "list.txt").write_text("no picture")


def outputs(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_folders(invoke, folders):
    assert invoke("encode", "photos", "small").exit_code == 0
    assert outputs("small") == ["a.gliss", "b.gliss"]
    assert invoke("encode", "photos", "whole/", "--recursive").exit_code == 0
    assert outputs("whole") == ["a.gliss", "b.gliss", "sub/a.gliss", "sub/deep/c.gliss"]
    assert invoke("decode", "whole", "back", "-r", "-f", "webp").exit_code == 0
    assert outputs("back") == ["a.webp", "b.webp", "sub/a.webp", "sub/deep/c.webp"]
    os.mkdir("x")
    result = invoke("encode", "photos/empty", "photos/sub", "x")
    assert result.exit_code == 1
    expected = "there is no input in this folder; --recursive looks into the folders in it as well"
    assert result.stderr.splitlines()[0] == f"glissando: photos/empty: {expected}"
    assert outputs("x") == ["a.gliss"]
    assert json.loads(invoke("encode", "photos/empty", "x", "-r", "--json").stdout) == {
        "input": "photos/empty",
        "output": None,
        "error": "there is no input in this folder",
    }
    for args in (("photos", "x.gliss"), ("photos", "-"), ("photos", "photos/list.txt")):
        result = invoke("encode", *args)
        assert result.exit_code == 2, args
        assert "folder" in result.stderr


def test_inputs_of_one_output_are_refused_and_the_rest_goes_on(invoke, photo):
    for name in ("a.png", "a.jpg", "b.png"):
        photo(name)
    result = invoke("encode", "a.png", "a.jpg", "b.png", "out")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[:2] == [
        "glissando: a.png: a.jpg would become out/a.gliss as well; --name '{stem}-{ext}.gliss' tells them apart",
        "glissando: a.jpg: a.png would become out/a.gliss as well; --name '{stem}-{ext}.gliss' tells them apart",
    ]
    assert outputs("out") == ["b.gliss"]
    assert invoke("encode", "a.png", "a.jpg", "b.png", "out", "--name", "{stem}-{ext}.gliss").exit_code == 0
    assert outputs("out") == ["a-jpg.gliss", "a-png.gliss", "b-png.gliss", "b.gliss"]
    os.mkdir("sub")
    photo("sub/a.png")
    result = invoke("encode", "a.png", "sub/a.png", "other")
    assert result.exit_code == 1
    assert "--name" not in result.stderr  # which would not help
    assert not os.path.exists("other")


@pytest.mark.parametrize(
    ("template", "message"),
    [("{name}.gliss", "no field"), ("{stem", "expected '}'"), ("{stem:>9}", "no field"), ("../{stem}", "no name of a")],
)
def test_names_that_are_none(invoke, photo, template, message):
    photo("a.png")
    result = invoke("encode", "a.png", "out/", "--name", template)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert invoke("encode", "a.png", "a.gliss", "--name", "{stem}.gliss").exit_code == 2


def test_a_plan_of_4000_files_looks_at_each_but_a_few_times(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    looks = 0
    look = os.stat

    def counted(*args, **options):
        nonlocal looks
        looks += 1
        return look(*args, **options)

    os.mkdir("out")
    names = [f"{number}.png" for number in range(4000)]
    for name in names[:50]:
        Path("out", name).with_suffix(".gliss").write_bytes(b"")
    monkeypatch.setattr(os, "stat", counted)
    found = plan(names, "out", ".gliss", suffixes=(".png",))
    assert looks <= 5 * len(names)
    assert [job.dest for job in found.jobs] == [f"out/{number}.gliss" for number in range(4000)]
    assert not any(job.refused for job in found.jobs)


def test_an_input_under_another_name_is_not_written_over(invoke, photo):
    photo("a.png")
    Path("out").mkdir()
    os.link("a.png", "out/a.gliss")
    result = invoke("encode", "a.png", "out")
    assert result.exit_code == 2
    assert "an input as well as an output" in " ".join(result.stderr.split())


def test_times_and_permissions_are_kept_where_asked(invoke, photo):
    photo("a.png")
    os.utime("a.png", ns=(10**18, 10**18))
    os.chmod("a.png", 0o640)
    for command in (("encode", "a.png", "a.gliss"), ("decode", "a.gliss", "b.png")):
        assert invoke(*command).exit_code == 0
        assert os.stat(command[2]).st_mtime_ns != 10**18
        assert invoke(*command, "--preserve").exit_code == 0
        found = os.stat(command[2])
        assert found.st_mtime_ns == 10**18
        if os.name == "posix":
            assert stat.S_IMODE(found.st_mode) == 0o640
    assert invoke("encode", "-", "c.gliss", "--preserve", input=Path("a.png").read_bytes()).exit_code == 0


def test_to_the_disk_where_asked(invoke, photo, monkeypatch):
    photo("a.png")
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    assert not synced
    assert invoke("encode", "a.png", "a.gliss", "--sync").exit_code == 0
    assert len(synced) == (2 if os.name == "posix" else 1)  # the file, and its folder


def test_several_at_once(invoke, photo, monkeypatch):
    """Each in a thread with a codec of its own, which share the cores; what is told keeps the order of the files."""
    names = [f"{number}.png" for number in range(5)]
    for name in names:
        photo(name, width=13 if name == "2.png" else 20)
    opened, together = [], threading.Barrier(2, timeout=20)

    class Meeting(fake_codec.Codec):
        def encode(self, picture, *args, **options):
            if picture.width != 13:
                together.wait()
            return super().encode(picture, *args, **options)

    monkeypatch.setattr(glissando, "open_model", lambda name, encoder, threads: opened.append(threads) or Meeting())
    result = invoke("encode", *names, "out", "--jobs", "2", "--threads", "7", "-v")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["0.png -> out/0.gliss", "1.png -> out/1.gliss"]
    assert lines[2].startswith("glissando: 2.png: unexpected RuntimeError")
    assert lines[-1].startswith("4 files: ")
    assert outputs("out") == ["0.gliss", "1.gliss", "3.gliss", "4.gliss"]
    assert set(opened) == {3}
    assert invoke("decode", "out", "back", "--jobs", "3").exit_code == 0
    assert outputs("back") == ["0.png", "1.png", "3.png", "4.png"]


def test_wrong_usage_ends_all_that_is_done_at_once(invoke, photo, monkeypatch):
    photo("a.png")
    photo("b.png")

    def broken(self, *args, **options):
        raise BrokenPipeError

    monkeypatch.setattr(fake_codec.Codec, "encode", broken)
    assert invoke("encode", "a.png", "b.png", "out", "--jobs", "2").exit_code == 1


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c_lets_those_that_are_begun_come_to_their_end(invoke, photo, monkeypatch):
    names = [f"{number}.png" for number in range(8)]
    for name in names:
        photo(name)
    begun, both = [], threading.Barrier(2, timeout=20)

    class Interrupted(fake_codec.Codec):
        def encode(self, picture, *args, progress, **options):
            begun.append(picture)
            both.wait()
            if begun[0] is picture:
                os.kill(os.getpid(), signal.SIGINT)
            while progress(0.5):
                time.sleep(0.01)
            return super().encode(picture, *args, progress=progress, **options)

    monkeypatch.setattr(glissando, "open_model", lambda name, **options: Interrupted())
    result = invoke("encode", *names, "out", "--jobs", "2", "--effort", "8")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "glissando: interrupted"
    assert len(begun) == 2
    assert outputs("out") == ["0.gliss", "1.gliss"]


def test_lines_of_json(invoke, photo):
    photo("a.png")
    result = invoke("encode", "a.png", "none.png", "out", "--json")
    assert result.exit_code == 1
    done, failed = map(json.loads, result.stdout.splitlines())
    assert done == {
        "input": "a.png",
        "output": "out/a.gliss",
        "error": None,
        "input_bytes": os.path.getsize("a.png"),
        "output_bytes": os.path.getsize("out/a.gliss"),
        "pixels": 200,
    }
    assert failed == {"input": "none.png", "output": "out/none.gliss", "error": "No such file or directory"}
    assert "out/a.gliss:" not in result.stderr
    assert "glissando: none.png: No such file or directory" in result.stderr
    assert json.loads(invoke("decode", "out/a.gliss", "b.png", "--json").stdout)["pixels"] == 200
    assert invoke("encode", "a.png", "-", "--json").exit_code == 2


def test_a_dry_run_writes_nothing(invoke, photo):
    photo("a.png")
    photo("b.png")
    Path("b.gliss").write_bytes(b"before")
    result = invoke("encode", "a.png", "b.png", "none.png", "out/", "--dry-run")
    assert (result.exit_code, result.stdout) == (1, "a.png -> out/a.gliss\nb.png -> out/b.gliss\n")
    assert result.stderr == "glissando: none.png: No such file or directory\n"
    assert not os.path.exists("out")
    result = invoke("encode", "b.png", "b.gliss", "--dry-run", "--no-overwrite", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"] == "exists already; nothing was written"
    assert Path("b.gliss").read_bytes() == b"before"
    assert invoke("decode", "b.gliss", "c.png", "--dry-run").stdout == "b.gliss -> c.png\n"


def test_what_a_killed_run_left_is_cleared_by_the_next(invoke, photo):
    photo("a.png")
    os.mkdir("out")
    litter = Path("out", ".0123456789abcdef.glissando-partial")
    foreign = Path("out", ".0123456789abcdef.tmp")
    for path in (litter, foreign):
        path.write_bytes(b"half")
    assert invoke("encode", "a.png", "out", "--dry-run").exit_code == 0
    assert litter.exists()
    assert invoke("encode", "a.png", "out").exit_code == 0
    assert sorted(os.listdir("out")) == [foreign.name, "a.gliss"]


def test_the_quality_of_what_is_decoded(invoke, photo):
    pixels = photo("a.png", width=64, height=64)
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    for suffix in ("jpg", "webp", "avif"):
        sizes = []
        for quality in (10, 60, 99):
            assert invoke("decode", "a.gliss", f"b.{suffix}", "-q", quality).exit_code == 0
            sizes.append(os.path.getsize(f"b.{suffix}"))
        assert sizes[0] < sizes[1] < sizes[2]
        with Image.open(f"b.{suffix}") as image:
            assert np.abs(np.asarray(image).astype(int) - pixels).mean() > 0
    assert invoke("decode", "a.gliss", "b.webp").exit_code == 0
    with Image.open("b.webp") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)  # without loss where no quality is given
    for args in (("b.png", "-q", "50"), ("-", "-q", "50"), ("b.jpg", "-q", "101")):
        result = invoke("decode", "a.gliss", *args)
        assert result.exit_code == 2
        assert "--quality" in result.stderr
    with pytest.raises(PictureError, match="x: PNG is written without loss; it has no quality"):
        encode_picture(Picture(pixels), "png", quality=50, name="x")
    with pytest.raises(PictureError, match="0 to 100, not 101"):
        encode_picture(Picture(pixels), "jpg", quality=101)


def test_the_quality_of_more_than_8_bits():
    pytest.importorskip("imagecodecs")
    samples = np.random.default_rng(0).integers(0, 1024, (64, 64, 3), dtype=np.uint16)
    coarse, fine = (encode_picture(Picture(samples, depth=10), "avif", quality=each)[0] for each in (10, 99))
    assert len(coarse) < len(fine) / 2
    _, notes = encode_picture(Picture(samples[..., 0], depth=10), "avif", quality=10)
    assert notes == ("grey AVIF of 10 bits is written without loss; the quality has no effect",)
