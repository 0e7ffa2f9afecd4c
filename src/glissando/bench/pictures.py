"""The pictures of a comparison: found, read once to be checked and named by their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from glissando.bitstream.pixel_format import GREY_8, RGB_8
from glissando.errors import BenchmarkError, GlissandoError, PictureError
from glissando.picture import picture_suffixes, read_picture

from .codecs.base import Pixels
from .results import Failure, PictureInfo

__all__ = ["Found", "Source", "find_files", "load", "read_rgb"]


@dataclass(frozen=True)
class Source:
    """A picture that can be measured; its pixels are read when they are needed, as all may not fit into memory."""

    path: Path
    info: PictureInfo


@dataclass
class Found:
    """The pictures, what was wrong with others, and what is worth saying."""

    sources: list[Source] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_files(given: Sequence[Path]) -> tuple[list[Path], list[Failure]]:
    """Files as given and, of each folder, its pictures by name; hidden files and subfolders are passed over."""
    suffixes = picture_suffixes()
    files: list[Path] = []
    failures = []
    for path in given:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
        inside = [p for p in inside if p.is_file()]
        files += inside
        if not inside:
            failures.append(Failure(os.fspath(path), "no pictures in this folder"))
    return files, failures


def load(given: Sequence[Path], advance: Callable[[int], None] = lambda total: None) -> Found:
    """All pictures that can be measured, each content once. ``advance(total)`` is called after each file.

    Raises BenchmarkError where there is none at all.
    """
    files, failures = find_files(given)
    found = Found(failures=failures)
    seen: dict[tuple[int, int, str], str] = {}
    taken: set[str] = set()
    grey = []
    for path in files:
        name = _unique(path, taken)
        try:
            pixels, was_grey = _read(path, name)
        except (GlissandoError, OSError, MemoryError) as error:
            found.failures.append(Failure(name, _reason(error, name)))
        else:
            height, width = pixels.shape[:2]
            digest = hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
            twin = seen.setdefault((width, height, digest), name)
            if twin != name:
                found.notes.append(f"{name}: the same pixels as {twin}; measured once")
            else:
                taken.add(name)
                found.sources.append(Source(path, PictureInfo(name, width, height, digest)))
                if was_grey:
                    grey.append(name)
        advance(len(files))
    if grey:
        found.notes.append(f"grey, measured as RGB with three equal channels: {', '.join(grey)}")
    if not found.sources:
        reasons = "; ".join(f"{f.picture}: {f.message}" for f in found.failures[:3])
        more = "; …" if len(found.failures) > 3 else ""
        raise BenchmarkError(f"no picture to measure ({reasons}{more})" if reasons else "no picture to measure")
    return found


def read_rgb(path: Path) -> Pixels:
    """The pixels of a file that ``load`` accepted."""
    return _read(path, path.name)[0]


def _read(path: Path, name: str) -> tuple[Pixels, bool]:
    picture = read_picture(path, name=name)
    if picture.format not in (GREY_8, RGB_8):
        raise PictureError(f"{name}: {picture.format}: only opaque 8-bit RGB and grey are measured")
    pixels = picture.pixels.astype(np.uint8, copy=False)
    grey = pixels.ndim == 2
    if grey:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return np.ascontiguousarray(pixels), grey


def _unique(path: Path, taken: set[str]) -> str:
    """The file's name; with its folder's, or a number, where another picture has it."""
    candidates = [path.name, f"{path.parent.name}/{path.name}"]
    number = 2
    while candidates[0] in taken:
        candidates.pop(0)
        if not candidates:
            candidates.append(f"{path.name} ({number})")
            number += 1
    return candidates[0]


def _reason(error: BaseException, name: str) -> str:
    """Why a picture cannot be measured, without its name and without the advice that is for ``encode``."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()).removeprefix(f"{name}: ")
    if isinstance(error, PictureError) and ": not carried" in text:
        return f"{text.partition(': not carried')[0]}: only opaque 8-bit RGB and grey are measured"
    return text
