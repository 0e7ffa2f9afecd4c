"""What shells do to a program: pipes, closed and full streams, files without a name."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glissando.cli import streams

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX shells")


def test_inputs_that_cannot_be_read_twice(invoke, photo):
    """A FIFO, a pipe by its number, as ``<(…)`` and ``/dev/stdin`` are: encoded, decoded, and their bytes counted."""
    pixels = photo("a.png")
    content = Path("a.png").read_bytes()
    os.mkfifo("fifo")
    assert invoke("encode", "a.png", "expected.gliss").exit_code == 0
    expected = Path("expected.gliss").read_bytes()
    for name in ("fifo", None):
        reading, writing = (None, None) if name else os.pipe()

        def feed(data, name=name, writing=writing):
            with open(name or writing, "wb") as out:
                out.write(data)

        thread = threading.Thread(target=feed, args=(content,))
        thread.start()
        result = invoke("encode", name or f"/dev/fd/{reading}", "a.gliss")
        thread.join()
        assert result.exit_code == 0, result.stderr
        assert f"{100 * len(expected) / len(content):.1f} % of the input" in result.stderr
        assert Path("a.gliss").read_bytes() == expected
        if reading is not None:
            os.close(reading)
    thread = threading.Thread(target=lambda: Path("fifo").write_bytes(expected))
    thread.start()
    assert invoke("decode", "fifo", "b.png").exit_code == 0
    thread.join()
    np.testing.assert_array_equal(np.asarray(Image.open("b.png")), pixels)


def test_outputs_that_have_no_name(invoke, photo):
    """As ``>(…)`` and ``/dev/stdout`` are."""
    photo("a.png")
    assert invoke("encode", "a.png", "expected.gliss").exit_code == 0
    for command in (("encode", "a.png"), ("decode", "expected.gliss")):
        reading, writing = os.pipe()
        result = invoke(*command, f"/dev/fd/{writing}", "--no-overwrite")
        os.close(writing)
        with open(reading, "rb") as written:
            content = written.read()
        assert result.exit_code == 0, result.stderr
        if command[0] == "encode":
            assert content == Path("expected.gliss").read_bytes()
        else:
            assert Image.open(io.BytesIO(content)).size == (20, 10)


@pytest.mark.parametrize("command", [("encode", "a.png"), ("decode", "a.gliss")])
def test_an_output_that_is_full_is_named(invoke, photo, command):
    photo("a.png")
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    result = invoke(*command, "/dev/full")
    assert (result.exit_code, result.stderr) == (1, "glissando: /dev/full: No space left on device\n")
    result = invoke("encode", "a.png", "a.gliss", "--importance", "a.png", "--quality-map", "none/map.png")
    assert result.exit_code == 1


def test_standard_output_takes_few_bytes_at_once(monkeypatch):
    """As a stream without buffer does (PYTHONUNBUFFERED=1): each write says how many bytes it took."""

    class Slow(io.RawIOBase):
        content = b""

        def writable(self):
            return True

        def write(self, data):
            self.content += bytes(data[:5])
            return min(5, len(data))

    slow = Slow()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(slow, write_through=True))
    streams.write_output("-", b"more than five bytes")
    assert slow.content == b"more than five bytes"
    sys.stdout.detach()


_CASES = """
import io, os, sys
import fake_codec; fake_codec.install()
import glissando.api, glissando.cli.app, glissando.picture.reading, PIL.PngImagePlugin
from glissando.cli import main
for full, closed, *args in eval(sys.argv[1]):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # as if it had been started like this
        os.dup2(writing, 2)
        if full:
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
            sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", buffering=0), write_through=True)
        for number in closed:
            os.close(number)
            setattr(sys, ("stdin", "stdout", "stderr")[number], None)
        sys.argv = ["glissando", *args]
        main()
        os._exit(0)
    os.close(writing)
    with open(reading) as errors:
        print((os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), errors.read()))
"""


def test_full_and_closed_streams(spawn, photo, tmp_path):
    """A result that cannot be written is an error in one line, also where the whole of it is a help page."""
    photo("a.png")
    full, closed = "standard output: No space left on device", "standard output: Bad file descriptor"
    cases = [
        ((True, (), "--version"), full),
        ((True, (), "encode", "--help"), full),
        ((True, (), "encode", "a.png", "-"), full),
        ((False, (1,), "--version"), closed),
        ((False, (1,), "encode", "a.png", "-"), closed),
        ((False, (0,), "encode", "-", "b.gliss"), "standard input: Bad file descriptor"),
        ((False, (0, 1, 2), "encode", "a.png", "a.gliss"), None),
    ]
    process = spawn(repr([case for case, _ in cases]), code=_CASES, stdin=subprocess.DEVNULL)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    expected = [(0, "") if message is None else (1, f"glissando: {message}\n") for _, message in cases]
    assert [ast.literal_eval(line) for line in out.decode().splitlines()] == expected
    assert (tmp_path / "a.gliss").read_bytes().startswith(b"\x89GLSFAKE")
    assert sorted(os.listdir(tmp_path)) == ["a.gliss", "a.png"]


def test_names_that_are_no_text(invoke, photo):
    photo("a.png")
    name = os.fsdecode(b"\xff.gliss")
    assert invoke("encode", "a.png", name).exit_code == 0
    result = invoke("info", name)
    assert result.exit_code == 0
    assert result.stdout_bytes.startswith(b"\xff.gliss\n")
    assert invoke("decode", name, "b.png").exit_code == 0
    assert invoke("decode", name, "none/b.png").stderr == "glissando: none/b.png: No such file or directory\n"


def test_news_that_nobody_can_read_spoil_nothing(invoke, photo, monkeypatch):
    photo("a.png")

    def full(text, err=False):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("typer.echo", full)
    assert invoke("encode", "a.png", "a.gliss").exit_code == 0
    assert invoke("info", "a.gliss").exit_code == 1


def test_a_command_leaves_no_switch_of_the_process_changed(invoke, photo):
    import warnings

    photo("a.png")
    before = (warnings.showwarning, list(warnings.filters), dict(os.environ))
    assert invoke("encode", "a.png", "a.gliss", "--debug").exit_code == 0
    assert invoke("encode", "none.png", "a.gliss").stderr == "glissando: none.png: No such file or directory\n"
    assert (warnings.showwarning, list(warnings.filters), dict(os.environ)) == before
