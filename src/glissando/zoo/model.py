"""A model: a decoder and its encoders, read from a folder.

    card.json             what it is, where it comes from, how it was trained, what it scores, its licence
    integers.npz          everything the entropy coder depends on: log-gains, scale network, probability tables
    decoder.npz           the weights of the decoder's graphs, and vectors that the codec itself uses
    decode.onnx.gz        a graph without its weights, and others like it
    encoders/NAME/        what only an encoder needs; nothing of it takes part in decoding
        card.json         its cost, its scores, its hash
        encoder.npz
        analysis.onnx.gz  and others; perhaps the same in 8-bit integers, analysis-int8.onnx.gz

``identity`` says what a model's hash covers. Besides, each card has a checksum of every file beside it, which
tells which file is damaged.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glissando.errors import ModelMismatchError, UnknownModelError
from glissando.onnx_graph import OnnxGraph, cut, needs, with_weights

from .arrays import read_arrays, values_of
from .identity import identity

__all__ = ["Card", "Encoder", "EncoderCard", "Model", "checksums", "in_eight_bits", "open_folder"]

DECODER, ENCODER, INTEGERS = "decoder.npz", "encoder.npz", "integers.npz"
BLOCK_MEANS = "block_means.npz"
"""Of a model that has one: "weight" (latents, 3) and "bias" (3,), from a latent's channels to about the mean of its 16
by 16 pixels, 0 black and 1 white. They serve small pictures alone, and so are not part of the model's hash."""
PATCH = 8
"""Pixels each way of what the last layer of a decoder's synthesis makes at once."""
HIGHEST_EFFORT = 10
"""How much time encoding may take is a number from 0 to this."""


@dataclass(frozen=True)
class EncoderCard:
    """An encoder's card, as ``encoders/NAME/card.json`` holds it."""

    name: str
    hash: str  # of what it computes, 16 hex digits
    created: str = ""  # date and time, ISO 8601
    configuration: dict[str, Any] = field(default_factory=dict)  # what of the network's shape only the encoder needs
    summary: str = ""
    # The lowest and the highest effort at which it takes the place of the usual encoder; none where it does so only
    # if it is named.
    efforts: list[int] = field(default_factory=list)
    kmac_per_pixel: float = 0.0
    # Up to this quality the encoder computes in bfloat16 where that is fast; −1 stands for never. There
    # it changes the mean PSNR over pictures by no more than 0.02 dB (measured by benchmarks.bf16).
    bf16_quality: float = -1.0
    # Up to this quality its first graph computes in 8-bit integers where that is fast, at 0.2 % more bits at most for
    # the same PSNR (measured by benchmarks.int8).
    int8_quality: float = -1.0
    training: dict[str, Any] = field(default_factory=dict)  # of its own, after the model's
    scores: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # the checksum of each file, by the file's name
    bytes: int = 0  # size of all its files

    def __post_init__(self) -> None:
        numbers = all(type(effort) is int for effort in self.efforts)
        if self.efforts and not (numbers and len(self.efforts) == 2 and self.efforts[0] <= self.efforts[1]):
            raise ValueError(f"efforts are the lowest and the highest, not {self.efforts!r}")

    def takes_over(self, effort: int) -> bool:
        """Whether it takes the place of the usual encoder at an effort."""
        return bool(self.efforts) and self.efforts[0] <= effort <= self.efforts[1]


@dataclass(frozen=True)
class Card:
    """A model's card, as ``card.json`` holds it. The last three fields are not in the file: they describe what lies in
    the folder.
    """

    name: str
    hash: str  # of what its decoder computes, 16 hex digits
    created: str = ""  # date and time, ISO 8601; a name means the newest of several versions
    family: str = "gains"
    configuration: dict[str, Any] = field(default_factory=dict)  # the shape of the decoder's networks
    summary: str = ""
    licence: str = ""
    parameters: int = 0
    decode_kmac_per_pixel: float = 0.0
    # The same for the decoder, where no picture's PSNR may change by more than 0.02 dB.
    bf16_quality: float = -1.0
    encoder: str = ""  # the one to use unless another is named
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    versions: list[dict[str, Any]] = field(default_factory=list)  # earlier ones that this one replaced, oldest first
    files: dict[str, str] = field(default_factory=dict)  # the checksum of each file, by the file's name
    encoders: dict[str, EncoderCard] = field(default_factory=dict)
    source: str = ""  # "package", "user", "registered", or the folder of $GLISSANDO_MODELS
    bytes: int = 0  # size of all files, those of the encoders included

    @property
    def width(self) -> int:
        """Channels of the trunk."""
        return int(self.configuration.get("width", 0))

    @property
    def encode_kmac_per_pixel(self) -> float:
        """What the encoder costs that is used unless another is named; 0 where there is none."""
        return self.encoders[self.encoder].kmac_per_pixel if self.encoder in self.encoders else 0.0

    @property
    def bf16_encode_quality(self) -> float:
        """``bf16_quality`` of the encoder that is used unless another is named; −1 where there is none."""
        return self.encoders[self.encoder].bf16_quality if self.encoder in self.encoders else -1.0


class _Folder:
    """The files beside a card. ``who`` names the card's model or encoder in error messages."""

    def __init__(self, folder: Path, who: str, files: dict[str, str]) -> None:
        self.folder, self._who, self._files = folder, who, files

    def read(self, name: str) -> bytes:
        """A file's bytes. Raises ModelMismatchError where it is missing or not what the card says."""
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            raise ModelMismatchError(f"{self._who}: {name} cannot be read: {error}") from error
        found = checksum(content)
        if found != self._files.get(name):
            raise ModelMismatchError(
                f"{self._who}: {name} has the hash {found}, the card says {self._files.get(name)}; reinstall it"
            )
        return content

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """A file's arrays, as a network computes with them. Raises ModelMismatchError."""
        self.read(name)
        try:
            return {key: values_of(array) for key, array in read_arrays(self.folder / name).items()}
        except ModelMismatchError as error:
            raise ModelMismatchError(f"{self._who}: {error}") from error

    def graph(
        self, name: str, weights: dict[str, NDArray[Any]], change: Callable[[bytes], bytes] | None = None
    ) -> OnnxGraph:
        """A graph, with those ``weights`` put in that it uses. Raises ModelMismatchError.

        ``change``: makes another of the graph before; where it raises ValueError, the graph cannot be changed so.
        """
        file = graph_file(name)
        try:
            graph = gzip.decompress(self.read(file))
        except (OSError, EOFError, zlib.error) as error:
            raise ModelMismatchError(f"{self._who}: {file} cannot be read: {error}") from error
        if not graph:
            raise ModelMismatchError(f"{self._who}: {file} is empty")
        if change is not None:
            try:
                graph = change(graph)
            except ValueError as error:
                raise ModelMismatchError(f"{self._who}: {file}: {error}") from error
        used = {key: array for key, array in weights.items() if needs(graph, key)}
        return OnnxGraph(f"{self._who}: {name}", with_weights(graph, used))

    def vectors(self, arrays: dict[str, NDArray[Any]], names: tuple[str, ...], file: str) -> dict[str, NDArray[Any]]:
        if missing := [name for name in names if name not in arrays]:
            raise ModelMismatchError(f"{self._who}: {file} has no array {missing[0]!r}")
        return {name: arrays[name] for name in names}


@dataclass(frozen=True)
class Encoder:
    """One of a model's encoders. Arrays are read when they are first asked for, and then checked."""

    folder: Path
    card: EncoderCard
    model: Model = field(repr=False)

    @cached_property
    def _files(self) -> _Folder:
        return _Folder(self.folder, f"encoder {self.card.name} of model {self.model.card.name}", self.card.files)

    @cached_property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = self._files.arrays(ENCODER)
        found = identity(self.model.card.family, self.card.configuration, {}, arrays, pixels="")
        _compare(f"encoder {self.card.name} of model {self.model.card.name}", found, self.card.hash)
        return arrays

    def floats(self, names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
        """Vectors of encoder.npz that the codec itself uses. Raises ModelMismatchError where one is missing."""
        return self._files.vectors(self._arrays, names, ENCODER)

    def graph(self, name: str) -> OnnxGraph:
        """One of its graphs: "analysis", or another that the family has. It may use the decoder's weights, too."""
        return self._files.graph(name, {**self.model.weights, **self._arrays})

    def has_graph(self, name: str) -> bool:
        """Whether it has a graph of this name."""
        return graph_file(name) in self.card.files

    def check(self) -> None:
        """Read its files and compare them with its card. Raises ModelMismatchError where they differ."""
        _ = self._arrays


@dataclass(frozen=True)
class Model:
    """An installed model: its folder and its card. Arrays are read when they are first asked for, and then checked."""

    folder: Path
    card: Card
    only: str | None = None  # the encoder to use at every effort; None: the efforts of their cards decide
    # Two locks, because weights take longer to read than integers, which a decoder needs first.
    _reading_integers: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _reading_weights: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @cached_property
    def _files(self) -> _Folder:
        return _Folder(self.folder, f"model {self.card.name}", self.card.files)

    @cached_property
    def _integers(self) -> dict[str, NDArray[Any]]:
        return self._files.arrays(INTEGERS)

    @cached_property
    def _weights(self) -> dict[str, NDArray[Any]]:
        weights = self._files.arrays(DECODER)
        found = identity(self.card.family, self.card.configuration, self.integers, weights)
        _compare(f"model {self.card.name}", found, self.card.hash)
        return weights

    @property
    def integers(self) -> dict[str, NDArray[Any]]:
        """Every array of integers.npz. Raises ModelMismatchError where the file is not what the card describes."""
        with self._reading_integers:
            return self._integers

    @property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Every array of decoder.npz as float32, after the hash of the decoder was compared with the card's.

        Every graph needs them, so that none is opened without this check. Raises ModelMismatchError where the hashes
        differ.
        """
        with self._reading_weights:
            return self._weights

    def floats(self, names: tuple[str, ...], file: str = DECODER) -> dict[str, NDArray[np.float32]]:
        """Vectors that the codec itself uses, of decoder.npz, or of encoder.npz of the usual encoder.

        Raises ModelMismatchError where one is missing.
        """
        if file == ENCODER:
            return self.encoder().floats(names)
        return self._files.vectors(self.weights, names, file)

    def graph(self, name: str, encoder: str | None = None) -> OnnxGraph:
        """A graph of the decoder, or else of an encoder, the usual one unless one is named.

        Raises ModelMismatchError, UnknownModelError.
        """
        if graph_file(name) in self.card.files:
            return self._files.graph(name, self.weights)
        return self.encoder(encoder).graph(name)

    def averaged_graph(self, name: str, layer: str, factor: int) -> OnnxGraph:
        """A graph of the decoder up to a ``layer`` that makes patches, which makes them smaller by a factor, 2, 4 or 8.

        Its output is (1, 3·side², rows, columns) float32, the means of squares of samples. Raises ModelMismatchError.
        """
        changed = dict(self.weights)
        for end in ("weight", "bias"):
            rows = changed[f"{layer}.{end}"]
            side = PATCH // factor
            patches = rows.reshape(3, side, factor, side, factor, *rows.shape[1:])
            changed[f"{layer}.{end}"] = patches.mean(axis=(2, 4)).reshape(-1, *rows.shape[1:])
        return self._files.graph(name, changed, lambda graph: cut(graph, f"{layer}.weight", behind=True))

    def latents_graph(self, name: str, layer: str) -> OnnxGraph:
        """A graph of the decoder up to what a ``layer`` reads, its latents. Raises ModelMismatchError."""
        return self._files.graph(name, self.weights, lambda graph: cut(graph, f"{layer}.weight", behind=False))

    def content(self, name: str) -> bytes:
        """The bytes of one of the decoder's files. Raises ModelMismatchError where they are not what the card says."""
        return self._files.read(name)

    @cached_property
    def block_means(self) -> dict[str, NDArray[np.float32]] | None:
        """The arrays of ``BLOCK_MEANS``, None where the model has no such file. Raises ModelMismatchError."""
        if BLOCK_MEANS not in self.card.files:
            return None
        return self._files.vectors(self._files.arrays(BLOCK_MEANS), ("weight", "bias"), BLOCK_MEANS)

    def encoder(self, name: str | None = None) -> Encoder:
        """The encoder of this name; None for the one that the card names.

        Raises UnknownModelError where it is not installed.
        """
        wanted = self.card.encoder if name is None else name
        if wanted not in self.card.encoders:
            installed = ", ".join(self.card.encoders) or "none: the model can only decode"
            raise UnknownModelError(f"model {self.card.name} has no encoder {wanted!r}; installed: {installed}")
        with self._opening:
            opened: dict[str, Encoder] = self.__dict__.setdefault("_encoders", {})
            if wanted not in opened:
                opened[wanted] = Encoder(self.folder / "encoders" / wanted, self.card.encoders[wanted], self)
            return opened[wanted]

    def encoder_at(self, effort: int) -> Encoder:
        """The encoder to use at an effort, 0 to 10. Raises UnknownModelError where there is none."""
        others = [name for name, card in self.card.encoders.items() if self.only is None and card.takes_over(effort)]
        return self.encoder(others[0] if others else None)

    def using(self, encoder: str) -> Model:
        """The same model with one of its encoders as the usual one, used at every effort. Raises UnknownModelError."""
        self.encoder(encoder)
        return Model(self.folder, dataclasses.replace(self.card, encoder=encoder), encoder)

    def check_encoder(self, name: str | None = None) -> None:
        """Compare an encoder's files with its card, the usual one's unless it is named.

        Raises ModelMismatchError, UnknownModelError.
        """
        self.encoder(name).check()

    def check(self) -> None:
        """Read every file and compare all of them with the cards. Raises ModelMismatchError."""
        _ = self.weights
        for name in self.card.encoders:
            self.check_encoder(name)
        self.check_files()

    def check_files(self) -> None:
        """Compare every file with its checksum alone: much faster than to compute hashes. Raises ModelMismatchError."""
        for name in self.card.files:
            self._files.read(name)
        for encoder in map(self.encoder, self.card.encoders):
            for file in encoder.card.files:
                encoder._files.read(file)


def graph_file(name: str) -> str:
    """The file of a graph."""
    return f"{name}.onnx.gz"


def in_eight_bits(name: str) -> str:
    """The name of the graph that computes what another does, in 8-bit integers."""
    return f"{name}-int8"


def checksum(content: bytes) -> str:
    """The checksum of a file as cards hold it: 16 hex digits."""
    return hashlib.sha256(content).hexdigest()[:16]


def checksums(folder: Path) -> dict[str, str]:
    """The checksum of each file in a folder, except of its card, by the file's name."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != "card.json")
    return {path.name: checksum(path.read_bytes()) for path in files}


def _compare(who: str, found: str, expected: str) -> None:
    if found != expected:
        raise ModelMismatchError(f"{who}: its files have the hash {found}, the card says {expected}; reinstall it")


def open_folder(folder: Path, source: str = "") -> Model:
    """The model in a folder. Raises ModelMismatchError where its card or an encoder's cannot be read."""
    try:
        values = _card(folder / "card.json", Card)
        encoders = {}
        for path in sorted(folder.glob("encoders/*/card.json")):
            found = {**_card(path, EncoderCard), "name": path.parent.name, "bytes": _size(path.parent)}
            encoders[path.parent.name] = EncoderCard(**found)
        return Model(folder, Card(**{**values, "encoders": encoders, "source": source, "bytes": _size(folder)}))
    except (OSError, ValueError, TypeError) as error:
        raise ModelMismatchError(f"model {folder.name}: its card cannot be read: {error}") from error


def _card(path: Path, kind: type[Any]) -> dict[str, Any]:
    """The fields of a card that this version knows. Raises ValueError where one is of the wrong type."""
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} holds no object")
    known = {each.name: str(each.type) for each in dataclasses.fields(kind) if each.name in values}
    types: dict[str, type | tuple[type, ...]] = {"str": str, "float": (int, float), "int": int}
    for name, of in known.items():
        expected = types.get(of, dict if of.startswith("dict") else list)
        if not isinstance(values[name], expected):
            raise ValueError(f"{name} is {values[name]!r}")
    return {name: values[name] for name in known}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
