"""What a codec in a comparison is, and the registry that knows them all.

To add one: a module in this package with a class that derives from ``Codec`` and is decorated with
``register``, imported in ``__init__``. Everything heavy is imported in ``__init__`` of the class and later, never at
import.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from glissando.bench.results import ModelInfo
from glissando.errors import BenchmarkError

__all__ = ["DEFAULTS", "Codec", "Pixels", "family", "open_codec", "register", "registered", "rgb8"]

Pixels = NDArray[np.uint8]
"""RGB, (height, width, 3), 0…255."""


class Codec(ABC):
    """One encoder and its decoder, with every option but the setting fixed.

    ``settings`` are the points of its curve, from the smallest files to the largest; ``quick`` fewer of them. Where
    settings are not continuous, ``whole`` is True and only whole numbers are asked for. A codec that takes seconds for
    a picture is ``slow``, and a quick comparison leaves it out unless it is asked for. One that takes a minute is
    ``on_request``: every comparison leaves it out unless it is asked for. ``tuned_for`` names the measure of quality
    that the encoder makes its choices by, and ``model`` is set for the models of this package alone. Safe to use in
    several processes, each with its own object; called from one thread at a time.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    settings: ClassVar[tuple[float, ...]]
    quick: ClassVar[tuple[float, ...]]
    whole: ClassVar[bool] = True
    slow: ClassVar[bool] = False
    on_request: ClassVar[bool] = False
    ours: ClassVar[bool] = False
    tuned_for: str = ""
    model: ClassVar[ModelInfo | None] = None

    def __init__(self, threads: int) -> None:
        """Use at most ``threads`` cores. Raises CodecUnavailableError, which says what to install."""
        self.threads = threads

    @property
    @abstractmethod
    def version(self) -> str:
        """Library and version, as "libavif 1.3.0, aom 3.12 (Pillow 12.0)"."""

    @property
    def thread_note(self) -> str:
        """How many threads it really uses."""
        return str(self.threads)

    @abstractmethod
    def encode(self, pixels: Pixels, setting: float) -> bytes:
        """A whole file. Raises BenchmarkError where the codec refuses."""

    @abstractmethod
    def decode(self, data: bytes) -> Pixels:
        """The file's pixels. Raises BenchmarkError where the codec refuses."""


def rgb8(array: NDArray[Any], codec: str) -> Pixels:
    """What a library decoded, if it is uint8 RGB. Raises BenchmarkError for anything else."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise BenchmarkError(f"{codec} decoded to {array.dtype} of shape {array.shape}, not to 8-bit RGB")
    return array


_REGISTRY: dict[str, type[Codec]] = {}
_FAMILIES: dict[str, Callable[[str], type[Codec]]] = {}
DEFAULTS: list[str] = []
"""Names of the codecs that take part unless others are asked for, in the order of registration."""


def register(codec: type[Codec]) -> type[Codec]:
    """Class decorator: known by its name from now on."""
    if codec.name in _REGISTRY:
        raise ValueError(f"two codecs are called {codec.name}")
    _REGISTRY[codec.name] = codec
    if not codec.on_request:
        DEFAULTS.append(codec.name)
    return codec


def family(prefix: str) -> Callable[[Callable[[str], type[Codec]]], Callable[[str], type[Codec]]]:
    """Decorator of a function that makes the codec of "prefix:rest" from ``rest``, where none has that name yet."""

    def keep(make: Callable[[str], type[Codec]]) -> Callable[[str], type[Codec]]:
        _FAMILIES[prefix] = make
        return make

    return keep


def registered() -> dict[str, type[Codec]]:
    """All codecs by name, in the order of registration."""
    return dict(_REGISTRY)


def open_codec(name: str, threads: int) -> Codec:
    """A codec by name, or "glissando:FOLDER" for a model that ``glissando export`` wrote.

    Raises BenchmarkError for an unknown one, CodecUnavailableError for one that is not installed.
    """
    prefix, _, rest = name.partition(":")
    factory: Callable[[int], Codec]
    if name in _REGISTRY:
        factory = _REGISTRY[name]
    elif rest and prefix in _FAMILIES:
        factory = _FAMILIES[prefix](rest)
    else:
        raise BenchmarkError(f"no codec called {name!r}; known: {', '.join(_REGISTRY)}")
    return factory(threads)
