"""Named arrays in the files of others: .npy, .npz and .safetensors, and which of them are deviations."""

from __future__ import annotations

import importlib
import io
import os
import zipfile
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from glissando.bayes.posterior import Posterior
from glissando.errors import GlissandoError, InputError

__all__ = ["SUFFIXES", "dump_arrays", "load_arrays", "pair", "pair_files"]

SUFFIXES = (".npy", ".npz", ".safetensors")

Arrays = dict[str, NDArray[Any]]


def load_arrays(source: str | os.PathLike[str] | bytes) -> Arrays:
    """The arrays of a file by name; that of a .npy file is called "" and stays on the disk until it is needed.

    Args:
        source: a path, or a file's bytes. Its first bytes tell what it is.

    Raises:
        InputError: it is no such file, holds Python objects, or declares more than is there.
        OSError: it cannot be read.
    """
    if isinstance(source, bytes):
        start = source[:8]
    else:
        with open(source, "rb") as stream:
            start = stream.read(8)
    try:
        if start.startswith(b"\x93NUMPY"):
            return {"": _load_npy(source)}
        if start.startswith(b"PK"):
            return _load_npz(source)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, GlissandoError):
            raise
        raise InputError(f"is no readable NumPy file: {error}") from None
    if not isinstance(source, bytes) and os.fspath(source).endswith(".safetensors"):
        return _load_safetensors(source)
    if len(start) == 8 and start[6:] == b"\0\0":  # the length of a header, then "{"
        return _load_safetensors(source)
    raise InputError("is none of the files that arrays are read from: .npy, .npz, .safetensors")


def _load_npy(source: str | os.PathLike[str] | bytes) -> NDArray[Any]:
    if not isinstance(source, bytes):
        try:
            mapped: NDArray[Any] = np.load(source, mmap_mode="r", allow_pickle=False)
            return mapped
        except ValueError as error:  # an empty array cannot be mapped
            if "empty" not in str(error):
                raise
            with open(source, "rb") as opened:
                source = opened.read()
    return _read_npy(io.BytesIO(source), len(source))


def _load_npz(source: str | os.PathLike[str] | bytes) -> Arrays:
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
        for member in archive.infolist():
            with archive.open(member) as stream:
                try:
                    arrays[member.filename.removesuffix(".npy")] = _read_npy(stream, member.file_size)
                except ValueError as error:
                    raise InputError(f"array {member.filename!r} cannot be read: {error}") from None
    return arrays


def _read_npy(stream: Any, size: int) -> NDArray[Any]:
    """Read an array whose file has ``size`` bytes; its header is compared with them before anything is allocated."""
    head = stream.read(min(size, 1 << 16))
    opened = io.BytesIO(head)
    version = npy.read_magic(opened)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = reader(opened)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    wanted = prod(shape) * dtype.itemsize
    if wanted != size - opened.tell():
        raise ValueError(f"its header declares {wanted} bytes; there are {size - opened.tell()}")
    data = head[opened.tell() :] + stream.read(wanted)
    if len(data) < wanted:
        raise ValueError(f"{wanted} bytes are needed; there are {len(data)}")
    array: NDArray[Any] = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return array


def _safetensors() -> Any:
    try:
        return importlib.import_module("safetensors.numpy")
    except ImportError:
        raise InputError(".safetensors files need a package more: pip install safetensors") from None


def _load_safetensors(source: str | os.PathLike[str] | bytes) -> Arrays:
    library = _safetensors()
    try:
        return dict(library.load(source) if isinstance(source, bytes) else library.load_file(os.fspath(source)))
    except OSError:
        raise
    except Exception as error:  # the library raises its own error, and others for types that NumPy lacks
        raise InputError(f"is no readable .safetensors file: {error}") from None


def dump_arrays(arrays: Mapping[str, NDArray[Any]], suffix: str) -> bytes:
    """The bytes of a file with these arrays.

    Args:
        arrays: by name.
        suffix: ".npy" for one array, ".npz" or ".safetensors".

    Raises:
        InputError: another suffix, several arrays for .npy, or the package safetensors is missing.
    """
    if suffix == ".npy":
        if len(arrays) != 1:
            raise InputError(f"a .npy file holds one array; there are {len(arrays)}: write .npz or .safetensors")
        out = io.BytesIO()
        np.save(out, next(iter(arrays.values())), allow_pickle=False)
        return out.getvalue()
    named = {name or "array": array for name, array in arrays.items()}
    if suffix == ".npz":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, array in named.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                    npy.write_array(stream, array, allow_pickle=False)
        return out.getvalue()
    if suffix == ".safetensors":
        contiguous = {name: np.ascontiguousarray(array) for name, array in named.items()}
        return bytes(_safetensors().save(contiguous))
    raise InputError(f"arrays cannot be written to {suffix or 'a file without suffix'}; known: {', '.join(SUFFIXES)}")


def pair(arrays: Arrays, suffix: str) -> dict[str, Posterior | NDArray[Any]]:
    """Pair each array ``w`` with its deviations, called ``w`` + suffix. Arrays without deviations stay as they are.

    Raises:
        InputError: deviations without means.
    """
    if not suffix:
        raise InputError("the suffix of deviations is empty")
    paired: dict[str, Posterior | NDArray[Any]] = {}
    for name, array in arrays.items():
        if name.endswith(suffix) and name != suffix:
            if name.removesuffix(suffix) not in arrays:
                raise InputError(f"there are deviations {name!r}, but no array {name.removesuffix(suffix)!r}")
            continue
        std = arrays.get(name + suffix)
        paired[name] = array if std is None else Posterior(array, std)
    return paired


def pair_files(means: Arrays, deviations: Arrays) -> dict[str, Posterior | NDArray[Any]]:
    """Pair means with the deviations of the same name in another file. Of two files with one array each, names do not
    matter.

    Raises:
        InputError: deviations without means.
    """
    if len(means) == len(deviations) == 1:
        (name, mean), (std,) = next(iter(means.items())), deviations.values()
        return {name: Posterior(mean, std)}
    if lost := [name for name in deviations if name not in means]:
        raise InputError(f"there are deviations {lost[0]!r}, but no array of that name")
    return {name: Posterior(mean, deviations[name]) if name in deviations else mean for name, mean in means.items()}
