"""Time and memory of large pictures, and the quality of pictures that are decoded small (docs/large-pictures.md).

    python -m benchmarks.large_pictures 24 48      megapixels: encode, decode, thumbnail, each in its own process
    python -m benchmarks.large_pictures --rows 1000     by rows, megapixels or WxH: from a raw file, to a TIFF
    python -m benchmarks.large_pictures --quality  PSNR of reduced pictures against the reduced originals

Large pictures are the Kodak pictures side by side. Memory is the largest resident one, less what the process held
before the call, which includes the array or file that it is given.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import glissando
from benchmarks.data import data_folder, load_pictures
from glissando.codec.reduction import box_means
from glissando.picture import open_rows, write_rows

QUALITIES = (30, 60, 90)
FACTORS = (2, 4, 8, 16)


def _pictures() -> list[NDArray[np.uint8]]:
    found = [picture.pixels for picture in load_pictures(data_folder(None))]
    return [each if each.shape[1] == 768 else np.ascontiguousarray(np.rot90(each)) for each in found]


def shape_of(megapixels: float) -> tuple[int, int]:
    """Width and height, 4 to 3."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    return round(megapixels * 1e6 / height), height


def bands(width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """Kodak pictures side by side, 512 rows at a time."""
    pictures, number = _pictures(), 0
    for top in range(0, height, 512):
        band = np.empty((min(512, height - top), width, 3), np.uint8)
        for left in range(0, width, 768):
            part = band[:, left : left + 768]
            part[...] = pictures[number % len(pictures)][: part.shape[0], : part.shape[1]]
            number += 1
        yield band


def _memory(field: str) -> float:
    """MB of this process: "VmHWM", the largest resident memory so far, or "VmRSS", that of now."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def _measure(task: str, folder: Path) -> None:
    """One task in this process, and a line of what it took."""
    file = folder / "large.gliss"
    picture = np.load(folder / "large.npy") if task == "encode" else None
    data = b"" if task == "encode" else file.read_bytes()
    before, start = _memory("VmRSS"), time.perf_counter()
    if picture is not None:
        file.write_bytes(glissando.encode(picture, threads=1))
    else:
        glissando.decode(data, max_size=256 if task == "thumbnail" else None, threads=1, max_pixels=2**31)
    seconds = time.perf_counter() - start
    more = _memory("VmHWM") - before
    print(f"{task:10} {seconds:7.1f} s {time.process_time():7.1f} s CPU {more:7.0f} MB", flush=True)


def _measure_rows(task: str, folder: Path, layout: str) -> None:
    """The same by rows: the picture is never in memory, so that all the memory of the process counts."""
    start = time.perf_counter()
    with glissando.open_model(threads=1) as codec:
        if task == "encode":
            with open_rows(folder / "large.raw", raw=layout, max_pixels=2**31) as picture:
                codec.encode_rows(picture, folder / "large.gliss")
        else:
            with (
                codec.decode_rows(folder / "large.gliss", max_pixels=2**31) as decoded,
                (folder / "large.tif").open("wb") as out,
            ):
                write_rows(decoded, out, "tif")
    seconds = time.perf_counter() - start
    print(f"{task:10} {seconds:7.1f} s {time.process_time():7.1f} s CPU {_memory('VmHWM'):7.0f} MB in all", flush=True)


def rows(size: str, folder: Path | None = None) -> None:
    """``size``: megapixels, or WIDTHxHEIGHT."""
    width, height = map(int, size.split("x")) if "x" in size else shape_of(float(size))
    print(f"{width}x{height} by rows", flush=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        with Path(name, "large.raw").open("wb") as raw:
            for band in bands(width, height):
                raw.write(band.data)
        for task in ("encode", "decode"):
            task_of = ["--task", task, "--folder", name, "--rows", f"{width}x{height}"]
            subprocess.run([sys.executable, "-m", __spec__.name, *task_of], check=True)
            Path(name, "large.raw").unlink(missing_ok=True)


def sizes(megapixels: list[float]) -> None:
    for each in megapixels:
        with tempfile.TemporaryDirectory() as folder:
            width, height = shape_of(each)
            np.save(Path(folder) / "large.npy", np.concatenate(list(bands(width, height))))
            print(f"{width}x{height}", flush=True)
            for task in ("encode", "decode", "thumbnail"):
                subprocess.run([sys.executable, "-m", __spec__.name, "--task", task, "--folder", folder], check=True)


def quality() -> None:
    pictures = _pictures()[::8]
    with glissando.open_model() as codec:
        for number in QUALITIES:
            files = [codec.encode(each, number) for each in pictures]
            cells = []
            for factor in FACTORS:
                errors = []
                for picture, data in zip(pictures, files, strict=True):
                    original = box_means(picture, factor)
                    small = codec.decode(data, max_size=(original.shape[1], original.shape[0]))
                    errors.append(np.square(small.astype(float) - original).mean())
                cells.append(f"1/{factor}: {np.mean(10 * np.log10(255**2 / np.array(errors))):.1f} dB")
            print(f"quality {number}: " + ", ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("megapixels", nargs="*", type=float)
    parser.add_argument("--rows", metavar="SIZE", help="one picture that is never in memory: megapixels, or WxH")
    parser.add_argument("--quality", action="store_true", help="PSNR of reduced pictures")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where the files of --rows lie meanwhile")
    given = parser.parse_args()
    if given.task and given.rows:
        _measure_rows(given.task, given.folder, given.rows)
    elif given.rows:
        rows(given.rows, given.folder)
    elif given.task:
        _measure(given.task, given.folder)
    elif given.quality:
        quality()
    else:
        sizes(given.megapixels)


if __name__ == "__main__":
    main()
