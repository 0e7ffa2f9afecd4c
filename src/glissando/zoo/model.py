"""Finding, checking and reading models."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.errors import InputError, ModelMismatchError, UnknownModelError
from glissando.families import family

__all__ = ["HASHED", "HASH_BYTES", "Card", "Model", "find", "find_hash", "hash_files", "models"]

HASH_BYTES = 8  # as much of the SHA-256 as a file carries
HASHED = ("integers.npz", "decoder.npz", "decode.onnx")

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Card:
    """A model's card, as ``card.json`` holds it."""

    name: str
    hash: str  # 16 hex digits, of what a decoder uses
    encoder_hash: str = ""  # the same of what only an encoder uses
    family: str = "gains"
    summary: str = ""
    licence: str = ""
    parameters: int = 0
    decode_kmac_per_pixel: float = 0.0
    encode_kmac_per_pixel: float = 0.0
    width: int = 0
    halo: int = 0  # pixels around a window that its result depends on, a multiple of 64
    # Up to these qualities bfloat16 is used where it is fast (benchmarks.bf16 measures them; −1 is nowhere): in the
    # decoder it changes no picture's PSNR by more than 0.02 dB, in the encoder the mean over pictures by no more.
    bf16_quality: float = -1.0
    bf16_encode_quality: float = -1.0
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    versions: list[dict[str, Any]] = field(default_factory=list)  # that this one took the place of, oldest first
    bytes: int = 0  # of all the model's files


@dataclass(frozen=True)
class Model:
    """An installed model: its folder and its card. Arrays are read when they are first asked for."""

    folder: Path
    card: Card

    @cached_property
    def integers(self) -> dict[str, NDArray[Any]]:
        """Every array of integers.npz, after checking the files against the card's hash.

        Raises ModelMismatchError where they differ or cannot be read.
        """
        self._check(HASHED, self.card.hash)
        return self._read("integers.npz")

    def check_encoder(self) -> None:
        """Check the encoder's files against the card. Raises ModelMismatchError where they differ."""
        self._check(family(self.card.family).encoder_files, self.card.encoder_hash)

    def _check(self, files: tuple[str, ...], expected: str) -> None:
        found = hash_files(self.folder, files).hex()
        if found != expected:
            raise ModelMismatchError(
                f"model {self.card.name}: {', '.join(files)} have the hash {found}, the card says {expected}; "
                "reinstall it"
            )

    def floats(self, names: tuple[str, ...], file: str = "decoder.npz") -> dict[str, NDArray[np.float32]]:
        """Float arrays that the codec itself uses. Raises ModelMismatchError where one is missing."""
        arrays = self._read(file)
        if missing := [name for name in names if name not in arrays]:
            raise ModelMismatchError(f"model {self.card.name}: {file} has no array {missing[0]!r}")
        return {name: arrays[name].astype(np.float32) for name in names}

    def graph(self, name: str) -> Path:
        """Path of one graph: "analysis", "quantise" or "decode"."""
        return self.folder / f"{name}.onnx"

    def _read(self, file: str) -> dict[str, NDArray[Any]]:
        try:
            with np.load(self.folder / file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ModelMismatchError(f"model {self.card.name}: {file} cannot be read: {error}") from error


def hash_files(folder: Path, files: tuple[str, ...] = HASHED) -> bytes:
    """The first HASH_BYTES of the SHA-256 over some of a model's files: by default, what a decoder uses."""
    digest = hashlib.sha256()
    for name in files:
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise ModelMismatchError(f"model {folder.name}: {name} cannot be read: {error}") from error
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.digest()[:HASH_BYTES]


def _open(folder: Path) -> Model:
    try:
        values = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        known = {key: values[key] for key in Card.__dataclass_fields__ if key in values}
        size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        return Model(folder, Card(**{**known, "bytes": size}))
    except (OSError, ValueError, TypeError) as error:
        raise ModelMismatchError(f"model {folder.name}: its card cannot be read: {error}") from error


def _folders() -> list[Path]:
    return sorted(path.parent for path in _FOLDER.glob("*/card.json"))


def models() -> list[Card]:
    """Cards of all installed models, by name."""
    return [_open(folder).card for folder in _folders()]


def find(name: str | Path) -> Model:
    """The installed model called ``name``, or the one in the folder ``name`` if that is a path with a card.

    Raises UnknownModelError, which lists the installed ones.
    """
    if not str(name):
        raise InputError("the model's name is empty")
    installed = {folder.name: folder for folder in _folders()}
    if str(name) in installed:
        return _open(installed[str(name)])
    if (Path(name) / "card.json").is_file():
        return _open(Path(name))
    raise UnknownModelError(f"no model called {str(name)!r}; installed: {', '.join(installed) or 'none'}")


def find_hash(model_hash: bytes) -> Model:
    """The installed model that a file's ``model_hash`` names. Raises UnknownModelError."""
    for folder in _folders():
        model = _open(folder)
        if model.card.hash == model_hash.hex():
            return model
    names = ", ".join(f"{card.name} ({card.hash})" for card in models())
    raise UnknownModelError(
        f"the file was made with model {model_hash.hex()}, which is not installed; installed: {names or 'none'}"
    )
