"""What this installation consists of, and whether it works: what ``glissando doctor`` shows.

The self-test codes a drawn picture and reads one that was coded before; ``diagnosis.json`` beside this module holds
what has to come out (``tests/golden/make_golden.py`` writes it).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from . import api, zoo
from .codec import Codec
from .errors import GlissandoError
from .machine import Machine
from .runtime import choose_engine, fast_precision

__all__ = ["GOLDEN", "Check", "Diagnosis", "ModelFound", "diagnose", "record", "scene", "self_test", "symbols_crc"]

GOLDEN = Path(__file__).with_suffix(".json")
"""A coded picture, and what decoding it and coding it anew has to give."""

QUALITY = 60.0
DECODED_DB = 0.1
"""By how much the PSNR of the coded picture may differ: engines and bfloat16 move pixels by a level here and there."""
ENCODED_DB, ENCODED_SIZE = 0.5, 1.1
"""By how much the picture coded anew may be worse, and how many times as large."""

ENGINES = ("openvino", "onnxruntime")
LIBRARIES = ("numpy", "pillow", "constriction", "onnx", "typer")
OPTIONAL = {
    "imagecodecs": "AVIF and JPEG XL of more than 8 bits",
    "pillow-heif": "HEIC",
    "pillow-jxl-plugin": "JPEG XL",
    "tifffile": "large TIFFs, read by rows",
    "safetensors": "arrays in safetensors files",
    "zarr": "zarr arrays of pictures",
    "numcodecs": "zarr arrays of format 2",
    "starlette": "the service",
    "fsspec": "batches at URLs",
    "ray": "batches on a cluster",
    "torch": "training",
    "ssimulacra2": "SSIMULACRA 2 in comparisons",
}
VARIABLES = ("GLISSANDO_BACKEND", "GLISSANDO_MODELS", "GLISSANDO_DEBUG", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Check:
    """One part of the self-test: what it looked at, whether it went well, and what was found."""

    name: str
    ok: bool
    found: str
    seconds: float


@dataclass(frozen=True)
class ModelFound:
    """An installed model, where it is from, and what is wrong with its files; empty where nothing is."""

    name: str
    hash: str
    source: str
    bf16_quality: float
    problem: str


@dataclass(frozen=True)
class Diagnosis:
    """What this installation consists of.

    Attributes:
        glissando: our version.
        machine: processor, vector extensions, cores that this process may use, system and Python.
        cores: all cores of the machine.
        engines, libraries, optional: versions by package; None for one that is not installed.
        engine: the engine that is used, or None where there is none.
        precision: "bf16" where the engine is fast at it, up to each model's ``bf16_quality``; else "f32"; or None.
        models: the installed models.
        user_folder: where the user's own models lie.
        variables: what is set in the environment and concerns us.
        checks: the self-test.
    """

    glissando: str
    machine: dict[str, object]
    cores: int
    engines: dict[str, str | None]
    libraries: dict[str, str | None]
    optional: dict[str, str | None]
    engine: str | None
    precision: str | None
    models: list[ModelFound]
    user_folder: str
    variables: dict[str, str]
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every check went well, and every model's files are whole."""
        return all(check.ok for check in self.checks) and not any(model.problem for model in self.models)


def diagnose() -> Diagnosis:
    """Look at everything, and run the self-test; it takes one to two seconds."""
    from . import __version__

    engine = precision = None
    try:
        engine = choose_engine("auto", "auto", None)
        precision = fast_precision(engine)
    except GlissandoError:
        pass  # the self-test says what is wrong
    return Diagnosis(
        glissando=__version__,
        machine=Machine.this().to_json(),
        cores=os.cpu_count() or 1,
        engines=_versions(ENGINES),
        libraries=_versions(LIBRARIES),
        optional=_versions(OPTIONAL),
        engine=engine,
        precision=precision,
        models=[_found(model) for model in zoo.installed()],
        user_folder=str(zoo.user_folder()),
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
        checks=self_test(),
    )


def _versions(packages: tuple[str, ...] | dict[str, str]) -> dict[str, str | None]:
    """The installed version of each package, without importing it."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def _found(model: zoo.Model) -> ModelFound:
    problem = ""
    try:
        model.check_files()
    except GlissandoError as error:
        problem = str(error)
    card = model.card
    return ModelFound(card.name, card.hash, card.source, card.bf16_quality, problem)


# The self-test -----------------------------------------------------------------------------------------


def self_test() -> list[Check]:
    """Decode a picture that was coded before, code one anew, and one without loss."""
    try:
        golden: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
        with api.open_model(golden["hash"]) as codec:
            return [
                _check("decode", lambda: _decodes(codec, golden)),
                _check("encode", lambda: _encodes(codec, golden)),
                _check("lossless", lambda: _keeps_all(codec)),
            ]
    except (GlissandoError, OSError, ValueError, KeyError) as error:
        return [Check("open the model", False, str(error), 0.0)]


def _check(name: str, run: Callable[[], tuple[bool, str]]) -> Check:
    start = time.perf_counter()
    try:
        ok, found = run()
    except Exception as error:  # whatever is broken here is what the user wants to know
        ok, found = False, f"{type(error).__name__}: {error}"
    return Check(name, ok, found, round(time.perf_counter() - start, 3))


def _decodes(codec: Codec, golden: dict[str, Any]) -> tuple[bool, str]:
    """Symbols to the last bit, which every machine decodes alike; pixels by their PSNR."""
    data = bytes.fromhex(golden["file"])
    crc = symbols_of(codec, data)
    if crc != golden["symbols"]:
        return False, f"symbols have the checksum {crc}, not {golden['symbols']}"
    decibels = _psnr(codec.decode(data))
    ok = abs(decibels - golden["psnr"]) <= DECODED_DB
    return ok, f"symbols {crc}, {decibels:.2f} dB, {golden['psnr']:.2f} dB expected"


def _encodes(codec: Codec, golden: dict[str, Any]) -> tuple[bool, str]:
    data = codec.encode(scene(), QUALITY)
    decibels, size = _psnr(codec.decode(data)), len(bytes.fromhex(golden["file"]))
    ok = decibels >= golden["psnr"] - ENCODED_DB and len(data) <= size * ENCODED_SIZE
    return ok, f"{len(data)} bytes, {size} expected; {decibels:.2f} dB"


def _keeps_all(codec: Codec) -> tuple[bool, str]:
    data = codec.encode(scene(), lossless=True)
    ok = np.array_equal(codec.decode(data), scene())
    return ok, f"{len(data)} bytes, {'every sample' if ok else 'not every sample'} as it was"


def record(codec: Codec) -> dict[str, Any]:
    """What ``diagnosis.json`` holds for a model."""
    data = codec.encode(scene(), QUALITY)
    return {
        "model": codec.name,
        "hash": codec.card.hash,
        "file": data.hex(),
        "symbols": symbols_of(codec, data),
        "psnr": round(_psnr(codec.decode(data)), 3),
    }


def symbols_of(codec: Codec, data: bytes) -> str:
    """A checksum over all symbols of a file."""
    return symbols_crc(*vars(codec.decode_symbols(data).latents).values())


def symbols_crc(*arrays: NDArray[np.int16]) -> str:
    """A checksum over all symbols in raster order, whatever order they are coded in."""
    crc = 0
    for array in arrays:
        crc = crc32(np.ascontiguousarray(array, dtype="<i2").tobytes(), crc)
    return f"{crc:08x}"


def scene() -> NDArray[np.uint8]:
    """80 rows of 96 pixels from integers alone: a gradient, a disc, stripes, grain."""
    y, x = np.mgrid[:80, :96]
    picture = np.stack([2 * x + y // 2, 40 + x // 2 + 2 * y, 200 - x - y // 2], axis=-1)
    picture[(x - 60) ** 2 + (y - 34) ** 2 < 500] = (220, 180, 60)
    picture[60:, :40] += (40 * ((x + y) // 3 % 2))[60:, :40, None]
    picture += ((x * 7919 + y * 104729) // 13 % 9 - 4)[..., None]
    pixels: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    return pixels


def _psnr(pixels: NDArray[Any]) -> float:
    """Decibels of pixels against the scene."""
    error = np.square(pixels.astype(np.float64) - scene()).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))
