"""Installing a model from a folder or an archive into the user's data folder: whole, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from glissando.errors import InputError, ModelMismatchError
from glissando.files import replace_folder

from .model import Model, open_folder
from .registry import user_folder

__all__ = ["install"]

MAX_BYTES = 1 << 28  # of all files together
MAX_FILES = 1000
_CHUNK = 1 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")

Files = Iterator[tuple[str, IO[bytes]]]


def install(source: str | os.PathLike[str]) -> Model:
    """Copy a model into the user's data folder and return it from there.

    ``source``: a model's folder, or an archive (.zip, .tar, .tar.gz and their like) of one. Whatever an archive says,
    nothing is written elsewhere: names that leave the folder, links, devices, more than a thousand files and more than
    256 MiB are refused. All files are checked before the model takes its place, in one step; the same model that
    is already there is replaced.

    Raises InputError where ``source`` is none of these, ModelMismatchError where the model is damaged, OSError where
    the folder cannot be written.
    """
    path, target = Path(source), user_folder()
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    target.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".install-", dir=target))
    try:
        try:
            _copy(path, work / "model")
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise InputError(f"{path}: the archive cannot be read: {error}") from error
        root = _root(work / "model", path)
        model = open_folder(root)
        model.check()
        if not _NAME.fullmatch(model.card.name) or not re.fullmatch("[0-9a-f]{16}", model.card.hash):
            raise ModelMismatchError(f"{path}: a model cannot be called {model.card.name!r} ({model.card.hash})")
        place = target / f"{model.card.name}-{model.card.hash}"
        replace_folder(root, place)
        return open_folder(place, "user")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Copy every file of a folder or an archive, within the limits."""
    left = MAX_BYTES
    target.mkdir()
    for number, (name, stream) in enumerate(_files(source)):
        parts = PurePosixPath(name).parts
        if not parts or not all(_PART.fullmatch(part) for part in parts):
            raise InputError(f"{source}: a model has no file called {name!r}")
        if number >= MAX_FILES:
            raise InputError(f"{source}: more than {MAX_FILES} files")
        place = target.joinpath(*parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        with stream, place.open("xb") as out:
            while chunk := stream.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise InputError(f"{source}: more than {MAX_BYTES >> 20} MiB")
                out.write(chunk)


def _files(source: Path) -> Files:
    if source.is_dir():
        yield from _in_folder(source)
        return
    if zipfile.is_zipfile(source):
        yield from _in_zip(source)
    elif tarfile.is_tarfile(source):
        yield from _in_tar(source)
    else:
        raise InputError(f"{source}: neither a folder nor a zip or tar archive")


def _in_folder(source: Path) -> Files:
    for path in sorted(source.rglob("*")):
        mode = path.lstat().st_mode
        name = path.relative_to(source).as_posix()
        if stat.S_ISREG(mode):
            yield name, path.open("rb")
        elif not stat.S_ISDIR(mode):
            raise InputError(f"{source}: {name} is not a plain file")


def _in_zip(source: Path) -> Files:
    with zipfile.ZipFile(source) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise InputError(f"{source}: {member.filename} is not a plain file")
            if not member.is_dir():
                yield member.filename, archive.open(member)


def _in_tar(source: Path) -> Files:
    with tarfile.open(source) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is not None:
                yield member.name, stream
            elif not member.isdir():
                raise InputError(f"{source}: {member.name} is not a plain file")


def _root(folder: Path, source: Path) -> Path:
    """Where the model's card lies: in the folder, or in the only folder in it."""
    inside = list(folder.iterdir())
    candidates: list[Path] = [folder, *inside] if len(inside) == 1 else [folder]
    for candidate in candidates:
        if (candidate / "card.json").is_file():
            return candidate
    raise InputError(f"{source}: it holds no model: there is no card.json")
