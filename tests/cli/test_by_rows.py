"""Commands that read and write pictures by rows: the files are those of pictures that are in memory."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import glissando
from glissando.cli.app import app
from glissando.picture import read_picture

Pixels = NDArray[np.uint8]
Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command, for which every picture is a large one."""
    monkeypatch.setattr("glissando.cli.by_rows.LARGE", 1)
    monkeypatch.setattr("glissando.cli.decode.LARGE", 1)
    monkeypatch.chdir(tmp_path)

    def invoke(*args: object, input: bytes | None = None) -> Any:
        return CliRunner().invoke(app, [str(a) for a in args], input=input, prog_name="glissando")

    return invoke


@pytest.fixture
def no_whole_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise AssertionError("the whole picture was read")

    monkeypatch.setattr("glissando.codec.Codec.encode", fail)
    monkeypatch.setattr("glissando.codec.Codec.decode_picture", fail)


def save(path: str, picture: Pixels) -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    options: dict[str, Any] = {"exif": exif, "dpi": (300, 300)} if path.endswith("tif") else {}
    Image.fromarray(picture).save(path, **options)


@pytest.mark.parametrize("name", ["in.tif", "in.ppm"])
def test_there_and_back(name: str, run: Run, natural: Callable[..., Pixels], no_whole_picture: None) -> None:
    if name == "in.tif":
        pytest.importorskip("tifffile", reason="reads TIFF by rows")
    save(name, natural(90, 70))
    result = run("encode", name, "out.gliss", "--lossless")
    assert result.exit_code == 0, result.output
    assert re.search(r"in\.\w+ -> out\.gliss: [\d,]+ bytes, [\d.]+ bpp, [\d.]+ % of the input", result.stderr)
    data = Path("out.gliss").read_bytes()
    with glissando.open_model() as codec:
        rows = io.BytesIO()
        codec.encode_rows(glissando.ArrayRows(read_picture(name)), rows, lossless=True)
    assert data == rows.getvalue()
    for out in ("out.tif", "out.ppm"):
        assert run("decode", "out.gliss", out).exit_code == 0
        np.testing.assert_array_equal(read_picture(out).pixels, natural(90, 70))
    assert run("decode", "out.gliss", "part.ppm", "--region", "3,4,20,30").exit_code == 0
    np.testing.assert_array_equal(read_picture("part.ppm").pixels, natural(90, 70)[4:34, 3:23])


def test_the_file_is_that_of_the_whole(
    run: Run, natural: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tifffile", reason="reads TIFF by rows")
    save("in.tif", natural(90, 70))
    options = ["-q", "97", "--keep", "exif"]
    assert run("encode", "in.tif", "rows.gliss", *options).exit_code == 0
    monkeypatch.setattr("glissando.cli.by_rows.LARGE", 10**9)
    assert run("encode", "in.tif", "whole.gliss", *options).exit_code == 0
    assert Path("rows.gliss").read_bytes() == Path("whole.gliss").read_bytes()


def test_raw(run: Run, natural: Callable[..., Pixels], no_whole_picture: None) -> None:
    picture = natural(60, 80)
    Path("pixels.rgb").write_bytes(picture.tobytes())
    assert run("encode", "pixels.rgb", "out.gliss", "--raw", "80x60", "--lossless", "--quiet").exit_code == 0
    result = run("decode", "out.gliss", "back.rgb")
    assert result.exit_code == 0
    assert "80x60 (80x60x3u8), 14,400 bytes" in result.stderr
    assert Path("back.rgb").read_bytes() == picture.tobytes()
    piped = run("encode", "-", "-", "--raw", "80x60x3u8", "--lossless", input=picture.tobytes())
    assert piped.stdout_bytes == Path("out.gliss").read_bytes()
    assert run("decode", "out.gliss", "-", "-f", "raw").stdout_bytes == picture.tobytes()


def test_raw_that_is_scaled_down(run: Run, natural: Callable[..., Pixels]) -> None:
    Path("in.gliss").write_bytes(glissando.encode(natural(64, 128), lossless=True))
    assert run("decode", "in.gliss", "small.raw", "--max-size", "64").exit_code == 0
    assert Path("small.raw").stat().st_size == 3 * 64 * 32


def test_a_tiff_through_a_pipe(run: Run, natural: Callable[..., Pixels]) -> None:
    Path("in.gliss").write_bytes(glissando.encode(natural(64, 128), lossless=True))
    result = run("decode", "in.gliss", "-", "-f", "tif")
    np.testing.assert_array_equal(read_picture(io.BytesIO(result.stdout_bytes)).pixels, natural(64, 128))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--raw", "80"], "is not WIDTHxHEIGHT"),
        (["--raw", "80x60", "--target-size", "3kB"], "need the whole picture"),
        (["--raw", "80x60", "-e", "7"], "need the whole picture"),
    ],
)
def test_wrong_usage(options: list[str], message: str, run: Run) -> None:
    Path("pixels.rgb").write_bytes(bytes(14400))
    result = run("encode", "pixels.rgb", "out.gliss", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_failures_leave_nothing(run: Run, natural: Callable[..., Pixels]) -> None:
    Path("pixels.rgb").write_bytes(bytes(14401))
    result = run("encode", "pixels.rgb", "out.gliss", "--raw", "80x60")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "glissando: pixels.rgb: 80x60 pixels of 3 bytes are 14,400 bytes; the file has 14,401"
    )
    data = glissando.encode(natural(1100, 64), lossless=True)
    Path("in.gliss").write_bytes(data[:-40] + bytes(40))
    for out in ("out.tif", "out.ppm", "out.raw"):
        result = run("decode", "in.gliss", out)
        assert result.exit_code == 1
        assert "tile 2 of 3" in result.stderr
    assert sorted(os.listdir()) == ["in.gliss", "pixels.rgb"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process as Linux tells it")
def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    """Without loss, so that it is quick: 4 and 40 megapixels there and back; the latter have 120 MB of samples."""
    code = (
        "import sys, numpy as np; from pathlib import Path; import glissando\n"
        "from glissando.picture.row_reading import open_rows; from glissando.picture.row_writing import write_rows\n"
        "height = int(sys.argv[1]); raw = Path(sys.argv[2], 'in.raw'); row = np.zeros((100, 2000, 3), np.uint8)\n"
        "with raw.open('wb') as out:\n"
        "    for i in range(height // 100): row[:] = i; out.write(row.data)\n"
        "with glissando.open_model(threads=1) as codec:\n"
        "    with open_rows(raw, raw=f'2000x{height}') as rows:\n"
        "        codec.encode_rows(rows, raw.with_name('out.gliss'), lossless=True)\n"
        "    with codec.decode_rows(raw.with_name('out.gliss')) as rows, raw.with_name('out.tif').open('wb') as out:\n"
        "        write_rows(rows, out, 'tif')\n"
        "lines = Path('/proc/self/status').read_text().splitlines()\n"
        "print(next(int(line.split()[1]) for line in lines if line.startswith('VmHWM')) / 1e3)\n"
    )

    def peak(height: int) -> float:
        done = subprocess.run(
            [sys.executable, "-c", code, str(height), str(tmp_path)], check=True, capture_output=True, text=True
        )
        return float(done.stdout)

    assert peak(20_000) < peak(2_000) + 40
